# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.kube.kubectl import Kubectl
from ansible_collections.nodewise.cluster.plugins.module_utils.kubelet.health import Health

# 2026-11-25 10:00:00 UTC
TEN = 1795600800


class FakeKubectl(Kubectl):
    """A kubectl that knows one node."""

    def __init__(self, status: str, heartbeat: str) -> None:
        super().__init__()
        self.node: dict[str, Any] | None = {"status": {"conditions": [{"type": "Ready", "status": status, "lastHeartbeatTime": heartbeat}]}}

    def get(self, *args: str) -> dict[str, Any] | None:
        assert args == ("node", "w1")
        if self.node is None:
            raise NodewiseError("no API server")
        return self.node


class FakeHealth(Health):
    """A kubelet that follows a script: at each second, what /healthz and NRestarts say."""

    def __init__(self, answers: Callable[[float], bool], exits: Callable[[float], int] = lambda t: 0, ready: Callable[[float], bool] = lambda t: True) -> None:
        self.time = 0.0
        self.asked: list[float | None] = []
        self._script = (answers, exits, ready)
        super().__init__("w1", FakeKubectl("True", ""), clock=lambda: self.time, sleep=self._pass)

    def _pass(self, seconds: float) -> None:
        self.time += seconds

    def answers(self, configuration: Any) -> bool:
        return self._script[0](self.time)

    def exits(self) -> int:
        return self._script[1](self.time)

    def node_ready(self, since: float | None = None) -> bool | None:
        self.asked.append(since)
        return self._script[2](self.time)


@pytest.mark.parametrize(
    ("status", "heartbeat", "since", "ready"),
    [
        ("True", "2026-11-25T10:00:00Z", None, True),
        ("True", "2026-11-25T10:00:00Z", TEN + 0.9, True),
        ("True", "2026-11-25T10:00:00Z", TEN + 1.1, False),
        ("False", "2026-11-25T10:00:05Z", TEN, False),
        ("Unknown", "2026-11-25T10:00:05Z", None, False),
    ],
)
def test_ready_counts_only_if_reported_after_the_restart(status: str, heartbeat: str, since: float | None, ready: bool) -> None:
    assert Health("w1", FakeKubectl(status, heartbeat)).node_ready(since) is ready


def test_a_restart_waits_for_a_second_in_which_the_old_kubelet_has_sent_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [TEN + 0.75]
    monkeypatch.setattr("time.time", lambda: clock[0])
    health = Health("w1", FakeKubectl("True", "2026-11-25T10:00:00Z"), sleep=lambda seconds: clock.append(clock.pop() + seconds))
    since = health.next_second()
    assert since == TEN + 1
    assert health.node_ready(since) is False


def test_a_node_that_cannot_be_read_is_not_known_to_be_ready() -> None:
    kubectl = FakeKubectl("True", "")
    kubectl.node = None
    assert Health("w1", kubectl).node_ready() is None


def test_waiting_ends_when_healthy_and_ready() -> None:
    health = FakeHealth(answers=lambda t: t >= 2, ready=lambda t: t >= 5)
    health.wait({}, 100.0, True, 60)
    assert 5 <= health.time < 7
    assert set(health.asked) == {100.0}


def test_a_node_that_need_not_be_ready_must_stay_healthy_for_a_while() -> None:
    health = FakeHealth(answers=lambda t: t >= 1)
    health.wait({}, 100.0, False, 60)
    assert 7 <= health.time < 8
    assert health.asked == []


def test_a_kubelet_that_ended_once_must_be_steady_from_then_on() -> None:
    # /healthz answers at each look, but at 4 s it is another process that does.
    health = FakeHealth(answers=lambda t: True, exits=lambda t: int(t >= 4))
    health.wait({}, 100.0, False, 60)
    assert 10 <= health.time < 11


def test_waiting_ends_early_if_it_ends_again_and_again() -> None:
    health = FakeHealth(answers=lambda t: False, exits=lambda t: 3 + int(t // 5))
    with pytest.raises(NodewiseError, match="it ended by itself 2 times"):
        health.wait({}, 100.0, True, 60)
    assert health.time < 11


def test_waiting_ends_at_the_deadline_with_what_is_missing() -> None:
    with pytest.raises(NodewiseError, match="its /healthz does not answer after 20 s"):
        FakeHealth(answers=lambda t: False).wait({}, 100.0, True, 20)
    with pytest.raises(NodewiseError, match="Node w1 is not Ready after 20 s"):
        FakeHealth(answers=lambda t: True, ready=lambda t: False).wait({}, 100.0, True, 20)


def test_healthz_that_is_switched_off_counts_as_answering() -> None:
    assert Health("w1", FakeKubectl("True", "")).answers({"healthzPort": 0})
    # Nothing listens on port 1.
    assert not Health("w1", FakeKubectl("True", "")).answers({"healthzPort": 1, "healthzBindAddress": "0.0.0.0"})
