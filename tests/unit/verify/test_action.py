# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action verify_cluster: what it shows, writes and returns of the module's result."""

from __future__ import annotations

import json
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


def run(args: dict[str, Any], status: str = OK, **module_result: Any) -> dict[str, Any]:
    """Run the action on a module's result."""
    task = MagicMock(async_val=0, check_mode=False, diff=False, args=args)
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


def test_a_file_that_cannot_be_written(shown: Shown, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AnsibleActionFail, match="cannot be written to .*file/v.json: "):
        run({"json": str(tmp_path / "file" / "v.json")})
    assert len(shown) == 1


@pytest.mark.parametrize("answer", [{"failed": True, "msg": "no admin.conf"}, {"unreachable": True, "msg": "ssh"}])
def test_a_module_that_failed_is_passed_on(shown: Shown, answer: dict[str, Any]) -> None:
    assert run({}, **answer).items() >= answer.items()
    assert shown == []
