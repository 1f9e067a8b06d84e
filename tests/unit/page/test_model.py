# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.plugin_utils.page.model import Page, age_text, amount_text, build, percent_text

NOW = datetime(2026, 11, 25, 17, 40, tzinfo=UTC)
GIB = 2**30
USED = {"cpu": 4000, "memory": 16 * GIB, "ephemeral-storage": 100 * GIB}


def page(resources: dict[str, Any], health: dict[str, Any], **other: Any) -> Page:
    return build(resources, health, "shop", NOW, **other)


def one(made_up: Any, row: dict[str, Any], told: dict[str, Any]) -> Any:
    [node] = page(made_up.resources([row]), made_up.health(told)).nodes or ()
    return node


def attention(made: Page) -> list[tuple[str, str, list[str]]]:
    return [(item.severity, item.title, [entry.name for entry in item.entries]) for item in made.attention]


def test_a_healthy_node_has_shares_of_allocatable_with_their_units(made_up: Any) -> None:
    node = one(made_up, made_up.node("w1", USED, {"cpu": 8000, "memory": 0}), made_up.told("w1", made_up.report(USED)))

    cpu, memory, disk = node.bars
    assert (cpu.used, cpu.requested, cpu.percent, cpu.whole) == (25.0, 50.0, "25\u00a0%", "of 16\u00a0cores")
    assert list(cpu.amounts) == ["4\u00a0cores used", "8\u00a0cores requested (50\u00a0%)"]
    assert list(memory.amounts) == ["16.0\u00a0GiB used", "0\u00a0B requested (0\u00a0%)"]
    assert disk.note == "fullest filesystem 41\u00a0%"
    assert (node.severity, node.signals, node.source) == ("ok", [], "NodeReport, 12 s ago")


def test_what_nothing_tells_is_unknown_and_has_no_share(made_up: Any) -> None:
    node = one(made_up, made_up.node("w1", {}, None), made_up.told("w1", None))

    for row in node.bars:
        assert (row.used, row.requested, row.percent, row.note) == (None, None, "Unknown", "no NodeReport; no metrics API")
        assert list(row.amounts) == ["unknown requested"]
    assert [(signal.severity, signal.title) for signal in node.signals] == [("unknown", "No NodeReport")]
    assert node.source == "no current figures"


def test_a_stale_report_shows_its_last_figures_with_their_age_and_none_of_its_conditions(made_up: Any) -> None:
    report = made_up.report(USED, made_up.condition("CPUOverloaded", "True"), age=700.0, fault="NodeReport is 700 s old")
    node = one(made_up, made_up.node("w1", {}, {"cpu": 8000}), made_up.told("w1", report))

    assert [(row.used, row.stale, row.high, row.note) for row in node.bars][0] == (25.0, True, False, "stale: 12 min old")
    assert [(signal.title, signal.detail) for signal in node.signals] == [("NodeReport stale", "12 min old")]


def test_a_stale_figure_is_never_marked_as_high(made_up: Any) -> None:
    report = made_up.report({"cpu": 16000}, age=700.0, fault="NodeReport is 700 s old")
    assert not one(made_up, made_up.node("w1", {}, {}), made_up.told("w1", report)).bars[0].high


def test_a_report_from_the_future_says_why_it_counts_for_nothing(made_up: Any) -> None:
    fault = "NodeReport lies 60 s in the future: the clocks differ"
    node = one(made_up, made_up.node("w1", {}, {}), made_up.told("w1", {**made_up.report(USED, fault=fault), "age_seconds": None}))

    assert [signal.detail for signal in node.signals] == [fault]
    assert [row.used for row in node.bars] == [None, None, None]


def test_figures_of_another_source_are_current_although_the_report_is_stale(made_up: Any) -> None:
    node = one(made_up, made_up.node("w1", USED, {}), made_up.told("w1", made_up.report({}, age=700.0, fault="NodeReport is 700 s old")))
    assert not node.bars[0].stale
    assert [signal.title for signal in node.signals] == ["NodeReport stale"]


def test_one_unknown_figure_is_told_although_the_report_is_current(made_up: Any) -> None:
    node = one(made_up, made_up.node("w1", {**USED, "memory": None}, {}), made_up.told("w1", made_up.report(USED)))
    assert [(signal.severity, signal.title) for signal in node.signals] == [("unknown", "Use unknown")]


@pytest.mark.parametrize(
    ("ready", "conditions", "report", "expected"),
    [
        (False, [("Ready", "False")], [], [("fail", "Not ready")]),
        (None, [("Ready", "Unknown")], [], [("fail", "Kubelet silent")]),
        (True, [("Ready", "True"), ("DiskPressure", "True")], [], [("fail", "Disk pressure")]),
        (
            True,
            [("Ready", "True")],
            [("CPUOverloaded", "True"), ("RuntimeUnhealthy", "True")],
            [("fail", "Container runtime unhealthy"), ("warn", "CPU overloaded")],
        ),
        (True, [("Ready", "True")], [("DiskNearlyFull", "Unknown")], [("unknown", "Disk nearly full: unknown")]),
        (True, [("Ready", "True")], [("MadeUpLater", "True")], [("warn", "MadeUpLater")]),
    ],
)
def test_signals_come_worst_first(made_up: Any, ready: Any, conditions: Any, report: Any, expected: Any) -> None:
    own = made_up.report(USED, *(made_up.condition(*item) for item in report))
    told = made_up.told("w1", own, *(made_up.condition(*item) for item in conditions))
    node = one(made_up, made_up.node("w1", USED, {}, ready=ready), told)
    assert [(signal.severity, signal.title) for signal in node.signals] == expected


def test_only_our_own_taints_are_shown(made_up: Any) -> None:
    taints = (
        {"key": "nodewise.dev/overloaded", "value": "cpu", "effect": "PreferNoSchedule"},
        {"key": "node-role.kubernetes.io/control-plane", "value": "", "effect": "NoSchedule"},
    )
    node = one(made_up, made_up.node("w1", USED, {}), made_up.told("w1", made_up.report(USED), taints=taints))
    assert node.taints == ["nodewise.dev/overloaded=cpu: PreferNoSchedule"]


def test_nodes_stand_worst_first(made_up: Any) -> None:
    def with_cpu(name: str, cpu: int, **other: Any) -> Any:
        return made_up.node(name, {**USED, "cpu": cpu}, {}, **other)

    rows = [with_cpu("idle", 10), with_cpu("busy", 14000), with_cpu("over", 20000), with_cpu("down", 10, ready=False), made_up.node("silent", {}, {})]
    told = [made_up.told(row["name"], None if row["name"] == "silent" else made_up.report(USED)) for row in rows]
    made = page(made_up.resources(rows), made_up.health(*told))
    assert [node.name for node in made.nodes or ()] == ["down", "silent", "over", "busy", "idle"]


def test_totals_leave_out_what_is_unknown_and_say_so(made_up: Any) -> None:
    rows = [made_up.node("w1", USED, {"cpu": 1000}), made_up.node("w2", {}, {"cpu": 9000})]
    made = page(made_up.resources(rows), made_up.health(made_up.told("w1", made_up.report(USED)), made_up.told("w2", None)))
    cpu = made.totals[0]
    assert (cpu.used, cpu.whole, cpu.amounts[1]) == (25.0, "of 16\u00a0cores", "1\u00a0core requested (6\u00a0%)")
    assert cpu.note == "known of 1 of 2 nodes; the others are left out"


def test_totals_of_no_known_node_are_unknown(made_up: Any) -> None:
    made = page(made_up.resources([made_up.node("w1", {}, {"cpu": 1000})]), made_up.health(made_up.told("w1", None)))
    assert [row.used for row in made.totals] == [None, None, None]


def test_of_nodes_that_cannot_be_read_nothing_is_zero(made_up: Any) -> None:
    made = page(made_up.resources(None, errors={"nodes": "HTTP 403"}), {"nodes": None, "errors": {"nodes": "HTTP 403"}})
    assert [(row.used, row.requested, row.whole, *row.amounts) for row in made.totals] == [(None, None, "", "unknown requested")] * 3


def test_unreadable_kinds_are_unknown_and_named(made_up: Any) -> None:
    data = made_up.resources(None, errors={"nodes": "HTTP 403: no"})
    data["totals"] = {"pods": None, "namespaces": None, "unscheduled_pods": None}
    made = page(data, {"nodes": None, "errors": {"nodes": "HTTP 403: no"}})
    assert made.nodes is None
    assert [text for _label, text in made.facts] == ["unknown", "unknown", "unknown"]
    assert attention(made) == [("unknown", "Could not be read", ["nodes"])]


def test_reports_that_cannot_be_read_are_named_once_and_not_for_each_node(made_up: Any) -> None:
    data = made_up.resources([made_up.node("w1", USED, {})])
    made = page(data, made_up.health(made_up.told("w1", None), errors={"nodereports": "HTTP 404"}))
    assert attention(made) == [("unknown", "Could not be read", ["nodereports"])]


def test_nodes_whose_health_cannot_be_read_are_unknown_one_by_one(made_up: Any) -> None:
    data = made_up.resources([made_up.node("w1", USED, {}), made_up.node("w2", USED, {}, ready=False)])
    made = page(data, {"nodes": None, "errors": {"nodes": "HTTP 504"}})
    assert [(node.name, [(signal.severity, signal.title) for signal in node.signals]) for node in made.nodes or ()] == [
        ("w2", [("fail", "Not ready"), ("unknown", "Health unknown")]),
        ("w1", [("unknown", "Health unknown")]),
    ]
    assert attention(made) == [("fail", "Not ready", ["w2"]), ("unknown", "Health unknown", ["w2", "w1"]), ("unknown", "Could not be read", ["nodes"])]


def test_a_node_that_came_between_the_two_readings_is_not_said_to_lack_its_report(made_up: Any) -> None:
    made = page(made_up.resources([made_up.node("w1", USED, {})]), made_up.health())
    assert attention(made) == [("unknown", "Health unknown", ["w1"])]


def test_a_quota_that_is_not_counted_yet_needs_attention(made_up: Any) -> None:
    space = made_up.namespace("team", [made_up.quota("compute", **{"requests.cpu": 10.0, "pods": None})])
    made = page(made_up.resources([], space), made_up.health())
    assert attention(made) == [("unknown", "Quota not counted yet", ["team"])]
    assert [entry.detail for entry in made.attention[0].entries] == ["pods unknown of 100"]


def test_attention_is_worst_first_and_names_the_same_thing_once(made_up: Any) -> None:
    hot = made_up.condition("CPUOverloaded", "True", "CPU 93 %")
    rows = [made_up.node(name, USED, {}, ready=name != "w3") for name in ("w1", "w2", "w3")]
    told = [made_up.told(row["name"], made_up.report(USED, hot)) for row in rows]
    quota = made_up.quota("compute", **{"requests.cpu": 100.0, "requests.memory": 91.0, "limits.cpu": 89.0})
    made = page(made_up.resources(rows, made_up.namespace("team", [quota]), waiting=2), made_up.health(*told))
    assert attention(made) == [
        ("fail", "Not ready", ["w3"]),
        ("warn", "CPU overloaded", ["w3", "w1", "w2"]),
        ("warn", "Pods wait for a node", ["2 pods"]),
        ("warn", "Quota used up", ["team"]),
        ("warn", "Quota nearly used up", ["team"]),
    ]


def test_nothing_wrong_needs_no_attention(made_up: Any) -> None:
    made = page(made_up.resources([made_up.node("w1", USED, {})]), made_up.health(made_up.told("w1", made_up.report(USED))))
    assert attention(made) == []


def test_namespaces_stand_by_their_fullest_quota_and_unknown_parts_first(made_up: Any) -> None:
    spaces = [
        made_up.namespace("free"),
        made_up.namespace("half", [made_up.quota("a", **{"requests.cpu": 10.0, "pods": None, "limits.cpu": 50.0})]),
        made_up.namespace("full", [made_up.quota("a", **{"requests.cpu": 99.0})]),
        {**made_up.namespace("unread"), "quotas": None},
    ]
    made = page(made_up.resources([], *spaces), made_up.health())
    assert [space.name for space in made.namespaces] == ["full", "half", "free", "unread"]
    assert [(part.resource, part.text) for part in made.namespaces[1].quota or ()] == [
        ("pods", "unknown of 100"),
        ("limits.cpu", "50 of 100"),
        ("requests.cpu", "10 of 100"),
    ]
    assert made.namespaces[3].quota is None


def test_a_verification_shows_what_is_not_ok_the_worst_first(made_up: Any) -> None:
    checks = made_up.verification(("dns.a", "w1", "warn"), ("cni.b", "w2", "fail"), ("cni.b", "w1", "fail"), ("x.c", "cluster", "unknown"), ("x.d", "w1", "ok"))
    made = page(made_up.resources([]), made_up.health(), verification=checks, verified_at=NOW - timedelta(minutes=8))
    verified = made.verification
    assert verified is not None and not verified.passed and verified.age == 480
    assert [(row.status, row.check, row.node) for row in verified.rows] == [
        ("fail", "cni.b", "w1"),
        ("fail", "cni.b", "w2"),
        ("unknown", "x.c", "cluster"),
        ("warn", "dns.a", "w1"),
    ]
    assert verified.summary == "5 checks of 2 nodes and the cluster in 2.5 s: 1 ok, 2 failed, 1 unknown, 1 warning."
    assert [(item.title, [(entry.name, entry.detail) for entry in item.entries]) for item in made.attention] == [
        ("Checks of the last verification that failed", [("cni.b", "w1, w2")]),
        ("Checks of the last verification that could not be made", [("x.c", "cluster")]),
        ("Checks of the last verification that warn", [("dns.a", "w1")]),
    ]


def test_a_verification_with_only_warnings_needs_attention(made_up: Any) -> None:
    checks = made_up.verification(("dns.a", "w1", "warn"), ("dns.a", "w2", "warn"), ("x.d", "w1", "ok"))
    made = page(made_up.resources([]), made_up.health(), verification=checks, verified_at=NOW)
    assert made.verification is not None and made.verification.passed
    assert attention(made) == [("warn", "Checks of the last verification that warn", ["dns.a"])]


@pytest.mark.parametrize("checks", [(), (("x.d", "w1", "ok"),)], ids=["no results", "all ok"])
def test_a_verification_that_did_not_pass_is_failing_though_no_check_says_why(made_up: Any, checks: Any) -> None:
    data = {**made_up.verification(*checks), "verdict": "fail"}
    made = page(made_up.resources([]), made_up.health(), verification=data, verified_at=NOW)
    assert attention(made) == [("fail", "The last verification did not pass", ["no check of it says why"])]


def test_what_a_verification_did_not_judge_is_not_shown(made_up: Any) -> None:
    checks = made_up.verification(("cni.b", "elsewhere", "fail"), ("x.d", "w1", "ok"))
    made = page(made_up.resources([]), made_up.health(), verification={**checks, "verdict": "pass"}, verified_at=NOW)
    assert made.verification is not None and made.verification.rows == []


def test_an_old_verification_needs_attention(made_up: Any) -> None:
    made = page(made_up.resources([]), made_up.health(), verification=made_up.verification(("x.d", "w1", "ok")), verified_at=NOW - timedelta(days=3))
    assert attention(made) == [("unknown", "The last verification is old", ["3 d old"])]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "The verification given is not one (KeyError: 'checks')"),
        ({"checks": [{"check": "a.b"}], "scope": []}, "a check's result lacks node, status"),
        ({"checks": ["a"], "scope": []}, "The verification given is not one (AttributeError"),
        ({"checks": [], "scope": [], "cluster_name": "other", "verdict": "pass", "seconds": 1}, "is of cluster other, the page is of shop"),
    ],
)
def test_a_verification_that_is_none_or_of_another_cluster_is_refused(made_up: Any, data: Any, message: str) -> None:
    with pytest.raises(NodewiseError) as caught:
        page(made_up.resources([]), made_up.health(), verification=data, verified_at=NOW)
    assert message in str(caught.value)


def test_a_verification_without_its_time_is_refused(made_up: Any) -> None:
    with pytest.raises(NodewiseError, match="has no time"):
        page(made_up.resources([]), made_up.health(), verification=made_up.verification(("x.d", "w1", "ok")))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59.4, "59 s"), (90, "90 s"), (180, "3 min"), (3600, "1 h"), (86399, "24 h"), (86400, "1 d"), (700000, "8 d")],
)
def test_age_text(seconds: float, text: str) -> None:
    assert age_text(seconds) == text


def test_amount_text() -> None:
    texts = [("cpu", 1000), ("cpu", 150), ("cpu", 7_792_123), ("memory", 412), ("memory", 2**30), ("memory", None)]
    assert [amount_text(*item).replace("\u00a0", " ") for item in texts] == ["1 core", "0.15 cores", "7792 cores", "412 B", "1.0 GiB", "unknown"]
    little = [amount_text("cpu", millicores).replace("\u00a0", " ") for millicores in (0, 4, 6)]
    assert little == ["0 cores", "< 0.01 cores", "0.01 cores"]


def test_percent_text_calls_little_little_and_nothing_nothing() -> None:
    assert [percent_text(value).replace("\u00a0", " ") for value in (0.0, 0.2, 12.6, 130.0, None)] == ["0 %", "< 1 %", "13 %", "130 %", "unknown"]
