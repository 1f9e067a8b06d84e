# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The first control plane: made, finished if it was left half-made, adopted if it is somebody else's."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import NodewiseError
from ..kube.kubectl import Kubectl
from .config import ClusterSettings, Document, NodeSettings, Overrides, init_documents, merge, without_secrets
from .host import HostPaths, etcd_data_folder, look, undo_kubeadm
from .names import provider_id
from .nodes import Node, list_nodes
from .plan import immutable_differences, other_differences, plan_init, provider_error
from .run import Kubeadm
from .state import HostState, exclusive, save_state

CONTROL_PLANE_TAINT = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
_API_WAIT = 120.0
# An init that was killed longer ago than this may have been finished by a person, who uses the cluster since.
_KILLED_LATELY = 3600.0


@dataclass(frozen=True)
class ControlPlane:
    """The control plane as it shall be.

    Attributes
    ----------
    node : NodeSettings
        This host as a node.
    cluster : ClusterSettings
        The cluster.
    overrides : Overrides
        What the operator adds to kubeadm's documents.
    schedulable : bool
        Whether ordinary pods may run on this host.
    """

    node: NodeSettings
    cluster: ClusterSettings
    overrides: Overrides
    schedulable: bool


@dataclass
class InitResult:
    """What was done, or would be.

    Attributes
    ----------
    actions : list[str]
        In order; empty if nothing.
    warnings : list[str]
        What differs from the wanted and is left alone.
    nodes : list[Node]
        The cluster's nodes; empty where no cluster is yet (check mode).
    endpoint : str
        HOST:PORT of the API server.
    documents : list[Document]
        What kubeadm was, or would be, given, without their secrets; empty if it need not run.
    """

    endpoint: str
    actions: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    documents: list[Document] = field(default_factory=list)


def ensure_control_plane(wanted: ControlPlane, check_mode: bool, kubeadm: Kubeadm, kubectl: Kubectl, paths: HostPaths, lock_path: str) -> InitResult:
    """Make this host the first control plane, or find that it is.

    Raises
    ------
    NodewiseError
        The settings are wrong, the host is something else, the running cluster cannot become what is wanted, kubeadm failed.
    """
    # An empty list means no taint; None leaves kubeadm's own.
    node = replace(wanted.node, taints=[] if wanted.schedulable else None)
    documents = init_documents(node, wanted.cluster, wanted.overrides)
    kept_up = documents[1]
    documents[1] = merge(kept_up, wanted.overrides.initial_cluster)
    result = InitResult(endpoint=wanted.cluster.endpoint)
    if plan_init(look(paths), wanted.node.node_name) != "none":
        if kubeadm.installed() or not check_mode:
            kubeadm.validate(documents)
        result.documents = [without_secrets(document) for document in documents]
        if check_mode:
            result.actions.append("kubeadm init")
            return result
        with exclusive(lock_path) as lock:
            _init(wanted, documents, kubeadm.under(lock), kubectl, paths, result)
    _settle(wanted, kept_up, check_mode, kubectl, paths, result)
    return result


def _init(wanted: ControlPlane, documents: Sequence[Document], kubeadm: Kubeadm, kubectl: Kubectl, paths: HostPaths, result: InitResult) -> None:
    # Asked again under the lock: a kubeadm that was still running when this run began may have ended by now.
    action = plan_init(look(paths), wanted.node.node_name)
    if action == "none":
        return
    if action == "reinit":
        _refuse_lived_in(wanted.node.node_name, kubectl, paths)
        # Written again, for its age: a reset that is killed takes the API server away, and is gone on with all the same.
        save_state(HostState("initialising", wanted.node.node_name, wanted.node.cluster_name), paths.state)
        undo_kubeadm(kubeadm, wanted.node.cri_socket, paths)
        result.actions.append("kubeadm reset (an earlier init did not end)")
    save_state(HostState("initialising", wanted.node.node_name, wanted.node.cluster_name), paths.state)
    kubeadm.init(documents)
    save_state(HostState("initialised", wanted.node.node_name, wanted.node.cluster_name), paths.state)
    result.actions.append("kubeadm init")


def _refuse_lived_in(node_name: str, kubectl: Kubectl, paths: HostPaths) -> None:
    """Refuse to reset an unfinished init whose cluster has other nodes, or may have: somebody finished it by hand and uses it."""
    if not os.path.exists(paths.admin_conf):
        return
    # Of an init that was killed lately nothing may answer, or kubeadm had not yet given the administrator any rights.
    old = _has_etcd_data(paths) and abs(time.time() - os.stat(paths.state).st_mtime) >= _KILLED_LATELY
    try:
        if old:
            # After a reboot it takes a while.
            wait_ready(kubectl, _API_WAIT)
        others = sorted(set(list_nodes(kubectl)) - {node_name})
    except NodewiseError as error:
        if not old:
            return
        raise NodewiseError(
            f"{paths.state} says that kubeadm init never ended here, but that was over an hour ago, and whether the cluster has other nodes by now "
            f"cannot be seen: {error.message}",
            "start the API server (see `systemctl status kubelet` and `crictl ps -a`) and run again, or run playbooks/reset.yml for this host if "
            "etcd's data may go",
        ) from error
    if others:
        raise NodewiseError(
            f"{paths.state} says that kubeadm init never ended here, yet the cluster has the nodes {', '.join(others)}.",
            f'if the cluster is good, set "phase" to "initialised" in {paths.state}; if not, run playbooks/reset.yml',
        )


def _has_etcd_data(paths: HostPaths) -> bool:
    folder = etcd_data_folder(paths)
    return folder is not None and os.path.isdir(folder) and bool(os.listdir(folder))


def _settle(wanted: ControlPlane, cluster_configuration: Document, check_mode: bool, kubectl: Kubectl, paths: HostPaths, result: InitResult) -> None:
    """Compare the running cluster with the wanted one, and change what can be changed."""
    wait_ready(kubectl, _API_WAIT)
    objects = (kubectl.get("nodes") or {}).get("items", [])
    result.nodes = [Node.from_object(obj) for obj in objects]
    there = _cluster_configuration(kubectl)
    immutable = immutable_differences(there, cluster_configuration)
    if immutable:
        raise NodewiseError(
            f"The running cluster cannot take over: {'; '.join(immutable)}.",
            "set the variables back to what is there, or make a new cluster: playbooks/reset.yml, then site.yml",
        )
    others = other_differences(there, cluster_configuration)
    if others:
        result.warnings.append(f"kubeadm's ClusterConfiguration of the running cluster differs from the wanted one in {', '.join(others)}; this is left alone.")
    own = next((obj for obj in objects if obj["metadata"]["name"] == wanted.node.node_name), None)
    if own is None:
        raise NodewiseError(
            f"The cluster has no Node {wanted.node.node_name} (it has {', '.join(node.name for node in result.nodes) or 'none'}).",
            "set nodewise_node_name to this host's Node, or look at its kubelet: journalctl -u kubelet",
        )
    node, provider = Node.from_object(own), provider_id(wanted.node.cluster_name, wanted.node.node_name)
    if node.provider_id not in ("", provider):
        raise NodewiseError(provider_error(node, provider))
    _settle_taint(own, wanted.schedulable, check_mode, kubectl, result)
    _link_kubeconfig(check_mode, paths, result)


def _settle_taint(own: Mapping[str, Any], schedulable: bool, check_mode: bool, kubectl: Kubectl, result: InitResult) -> None:
    key, effect = CONTROL_PLANE_TAINT["key"], CONTROL_PLANE_TAINT["effect"]
    tainted = any(taint["key"] == key and taint["effect"] == effect for taint in own["spec"].get("taints") or [])
    if tainted != schedulable:
        return
    change = f"{key}:{effect}{'-' if tainted else ''}"
    result.actions.append(f"taint {own['metadata']['name']} {change}")
    if not check_mode:
        kubectl.run(["taint", "node", own["metadata"]["name"], change])


def _link_kubeconfig(check_mode: bool, paths: HostPaths, result: InitResult) -> None:
    """Let root's kubectl find the cluster. A link never grows stale, as a copy does when certificates are renewed."""
    link = paths.at("/root/.kube/config")
    if os.path.lexists(link):
        return
    result.actions.append(f"link {link}")
    if not check_mode:
        os.makedirs(os.path.dirname(link), mode=0o750, exist_ok=True)
        os.symlink(paths.admin_conf, link)


def wait_ready(kubectl: Kubectl, seconds: float) -> None:
    """Wait until the API server says that it is ready.

    Raises
    ------
    NodewiseError
        It did not within C(seconds).
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            kubectl.run(["get", "--raw", "/readyz"])
            return
        except NodewiseError as error:
            if time.monotonic() > deadline:
                raise NodewiseError(
                    f"The API server is not ready after {seconds:.0f} s: {error.message}",
                    "see `crictl ps -a` and `journalctl -u kubelet` on the control plane",
                ) from error
            time.sleep(1)


def _cluster_configuration(kubectl: Kubectl) -> dict[str, Any]:
    found = kubectl.get("--namespace=kube-system", "configmap", "kubeadm-config")
    if found is None:
        raise NodewiseError(
            "The running cluster has no ConfigMap kube-system/kubeadm-config: kubeadm did not make it.",
            "run this collection against a cluster made by kubeadm, or on hosts without one",
        )
    import yaml

    content = yaml.safe_load(found["data"]["ClusterConfiguration"])
    return content if isinstance(content, dict) else {}
