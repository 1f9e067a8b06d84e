# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module and the role: arguments in, results out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args
from ansible_collections.nodewise.cluster.plugins.module_utils.kube import host
from ansible_collections.nodewise.cluster.plugins.modules import node_labels

Run = Callable[..., dict[str, Any]]
INVENTORY = {"node_names": {"w1": "w1", "w2": "w2", "s1": "s1"}, "groups": {"workers": ["w1", "w2"], "standby": ["s1"]}, "required": ["w1", "w2"]}
RULES = [{"hosts": ["workers", "standby"], "labels": {"a": "1"}}]


class Api:
    def __init__(self) -> None:
        self.names: list[str] = ["w1", "w2"]
        self.ran: list[str] = []

    def get(self, _kind: str) -> dict[str, Any]:
        return {"items": [{"metadata": {"name": name, "labels": {}}, "spec": {}} for name in self.names]}

    def run(self, args: list[str], stdin: str) -> None:
        self.ran.append(args[0])


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(**arguments: Any) -> dict[str, Any]:
        with patch_module_args({**INVENTORY, **arguments}), pytest.raises(SystemExit):
            node_labels.main()
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        return result

    return call


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Api:
    api = Api()
    (tmp_path / "admin.conf").write_text("")
    monkeypatch.setattr(host, "ADMIN_KUBECONFIG", str(tmp_path / "admin.conf"))
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(node_labels, "Kubectl", lambda: api)
    return api


@pytest.mark.parametrize("check_mode", [False, True])
def test_a_change_is_made_or_predicted(run: Run, cluster: Api, check_mode: bool) -> None:
    result = run(rules=RULES, _ansible_check_mode=check_mode)
    assert (result["changed"], result["actions"], result["missing"]) == (True, ["set label a=1 on w1", "set label a=1 on w2"], [])
    assert [part["after"] for part in result["diff"]] == ["label a=1\n"] * 2
    assert cluster.ran == ([] if check_mode else ["replace"])


def test_no_rules(run: Run, cluster: Api) -> None:
    assert (run()["changed"], cluster.ran) == (False, [])


def test_a_missing_node_fails_after_the_others_are_done(run: Run, cluster: Api) -> None:
    cluster.names = ["w1"]
    result = run(rules=RULES)
    assert (result["failed"], result["changed"], result["missing"], cluster.ran) == (True, True, ["w2"], ["replace"])
    assert result["msg"].startswith("The cluster has no Node w2, which the rules of node labels name. The other Nodes are as the rules say. Remedy: join")


def test_a_missing_node_is_predicted_in_check_mode(run: Run, cluster: Api) -> None:
    cluster.names = ["w1"]
    result = run(rules=RULES, _ansible_check_mode=True)
    assert ("failed" not in result, result["missing"], len(result["actions"])) == (True, ["w2"], 2)


def test_a_bare_host(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "ADMIN_KUBECONFIG", "/none/admin.conf")
    monkeypatch.setattr(node_labels, "Kubectl", None)
    monkeypatch.setattr("shutil.which", lambda _name: None)
    assert run(rules=RULES, _ansible_check_mode=True)["actions"] == ["set label a=1 on w1", "set label a=1 on w2"]
    assert not run(_ansible_check_mode=True)["changed"]
    assert run(rules=RULES)["msg"].startswith("This host has no /none/admin.conf, kubectl. Remedy: run the artifacts role")


def test_rules_are_checked_without_a_cluster(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_labels, "Kubectl", None)
    assert not run(state="checked", rules=RULES)["changed"]
    assert "'wrokers'; did you mean workers?" in run(state="checked", rules=[{"hosts": ["wrokers"]}])["msg"]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"labels": {"a": "1"}}, "hosts"),
        ({"hosts": ["w1"], "taints": [{"key": "a", "effect": "Never"}]}, "Never"),
        ({"hosts": ["w1"], "taints": [{"key": "a"}]}, "effect"),
        ({"hosts": ["w1"], "label": {"a": "1"}}, "label"),
        (
            {"hosts": ["w1"], "labels": {"a": 1}},
            "Nothing was changed, for the rules of node labels are wrong: Rule 1 (w1): the value 1 of the label a is malformed",
        ),
        ({"hosts": ["w1"], "taints": [{"key": "a", "value": True, "effect": "NoSchedule"}]}, "the value True of the taint a is malformed: a value is text"),
        ({"hosts": ["w1"], "taints": [{"key": "a", "value": False, "effect": "NoSchedule"}]}, "the value False of the taint a is malformed: a value is text"),
    ],
)
def test_bad_rules(run: Run, cluster: Api, rule: dict[str, Any], message: str) -> None:
    result = run(rules=[rule])
    assert result["failed"]
    assert message in result["msg"]
    assert cluster.ran == []


def test_the_role_documents_the_modules_rules(collection_root: Path) -> None:
    def shape(options: dict[str, Any], children: str) -> dict[str, Any]:
        return {
            name: {
                **{field: option.get(field) for field in ("type", "elements", "choices", "default", "required")},
                "options": shape(option.get(children, {}), children),
            }
            for name, option in options.items()
        }

    specified = yaml.safe_load((collection_root / "roles/node_labels/meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    documented = yaml.safe_load(node_labels.DOCUMENTATION)["options"]
    assert shape(specified, "options")["node_labels_rules"] == shape(documented, "suboptions")["rules"]
