# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.labels.rules import Marks, TaintId, problems, wanted_marks

NAMES = {"cp1": "cp1", "W1": "w1", "w2": "node-two", "s1": "s1"}
GROUPS = {"all": ["cp1", "W1", "w2", "s1", "bastion"], "workers": ["W1", "w2"], "empty": []}


def rule(*hosts: str, labels: dict[str, Any] | None = None, taints: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {"hosts": list(hosts), "labels": labels, "taints": taints}


def test_hosts_and_groups_become_nodes_and_later_rules_win() -> None:
    rules = [
        rule("workers", labels={"a": "1", "b": "1"}, taints=[{"key": "t", "value": "x", "effect": "NoSchedule"}, {"key": "t", "effect": "NoExecute"}]),
        rule("w2", labels={"b": "2"}, taints=[{"key": "t", "value": None, "effect": "NoSchedule"}]),
        rule("empty", "all", labels={"c": ""}),
    ]
    assert wanted_marks(rules, NAMES, GROUPS) == {
        "w1": Marks({"a": "1", "b": "1", "c": ""}, {TaintId("t", "NoSchedule"): "x", TaintId("t", "NoExecute"): ""}),
        "node-two": Marks({"a": "1", "b": "2", "c": ""}, {TaintId("t", "NoSchedule"): "", TaintId("t", "NoExecute"): ""}),
        "cp1": Marks({"c": ""}),
        "s1": Marks({"c": ""}),
    }


@pytest.mark.parametrize(
    "key",
    [
        "rack",
        "qos.user.cattle.io/qosclass",
        "node-role.kubernetes.io/worker",
        "node-role.kubernetes.io/gpu",
        "topology.kubernetes.io/zone",
        "node-restriction.kubernetes.io/team",
        "x.node-restriction.kubernetes.io/team",
        "notkubernetes.io/x",
    ],
)
@pytest.mark.parametrize("value", ["", "besteffort", "7", "a_b-c.D"])
def test_labels_that_may_be_set(key: str, value: str) -> None:
    assert problems([rule("W1", labels={key: value})], NAMES, GROUPS) == []


NAME_RULE = "a name has 1 to 63 letters, digits, '-', '_' and '.', and starts and ends with a letter or digit"
PREFIX_RULE = "what is before the '/' must be a DNS name of lower-case letters, digits, '-' and '.', at most 253 characters"
VALUE_RULE = "a value is empty, or has at most 63 letters, digits, '-', '_' and '.', and starts and ends with a letter or digit"
TEXT_RULE = "a value is text, so a number, true and false need quotes"
OWN = "take a key with a prefix of your own"


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"-a": "x"}, f"the key '-a' of a label is malformed: {NAME_RULE}."),
        ({"": "x"}, f"the key '' of a label is malformed: {NAME_RULE}."),
        ({"a" * 64: "x"}, f"of a label is malformed: {NAME_RULE}."),
        ({"a b": "x"}, f"the key 'a b' of a label is malformed: {NAME_RULE}."),
        ({"Example.com/a": "x"}, f"the key 'Example.com/a' of a label is malformed: {PREFIX_RULE}."),
        ({"/a": "x"}, f"the key '/a' of a label is malformed: {PREFIX_RULE}."),
        ({"a/b/c": "x"}, f"the key 'a/b/c' of a label is malformed: {PREFIX_RULE}."),
        ({7: "x", "a": "b c"}, f"the value 'b c' of the label a is malformed: {VALUE_RULE}."),
        ({"a": "x" * 64}, f"of the label a is malformed: {VALUE_RULE}."),
        ({"a": "x-"}, f"the value 'x-' of the label a is malformed: {VALUE_RULE}."),
        ({"rack": 7}, f"the value 7 of the label rack is malformed: {TEXT_RULE}."),
        ({"ssd": True}, f"the value True of the label ssd is malformed: {TEXT_RULE}."),
        ({"ssd": None}, f"the value None of the label ssd is malformed: {TEXT_RULE}."),
        ({"kubernetes.io/hostname": "x"}, f"the label kubernetes.io/hostname is set by Kubernetes alone; {OWN}."),
        ({"node-role.kubernetes.io/control-plane": ""}, f"the label node-role.kubernetes.io/control-plane is set by Kubernetes alone; {OWN}."),
        ({"node.kubernetes.io/instance-type": "x"}, "is set by Kubernetes alone"),
        ({"x.k8s.io/y": "x"}, "is set by Kubernetes alone"),
        ({"nodewise.dev/x": "x"}, f"the label nodewise.dev/x is set by this collection alone; {OWN}."),
    ],
)
def test_labels_that_are_refused(labels: dict[str, Any], message: str) -> None:
    (problem,) = problems([rule("W1", labels={"good": "x"}), rule("workers", labels=labels)], NAMES, GROUPS)
    assert problem.startswith("Rule 2 (workers): ")
    assert problem.endswith(message) or message in problem


@pytest.mark.parametrize(
    ("taint", "message"),
    [
        ({"key": "a b"}, f"the key 'a b' of a taint is malformed: {NAME_RULE}."),
        ({"key": "a", "value": "b c"}, f"the value 'b c' of the taint a is malformed: {VALUE_RULE}."),
        ({"key": "node-role.kubernetes.io/control-plane"}, "the taint node-role.kubernetes.io/control-plane is set by Kubernetes alone"),
        ({"key": "node.kubernetes.io/not-ready"}, "is set by Kubernetes alone"),
        ({"key": "nodewise.dev/overloaded"}, "the taint nodewise.dev/overloaded is set by this collection alone"),
        ({"key": "ToBeDeletedByClusterAutoscaler"}, "is set by the cluster autoscaler alone"),
    ],
)
def test_taints_that_are_refused(taint: dict[str, Any], message: str) -> None:
    (problem,) = problems([rule("W1", taints=[{"effect": "NoSchedule", **taint}])], NAMES, GROUPS)
    assert message in problem


def test_hosts_that_the_inventory_does_not_have() -> None:
    assert problems([rule("wokers"), rule("zz"), rule()], NAMES, GROUPS) == [
        "Rule 1 (wokers): the inventory has no host and no group 'wokers'; did you mean workers?",
        "Rule 2 (zz): the inventory has no host and no group 'zz'.",
        "Rule 3 names no hosts; list hosts or groups of the inventory.",
    ]


def test_all_that_is_wrong_is_told_at_once() -> None:
    assert len(problems([rule("nobody", labels={"-": 1}, taints=[{"key": "k8s.io/x", "effect": "NoExecute"}])], NAMES, GROUPS)) == 4
