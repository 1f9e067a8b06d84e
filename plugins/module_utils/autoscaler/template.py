# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Node that a group's next host would be, for the autoscaler's simulation: without it no group grows from zero.

The numbers are those of generated.proto in k8s.io/api/core/v1 and k8s.io/apimachinery, v0.37.2. They are part of the API and never change.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from ..kube.quantity import parse_quantity
from ..proto.table import Messages, message_classes
from .settings import Group

MESSAGES: Messages = {
    "Node": {"metadata": (1, "ObjectMeta"), "spec": (2, "NodeSpec"), "status": (3, "NodeStatus")},
    "ObjectMeta": {"name": (1, "string"), "labels": (11, "map string string")},
    "NodeSpec": {"taints": (5, "repeated Taint")},
    "Taint": {"key": (1, "string"), "value": (2, "string"), "effect": (3, "string")},
    "NodeStatus": {"capacity": (1, "map string Quantity"), "allocatable": (2, "map string Quantity"), "conditions": (4, "repeated NodeCondition")},
    "Quantity": {"string": (1, "string")},
    "NodeCondition": {"type": (1, "string"), "status": (2, "string")},
}
_CONDITIONS = {"Ready": "True", "MemoryPressure": "False", "DiskPressure": "False", "PIDPressure": "False", "NetworkUnavailable": "False"}


def template_node(name: str, group: Group) -> dict[str, Any]:
    """Return the template of a group, as the API server's JSON would have it.

    Of each resource it has what the smallest host has, so that a pod which fits the template fits the host. It bears the labels and taints
    with which the group's hosts register, and none that only lasts until a Node is Ready. It has no provider id: it is no host.
    """
    hosts = list(group.hosts.values())
    arch = hosts[0].arch if hosts else ""
    hostname = f"template-{name}"
    labels = {
        **group.labels,
        "kubernetes.io/hostname": hostname,
        "kubernetes.io/os": "linux",
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": arch,
        "beta.kubernetes.io/arch": arch,
    }
    return {
        "metadata": {"name": hostname, "labels": labels},
        "spec": {"taints": [{key: taint[key] for key in ("key", "value", "effect") if taint.get(key)} for taint in group.taints]},
        "status": {
            "capacity": _least([host.capacity for host in hosts]),
            "allocatable": _least([host.allocatable for host in hosts]),
            "conditions": [{"type": kind, "status": status} for kind, status in _CONDITIONS.items()],
        },
    }


def encode_node(node: Mapping[str, Any]) -> bytes:
    """Return a Node as C(v1.Node.Marshal) of k8s.io/api writes it: protobuf without the API server's envelope."""
    classes = _classes()
    message = classes["Node"]()
    message.metadata.name = node["metadata"]["name"]
    message.metadata.labels.update(node["metadata"]["labels"])
    for taint in node["spec"]["taints"]:
        message.spec.taints.add(**taint)
    for part in ("capacity", "allocatable"):
        for resource, amount in node["status"][part].items():
            getattr(message.status, part)[resource].string = amount
    for condition in node["status"]["conditions"]:
        message.status.conditions.add(**condition)
    encoded: bytes = message.SerializeToString(deterministic=True)
    return encoded


def _least(amounts: list[Mapping[str, str]]) -> dict[str, str]:
    """Return the smallest amount of each resource that all have."""
    common = set.intersection(*(set(one) for one in amounts)) if amounts else set()
    return {resource: min((one[resource] for one in amounts), key=parse_quantity) for resource in sorted(common)}


@lru_cache(maxsize=1)
def _classes() -> dict[str, Any]:
    return message_classes("k8s.io.api.core.v1", MESSAGES)
