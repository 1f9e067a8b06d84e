# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of a quota's resources the objects of a namespace use (Kubernetes 1.37, pkg/quota/v1/evaluator/core).

A pod that is being resized counts here with what its spec asks for, not with what it still holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from ..kube.quantity import parse_quantity
from .desired import requirements
from .resources import COUNT, COUNTED, DEVICE_CLASS, SERVICE_PARTS, STORAGE_CLASS, must_be_stated

Amounts = dict[str, Fraction]
Pod = Mapping[str, Any]
PODS, SERVICES, CLAIMS = "pods", "services", "persistentvolumeclaims"
WHOLE_KINDS = (PODS, SERVICES, CLAIMS)
"""Kinds whose objects must be looked into; of all others only the number is needed."""


def kind_needed(name: str) -> str | None:
    """Return the kind (as kubectl names it) whose objects use a quota's resource; None if it cannot be told from objects."""
    if name.startswith(COUNT):
        return name.removeprefix(COUNT)
    if name.endswith(DEVICE_CLASS):
        return None
    if name in SERVICE_PARTS:
        return SERVICES
    if name == "requests.storage" or STORAGE_CLASS in name:
        return CLAIMS
    return name if name in COUNTED else PODS


def used(name: str, spec: Mapping[str, Any], objects: Mapping[str, Sequence[Any]]) -> Fraction:
    """Return how much of one resource a namespace's objects use in a quota's eyes.

    Parameters
    ----------
    name : str
        A key of the quota's C(hard), for which :func:`kind_needed` names a kind.
    spec : mapping
        The quota's spec, for its scopes.
    objects : mapping
        By kind, what the namespace has of it.
    """
    kind = kind_needed(name)
    found = objects[kind] if kind else ()
    if kind == PODS:
        return sum((pod_usage(pod).get(name, Fraction(0)) for pod in found if matches(spec, pod)), Fraction(0))
    if name in SERVICE_PARTS:
        return sum((_service_usage(service)[name] for service in found), Fraction(0))
    if kind == CLAIMS and name != f"{COUNT}{CLAIMS}":
        return sum((_claim_usage(claim).get(name, Fraction(0)) for claim in found), Fraction(0))
    return Fraction(len(found))


def matches(spec: Mapping[str, Any], pod: Pod) -> bool:
    """Return whether a quota's scopes let it see a pod."""
    return all(_in_scope(item, pod) for item in requirements(spec))


def _in_scope(item: Mapping[str, Any], pod: Pod) -> bool:
    scope, spec = str(item["scopeName"]), pod["spec"]
    if scope in ("Terminating", "NotTerminating"):
        return (spec.get("activeDeadlineSeconds") is not None) == (scope == "Terminating")
    if scope in ("BestEffort", "NotBestEffort"):
        return (str(pod.get("status", {}).get("qosClass")) == "BestEffort") == (scope == "BestEffort")
    if scope == "PriorityClass":
        name = spec.get("priorityClassName")
        has = {"Exists": bool(name), "DoesNotExist": not name, "In": name in (item.get("values") or []), "NotIn": name not in (item.get("values") or [])}
        return has[item["operator"]]
    return scope == "CrossNamespacePodAffinity" and any("namespaces" in term or "namespaceSelector" in term for term in _affinity_terms(spec))


def _affinity_terms(spec: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    for kind in ("podAffinity", "podAntiAffinity"):
        affinity = (spec.get("affinity") or {}).get(kind) or {}
        yield from affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or []
        for weighted in affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or []:
            yield weighted["podAffinityTerm"]


def pod_usage(pod: Pod) -> Amounts:
    """Return what a pod uses, by the names of a quota's resources. One that has ended uses nothing but its object."""
    result = {f"{COUNT}{PODS}": Fraction(1)}
    if pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        return result
    result[PODS] = Fraction(1)
    for side in ("requests", "limits"):
        for name, amount in _pod_resources(pod["spec"], side).items():
            result[f"{side}.{name}"] = amount
            if side == "requests":
                result[name] = amount
    return result


def _pod_resources(spec: Mapping[str, Any], side: str) -> Amounts:
    """Add up a pod: its containers and sidecars, or more if an init container needs it (C(PodRequests) of k8s.io/component-helpers)."""
    total = _sum(_container(container, side) for container in spec["containers"])
    sidecars: Amounts = {}
    peak: Amounts = {}
    for container in spec.get("initContainers") or []:
        own = _sum([_container(container, side), sidecars])
        if container.get("restartPolicy") == "Always":
            sidecars = own
        peak = _greater(peak, own)
    total = _greater(_sum([total, sidecars]), peak)
    total.update(_quantities((spec.get("resources") or {}).get(side)))
    for name, amount in _quantities(spec.get("overhead")).items():
        # Of limits only where there is one.
        if side == "requests" or total.get(name):
            total[name] = total.get(name, Fraction(0)) + amount
    return total


def _container(container: Mapping[str, Any], side: str) -> Amounts:
    return _quantities((container.get("resources") or {}).get(side))


def _quantities(texts: Mapping[str, str] | None) -> Amounts:
    return {name: parse_quantity(text) for name, text in (texts or {}).items()}


def _sum(parts: Iterable[Mapping[str, Fraction]]) -> Amounts:
    total: Amounts = {}
    for part in parts:
        for name, amount in part.items():
            total[name] = total.get(name, Fraction(0)) + amount
    return total


def _greater(one: Amounts, other: Amounts) -> Amounts:
    return {name: max(one.get(name, Fraction(0)), other.get(name, Fraction(0))) for name in one.keys() | other.keys()}


def _service_usage(service: Mapping[str, Any]) -> Amounts:
    kind, ports = service["spec"].get("type"), len(service["spec"].get("ports") or [])
    # A load balancer's node ports count too, unless it asks for none.
    open_ports = kind == "NodePort" or (kind == "LoadBalancer" and service["spec"].get("allocateLoadBalancerNodePorts", True))
    return {"services.loadbalancers": Fraction(kind == "LoadBalancer"), "services.nodeports": Fraction(ports if open_ports else 0)}


def _claim_usage(claim: Mapping[str, Any]) -> Amounts:
    asked = parse_quantity(str((claim["spec"].get("resources") or {}).get("requests", {}).get("storage", 0)))
    own = {CLAIMS: Fraction(1), "requests.storage": asked}
    name = claim["spec"].get("storageClassName")
    return {**own, **({f"{name}{STORAGE_CLASS}{key}": amount for key, amount in own.items()} if name else {})}


def unstated(hard: Iterable[str], pod: Pod) -> list[str]:
    """Return which of a quota's resources some container of a pod does not state; the API server refuses such a pod."""
    spec = pod["spec"]
    if spec.get("resources"):  # Stated for the whole pod.
        return []
    containers = [*spec["containers"], *(spec.get("initContainers") or [])]
    names = [(name, must_be_stated(name)) for name in hard]
    return sorted(name for name, what in names if what and any(what[1] not in _container(container, what[0]) for container in containers))
