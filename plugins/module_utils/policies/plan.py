# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wanted against what the cluster holds, as pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .desired import KINDS, LIMITS, NAMESPACE, PRIORITY, QUOTA, Desired, Key, Object, amounts, filled, requirements
from .resources import must_be_stated
from .usage import Pod, kind_needed, matches, unstated, used

SYSTEM_NAMESPACES = ("kube-system", "nodewise-system", "calico-system", "calico-apiserver", "tigera-operator")
"""Where pods run without which there is no cluster."""

Live = Mapping[Key, Object]


@dataclass(frozen=True)
class Plan:
    """What has to be done.

    Attributes
    ----------
    apply : list
        Objects to apply server-side, in order: all new ones, and the changed ones but for quotas.
    replace : list
        Changed quotas. Server-side apply would leave the limits in them that another manager added.
    delete : list of Key
        Objects to delete.
    before : dict
        Each object in the plan as it is.
    """

    apply: list[Object] = field(default_factory=list)
    replace: list[Object] = field(default_factory=list)
    delete: list[Key] = field(default_factory=list)
    before: dict[Key, Object] = field(default_factory=dict)

    @property
    def changed(self) -> bool:
        """Whether anything has to be done."""
        return bool(self.apply or self.replace or self.delete)


def make_plan(wanted: Desired, live: Live) -> Plan:
    """Return what makes the cluster hold what is wanted. What is not listed is left alone."""
    plan = Plan()
    for key, obj in wanted.present.items():
        have = live.get(key)
        if have is not None:
            if key.kind == NAMESPACE or same(obj, have):
                continue
            plan.before[key] = have
        if key.kind == QUOTA and have is not None:
            plan.replace.append(with_spec(have, obj))
        else:
            plan.apply.append(obj)
    for key in sorted(wanted.absent, key=lambda key: -KINDS.index(key.kind)):
        if key in live:
            plan.delete.append(key)
            plan.before[key] = live[key]
    return plan


def with_spec(have: Object, wanted: Object) -> Object:
    """Return an object of the cluster with the spec that is wanted, to be written back."""
    return {**{name: value for name, value in have.items() if name != "status"}, "spec": wanted["spec"]}


def same(wanted: Object, have: Object) -> bool:
    """Return whether two objects of a kind mean the same."""
    return bool(meaning(wanted) == meaning(have))


def meaning(obj: Object) -> Any:
    """Bring an object to a form in which equal meanings are equal: quantities by value, lists whose order means nothing sorted."""
    if obj["kind"] == PRIORITY:
        return (obj["value"], obj.get("globalDefault", False), obj.get("preemptionPolicy", "PreemptLowerPriority"), obj.get("description", ""))
    spec = obj["spec"]
    if obj["kind"] == LIMITS:
        items = [filled(item) for item in spec.get("limits") or []]
        return {item["type"]: {name: amounts(value) for name, value in item.items() if name != "type"} for item in items}
    selector = sorted((item["scopeName"], item["operator"], sorted(item.get("values") or [])) for item in requirements(spec))
    return amounts(spec.get("hard") or {}), sorted(spec.get("scopes") or []), selector


# -- what is wrong with what is wanted in this cluster ----------------------------------------------------------------------


def conflicts(wanted: Desired, live: Live) -> list[str]:
    """Return a sentence for everything that the cluster cannot become, with what to do about it."""
    return [*_namespaces(wanted, live), *_immutable(wanted, live), *_defaults(wanted, live)]


def _namespaces(wanted: Desired, live: Live) -> list[str]:
    found = []
    for key in wanted.present:
        namespace = key if key.kind == NAMESPACE else Key(NAMESPACE, "", key.namespace)
        if not namespace.name:
            continue
        if namespace in live and live[namespace].get("status", {}).get("phase") == "Terminating":
            found.append(f"{key}: the namespace {namespace.name} is being deleted; wait until it is gone.")
        elif namespace not in live and namespace not in wanted.present:
            found.append(f"{key}: there is no namespace {namespace.name!r}; list it in namespaces to have it made, or correct the name.")
    return found


def _immutable(wanted: Desired, live: Live) -> list[str]:
    found = []
    for key, obj in wanted.present.items():
        have = live.get(key)
        if have is None:
            continue
        remedy = "take another name, or run once with state: absent and then again"
        if key.kind == PRIORITY:
            for name, default in (("value", None), ("preemptionPolicy", "PreemptLowerPriority")):
                if have.get(name, default) != obj[name]:
                    pods = " (pods that run keep the old number)" if name == "value" else ""
                    found.append(f"{key} has {name} {have.get(name, default)} and {obj[name]} is wanted, which Kubernetes does not change; {remedy}{pods}.")
        if key.kind == QUOTA and set(have["spec"].get("scopes") or []) != set(obj["spec"].get("scopes") or []):
            scopes = ", ".join(have["spec"].get("scopes") or []) or "no scopes"
            found.append(
                f"{key} has {scopes} and {', '.join(obj['spec'].get('scopes') or []) or 'none'} are wanted, which Kubernetes does not change; {remedy}."
            )
    return found


def _defaults(wanted: Desired, live: Live) -> list[str]:
    after = {**live, **wanted.present}
    names = sorted(key.name for key, obj in after.items() if key.kind == PRIORITY and obj.get("globalDefault") and key not in wanted.absent)
    if len(names) < 2:
        return []
    return [
        f"The PriorityClasses {', '.join(names)} would all be the global default, and only one can be; set global_default: false for the others, and list them."
    ]


# -- quotas and what is there already --------------------------------------------------------------------------------------


def changed_quotas(plan: Plan, live: Live) -> list[Object]:
    """Return the quotas that would be made or changed in namespaces that exist."""
    objects = [*plan.apply, *plan.replace]
    return [obj for obj in objects if obj["kind"] == QUOTA and Key(NAMESPACE, "", obj["metadata"]["namespace"]) in live]


def counted_already(quota: Object, live: Live) -> dict[str, str]:
    """Return what the API server says is used of a quota's resources: only of those it counts now, with the same scopes."""
    have = live.get(Key(QUOTA, quota["metadata"]["namespace"], quota["metadata"]["name"]))
    if have is None or requirements(have["spec"]) != requirements(quota["spec"]):
        return {}
    hard, counted = have["spec"].get("hard") or {}, have.get("status", {}).get("used") or {}
    return {name: text for name, text in counted.items() if name in hard}


def kinds_to_read(quotas: Iterable[Object], live: Live) -> dict[str, set[str]]:
    """Return the namespaces to look into by the kind of objects to look for."""
    needed: dict[str, set[str]] = {}
    for quota in quotas:
        namespace, counted = quota["metadata"]["namespace"], counted_already(quota, live)
        kinds = {kind_needed(name) for name in quota["spec"]["hard"] if name not in counted}
        if namespace in SYSTEM_NAMESPACES and any(must_be_stated(name) for name in quota["spec"]["hard"]):
            kinds.add("pods")
        for kind in kinds - {None}:
            needed.setdefault(str(kind), set()).add(namespace)
    return needed


def quota_conflicts(quotas: Iterable[Object], wanted: Desired, live: Live, objects: Mapping[str, Mapping[str, Sequence[Any]]]) -> list[str]:
    """Return a sentence for every quota that is exceeded already, or that would keep the cluster's own pods from starting.

    Parameters
    ----------
    objects : mapping
        By namespace and kind, what :func:`kinds_to_read` asked for.
    """
    found = []
    for quota in quotas:
        spec, namespace = quota["spec"], quota["metadata"]["namespace"]
        key, there = Key(QUOTA, namespace, quota["metadata"]["name"]), objects.get(namespace, {})
        counted, hard = amounts(counted_already(quota, live)), amounts(spec["hard"])
        for name, limit in hard.items():
            if name not in counted and kind_needed(name) is None:
                continue
            use = counted[name] if name in counted else used(name, spec, there)
            if use > limit:
                amount = int(use) if use.denominator == 1 else float(use)
                found.append(f"{key} allows {spec['hard'][name]} of {name}, but {amount} are used; raise it, or remove objects first.")
        if namespace in SYSTEM_NAMESPACES:
            found += _blocked(key, spec, there.get("pods", ()), defaulted(namespace, wanted, live))
    return found


def _blocked(key: Key, spec: Mapping[str, Any], pods: Sequence[Pod], given: Iterable[str]) -> list[str]:
    asked = [name for name in spec["hard"] if name not in given]
    lacking = {pod["metadata"]["name"]: unstated(asked, pod) for pod in pods if matches(spec, pod)}
    names = sorted(name for name, lacks in lacking.items() if lacks)
    if not names:
        return []
    what = ", ".join(sorted({name for lacks in lacking.values() for name in lacks}))
    told = f"{names[0]} and {len(names) - 1} more" if len(names) > 1 else names[0]
    return [f"{key} would block pods of the system: {told} do not state {what}, so they could not start again; leave it out, or give defaults by a LimitRange."]


def defaulted(namespace: str, wanted: Desired, live: Live) -> set[str]:
    """Return the quota resources that the LimitRanges of a namespace, once the plan is carried out, give to containers without."""
    after = {**live, **wanted.present}
    given = set()
    for key, obj in after.items():
        if key.kind != LIMITS or key.namespace != namespace or key in wanted.absent:
            continue
        for item in (filled(item) for item in obj["spec"]["limits"]):
            if item["type"] == "Container":
                given |= {f"limits.{name}" for name in item["default"]}
                given |= {text for name in item["defaultRequest"] for text in (name, f"requests.{name}")}
    return given


def warnings(quotas: Iterable[Object], wanted: Desired, live: Live) -> list[str]:
    """Return a sentence for every quota that refuses pods which state no CPU or memory, where no LimitRange states it for them."""
    found = []
    for quota in quotas:
        namespace = quota["metadata"]["namespace"]
        asked = sorted({name for name in quota["spec"]["hard"] if must_be_stated(name)} - defaulted(namespace, wanted, live))
        if asked:
            key = Key(QUOTA, namespace, quota["metadata"]["name"])
            found.append(f"{key}: new pods that do not state {', '.join(asked)} are refused; a LimitRange of {namespace} could give defaults.")
    return found
