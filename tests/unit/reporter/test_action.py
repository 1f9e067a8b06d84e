# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the control machine does before anything is sent to a host."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.nodewise.cluster.plugins.action import reporter
from ansible_collections.nodewise.cluster.plugins.module_utils.artifacts import bundle
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter.code import ENTRIES, code_files, digest, filename

FOUND = {"missing": [filename(digest(code_files(ENTRIES["reporter"])))], "python": "3.11", "arch": "amd64"}


def run(cache: Path, first: dict[str, Any] | None = None, second: dict[str, Any] | None = None) -> dict[str, Any]:
    """Run the action; C(first) and C(second) are what the module's two calls answer."""
    task = MagicMock(async_val=0, check_mode=False, diff=False, args={"cache": str(cache)})
    action: Any = reporter.ActionModule(task=task, connection=MagicMock(), play_context=MagicMock(), loader=None, templar=None, shared_loader_obj=None)
    action._execute_module = MagicMock(side_effect=[{**FOUND, **(first or {})}, {"missing": [], **(second or {})}])
    for name in ("_make_tmp_path", "_transfer_file", "_fixup_perms2", "_remove_tmp_path"):
        setattr(action, name, MagicMock(return_value=str(cache)))
    result: dict[str, Any] = action.run(task_vars={"inventory_hostname": "w1"})
    return result


def full(*_arguments: object, **_options: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    with pytest.raises(AnsibleActionFail, match=r"The cache .*/cache cannot be written: .*Not a directory.* Remedy: .*artifacts_cache"):
        run(tmp_path / "cache")


def test_one_that_is_full_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(reporter, "write_atomic", full)
        with pytest.raises(AnsibleActionFail, match=f"The cache {tmp_path} cannot be written: .*No space left.* Remedy: free some space"):
            run(tmp_path)
    monkeypatch.setattr(bundle, "_piece", full)
    with pytest.raises(AnsibleActionFail, match=f"The cache {tmp_path}/wheels cannot be written: .*No space left"):
        run(tmp_path)


@pytest.fixture
def ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have all wheels in the cache."""
    monkeypatch.setattr(reporter, "obtain", lambda _request, _wheels: [])


@pytest.mark.usefixtures("ready")
def test_what_was_done_before_files_were_found_missing_is_told_too(tmp_path: Path) -> None:
    first = {"changed": True, "actions": ["apply the guard's objects"], "diff": [{"after": "+ kind: ClusterRole"}]}
    second = {"changed": True, "actions": ["build /opt/nodewise/guard/0a1b"], "diff": [{"after": "0a1b"}]}
    result = run(tmp_path, first, second)
    assert result["actions"] == [*first["actions"], *second["actions"]]
    assert result["diff"] == [*first["diff"], *second["diff"]]
    assert result["missing"] == FOUND["missing"]


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("second", [True, False])
def test_it_changed_if_either_call_did(tmp_path: Path, first: bool, second: bool) -> None:
    assert run(tmp_path, {"changed": first}, {"changed": second})["changed"] == (first or second)


@pytest.mark.usefixtures("ready")
def test_what_was_done_is_told_though_the_rest_failed(tmp_path: Path) -> None:
    result = run(tmp_path, {"changed": True, "actions": ["apply the guard's objects"]}, {"failed": True, "msg": "The new guard is not well"})
    assert (result["failed"], result["changed"], result["actions"]) == (True, True, ["apply the guard's objects"])
