# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carrying decisions out where the API server refuses, is busy or away."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.api.client import Answer
from ansible_collections.nodewise.cluster.plugins.module_utils.api.clock import ServerClock
from ansible_collections.nodewise.cluster.plugins.module_utils.api.store import Store
from ansible_collections.nodewise.cluster.plugins.module_utils.guard.model import TAINT_KEY, NodeState
from ansible_collections.nodewise.cluster.plugins.module_utils.guard.state import State
from ansible_collections.nodewise.cluster.plugins.module_utils.guard.throttle import Throttle
from ansible_collections.nodewise.cluster.plugins.module_utils.guard.writer import Writer

from .conftest import Cluster, make_node, make_report
from .scripted import NO_ANSWER, Client, Clock, answer


def as_api(node: NodeState, version: str = "2", taints: list[dict[str, str]] | None = None) -> dict[str, Any]:
    return {"metadata": {"name": node.name, "uid": node.uid, "resourceVersion": version}, "spec": {"taints": taints or []}, "status": {}}


class Setup:
    def __init__(self, *answers: Any, nodes: int = 1, per_second: int = 100) -> None:
        self.cluster = Cluster()
        self.store: Store[NodeState] = Store()
        for number in range(nodes):
            node = make_node(f"w{number}")
            self.cluster.add(node, make_report("cpu"))
            self.store.put(node.name, node)
        self.client, self.clock, self.state = Client(*answers), Clock(), State()
        self.leading = True
        self.throttle = Throttle(per_second, self.clock)
        self.writer = Writer(self.client, self.store, self.throttle, ServerClock(), self.state, "cp1", lambda: self.leading)  # type: ignore[arg-type]

    def go(self) -> list[str]:
        """Decide and carry out; return what was asked, as C(VERB path)."""
        self.client.asked.clear()
        self.writer.carry_out(self.cluster.outcome().decisions)
        return [f"{method} {path}" for method, path, _body in self.client.asked]


def accepted(method: str, path: str, body: Any) -> Answer:
    return answer(200, as_api(make_node(path.split("/")[4]))) if path.startswith("/api/v1/nodes/") else answer(201)


TAINT, CONDITION, EVENT = "PATCH /api/v1/nodes/w0", "PATCH /api/v1/nodes/w0/status", "POST /apis/events.k8s.io/v1/namespaces/default/events"


def test_taint_condition_event() -> None:
    setup = Setup(accepted)
    assert setup.go() == [TAINT, CONDITION, EVENT]
    _method, _path, body = setup.client.asked[0]
    assert body["metadata"] == {"resourceVersion": "1"}
    assert [taint["key"] for taint in body["spec"]["taints"]] == [TAINT_KEY]
    assert setup.state.writes == {("taint", "200"): 1, ("condition", "200"): 1, ("event", "201"): 1}


def test_all_taints_come_before_any_condition() -> None:
    asked = Setup(accepted, nodes=3).go()
    assert [path.count("/status") for path in asked[:6]] == [0, 0, 0, 1, 1, 1]


def test_nothing_is_written_by_one_who_does_not_lead() -> None:
    setup = Setup(accepted)
    setup.leading = False
    assert setup.go() == []


def test_no_more_than_the_bucket_holds() -> None:
    setup = Setup(accepted, nodes=10, per_second=4)
    assert len(setup.go()) == 4
    assert setup.go() == []
    setup.clock.now += 0.5
    assert len(setup.go()) == 2


@pytest.mark.parametrize(("status", "retry_after", "least"), [(429, 7.0, 7.0), (503, 2.0, 2.0), (429, None, 0.0), (500, None, 0.0), (401, None, 0.0)])
def test_a_busy_api_server_is_left_alone(status: int, retry_after: float | None, least: float) -> None:
    setup = Setup(answer(status, {"message": "slow down"}, retry_after), nodes=3)
    assert setup.go() == [TAINT], "one try, not one for each node"
    if least:
        setup.clock.now += least - 0.01
        assert setup.go() == []
    setup.clock.now += 30
    assert setup.go() == [TAINT]


def test_an_api_server_that_is_away_is_tried_ever_more_rarely() -> None:
    setup = Setup(NO_ANSWER)
    tries = 0
    for _second in range(600):
        setup.clock.now += 1
        tries += len(setup.go())
    assert 20 <= tries <= 100  # pauses of up to 30 s with full jitter
    assert setup.state.writes["taint", "no_answer"] == tries


def test_a_conflict_is_tried_again_with_what_is_true_now() -> None:
    node = make_node("w0")
    fresh = [{"key": "example.com/new", "effect": "PreferNoSchedule"}]
    setup = Setup(answer(409), answer(200, as_api(node, "7", fresh)), accepted)
    assert setup.go()[:3] == [TAINT, "GET /api/v1/nodes/w0", TAINT]
    _method, _path, body = setup.client.asked[2]
    assert body["metadata"] == {"resourceVersion": "7"}
    assert [taint["key"] for taint in body["spec"]["taints"]] == ["example.com/new", TAINT_KEY]


def test_a_conflict_with_something_that_matters_is_decided_anew() -> None:
    """The node has meanwhile got a taint that makes it another pool's."""
    setup = Setup(answer(409), answer(200, as_api(make_node("w0"), "7", [{"key": "example.com/new", "effect": "NoSchedule"}])), accepted)
    assert setup.go() == [TAINT, "GET /api/v1/nodes/w0"]
    assert setup.store.all()["w0"].version == "7"


def test_conflicts_without_end_are_left_for_later() -> None:
    node = make_node("w0")

    def conflict(method: str, _path: str, _body: Any) -> Answer:
        return answer(409) if method == "PATCH" else answer(200, as_api(node))

    assert len(Setup(conflict).go()) == 7


def test_a_node_that_is_gone_is_forgotten() -> None:
    setup = Setup(answer(404))
    setup.go()
    assert setup.store.all() == {}


def test_a_refusal_leaves_one_node_alone_and_goes_on_with_the_others() -> None:
    def refuse_w0(method: str, path: str, body: Any) -> Answer:
        return answer(422, {"message": "no"}) if "/w0" in path else accepted(method, path, body)

    setup = Setup(refuse_w0, nodes=2)
    asked = setup.go()
    assert asked.count(TAINT) == 1 and "PATCH /api/v1/nodes/w1/status" in asked
    assert TAINT not in setup.go(), "not before some seconds have gone by"


def test_events_wait_and_the_oldest_are_dropped() -> None:
    def no_events(method: str, path: str, body: Any) -> Answer:
        return answer(429) if method == "POST" else accepted(method, path, body)

    setup = Setup(no_events, nodes=1100, per_second=1000)
    for _second in range(300):
        setup.clock.now += 1
        decisions = [decision for decision in setup.cluster.outcome().decisions if setup.store.all()[decision.node.name].version == "1"]
        setup.writer.carry_out(decisions)
    assert setup.state.events_dropped == 100


def test_an_event_that_is_refused_holds_nothing_up() -> None:
    def no_events(method: str, path: str, body: Any) -> Answer:
        return answer(403) if method == "POST" else accepted(method, path, body)

    setup = Setup(no_events, nodes=2)
    assert setup.go().count(EVENT) == 2
    assert setup.state.events_dropped == 2
