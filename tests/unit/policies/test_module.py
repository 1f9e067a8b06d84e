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
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.kube import host
from ansible_collections.nodewise.cluster.plugins.modules import policies

Run = Callable[..., dict[str, Any]]
QUOTA = {"name": "one", "namespace": "demo", "hard": {"pods": 1}}


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(**arguments: Any) -> dict[str, Any]:
        with patch_module_args(arguments), pytest.raises(SystemExit):
            policies.main()
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        return result

    return call


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kubectl: Any) -> Any:
    (tmp_path / "admin.conf").write_text("")
    monkeypatch.setattr(host, "ADMIN_KUBECONFIG", str(tmp_path / "admin.conf"))
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(policies, "Kubectl", lambda: kubectl)
    return kubectl


@pytest.mark.parametrize("check_mode", [False, True])
def test_a_change_is_made_or_predicted(run: Run, cluster: Any, check_mode: bool) -> None:
    result = run(resource_quotas=[QUOTA], _ansible_check_mode=check_mode)
    assert (result["changed"], result["actions"]) == (True, ["create ResourceQuota demo/one"])
    assert json.loads(result["diff"][0]["after"]) == {"spec": {"hard": {"pods": "1"}}}
    assert cluster.verbs == ([] if check_mode else ["apply"])


def test_nothing_to_do(run: Run, cluster: Any) -> None:
    cluster.add("ResourceQuota", "one", "demo", spec={"hard": {"pods": "1"}})
    result = run(resource_quotas=[QUOTA])
    assert (result["changed"], result["actions"], result["diff"]) == (False, [], [])


def test_pods_that_will_be_refused_are_warned_of(run: Run, cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr("ansible.module_utils.basic.AnsibleModule.warn", lambda _module, text: told.append(text))
    run(resource_quotas=[{**QUOTA, "hard": {"cpu": 1}}])
    assert told == ["ResourceQuota demo/one: new pods that do not state cpu are refused; a LimitRange of demo could give defaults."]


def test_nothing_listed_asks_nobody(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies, "Kubectl", None)
    assert not run()["changed"]
    assert run(state="verified")["checks"] == []


def test_options_are_checked_without_a_cluster(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies, "Kubectl", None)
    assert not run(state="checked", resource_quotas=[QUOTA])["changed"]
    message = (
        "Nothing was changed, for the policies are wrong: ResourceQuota demo/one, hard: 'pod' is no resource that Kubernetes limits there; did you mean pods?"
    )
    assert run(state="checked", resource_quotas=[{**QUOTA, "hard": {"pod": 1}}])["msg"] == message


def test_a_bare_host(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "ADMIN_KUBECONFIG", "/none/admin.conf")
    monkeypatch.setattr(policies, "Kubectl", None)
    monkeypatch.setattr("shutil.which", lambda _name: None)
    assert run(resource_quotas=[QUOTA], _ansible_check_mode=True)["actions"] == ["create ResourceQuota demo/one"]
    assert run(state="verified", resource_quotas=[QUOTA], _ansible_check_mode=True)["checks"] == []
    assert run(resource_quotas=[QUOTA])["msg"].startswith("This host has no /none/admin.conf, kubectl. Remedy: run the artifacts role")


def test_verification_returns_checks(run: Run, cluster: Any) -> None:
    (check,) = run(state="verified", resource_quotas=[QUOTA], timeout=0)["checks"]
    assert (check["check"], check["status"]) == ("policies.listed", "fail")


def test_a_verification_that_cannot_be_made_is_unknown(run: Run, cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "get", lambda *_args: (none for none in ()).throw(NodewiseError("connection refused")))
    (check,) = run(state="verified", resource_quotas=[QUOTA])["checks"]
    assert (check["check"], check["node"], check["status"], check["observed"]) == ("policies.listed", "cluster", "unknown", "connection refused")


def test_an_api_that_does_not_answer_is_told_of(run: Run, cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_args: str) -> None:
        raise NodewiseError("connection refused")

    monkeypatch.setattr(cluster, "get", down)
    assert run(resource_quotas=[QUOTA])["msg"] == "connection refused"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"resource_quotas": [{"name": "one", "namespace": "demo"}]}, "state is present but all of the following are missing: hard"),
        ({"limit_ranges": [{"name": "one", "namespace": "demo"}]}, "state is present but all of the following are missing: limits"),
        ({"priority_classes": [{"name": "one"}]}, "state is present but all of the following are missing: value"),
        ({"priority_classes": [{"name": "one", "value": "many"}]}, "many"),
        ({"resource_quotas": [{"name": "one", "hard": {"pods": 1}}]}, "namespace"),
        ({"resource_quotas": [{**QUOTA, "scopes": ["Best"]}]}, "Best"),
        ({"limit_ranges": [{"name": "one", "namespace": "demo", "limits": [{"type": "Node"}]}]}, "Node"),
        ({"limit_ranges": [{"name": "one", "namespace": "demo", "limits": [{"maximum": {"cpu": 1}}]}]}, "maximum"),
        ({"resource_quotas": [{**QUOTA, "scope_selector": [{"scope_name": "PriorityClass"}]}]}, "operator"),
    ],
)
def test_bad_arguments(run: Run, cluster: Any, arguments: dict[str, Any], message: str) -> None:
    result = run(**arguments)
    assert result["failed"]
    assert message in result["msg"]
    assert cluster.ran == []


def test_the_role_hands_every_variable_on(collection_root: Path) -> None:
    folder = collection_root / "roles/policies"
    (task,) = yaml.safe_load((folder / "tasks/apply.yml").read_text())
    variables = yaml.safe_load((folder / "defaults/main.yml").read_text())
    options = {f"policies_{name}": value for name, value in task["nodewise.cluster.policies"].items() if name != "state"}
    assert options == {name: f"{{{{ {name} }}}}" for name in variables}


def test_the_role_documents_the_modules_options(collection_root: Path) -> None:
    """The role's typed variables have the module's names, choices and defaults, at every depth."""

    def shape(options: dict[str, Any], children: str) -> dict[str, Any]:
        return {
            name: {
                **{field: option.get(field) for field in ("type", "elements", "choices", "default", "required")},
                "options": shape(option.get(children, {}), children),
            }
            for name, option in options.items()
        }

    documented = yaml.safe_load(policies.DOCUMENTATION)["options"]
    specified = yaml.safe_load((collection_root / "roles/policies/meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    module = shape(documented, "suboptions")
    assert {name.removeprefix("policies_"): value for name, value in shape(specified, "options").items()} == {
        name: module[name] for name in ("namespaces", "limit_ranges", "priority_classes", "resource_quotas")
    }
