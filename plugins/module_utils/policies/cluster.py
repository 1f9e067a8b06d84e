# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The policies of a cluster: read, compared and brought to what is wanted with a few calls of kubectl, however many there are."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..errors import NodewiseError
from ..kube.kubectl import FIELD_MANAGER, OUTDATED, Kubectl, as_list
from .desired import LIMITS, NAMESPACE, PRIORITY, QUOTA, Desired, Key, Object, filled, key_of
from .plan import Live, Plan, changed_quotas, conflicts, kinds_to_read, make_plan, quota_conflicts, warnings, with_spec
from .usage import WHOLE_KINDS

_ATTEMPTS = 6
_KINDS = "namespaces,priorityclasses.scheduling.k8s.io,limitranges,resourcequotas"


def read_live(kubectl: Kubectl) -> dict[Key, Object]:
    """Return all namespaces, PriorityClasses, LimitRanges and ResourceQuotas.

    Raises
    ------
    NodewiseError
        The API server does not answer, or refuses.
    """
    items: list[Object] = (kubectl.get(_KINDS, "--all-namespaces") or {"items": []})["items"]
    return {key_of(item): item for item in items}


def compare(kubectl: Kubectl, wanted: Desired) -> tuple[Plan, list[str]]:
    """Return what has to be done, and what an operator should know of it. Nothing is changed.

    Raises
    ------
    NodewiseError
        What is wanted cannot be, for any of the reasons that :mod:`.plan` knows or the API server has; or it does not answer.
    """
    live = read_live(kubectl)
    refuse(conflicts(wanted, live))
    plan = make_plan(wanted, live)
    quotas = changed_quotas(plan, live)
    refuse(quota_conflicts(quotas, wanted, live, read_objects(kubectl, kinds_to_read(quotas, live))))
    _rehearse(kubectl, plan, live)
    return plan, warnings([obj for obj in [*plan.apply, *plan.replace] if obj["kind"] == QUOTA], wanted, live)


def refuse(problems: Sequence[str]) -> None:
    """Raise all problems as one error, if there are any."""
    if problems:
        raise NodewiseError(f"Nothing was changed, for the policies are wrong: {' '.join(problems)}")


def read_objects(kubectl: Kubectl, needed: Mapping[str, Iterable[str]]) -> dict[str, dict[str, list[Any]]]:
    """Return the objects of some kinds, by namespace and kind.

    Only what a quota looks into is read whole; of all else (Secrets among it) the API server tells the names.

    Raises
    ------
    NodewiseError
        There is no such kind, or the API server does not answer.
    """
    found: dict[str, dict[str, list[Any]]] = {}
    for kind, wanted in needed.items():
        namespaces = sorted(wanted)
        for namespace in namespaces:
            found.setdefault(namespace, {})[kind] = []
        place = [f"--namespace={namespaces[0]}"] if len(namespaces) == 1 else ["--all-namespaces"]
        if kind in WHOLE_KINDS:
            listed: list[tuple[str, Any]] = [(item["metadata"]["namespace"], item) for item in (kubectl.get(kind, *place) or {"items": []})["items"]]
        else:
            listed = _names(kubectl, kind, namespaces, place)
        for namespace, item in listed:
            if namespace in namespaces:
                found[namespace][kind].append(item)
    return found


def _names(kubectl: Kubectl, kind: str, namespaces: Sequence[str], place: Sequence[str]) -> list[tuple[str, Any]]:
    """Return (namespace, name) of all objects of a kind, from the table that the API server makes of them."""
    _code, out, _err = kubectl.run(["get", kind, *place, "--no-headers", "--ignore-not-found"])
    words = [line.split() for line in out.splitlines() if line.strip()]
    return [(namespaces[0], row[0]) for row in words] if len(namespaces) == 1 else [(row[0], row[1]) for row in words]


def _rehearse(kubectl: Kubectl, plan: Plan, live: Live) -> None:
    """Let the API server, its admission plugins and webhooks judge the whole plan before any of it is carried out.

    What depends on an earlier step of the same plan cannot be judged: objects in a namespace that is yet
    to be made, and a PriorityClass that becomes the default instead of another.
    """
    objects = [obj for obj in plan.apply if _can_be_rehearsed(obj, live)]
    try:
        if objects:
            _write(kubectl, ["apply", "--server-side", "--force-conflicts"], objects, rehearse=True)
        if plan.replace:
            _replace(kubectl, plan.replace, rehearse=True)
    except NodewiseError as error:
        raise NodewiseError(f"Nothing was changed, for the API server refuses the policies: {error.message}", error.remedy) from error


def _can_be_rehearsed(obj: Object, live: Live) -> bool:
    key = key_of(obj)
    if key.namespace:
        return Key(NAMESPACE, "", key.namespace) in live
    return not (key.kind == PRIORITY and obj.get("globalDefault"))


def carry_out(kubectl: Kubectl, plan: Plan) -> None:
    """Carry a plan out. A run that is killed in between is completed by the next.

    PriorityClasses go first, for one of them may have been the default; everything else that goes, goes
    after what may replace it has come, quotas before LimitRanges.

    Raises
    ------
    NodewiseError
        The API server refuses something, or a quota is written by others all the time.
    """
    _delete(kubectl, [key for key in plan.delete if key.kind == PRIORITY])
    if plan.apply:
        _write(kubectl, ["apply", "--server-side", "--force-conflicts"], plan.apply)
    if plan.replace:
        _replace(kubectl, plan.replace)
    _delete(kubectl, [key for key in plan.delete if key.kind != PRIORITY])


def _replace(kubectl: Kubectl, quotas: Sequence[Object], rehearse: bool = False) -> None:
    """Write quotas that exist. Each pod that comes or goes writes their status, so those that were read may be outdated; they are read again then."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            _write(kubectl, ["replace"], quotas, rehearse)
            return
        except NodewiseError as error:
            if OUTDATED not in error.message or attempt == _ATTEMPTS:
                raise
        live = read_live(kubectl)
        quotas = [with_spec(live.get(key_of(quota), quota), quota) for quota in quotas]


def _write(kubectl: Kubectl, command: Sequence[str], objects: Sequence[Object], rehearse: bool = False) -> None:
    document = as_list(objects)
    dry = ["--dry-run=server"] if rehearse else []
    kubectl.run([*command, f"--field-manager={FIELD_MANAGER}", *dry, "-f", "-"], stdin=document)


def _delete(kubectl: Kubectl, keys: Sequence[Key]) -> None:
    if not keys:
        return
    api = {PRIORITY: "scheduling.k8s.io/v1"}
    items = [{"apiVersion": api.get(key.kind, "v1"), "kind": key.kind, "metadata": {"name": key.name, "namespace": key.namespace}} for key in keys]
    # They have no finalizers, so they are gone at once; kubectl would look after each of them.
    kubectl.run(["delete", "--ignore-not-found", "--wait=false", "-f", "-"], stdin=as_list(items))


def actions(plan: Plan) -> list[str]:
    """Return what the plan does, a short phrase each."""
    written = [key_of(obj) for obj in [*plan.apply, *plan.replace]]
    return [*(f"{'change' if key in plan.before else 'create'} {key}" for key in written), *(f"delete {key}" for key in plan.delete)]


def difference(plan: Plan) -> list[dict[str, str]]:
    """Return the changes in Ansible's form of a diff."""
    after = {key_of(obj): obj for obj in [*plan.apply, *plan.replace]}
    return [
        {"before_header": str(key), "after_header": str(key), "before": _shown(plan.before.get(key)), "after": _shown(after.get(key))}
        for key in [*after, *plan.delete]
    ]


def _shown(obj: Object | None) -> str:
    if obj is None:
        return ""
    fields = {name: value for name, value in obj.items() if name not in ("apiVersion", "kind", "metadata", "status")}
    if obj["kind"] == LIMITS:
        # With what the API server adds, on both sides.
        fields = {"spec": {"limits": [{name: value for name, value in filled(item).items() if value} for item in obj["spec"]["limits"]]}}
    return json.dumps(fields, indent=2, sort_keys=True) + "\n"
