# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from typing import Any
from unittest.mock import MagicMock

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args
from ansible_collections.nodewise.cluster.plugins.module_utils.calico.settings import Settings
from ansible_collections.nodewise.cluster.plugins.module_utils.kube import host
from ansible_collections.nodewise.cluster.plugins.modules import calico

PRESENT: dict[str, Any] = {"version": "3.33.0", "kubernetes_version": "1.37.2", "pod_cidr": "10.244.0.0/16", "manifest": "/none/calico.yaml"}


def run(capsys: pytest.CaptureFixture[str], **arguments: Any) -> dict[str, Any]:
    with patch_module_args(arguments), pytest.raises(SystemExit):
        calico.main()
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


@pytest.fixture(autouse=True)
def virgin_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """No kubeconfig, no kubectl, no calicoctl."""
    monkeypatch.setattr(host, "ADMIN_KUBECONFIG", "/none/admin.conf")
    monkeypatch.setenv("PATH", "/none")


def test_check_mode_on_a_virgin_host_predicts_the_installation(capsys: pytest.CaptureFixture[str]) -> None:
    result = run(capsys, **PRESENT, _ansible_check_mode=True)
    assert result["changed"]
    assert result["actions"] == ["install Calico 3.33.0 (not compared: this host has no /none/admin.conf, /none/calico.yaml, kubectl, calicoctl yet)"]


def test_check_mode_of_waiting_on_a_virgin_host_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    result = run(capsys, state="ready", _ansible_check_mode=True)
    assert not result["changed"]
    assert result["unsettled"] == ["the cluster does not exist yet"]


@pytest.mark.parametrize("arguments", [PRESENT, {"state": "ready"}])
def test_a_real_run_on_a_virgin_host_says_what_is_missing(capsys: pytest.CaptureFixture[str], arguments: dict[str, Any]) -> None:
    result = run(capsys, **arguments)
    assert result["failed"]
    assert "This host has no /none/admin.conf" in result["msg"]
    assert "Remedy: run the artifacts role and kubeadm init first" in result["msg"]


def test_bad_settings_fail_first_and_all_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    result = run(capsys, **{**PRESENT, "version": "3.28.5", "mtu": 1}, _ansible_check_mode=True)
    assert result["failed"]
    assert "calico_allow_unsupported_pair" in result["msg"]
    assert "calico_mtu is 1" in result["msg"]


def test_checking_needs_no_cluster(capsys: pytest.CaptureFixture[str]) -> None:
    result = run(capsys, **PRESENT, state="checked")
    assert (result["changed"], result["actions"]) == (False, [])
    result = run(capsys, **{**PRESENT, "pod_cidr": "10.244.0.0/33"}, state="checked")
    assert result["failed"]
    assert "calico_pod_cidr has the CIDR '10.244.0.0/33'" in result["msg"]


@pytest.mark.parametrize("changed", [False, True])
def test_where_nothing_changes_it_tells_what_is_not_rolled_out(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, changed: bool) -> None:
    changes = MagicMock(changed=changed)
    changes.actions.return_value, changes.diff.return_value = [], []
    monkeypatch.setattr(calico, "Installer", lambda *_args: MagicMock(compare=lambda _nodes: changes))
    monkeypatch.setattr(calico, "lacking", lambda *_args: [])
    monkeypatch.setattr(calico, "unsettled", lambda _kubectl: ["daemonset/calico-node: 2 of 3 available"])
    result = run(capsys, **PRESENT)
    assert result.get("unsettled") == (None if changed else ["daemonset/calico-node: 2 of 3 available"])


def test_options_of_documentation_and_settings_agree() -> None:
    options = yaml.safe_load(calico.DOCUMENTATION)["options"]
    names = set(Settings.__dataclass_fields__)
    assert names | {"state", "wait_timeout", "manifest", "nodes_without_cni"} == set(options)
    for name, field in Settings.__dataclass_fields__.items():
        if "default" in options[name] and not isinstance(options[name]["default"], (dict, list)):
            assert options[name]["default"] == field.default, name
