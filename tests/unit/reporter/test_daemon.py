# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A daemon's own code comes to the host as its wheels do: asked for where it is missing, kept for the next time, gone when another one runs."""

from __future__ import annotations

import io
import os
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter import daemon
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter.code import digest, filename, to_text
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter.daemon import Daemon, Delivery, Outcome
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter.release import Release
from ansible_collections.nodewise.cluster.plugins.module_utils.systemd.systemctl import UnitStatus

OLD = {"__init__.py": "", "guard/__init__.py": "", "guard/main.py": "def import_all():\n    pass\n"}
NEW = {**OLD, "guard/__init__.py": "new = True\n"}


class Stopped:
    """A service manager with nothing to do."""

    def __init__(self, notes: Path) -> None:
        self.notes = str(notes)

    def status(self, _unit: str) -> UnitStatus:
        return UnitStatus("loaded", "inactive", "", False, None, 0)

    def enablement(self, _unit: str) -> str:
        return "enabled"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(daemon, "root_path", lambda name: str(tmp_path / name))
    monkeypatch.setattr(daemon, "unit_path", lambda name: str(tmp_path / f"{name}.service"))
    monkeypatch.setattr(daemon, "config_path", lambda name: str(tmp_path / f"{name}.conf"))
    monkeypatch.setattr(daemon, "_systemd_version", lambda: 252)
    monkeypatch.setattr(daemon, "locked", lambda _version, _arch: [])
    return tmp_path / "guard"


def ensure(root: Path, delivery: Delivery, check_mode: bool = False) -> Outcome:
    wanted = Daemon("guard", "", False, lambda python, _version, _systemd: python, lambda _release, _version: {}, runs=False)
    systemd: Any = Stopped(root.parent / "notes")
    return daemon.ensure_present(wanted, sys.executable, delivery, check_mode, systemd)


def bundle(path: Path, code: dict[str, str], name: str = "") -> Delivery:
    text = to_text(code).encode()
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo(name or digest(code))
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text))
    return Delivery(name or digest(code), str(path))


def laid_down(root: Path) -> str:
    python = Path((root.parent / "guard.service").read_text())
    return next(python.parents[1].rglob("guard/__init__.py")).read_text()


def test_code_is_asked_for_and_then_built(root: Path) -> None:
    wanted = Delivery(digest(OLD))
    asked = ensure(root, wanted)
    assert (asked.missing, asked.actions, asked.diff) == ([filename(digest(OLD))], [], [])
    assert not root.exists()
    predicted = ensure(root, wanted, check_mode=True)
    assert predicted.missing == [filename(digest(OLD))]
    done = ensure(root, bundle(root.parent / "bundle.tar", OLD))
    assert (done.missing, done.actions) == ([], predicted.actions)
    assert ensure(root, wanted).actions == []
    assert laid_down(root) == ""


def test_a_damaged_release_is_built_anew_of_what_is_there(root: Path) -> None:
    built = ensure(root, bundle(root.parent / "bundle.tar", OLD))
    next(root.rglob("venv/lib/*/*/nodewise/guard/main.py")).write_text("")
    again = ensure(root, Delivery(digest(OLD)))
    assert again.missing == []
    assert again.version == built.version
    assert ensure(root, Delivery(digest(OLD))).actions == []


def test_new_code_takes_the_place_of_the_old(root: Path) -> None:
    ensure(root, bundle(root.parent / "bundle.tar", OLD))
    assert ensure(root, Delivery(digest(NEW))).missing == [filename(digest(NEW))]
    ensure(root, bundle(root.parent / "bundle.tar", NEW))
    assert laid_down(root) == "new = True\n"
    assert [path.name for path in root.glob("wheels/code-*")] == [filename(digest(NEW))]
    assert len([name for name in os.listdir(root) if Release(name, str(root)).whole()]) == 2  # current is a link to it


def test_code_that_arrives_damaged_is_refused(root: Path) -> None:
    with pytest.raises(NodewiseError, match="arrived with SHA-256"):
        ensure(root, bundle(root.parent / "bundle.tar", NEW, digest(OLD)))
    assert not list(root.rglob("main.py"))
