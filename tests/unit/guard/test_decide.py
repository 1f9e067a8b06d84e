# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decisions: one step at a time, then over time."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.api.times import format_time
from ansible_collections.nodewise.cluster.plugins.module_utils.guard.model import CAUSES, TAINT_KEY, Condition, Taint
from ansible_collections.nodewise.cluster.plugins.module_utils.guard.settings import Settings

from .conftest import NOW, Cluster, make_node, make_report, our_taint

FREE = {"max_tainted_percent": 100}
ON = ("True", "CPUOverloaded", 600.0)


# -- what a report means -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overloaded", "value", "effect", "reason"),
    [
        (("cpu",), "cpu", "PreferNoSchedule", "CPUOverloaded"),
        (("memory",), "memory", "PreferNoSchedule", "MemoryOverloaded"),
        (("disk",), "disk", "NoSchedule", "DiskNearlyFull"),
        (("cpu", "memory"), "memory", "PreferNoSchedule", "MemoryOverloaded"),
        (("cpu", "disk"), "disk", "NoSchedule", "DiskNearlyFull"),
        (("cpu", "memory", "disk"), "disk", "NoSchedule", "DiskNearlyFull"),
    ],
)
def test_an_overloaded_node_gets_one_taint_for_its_worst_cause(cluster: Cluster, overloaded: tuple[str, ...], value: str, effect: str, reason: str) -> None:
    cluster.add(make_node(), make_report(*overloaded))
    decision = cluster.decision()
    assert decision is not None
    assert decision.taint == Taint(TAINT_KEY, effect, value, format_time(NOW, 0))
    assert decision.condition == Condition("True", reason, NOW)
    assert decision.told


def test_the_message_has_the_numbers(cluster: Cluster) -> None:
    cluster.add(make_node(), make_report("cpu", percent=97))
    decision = cluster.decision()
    assert decision is not None
    assert decision.message == f"disk 40 %, memory 40 %, cpu 97 % (report of {format_time(NOW - 30, 0)}): tainted cpu:PreferNoSchedule"


def test_a_node_that_is_fine_is_only_told_so_once(cluster: Cluster) -> None:
    cluster.add(make_node(condition=None), make_report())
    decision = cluster.decision()
    assert decision is not None
    assert (decision.write_taint, decision.condition, decision.told) == (False, Condition("False", "NotOverloaded", NOW), False)
    cluster.step()
    assert cluster.decision() is None


def test_taints_of_others_are_kept_and_in_order(cluster: Cluster) -> None:
    others = (Taint("example.com/a", "NoSchedule", "1"), Taint("example.com/b", "PreferNoSchedule"))
    cluster.settings = Settings(**FREE)
    cluster.add(make_node("w1", *others), make_report("cpu"))
    cluster.step()
    assert cluster.nodes["w1"].taints[:2] == others
    cluster.reports["w1"] = make_report()
    cluster.step(200)
    assert cluster.nodes["w1"].taints == others


def test_a_second_taint_of_ours_is_merged_into_one(cluster: Cluster) -> None:
    cluster.add(make_node("w1", our_taint("cpu"), our_taint("disk", "NoSchedule"), condition=ON), make_report("cpu"))
    decision = cluster.decision()
    assert decision is not None and decision.write_taint and decision.taint == our_taint("cpu")


def test_a_taint_set_by_hand_is_taken_over(cluster: Cluster) -> None:
    """It has no time and a value that is none of ours: it may go at once."""
    cluster.add(make_node("w1", Taint(TAINT_KEY, "NoExecute", "maintenance")), make_report())
    cluster.step()
    assert cluster.tainted() == {}


def test_a_removed_taint_comes_back_while_the_cause_lasts(cluster: Cluster) -> None:
    cluster.add(make_node(condition=ON), make_report("cpu"))
    cluster.step()
    assert cluster.tainted() == {"w1": "cpu"}


@pytest.mark.parametrize(("overloaded", "tainted"), [(("cpu",), {}), (("cpu", "memory"), {"w1": "memory"}), (("cpu", "disk"), {"w1": "disk"})])
def test_an_effect_that_is_off(overloaded: tuple[str, ...], tainted: dict[str, str]) -> None:
    cluster = Cluster(Settings.from_mapping({**FREE, "effects": {"cpu": "off"}}))
    cluster.add(make_node(), make_report(*overloaded))
    outcome = cluster.step()
    assert cluster.tainted() == tainted
    assert outcome.untainted["effect_off"] == (0 if tainted else 1)
    condition = cluster.nodes["w1"].condition
    assert condition is not None and condition.status == "True"
    assert condition.reason == ("NotTaintedEffectOff" if not tainted else condition.reason)


@pytest.mark.parametrize("report", [make_report("cpu"), make_report(), None, make_report(age=500), make_report(unread=("cpu",))])
def test_turning_an_effect_off_removes_its_taint_at_once(report: object) -> None:
    cluster = Cluster(Settings.from_mapping({**FREE, "effects": {"cpu": "off"}, "unknown": "keep"}))
    cluster.add(make_node("w1", our_taint("cpu", age=1), condition=ON), report)  # type: ignore[arg-type]
    cluster.step()
    assert cluster.tainted() == {}


def test_another_effect_is_written_and_the_time_kept() -> None:
    cluster = Cluster(Settings.from_mapping({**FREE, "effects": {"cpu": "NoSchedule"}}))
    cluster.add(make_node("w1", our_taint("cpu"), condition=ON), make_report("cpu"))
    decision = cluster.decision()
    assert decision is not None
    assert decision.taint == our_taint("cpu", "NoSchedule") and decision.condition is None


# -- unknown -------------------------------------------------------------------------------------------------------------

STALE, MISSING, INCOMPLETE = make_report(age=181), None, make_report(unread=("cpu",), unread_for=181)


@pytest.mark.parametrize(("report", "reason"), [(STALE, "ReportStale"), (MISSING, "ReportMissing"), (INCOMPLETE, "ReportIncomplete")])
@pytest.mark.parametrize(
    ("policy", "before", "after"),
    [("clear", "", ""), ("clear", "cpu", ""), ("keep", "", ""), ("keep", "cpu", "cpu"), ("taint", "", "unknown"), ("taint", "cpu", "cpu")],
)
def test_an_unknown_node_follows_the_policy_and_the_condition_says_so(report: object, reason: str, policy: str, before: str, after: str) -> None:
    cluster = Cluster(Settings(unknown=policy, **FREE))  # type: ignore[arg-type]
    cluster.add(make_node("w1", *([our_taint(before)] if before else []), condition=ON if before else None), report)  # type: ignore[arg-type]
    outcome = cluster.step()
    assert cluster.tainted() == ({"w1": after} if after else {})
    assert cluster.nodes["w1"].condition == Condition("Unknown", reason, NOW)
    assert outcome.unknown == 1
    assert cluster.decision() is None


@pytest.mark.parametrize(("age", "known"), [(180 - 1e-3, True), (180, False)])
def test_a_report_is_stale_once_it_expires(cluster: Cluster, age: float, known: bool) -> None:
    cluster.add(make_node(), make_report(age=age))
    assert (cluster.outcome().unknown == 0) is known


@pytest.mark.parametrize(("age", "known"), [(179.9, True), (180, False)])
def test_a_new_node_has_time_for_its_first_report(cluster: Cluster, age: float, known: bool) -> None:
    cluster.add(make_node(age=age, condition=None))
    assert (cluster.decision() is None) is known


@pytest.mark.parametrize("report", [STALE, MISSING])
def test_after_an_outage_reporters_have_time_to_report(cluster: Cluster, report: object) -> None:
    """They could not report either: not a single taint may go because of that."""
    cluster.watching_since = NOW - 179
    cluster.add(make_node("w1", our_taint("cpu"), condition=ON), report)  # type: ignore[arg-type]
    assert cluster.decision() is None
    cluster.watching_since = NOW - 180
    assert cluster.decision() is not None


def test_a_reporter_that_has_just_started_changes_nothing(cluster: Cluster) -> None:
    """Its first report has no CPU rate."""
    cluster.add(make_node("w1", our_taint("cpu"), condition=ON), make_report(unread=("cpu",), unread_for=10))
    cluster.add(make_node("w2"), make_report(unread=("cpu",), unread_for=10))
    assert cluster.outcome().decisions == []


def test_a_worse_cause_counts_even_if_the_taints_own_is_unread(cluster: Cluster) -> None:
    cluster.add(make_node("w1", our_taint("cpu"), condition=ON), make_report("disk", unread=("cpu",)))
    cluster.step()
    assert cluster.tainted() == {"w1": "disk"}


def test_a_lesser_cause_does_not_replace_one_that_is_unread(cluster: Cluster) -> None:
    cluster.add(make_node("w1", our_taint("disk", "NoSchedule"), condition=("True", "DiskNearlyFull", 600)), make_report("cpu", unread=("disk",)))
    assert cluster.decision() is None
    cluster.reports["w1"] = make_report("cpu", unread=("disk",), unread_for=181)
    cluster.step()
    assert cluster.tainted() == {"w1": "cpu"}


def test_a_stale_node_that_reports_again_is_decided_as_any_other(cluster: Cluster) -> None:
    cluster.add(make_node(condition=("Unknown", "ReportStale", 10)), make_report("cpu"))
    cluster.step()
    assert cluster.tainted() == {"w1": "cpu"}


# -- hold and gap --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("age", "kept"), [(0, True), (119, True), (120, False), (-60, True), (-120, False)])
def test_a_taint_is_held(cluster: Cluster, age: float, kept: bool) -> None:
    """A negative age is that of a taint whose writer's clock was ahead."""
    cluster.add(make_node("w1", our_taint(age=age), condition=ON), make_report())
    outcome = cluster.step()
    assert cluster.tainted() == ({"w1": "cpu"} if kept else {})
    assert outcome.held == kept
    assert cluster.nodes["w1"].condition == (Condition("True", "CPUOverloaded", NOW - 600) if kept else Condition("False", "Recovered", NOW))


@pytest.mark.parametrize(("age", "value"), [(119, "disk"), (120, "cpu")])
def test_a_lesser_cause_waits_for_the_hold(cluster: Cluster, age: float, value: str) -> None:
    cluster.add(make_node("w1", our_taint("disk", "NoSchedule", age=age), condition=("True", "DiskNearlyFull", age)), make_report("cpu"))
    cluster.step()
    assert cluster.tainted() == {"w1": value}


def test_a_worse_cause_waits_for_nothing_and_is_held_anew(cluster: Cluster) -> None:
    cluster.add(make_node("w1", our_taint("cpu", age=1), condition=ON), make_report("disk"))
    cluster.step()
    assert cluster.nodes["w1"].ours == (Taint(TAINT_KEY, "NoSchedule", "disk", format_time(NOW, 0)),)
    assert cluster.nodes["w1"].condition == Condition("True", "DiskNearlyFull", NOW - 600), "the status did not change, so its time did not either"


@pytest.mark.parametrize(("age", "tainted"), [(59, False), (60, True)])
def test_the_next_taint_waits_for_the_gap(cluster: Cluster, age: float, tainted: bool) -> None:
    cluster.add(make_node(condition=("False", "Recovered", age)), make_report("cpu"))
    outcome = cluster.step()
    assert cluster.tainted() == ({"w1": "cpu"} if tainted else {})
    assert outcome.untainted["gap"] == (not tainted)
    assert tainted or outcome.decisions == []


def test_a_node_that_was_never_tainted_has_no_gap(cluster: Cluster) -> None:
    cluster.add(make_node(condition=("False", "NotOverloaded", 1)), make_report("cpu"))
    cluster.step()
    assert cluster.tainted() == {"w1": "cpu"}


def test_an_unknown_nodes_taint_is_held_too(cluster: Cluster) -> None:
    cluster.add(make_node("w1", our_taint(age=10), condition=ON), STALE)
    cluster.step()
    assert cluster.tainted() == {"w1": "cpu"}
    assert cluster.nodes["w1"].condition == Condition("Unknown", "ReportStale", NOW)


def test_flapping_reports_write_no_faster_than_hold_and_gap(cluster: Cluster) -> None:
    cluster.add(make_node(), make_report())
    changes = 0
    for second in range(3600):
        cluster.reports["w1"] = replace(make_report(*(["cpu"] if second % 2 else [])), observed=cluster.now, expires=cluster.now + 180)
        changes += sum(decision.write_taint for decision in cluster.step(1).decisions)
    assert 20 <= changes <= 2 * (3600 // 180 + 1)


# -- a clock that is set ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [400, -400, 86400, -86400])
def test_a_clock_that_is_set_changes_nothing_until_reporters_have_had_time_to_report(seconds: float) -> None:
    cluster = Cluster(Settings(max_tainted_percent=100, grace_seconds=180))
    for number in range(3):
        cluster.add(make_node(f"w{number}", our_taint("disk", "NoSchedule", age=20), condition=("True", "DiskNearlyFull", 20)), make_report("disk", age=5))
        cluster.add(make_node(f"v{number}"), make_report(age=5))
    cluster.add(make_node("recovered", our_taint(age=20), condition=("True", "CPUOverloaded", 20)), make_report(age=5))
    cluster.add(make_node("again", condition=("False", "Recovered", 20)), make_report("cpu", age=5))
    assert cluster.outcome().decisions == []
    cluster.set_clock(seconds)
    assert cluster.outcome().decisions == []
    cluster.now += 59
    assert cluster.outcome().decisions == [], "no time in an object says how long it has been so"
    cluster.now += 120
    assert cluster.outcome().unknown == 0
    cluster.now += 1
    assert cluster.outcome().unknown == 8, "a report that was not renewed is stale then, however long it says that it holds"


@pytest.mark.parametrize("seconds", [400, -400])
def test_after_a_clock_is_set_hold_and_gap_begin_anew(cluster: Cluster, seconds: float) -> None:
    cluster.add(make_node("w1", our_taint(age=20), condition=ON), make_report())
    cluster.add(make_node("w2", condition=("False", "Recovered", 20)), make_report("cpu"))
    cluster.set_clock(seconds)
    renewed = {name: replace(report, expires=cluster.now + 180) for name, report in cluster.reports.items()}
    for later, decided in ((59, []), (60, ["w2"]), (119, ["w2"]), (120, ["w2", "w1"])):
        cluster.reports, cluster.now = renewed, cluster.steady_since + later
        assert [decision.node.name for decision in cluster.outcome().decisions] == decided


def test_a_worse_cause_does_not_wait_for_a_clock_that_was_set(cluster: Cluster) -> None:
    cluster.add(make_node("w1", our_taint(age=20), condition=ON), make_report("disk"))
    cluster.set_clock(-5)
    assert [decision.taint and decision.taint.value for decision in cluster.outcome().decisions] == ["disk"]


# -- the cap -------------------------------------------------------------------------------------------------------------


def fill(cluster: Cluster, count: int, *overloaded: str, start: int = 0, **kind: object) -> None:
    for number in range(start, start + count):
        cluster.add(make_node(f"w{number:02}", **kind), make_report(*overloaded, percent=80 + number))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("nodes", "percent", "allowed"), [(1, 50, 0), (1, 100, 1), (2, 50, 1), (3, 50, 1), (3, 33, 0), (3, 34, 1), (10, 50, 5), (10, 1, 0), (7, 100, 7)]
)
def test_no_more_than_the_share_is_tainted(nodes: int, percent: int, allowed: int) -> None:
    cluster = Cluster(Settings(max_tainted_percent=percent))
    fill(cluster, nodes, "cpu")
    outcome = cluster.step()
    assert (len(cluster.tainted()), outcome.allowed, outcome.schedulable) == (allowed, allowed, nodes)
    assert sorted(cluster.tainted()) == [f"w{number:02}" for number in range(nodes - allowed, nodes)], "the fullest ones"
    assert outcome.untainted["cap"] == nodes - allowed
    assert cluster.step().decisions == []


def test_a_node_at_the_cap_says_so() -> None:
    cluster = Cluster(Settings(max_tainted_percent=50))
    fill(cluster, 2, "cpu")
    decision = cluster.decision("w00")
    assert decision is not None and decision.condition == Condition("True", "NotTaintedAtCap", NOW) and not decision.write_taint
    assert "not tainted, as many nodes as may be are tainted" in decision.message


def test_disk_outranks_memory_outranks_cpu() -> None:
    cluster = Cluster(Settings(max_tainted_percent=50))
    for name, cause, percent in (("a", "cpu", 100), ("b", "memory", 91), ("c", "disk", 86), ("d", "cpu", 99)):
        cluster.add(make_node(name), make_report(cause, percent=percent))
    cluster.step()
    assert cluster.tainted() == {"b": "memory", "c": "disk"}


def test_a_fuller_node_does_not_push_a_tainted_one_out() -> None:
    cluster = Cluster(Settings(max_tainted_percent=50))
    cluster.add(make_node("a", our_taint("cpu"), condition=ON), make_report("cpu", percent=86))
    cluster.add(make_node("b", condition=("True", "NotTaintedAtCap", 5)), make_report("cpu", percent=100))
    assert cluster.outcome().decisions == []


@pytest.mark.parametrize("held", [1, 600])
def test_a_worse_cause_pushes_a_lesser_one_out_and_never_beyond_the_cap(held: float) -> None:
    cluster = Cluster(Settings(max_tainted_percent=50))
    cluster.add(make_node("a", our_taint("cpu", age=held), condition=ON), make_report("cpu", percent=100))
    cluster.add(make_node("b"), make_report("disk", percent=86))
    cluster.step()
    assert cluster.tainted() == {}, "the place must be free first"
    cluster.step()
    assert cluster.tainted() == {"b": "disk"}
    assert cluster.nodes["a"].condition is not None and cluster.nodes["a"].condition.reason == "NotTaintedAtCap"
    assert cluster.step().decisions == []


def test_a_smaller_pool_clears_the_least_bad_whatever_the_hold() -> None:
    cluster = Cluster(Settings(max_tainted_percent=50))
    for number in range(4):
        taints = [our_taint("cpu", age=5)] if number < 2 else []
        cluster.add(make_node(f"w{number}", *taints, condition=ON), make_report(*(["cpu"] if number < 2 else []), percent=90 + number))
    assert not [decision for decision in cluster.outcome().decisions if decision.write_taint]
    cluster.nodes["w3"] = replace(cluster.nodes["w3"], cordoned=True)
    cluster.step()
    assert cluster.tainted() == {"w1": "cpu"}


def test_a_recovered_node_under_hold_makes_room_for_an_overloaded_one() -> None:
    cluster = Cluster(Settings(max_tainted_percent=50))
    cluster.add(make_node("a", our_taint("cpu", age=5), condition=ON), make_report())
    cluster.add(make_node("b"), make_report("cpu"))
    cluster.step()
    cluster.step()
    assert cluster.tainted() == {"b": "cpu"}


NOT_READY = Taint("node.kubernetes.io/not-ready", "NoExecute")
CONTROL_PLANE = Taint("node-role.kubernetes.io/control-plane", "NoSchedule")


def test_nodes_that_take_no_pods_do_not_count() -> None:
    cluster = Cluster(Settings(max_tainted_percent=50))
    fill(cluster, 4, "cpu")
    cluster.add(make_node("x", cordoned=True), make_report())
    cluster.add(make_node("y", NOT_READY), make_report())
    outcome = cluster.step()
    assert (outcome.schedulable, outcome.allowed, len(cluster.tainted())) == (4, 2, 2)


@pytest.mark.parametrize("kind", [{"cordoned": True}, {}])
def test_a_node_that_takes_no_pods_gets_no_taint_and_keeps_one(cluster: Cluster, kind: dict[str, bool]) -> None:
    unfit = () if kind else (NOT_READY,)
    cluster.add(make_node("a", *unfit, **kind), make_report("cpu"))  # type: ignore[arg-type]
    cluster.add(make_node("b", *unfit, our_taint("cpu"), condition=ON, **kind), make_report("cpu"))  # type: ignore[arg-type]
    cluster.add(make_node("c", *unfit, our_taint("cpu"), condition=ON, **kind), make_report())  # type: ignore[arg-type]
    cluster.step()
    assert cluster.tainted() == {"b": "cpu"}
    assert cluster.nodes["a"].condition == Condition("True", "NotTaintedUnschedulable", NOW)


def test_each_pool_has_its_own_cap() -> None:
    """Pods of a worker can't go to the control plane: tainting both workers would leave them nowhere to go."""
    cluster = Cluster(Settings(max_tainted_percent=50))
    fill(cluster, 3, start=0)
    for name in ("w00", "w01", "w02"):
        cluster.nodes[name] = make_node(name, CONTROL_PLANE)
    fill(cluster, 2, "cpu", start=10)
    cluster.step()
    assert cluster.tainted() == {"w11": "cpu"}


def test_a_preference_of_others_makes_no_pool() -> None:
    cluster = Cluster(Settings(max_tainted_percent=50))
    cluster.add(make_node("a", Taint("example.com/a", "PreferNoSchedule")), make_report("cpu"))
    cluster.add(make_node("b"), make_report())
    cluster.step()
    assert cluster.tainted() == {"a": "cpu"}


# -- coming back -------------------------------------------------------------------------------------------------------


def test_recovered_nodes_come_back_all_at_once() -> None:
    """One at a time, each would draw all pods until the next one comes."""
    cluster = Cluster(Settings())
    for number in range(10):
        cluster.add(make_node(f"w{number}", *([our_taint()] if number < 5 else []), condition=ON if number < 5 else None), make_report())
    cluster.step()
    assert cluster.tainted() == {}


def test_a_removal_whose_condition_was_not_written_is_told_late() -> None:
    """The guard was stopped between the two writes, or somebody removed the taint."""
    cluster = Cluster(Settings())
    cluster.add(make_node("a", condition=ON), make_report())
    cluster.step()
    assert cluster.nodes["a"].condition == Condition("False", "Recovered", NOW)


# -- order ---------------------------------------------------------------------------------------------------------------


def test_the_most_urgent_comes_first(cluster: Cluster) -> None:
    cluster.add(make_node("new", condition=None), make_report())
    cluster.add(make_node("stale"), STALE)
    cluster.add(make_node("gone", our_taint(), condition=ON), make_report())
    cluster.add(make_node("busy"), make_report("cpu"))
    cluster.add(make_node("full"), make_report("disk"))
    assert [decision.node.name for decision in cluster.outcome().decisions] == ["full", "busy", "gone", "stale", "new"]


@pytest.mark.parametrize("broken", [{"observed": -62135683140.0}, {"statuses": ()}])
def test_a_node_about_which_nothing_can_be_decided_keeps_what_it_has_and_stops_no_other(cluster: Cluster, broken: dict[str, Any]) -> None:
    cluster.add(make_node("w1", our_taint()), replace(make_report("disk"), **broken))
    cluster.add(make_node("w2"), make_report("disk"))
    outcome = cluster.outcome()
    assert [decision.node.name for decision in outcome.decisions] == ["w2"]
    assert [(name, why.partition(":")[0]) for name, why in outcome.failed.items()] == [("w1", "ValueError")]


# -- over time: whatever happens, the same comes out ---------------------------------------------------------------------


def random_cluster(seed: int) -> Cluster:
    chance = random.Random(seed)
    cluster = Cluster(
        Settings.from_mapping(
            {
                "unknown": chance.choice(("keep", "clear", "taint")),
                "max_tainted_percent": chance.choice((10, 34, 50, 100)),
                "effects": {cause: chance.choice(("off", "PreferNoSchedule", "NoSchedule")) for cause in CAUSES},
            }
        )
    )
    for number in range(chance.randint(1, 12)):
        taints = [
            taint
            for taint in (NOT_READY, CONTROL_PLANE, our_taint(chance.choice((*CAUSES, "unknown", "odd")), age=chance.choice((5, 500))))
            if chance.random() < 0.25
        ]
        condition = chance.choice(
            (None, ("False", "NotOverloaded", 30.0), ("False", "Recovered", 30.0), ON, ("Unknown", "ReportStale", 90.0), ("True", "NotTaintedAtCap", 5.0))
        )
        report = make_report(
            *(cause for cause in CAUSES if chance.random() < 0.3),
            age=chance.choice((30, 400)),
            unread=tuple(cause for cause in CAUSES if chance.random() < 0.1),
            percent=chance.randint(80, 100),
        )
        cluster.add(make_node(f"w{number}", *taints, condition=condition, cordoned=chance.random() < 0.1), report if chance.random() < 0.9 else None)
    return cluster


@pytest.mark.parametrize("seed", range(300))
def test_every_cluster_settles_within_its_bounds(seed: int) -> None:
    cluster = random_cluster(seed)
    foreign = {name: node.others for name, node in cluster.nodes.items()}
    reports = dict(cluster.reports)
    for _step in range(40):
        cluster.step(30)
        cluster.reports = {  # stale ones stay stale
            name: replace(report, observed=reports[name].observed, expires=reports[name].expires) if reports[name].expires < NOW else report
            for name, report in cluster.reports.items()
        }
        pools: dict[object, list[int]] = {}
        for node in cluster.nodes.values():
            assert node.others == foreign[node.name]
            assert len(node.ours) <= 1
            if node.schedulable:
                pools.setdefault(node.pool, []).append(len(node.ours))
        if _step:
            assert all(sum(ours) <= len(ours) * cluster.settings.max_tainted_percent // 100 for ours in pools.values())
    assert cluster.step(1).decisions == []


@pytest.mark.parametrize("seed", range(100))
def test_a_guard_that_forgets_everything_between_two_writes_comes_to_the_same(seed: int) -> None:
    """One write at a time, in any order, each decided anew: as with a restart, a leader change or a refused write after each."""
    at_once, piecemeal = random_cluster(seed), random_cluster(seed)
    chance = random.Random(seed)
    for _step in range(20):
        at_once.step(60)
        piecemeal.now += 60
        piecemeal.reports = at_once.reports
        for _write in itertools.count():
            decisions = piecemeal.outcome().decisions
            if not decisions:
                break
            assert _write < 200
            decision = chance.choice(decisions)
            node = piecemeal.nodes[decision.node.name]
            if decision.write_taint:
                piecemeal.nodes[node.name] = replace(node, taints=node.others + ((decision.taint,) if decision.taint else ()))
            else:
                piecemeal.nodes[node.name] = replace(node, condition=decision.condition)
    assert {name: (node.ours[0].value, node.ours[0].effect) for name, node in piecemeal.nodes.items() if node.ours} == {
        name: (node.ours[0].value, node.ours[0].effect) for name, node in at_once.nodes.items() if node.ours
    }
    assert {name: node.condition and node.condition.status for name, node in piecemeal.nodes.items()} == {
        name: node.condition and node.condition.status for name, node in at_once.nodes.items()
    }
