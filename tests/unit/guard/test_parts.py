# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept of the API's objects, the watch, the clock, the token, the settings, metrics, unit and manifests."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.api import watch as watch_module
from ansible_collections.nodewise.cluster.plugins.module_utils.api.clock import ServerClock, Steps
from ansible_collections.nodewise.cluster.plugins.module_utils.api.store import Store
from ansible_collections.nodewise.cluster.plugins.module_utils.api.token import TokenKeeper, claims, due
from ansible_collections.nodewise.cluster.plugins.module_utils.api.watch import Watcher
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.guard import main as guard_main
from ansible_collections.nodewise.cluster.plugins.module_utils.guard.cluster import Marks, read_marks, remove_marks
from ansible_collections.nodewise.cluster.plugins.module_utils.guard.config import Config, make_config, read_config
from ansible_collections.nodewise.cluster.plugins.module_utils.guard.decide import Outcome
from ansible_collections.nodewise.cluster.plugins.module_utils.guard.manifests import cluster_objects
from ansible_collections.nodewise.cluster.plugins.module_utils.guard.metrics import Collector
from ansible_collections.nodewise.cluster.plugins.module_utils.guard.model import (
    CONDITION_TYPE,
    TAINT_KEY,
    Condition,
    NodeState,
    ReportState,
    Taint,
    node_state,
    report_state,
)
from ansible_collections.nodewise.cluster.plugins.module_utils.guard.requests import condition_patch, event, taints_patch
from ansible_collections.nodewise.cluster.plugins.module_utils.guard.settings import Settings
from ansible_collections.nodewise.cluster.plugins.module_utils.guard.state import State
from ansible_collections.nodewise.cluster.plugins.module_utils.guard.unit import unit_text
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter.notify import Notifier

from .conftest import NOW, Cluster, make_node, make_report, our_taint
from .scripted import NO_ANSWER, Client, answer

NODE: dict[str, Any] = {
    "metadata": {"name": "w1", "uid": "u", "resourceVersion": "12", "creationTimestamp": "2027-01-15T08:00:00Z"},
    "spec": {
        "unschedulable": True,
        "taints": [{"key": TAINT_KEY, "effect": "NoSchedule", "value": "disk", "timeAdded": "2027-01-15T08:00:00Z"}, {"key": "a", "effect": "NoExecute"}],
    },
    "status": {
        "conditions": [
            {"type": "Ready", "status": "True"},
            {"type": CONDITION_TYPE, "status": "True", "reason": "DiskNearlyFull", "lastTransitionTime": "2027-01-15T08:00:00Z"},
        ]
    },
}


def report(observed: str = "2027-01-15T08:00:00.000000Z", expires: str = "2027-01-15T08:03:00Z", **status: Any) -> dict[str, Any]:
    conditions = [{"type": "DiskNearlyFull", "status": "True", "lastTransitionTime": "2027-01-15T07:00:00Z"}, {"type": "CPUOverloaded", "status": "False"}]
    found = {"observedAt": observed, "expiresAt": expires, "conditions": conditions, "percent": {"disk": 91, "cpu": 3}, **status}
    return {"metadata": {"name": "w1", "resourceVersion": "5"}, "status": {name: value for name, value in found.items() if value is not None}}


# -- objects -------------------------------------------------------------------------------------------------------------


def test_what_is_kept_of_a_node() -> None:
    kept = node_state(NODE)
    assert kept == NodeState(
        "w1",
        "u",
        "12",
        NOW,
        True,
        (Taint(TAINT_KEY, "NoSchedule", "disk", "2027-01-15T08:00:00Z"), Taint("a", "NoExecute")),
        Condition("True", "DiskNearlyFull", NOW),
    )
    assert [taint.as_dict() for taint in kept.taints] == NODE["spec"]["taints"], "nothing of a taint is lost"


def test_a_bare_node() -> None:
    kept = node_state({"metadata": {"name": "w1", "uid": "u", "resourceVersion": "1"}})
    assert kept == NodeState("w1", "u", "1", 0.0, False, (), None)


def test_what_is_kept_of_a_report() -> None:
    kept = report_state(report(), NOW + 5, True)
    assert kept == ReportState(NOW, NOW + 180, 180.0, ("True", "Unknown", "False"), (NOW - 3600, None, None), (91, None, 3), "5")


@pytest.mark.parametrize(
    ("late", "just_written", "expires"),
    [
        (5, True, NOW + 180),  # a report as usual
        (3600, True, NOW + 3600 + 180),  # the node's clock is an hour behind: it has just been written, so it is alive
        (3600, False, NOW + 180),  # the same in a list: it may be a dead node's
        (-3600, True, NOW - 3600 + 180),  # an hour ahead
        (-3600, False, NOW - 3600 + 180),
    ],
)
def test_a_node_whose_clock_is_wrong(late: float, just_written: bool, expires: float) -> None:
    kept = report_state(report(), NOW + late, just_written)
    assert kept is not None and kept.expires == expires


@pytest.mark.parametrize("broken", [{"observedAt": None}, {"expiresAt": None}, {"observedAt": "yesterday"}, {"observedAt": "2027-01-15T08:00:00"}])
def test_a_report_without_its_times_is_none(broken: dict[str, Any]) -> None:
    found = report()
    found["status"].update(broken)
    assert report_state(found, NOW, True) is None
    assert report_state({"metadata": {"name": "w1", "resourceVersion": "5"}}, NOW, True) is None


@pytest.mark.parametrize(
    ("observed", "expires"),
    [
        ("0001-01-01T00:00:00+23:59", "2027-01-15T08:03:00Z"),
        ("2027-01-15T08:00:00Z", "9999-12-31T23:59:59-23:59"),
        ("9999-12-31T23:58:59-23:59", "9999-12-31T23:59:59-23:59"),
    ],
)
def test_a_report_of_a_time_that_no_clock_says_is_none(observed: str, expires: str) -> None:
    """Some can be read and not be written back, and would end every decision."""
    assert report_state(report(observed, expires), NOW, True) is None
    assert report_state(report("1970-01-01T00:00:30Z", "1970-01-01T00:03:30Z"), NOW, True) is not None, "a clock that was never set"


def test_patches() -> None:
    node = node_state(NODE)
    assert taints_patch(node, None) == {"metadata": {"resourceVersion": "12"}, "spec": {"taints": [{"key": "a", "effect": "NoExecute"}]}}
    assert taints_patch(make_node("w1", our_taint()), None)["spec"] == {"taints": None}
    body = condition_patch(Condition("False", "Recovered", NOW - 60), "x", NOW)["status"]["conditions"]
    assert body == [
        {
            "type": CONDITION_TYPE,
            "status": "False",
            "reason": "Recovered",
            "message": "x",
            "lastHeartbeatTime": "2027-01-15T08:00:00Z",
            "lastTransitionTime": "2027-01-15T07:59:00Z",
        }
    ]


@pytest.mark.parametrize(
    ("node", "found", "reason", "kind"),
    [
        (make_node(), make_report("cpu"), "OverloadTaintSet", "Warning"),
        (make_node("w1", our_taint()), make_report(), "OverloadTaintRemoved", "Normal"),
        (make_node(), make_report(age=999), "ReportStale", "Warning"),
        (make_node(condition=("Unknown", "ReportStale", 9)), make_report(), "NotOverloaded", "Normal"),
    ],
)
def test_events(node: NodeState, found: ReportState, reason: str, kind: str) -> None:
    cluster = Cluster()
    cluster.add(node, found)
    decision = cluster.decision()
    assert decision is not None
    made = event(decision, "cp1", NOW)
    assert (made["reason"], made["type"], made["regarding"]["uid"], made["note"]) == (reason, kind, "uid-w1", decision.message)


# -- store and watch -----------------------------------------------------------------------------------------------------


def test_an_older_state_never_replaces_a_newer_one() -> None:
    store: Store[NodeState] = Store()
    new = node_state({**NODE, "metadata": {**NODE["metadata"], "resourceVersion": "100"}})
    old = node_state({**NODE, "metadata": {**NODE["metadata"], "resourceVersion": "99"}})
    store.put("w1", new)
    store.put("w1", old)
    store.replace({"w1": old})
    store.refresh("w1", old)
    assert store.all()["w1"].version == "100", "99 is older, though greater as text"
    store.remove("w1")
    store.refresh("w1", new)
    assert store.all() == {}


def watcher(client: Client) -> tuple[Watcher[NodeState], Store[NodeState], list[str]]:
    store: Store[NodeState] = Store()
    ends: list[str] = []
    made = Watcher(client, "/api/v1/nodes", 2, lambda item, _now, _told: node_state(item), store, ServerClock(), ends.append)  # type: ignore[arg-type]
    return made, store, ends


def item(name: str, version: str = "1") -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": name, "resourceVersion": version}}


def page(names: list[str], following: str = "", version: str = "50") -> Any:
    return answer(200, {"metadata": {"resourceVersion": version, "continue": following}, "items": [item(name) for name in names]})


def told(kind: str, one: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": one}).encode()


def test_a_list_by_pages_then_a_watch_from_there() -> None:
    client = Client(page(["a", "b"], "next"), page(["c"]), answer(200))
    client.lines = [told("ADDED", item("d", "51")), told("DELETED", item("a", "52")), told("BOOKMARK", item("", "60"))]
    one, store, ends = watcher(client)
    assert one.round() is None
    assert sorted(store.all()) == ["b", "c", "d"]
    assert store.since is not None
    assert [path for _method, path, _body in client.asked][:2] == ["/api/v1/nodes?limit=2", "/api/v1/nodes?limit=2&continue=next"]
    assert one.round() is None
    assert "resourceVersion=60" in client.asked[-1][1], "a bookmark is where the next watch goes on"
    assert ends == ["timeout", "timeout"]


@pytest.mark.parametrize("at_once", [True, False])
def test_a_version_that_is_too_old_lists_again_and_is_no_break(at_once: bool) -> None:
    client = Client(page(["a", "b"]), answer(200), answer(410) if at_once else answer(200), page(["b"]), answer(200))
    one, store, ends = watcher(client)
    one.round()
    since = store.since
    if not at_once:
        client.lines = [told("ERROR", {"kind": "Status", "code": 410, "message": "too old"})]
    assert one.round() is None
    client.lines = []
    one.round()
    assert (sorted(store.all()), ends, store.since) == (["b"], ["timeout", "expired", "timeout"], since)


@pytest.mark.parametrize(
    ("failure", "pause"), [(NO_ANSWER, 0.0), (answer(429, {"message": "x"}, 9.0), 9.0), (answer(403, {"message": "x"}), 0.0), (answer(200, {"items": []}), 0.0)]
)
def test_a_failure_is_a_break(failure: Any, pause: float) -> None:
    client = Client(page(["a"]), answer(200), failure)
    one, store, ends = watcher(client)
    one.round()
    assert store.since is not None
    if getattr(failure, "status", 0) == 200:
        one._version = ""
    assert one.round() == pause
    assert store.since is None and store.failure.startswith("/api/v1/nodes: ") and ends == ["timeout", "error"]
    assert list(store.all()) == ["a"], "what was known is kept"


def test_a_watch_survives_whatever_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead thread would leave what is known as it was, and that would still count as up to date."""

    class Over(BaseException):
        pass

    client = Client(page(["a"]), answer(200), AttributeError("'NoneType' object has no attribute 'settimeout'"), answer(200))
    one, store, ends = watcher(client)
    seen: list[tuple[float | None, str]] = []

    def pause(_seconds: float) -> None:
        seen.append((store.since, store.failure))

    def count(why: str) -> None:
        ends.append(why)
        if len(ends) == 3:
            raise Over

    monkeypatch.setattr(watch_module.time, "sleep", pause)
    one._count = count
    with pytest.raises(Over):
        one.run()
    assert seen == [(None, "/api/v1/nodes: AttributeError: 'NoneType' object has no attribute 'settimeout'")]
    assert ends == ["timeout", "error", "timeout"]
    assert store.since is not None, "the next watch makes up for it"


def test_an_event_that_could_not_be_taken_over_is_told_again() -> None:
    client = Client(page(["a"]), answer(200))
    client.lines = [told("ADDED", item("b", "51")), told("ADDED", {"metadata": {"name": "c", "resourceVersion": "52"}})]
    one, store, _ends = watcher(client)
    assert one.round() is not None
    client.lines = []
    one.round()
    assert sorted(store.all()) == ["a", "b"]
    assert "resourceVersion=51" in client.asked[-1][1]


# -- clock and token -----------------------------------------------------------------------------------------------------


def test_the_clock_is_the_servers() -> None:
    clock = ServerClock(lambda: 5000.0)
    assert clock.now() == 5000.0
    clock.learn(answer(date=time.time() - 3600))
    assert abs(clock.now() - 1400.0) < 1.5
    before = clock.now()
    clock.learn(answer(date=time.time() - 3600.4))
    assert clock.now() == before, "whole seconds jitter"
    clock.learn(answer())
    assert clock.now() == before


@pytest.mark.parametrize(("step", "noticed"), [(400.0, True), (-400.0, True), (9.0, False), (-9.0, False), (0.0, False)])
def test_a_clock_that_is_set_is_noticed_once(step: float, noticed: bool) -> None:
    steps = Steps()
    assert [steps.look(NOW + second, 50.0 + second) for second in range(3)] == [0, 0, 0]
    assert steps.last == float("-inf")
    assert steps.look(NOW + 3 + step, 53.0) == (step if noticed else 0)
    assert steps.last == (53.0 if noticed else float("-inf"))
    assert steps.look(NOW + 4 + step, 54.0) == 0


def test_a_clock_that_runs_fast_is_not_set() -> None:
    steps = Steps()
    assert not any(steps.look(NOW + second * 1.01, second) for second in range(5000))


@pytest.mark.parametrize("step", [400.0, -4000.0])
def test_a_guard_writes_nothing_because_the_clock_was_set(monkeypatch: pytest.MonkeyPatch, step: float) -> None:
    wall, decided = [NOW], []
    clock = ServerClock(lambda: wall[0])
    monkeypatch.setattr(guard_main, "ServerClock", lambda: clock)
    monkeypatch.setattr(guard_main, "ApiClient", lambda *_given: Client(NO_ANSWER))
    monkeypatch.setattr(guard_main, "serve", lambda *_given: [])
    guard = guard_main.Guard(Config("cp1", token_file="", settings=Settings(max_tainted_percent=100)), Notifier(), 30)
    monkeypatch.setattr(guard._elector, "_until", float("inf"))
    monkeypatch.setattr(guard._writer, "carry_out", lambda decisions: decided.append(list(decisions)))
    guard._nodes.replace({"w1": make_node("w1", our_taint(age=20), condition=("True", "CPUOverloaded", 20)), "w2": make_node("w2")})
    guard._reports.replace({"w1": make_report(age=5), "w2": make_report(age=5)})
    guard._nodes.since = guard._reports.since = time.monotonic() - 5000
    guard._tick()
    wall[0] += step
    guard._tick()
    guard._tick()
    assert decided == [[], [], []]


def token(issued: float, expires: float, node: bool = True) -> str:
    body = {"iat": issued, "exp": expires, "kubernetes.io": {"node": {"name": "cp1", "uid": "u"}} if node else {}}
    return f"x.{base64.urlsafe_b64encode(json.dumps(body).encode()).decode().rstrip('=')}.y"


def test_claims() -> None:
    found = claims(token(100, 800))
    assert (found.issued, found.expires, found.node_name, found.node_uid) == (100, 800, "cp1", "u")
    assert (due(found, 199.9, 1 / 7), due(found, 200, 1 / 7)) == (False, True)
    with pytest.raises(ValueError, match="three parts"):
        claims("secret")


@pytest.mark.parametrize(("age", "renewed"), [(10, False), (86401, True)])
def test_a_token_is_renewed_for_the_same_node(tmp_path: Path, age: float, renewed: bool) -> None:
    path, now = tmp_path / "token", time.time()
    path.write_text(token(now - age, now - age + 7 * 86400))
    client = Client(answer(201, {"status": {"token": token(now, now + 7 * 86400)}}))
    keeper = TokenKeeper(client, "nodewise-guard", str(path), ServerClock())  # type: ignore[arg-type]
    keeper.look(1000.0)
    keeper.look(1001.0)
    assert len(client.asked) == renewed
    if renewed:
        assert client.asked[0][2]["spec"]["boundObjectRef"] == {"apiVersion": "v1", "kind": "Node", "name": "cp1", "uid": "u"}
        assert claims(path.read_text()).issued == now
        assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("failure", [NO_ANSWER, answer(403, {"message": "no"}), answer(201)])
def test_a_token_that_cannot_be_renewed_stays(tmp_path: Path, failure: Any) -> None:
    path = tmp_path / "token"
    path.write_text(token(0, 100))
    client = Client(failure)
    keeper = TokenKeeper(client, "nodewise-guard", str(path), ServerClock())  # type: ignore[arg-type]
    for second in range(0, 601):
        keeper.look(1000.0 + second)
    assert path.read_text() == token(0, 100)
    assert len(client.asked) == 3


# -- settings ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"max_tainted_percent": 0}, r"max_tainted_percent is 0\. .* between 1 and 100"),
        ({"max_tainted_percent": 101}, "between 1 and 100"),
        ({"max_tainted_percent": 33.5}, "not a whole number"),
        ({"max_tainted_percent": True}, "not a whole number"),
        ({"hold_seconds": -1}, "between 0 and 86400"),
        ({"gap_seconds": "60"}, "not a number"),
        ({"grace_seconds": 59}, "between 60 and 3600"),
        ({"writes_per_second": 0}, "between 1 and 1000"),
        ({"unknown": "ignore"}, "one of keep, clear, taint"),
        ({"dry_run": "yes"}, "true or false"),
        ({"max_taint_percent": 5}, "did you mean max_tainted_percent?"),
        ({"effects": {"dsk": "off"}}, r"effects\.dsk is not known\. Remedy: did you mean effects\.disk\?"),
        ({"effects": {"disk": "NoExecute"}}, "never does"),
        ({"effects": {"cpu": "noschedule"}}, "one of off, PreferNoSchedule, NoSchedule"),
        ({"effects": "off"}, "effect for each of"),
    ],
)
def test_a_wrong_setting_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(NodewiseError, match=message):
        Settings.from_mapping(values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "identity is missing"),
        ({"identity": ""}, "identity is empty"),
        ({"identity": "a", "kubeconfig": "x"}, "absolute"),
        ({"identity": "a", "metrics_port": 70000}, "port from 1"),
        ({"identity": "a", "metrics_address": "localhost"}, "no IP address"),
        ({"identity": "a", "metrics_address": "10.0.0.1"}, "plain HTTP is for loopback alone"),
        ({"identity": "a", "metrics_tls_address": "::"}, "give the host.s own address"),
        ({"identity": "a", "log_level": "loud"}, "choose one of"),
        ({"identity": "a", "identty": "b"}, "did you mean identity"),
        ({"identity": "a", "settings": []}, "no mapping"),
        ({"identity": 3}, "not text"),
    ],
)
def test_a_wrong_configuration_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(NodewiseError, match=message):
        make_config(values)


def test_a_configuration_survives_its_file(tmp_path: Path) -> None:
    config = Config("cp1", settings=Settings.from_mapping({"effects": {"cpu": "off"}, "hold_seconds": 5}))
    path = tmp_path / "guard.json"
    path.write_text(config.to_text())
    assert read_config(str(path)) == config
    path.write_text("[]")
    with pytest.raises(NodewiseError, match=f"{path}: it is not a JSON object"):
        read_config(str(path))
    path.write_text("{")
    with pytest.raises(NodewiseError, match="cannot be read"):
        read_config(str(path))
    with pytest.raises(NodewiseError, match="it is missing"):
        read_config(str(tmp_path / "none"))


# -- metrics, unit, manifests, removal -----------------------------------------------------------------------------------


def samples(state: State) -> dict[str, float]:
    return {
        sample.name + "".join(f"{{{value}}}" for value in sample.labels.values()): sample.value
        for family in Collector(state).collect()
        for sample in family.samples
    }


def test_metrics() -> None:
    cluster = Cluster(Settings(max_tainted_percent=50))
    cluster.add(make_node("a"), make_report("cpu"))
    cluster.add(make_node("b"), make_report("cpu"))
    state = State()
    state.made(cluster.outcome(), 0.01)
    assert not any("tainted_nodes" in name for name in samples(state)), "only the leader's count"
    state.leading = True
    state.decided("OverloadTaintSet")
    state.wrote("taint", "200")
    found = samples(state)
    assert found["nodewise_guard_tainted_nodes{cpu}"] == 1
    assert found["nodewise_guard_untainted_nodes{cap}"] == 1
    assert found["nodewise_guard_allowed_tainted_nodes"] == 1
    assert found["nodewise_guard_decisions_total{OverloadTaintSet}"] == 1
    assert found["nodewise_guard_writes_total{taint}{200}"] == 1
    assert "nodewise_guard_clock_skew_seconds" not in found, "unknown is not 0"


def test_health() -> None:
    state = State(failure="away")
    assert state.health(state.decided_at) == ["away"]
    state.failure, state.leading = "", True
    assert state.health(state.decided_at + 60) == []
    assert state.health(state.decided_at + 61) == ["no decision for 61 s"]


def test_a_node_about_which_nothing_can_be_decided_is_told_once_and_stays_in_health(caplog: pytest.LogCaptureFixture) -> None:
    state = State(leading=True)
    for _second in range(3):
        state.made(Outcome(failed={"w1": "ValueError: year 0 is out of range"}), 0.01)
    expected = "w1: nothing can be decided: ValueError: year 0 is out of range"
    assert (caplog.messages, state.health(state.decided_at)) == ([expected], [expected])
    state.made(Outcome(), 0.01)
    assert state.health(state.decided_at) == []


def test_the_unit_has_no_rights_and_no_way_to_the_clusters_keys() -> None:
    lines = unit_text("/opt/p", "/etc/c", 30, 252).splitlines()
    for line in ("DynamicUser=yes", "CapabilityBoundingSet=", "NoNewPrivileges=yes", "ProtectSystem=strict", "RestartSec=5s", "MemoryMax=256M"):
        assert line in lines
    assert any(line.startswith("InaccessiblePaths=") and "/etc/kubernetes" in line for line in lines)
    assert "RestartSteps=6" in unit_text("/opt/p", "/etc/c", 30, 254)


def test_the_rights_are_narrow() -> None:
    rules = [rule for one in cluster_objects() for rule in one.get("rules", [])]
    verbs = {(resource, verb) for rule in rules for resource in rule["resources"] for verb in rule["verbs"]}
    assert not [one for one in verbs if one[1] in ("*", "delete", "deletecollection", "impersonate", "escalate", "bind")]
    certificates = {"certificatesigningrequests", "certificatesigningrequests/approval", "signers", "configmaps"}
    assert {resource for resource, _verb in verbs} == {"nodes", "nodes/status", "nodereports", "leases", "serviceaccounts/token", "events", *certificates}
    named = {resource: rule.get("resourceNames") for rule in rules for resource in rule["resources"]}
    assert (named["signers"], named["configmaps"]) == (["kubernetes.io/kubelet-serving"], ["nodewise-kubelet-addresses"])
    assert ("signers", "approve") in verbs and ("certificatesigningrequests", "create") not in verbs
    assert all(rule.get("resourceNames") == ["nodewise-guard"] for rule in rules if rule["resources"] == ["serviceaccounts/token"])


class Kubectl:
    def __init__(self, out: str) -> None:
        self.out = out
        self.calls: list[list[str]] = []

    def run(self, args: list[str], ok: tuple[int, ...] = (0,)) -> tuple[int, str, str]:
        self.calls.append(list(args))
        return 0, self.out, ""


def test_marks_are_found_and_removed_many_at_a_time() -> None:
    lines = "".join(f"n{number}\texample.com/a,{TAINT_KEY},\tTrue\n" for number in range(250)) + f"x\t{TAINT_KEY},\t\ny\t\tFalse\nz\texample.com/a,\t\n"
    kubectl = Kubectl(lines)
    marked = list(read_marks(kubectl))  # type: ignore[arg-type]
    assert len(marked) == 252
    assert marked[-2:] == [Marks("x", 0, False), Marks("y", None, True)]
    kubectl.calls.clear()
    remove_marks(kubectl, marked)  # type: ignore[arg-type]
    assert [len([one for one in call if not one.startswith("-")]) - 2 for call in kubectl.calls] == [1, 100, 100, 50, 100, 100, 51]
    assert '"path": "/spec/taints/1/key"' in kubectl.calls[1][-1]
