# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.kubeadm.nodes import Node
from ansible_collections.nodewise.cluster.plugins.module_utils.kubeadm.plan import (
    HostView,
    JoinPlan,
    immutable_differences,
    other_differences,
    plan_init,
    plan_join,
)
from ansible_collections.nodewise.cluster.plugins.module_utils.kubeadm.state import HostState

BARE = HostView(HostState(), kubelet_conf=False, admin_conf=False, machine_id="m1")


def host(phase: str = "", name: str = "w1", cluster: str = "c", **shows: Any) -> HostView:
    return HostView(HostState(phase, name, cluster) if phase else HostState(), **{"kubelet_conf": True, "admin_conf": False, "machine_id": "m1", **shows})


def node(**fields: Any) -> Node:
    return Node(**{"name": "w1", "ready": True, "provider_id": "nodewise://c/w1", "machine_id": "m1", **fields})


def join(view: HostView, registered: Node | None) -> JoinPlan:
    return plan_join(view, registered, "w1", "c")


# -- init ---------------------------------------------------------------------------------------------------------------


def test_a_bare_host_is_initialised() -> None:
    assert plan_init(BARE, "cp1") == "init"


def test_a_host_whose_init_did_not_end_is_initialised_again() -> None:
    assert plan_init(host("initialising", "cp1", admin_conf=True), "cp1") == "reinit"
    assert plan_init(host("initialising", "cp1", kubelet_conf=False), "cp1") == "reinit"


def test_a_finished_control_plane_is_left_alone() -> None:
    assert plan_init(host("initialised", "cp1", admin_conf=True), "cp1") == "none"


def test_a_cluster_of_somebody_else_is_adopted() -> None:
    assert plan_init(host(admin_conf=True), "cp1") == "none"


def test_a_host_that_was_reset_by_hand_is_initialised() -> None:
    assert plan_init(host("initialised", "cp1", kubelet_conf=False), "cp1") == "init"


@pytest.mark.parametrize("phase", ["joining", "joined"])
def test_a_worker_does_not_become_a_control_plane(phase: str) -> None:
    with pytest.raises(NodewiseError, match=r"the worker w1 .*cannot be the control plane.*reset\.yml"):
        plan_init(host(phase), "cp1")


def test_a_node_of_some_cluster_does_not_become_a_control_plane() -> None:
    with pytest.raises(NodewiseError, match=r"kubelet\.conf is there, but no /etc/kubernetes/admin\.conf"):
        plan_init(host(), "cp1")


def test_a_control_plane_is_not_renamed() -> None:
    with pytest.raises(NodewiseError, match="Node 'cp1' .* wanted 'cp9'; a Node cannot be renamed"):
        plan_init(host("initialised", "cp1", admin_conf=True), "cp9")


# -- join ---------------------------------------------------------------------------------------------------------------


def test_a_bare_host_joins() -> None:
    assert join(BARE, None) == JoinPlan("join", "it has no /etc/kubernetes/kubelet.conf", forget=False)


@pytest.mark.parametrize("registered", [node(), node(ready=False), node(ready=False, machine_id="old")])
def test_the_node_of_an_earlier_life_of_a_bare_host_is_forgotten(registered: Node) -> None:
    assert join(BARE, registered) == JoinPlan("join", "it has no /etc/kubernetes/kubelet.conf", forget=True)


def test_a_name_that_another_host_has_is_refused() -> None:
    plan = join(BARE, node(machine_id="other"))
    assert plan.action == "refuse"
    assert "Ready Node w1 whose machine-id is another host's" in plan.reason
    assert "nodewise_node_name" in plan.reason


def test_a_node_stays_as_it_is() -> None:
    assert join(host("joined"), node()).action == "none"
    assert join(host("joined"), node(ready=False)).action == "none"


def test_a_node_that_somebody_else_joined_stays_as_it_is() -> None:
    assert join(host(), node()).action == "none"
    assert join(host(), node(provider_id="")).action == "none"


def test_another_provider_id_is_refused() -> None:
    plan = join(host("joined"), node(provider_id="kind://x"))
    assert plan.action == "refuse"
    assert "'kind://x', wanted 'nodewise://c/w1'; a providerID cannot be changed once set" in plan.reason


@pytest.mark.parametrize("registered", [None, node(ready=False, provider_id="")])
def test_a_join_that_did_not_end_is_done_again(registered: Node | None) -> None:
    plan = join(host("joining"), registered)
    assert (plan.action, plan.forget) == ("rejoin", registered is not None)


def test_a_join_that_was_killed_before_the_kubelet_had_its_credentials_is_reset_first() -> None:
    assert join(host("joining", kubelet_conf=False), None).action == "rejoin"


def test_a_join_that_ended_is_only_recorded() -> None:
    assert join(host("joining"), node()).action == "record"
    assert join(host("joining"), node(ready=False)).action == "record"


def test_a_join_under_a_name_that_another_host_has_is_refused() -> None:
    assert join(host("joining"), node(machine_id="other")).action == "refuse"


def test_a_host_whose_node_was_deleted_joins_again() -> None:
    assert join(host("joined"), None).action == "rejoin"


def test_a_host_of_another_cluster_is_never_reset() -> None:
    assert "may belong to another one" in join(host(), None).reason
    assert join(host(), None).action == "refuse"
    assert "belongs to the cluster 'other'" in join(host("joined", cluster="other"), None).reason
    assert join(host("joined", cluster="other"), None).action == "refuse"


def test_a_worker_is_not_renamed() -> None:
    plan = join(host("joined", name="old"), None)
    assert plan.action == "refuse"
    assert "Node 'old'" in plan.reason
    assert "wanted 'w1'" in plan.reason


@pytest.mark.parametrize("view", [host(admin_conf=True), host("initialised"), host("initialising", kubelet_conf=False)])
def test_a_control_plane_does_not_become_a_worker(view: HostView) -> None:
    plan = join(view, None)
    assert plan.action == "refuse"
    assert "it is a control plane" in plan.reason


# -- a running cluster and the wanted one -------------------------------------------------------------------------------

THERE = {
    "clusterName": "c",
    "controlPlaneEndpoint": "a:6443",
    "kubernetesVersion": "v1.37.2",
    "networking": {"podSubnet": "10.244.0.0/16", "serviceSubnet": "10.96.0.0/12", "dnsDomain": "cluster.local"},
    "apiServer": {"extraArgs": [{"name": "v", "value": "2"}]},
    "imageRepository": "registry.k8s.io",
}


def test_arguments_beside_the_wanted_ones_do_not_differ() -> None:
    there = {
        **THERE,
        "apiServer": {"extraArgs": [{"name": "enable-admission-plugins", "value": "NodeRestriction,PodNodeSelector"}, {"name": "v", "value": "2"}]},
    }
    assert other_differences(there, {"apiServer": {"extraArgs": [{"name": "v", "value": "2"}]}}) == []
    assert other_differences(there, {"apiServer": {"extraArgs": [{"name": "v", "value": "3"}]}}) == ["apiServer.extraArgs"]


def test_what_is_not_named_does_not_differ() -> None:
    assert immutable_differences(THERE, {"clusterName": "c"}) == []
    assert other_differences(THERE, {"clusterName": "c", "apiVersion": "x"}) == []


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"clusterName": "d"}, "clusterName is 'c', wanted 'd' (nodewise_cluster_name)"),
        ({"controlPlaneEndpoint": "b:6443"}, "controlPlaneEndpoint is 'a:6443', wanted 'b:6443' (nodewise_control_plane_endpoint)"),
        ({"kubernetesVersion": "v1.38.0"}, "kubernetesVersion is 'v1.37.2', wanted 'v1.38.0' (nodewise_kubernetes_version)"),
        ({"networking": {"podSubnet": "10.0.0.0/16"}}, "networking.podSubnet is '10.244.0.0/16', wanted '10.0.0.0/16' (nodewise_pod_cidr)"),
        ({"networking": {"serviceSubnet": "10.0.0.0/16"}}, "networking.serviceSubnet is '10.96.0.0/12', wanted '10.0.0.0/16' (nodewise_service_cidr)"),
    ],
)
def test_what_a_running_cluster_cannot_take_over(wanted: dict[str, Any], message: str) -> None:
    assert immutable_differences(THERE, wanted) == [message]
    assert other_differences(THERE, wanted) == []


def test_what_it_could_take_over_is_named() -> None:
    wanted = {"apiServer": {"extraArgs": [{"name": "v", "value": "3"}], "certSANs": ["a"]}, "imageRepository": "registry.k8s.io"}
    assert other_differences(THERE, wanted) == ["apiServer.extraArgs", "apiServer.certSANs"]
