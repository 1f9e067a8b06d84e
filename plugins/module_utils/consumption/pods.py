# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a pod takes of its node by the scheduler's own formula.

The formula is part of the API: PodRequests and PodLimits of k8s.io/component-helpers/resource, v0.37.2, with what is on by
default there: sidecars (KEP-753), overhead (KEP-688), resizing in place (KEP-1287), resources of the pod itself and their
resizing (KEP-2837, KEP-5419). What a device driver allocates (gate DRANodeAllocatableResources, alpha) is not counted.
A field that a gate keeps out of an object is absent, so no gate has to be known here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Optional

from .amounts import CPU, MEMORY, Amounts, add, amounts, nanos, raise_to

_Object = Mapping[str, Any]
# From a container, its status (None if it has none) and whether a wanted resize is impossible, to what the container takes.
# (Optional: pylint takes the bar for an operation at run time.)
_Rule = Callable[[_Object, Optional[_Object], bool], Optional[Mapping[str, Any]]]  # noqa: UP045

# cgroup v1 has no word for "no limit": it is 2^63 - 1 bytes cut to whole pages (64 KiB at most), and the kubelet passes that on.
_NO_LIMIT = nanos(str(2**63 - 2**16))


def is_terminated(pod: _Object) -> bool:
    """Whether a pod has ended for good: it then takes nothing."""
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def pod_requests(pod: _Object) -> Amounts:
    """Return what the scheduler counts a pod for.

    While a pod is resized in place that is the most of what is wanted, allocated and in force; a resize that
    the node has called infeasible is not counted.
    """
    spec, status = pod["spec"], pod.get("status", {})
    infeasible = _resize_infeasible(status)
    statuses = _container_statuses(status)
    in_force, allocated = (status.get("resources") or {}).get("requests"), status.get("allocatedResources")
    total: Amounts = {} if infeasible else _of_containers(spec, statuses, infeasible, _wanted_requests)
    if in_force is not None and allocated is not None:
        parts = (amounts(in_force), amounts(allocated))
    else:
        parts = (
            _of_containers(spec, statuses, infeasible, _requests_in_force),
            _of_containers(spec, statuses, infeasible, _allocated_requests),
        )
    for part in parts:
        raise_to(total, part)
    own = (spec.get("resources") or {}).get("requests")
    if own:
        _replace(total, own, infeasible, status, in_force, allocated)
    add(total, amounts(spec.get("overhead")))
    return total


def pod_limits(pod: _Object) -> Amounts:
    """Return the limits of a pod's containers, or its own; a resource that is missing has no limit."""
    spec, status = pod["spec"], pod.get("status", {})
    infeasible = _resize_infeasible(status)
    statuses = _container_statuses(status)
    in_force = _limited((status.get("resources") or {}).get("limits"))
    total: Amounts = {} if infeasible else _of_containers(spec, statuses, infeasible, _wanted_limits)
    raise_to(total, amounts(in_force) if in_force is not None else _of_containers(spec, statuses, infeasible, _limits_in_force))
    own = spec.get("resources") or {}
    if own.get("requests") or own.get("limits"):
        _replace(total, own.get("limits"), infeasible, status, in_force)
    add(total, {name: amount for name, amount in amounts(spec.get("overhead")).items() if total.get(name)})
    return total


def _replace(total: Amounts, own: Mapping[str, Any] | None, infeasible: bool, status: _Object, *seen: Mapping[str, Any] | None) -> None:
    """Put the pod's own resources in the place of what its containers sum up to."""
    effective = amounts(own)
    if status.get("resources") is not None:
        effective = {} if infeasible else effective
        for part in seen:
            raise_to(effective, amounts(part))
    total.update({name: amount for name, amount in effective.items() if name in (CPU, MEMORY) or name.startswith("hugepages-")})


def _of_containers(spec: _Object, statuses: Mapping[str, _Object], infeasible: bool, rule: _Rule) -> Amounts:
    """Return the sum over containers and sidecars, or what the start takes if that is more.

    The init containers run one after the other, each beside the sidecars that stand before it.
    """
    total: Amounts = {}
    for container in spec.get("containers") or ():
        add(total, amounts(rule(container, statuses.get(container["name"]), infeasible)))
    sidecars: Amounts = {}
    start: Amounts = {}
    for container in spec.get("initContainers") or ():
        own = amounts(rule(container, statuses.get(container["name"]), infeasible))
        if container.get("restartPolicy") == "Always":
            add(total, own)
            add(sidecars, own)
            raise_to(start, sidecars)
        else:
            add(own, sidecars)
            raise_to(start, own)
    raise_to(total, start)
    return total


def _container_statuses(status: _Object) -> dict[str, _Object]:
    listed = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    return {item["name"]: item for item in listed}


def _resize_infeasible(status: _Object) -> bool:
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodResizePending":
            return bool(condition.get("reason") == "Infeasible")
    return False


def _wanted_requests(container: _Object, _status: _Object | None, _infeasible: bool) -> Mapping[str, Any] | None:
    wanted: Mapping[str, Any] | None = (container.get("resources") or {}).get("requests")
    return wanted


def _wanted_limits(container: _Object, _status: _Object | None, _infeasible: bool) -> Mapping[str, Any] | None:
    wanted: Mapping[str, Any] | None = (container.get("resources") or {}).get("limits")
    return wanted


def _allocated_requests(container: _Object, status: _Object | None, infeasible: bool) -> Mapping[str, Any] | None:
    allocated: Mapping[str, Any] | None = status.get("allocatedResources") if status else None
    if allocated is not None:
        return allocated
    return None if infeasible else _wanted_requests(container, status, infeasible)


def _requests_in_force(container: _Object, status: _Object | None, infeasible: bool) -> Mapping[str, Any] | None:
    in_force = (status.get("resources") or {}).get("requests") if status else None
    return in_force if in_force is not None else _allocated_requests(container, status, infeasible)


def _limits_in_force(container: _Object, status: _Object | None, infeasible: bool) -> Mapping[str, Any] | None:
    in_force = _limited((status.get("resources") or {}).get("limits")) if status else None
    if in_force is not None:
        return in_force
    return None if infeasible else _wanted_limits(container, status, infeasible)


def _limited(limits: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return the limits in force without one on memory that is none."""
    if limits is None or nanos(str(limits.get(MEMORY, 0))) < _NO_LIMIT:
        return limits
    return {name: text for name, text in limits.items() if name != MEMORY}
