# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What separates Nodes from what they shall have, as pure functions.

What we set is noted on the Node itself, in one annotation that is written together with it: the values
too, so that a label or taint that somebody else changed since is seen to be theirs. (The field owners of
server-side apply would do for labels, but taints are one field, of which guard and Kubernetes' own
controllers write other parts.)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ..errors import NodewiseError
from .rules import Marks, TaintId

ANNOTATION = "nodewise.dev/node-labels"

Node = dict[str, Any]
_Id = TypeVar("_Id", str, TaintId)


@dataclass(frozen=True)
class Change:
    """What has to be done to one Node.

    Attributes
    ----------
    node : dict
        The whole Node as it shall be, without its status; its resourceVersion makes the API server refuse it if another wrote the Node since.
    set, remove : Marks
        Labels and taints that are to be set, and that are to go, as they are now.
    before : Marks
        What there is of those that are to be set.
    """

    name: str
    node: Node
    set: Marks = field(default_factory=Marks)
    remove: Marks = field(default_factory=Marks)
    before: Marks = field(default_factory=Marks)

    def actions(self) -> list[str]:
        """Return what is done, a short phrase each."""
        done = [
            f"{verb} {text} {where} {self.name}" for verb, marks, where in (("set", self.set, "on"), ("remove", self.remove, "from")) for text in _told(marks)
        ]
        return done or [f"note on {self.name} what is ours"]

    def diff(self) -> dict[str, str]:
        """Return the change in Ansible's form of a diff."""
        before = [*_told(self.before), *_told(self.remove)]
        return {
            "before_header": f"Node {self.name}",
            "after_header": f"Node {self.name}",
            "before": "".join(f"{line}\n" for line in sorted(before)),
            "after": "".join(f"{line}\n" for line in sorted(_told(self.set))),
        }


def _told(marks: Marks) -> list[str]:
    taints = [f"taint {taint.key}={value}:{taint.effect}" if value else f"taint {taint}" for taint, value in marks.taints.items()]
    return [*(f"label {key}={value}" for key, value in marks.labels.items()), *taints]


def marks_of(node: Mapping[str, Any]) -> Marks:
    """Return all labels and taints of a Node."""
    taints = {TaintId(taint["key"], taint["effect"]): taint.get("value", "") for taint in node.get("spec", {}).get("taints") or []}
    return Marks(dict(node["metadata"].get("labels") or {}), taints)


def noted(node: Mapping[str, Any]) -> Marks:
    """Return what we noted as ours on a Node.

    Raises
    ------
    NodewiseError
        The annotation is not what we write.
    """
    text = (node["metadata"].get("annotations") or {}).get(ANNOTATION)
    if text is None:
        return Marks()
    try:
        data = json.loads(text)
        return Marks(dict(data["labels"]), {TaintId(*name.rsplit(":", 1)): str(value) for name, value in data["taints"].items()})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        name = node["metadata"]["name"]
        raise NodewiseError(
            f"The annotation {ANNOTATION} of Node {name} is not one of ours: {text!r}.",
            f"kubectl annotate node {name} {ANNOTATION}- (then what was set before stays on the node)",
        ) from error


def _note(marks: Marks) -> str:
    return json.dumps({"labels": marks.labels, "taints": {str(taint): value for taint, value in marks.taints.items()}}, sort_keys=True, separators=(",", ":"))


def conflicts(name: str, node: Mapping[str, Any], wanted: Marks) -> list[str]:
    """Return a sentence for every label or taint that somebody else set on a Node to another value."""
    have, ours = marks_of(node), noted(node)
    labels = _foreign(wanted.labels, have.labels, ours.labels)
    taints = _foreign(wanted.taints, have.taints, ours.taints)
    told = "on Node {0} is {1!r}, which was not set here, and {2!r} is wanted; remove it first (kubectl {3} node {0} {4}-) or drop it from the rules."
    return [
        *(f"The label {key} {told.format(name, have.labels[key], wanted.labels[key], 'label', key)}" for key in labels),
        *(f"The taint {taint} {told.format(name, have.taints[taint], wanted.taints[taint], 'taint', taint)}" for taint in taints),
    ]


def _foreign(wanted: Mapping[_Id, str], have: Mapping[_Id, str], ours: Mapping[_Id, str]) -> list[_Id]:
    return sorted(key for key, value in wanted.items() if key in have and key not in ours and have[key] != value)


def make_change(name: str, node: Mapping[str, Any], wanted: Marks) -> Change | None:
    """Return what has to be done to a Node that has no :func:`conflicts`; None if nothing."""
    have, ours = marks_of(node), noted(node)
    labels, gone_labels, our_labels = _settle(wanted.labels, have.labels, ours.labels)
    taints, gone_taints, our_taints = _settle(wanted.taints, have.taints, ours.taints)
    note = Marks(our_labels, our_taints)
    if not (labels or gone_labels or taints or gone_taints) and note == ours:
        return None
    metadata = {**node["metadata"], "labels": {key: value for key, value in {**have.labels, **labels}.items() if key not in gone_labels}}
    annotations = {key: value for key, value in (metadata.get("annotations") or {}).items() if key != ANNOTATION}
    metadata["annotations"] = {**annotations, **({ANNOTATION: _note(note)} if note else {})}
    touched = {*taints, *gone_taints}
    kept = [taint for taint in node.get("spec", {}).get("taints") or [] if TaintId(taint["key"], taint["effect"]) not in touched]
    new = [{"key": taint.key, "effect": taint.effect, **({"value": value} if value else {})} for taint, value in taints.items()]
    spec = {**node.get("spec", {}), "taints": [*kept, *new]}
    before = Marks({key: have.labels[key] for key in labels if key in have.labels}, {key: have.taints[key] for key in taints if key in have.taints})
    whole = {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": spec}
    return Change(name, whole, Marks(labels, taints), Marks(gone_labels, gone_taints), before)


def _settle(wanted: Mapping[_Id, str], have: Mapping[_Id, str], ours: Mapping[_Id, str]) -> tuple[dict[_Id, str], dict[_Id, str], dict[_Id, str]]:
    """Return what to set, what to remove, and what is ours then.

    What is there already without our note is somebody else's, and stays so; what we set and
    somebody else changed since is theirs once it is not wanted any more.
    """
    to_set = {key: value for key, value in wanted.items() if have.get(key) != value}
    to_remove = {key: value for key, value in ours.items() if key not in wanted and have.get(key) == value}
    own = {key: value for key, value in wanted.items() if key in ours or key in to_set}
    return to_set, to_remove, own
