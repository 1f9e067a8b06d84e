# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The throw-away pods of an active verification: what they are, and who may reach whom.

Each node gets two pods in one namespace, C(plain) and C(friend); a session of a single
node gets a second friend. They hold nothing but the pause image that is on the node
anyway; test servers run from the host's Python in their network namespaces (:mod:`.netns`).

Three phases:

C(open): no policy; everybody reaches everybody.
C(restricted): one policy denies all to all of the namespace's pods, another lets pods with
the friend's label talk to each other. So every path but friend to friend must be dead.
C(reopened): the policies are deleted; everything is as in the first phase.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import NodewiseError
from ..kube import restricted

NAME_PREFIX = "nodewise-verify-"
"""Begin of a session's name; the rest is random."""
LABEL = "nodewise.dev/verify"
"""Label of the namespace and of all in it; its value is the session's name."""
ROLE_LABEL = "nodewise.dev/verify-role"
PLAIN = "plain"
FRIEND = "friend"
HOST = "host"
"""A source that is no pod: the node itself."""

OPEN = "open"
RESTRICTED = "restricted"
REOPENED = "reopened"
SERVE = "serve"

PORT = 8080
SERVICE = "probe"


@dataclass(frozen=True)
class Pod:
    """One test pod and where it is reached."""

    node: str
    role: str
    name: str
    address: str = ""

    @property
    def label(self) -> str:
        """The pod as a person reads it."""
        return f"{self.name} {self.address}"


def members(nodes: Sequence[str]) -> list[Pod]:
    """Return the session's pods, without addresses yet."""
    pods = [Pod(node, role, f"{role}-{node}") for node in sorted(nodes) for role in (PLAIN, FRIEND)]
    # Two friends there must be, or the policy that allows would never be seen to allow.
    return [*pods, *(Pod(node, FRIEND, f"{FRIEND}2-{node}") for node in nodes if len(nodes) == 1)]


def namespace_object(session: str) -> dict[str, Any]:
    """Return the session's namespace, which is where all else is and what cleaning up deletes."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": session, "labels": {LABEL: session}}}


def objects(session: str, images: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the service and the pods.

    Parameters
    ----------
    session : str
        The session's name, which is the namespace's too.
    images : mapping
        By Node: the pause image that is on it.
    """
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": SERVICE, "namespace": session, "labels": {LABEL: session}},
        "spec": {"selector": {LABEL: session}, "ports": [{"name": "probe", "port": 80, "targetPort": PORT, "protocol": "TCP"}]},
    }
    return [service, *(_pod_object(session, pod, images[pod.node]) for pod in members(list(images)))]


def _pod_object(session: str, pod: Pod, image: str) -> dict[str, Any]:
    on_node = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [pod.node]}]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": pod.name, "namespace": session, "labels": {LABEL: session, ROLE_LABEL: pod.role}},
        "spec": {
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [on_node]}}},
            # A node that is cordoned or tainted is verified like any other.
            "tolerations": [{"operator": "Exists"}],
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": restricted.POD,
            "containers": [
                {
                    "name": "pause",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "securityContext": restricted.CONTAINER,
                    "resources": {"requests": {"cpu": "1m", "memory": "8Mi"}, "limits": {"cpu": "100m", "memory": "32Mi"}},
                }
            ],
        },
    }


def policies(session: str) -> list[dict[str, Any]]:
    """Return the policy that denies all and the one that lets friends talk to friends."""
    friends = {"podSelector": {"matchLabels": {ROLE_LABEL: FRIEND}}}
    return [
        _policy(session, "deny-all", {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}),
        _policy(session, "allow-friends", {**friends, "policyTypes": ["Ingress", "Egress"], "ingress": [{"from": [friends]}], "egress": [{"to": [friends]}]}),
    ]


def _policy(session: str, name: str, spec: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": session, "labels": {LABEL: session}}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": dict(spec)}


def may_pass(phase: str, source: str, target: Pod, source_node: str) -> bool:
    """Return whether a connection must succeed; if not, it must fail.

    Parameters
    ----------
    source : str
        The role of the pod that connects, or :data:`HOST`.
    """
    if phase != RESTRICTED:
        return True
    if source == HOST:
        # A node always reaches its own pods, or the kubelet's probes would fail.
        return source_node == target.node
    return source == FRIEND and target.role == FRIEND


def peers(node: str, nodes: Sequence[str], limit: int) -> list[str]:
    """Return the other nodes that a node probes: the next ones in the order of names, around the end.

    With at most C(limit) others it is all of them. Beyond that each node is probed by as many
    as it probes, so a large cluster costs each node the same.
    """
    ordered = sorted(nodes)
    place = ordered.index(node)
    return (ordered[place + 1 :] + ordered[:place])[:limit]


@dataclass(frozen=True)
class Session:
    """What a node must know to take part.

    Parameters
    ----------
    name : str
        The session's name and namespace.
    service_address : str
        The cluster IP of the session's service.
    dns_address, domain : str
        Of the cluster's DNS.
    cluster_nodes : int
        How many Nodes the cluster has, in this session or not.
    """

    name: str
    service_address: str
    dns_address: str
    domain: str
    cluster_nodes: int
    pods: tuple[Pod, ...]

    @property
    def service_name(self) -> str:
        """The full DNS name of the session's service."""
        return f"{SERVICE}.{self.name}.svc.{self.domain}"

    def to_dict(self) -> dict[str, Any]:
        """Return the session as plain data."""
        return {
            "name": self.name,
            "service_address": self.service_address,
            "dns_address": self.dns_address,
            "domain": self.domain,
            "cluster_nodes": self.cluster_nodes,
            "pods": [{"node": pod.node, "role": pod.role, "name": pod.name, "address": pod.address} for pod in self.pods],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Session:
        """Return the session that :meth:`to_dict` wrote.

        Raises
        ------
        NodewiseError
            It is not such data.
        """
        try:
            plain = {key: data[key] for key in ("name", "service_address", "dns_address", "domain", "cluster_nodes")}
            return cls(**plain, pods=tuple(Pod(**item) for item in data["pods"]))
        except (KeyError, TypeError) as error:
            raise NodewiseError(f"The session is not one that module verify_test_pods returned ({error}).") from error
