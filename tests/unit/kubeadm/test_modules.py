# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.kubeadm.tokens import PLACEHOLDER, Token
from ansible_collections.nodewise.cluster.plugins.modules import (
    kubeadm_init,
    kubeadm_join,
    kubeadm_join_info,
    kubeadm_node,
    kubeadm_reset,
    kubeadm_token,
)

MODULES = [kubeadm_init, kubeadm_join, kubeadm_join_info, kubeadm_node, kubeadm_reset, kubeadm_token]
INIT = {
    "node_name": "cp1",
    "node_ip": "192.0.2.11",
    "cluster_name": "c",
    "endpoint": "192.0.2.11:6443",
    "kubernetes_version": "1.37.2",
    "pod_cidr": "10.244.0.0/16",
    "service_cidr": "10.96.0.0/12",
    "cri_socket": "unix:///none",
}
JOIN = {key: INIT[key] for key in ("node_name", "node_ip", "cluster_name", "cri_socket")}
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(module: ModuleType, **arguments: Any) -> dict[str, Any]:
        with patch_module_args(arguments), pytest.raises(SystemExit):
            module.main()
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        return result

    return call


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kubectl: Any) -> Any:
    """A cluster for the modules that run on a control plane."""
    (tmp_path / "admin.conf").write_text("")
    monkeypatch.setattr(kubeadm_join_info, "ADMIN_KUBECONFIG", str(tmp_path / "admin.conf"))
    for module in (kubeadm_join_info, kubeadm_node, kubeadm_token):
        monkeypatch.setattr(module, "Kubectl", lambda: kubectl)
    return kubectl


def host(name: str, **shows: Any) -> dict[str, Any]:
    return {"node_name": name, "machine_id": f"machine-{name}", "kubelet_conf": False, "admin_conf": False, "kubeadm_state": {}, **shows}


def joined(name: str) -> dict[str, Any]:
    return host(name, kubelet_conf=True, kubeadm_state={"phase": "joined", "node_name": name, "cluster_name": "c"})


# -- kubeadm_join_info ------------------------------------------------------------------------------------------------------


def test_who_must_join(run: Run, cluster: Any, node_object: Any) -> None:
    cluster.nodes = [node_object("w1"), node_object("w3", ready=False)]
    result = run(kubeadm_join_info, cluster_name="c", hosts=[joined("w1"), host("w2"), host("w3"), host("w4", admin_conf=True)])
    assert {name: plan["action"] for name, plan in result["plans"].items()} == {"w1": "none", "w2": "join", "w3": "join", "w4": "refuse"}
    assert result["joining"] == ["w2", "w3"]
    assert result["obsolete"] == ["w3"]
    assert result["plans"]["w1"]["node"]["provider_id"] == "nodewise://c/w1"
    assert result["plans"]["w3"]["node"] is None
    assert not result["changed"]


def test_two_hosts_with_one_name_are_refused(run: Run, cluster: Any) -> None:
    result = run(kubeadm_join_info, cluster_name="c", hosts=[host("w1"), host("w1")])
    assert result["msg"] == "More than one host shall be the Node w1. Remedy: give each host its own nodewise_node_name."


@pytest.mark.parametrize(
    ("kubelet", "needed"),
    [("1.38.0", "a kubelet not newer than the API server"), ("1.33.9", "a kubelet at most 3 minor versions older than the API server")],
)
def test_a_kubelet_that_does_not_go_with_the_api_server_joins_not(run: Run, cluster: Any, node_object: Any, kubelet: str, needed: str) -> None:
    cluster.nodes = [node_object("w1")]
    hosts = [{**joined("w1"), "kubelet_version": "1.30.0"}, host("w2", kubelet_version=kubelet), host("w3", kubelet_version="1.37.2")]
    assert run(kubeadm_join_info, cluster_name="c", hosts=hosts)["msg"] == (
        f"Hosts cannot join with their version of Kubernetes: w2: kubelet {kubelet}, API server 1.37.2, needed {needed}. "
        "Remedy: set nodewise_kubernetes_version to 1.37.2, and run again"
    )


@pytest.mark.parametrize("kubelet", ["1.37.2", "1.34.0", ""])
def test_a_kubelet_that_goes_with_the_api_server_or_is_not_known_joins(run: Run, cluster: Any, kubelet: str) -> None:
    assert run(kubeadm_join_info, cluster_name="c", hosts=[host("w2", kubelet_version=kubelet)])["joining"] == ["w2"]


def test_the_api_servers_version_is_asked_only_if_a_host_must_join(run: Run, cluster: Any, node_object: Any) -> None:
    cluster.nodes = [node_object("w1")]
    run(kubeadm_join_info, cluster_name="c", hosts=[joined("w1")])
    assert cluster.ran == []


def test_an_api_that_does_not_answer_is_told_of(run: Run, cluster: Any) -> None:
    cluster.down = "connection refused"
    assert run(kubeadm_join_info, cluster_name="c", hosts=[host("w1")])["msg"] == "connection refused"


def test_in_check_mode_of_a_bare_site_every_host_would_join(run: Run, cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubeadm_join_info, "ADMIN_KUBECONFIG", "/none/admin.conf")
    cluster.down = "there is no cluster"
    assert run(kubeadm_join_info, cluster_name="c", hosts=[host("w1")], _ansible_check_mode=True)["joining"] == ["w1"]
    assert run(kubeadm_join_info, cluster_name="c", hosts=[host("w1")])["failed"]


# -- kubeadm_token ----------------------------------------------------------------------------------------------------------


def test_a_token_is_returned(run: Run, cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Token("abcdef.0123456789abcdef", "abcdef", "2026-11-25T10:10:00Z", "192.0.2.11:6443", ["sha256:x"])
    monkeypatch.setattr(kubeadm_token, "mint", lambda _kubectl, lifetime: made if lifetime == 60 else None)
    result = run(kubeadm_token, lifetime=60)
    assert (result["changed"], result["token"], result["token_id"], result["endpoint"]) == (True, made.token, "abcdef", made.endpoint)


def test_no_token_without_an_api(run: Run, cluster: Any) -> None:
    cluster.apply = cluster.run
    cluster.down = "connection refused"
    assert run(kubeadm_token)["msg"] == "connection refused"


def test_check_mode_makes_no_token(run: Run, cluster: Any) -> None:
    cluster.down = "there is no cluster"
    result = run(kubeadm_token, _ansible_check_mode=True)
    assert (result["changed"], result["token"]) == (True, PLACEHOLDER.token)
    result = run(kubeadm_token, state="absent", token_id=PLACEHOLDER.token_id, _ansible_check_mode=True)
    assert not result.get("failed")
    assert not result["changed"]


@pytest.mark.parametrize("check_mode", [False, True])
def test_a_token_is_removed_once(run: Run, cluster: Any, monkeypatch: pytest.MonkeyPatch, check_mode: bool) -> None:
    there = [True, False]
    monkeypatch.setattr(kubeadm_token, "exists", lambda _kubectl, _token_id: there.pop(0))
    assert run(kubeadm_token, state="absent", token_id="abcdef", _ansible_check_mode=check_mode)["changed"]
    assert not run(kubeadm_token, state="absent", token_id="abcdef", _ansible_check_mode=check_mode)["changed"]
    assert [args[0] for args, _stdin in cluster.ran] == ([] if check_mode else ["delete"])


def test_removing_needs_an_id(run: Run, cluster: Any) -> None:
    assert "token_id" in run(kubeadm_token, state="absent")["msg"]


# -- kubeadm_node -----------------------------------------------------------------------------------------------------------


def test_nodes_are_removed(run: Run, cluster: Any, node_object: Any) -> None:
    cluster.nodes = [node_object("w1"), node_object("w2")]
    result = run(kubeadm_node, names=["w2", "gone"])
    assert (result["changed"], result["removed"]) == (True, ["w2"])
    assert [args for args, _stdin in cluster.ran] == [["delete", "node", "w2", "--ignore-not-found"]]
    assert not run(kubeadm_node, names=["gone"])["changed"]


def test_nodes_are_drained_first(run: Run, cluster: Any, node_object: Any) -> None:
    cluster.nodes = [node_object("w2")]
    run(kubeadm_node, names=["w2"], drain=True, drain_timeout=7)
    assert [args[:2] for args, _stdin in cluster.ran] == [["drain", "w2"], ["delete", "node"]]
    assert "--timeout=7s" in cluster.ran[0][0]


def test_a_drain_that_does_not_end_keeps_the_node(run: Run, cluster: Any, node_object: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster.nodes = [node_object("w2")]

    def refuse(args: list[str], **_options: Any) -> None:
        cluster.ran.append((args, None))
        raise NodewiseError("Cannot evict pod as it would violate the pod's disruption budget.")

    monkeypatch.setattr(cluster, "run", refuse)
    assert "disruption budget" in run(kubeadm_node, names=["w2"], drain=True)["msg"]
    assert [args[0] for args, _stdin in cluster.ran] == ["drain"]


def test_removing_nodes_in_check_mode(run: Run, cluster: Any, node_object: Any) -> None:
    cluster.nodes = [node_object("w2")]
    assert run(kubeadm_node, names=["w2"], _ansible_check_mode=True)["removed"] == ["w2"]
    assert cluster.ran == []


# -- bad input reaches a person as a message, never as a traceback ----------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"node_name": "CP_1"}, "The node name 'CP_1' is not an RFC 1123 name."),
        ({"cluster_name": "My Cluster"}, "The cluster name 'My Cluster' is not an RFC 1123 name"),
        ({"endpoint": "https://192.0.2.11:6443"}, "The control-plane endpoint 'https://192.0.2.11:6443' is not HOST:PORT."),
        ({"labels": {"node-role.kubernetes.io/master": ""}}, "The label node-role.kubernetes.io/master cannot be set when a node registers"),
        ({"labels": {"rack": 7}}, "The value 7 of the label rack is not one."),
        ({"init_configuration": {"nodeRegistration": {"name": "x"}}}, "nodeRegistration.name cannot be set as extra configuration."),
        ({"schedulable": "perhaps"}, "perhaps"),
    ],
)
def test_bad_input_of_init(run: Run, arguments: dict[str, Any], message: str) -> None:
    result = run(kubeadm_init, **{**INIT, **arguments}, _ansible_check_mode=True)
    assert result["failed"]
    assert message in result["msg"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"node_name": "W_1"}, "The node name 'W_1' is not an RFC 1123 name."),
        ({"endpoint": "192.0.2.11"}, "The control-plane endpoint '192.0.2.11' is not HOST:PORT."),
        ({"labels": {"kubernetes.io/x": "y"}}, "The label kubernetes.io/x cannot be set when a node registers"),
        ({"taints": [{"key": "a b", "effect": "NoSchedule"}]}, "The taint key 'a b' is malformed."),
        ({"taints": [{"key": "a", "effect": "Never"}]}, "Never"),
        ({"token": ""}, "w1 must join (it has no /etc/kubernetes/kubelet.conf), but no token was given."),
        ({"join_configuration": {"nodeRegistration": {"criSocket": "x"}}}, "nodeRegistration.criSocket cannot be set as extra configuration."),
    ],
)
def test_bad_input_of_join(run: Run, arguments: dict[str, Any], message: str) -> None:
    good = {**JOIN, "node_name": "w1", "token": PLACEHOLDER.token, "endpoint": PLACEHOLDER.endpoint, "ca_cert_hashes": PLACEHOLDER.ca_cert_hashes}
    result = run(kubeadm_join, **{**good, **arguments}, _ansible_check_mode=True)
    assert result["failed"]
    assert message in result["msg"]


def test_the_token_is_in_nothing_that_join_returns(run: Run) -> None:
    token = "abcdef.0123456789abcdef"
    result = run(kubeadm_join, **{**JOIN, "token": token, "endpoint": "a:1", "ca_cert_hashes": PLACEHOLDER.ca_cert_hashes}, _ansible_check_mode=True)
    assert result["changed"]
    assert "<token>" in result["diff"]["after"]
    result.pop("invocation", None)  # without it in ansible-core 2.21
    assert token not in json.dumps(result)


@pytest.mark.parametrize("module", MODULES)
def test_every_module_can_be_checked_and_shows_differences(module: ModuleType) -> None:
    documentation = yaml.safe_load(module.DOCUMENTATION)
    assert documentation["extends_documentation_fragment"][0].startswith("nodewise.cluster._attributes")


# -- the roles --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["kubeadm_control_plane", "kubeadm_worker"])
def test_a_role_hands_every_variable_on(collection_root: Path, role: str) -> None:
    folder = collection_root / "roles" / role
    used = "".join(path.read_text() for part in ("tasks", "vars") for path in (folder / part).glob("*.yml"))
    variables = yaml.safe_load((folder / "defaults/main.yml").read_text())
    assert [name for name in variables if name not in used] == []


def test_the_role_hides_the_token_and_always_removes_it(collection_root: Path) -> None:
    (block,) = yaml.safe_load((collection_root / "roles/kubeadm_worker/tasks/join.yml").read_text())
    (made,) = [task for task in block["block"] if "nodewise.cluster.kubeadm_token" in task]
    (removed,) = block["always"]
    assert made["no_log"] is True
    assert removed["nodewise.cluster.kubeadm_token"]["state"] == "absent"
    for task in (made, removed):
        assert (task["run_once"], task["delegate_to"]) == (True, "{{ __kubeadm_worker_control_plane }}")
