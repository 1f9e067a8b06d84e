# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of resources that a LimitRange or a ResourceQuota may limit (Kubernetes 1.37, pkg/apis/core/helper and pkg/quota/v1)."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from ..kube.names import key_problem

COMPUTE = ("cpu", "memory", "ephemeral-storage")
_HUGEPAGES = "hugepages-"
# Kinds that a quota counts by a name of their own.
COUNTED = ("configmaps", "persistentvolumeclaims", "pods", "replicationcontrollers", "resourcequotas", "secrets", "services")
SERVICE_PARTS = ("services.loadbalancers", "services.nodeports")
_QUOTA_NAMES = (
    *COUNTED,
    *SERVICE_PARTS,
    *COMPUTE,
    *(f"requests.{name}" for name in (*COMPUTE, "storage")),
    *(f"limits.{name}" for name in COMPUTE),
)
COUNT = "count/"
STORAGE_CLASS = ".storageclass.storage.k8s.io/"
DEVICE_CLASS = ".deviceclass.resource.k8s.io/devices"
# API groups without a dot; any other group has one.
_SHORT_GROUPS = ("apps", "autoscaling", "batch", "extensions", "policy")


def quota_name_problem(name: str) -> str:
    """Return why a ResourceQuota cannot limit a resource of this name, and what to write; empty if it can."""
    if name.startswith(COUNT):
        return _count_problem(name)
    if "/" not in name:
        if name in _QUOTA_NAMES or name.removeprefix("requests.").startswith(_HUGEPAGES):
            return ""
        return _unknown(name, _QUOTA_NAMES)
    if key_problem(name):
        return f"{name!r} is no resource: {key_problem(name)}"
    if STORAGE_CLASS in name:
        what = name.partition(STORAGE_CLASS)[2]
        return "" if what in ("requests.storage", "persistentvolumeclaims") else _unknown(what, ("requests.storage", "persistentvolumeclaims"))
    if name.startswith("requests.") or name.endswith(DEVICE_CLASS):
        return ""
    return f"a quota limits an extended resource by its requests only; write requests.{name.removeprefix('limits.')}"


def _count_problem(name: str) -> str:
    resource, dot, group = name.removeprefix(COUNT).partition(".")
    if f"{resource}.{group}" in SERVICE_PARTS:
        return f"it would count nothing; write {resource}.{group}"
    if key_problem(name) or not resource or (dot and "." not in group and group not in _SHORT_GROUPS):
        return f"{name!r} is not count/RESOURCE or count/RESOURCE.GROUP, such as count/deployments.apps"
    return ""


def limit_name_problem(kind: str, name: str) -> str:
    """Return why a limit of a LimitRange cannot name this resource; empty if it can.

    Parameters
    ----------
    kind : str
        The limit's type: C(Container), C(Pod) or C(PersistentVolumeClaim).
    """
    if kind == "PersistentVolumeClaim":
        return "" if name == "storage" else _unknown(name, ("storage",))
    if "/" in name:
        return f"{name!r} is no resource: {key_problem(name)}" if key_problem(name) else ""
    return "" if name in COMPUTE or name.startswith(_HUGEPAGES) else _unknown(name, COMPUTE)


def is_count(name: str) -> bool:
    """Return whether amounts of a quota's resource are whole numbers."""
    whole = (*COUNTED, *SERVICE_PARTS)
    return name in whole or name.startswith(COUNT) or name.endswith(("/persistentvolumeclaims", "/devices")) or (name.startswith("requests.") and "/" in name)


def compute_name(name: str) -> tuple[str, str] | None:
    """Return what a quota's resource asks of each container: C(requests) or C(limits), and of which resource; None for all else.

    C(cpu) alone means C(requests.cpu). A quota on an extended resource asks nothing of containers without it.
    """
    side, dot, resource = name.partition(".")
    if not dot or side not in ("requests", "limits"):
        side, resource = "requests", name
    return (side, resource) if resource in COMPUTE or resource.startswith(_HUGEPAGES) else None


def must_be_stated(name: str) -> tuple[str, str] | None:
    """Return what a pod must state to be admitted by a quota on this resource; None if nothing.

    Only CPU and memory: the API server asks for nothing else (C(validationSet) of the pod evaluator).
    """
    found = compute_name(name)
    return found if found and found[1] in ("cpu", "memory") else None


def _unknown(name: str, known: Iterable[str]) -> str:
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1)
    return f"{name!r} is no resource that Kubernetes limits there; {f'did you mean {near[0]}?' if near else 'known are ' + ', '.join(known)}"
