# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make C(ansible_collections.nodewise.cluster) importable from the checkout, by Ansible's own loader."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible.plugins.loader import init_plugin_loader

ROOT = Path(__file__).resolve().parents[2]
COLLECTIONS = ROOT / ".ansible" / "collections"
LINK = COLLECTIONS / "ansible_collections" / "nodewise" / "cluster"

# The same link that `make` makes, so that plain `pytest` works as well.
if not LINK.exists():
    LINK.parent.mkdir(parents=True, exist_ok=True)
    LINK.symlink_to(os.path.relpath(ROOT, LINK.parent))

init_plugin_loader([str(COLLECTIONS)])


@pytest.fixture(scope="session")
def collection_root() -> Path:
    """Return the root of the checkout."""
    return ROOT
