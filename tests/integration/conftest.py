# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the collection importable here as the unit tests do, and the helpers beside the tests."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

from ansible.plugins.loader import init_plugin_loader

sys.path.insert(0, str(Path(__file__).resolve().parent))

# Run together with the unit tests, theirs has done it already, which Ansible only warns of.
with warnings.catch_warnings(action="ignore"):
    init_plugin_loader([str(Path(__file__).resolve().parents[2] / ".ansible" / "collections")])
