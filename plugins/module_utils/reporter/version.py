# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reporter's version, which every report names."""

from __future__ import annotations

import hashlib

VERSION = "1.0.0"
"""The collection's."""


def agent_version(unit: str) -> str:
    """Return the version of a daemon as it runs: the collection's, and the digest of its unit (semver build metadata).

    The unit names the folder of the release, which bears the digest of code and wheels. So a changed unit, too, is proved by a report of its version:
    one that its predecessor wrote a moment before is of another.

    Parameters
    ----------
    unit : str
        The unit's text without the version.
    """
    return f"{VERSION}+{hashlib.sha256(unit.encode()).hexdigest()[:12]}"
