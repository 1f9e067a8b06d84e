# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From rules over inventory hosts and groups to the labels and taints of each Node, and what is wrong with the rules."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..errors import NodewiseError
from ..kube.names import in_domain, key_problem, value_problem

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")

_KUBERNETES = ("kubernetes.io", "k8s.io")
# What an administrator is meant to set of these domains: roles other than kubeadm's, zones where no cloud
# says them, and what the admission plugin NodeRestriction keeps kubelets from setting.
_OPEN_LABELS = ("node-role.kubernetes.io", "node-restriction.kubernetes.io", "topology.kubernetes.io")
_KUBEADM_LABELS = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")
_OURS = ("nodewise.dev",)
_AUTOSCALER_TAINTS = ("ToBeDeletedByClusterAutoscaler", "DeletionCandidateOfClusterAutoscaler")


class TaintId(NamedTuple):
    """What tells a taint of a Node from its others."""

    key: str
    effect: str

    def __str__(self) -> str:
        return f"{self.key}:{self.effect}"


@dataclass(frozen=True)
class Marks:
    """The labels and taints of a Node, or some of them.

    Attributes
    ----------
    labels : dict
        Values by key.
    taints : dict
        Values by :class:`TaintId`.
    """

    labels: dict[str, str] = field(default_factory=dict)
    taints: dict[TaintId, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.labels or self.taints)


def protected_label(key: str) -> str:
    """Return who sets a label, if it is nobody's but theirs; otherwise an empty string."""
    if in_domain(key, _OURS):
        return "this collection"
    if in_domain(key, _KUBERNETES) and (key in _KUBEADM_LABELS or not in_domain(key, _OPEN_LABELS)):
        return "Kubernetes"
    return ""


def protected_taint(key: str) -> str:
    """Return who sets a taint, if it is nobody's but theirs; otherwise an empty string."""
    if in_domain(key, _OURS):
        return "this collection"
    if key in _AUTOSCALER_TAINTS:
        return "the cluster autoscaler"
    return "Kubernetes" if in_domain(key, _KUBERNETES) else ""


def refuse(rules: Sequence[Mapping[str, Any]], node_names: Mapping[str, str], groups: Mapping[str, Sequence[str]]) -> None:
    """Raise NodewiseError with all :func:`problems` of the rules, if there are any."""
    found = problems(rules, node_names, groups)
    if found:
        raise NodewiseError(f"Nothing was changed, for the rules of node labels are wrong: {' '.join(found)}")


def problems(rules: Sequence[Mapping[str, Any]], node_names: Mapping[str, str], groups: Mapping[str, Sequence[str]]) -> list[str]:
    """Return a sentence for everything that is wrong with the rules: the rule's number, the key or value, and what it breaks.

    Parameters
    ----------
    node_names : mapping
        Name of its Node by inventory host.
    groups : mapping
        Inventory hosts by group.
    """
    found = []
    for number, rule in enumerate(rules, start=1):
        place = f"Rule {number} ({', '.join(rule['hosts'])})"
        if not rule["hosts"]:
            found.append(f"Rule {number} names no hosts; list hosts or groups of the inventory.")
        for name in rule["hosts"]:
            if name not in groups and name not in node_names:
                near = difflib.get_close_matches(name, [*groups, *node_names], n=1)
                found.append(f"{place}: the inventory has no host and no group {name!r}{f'; did you mean {near[0]}?' if near else '.'}")
        for key, value in (rule.get("labels") or {}).items():
            found += [f"{place}: {problem}." for problem in _mark_problems("label", key, value, protected_label(str(key)))]
        for taint in rule.get("taints") or []:
            value = "" if taint.get("value") is None else taint["value"]
            found += [f"{place}: {problem}." for problem in _mark_problems("taint", taint["key"], value, protected_taint(taint["key"]))]
    return found


def _mark_problems(kind: str, key: Any, value: Any, owner: str) -> list[str]:
    key = str(key)
    found = []
    if key_problem(key):
        found.append(f"the key {key!r} of a {kind} is malformed: {key_problem(key)}")
    if value_problem(value):
        found.append(f"the value {value!r} of the {kind} {key} is malformed: {value_problem(value)}")
    if owner:
        found.append(f"the {kind} {key} is set by {owner} alone; take a key with a prefix of your own")
    return found


def wanted_marks(rules: Sequence[Mapping[str, Any]], node_names: Mapping[str, str], groups: Mapping[str, Sequence[str]]) -> dict[str, Marks]:
    """Return what each Node shall have. A later rule wins over an earlier one for the same label, or the same taint and effect."""
    wanted: dict[str, Marks] = {}
    for rule in rules:
        hosts = [host for name in rule["hosts"] for host in groups.get(name, [name])]
        for node in dict.fromkeys(node_names[host] for host in hosts if host in node_names):
            marks = wanted.setdefault(node, Marks())
            marks.labels.update(rule.get("labels") or {})
            marks.taints.update({TaintId(taint["key"], taint["effect"]): taint.get("value") or "" for taint in rule.get("taints") or []})
    return wanted
