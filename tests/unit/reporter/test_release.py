# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.artifacts.wheels import Wheel
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.files import sha256_file
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter import release
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter.release import (
    PACKAGE,
    Python,
    Release,
    ask_python,
    release_digest,
)

PYTHON = Python("/usr/bin/python3.11", "3.11", "amd64")
WHEEL = Wheel("one-1-py3-none-any.whl", "0" * 64)


def test_the_digest_is_of_code_wheels_and_python() -> None:
    digests = {
        release_digest("c0de", [WHEEL], PYTHON),
        release_digest("c1de", [WHEEL], PYTHON),
        release_digest("c0de", [], PYTHON),
        release_digest("c0de", [WHEEL], Python("/usr/bin/python3.11", "3.12", "amd64")),
    }
    assert len(digests) == 4
    assert release_digest("c0de", [WHEEL], PYTHON) in digests


def test_a_python_says_what_it_is() -> None:
    found = ask_python(sys.executable)
    assert found.version == f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert os.path.samefile(found.program, os.path.realpath(sys.executable))


@pytest.mark.parametrize(("program", "message"), [("/nowhere/python", "cannot be run"), ("/bin/false", "does not say what it is")])
def test_a_python_that_is_none_is_named(program: str, message: str) -> None:
    with pytest.raises(NodewiseError, match=f"{program} {message}"):
        ask_python(program)


def wheel(folder: Path, members: dict[str, str]) -> str:
    path = folder / "dep-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return str(path)


CODE = {
    "__init__.py": "",
    "reporter/__init__.py": "",
    "reporter/probe.py": "",
    "reporter/main.py": "def import_all():\n    import dep\n",
}


def test_a_release_runs_with_its_own_packages_and_is_whole(tmp_path: Path) -> None:
    release = Release("d1", str(tmp_path / "root"))
    assert not release.whole()
    release.build(ask_python(sys.executable), CODE, [wheel(tmp_path, {"dep.py": "answer = 42"})])
    assert release.whole()
    done = subprocess.run(
        [release.python, "-I", "-c", f"import sys, dep, {PACKAGE}; print(dep.answer, sys.prefix)"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"42 {release.path}/venv\n"
    assert sorted(os.listdir(release.root)) == ["d1"]


def test_a_release_that_was_touched_is_not_whole_and_built_again(tmp_path: Path) -> None:
    release = Release("d1", str(tmp_path / "root"))
    python, wheels = ask_python(sys.executable), [wheel(tmp_path, {"dep.py": "answer = 42"})]
    release.build(python, CODE, wheels)
    module = next(Path(release.path).rglob("dep.py"))
    before = module.stat()
    module.write_text("answer = 41")
    # Time, size and inode are as they were.
    os.utime(module, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert not release.whole()
    release.build(python, CODE, wheels)
    assert release.whole()
    (Path(release.path) / "venv" / "more").write_text("")
    assert not release.whole()


def test_files_are_read_only_if_they_were_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Release("d1", str(tmp_path / "root"))
    made.build(ask_python(sys.executable), CODE, [wheel(tmp_path, {"dep.py": "answer = 42"})])
    read: list[str] = []
    monkeypatch.setattr(release, "sha256_file", lambda path: [read.append(path), sha256_file(path)][1])
    assert made.whole()
    assert read == []
    next(Path(made.path).rglob("dep.py")).touch()
    assert made.whole()
    assert read != []


def test_what_cannot_be_imported_never_gets_the_name(tmp_path: Path) -> None:
    release = Release("d1", str(tmp_path / "root"))
    with pytest.raises(NodewiseError, match=r"(?s)does not work with .*No module named 'dep'"):
        release.build(ask_python(sys.executable), CODE, [])
    assert os.listdir(release.root) == []


@pytest.mark.parametrize("name", ["dep-1.data/scripts/run", "../outside.py", "/etc/outside.py"])
def test_a_wheel_that_unpacking_does_not_install_is_refused(tmp_path: Path, name: str) -> None:
    release = Release("d1", str(tmp_path / "root"))
    with pytest.raises(NodewiseError, match="dep-1-py3-none-any.whl has"):
        release.build(ask_python(sys.executable), CODE, [wheel(tmp_path, {name: ""})])
    assert os.listdir(release.root) == []


def test_what_a_killed_run_left_is_swept_and_other_releases_go(tmp_path: Path) -> None:
    root = tmp_path / "root"
    python, wheels = ask_python(sys.executable), [wheel(tmp_path, {"dep.py": ""})]
    Release("d1", str(root)).build(python, CODE, wheels)
    (root / ".part-x").mkdir()
    second = Release("d2", str(root))
    second.build(python, CODE, wheels)
    assert not (root / ".part-x").exists()
    assert second.others() == ["d1"]
    assert not second.current()
    second.make_current()
    assert second.current()
    assert sorted(os.listdir(root)) == ["current", "d2"]
