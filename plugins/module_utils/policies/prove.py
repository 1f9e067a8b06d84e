# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proof that policies work: what the API server makes of pods that are created in dry-run mode, so none of them ever starts.

Admission plugins run in a dry run as ever; only what they would store is not stored.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from ..kube import restricted
from ..kube.kubectl import Kubectl, as_list
from ..kube.quantity import format_quantity, parse_quantity
from ..verify.result import CLUSTER, FAIL, OK, UNKNOWN, WARN, Result, counted
from .cluster import actions, read_live
from .desired import LIMITS, QUOTA, Desired, Key, Object, amounts, filled, requirements
from .plan import Live, conflicts, make_plan
from .resources import COMPUTE, compute_name

LISTED, DEFAULTS, USED, REFUSAL = "policies.listed", "policies.defaults", "policies.quota", "policies.refusal"
_POD_PREFIX = "nodewise-verify-"
# The smallest amounts that a container is given where it must state one, and by which a quota is exceeded.
_STEP = {"cpu": Fraction(1, 1000), "memory": Fraction(1024**2), "ephemeral-storage": Fraction(1024**2)}
_MOST_CONTAINERS = 100
_REFUSED = re.compile(r'pods "(?P<pod>[^"]+)" is forbidden: (?P<why>.*)')


def prove(kubectl: Kubectl, wanted: Desired, timeout: float) -> list[Result]:
    """Return whether the listed policies are there and do what they say.

    Parameters
    ----------
    timeout : float
        Seconds to wait until the API server has counted what new quotas limit.

    Raises
    ------
    NodewiseError
        The API server does not answer.
    """
    deadline = time.monotonic() + timeout
    while True:
        live = read_live(kubectl)
        present = [key for key in wanted.present if key in live]
        if time.monotonic() >= deadline or all(_is_counted(live[key]) for key in present if key.kind == QUOTA):
            break
        time.sleep(0.5)
    pods: dict[Key, Object] = {}
    for key in present:
        pod = plain_pod(key, live) if key.kind == LIMITS else pod_beyond(key, live) if key.kind == QUOTA else None
        if pod:
            # A number, for the API server tells of a refused pod without its namespace, and policies of several have the same name.
            pod["metadata"]["name"] = f"{_POD_PREFIX}{len(pods)}"
            pods[key] = pod
    admitted, refused, said = _try(kubectl, list(pods.values()))
    results = [listed(wanted, live), *(quota_use(key, live[key]) for key in present if key.kind == QUOTA)]
    for key, pod in pods.items():
        name = pod["metadata"]["name"]
        if name in admitted or name in refused:
            judge = defaults_given if key.kind == LIMITS else beyond_refused
            results.append(judge(key, live, admitted.get(name), refused.get(name)))
        else:
            check = f"{DEFAULTS if key.kind == LIMITS else REFUSAL}.{key.namespace}/{key.name}"
            hint = f"the API server, and the webhooks that judge pods in {key.namespace}"
            results.append(Result(check, CLUSTER, UNKNOWN, "a pod in a dry run is judged", f"no pod was judged: {said}", hint))
    return results


def listed(wanted: Desired, live: Live) -> Result:
    """Return whether the cluster holds what is listed."""
    expected = f"{counted(len(wanted.present), 'object')} as listed"
    differing = [*conflicts(wanted, live), *actions(make_plan(wanted, live))]
    if differing:
        return Result(LISTED, CLUSTER, FAIL, expected, f"a run of role policies would: {'; '.join(differing)}", "run playbook site, or role policies")
    return Result(LISTED, CLUSTER, OK, expected, expected)


# -- quotas: used against hard ---------------------------------------------------------------------------------------------


def _is_counted(quota: Object) -> bool:
    status = quota.get("status") or {}
    return amounts(status.get("hard") or {}) == amounts(quota["spec"]["hard"]) and status.get("used", {}).keys() >= quota["spec"]["hard"].keys()


def quota_use(key: Key, quota: Object) -> Result:
    """Return what is used of a quota; a quota that is used up is a warning."""
    check, hard = f"{USED}.{key.namespace}/{key.name}", quota["spec"]["hard"]
    if not _is_counted(quota):
        hint = "kube-controller-manager fills the quota's status; is it running?"
        return Result(check, CLUSTER, UNKNOWN, "what is used is counted", "not counted yet", hint)
    used = quota["status"]["used"]
    observed = ", ".join(f"{name} {used[name]} of {hard[name]}" for name in sorted(hard))
    full = [name for name in sorted(hard) if parse_quantity(used[name]) >= parse_quantity(hard[name]) and parse_quantity(used[name])]
    if full:
        return Result(check, CLUSTER, WARN, "something left of each", observed, f"raise the quota or remove objects: {', '.join(full)} is used up")
    return Result(check, CLUSTER, OK, "something left of each", observed)


# -- pods that are never started -------------------------------------------------------------------------------------------


def _pod(namespace: str, resources: Sequence[Mapping[str, Any]]) -> Object:
    containers = [
        {
            "name": f"probe-{index}",
            "image": "registry.k8s.io/pause",
            "resources": dict(item),
            "securityContext": restricted.CONTAINER,
        }
        for index, item in enumerate(resources)
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": namespace},
        # So that nothing but the policy in question judges it.
        "spec": {"securityContext": restricted.POD, "containers": containers},
    }


def plain_pod(key: Key, live: Live) -> Object | None:
    """Return a pod that states nothing, if a LimitRange gives a container anything."""
    expected = _given(live[key])
    return _pod(key.namespace, [{}]) if any(expected.values()) else None


def _given(limit_range: Object) -> dict[str, dict[str, str]]:
    """Return the limits and requests that a LimitRange gives to a container without."""
    items = [filled(item) for item in limit_range["spec"]["limits"] if item["type"] == "Container"]
    return {"limits": items[0]["default"] if items else {}, "requests": items[0]["defaultRequest"] if items else {}}


def pod_beyond(key: Key, live: Live) -> Object | None:
    """Return a pod that asks for more than a quota allows in all; None if no single pod can.

    It asks for one resource too much, in as many containers as the namespace's LimitRanges make
    necessary. A quota that limits nothing but numbers of objects is not exceeded by one of them.
    """
    spec = live[key]["spec"]
    extra = _scope_fields(spec)
    if extra is None:
        return None
    lowest, highest, pod_highest = _bounds(key.namespace, live)
    small = {name: max(_STEP[name], lowest.get(name, Fraction(0))) for name in ("cpu", "memory")}
    for name, limit in sorted(amounts(spec["hard"]).items()):
        found = compute_name(name)
        if found is None or found[1] not in COMPUTE:
            continue
        resource = found[1]
        needed = max(limit + _STEP[resource], lowest.get(resource, Fraction(0)))
        each = min(needed, highest.get(resource, needed))
        number = math.ceil(needed / each) if each else _MOST_CONTAINERS + 1
        if number > _MOST_CONTAINERS or needed > pod_highest.get(resource, needed):
            continue
        stated = {one: format_quantity(amount, binary=one != "cpu") for one, amount in {**small, resource: each}.items()}
        pod = _pod(key.namespace, [{"requests": stated, "limits": stated}] * number)
        pod["spec"].update(extra)
        return pod
    return None


def _scope_fields(spec: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what a pod needs to be in a quota's scopes; None if that is not one of the simple cases."""
    fields: dict[str, Any] = {}
    for item in requirements(spec):
        scope, operator = item["scopeName"], item["operator"]
        if scope == "Terminating":
            fields["activeDeadlineSeconds"] = 60
        elif scope == "PriorityClass" and operator == "In":
            fields["priorityClassName"] = item["values"][0]
        elif scope not in ("NotTerminating", "NotBestEffort"):
            return None
    return fields


def _bounds(namespace: str, live: Live) -> tuple[dict[str, Fraction], dict[str, Fraction], dict[str, Fraction]]:
    """Return the least and most of a container and the most of a pod that a namespace's LimitRanges allow."""
    lowest: dict[str, Fraction] = {}
    highest: dict[str, dict[str, Fraction]] = {"Container": {}, "Pod": {}}
    for key, obj in live.items():
        if key.kind != LIMITS or key.namespace != namespace:
            continue
        for item in obj["spec"]["limits"]:
            for name, amount in amounts(item.get("max") or {}).items():
                if item["type"] in highest:
                    highest[item["type"]][name] = min(amount, highest[item["type"]].get(name, amount))
            for name, amount in amounts(item.get("min") or {}).items():
                if item["type"] in highest:
                    lowest[name] = max(amount, lowest.get(name, amount))
    return lowest, highest["Container"], highest["Pod"]


def _try(kubectl: Kubectl, pods: Sequence[Object]) -> tuple[dict[str, Object], dict[str, str], str]:
    """Create pods in dry-run mode and return, by name, those admitted and why others were refused; and all that kubectl said."""
    if not pods:
        return {}, {}, ""
    document = as_list(pods)
    # kubectl goes on after an object that is refused, and ends with 1.
    _code, out, err = kubectl.run(["create", "--dry-run=server", "-o", "json", "-f", "-"], stdin=document, ok=(0, 1))
    admitted = {item["metadata"]["name"]: item for item in _documents(out)}
    refused = {match["pod"]: match["why"].strip() for match in _REFUSED.finditer(err)}
    return admitted, refused, " ".join(err.split()) or "kubectl said nothing"


def _documents(text: str) -> list[Object]:
    """Return the JSON documents of a text, one after the other as kubectl writes them."""
    decoder, place = json.JSONDecoder(), 0
    found: list[Object] = []
    while (place := len(text) - len(text[place:].lstrip())) < len(text):
        item, place = decoder.raw_decode(text, place)
        found += item["items"] if item["kind"] == "List" else [item]
    return found


def defaults_given(key: Key, live: Live, pod: Object | None, why: str | None) -> Result:
    """Return whether a pod that states nothing got what a LimitRange gives."""
    check = f"{DEFAULTS}.{key.namespace}/{key.name}"
    given = _given(live[key])
    expected = f"a pod without gets {_told(given)}"
    if pod is None and "exceeded quota" in (why or ""):
        return Result(check, CLUSTER, WARN, expected, f"not seen, for no pod is admitted now: {why}", f"the quotas of {key.namespace}")
    if pod is None and "must specify" in (why or ""):
        return Result(check, CLUSTER, FAIL, expected, f"a pod without is refused: {why}", f"give a default for it in LimitRange {key.namespace}/{key.name}")
    if pod is None:
        return Result(check, CLUSTER, UNKNOWN, expected, f"a pod was refused: {why}", f"what else judges pods in {key.namespace}: webhooks, Pod Security")
    stated = pod["spec"]["containers"][0].get("resources") or {}
    seen = {side: {name: text for name, text in (stated.get(side) or {}).items() if name in given[side]} for side in given}
    if all(amounts(seen[side]) == amounts(given[side]) for side in given):
        return Result(check, CLUSTER, OK, expected, f"a pod without got {_told(seen)}")
    hint = "admission plugin LimitRanger is off, or another LimitRange of the namespace gives something else"
    return Result(check, CLUSTER, FAIL, expected, f"a pod without got {_told(seen) or 'nothing'}", hint)


def _told(given: Mapping[str, Mapping[str, str]]) -> str:
    return ", ".join(f"{side}.{name} {text}" for side, texts in given.items() for name, text in sorted(texts.items()))


def beyond_refused(key: Key, _live: Live, pod: Object | None, why: str | None) -> Result:
    """Return whether a pod that asks for more than a quota allows was refused in the quota's name."""
    check = f"{REFUSAL}.{key.namespace}/{key.name}"
    expected = f"a pod beyond it is refused: exceeded quota: {key.name}"
    if pod is not None:
        hint = "admission plugin ResourceQuota is off, or the quota is not counted yet"
        return Result(check, CLUSTER, FAIL, expected, "a pod beyond it was admitted", hint)
    if re.search(rf"exceeded quota: {re.escape(key.name)},", why or ""):
        return Result(check, CLUSTER, OK, expected, f"refused: {why}")
    return Result(check, CLUSTER, WARN, expected, f"refused before the quota was asked: {why}", f"the other policies of {key.namespace}")
