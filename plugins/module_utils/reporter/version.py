# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reporter's version, which every report names."""

from __future__ import annotations

VERSION = "1.0.0"
"""The collection's."""


def agent_version(digest: str) -> str:
    """Return the version of a release: the collection's, and which very files (semver build metadata)."""
    return f"{VERSION}+{digest[:12]}"
