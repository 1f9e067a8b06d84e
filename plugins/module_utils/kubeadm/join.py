# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker: joined, joined again if an earlier join did not end, refused if it is something else."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import NodewiseError
from ..kube.kubectl import Kubectl
from .config import Document, NodeSettings, join_document, without_secrets
from .host import HostPaths, look, undo_kubeadm
from .names import provider_id
from .nodes import Node
from .plan import JoinPlan, plan_join, provider_error
from .run import Kubeadm
from .state import HostState, exclusive, save_state

_REGISTER_WAIT = 60.0


@dataclass(frozen=True)
class Worker:
    """The worker as it shall be.

    Attributes
    ----------
    node : NodeSettings
        This host as a node.
    registered : Node or callable, optional
        The Node of its name, as the API server knew it before the join; a function that asks for it is called again under the host's lock.
    endpoint : str
        HOST:PORT of the API server; only needed for a join.
    token : str
        Bootstrap token; only needed for a join.
    ca_cert_hashes : Sequence[str]
        Pinned hashes of the cluster's CA; only needed for a join.
    override : Mapping
        What the operator adds to JoinConfiguration.
    """

    node: NodeSettings
    registered: Node | Callable[[], Node | None] | None
    endpoint: str
    token: str
    ca_cert_hashes: Sequence[str]
    override: Mapping[str, Any]


@dataclass
class JoinResult:
    """What was done, or would be.

    Attributes
    ----------
    plan : JoinPlan
        What the host needed, and why.
    actions : list[str]
        In order; empty if nothing.
    document : Document, optional
        What kubeadm was, or would be, given, without its secrets.
    """

    plan: JoinPlan
    actions: list[str] = field(default_factory=list)
    document: Document | None = None


def ensure_joined(wanted: Worker, check_mode: bool, kubeadm: Kubeadm, paths: HostPaths, lock_path: str) -> JoinResult:
    """Make this host a node of the cluster, or find that it is.

    Raises
    ------
    NodewiseError
        The settings are wrong, the host is something else, no token was given though the host must join, kubeadm failed,
        or the kubelet did not register.
    """
    result = JoinResult(_plan(wanted, paths))
    if result.plan.action == "none":
        return result
    if result.plan.action != "record":
        document = _document(wanted, result.plan)
        if kubeadm.installed() or not check_mode:
            kubeadm.validate([document])
        result.document = without_secrets(document)
    if check_mode:
        result.actions = [_describe(result.plan)]
        return result
    with exclusive(lock_path) as lock:
        # Asked again under the lock: a kubeadm that was still running when this run began may have ended by now.
        result.plan = _plan(wanted, paths)
        if result.plan.action != "none":
            _join(wanted, result.plan, kubeadm.under(lock), paths)
            result.actions = [_describe(result.plan)]
    return result


def _plan(wanted: Worker, paths: HostPaths) -> JoinPlan:
    registered = wanted.registered() if callable(wanted.registered) else wanted.registered
    plan = plan_join(look(paths), registered, wanted.node.node_name, wanted.node.cluster_name)
    if plan.action == "refuse":
        raise NodewiseError(f"This host cannot become the worker {wanted.node.node_name}: {plan.reason}.")
    return plan


def _document(wanted: Worker, plan: JoinPlan) -> Document:
    if not wanted.token:
        raise NodewiseError(f"{wanted.node.node_name} must join ({plan.reason}), but no token was given.", "run the role kubeadm_worker, which mints one")
    return join_document(wanted.node, wanted.endpoint, wanted.token, wanted.ca_cert_hashes, wanted.override)


def _join(wanted: Worker, plan: JoinPlan, kubeadm: Kubeadm, paths: HostPaths) -> None:
    node = wanted.node
    if plan.action != "record":
        document = _document(wanted, plan)
        if plan.action == "rejoin":
            undo_kubeadm(kubeadm, node.cri_socket, paths)
        save_state(HostState("joining", node.node_name, node.cluster_name), paths.state)
        kubeadm.join(document)
    else:
        # kubeadm did not live to remove the file, which holds a token.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(paths.at("/etc/kubernetes/bootstrap-kubelet.conf"))
    _wait_registered(node, Kubectl(kubeconfig=paths.kubelet_conf, request_timeout=10))
    save_state(HostState("joined", node.node_name, node.cluster_name), paths.state)


def _wait_registered(node: NodeSettings, kubectl: Kubectl) -> None:
    """Wait for the Node, asking with the kubelet's own credentials: kubeadm join returns before the kubelet has registered."""
    deadline = time.monotonic() + _REGISTER_WAIT
    while True:
        try:
            found = kubectl.get("node", node.node_name)
            problem = "there is no such Node"
        except NodewiseError as error:
            found, problem = None, error.message
        if found is not None:
            break
        if time.monotonic() > deadline:
            raise NodewiseError(
                f"The kubelet did not register the Node {node.node_name} within {_REGISTER_WAIT:.0f} s: {problem}.", "see journalctl -u kubelet"
            )
        time.sleep(0.5)
    registered, wanted = Node.from_object(found), provider_id(node.cluster_name, node.node_name)
    if registered.provider_id != wanted:
        raise NodewiseError(provider_error(registered, wanted))


def _describe(plan: JoinPlan) -> str:
    command = {"join": "kubeadm join", "rejoin": "kubeadm reset, kubeadm join", "record": "record the join"}[plan.action]
    return f"{command} ({plan.reason})"
