# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.labels.cluster import carry_out, make_plan, read_nodes
from ansible_collections.nodewise.cluster.plugins.module_utils.labels.plan import ANNOTATION
from ansible_collections.nodewise.cluster.plugins.module_utils.labels.rules import Marks, TaintId

CONTROL_PLANE = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
OVERLOADED = {"key": "nodewise.dev/overloaded", "effect": "PreferNoSchedule", "timeAdded": "2026-11-25T10:00:00Z"}
T = TaintId("t", "NoSchedule")


def node(name: str = "w1", labels: dict[str, str] | None = None, taints: Sequence[dict[str, str]] = (), ours: dict[str, Any] | None = None) -> dict[str, Any]:
    note = {ANNOTATION: json.dumps({"labels": {}, "taints": {}, **ours})} if ours else {}
    metadata = {"name": name, "resourceVersion": "1", "labels": {"kubernetes.io/hostname": name, **(labels or {})}, "annotations": {"theirs": "x", **note}}
    return {"metadata": metadata, "spec": {"podCIDR": "10.244.1.0/24", **({"taints": list(taints)} if taints else {})}, "status": {"images": []}}


class Api:
    """Nodes, and replacing them as the API server does."""

    def __init__(self, *nodes: dict[str, Any]) -> None:
        self.nodes = {item["metadata"]["name"]: item for item in nodes}
        self.written: list[list[str]] = []
        self.meanwhile: list[str] = []

    def get(self, _kind: str) -> dict[str, Any]:
        return {"items": [json.loads(json.dumps(item)) for item in self.nodes.values()]}

    def run(self, args: Sequence[str], stdin: str) -> None:
        assert args[0] == "replace"
        items = json.loads(stdin)["items"]
        self.written.append([item["metadata"]["name"] for item in items])
        if self.meanwhile:
            self.nodes[self.meanwhile.pop()]["metadata"]["resourceVersion"] += "1"
        failed = ""
        for item in items:
            live = self.nodes[item["metadata"]["name"]]
            if item["metadata"]["resourceVersion"] != live["metadata"]["resourceVersion"]:
                failed = "Operation cannot be fulfilled on nodes: the object has been modified; please apply your changes to the latest version"
                continue
            item["metadata"]["resourceVersion"] += "1"
            self.nodes[item["metadata"]["name"]] = {**item, "status": live["status"]}
        if failed:
            raise NodewiseError(failed)


def settle(api: Any, **wanted: Marks) -> list[str]:
    plan = make_plan(read_nodes(api), wanted, wanted)
    carry_out(api, plan, wanted)
    return plan.actions()


def labels_of(api: Api, name: str = "w1") -> dict[str, str]:
    return {key: value for key, value in api.nodes[name]["metadata"]["labels"].items() if key != "kubernetes.io/hostname"}


def note_of(api: Api, name: str = "w1") -> dict[str, Any] | None:
    text = api.nodes[name]["metadata"]["annotations"].get(ANNOTATION)
    return json.loads(text) if text else None


# -- setting -----------------------------------------------------------------------------------------------------------------


def test_labels_and_taints_are_set_once() -> None:
    api = Api(node(taints=[CONTROL_PLANE, OVERLOADED]), node("w2"))
    wanted = Marks({"qos": "besteffort"}, {T: "x"})
    assert settle(api, w1=wanted) == ["set label qos=besteffort on w1", "set taint t=x:NoSchedule on w1"]
    assert labels_of(api) == {"qos": "besteffort"}
    # Those of others are as they were, to the last field.
    assert api.nodes["w1"]["spec"] == {"podCIDR": "10.244.1.0/24", "taints": [CONTROL_PLANE, OVERLOADED, {"key": "t", "value": "x", "effect": "NoSchedule"}]}
    assert note_of(api) == {"labels": {"qos": "besteffort"}, "taints": {"t:NoSchedule": "x"}}
    assert settle(api, w1=wanted) == []
    assert api.written == [["w1"]]


def test_all_nodes_are_written_with_one_call() -> None:
    names = [f"n{number}" for number in range(50)]
    api = Api(*(node(name) for name in names))
    settle(api, **{name: Marks({"a": "b"}) for name in names})
    assert api.written == [names]


def test_the_status_is_not_sent() -> None:
    (change,) = make_plan({"w1": node()}, {"w1": Marks({"a": "b"})}, ()).changes
    assert set(change.node) == {"apiVersion", "kind", "metadata", "spec"}
    assert change.node["metadata"]["resourceVersion"] == "1"


def test_a_change_is_shown() -> None:
    api = node(labels={"a": "1", "b": "1"}, ours={"labels": {"a": "1", "b": "1"}, "taints": {}})
    (shown,) = make_plan({"w1": api}, {"w1": Marks({"a": "2"}, {T: ""})}, ()).diff()
    assert (shown["before"], shown["after"]) == ("label a=1\nlabel b=1\n", "label a=2\ntaint t:NoSchedule\n")


def test_ours_that_was_changed_by_hand_is_put_back() -> None:
    api = Api(node(labels={"a": "hand"}, ours={"labels": {"a": "1", "gone": "1"}, "taints": {"t:NoSchedule": "x"}}))
    assert settle(api, w1=Marks({"a": "1", "gone": "1"}, {T: "x"})) == ["set label a=1 on w1", "set label gone=1 on w1", "set taint t=x:NoSchedule on w1"]


# -- removing ----------------------------------------------------------------------------------------------------------------


def test_what_was_set_and_is_wanted_no_more_goes() -> None:
    api = Api(node(taints=[CONTROL_PLANE]), node("w2"))
    settle(api, w1=Marks({"a": "1", "b": "1"}, {T: "", TaintId("t", "NoExecute"): ""}), w2=Marks({"a": "1"}))
    assert settle(api, w1=Marks({"a": "1"}, {T: ""})) == ["remove label b=1 from w1", "remove taint t:NoExecute from w1", "remove label a=1 from w2"]
    assert (labels_of(api), labels_of(api, "w2")) == ({"a": "1"}, {})
    settle(api)
    assert (labels_of(api), note_of(api), note_of(api, "w2")) == ({}, None, None)
    assert api.nodes["w1"]["spec"]["taints"] == [CONTROL_PLANE]
    assert api.nodes["w1"]["metadata"]["annotations"] == {"theirs": "x"}
    assert settle(api) == []


def test_what_somebody_else_set_since_stays_when_it_is_wanted_no_more() -> None:
    taint = {"key": "t", "value": "theirs", "effect": "NoSchedule"}
    api = Api(node(labels={"a": "theirs"}, taints=[taint], ours={"labels": {"a": "1"}, "taints": {"t:NoSchedule": "x"}}))
    assert settle(api) == ["note on w1 what is ours"]
    assert (labels_of(api), api.nodes["w1"]["spec"]["taints"], note_of(api)) == ({"a": "theirs"}, [taint], None)


# -- what is others' ---------------------------------------------------------------------------------------------------------


def test_what_is_there_already_stays_others() -> None:
    api = Api(node(labels={"a": "1"}, taints=[{"key": "t", "effect": "NoSchedule"}]))
    assert settle(api, w1=Marks({"a": "1"}, {T: ""})) == []
    assert settle(api) == []
    assert (labels_of(api), api.written) == ({"a": "1"}, [])


def test_another_value_of_others_is_refused_before_any_node_is_written() -> None:
    api = Api(node("w0"), node(labels={"a": "1"}, taints=[{"key": "t", "value": "x", "effect": "NoSchedule"}]))
    with pytest.raises(NodewiseError) as caught:
        settle(api, w0=Marks({"a": "2"}), w1=Marks({"a": "2"}, {T: "y"}))
    assert str(caught.value) == (
        "Nothing was changed, for labels and taints of others are in the way: "
        "The label a on Node w1 is '1', which was not set here, and '2' is wanted; remove it first (kubectl label node w1 a-) or drop it from the rules. "
        "The taint t:NoSchedule on Node w1 is 'x', which was not set here, and 'y' is wanted; "
        "remove it first (kubectl taint node w1 t:NoSchedule-) or drop it from the rules."
    )
    assert api.written == []


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"labels": {}, "taints": {"x": ""}}', '{"labels": 1, "taints": {}}'])
def test_a_note_that_is_not_ours(text: str) -> None:
    broken = node()
    broken["metadata"]["annotations"][ANNOTATION] = text
    with pytest.raises(NodewiseError, match="The annotation nodewise.dev/node-labels of Node w1 is not one of ours"):
        make_plan({"w1": broken}, {}, ())


# -- somebody else writes at the same time, and nodes that are not there ---------------------------------------------------


def test_a_node_that_was_written_meanwhile_is_read_again() -> None:
    api = Api(node("w1"), node("w2"))
    api.meanwhile = ["w2"]
    settle(api, w1=Marks({"a": "1"}), w2=Marks({"a": "1"}))
    assert api.written == [["w1", "w2"], ["w2"]]
    assert (labels_of(api), labels_of(api, "w2")) == ({"a": "1"}, {"a": "1"})


def test_it_is_not_tried_for_ever() -> None:
    api = Api(node())
    api.meanwhile = ["w1"] * 100
    with pytest.raises(NodewiseError, match="the object has been modified"):
        settle(api, w1=Marks({"a": "1"}))
    assert len(api.written) == 6


def test_another_error_is_not_tried_again() -> None:
    class Down(Api):
        def run(self, args: Sequence[str], stdin: str) -> None:
            super().run(args, stdin)
            raise NodewiseError("admission webhook denied the request")

    api = Down(node())
    with pytest.raises(NodewiseError, match="denied"):
        settle(api, w1=Marks({"a": "1"}))
    assert len(api.written) == 1


def test_missing_nodes() -> None:
    wanted = {"w1": Marks({"a": "1"}), "w3": Marks({"a": "1"}), "s1": Marks({"a": "1"})}
    plan = make_plan({"w1": node()}, wanted, ["w1", "w2", "w3"])
    assert (plan.missing, [change.name for change in plan.changes]) == (["w3"], ["w1"])
    predicted = make_plan({}, wanted, ["w1", "w2", "w3"], predict=True)
    assert predicted.actions() == ["set label a=1 on w1", "set label a=1 on w3"]
