# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.kubeadm import initialise
from ansible_collections.nodewise.cluster.plugins.module_utils.kubeadm.config import Overrides
from ansible_collections.nodewise.cluster.plugins.module_utils.kubeadm.host import HostPaths
from ansible_collections.nodewise.cluster.plugins.module_utils.kubeadm.initialise import ControlPlane, InitResult, ensure_control_plane
from ansible_collections.nodewise.cluster.plugins.module_utils.kubeadm.state import HostState, load_state, save_state

TAINT = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}


class Bench:
    """A host, its kubeadm and its cluster. kubeadm init makes the files and the Node that the real one makes."""

    def __init__(self, kubeadm: Any, kubectl: Any, paths: HostPaths, lock_path: str, node_settings: Any, cluster_settings: Any, node_object: Any) -> None:
        self.kubeadm, self.kubectl, self.paths, self.lock_path = kubeadm, kubectl, paths, lock_path
        self._node, self._cluster, self._object = node_settings, cluster_settings, node_object
        kubeadm.effect = self.initialised

    def initialised(self, **node: Any) -> None:
        for path in (self.paths.admin_conf, self.paths.kubelet_conf):
            Path(path).write_text("x")
        self.kubectl.nodes = [self._object("n1", **{"taints": [TAINT], **node})]
        self.kubectl.cluster_configuration = {
            "clusterName": "c",
            "controlPlaneEndpoint": "192.0.2.11:6443",
            "kubernetesVersion": "v1.37.2",
            "networking": {"podSubnet": "10.244.0.0/16", "serviceSubnet": "10.96.0.0/12"},
        }

    def run(self, check_mode: bool = False, schedulable: bool = False, cluster: dict[str, Any] | None = None, overrides: Overrides | None = None) -> InitResult:
        wanted = ControlPlane(self._node(), self._cluster(**cluster or {}), overrides or Overrides(), schedulable)
        return ensure_control_plane(wanted, check_mode, self.kubeadm, self.kubectl, self.paths, self.lock_path)

    @property
    def state(self) -> HostState:
        return load_state(self.paths.state)


@pytest.fixture
def bench(
    kubeadm: Any, kubectl: Any, paths: HostPaths, lock_path: str, node_settings: Any, cluster_settings: Any, node_object: Any, monkeypatch: pytest.MonkeyPatch
) -> Bench:
    monkeypatch.setattr(initialise, "_API_WAIT", 0.0)
    return Bench(kubeadm, kubectl, paths, lock_path, node_settings, cluster_settings, node_object)


def test_a_bare_host_is_validated_initialised_and_recorded(bench: Bench) -> None:
    result = bench.run()
    assert bench.kubeadm.calls == ["validate", "init"]
    assert bench.state == HostState("initialised", "n1", "c")
    assert result.actions == ["kubeadm init", f"link {bench.paths.at('/root/.kube/config')}"]
    assert [node.name for node in result.nodes] == ["n1"]
    assert os.readlink(bench.paths.at("/root/.kube/config")) == bench.paths.admin_conf


def test_the_second_run_does_nothing(bench: Bench) -> None:
    bench.run()
    bench.kubeadm.calls.clear()
    assert bench.run().actions == []
    assert bench.kubeadm.calls == []


def test_check_mode_predicts_and_touches_nothing(bench: Bench) -> None:
    result = bench.run(check_mode=True)
    assert result.actions == ["kubeadm init"]
    assert result.documents
    assert bench.kubeadm.calls == ["validate"]
    assert bench.state == HostState()


def test_kubeadm_gets_the_operators_secrets_and_the_result_does_not(bench: Bench) -> None:
    token, key = "abcdef.0123456789abcdef", "e6a2eb85" * 8
    overrides = Overrides(init={"bootstrapTokens": [{"token": token, "ttl": "1h"}], "certificateKey": key})
    result = bench.run(overrides=overrides)
    assert bench.kubeadm.documents[0]["bootstrapTokens"][0]["token"] == token
    assert result.documents[0]["bootstrapTokens"] == [{"token": "<token>", "ttl": "1h"}]
    assert key not in str(result)


def test_check_mode_on_a_host_without_kubeadm(bench: Bench) -> None:
    bench.kubeadm.there = False
    assert bench.run(check_mode=True).actions == ["kubeadm init"]
    assert bench.kubeadm.calls == []


def test_a_refused_configuration_changes_nothing(bench: Bench) -> None:
    bench.kubeadm.refuses = 'unknown field "x"'
    with pytest.raises(NodewiseError, match="unknown field"):
        bench.run()
    assert bench.state == HostState()


def test_an_init_that_was_killed_is_reset_and_done_again(bench: Bench, put: Callable[..., Path]) -> None:
    def killed() -> None:
        put("/etc/kubernetes/manifests/etcd.yaml", "spec: {volumes: [{name: etcd-data, hostPath: {path: /var/lib/etcd}}]}")
        put("/var/lib/etcd/member/db")
        raise KeyboardInterrupt

    bench.kubeadm.effect = killed
    with pytest.raises(KeyboardInterrupt):
        bench.run()
    assert bench.state.phase == "initialising"
    bench.kubeadm.calls.clear()
    bench.kubeadm.effect = bench.initialised
    assert bench.run().actions[:2] == ["kubeadm reset (an earlier init did not end)", "kubeadm init"]
    assert bench.kubeadm.calls == ["validate", "reset", "init"]
    assert os.listdir(bench.paths.at("/var/lib/etcd")) == []
    assert bench.state.phase == "initialised"


def test_etcds_data_goes_even_if_the_reset_was_killed_before_that(bench: Bench, put: Callable[..., Path]) -> None:
    save_state(HostState("initialising", "n1", "c"), bench.paths.state)
    put("/var/lib/etcd/member/db")
    bench.run()
    assert os.listdir(bench.paths.at("/var/lib/etcd")) == []


def test_an_unfinished_init_that_somebody_lives_in_is_not_reset(bench: Bench, node_object: Any) -> None:
    bench.initialised()
    bench.kubectl.nodes.append(node_object("w1"))
    save_state(HostState("initialising", "n1", "c"), bench.paths.state)
    with pytest.raises(NodewiseError, match=r'never ended here, yet the cluster has the nodes w1\..*set "phase" to "initialised"'):
        bench.run()
    assert "reset" not in bench.kubeadm.calls


REFUSED = "kubectl get nodes failed (1): The connection to the server 192.0.2.11:6443 was refused"


def unfinished(bench: Bench, put: Callable[..., Path], hours: float) -> Path:
    """Leave an init unfinished that long ago, with data in etcd, and an API server that does not answer; return the data."""
    bench.initialised()
    put("/etc/kubernetes/manifests/etcd.yaml", "spec: {volumes: [{name: etcd-data, hostPath: {path: /var/lib/etcd}}]}")
    save_state(HostState("initialising", "n1", "c"), bench.paths.state)
    moment = time.time() - hours * 3600
    os.utime(bench.paths.state, (moment, moment))
    bench.kubectl.down = REFUSED
    return put("/var/lib/etcd/member/db")


def init_goes_well(bench: Bench) -> None:
    def effect() -> None:
        bench.kubectl.down = ""
        bench.initialised()

    bench.kubeadm.effect = effect


def test_an_unfinished_init_is_not_reset_as_long_as_its_api_server_does_not_say_who_lives_there(bench: Bench, put: Callable[..., Path]) -> None:
    data = unfinished(bench, put, hours=2)
    with pytest.raises(NodewiseError, match=r"whether the cluster has other nodes by now cannot be seen: .*was refused.*start the API server.*reset\.yml"):
        bench.run()
    assert "reset" not in bench.kubeadm.calls
    assert data.exists()


def test_an_api_server_that_starts_is_waited_for_before_an_unfinished_init_is_reset(
    bench: Bench, put: Callable[..., Path], node_object: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = unfinished(bench, put, hours=2)
    bench.kubectl.nodes.append(node_object("w1"))
    monkeypatch.setattr(initialise, "_API_WAIT", 60.0)
    monkeypatch.setattr(initialise.time, "sleep", lambda _seconds: setattr(bench.kubectl, "down", ""))
    with pytest.raises(NodewiseError, match=r"the cluster has the nodes w1\."):
        bench.run()
    assert data.exists()


def test_an_init_that_was_killed_minutes_ago_is_done_again_though_nothing_answers(bench: Bench, put: Callable[..., Path]) -> None:
    data = unfinished(bench, put, hours=0.1)
    init_goes_well(bench)
    assert bench.run().actions[:2] == ["kubeadm reset (an earlier init did not end)", "kubeadm init"]
    assert not data.exists()
    assert bench.state.phase == "initialised"


def test_without_data_in_etcd_an_old_unfinished_init_is_done_again(bench: Bench, put: Callable[..., Path]) -> None:
    unfinished(bench, put, hours=50).unlink()
    os.rmdir(bench.paths.at("/var/lib/etcd/member"))
    init_goes_well(bench)
    assert "kubeadm init" in bench.run().actions


def test_a_reset_that_is_killed_is_gone_on_with_however_old_the_init_is(bench: Bench, put: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    unfinished(bench, put, hours=50)

    def killed(*_arguments: object) -> None:
        bench.kubectl.down = REFUSED
        raise KeyboardInterrupt

    bench.kubectl.down = ""
    with monkeypatch.context() as patch:
        patch.setattr(initialise, "undo_kubeadm", killed)
        with pytest.raises(KeyboardInterrupt):
            bench.run()
    init_goes_well(bench)
    assert "kubeadm init" in bench.run().actions


def test_a_cluster_of_somebody_else_is_adopted_without_kubeadm(bench: Bench) -> None:
    bench.initialised(provider_id="")
    bench.run()
    assert bench.kubeadm.calls == []
    assert bench.state == HostState()
    assert bench.run().actions == []


def test_an_api_that_does_not_answer_is_told_of(bench: Bench) -> None:
    bench.initialised()
    bench.kubectl.down = "connection refused"
    with pytest.raises(NodewiseError, match=r"API server is not ready after 0 s: connection refused.*crictl ps -a"):
        bench.run()


@pytest.mark.parametrize(
    ("cluster", "message"),
    [
        (
            {"pod_cidr": "10.0.0.0/16"},
            r"networking\.podSubnet is '10\.244\.0\.0/16', wanted '10\.0\.0\.0/16' \(nodewise_pod_cidr\)\. Remedy: set the variables back",
        ),
        ({"service_cidr": "10.0.0.0/16"}, "networking.serviceSubnet"),
        ({"endpoint": "x:1"}, "controlPlaneEndpoint"),
        ({"kubernetes_version": "1.38.0"}, "kubernetesVersion"),
    ],
)
def test_what_a_running_cluster_cannot_take_over_is_an_error(bench: Bench, cluster: dict[str, Any], message: str) -> None:
    bench.run()
    with pytest.raises(NodewiseError, match=message):
        bench.run(cluster=cluster)


def test_what_it_could_is_a_warning(bench: Bench) -> None:
    bench.run()
    result = bench.run(overrides=Overrides(cluster={"apiServer": {"extraArgs": [{"name": "v", "value": "2"}]}}))
    assert result.actions == []
    assert result.warnings == ["kubeadm's ClusterConfiguration of the running cluster differs from the wanted one in apiServer.extraArgs; this is left alone."]


def test_what_is_only_for_the_making_is_given_then_and_not_compared_later(bench: Bench) -> None:
    own = {"apiServer": {"extraArgs": [{"name": "v", "value": "2"}]}}
    first = {"apiServer": {"extraArgs": [{"name": "enable-admission-plugins", "value": "NodeRestriction,PodNodeSelector"}]}}
    bench.kubectl.cluster_configuration["apiServer"] = own["apiServer"]
    bench.run(overrides=Overrides(cluster=own, initial_cluster=first))
    assert bench.kubeadm.documents[1]["apiServer"]["extraArgs"] == own["apiServer"]["extraArgs"] + first["apiServer"]["extraArgs"]
    bench.kubectl.cluster_configuration["apiServer"] = {"extraArgs": [*own["apiServer"]["extraArgs"], {"name": "enable-admission-plugins", "value": "x"}]}
    assert bench.run(overrides=Overrides(cluster=own, initial_cluster=first)).warnings == []


def test_another_provider_id_is_an_error(bench: Bench) -> None:
    bench.initialised(provider_id="kind://n1")
    with pytest.raises(NodewiseError, match=r"providerID 'kind://n1', wanted 'nodewise://c/n1'; a providerID cannot be changed"):
        bench.run()


def test_a_cluster_without_this_node_is_told_of(bench: Bench, node_object: Any) -> None:
    bench.initialised()
    bench.kubectl.nodes = [node_object("other")]
    with pytest.raises(NodewiseError, match=r"has no Node n1 \(it has other\)"):
        bench.run()


def test_a_cluster_that_kubeadm_did_not_make_is_told_of(bench: Bench) -> None:
    bench.initialised()
    bench.kubectl.cluster_configuration = {}
    with pytest.raises(NodewiseError, match="no ConfigMap kube-system/kubeadm-config"):
        bench.run()


def taints(bench: Bench) -> list[str]:
    return [args[-1] for args, _stdin in bench.kubectl.ran if args[0] == "taint"]


def test_the_taint_is_lifted_and_put_back(bench: Bench) -> None:
    bench.run()
    assert bench.run(schedulable=True).actions == ["taint n1 node-role.kubernetes.io/control-plane:NoSchedule-"]
    bench.kubectl.nodes[0]["spec"]["taints"] = []
    assert bench.run(schedulable=True).actions == []
    assert bench.run(schedulable=False).actions == ["taint n1 node-role.kubernetes.io/control-plane:NoSchedule"]
    assert taints(bench) == ["node-role.kubernetes.io/control-plane:NoSchedule-", "node-role.kubernetes.io/control-plane:NoSchedule"]


def test_the_taint_in_check_mode(bench: Bench) -> None:
    bench.run()
    assert bench.run(schedulable=True, check_mode=True).actions == ["taint n1 node-role.kubernetes.io/control-plane:NoSchedule-"]
    assert taints(bench) == []


def test_a_new_schedulable_control_plane_registers_without_the_taint(bench: Bench) -> None:
    bench.kubeadm.effect = lambda: bench.initialised(taints=[])
    bench.run(schedulable=True)
    assert bench.kubeadm.documents[0]["nodeRegistration"]["taints"] == []
    assert taints(bench) == []


def test_roots_own_kubeconfig_stays(bench: Bench, put: Callable[..., Path]) -> None:
    config = put("/root/.kube/config", "mine")
    bench.run()
    assert config.read_text() == "mine"
    assert not config.is_symlink()
