# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The publisher against a small API server in memory, on a clock of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.api.client import JSON, JSON_PATCH, Answer, NoAnswer
from ansible_collections.nodewise.cluster.plugins.module_utils.api.times import format_time
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.report import schema
from ansible_collections.nodewise.cluster.plugins.module_utils.report.publisher import FAILED, RECALLED, WRITTEN, Publisher
from ansible_collections.nodewise.cluster.plugins.module_utils.report.schedule import next_slot, period, start_delay
from ansible_collections.nodewise.cluster.plugins.module_utils.report.settings import Settings

NODE = "w1"
REPORT = f"{schema.PATH}/{NODE}"
WALL = 1_795_608_000.0
SETTINGS = Settings()


class Clock:
    """Both clocks of a host; only the test moves them."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return WALL + self.now - 1000.0


class Server:
    """As much of an API server as the publisher sees."""

    def __init__(self) -> None:
        self.node: dict[str, Any] | None = {"metadata": {"uid": "uid-1"}, "status": {"allocatable": {"cpu": "4", "memory": "8Gi"}}}
        self.report: dict[str, Any] | None = None
        self.requests: list[str] = []
        self.fault: Callable[[str, str], Answer | Exception | None] = lambda _method, _path: None
        self._version = 0

    def request(self, method: str, path: str, body: Any = None, content_type: str = JSON, accept: str = JSON) -> Answer:
        name, _query, _rest = path.partition("?")
        self.requests.append(f"{method} {path}")
        fault = self.fault(method, name)
        if isinstance(fault, Answer):
            return fault
        if fault is not None:
            raise fault
        if name == f"/api/v1/nodes/{NODE}":
            return answer(200, self.node) if self.node else answer(404, {"message": f'nodes "{NODE}" not found'})
        if method == "POST":
            assert name == schema.PATH
            if self.report:
                return answer(409, {"message": "already exists"})
            # The status of a creation is dropped, since it is a subresource.
            return self._store({"metadata": body["metadata"]})
        if not self.report:
            return answer(404, {"message": f'nodereports "{NODE}" not found'})
        if method == "GET":
            return answer(200, self.report)
        if method == "PATCH":
            assert (name, content_type) == (REPORT, JSON_PATCH)
            owners = next(step["value"] for step in body if step["path"] == "/metadata/ownerReferences")
            return self._store({**self.report, "metadata": {**self.report["metadata"], "ownerReferences": owners}})
        assert (method, name) == ("PUT", f"{REPORT}/status")
        if body["metadata"]["resourceVersion"] != self.report["metadata"]["resourceVersion"]:
            return answer(409, {"message": "the object has been modified"})
        return self._store({**self.report, "status": json.loads(json.dumps(body["status"]))})

    def _store(self, report: dict[str, Any]) -> Answer:
        self._version += 1
        self.report = {**report, "metadata": {**report["metadata"], "resourceVersion": str(self._version)}}
        return answer(200, {"metadata": self.report["metadata"]})

    @property
    def status(self) -> dict[str, Any]:
        assert self.report is not None
        found: dict[str, Any] = self.report["status"]
        return found

    @property
    def owner(self) -> str:
        assert self.report is not None
        (owner,) = self.report["metadata"]["ownerReferences"]
        return str(owner["uid"])


def answer(status: int, value: Any, retry_after: float | None = None) -> Answer:
    return Answer(status, json.dumps(value).encode(), "application/json", 0.01, None, 0.0, retry_after)


def status(clock: Clock, overloaded: bool = False, **others: Any) -> dict[str, Any]:
    condition = {"type": schema.CPU_OVERLOADED, "status": "True" if overloaded else "False"}
    return {"observedAt": format_time(clock.wall()), "bootID": "boot", "agentVersion": "1", "conditions": [condition], **others}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server() -> Server:
    return Server()


def new(server: Server, clock: Clock, draw: float = 1.0) -> Publisher:
    return Publisher(NODE, server, SETTINGS, clock.monotonic, clock.wall, lambda: draw)


@pytest.fixture
def publisher(server: Server, clock: Clock) -> Publisher:
    """Return one that has written its first report."""
    made = new(server, clock)
    clock.now += made.due_in()
    assert made.step().kind == RECALLED
    made.offer(status(clock))
    assert made.due_in() == 0
    assert made.step().kind == WRITTEN
    server.requests.clear()
    return made


def advance(publisher: Publisher, clock: Clock) -> None:
    """Offer the newest sample and go to when it is due."""
    publisher.offer(status(clock))
    clock.now += publisher.due_in()


def test_the_first_report_is_out_at_once(server: Server, clock: Clock) -> None:
    publisher = new(server, clock)
    assert publisher.due_in() == pytest.approx(start_delay(NODE))
    clock.now += publisher.due_in()
    assert publisher.step().kind == RECALLED
    assert (publisher.stored, publisher.allocatable.cpu_millicores, publisher.allocatable.memory_bytes) == (None, 4000, 8 * 2**30)
    assert publisher.due_in() == float("inf"), "there is nothing to write yet"
    publisher.offer(status(clock))
    assert publisher.due_in() == 0
    outcome = publisher.step()
    assert (outcome.kind, outcome.sequence, server.status["sequence"], server.owner) == (WRITTEN, 1, 1, "uid-1")
    assert not any("watch" in request or request == f"GET {schema.PATH}" for request in server.requests)


def test_a_regular_report_is_one_request(publisher: Publisher, server: Server, clock: Clock) -> None:
    times = []
    for _report in range(4):
        advance(publisher, clock)
        assert publisher.step().kind == WRITTEN
        times.append(clock.now)
    assert server.requests == [f"PUT {REPORT}/status"] * 4
    assert [later - earlier for earlier, later in zip(times, times[1:], strict=False)] == pytest.approx([period(NODE, SETTINGS)] * 3)
    assert server.status["sequence"] == 5


def test_the_second_report_comes_at_the_nodes_own_time(publisher: Publisher, clock: Clock) -> None:
    expected = next_slot(NODE, clock.wall() + SETTINGS.min_gap_seconds, SETTINGS)
    advance(publisher, clock)
    assert clock.wall() == pytest.approx(expected, abs=0.001)


def test_the_newest_sample_replaces_earlier_ones(publisher: Publisher, server: Server, clock: Clock) -> None:
    publisher.offer(status(clock, load1m="1.00"))
    publisher.offer(status(clock, load1m="2.00"))
    clock.now += publisher.due_in()
    publisher.step()
    assert server.status["load1m"] == "2.00"
    assert publisher.due_in() == float("inf")


def test_a_figure_that_has_become_unknown_does_not_stay(publisher: Publisher, server: Server, clock: Clock) -> None:
    publisher.offer(status(clock, load1m="1.00"))
    clock.now += publisher.due_in()
    publisher.step()
    advance(publisher, clock)
    publisher.step()
    assert "load1m" not in server.status


def test_a_changed_condition_is_early_but_keeps_the_gap(publisher: Publisher, clock: Clock) -> None:
    publisher.offer(status(clock, overloaded=True))
    assert publisher.due_in() == pytest.approx(min(15.0, next_slot(NODE, clock.wall() + 15, SETTINGS) - clock.wall()))
    clock.now += publisher.due_in()
    publisher.step()
    publisher.offer(status(clock, overloaded=True))
    assert publisher.due_in() > 15
    publisher.offer(status(clock, overloaded=False))
    assert publisher.due_in() == pytest.approx(15)


def test_unknown_and_false_are_no_urgent_difference(publisher: Publisher, clock: Clock) -> None:
    publisher.offer(status(clock))
    regular = publisher.due_in()
    changed = status(clock)
    changed["conditions"][0]["status"] = "Unknown"
    publisher.offer(changed)
    assert publisher.due_in() == regular


def test_a_restart_with_a_current_report_waits_for_the_next_regular_time(publisher: Publisher, server: Server, clock: Clock) -> None:
    clock.now += 1
    after = new(server, clock)
    clock.now += after.due_in()
    assert after.step().kind == RECALLED
    assert after.stored == server.status
    after.offer(status(clock))
    assert clock.wall() + after.due_in() == pytest.approx(next_slot(NODE, WALL + start_delay(NODE) + 15, SETTINGS), abs=0.001)
    clock.now += after.due_in()
    assert after.step().sequence == 2


@pytest.mark.parametrize("change", [{"bootID": "another"}, {"agentVersion": "2"}, {"configDigest": "01234567"}])
def test_after_a_reboot_or_an_upgrade_the_report_is_out_at_once(publisher: Publisher, server: Server, clock: Clock, change: dict[str, str]) -> None:
    after = new(server, clock)
    after.step()
    after.offer({**status(clock), **change})
    assert after.due_in() == 0


def test_a_restart_with_an_old_report_writes_at_once(publisher: Publisher, server: Server, clock: Clock) -> None:
    clock.now += 500
    after = new(server, clock)
    after.step()
    after.offer(status(clock))
    assert after.due_in() == 0


def test_a_report_from_the_future_is_not_trusted(publisher: Publisher, server: Server, clock: Clock) -> None:
    server.status["observedAt"] = format_time(clock.wall() + 3600)
    after = new(server, clock)
    after.step()
    after.offer(status(clock))
    assert after.due_in() == 0


def test_a_deleted_report_is_made_again(publisher: Publisher, server: Server, clock: Clock) -> None:
    server.report = None
    advance(publisher, clock)
    assert publisher.step().kind == WRITTEN
    assert server.status["sequence"] == 3
    assert f"GET /api/v1/nodes/{NODE}" in server.requests, "the UID has to be the present one, not one from a cache"


def test_a_node_made_again_owns_the_new_report(publisher: Publisher, server: Server, clock: Clock) -> None:
    server.report, server.node = None, {"metadata": {"uid": "uid-2"}, "status": {}}
    advance(publisher, clock)
    publisher.step()
    assert server.owner == "uid-2"


def test_a_node_made_again_before_its_report_was_collected_adopts_it(publisher: Publisher, server: Server, clock: Clock) -> None:
    server.node = {"metadata": {"uid": "uid-2"}, "status": {"allocatable": {"cpu": "2"}}}
    for _report in range(7):
        advance(publisher, clock)
        assert publisher.step().kind == WRITTEN
    assert server.owner == "uid-2"
    assert (publisher.allocatable.cpu_millicores, publisher.allocatable.memory_bytes) == (2000, None)


def test_no_node_no_report(publisher: Publisher, server: Server, clock: Clock) -> None:
    server.report = server.node = None
    advance(publisher, clock)
    outcome = publisher.step()
    assert (outcome.kind, server.report) == (FAILED, None)
    assert f"there is no Node {NODE}" in outcome.message
    assert outcome.remedy


def test_another_writer_is_noticed_and_outdone(publisher: Publisher, server: Server, clock: Clock) -> None:
    assert server.report is not None
    server.report["metadata"]["resourceVersion"] = "777"
    server.status["sequence"] = 40
    advance(publisher, clock)
    assert publisher.step().kind == WRITTEN
    assert server.status["sequence"] == 41


def test_a_write_whose_answer_was_lost_is_no_conflict_later(publisher: Publisher, server: Server, clock: Clock) -> None:
    real = server.request

    def lose(method: str, path: str, *args: Any) -> Answer:
        found = real(method, path, *args)
        if method == "PUT":
            raise NoAnswer("10.0.0.1:6443 did not answer within 10 s.")
        return found

    server.request = lose  # type: ignore[method-assign]
    advance(publisher, clock)
    assert publisher.step().kind == FAILED
    server.request = real  # type: ignore[method-assign]
    written = server.status["sequence"]
    advance(publisher, clock)
    assert publisher.step().kind == WRITTEN
    assert server.status["sequence"] > written


def test_a_creation_whose_answer_was_lost_is_taken_over(server: Server, clock: Clock) -> None:
    publisher = new(server, clock)
    publisher.step()
    publisher.offer(status(clock))
    server.report = {"metadata": {"ownerReferences": [{"uid": "uid-0"}], "resourceVersion": "9"}}
    server.fault = lambda method, path: answer(404, {}) if (method, path) == ("GET", REPORT) else None
    assert publisher.step().kind == WRITTEN
    assert server.owner == "uid-1"


def test_retry_after_is_honoured(publisher: Publisher, server: Server, clock: Clock) -> None:
    server.fault = lambda *_args: answer(429, {"message": "too many requests"}, retry_after=30)
    advance(publisher, clock)
    outcome = publisher.step()
    assert (outcome.kind, outcome.status, outcome.retry_in) == (FAILED, 429, 60), "and spread over as long again"
    publisher.offer(status(clock, overloaded=True))
    assert publisher.due_in() == 60, "not even a changed condition comes earlier"


def test_a_nonsensical_retry_after_does_not_silence_the_node(publisher: Publisher, server: Server, clock: Clock) -> None:
    server.fault = lambda *_args: answer(429, {}, retry_after=86400)
    advance(publisher, clock)
    assert publisher.step().retry_in <= 2 * SETTINGS.backoff_cap_seconds


def test_pauses_grow_while_a_refusal_lasts(publisher: Publisher, server: Server, clock: Clock) -> None:
    server.fault = lambda *_args: answer(403, {"message": "forbidden"})
    pauses = []
    for _failure in range(10):
        advance(publisher, clock)
        pauses.append(publisher.step().retry_in)
    assert pauses == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


def test_an_absent_server_is_asked_at_every_regular_time(publisher: Publisher, server: Server, clock: Clock) -> None:
    begin = clock.now
    server.fault = lambda *_args: NoAnswer("10.0.0.1:6443: Connection refused.")
    while clock.now < begin + 1800 and len(server.requests) < 1000:
        advance(publisher, clock)
        publisher.step()
    assert len(server.requests) < 1.5 * 1800 / period(NODE, SETTINGS) + 10, "no more load than in good times, but for the first minute"
    server.fault = lambda *_args: None
    down = clock.now
    advance(publisher, clock)
    newest = status(clock)
    publisher.offer(newest)
    assert publisher.step().kind == WRITTEN
    assert clock.now - down <= period(NODE, SETTINGS) + 1, "current again within one period"
    assert server.status["observedAt"] == newest["observedAt"], "the newest sample, not one that waited"


@pytest.mark.parametrize(
    ("fault", "message", "remedy"),
    [
        (answer(401, {"message": "Unauthorized"}), "HTTP 401: Unauthorized", "certificate"),
        (answer(403, {"message": "cannot update nodereports"}), "HTTP 403: cannot update nodereports", "role reporter"),
        (answer(422, {"message": "a node may write only"}), "HTTP 422: a node may write only", "own name"),
        (answer(500, {"message": "etcdserver: no leader"}), "HTTP 500: etcdserver: no leader", ""),
        (NoAnswer("10.0.0.1:6443: Connection refused."), "Connection refused", "can be reached"),
        (NodewiseError("The certificates in kubelet.conf cannot be used.", "renew it"), "cannot be used", "renew it"),
    ],
)
def test_a_failure_says_what_and_what_to_do(publisher: Publisher, server: Server, clock: Clock, fault: Answer | Exception, message: str, remedy: str) -> None:
    server.fault = lambda *_args: fault
    advance(publisher, clock)
    outcome = publisher.step()
    assert outcome.kind == FAILED
    assert message in outcome.message
    assert remedy in outcome.remedy


def test_a_missing_api_is_told_from_a_missing_report(server: Server, clock: Clock) -> None:
    publisher = new(server, clock)
    publisher.step()
    server.fault = lambda _method, path: answer(404, {"message": "the server could not find the requested resource"}) if path.startswith(schema.PATH) else None
    publisher.offer(status(clock))
    outcome = publisher.step()
    assert (outcome.kind, outcome.status) == (FAILED, 404)
    assert "CustomResourceDefinition" in outcome.remedy


def test_an_answer_of_something_else_is_a_failure(server: Server, clock: Clock) -> None:
    publisher = new(server, clock)
    server.fault = lambda *_args: Answer(200, b"<html>login", "text/html", 0.01, None, 0.0)
    outcome = publisher.step()
    assert outcome.kind == FAILED
    assert "no Kubernetes object: '<html>login'" in outcome.message


def test_the_start_is_tried_again_until_it_works(server: Server, clock: Clock) -> None:
    publisher = new(server, clock)
    server.fault = lambda *_args: NoAnswer("10.0.0.1:6443: Connection refused.")
    assert publisher.step().kind == FAILED
    publisher.offer(status(clock))
    clock.now += publisher.due_in()
    server.fault = lambda *_args: None
    assert publisher.step().kind == RECALLED
    assert publisher.step().kind == WRITTEN


def test_new_settings_hold_from_now_on(publisher: Publisher, clock: Clock) -> None:
    publisher.reconfigure(Settings(publish_seconds=20, jitter_percent=0))
    publisher.offer(status(clock))
    assert publisher.due_in() <= 35


def test_a_report_that_is_too_large_is_written_without_its_last_consumers(server: Server, clock: Clock, publisher: Publisher) -> None:
    names = [f"shop/{'p' * 40}/{number} 100m" for number in range(5)]
    publisher.offer(status(clock, view="x" * 1800, top={"cpu": names, "memory": names}))
    assert publisher.step().kind == WRITTEN
    assert server.status["top"] == {"cpu": names[:3], "memory": names[:3]}
    assert (server.status["sequence"], len(server.status["view"])) == (2, 1800)
