# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tarball, installed into an empty path, works from there: no file of the checkout but the lab's inventory is used.

Needs the hosts of the lab named by NODEWISE_LAB (make lab), which is a cluster afterwards.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from lab import BIN, ROOT

PLAYBOOKS = sorted(path.stem for path in (ROOT / "playbooks").glob("*.yml"))


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the tarball and install it into an empty path; return a folder to work in."""
    folder = tmp_path_factory.mktemp("elsewhere")
    run(folder, "ansible-galaxy", "collection", "build", str(ROOT), "--output-path", str(folder))
    (tarball,) = folder.glob("*.tar.gz")
    run(folder, "ansible-galaxy", "collection", "install", "--offline", str(tarball))
    # Pipelining and the interpreter as in the checkout's ansible.cfg, nothing else.
    (folder / "ansible.cfg").write_text("[defaults]\ninterpreter_python = /usr/bin/python3\n[ssh_connection]\npipelining = true\n")
    return folder


def run(folder: Path, program: str, *args: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "MOLECULE_"))}
    environment |= {"ANSIBLE_COLLECTIONS_PATH": str(folder / "collections"), "ANSIBLE_FORCE_COLOR": "false"}
    done = subprocess.run([str(BIN / program), *args], cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_it_is_installed_where_it_should_be(elsewhere: Path) -> None:
    listed = run(elsewhere, "ansible-galaxy", "collection", "list", "nodewise.cluster")
    assert str(elsewhere / "collections") in listed
    assert str(ROOT) not in listed


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_a_playbook_is_found_by_its_name(elsewhere: Path, playbook: str) -> None:
    run(elsewhere, "ansible-playbook", f"nodewise.cluster.{playbook}", "--syntax-check", "-i", "localhost,")


def test_the_site_playbook_runs(elsewhere: Path) -> None:
    out = run(elsewhere, "ansible-playbook", "nodewise.cluster.site", "-i", str(ROOT / "inventories" / "lab"))
    for host in ("cp1", "w1", "w2", "s1"):
        assert f"\n{host} " in out
