# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_what_the_source_gomod_needs_is_installed_by_make() -> None:
    """Role artifacts' README says what the control machine needs; Go itself is the operator's."""
    row = re.search(r"^\| `gomod` \|.*$", (ROOT / "roles/artifacts/README.md").read_text(), re.MULTILINE)
    assert row
    needed = set(re.findall(r"`([\w.-]+)`", row[0].split("Go 1.26")[1].partition("; for another architecture")[0]))
    assert {"gcc", "zstd"} <= needed
    installed = set(re.findall(r"[\w/.-]+:([\w.-]+)", (ROOT / "Makefile").read_text().partition("TEST_PACKAGES")[0]))
    assert needed - installed == set()


def playbooks(arguments: str) -> list[tuple[str, str]]:
    """Return the playbooks that C(make cluster) would run, each with its arguments."""
    # Those of a make that runs these tests are not meant.
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "ARGS", "LAB")}
    commands = subprocess.check_output(["make", "--dry-run", "cluster", f"ARGS={arguments}"], cwd=ROOT, env=environment, text=True)
    return re.findall(r"^ansible-playbook -i \S+ playbooks/(\w+)\.yml *([^>\n]*?) *(?:>.*)?$", commands, re.MULTILINE)


@pytest.mark.parametrize("check", ["--check", "-C"])
def test_a_checked_cluster_changes_no_lab_and_fetches_no_kubeconfig(check: str) -> None:
    assert playbooks(f"{check} --diff") == [("lab_up", check), ("site", f"{check} --diff")]


@pytest.mark.parametrize("arguments", ["", "--diff", "-e some=--check"])
def test_a_cluster_is_brought_up_and_can_be_reached(arguments: str) -> None:
    assert playbooks(arguments) == [("lab_up", ""), ("site", arguments), ("lab_access", "")]


@pytest.fixture
def half_made(tmp_path: Path) -> Path:
    """Return a virtual environment as it is left by a `make` that is interrupted before pip is there."""
    folder = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    return folder


def make_venv(folder: Path) -> None:
    requirements = folder.parent / "requirements.txt"
    requirements.touch()
    subprocess.run(["scripts/venv", folder, "3.11", requirements], cwd=ROOT, check=True)


def test_a_virtual_environment_that_was_left_half_made_is_made_anew_and_a_whole_one_stays(half_made: Path) -> None:
    mark = half_made / "mark"
    mark.touch()
    make_venv(half_made)
    assert not mark.exists()
    subprocess.run([half_made / "bin/python", "-m", "pip", "--version"], check=True)
    mark.touch()
    make_venv(half_made)
    assert mark.exists()
