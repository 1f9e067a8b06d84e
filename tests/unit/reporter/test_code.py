# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files a daemon consists of, and that no module carries them to a host."""

from __future__ import annotations

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter.code import ENTRIES, code_files, digest, filename, loaded_source

MODULES = {
    "a": ("", True),
    "a.main": ("from . import near\nfrom .near import thing\ndef f():\n    from ..b.far import other\nimport yaml\nfrom grpc import x", False),
    "a.near": ("thing = 1", False),
    "b": ("", True),
    "b.far": ("other = 1", False),
    "b.unused": ("", False),
}


def test_the_code_is_what_the_entry_point_imports_also_inside_functions() -> None:
    files = code_files(["a.main"], MODULES.get)
    assert sorted(files) == ["__init__.py", "a/__init__.py", "a/main.py", "a/near.py", "b/__init__.py", "b/far.py"]


def test_names_are_asked_of_packages_only() -> None:
    """To ask whether a module's name is a module would run that module, on every host's task."""
    asked: list[str] = []
    code_files(["a.main"], lambda name: asked.append(name) or MODULES.get(name))  # type: ignore[func-returns-value]
    assert sorted(set(asked)) == ["a", "a.main", "a.near", "b", "b.far"]


def test_our_own_code_is_found_whatever_loaded_it() -> None:
    files = code_files(ENTRIES["reporter"])
    assert {"reporter/main.py", "reporter/probe.py", "report/build.py", "cri/client.py", "api/client.py", "errors.py"} <= set(files)
    assert not [name for name in files if name.startswith(("artifacts/", "systemd/"))]
    assert loaded_source("reporter.nothing") is None


@pytest.mark.parametrize("daemon", ENTRIES)
def test_a_daemon_has_its_entries_and_needs_no_ansible(daemon: str) -> None:
    files = code_files(ENTRIES[daemon])
    assert {entry.replace(".", "/") + ".py" for entry in ENTRIES[daemon]} <= set(files)
    assert [name for name, text in files.items() if "import ansible" in text or "from ansible" in text] == []


@pytest.mark.parametrize("daemon", ENTRIES)
def test_what_installs_a_daemon_does_not_carry_it(daemon: str) -> None:
    """Ansible sends with a module all that it imports, every time."""
    carried = code_files([f"{daemon}.install"])
    assert not {entry.replace(".", "/") + ".py" for entry in ENTRIES[daemon]} & set(carried)


def test_the_digest_is_of_the_files_in_any_order() -> None:
    assert digest({"a": "1", "b": "2"}) == digest({"b": "2", "a": "1"})
    assert digest({"a": "1", "b": "2"}) != digest({"a": "1", "b": ""})
    assert filename(digest({"a": "1"})) != filename(digest({"a": "2"}))
