# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One host's join or leave, step by step, with hosts and an API server that do as they are told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.api.client import NoAnswer
from ansible_collections.nodewise.cluster.plugins.module_utils.api.clock import ServerClock
from ansible_collections.nodewise.cluster.plugins.module_utils.autoscaler import work as work_module
from ansible_collections.nodewise.cluster.plugins.module_utils.autoscaler.decide import Decider, Node, Record, Records
from ansible_collections.nodewise.cluster.plugins.module_utils.autoscaler.nodes import Nodes
from ansible_collections.nodewise.cluster.plugins.module_utils.autoscaler.tokens import NoToken, Token
from ansible_collections.nodewise.cluster.plugins.module_utils.autoscaler.work import Work
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError

from .conftest import group_values, host_values, make, pid, token_ids


class Scene:
    """All that a join or leave meets. What happens is noted in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, power: bool = False) -> None:
        commands = {"power_on": ["/bin/true"], "power_off": ["/bin/true", "off"], "power_timeout_seconds": 6} if power else {}
        hosts = {"s1": host_values(1, **commands), "s2": host_values(2)}
        self.config = make(groups={"a": {**group_values(1, 2), "hosts": hosts, "labels": {"pool": "a"}}}, join_timeout_seconds=10)
        self.log: list[str] = []
        self.records: Records = {}
        self.leading = True
        self.nodes = Nodes()
        self.nodes.store.since = 1.0
        self.failures: dict[str, list[Exception]] = {}
        self.now = 1000.0
        self.on_join: Callable[[], None] = lambda: self.register("s1")
        ids = token_ids()
        decider = Decider(self.config.groups, 60.0, lambda: next(ids))
        self.decider = decider
        self.work = Work(self.config, None, decider, self, self.nodes, self, ServerClock(), lambda: self.leading)  # type: ignore[arg-type]
        monkeypatch.setattr(work_module, "bootstrap_token", self.token)
        monkeypatch.setattr(work_module, "revoke", lambda _client, token_id: self.log.append(f"revoke {token_id}"))
        monkeypatch.setattr(work_module.time, "sleep", self.sleep)
        monkeypatch.setattr(work_module.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(self.nodes, "delete", self.delete)

    def step(self, what: str) -> None:
        """Note what happens, and let it fail if it shall."""
        self.log.append(what)
        if self.failures.get(what):
            raise self.failures[what].pop(0)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    # As Book.

    def change(self, decide: Callable[[Records], Records]) -> Records:
        self.step("write")
        self.records = decide(self.records)
        return self.records

    # As Hosts.

    def join(self, name: str, _host: Any, token: str, _hashes: Any, labels: Any, _taints: Any, deadline: float) -> None:
        assert labels == {"pool": "a"} and deadline > self.now and token
        self.step(f"join {name}")
        self.on_join()

    def leave(self, name: str, _host: Any, _deadline: float) -> None:
        self.step(f"leave {name}")

    def status(self, name: str, _host: Any, _deadline: float) -> str:
        self.step(f"status {name}")
        return "prepared"

    @contextmanager
    def token(self, _client: Any, token_id: str, _clock: Any) -> Iterator[Token]:
        self.step("token")
        try:
            yield Token(f"{token_id}.x", ["sha256:0"])
        finally:
            self.log.append("no token")

    def delete(self, _client: Any, name: str, provider_id: str, only_unready: bool = False) -> None:
        self.step(f"delete {name}{' unless ready' if only_unready else ''}")
        node = self.nodes.store.all().get(name)
        if node is not None and node.provider_id == provider_id and not (only_unready and node.ready):
            self.nodes.store.remove(name)

    def register(self, name: str, ready: bool = True, provider_id: str = "") -> None:
        self.nodes.store.put(name, Node(name, f"uid-{name}", str(len(self.log) + 2), provider_id or pid(name), ready))

    def run(self, record: Record, name: str = "s1") -> str:
        self.records = {**self.records, name: record}
        return self.work.run(name)


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(monkeypatch)


JOINING = Record("joining", token_id="abcdef")
LEAVING = Record("leaving")


def test_a_join(scene: Scene) -> None:
    assert scene.run(JOINING) == "joined"
    assert scene.log == ["token", "join s1", "no token", "write"]
    assert scene.records["s1"].state == "joined"


def test_a_join_that_was_done_before_a_restart_is_not_done_again(scene: Scene) -> None:
    scene.register("s1")
    assert scene.run(JOINING) == "joined"
    assert scene.log == ["revoke abcdef", "write"]


def test_a_host_that_fails(scene: Scene) -> None:
    scene.failures["join s1"] = [NodewiseError("no disk")]
    assert scene.run(JOINING) == "failed"
    assert scene.log == ["token", "join s1", "no token", "delete s1 unless ready", "write"]
    assert scene.records["s1"].reason == "no disk" and scene.records["s2"].state == "joining"


def test_a_node_that_comes_while_its_host_is_given_up_is_kept(scene: Scene) -> None:
    """The host joined, but its answer was lost; the records say failed until the Node is seen."""

    def lost() -> None:
        scene.register("s1")
        raise NodewiseError("join did not end within 10 s")

    scene.on_join = lost
    assert scene.run(JOINING) == "failed"
    records = scene.decider.observe(scene.records, scene.nodes.by_provider_id(), (), 0.0)
    assert records["s1"].state == "joined"


def test_a_cluster_that_gives_no_token_is_not_the_hosts_fault(scene: Scene) -> None:
    scene.failures["token"] = [NoToken("away"), NoToken("not signed")]
    assert scene.run(JOINING) == "joined"
    assert scene.log == ["token", "token", "token", "join s1", "no token", "write"]
    scene.failures["token"] = [NoToken("away")] * 100
    scene.nodes.store.remove("s1")
    assert scene.run(JOINING) == "failed", "not for ever"


@pytest.mark.parametrize(
    ("ready", "provider_id", "reason"),
    [(False, pid("s1"), "its Node is not Ready within 10 s"), (True, "nodewise://x/y", "there is no Node with the provider id nodewise://lab/s1 within 10 s")],
)
def test_a_node_that_is_not_as_it_should_be(scene: Scene, ready: bool, provider_id: str, reason: str) -> None:
    scene.on_join = lambda: scene.register("s1", ready, provider_id)
    assert scene.run(JOINING) == "failed"
    assert reason in scene.records["s1"].reason
    assert (scene.nodes.named("s1") is None) == (provider_id == pid("s1")), "one of others is left alone"


def test_a_join_that_is_not_wanted_any_more_ends_and_writes_nothing(scene: Scene) -> None:
    scene.on_join = lambda: setattr(scene, "records", {"s1": Record("leaving")})
    assert scene.run(JOINING) == "abandoned"
    assert scene.log == ["token", "join s1", "no token"]


def test_who_does_not_lead_does_nothing(scene: Scene) -> None:
    scene.leading = False
    assert scene.run(JOINING) == "abandoned"
    assert "join s1" not in scene.log and "write" not in scene.log
    assert scene.run(LEAVING) == "abandoned"
    assert "leave s1" not in scene.log


def test_an_outcome_is_written_down_however_often_it_takes(scene: Scene) -> None:
    scene.failures["write"] = [NodewiseError("away"), NoAnswer("away")]
    assert scene.run(JOINING) == "joined"
    assert scene.log[-3:] == ["write"] * 3


def test_a_host_that_is_gone_from_the_inventory_is_left_alone(scene: Scene) -> None:
    assert scene.run(JOINING, "s9") == "abandoned" and scene.log == []


def test_a_leave(scene: Scene) -> None:
    scene.register("s1")
    assert scene.run(Record("leaving", token_id="abcdef")) == "left"
    assert scene.log == ["revoke abcdef", "leave s1", "delete s1", "write"], "the Node goes after the host has left, not before"
    assert scene.records == {}


def test_a_host_that_does_not_leave_keeps_its_node(scene: Scene) -> None:
    """It may still run pods: only who knows that it is off may say that it does not."""
    scene.register("s1")
    scene.failures["leave s1"] = [NodewiseError("unreachable")]
    assert scene.run(LEAVING) == "failed"
    assert scene.log == ["leave s1", "write"]
    assert scene.records["s1"].state == "leaving" and scene.records["s1"].reason == "it does not leave: unreachable"


@pytest.mark.parametrize("record", [JOINING, LEAVING, Record("failed", dirty=True)])
def test_a_host_that_others_have_joined_is_neither_joined_nor_reset(scene: Scene, record: Record) -> None:
    scene.register("s1", provider_id="other")
    assert scene.run(record) == "failed"
    assert not {"join s1", "leave s1"} & set(scene.log)
    assert "a Node s1 is there already, with the provider id 'other' instead of 'nodewise://lab/s1'" in scene.records["s1"].reason


def test_a_host_is_turned_on_before_it_joins_and_off_after_it_left(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, power=True)
    ran: list[list[str]] = []
    monkeypatch.setattr(work_module, "_command", lambda argv, timeout: ran.append(list(argv)))
    scene.failures["status s1"] = [NodewiseError("it boots")]
    assert scene.run(JOINING) == "joined"
    assert scene.log == ["status s1", "status s1", "token", "join s1", "no token", "write"]
    assert ran == [["/bin/true"]]
    assert scene.run(LEAVING) == "left"
    assert ran[-1] == ["/bin/true", "off"]
    # One that failed is turned on to be cleaned, and off again.
    ran.clear()
    assert scene.run(Record("failed", dirty=True)) == "left"
    assert ran == [["/bin/true"], ["/bin/true", "off"]]


def test_a_host_that_was_turned_off_by_a_provider_that_ended_before_it_wrote_that_down_leaves_again(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, power=True)
    ran: list[str] = []
    on = True

    def command(argv: list[str], _timeout: float) -> None:
        nonlocal on
        on = "off" not in argv
        ran.append("on" if on else "off")

    def power_off_and_end(argv: list[str], timeout: float) -> None:
        command(argv, timeout)
        scene.leading = False

    def leave(name: str, _host: Any, _deadline: float) -> None:
        scene.step(f"leave {name}")
        if not on:
            raise NodewiseError("192.0.2.21 cannot be reached by SSH: No route to host")

    monkeypatch.setattr(scene, "leave", leave)
    scene.register("s1")
    monkeypatch.setattr(work_module, "_command", power_off_and_end)
    assert scene.run(LEAVING) == "abandoned"
    monkeypatch.setattr(work_module, "_command", command)
    scene.leading = True
    scene.log.clear()
    assert scene.work.run("s1") == "failed"
    assert scene.work.run("s1") == "left"
    assert scene.log == ["leave s1", "write", "status s1", "leave s1", "delete s1", "write"]
    assert ran == ["off", "on", "off"] and scene.records == {}


def test_a_host_that_does_not_boot_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, power=True)
    monkeypatch.setattr(work_module, "_command", lambda argv, timeout: None)
    scene.failures["status s1"] = [NodewiseError("No route to host")] * 9
    assert scene.run(JOINING) == "failed"
    assert "it was turned on, but does not answer within 6 s: No route to host" in scene.records["s1"].reason
    assert "token" not in scene.log


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["/bin/false", "secret"], "^/bin/false failed with exit code 1$"),
        (["/no/such"], "^/no/such cannot be run: No such file or directory$"),
        (["/bin/sleep", "9"], "^/bin/sleep did not end within 0 s$"),
    ],
)
def test_a_power_command_that_fails_says_so_without_its_arguments(argv: list[str], message: str) -> None:
    with pytest.raises(NodewiseError, match=message):
        work_module._command(argv, 0.2)


def test_a_host_that_is_not_turned_off_has_left_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, power=True)

    def broken(_argv: list[str], _timeout: float) -> None:
        raise NodewiseError("no answer from the BMC")

    monkeypatch.setattr(work_module, "_command", broken)
    assert scene.run(LEAVING) == "left" and scene.records == {}
