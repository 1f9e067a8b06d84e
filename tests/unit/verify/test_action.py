# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action verify_cluster: what it shows, writes and returns of the module's result."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock
from xml.etree import ElementTree

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.nodewise.cluster.plugins.action import verify_cluster
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.checks import Row
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.result import FAIL, OK, Result

Shown = list[str]


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    lines: Shown = []
    monkeypatch.setattr(verify_cluster, "display", MagicMock(display=lines.append))
    return lines


def run(args: dict[str, Any], status: str = OK, check_mode: bool = False, **module_result: Any) -> dict[str, Any]:
    """Run the action on a module's result."""
    task = MagicMock(async_val=0, check_mode=check_mode, diff=False, args=args)
    action = verify_cluster.ActionModule(task=task, connection=MagicMock(), play_context=MagicMock(), loader=None, templar=None, shared_loader_obj=None)
    result = module_result or {
        "changed": False,
        "cluster_name": "nodewise",
        "scope": ["w1"],
        "seconds": 0.3,
        "nodes": [asdict(Row("w1", "worker"))],
        "checks": [Result("node.ready", "w1", status).to_dict()],
    }
    action._execute_module = MagicMock(return_value=result)
    returned: dict[str, Any] = action.run(task_vars={})
    return returned


def test_a_pass(shown: Shown) -> None:
    result = run({})
    assert (result["failed"], result["verdict"], result["summary"]["ok"]) == (False, "pass", 1)
    assert set(result) == {"changed", "failed", "msg", "summary", "verdict"}
    (said,) = shown
    assert "NODE" in said
    assert "PASSED" in said


def test_a_failure_fails_after_the_table(shown: Shown) -> None:
    result = run({}, FAIL)
    assert result["failed"] is True
    assert result["msg"].startswith("FAILED: 1 check, 1 failed")
    assert "node.ready" in shown[0]


def test_details(shown: Shown) -> None:
    assert run({"details": True})["checks"][0]["check"] == "node.ready"
    assert len(shown) == 1


def test_files_are_written_even_for_a_failure(shown: Shown, tmp_path: Path) -> None:
    result = run({"json": str(tmp_path / "a" / "v.json"), "junit": str(tmp_path / "b" / "v.xml")}, FAIL)
    assert result["failed"] is True
    assert json.loads((tmp_path / "a" / "v.json").read_text())["verdict"] == "fail"
    assert ElementTree.parse(tmp_path / "b" / "v.xml").getroot().tag == "testsuites"
    assert len(shown) == 1


def test_check_mode_shows_the_table_and_leaves_the_files_of_an_earlier_run(shown: Shown, tmp_path: Path) -> None:
    run({"json": str(tmp_path / "v.json")}, FAIL)
    kept = (tmp_path / "v.json").read_text()
    result = run({"json": str(tmp_path / "v.json"), "junit": str(tmp_path / "new" / "v.xml")}, check_mode=True)
    assert result["verdict"] == "pass"
    assert len(shown) == 2
    assert (tmp_path / "v.json").read_text() == kept
    assert [path.name for path in tmp_path.iterdir()] == ["v.json"]


def test_a_kept_file_is_whole_at_any_moment(shown: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run({"json": str(tmp_path / "v.json")}, FAIL)
    kept = (tmp_path / "v.json").read_text()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(AnsibleActionFail, match=r"cannot be written to .*v\.json: No space left"):
        run({"json": str(tmp_path / "v.json")})
    assert (tmp_path / "v.json").read_text() == kept
    assert [path.name for path in tmp_path.iterdir()] == ["v.json"]


def test_a_kept_file_stays_the_link_and_has_the_mode_that_it_had(shown: Shown, tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("")
    (tmp_path / "real.json").chmod(0o600)
    (tmp_path / "v.json").symlink_to("real.json")
    run({"json": str(tmp_path / "v.json")})
    assert (tmp_path / "v.json").is_symlink()
    assert json.loads((tmp_path / "real.json").read_text())["verdict"] == "pass"
    assert (tmp_path / "real.json").stat().st_mode & 0o777 == 0o600


def test_a_pipe_is_written_and_stays_one(shown: Shown, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        run({"json": str(tmp_path / "pipe")})
        assert json.loads(os.read(reader, 65536))["verdict"] == "pass"
    finally:
        os.close(reader)
    assert (tmp_path / "pipe").is_fifo()


def test_a_file_that_cannot_be_written(shown: Shown, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AnsibleActionFail, match="cannot be written to .*file/v.json: "):
        run({"json": str(tmp_path / "file" / "v.json")})
    assert len(shown) == 1


@pytest.mark.parametrize("answer", [{"failed": True, "msg": "no admin.conf"}, {"unreachable": True, "msg": "ssh"}])
def test_a_module_that_failed_is_passed_on(shown: Shown, answer: dict[str, Any]) -> None:
    assert run({}, **answer).items() >= answer.items()
    assert shown == []
