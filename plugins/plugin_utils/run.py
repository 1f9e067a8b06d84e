# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tells one run of Ansible from the next, for facts outlive a run where Ansible caches them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ansible import constants


def this_run() -> str:
    """Return a name that all tasks of this run share, and no other run has: that of the folder which Ansible makes itself for the run."""
    folder: str = constants.DEFAULT_LOCAL_TMP
    return os.path.basename(folder)


def facts_of_this_run(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a host's facts if this run has gathered them, else nothing."""
    return facts if facts.get("run") == this_run() else {}
