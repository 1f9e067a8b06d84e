# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible.module_utils.testing import patch_module_args
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.nodewise.cluster.plugins.filter.admission_cluster_configuration import FilterModule
from ansible_collections.nodewise.cluster.plugins.module_utils.admission.change import Result
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.modules import apiserver_admission

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Run:
    monkeypatch.setattr(apiserver_admission, "LOCK_PATH", str(tmp_path / "lock"))

    def run_module(**arguments: Any) -> dict[str, Any]:
        with patch_module_args({"kubernetes_version": "1.37.2", **arguments}), pytest.raises(SystemExit):
            apiserver_admission.main()
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    return run_module


@pytest.mark.parametrize("check", [False, True])
def test_what_it_returns(run: Run, monkeypatch: pytest.MonkeyPatch, check: bool) -> None:
    asked: list[tuple[Any, bool, float]] = []

    def ensure(wish: Any, check_mode: bool, tools: Any, paths: Any, timeout: float) -> Result:
        asked.append((wish, check_mode, timeout))
        return Result(["write x"], [], [{"before": "a", "after": "b"}], {"enable-admission-plugins": "NodeRestriction"}, True)

    monkeypatch.setattr(apiserver_admission, "ensure_admission", ensure)
    found = run(enabled=["Priority"], timeout=7, _ansible_check_mode=check)
    assert (found["changed"], found["actions"], found["restarted"]) == (True, ["write x"], True)
    assert found["flags"] == {"enable-admission-plugins": "NodeRestriction"}
    assert (asked[0][0].enabled, asked[0][1:]) == (["Priority"], (check, 7))


def test_failures_are_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def ensure(*_: Any) -> Result:
        raise NodewiseError("It is broken.", "mend it")

    monkeypatch.setattr(apiserver_admission, "ensure_admission", ensure)
    assert run()["msg"] == "It is broken. Remedy: mend it"


@pytest.mark.parametrize(("configuration", "changed"), [({}, False), ({"PodSecurity": {}}, True)])
def test_a_bare_host_without_yaml_is_no_failure_in_check_mode(run: Run, monkeypatch: pytest.MonkeyPatch, configuration: dict[str, Any], changed: bool) -> None:
    monkeypatch.setattr(apiserver_admission, "find_spec", lambda name: None)
    monkeypatch.setattr(apiserver_admission.os.path, "exists", lambda path: False)
    found = run(configuration=configuration, _ansible_check_mode=True)
    assert (found["changed"], found.get("failed", False)) == (changed, False)
    assert "PyYAML" in run(configuration=configuration)["msg"]


def variables(**changes: Any) -> dict[str, Any]:
    return {"kubernetes_version": "1.37.2", "enabled": [], "disabled": [], "configuration": {}, **changes}


def test_the_filter() -> None:
    filtered = FilterModule().filters()["admission_cluster_configuration"]
    assert filtered(variables(enabled=["Priority"])) == {}
    part = filtered(variables(enabled=["AlwaysPullImages"]), {"apiServer": {"extraArgs": [{"name": "audit-log-path", "value": "/x"}]}})
    assert part == {"apiServer": {"extraArgs": [{"name": "enable-admission-plugins", "value": "NodeRestriction,AlwaysPullImages"}]}}
    with pytest.raises(AnsibleFilterError, match="did you mean LimitRanger"):
        filtered(variables(enabled=["LimitRange"]))
    with pytest.raises(AnsibleFilterError, match="kubeadm_control_plane_cluster_configuration sets enable-admission-plugins of the API server"):
        filtered(variables(), {"apiServer": {"extraArgs": [{"name": "enable-admission-plugins", "value": "PodNodeSelector"}]}})


@pytest.mark.parametrize(("on_control_plane", "disabled"), [({"admission_disabled": ["LimitRanger"]}, ["LimitRanger"]), ({}, [])])
def test_a_verification_of_a_worker_alone_knows_what_the_control_plane_disables(
    collection_root: Path, on_control_plane: dict[str, Any], disabled: list[str]
) -> None:
    defaults = DataLoader().load_from_file(str(collection_root / "roles/verify/defaults/main.yml"), trusted_as_template=True)
    # The variables of w1, as with --limit w1: those of the group control_plane are not among them.
    variables = {**defaults, "groups": {"control_plane": ["cp1"]}, "hostvars": {"cp1": on_control_plane, "w1": {}}}
    assert Templar(DataLoader(), variables=variables).template(defaults["verify_admission_disabled"]) == disabled
