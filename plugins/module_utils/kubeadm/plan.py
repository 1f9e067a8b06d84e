# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be done on a host, decided from what is there. Pure functions; nothing here touches a host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ..errors import NodewiseError
from ..host.versions import kubelet_problem, parse_version
from .config import is_named_list
from .names import provider_id
from .nodes import Node
from .state import STATE_PATH, HostState

_RESET = "run playbooks/reset.yml for this host, then site.yml again"

InitAction = Literal["none", "init", "reinit"]
JoinAction = Literal["none", "join", "rejoin", "record", "refuse"]


@dataclass(frozen=True)
class HostView:
    """What a host itself shows.

    Attributes
    ----------
    state : HostState
        Our record of it.
    kubelet_conf : bool
        /etc/kubernetes/kubelet.conf is there: its kubelet has, or had, a membership.
    admin_conf : bool
        /etc/kubernetes/admin.conf is there: it is, or was, a control plane.
    machine_id : str
        /etc/machine-id.
    """

    state: HostState
    kubelet_conf: bool
    admin_conf: bool
    machine_id: str


@dataclass(frozen=True)
class JoinPlan:
    """What joining a host takes.

    Attributes
    ----------
    action : JoinAction
        C(none): it is a node already. C(join): run kubeadm join. C(rejoin): an earlier join did not end, so
        reset, then join. C(record): it did end, only our record of that is missing. C(refuse): C(reason) forbids it.
    reason : str
        Why, for a person.
    forget : bool
        A Node object of an earlier life of this very host is in the way and is deleted first
        (kubeadm refuses a name whose Node is still Ready; an old Node would keep its old labels).
    """

    action: JoinAction
    reason: str
    forget: bool = False


def plan_init(host: HostView, node_name: str) -> InitAction:
    """Decide what the first control plane needs.

    Returns
    -------
    InitAction
        C(init): nothing is there. C(reinit): an init was started and never finished; reset, then init.
        C(none): a cluster is there, made by us or by somebody else.

    Raises
    ------
    NodewiseError
        The host is something else, and turning it into a control plane would destroy that.
    """
    phase = host.state.phase
    if phase in ("joining", "joined"):
        raise NodewiseError(f"This host is, or is becoming, the worker {host.state.node_name} ({STATE_PATH}); it cannot be the control plane.", _RESET)
    if phase == "initialising":
        return "reinit"
    if host.admin_conf:
        if phase == "initialised" and host.state.node_name != node_name:
            raise _renamed(host.state, node_name)
        return "none"
    if host.kubelet_conf:
        raise NodewiseError(
            "/etc/kubernetes/kubelet.conf is there, but no /etc/kubernetes/admin.conf: this host is a node of some cluster, not a control plane.",
            "restore admin.conf if it was lost, or " + _RESET,
        )
    return "init"


def plan_join(host: HostView, node: Node | None, node_name: str, cluster_name: str) -> JoinPlan:
    """Decide what a worker needs.

    Only what our own record says we did is ever reset: a host without a record that has a
    kubelet.conf may belong to another cluster.

    Parameters
    ----------
    host : HostView
        What the host shows.
    node : Node, optional
        The Node of the wanted name in the wanted cluster.
    node_name, cluster_name : str
        What it shall be called, and where it shall be.
    """
    state = host.state
    ours = node is not None and node.machine_id == host.machine_id
    taken = node is not None and node.ready and not ours
    if host.admin_conf or state.phase in ("initialising", "initialised"):
        return JoinPlan("refuse", f"it is a control plane (admin.conf or {STATE_PATH} says so); move it to the group control_plane or {_RESET}")
    if not host.kubelet_conf:
        if taken:
            return JoinPlan("refuse", _taken(node_name))
        return JoinPlan("rejoin" if state.phase else "join", "it has no /etc/kubernetes/kubelet.conf", forget=node is not None)
    if state.phase and state.cluster_name != cluster_name:
        return JoinPlan("refuse", f"it belongs to the cluster {state.cluster_name!r} ({STATE_PATH}), not {cluster_name!r}; {_RESET}")
    if state.phase and state.node_name != node_name:
        return JoinPlan("refuse", _renamed(state, node_name).args[0])
    if node is None:
        if not state.phase:
            return JoinPlan(
                "refuse",
                f"it has a /etc/kubernetes/kubelet.conf that this collection did not make, and no Node {node_name} is in this cluster: "
                f"it may belong to another one; {_RESET}",
            )
        return JoinPlan("rejoin", f"the cluster has no Node {node_name}, though the host {'began to join' if state.phase == 'joining' else 'had joined'}")
    wanted = provider_id(cluster_name, node_name)
    if state.phase == "joining":
        if taken:
            return JoinPlan("refuse", _taken(node_name))
        if ours and node.provider_id == wanted:
            return JoinPlan("record", "an earlier run joined it and was stopped before it could write that down")
        return JoinPlan("rejoin", "an earlier join did not end", forget=True)
    if node.provider_id not in ("", wanted):
        return JoinPlan("refuse", provider_error(node, wanted))
    return JoinPlan("none", "it is a node already")


def check_kubelets(kubelets: Mapping[str, str], server: str) -> None:
    """Refuse hosts whose kubelet does not go with the API server, before they join.

    Parameters
    ----------
    kubelets : Mapping[str, str]
        The nodes' names and the kubelet's version of each; one that is not known is empty, and passes.
    server : str
        The API server's version.

    Raises
    ------
    NodewiseError
        Names every such host.
    """
    newest = parse_version(server)
    problems = []
    for name, version in kubelets.items():
        kubelet = parse_version(version)
        needed = kubelet_problem(kubelet, newest) if kubelet and newest else ""
        if needed:
            problems.append(f"{name}: kubelet {version}, API server {server}, needed {needed}")
    if problems:
        raise NodewiseError(
            f"Hosts cannot join with their version of Kubernetes: {'; '.join(problems)}.", f"set nodewise_kubernetes_version to {server}, and run again"
        )


def provider_error(node: Node, wanted: str) -> str:
    """Return the sentence that says why a foreign providerID cannot be helped."""
    return (
        f"the Node {node.name} is registered with providerID {node.provider_id!r}, wanted {wanted!r}; a providerID cannot be changed once set. "
        f"Remedy: set nodewise_cluster_name back to what it was, or {_RESET}"
    )


def immutable_differences(there: Mapping[str, object], wanted: Mapping[str, object]) -> list[str]:
    """Return one sentence for each wanted field of ClusterConfiguration that a running cluster cannot take over.

    Parameters
    ----------
    there : Mapping
        The ClusterConfiguration in the ConfigMap kube-system/kubeadm-config.
    wanted : Mapping
        The ClusterConfiguration that init would be given.
    """
    found = []
    for path, variable in _IMMUTABLE:
        old, new = _at(there, path), _at(wanted, path)
        if new is not None and old != new:
            found.append(f"{path} is {old!r}, wanted {new!r} ({variable})")
    return found


def other_differences(there: Mapping[str, object], wanted: Mapping[str, object]) -> list[str]:
    """Return the wanted fields of ClusterConfiguration that differ though they could be changed, as dotted paths."""
    passed_over = {path for path, _variable in _IMMUTABLE} | {"apiVersion", "kind"}
    return [path for path, value in _leaves(wanted) if path not in passed_over and not _holds(_at(there, path), value)]


_IMMUTABLE = (
    ("clusterName", "nodewise_cluster_name"),
    ("controlPlaneEndpoint", "nodewise_control_plane_endpoint"),
    ("kubernetesVersion", "nodewise_kubernetes_version"),
    ("networking.podSubnet", "nodewise_pod_cidr"),
    ("networking.serviceSubnet", "nodewise_service_cidr"),
    ("networking.dnsDomain", "kubeadm_control_plane_cluster_configuration"),
)


def _at(document: Mapping[str, object], path: str) -> object:
    value: object = document
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _holds(there: object, wanted: object) -> bool:
    """Whether a value is what is wanted; a list of named arguments or volumes may have others beside."""
    if is_named_list(there) and is_named_list(wanted):
        return all(item in there for item in wanted)  # type: ignore[attr-defined,operator]
    return there == wanted


def _leaves(document: Mapping[str, object], prefix: str = "") -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    for key, value in document.items():
        if isinstance(value, Mapping):
            found.extend(_leaves(value, f"{prefix}{key}."))
        else:
            found.append((prefix + key, value))
    return found


def _renamed(state: HostState, node_name: str) -> NodewiseError:
    return NodewiseError(
        f"This host is the Node {state.node_name!r} ({STATE_PATH}), wanted {node_name!r}; a Node cannot be renamed.",
        f"set nodewise_node_name back, or {_RESET}",
    )


def _taken(node_name: str) -> str:
    return (
        f"the cluster has a Ready Node {node_name} whose machine-id is another host's. "
        f"Remedy: give this host another nodewise_node_name (or its own /etc/machine-id if it was cloned), or delete that Node"
    )
