# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_what_the_source_gomod_needs_is_installed_by_make() -> None:
    """Role artifacts' README says what the control machine needs; Go itself is the operator's."""
    row = re.search(r"^\| `gomod` \|.*$", (ROOT / "roles/artifacts/README.md").read_text(), re.MULTILINE)
    assert row
    needed = set(re.findall(r"`([\w.-]+)`", row[0].split("Go 1.26")[1].partition("; for another architecture")[0]))
    assert {"gcc", "zstd"} <= needed
    installed = set(re.findall(r"[\w/.-]+:([\w.-]+)", (ROOT / "Makefile").read_text().partition("TEST_PACKAGES")[0]))
    assert needed - installed == set()
