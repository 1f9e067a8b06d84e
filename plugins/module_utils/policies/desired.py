# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wanted: from options to Kubernetes objects, and all that is wrong with the options by themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

from ..kube.names import is_dns_label, is_subdomain
from ..kube.quantity import canonical_quantity, parse_quantity
from .resources import COMPUTE, is_count, limit_name_problem, quota_name_problem

NAMESPACE, PRIORITY, LIMITS, QUOTA = "Namespace", "PriorityClass", "LimitRange", "ResourceQuota"
KINDS = (NAMESPACE, PRIORITY, LIMITS, QUOTA)
"""In the order in which they are made: a quota may ask for what a LimitRange gives."""
_API = {PRIORITY: "scheduling.k8s.io/v1"}

LIMIT_TYPES = ("Container", "Pod", "PersistentVolumeClaim")
SCOPES = ("Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "PriorityClass", "CrossNamespacePodAffinity")
OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")
PREEMPTION = ("PreemptLowerPriority", "Never")
MAX_PRIORITY = 1_000_000_000
"""Higher values belong to the classes C(system-...)."""
_MIN_PRIORITY = -(2**31)

# Option of a limit -> field of a LimitRangeItem.
LIMIT_FIELDS = {
    "min": "min",
    "default_request": "defaultRequest",
    "default": "default",
    "max": "max",
    "max_limit_request_ratio": "maxLimitRequestRatio",
}
# Pairs of fields of which the first must not be the greater.
_ASCENDING = (
    ("min", "max"),
    ("min", "defaultRequest"),
    ("min", "default"),
    ("defaultRequest", "default"),
    ("defaultRequest", "max"),
    ("default", "max"),
)

Object = dict[str, Any]


class Key(NamedTuple):
    """What tells an object from all others."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Desired:
    """What the options ask for.

    Attributes
    ----------
    present : dict
        The whole object by its key, in the order in which they are to be made.
    absent : list of Key
        What is not to be there.
    """

    present: dict[Key, Object] = field(default_factory=dict)
    absent: list[Key] = field(default_factory=list)


def key_of(obj: Mapping[str, Any]) -> Key:
    """Return the key of a Kubernetes object."""
    return Key(obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"])


def desired(options: Mapping[str, Any]) -> Desired:
    """Return what module policies' options ask for; they must be without :func:`problems`."""
    result = Desired()
    for name in options["namespaces"]:
        result.present[Key(NAMESPACE, "", name)] = _object(Key(NAMESPACE, "", name))
    # A class that is the default no more comes before the one that becomes it: there can be only one.
    classes = sorted(options["priority_classes"], key=lambda entry: bool(entry["global_default"]))
    for kind, entries, body in ((PRIORITY, classes, _priority), (LIMITS, options["limit_ranges"], _limits), (QUOTA, options["resource_quotas"], _quota)):
        for entry in entries:
            key = Key(kind, entry.get("namespace", ""), entry["name"])
            if entry["state"] == "absent":
                result.absent.append(key)
            else:
                result.present[key] = _object(key, body(entry))
    return result


def _object(key: Key, body: Mapping[str, Any] | None = None) -> Object:
    metadata = {"name": key.name, **({"namespace": key.namespace} if key.namespace else {})}
    return {"apiVersion": _API.get(key.kind, "v1"), "kind": key.kind, "metadata": metadata, **(body or {})}


def _priority(entry: Mapping[str, Any]) -> Object:
    fields = {"value": "value", "globalDefault": "global_default", "preemptionPolicy": "preemption_policy", "description": "description"}
    return {name: entry[option] for name, option in fields.items()}


def _limits(entry: Mapping[str, Any]) -> Object:
    return {"spec": {"limits": [_limit(limit) for limit in entry["limits"]]}}


def _limit(limit: Mapping[str, Any]) -> Object:
    item: Object = {"type": limit["type"]}
    item.update({name: _canonical(limit[option]) for option, name in LIMIT_FIELDS.items() if limit.get(option)})
    return item


def _quota(entry: Mapping[str, Any]) -> Object:
    spec: Object = {"hard": _canonical(entry["hard"])}
    if entry.get("scopes"):
        spec["scopes"] = list(entry["scopes"])
    if entry.get("scope_selector"):
        spec["scopeSelector"] = {"matchExpressions": [_requirement(item) for item in entry["scope_selector"]]}
    return {"spec": spec}


def _requirement(item: Mapping[str, Any]) -> Object:
    requirement = {"scopeName": item["scope_name"], "operator": item["operator"]}
    return {**requirement, "values": list(item["values"])} if item.get("values") else requirement


def texts(amounts: Mapping[str, Any] | None) -> dict[str, str]:
    """Return amounts as the text that was written: YAML makes a number of C(4)."""
    return {name: str(amount) for name, amount in (amounts or {}).items()}


def _canonical(amounts: Mapping[str, Any]) -> dict[str, str]:
    return {name: canonical_quantity(text) for name, text in texts(amounts).items()}


def filled(item: Mapping[str, Any]) -> Object:
    """Return a LimitRangeItem with the fields that the API server adds (C(SetDefaults_LimitRangeItem)).

    A container's default limit is its maximum, its default request the default limit, or else the minimum.
    """
    whole = {name: dict(item.get(name) or {}) for name in LIMIT_FIELDS.values()}
    if item["type"] == "Container":
        whole["default"] = {**whole["max"], **whole["default"]}
        whole["defaultRequest"] = {**whole["min"], **whole["default"], **whole["defaultRequest"]}
    return {"type": item["type"], **whole}


def amounts(quantities: Mapping[str, str]) -> dict[str, Fraction]:
    """Return the values of quantities: C(1000m) is C(1)."""
    return {name: parse_quantity(text) for name, text in quantities.items()}


# -- what is wrong with the options by themselves --------------------------------------------------------------------------


def problems(options: Mapping[str, Any]) -> list[str]:
    """Return a sentence for everything that is wrong whatever the cluster holds: object, value, remedy."""
    found = [f"The namespace {name!r} is not an RFC 1123 label." for name in options["namespaces"] if not is_dns_label(name)]
    found += _repeated(Key(NAMESPACE, "", name) for name in options["namespaces"])
    for kind, entries, check in (
        (PRIORITY, options["priority_classes"], _priority_problems),
        (LIMITS, options["limit_ranges"], _limits_problems),
        (QUOTA, options["resource_quotas"], _quota_problems),
    ):
        keys = [Key(kind, entry.get("namespace", ""), entry["name"]) for entry in entries]
        found += _repeated(keys)
        for key, entry in zip(keys, entries, strict=True):
            found += _name_problems(key)
            if entry["state"] == "present":
                found += check(key, entry)
    return found


def _repeated(keys: Iterable[Key]) -> list[str]:
    seen: dict[Key, int] = {}
    for key in keys:
        seen[key] = seen.get(key, 0) + 1
    return [f"{key} is listed {number} times; list it once." for key, number in seen.items() if number > 1]


def _name_problems(key: Key) -> list[str]:
    found = []
    if not is_subdomain(key.name):
        found.append(f"{key}: the name {key.name!r} is not an RFC 1123 name; write lower-case letters, digits, '-' and '.'.")
    if key.kind != PRIORITY and not is_dns_label(key.namespace):
        found.append(f"{key}: the namespace {key.namespace!r} is not an RFC 1123 label; write lower-case letters, digits and '-'.")
    if key.kind == PRIORITY and key.name.startswith("system-"):
        found.append(f"{key}: names that start with system- are Kubernetes' own; take another name.")
    return found


def _priority_problems(key: Key, entry: Mapping[str, Any]) -> list[str]:
    if _MIN_PRIORITY <= entry["value"] <= MAX_PRIORITY:
        return []
    return [f"{key}: the value {entry['value']} is not between {_MIN_PRIORITY} and {MAX_PRIORITY}; higher ones are Kubernetes' own."]


def _limits_problems(key: Key, entry: Mapping[str, Any]) -> list[str]:
    if not entry["limits"]:
        return [f"{key} has no limits; list one, or write state: absent."]
    types = [limit["type"] for limit in entry["limits"]]
    found = [f"{key} has several limits of type {kind}; write them as one." for kind in LIMIT_TYPES if types.count(kind) > 1]
    for limit in entry["limits"]:
        found += _limit_problems(f"{key}, type {limit['type']}", limit)
    return found


def _limit_problems(place: str, limit: Mapping[str, Any]) -> list[str]:
    given = {option: texts(limit.get(option)) for option in LIMIT_FIELDS}
    found = []
    for option, quantities in given.items():
        for name, text in quantities.items():
            problem = limit_name_problem(limit["type"], name) or _quantity_problem(text)
            found += [_sentence(f"{place}, {option}: {problem}")] if problem else []
    if found:
        return found
    if not any(given.values()):
        found.append(f"{place} limits nothing; write one of {', '.join(LIMIT_FIELDS)}.")
    if limit["type"] == "Pod" and (given["default"] or given["default_request"]):
        found.append(f"{place}: only containers have defaults; move default and default_request to a limit of type Container.")
    if limit["type"] == "PersistentVolumeClaim" and not (given["min"] or given["max"]):
        found.append(f"{place} has neither min nor max for storage; write one of them.")
    return found or _contradictions(place, _limit(limit))


def _contradictions(place: str, item: Mapping[str, Any]) -> list[str]:
    """Compare what the API server makes of a limit, so with the defaults that follow from others."""
    whole = filled(item)
    options = {name: option for option, name in LIMIT_FIELDS.items()}
    found = []
    for low, high in _ASCENDING:
        for name in sorted(whole[low].keys() & whole[high].keys()):
            if parse_quantity(whole[low][name]) > parse_quantity(whole[high][name]):
                follows = [f" ({field_name} follows from the others)" for field_name in (low, high) if name not in item.get(field_name, {})]
                told = f"{options[low]} {whole[low][name]} of {name} is more than {options[high]} {whole[high][name]}{''.join(follows[:1])}"
                found.append(f"{place}: {told}; lower the one or raise the other.")
    for name, text in whole["maxLimitRequestRatio"].items():
        found += _ratio_problems(place, name, parse_quantity(text), whole)
    for name in sorted(whole["default"].keys() & whole["defaultRequest"].keys() - set(COMPUTE)):
        if item["type"] == "Container" and parse_quantity(whole["default"][name]) != parse_quantity(whole["defaultRequest"][name]):
            found.append(f"{place}: {name} cannot be overcommitted, so default and default_request must be equal.")
    return found


def _ratio_problems(place: str, name: str, ratio: Fraction, whole: Mapping[str, Any]) -> list[str]:
    if ratio < 1:
        return [f"{place}: max_limit_request_ratio of {name} is less than 1; a limit is never below its request."]
    low, high = whole["min"].get(name), whole["max"].get(name)
    if low and high and parse_quantity(low) and ratio > parse_quantity(high) / parse_quantity(low):
        return [f"{place}: max_limit_request_ratio of {name} is more than max {high} by min {low}; lower it."]
    return []


def _quota_problems(key: Key, entry: Mapping[str, Any]) -> list[str]:
    if not entry["hard"]:
        return [f"{key} limits nothing; write something in hard, or state: absent."]
    found = []
    for name, text in texts(entry["hard"]).items():
        problem = quota_name_problem(name) or _quantity_problem(text)
        if not problem and is_count(name) and parse_quantity(text).denominator != 1:
            problem = f"{text} of {name} is no whole number"
        found += [_sentence(f"{key}, hard: {problem}")] if problem else []
    names = [*(entry.get("scopes") or []), *(item["scope_name"] for item in entry.get("scope_selector") or [])]
    for one, other in (("Terminating", "NotTerminating"), ("BestEffort", "NotBestEffort")):
        if one in names and other in names:
            found.append(f"{key} has the scopes {one} and {other}, which no pod meets; take one of them out.")
    for item in entry.get("scope_selector") or []:
        found += [f"{key}, scope_selector: {problem}." for problem in _requirement_problems(item)]
    outside = [name for name in entry["hard"] if name != "pods" and not name.startswith("count/")]
    if "BestEffort" in names and outside:
        found.append(f"{key} has the scope BestEffort, which limits pods only, but hard has {', '.join(sorted(outside))}; move them to another quota.")
    return found


def _requirement_problems(item: Mapping[str, Any]) -> list[str]:
    scope, operator, values = item["scope_name"], item["operator"], item.get("values") or []
    if scope != "PriorityClass" and operator != "Exists":
        return [f"the scope {scope} knows the operator Exists only"]
    if (operator in ("In", "NotIn")) != bool(values):
        return [f"the operator {operator} of {scope} needs {'values' if operator in ('In', 'NotIn') else 'no values'}"]
    return []


def _sentence(text: str) -> str:
    return text if text.endswith("?") else f"{text}."


def _quantity_problem(text: str) -> str:
    try:
        amount = parse_quantity(text)
    except ValueError as error:
        return str(error)
    return f"{text} is negative" if amount < 0 else ""


def requirements(spec: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return all that a quota's scopes ask of a pod, in the form of a scope selector."""
    plain = [{"scopeName": scope, "operator": "Exists"} for scope in spec.get("scopes") or []]
    return [*plain, *((spec.get("scopeSelector") or {}).get("matchExpressions") or [])]
