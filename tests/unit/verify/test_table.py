# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as a person, JSON and JUnit readers get it."""

from __future__ import annotations

import json
from dataclasses import asdict
from xml.etree import ElementTree

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.checks import (
    Expected,
    HostReport,
    Row,
    cluster_checks,
    rows,
)
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.reading import ClusterReading
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.result import CLUSTER, FAIL, OK, UNKNOWN, WARN, Result
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.table import (
    WIDTH,
    Report,
    as_json,
    as_junit,
    headline,
    problems,
    summary,
    table,
    text,
)

NODES = ("cp1", "w1", "w2")
ROW = Row("w1", "worker", "yes", "1.37.2", "containerd 2.4.2", "calico 3.28.5", "10.244.190.64/26")


def report(*results: Result, row: Row = ROW, scope: tuple[str, ...] = ("w1",)) -> Report:
    return Report("nodewise", [asdict(row)], results, scope, 1.23)


def cells(made: Report) -> dict[str, str]:
    """Return the first row's cells by column."""
    header, line = table(made)[:2]
    starts = [position for position, letter in enumerate(header) if letter != " " and (position == 0 or header[position - 2 : position] == "  ")]
    ends = [*starts[1:], WIDTH]
    return {header[a:b].strip(): line[a:b].strip() for a, b in zip(starts, ends, strict=True)}


def test_a_healthy_cluster(reading: ClusterReading, wanted: Expected, hosts: dict[str, HostReport]) -> None:
    made = Report("nodewise", [asdict(row) for row in rows(reading, NODES)], cluster_checks(reading, wanted, hosts, NODES), NODES, 0.4)
    number = len(made.results)
    assert (
        text(made)
        == f"""\
Cluster nodewise: Kubernetes 1.37.2, API ready, control plane ready, DNS 2 of 2 pods answer, pool 10.244.0.0/16

NODE  ROLE     READY  KUBELET  RUNTIME           CNI            POD NETWORK       TRAFFIC  DNS  RESOURCES  RESULT
cp1   control  yes    1.37.2   containerd 2.4.2  calico 3.28.5  10.244.176.0/26   -        ok   -          ok
w1    worker   yes    1.37.2   containerd 2.4.2  calico 3.28.5  10.244.190.64/26  -        ok   -          ok
w2    worker   yes    1.37.2   containerd 2.4.2  calico 3.28.5  10.244.80.192/26  -        ok   -          ok

PASSED: {number} checks, 0 failed, 0 unknown, 0 warnings, 0.4 s; traffic between pods was not tried (-e verify_active=true);
        resources were not compared (-e verify_resources=true)"""
    )


@pytest.mark.parametrize(
    ("check", "status", "column", "cell", "result"),
    [
        ("node.ready", FAIL, "READY", "yes !", "FAILED"),
        ("kubelet.healthy", UNKNOWN, "KUBELET", "1.37.2 ?", "unknown"),
        ("runtime.network", FAIL, "RUNTIME", "containerd 2.4.2 !", "FAILED"),
        ("cni.conflist", FAIL, "CNI", "calico 3.28.5 !", "FAILED"),
        ("network.block", WARN, "POD NETWORK", "10.244.190.64/26 ~", "warning"),
        ("traffic.cross-node", FAIL, "TRAFFIC", "FAILED", "FAILED"),
        ("policy.blocks", UNKNOWN, "TRAFFIC", "unknown", "unknown"),
        ("dns.host", FAIL, "DNS", "FAILED", "FAILED"),
    ],
)
def test_a_column_shows_its_checks(check: str, status: str, column: str, cell: str, result: str) -> None:
    shown = cells(report(Result(check, "w1", status)))
    assert (shown[column], shown["RESULT"]) == (cell, result)


def test_the_worst_check_marks_a_column() -> None:
    assert cells(report(Result("node.ready", "w1", OK), Result("node.lease", "w1", FAIL), Result("node.schedulable", "w1", WARN)))["READY"] == "yes !"


def test_a_node_without_results_is_unknown() -> None:
    shown = cells(report(row=Row("w1")))
    assert (shown["TRAFFIC"], shown["DNS"], shown["RESULT"]) == ("-", "-", "unknown")


def test_a_node_out_of_scope_is_shown_but_not_judged() -> None:
    made = report(Result("node.ready", "w1", FAIL), Result("node.ready", "cp1", OK), scope=("cp1",))
    assert cells(made)["RESULT"] == "not judged"
    assert problems(made) == []
    assert made.verdict == "pass"
    assert "not in this run, so not judged: w1" in summary(made)


def test_no_line_is_too_wide() -> None:
    long = "n" * 70
    made = report(
        Result("runtime.network", long, FAIL, "x" * 300, "very long " * 40, "word " * 60),
        row=Row(long, "control", "yes", "1.37.2", "containerd 2.4.2-something", "calico 3.28.5", "10.244.190.64/26 +3"),
        scope=(long,),
    )
    assert max(len(line) for line in table(made)) == WIDTH
    words = [line for line in text(made).splitlines() if "x" * 300 not in line]
    assert max(len(line) for line in words) <= WIDTH
    assert table(made)[1].startswith("nnnnnnnn")
    assert ".." in table(made)[1]


def test_problems_come_worst_first() -> None:
    made = report(
        Result("a.one", "w1", WARN, "x", "warned", "h1"),
        Result("a.two", "w1", UNKNOWN, "x", "unread", "h2"),
        Result("a.three", CLUSTER, FAIL, "x", "broken", "h3"),
        Result("a.four", "w1", OK, "x", "x"),
    )
    assert problems(made) == [
        "FAILED   cluster  a.three: broken",
        "         expected: x",
        "         look at: h3",
        "unknown  w1  a.two: unread",
        "         expected: x",
        "         look at: h2",
        "warning  w1  a.one: warned",
        "         expected: x",
        "         look at: h1",
    ]
    assert summary(made).startswith("FAILED: 4 checks, 1 failed, 1 unknown, 1 warning, 1.2 s")


def test_what_is_the_same_is_said_once() -> None:
    made = report(
        Result("a.one", "w1", UNKNOWN, "x", "not run", "h"),
        Result("a.two", "w1", UNKNOWN, "x", "not run", "h"),
        Result("a.one", "w2", UNKNOWN, "x", "not run", "h"),
        Result("a.two", "w2", UNKNOWN, "x", "not run", "h"),
        Result("a.two", "w3", UNKNOWN, "x", "not run for another reason", "h"),
        scope=("w1", "w2", "w3"),
    )
    assert [line for line in problems(made) if line.startswith("unknown")] == [
        "unknown  w1, w2  a.one, a.two: not run",
        "unknown  w3  a.two: not run for another reason",
    ]


def test_headline_says_what_is_not_well() -> None:
    made = report(Result("api.ready", CLUSTER, FAIL), Result("dns.pods", CLUSTER, UNKNOWN), Result("control-plane.ready", CLUSTER, FAIL))
    assert headline(made) == "Cluster nodewise: API NOT READY, CONTROL PLANE NOT READY, DNS FAILED"


def test_what_was_not_looked_at_is_said() -> None:
    asked, tried = Result("kubelet.healthy", "w1", OK), Result("traffic.pod-address", "w1", OK)
    assert summary(report(Result("node.ready", "w1", OK))).endswith("; only the API server was asked (playbook verify asks the hosts)")
    traffic, resources = "traffic between pods was not tried (-e verify_active=true)", "resources were not compared (-e verify_resources=true)"
    assert summary(report(asked)).endswith(f"; {traffic}; {resources}")
    compared = Result("resources.lease", "w1", OK)
    assert summary(report(asked, compared)).endswith(f"; {traffic}")
    assert summary(report(asked, tried, compared)).endswith(", 1.2 s")


def test_json() -> None:
    data = json.loads(as_json(report(Result("a.b", "w1", OK, "x", "y"), Result("a.b", "w2", FAIL))))
    assert data["verdict"] == "pass"
    assert data["summary"] == {"ok": 1, "warn": 0, "fail": 0, "unknown": 0}
    assert data["checks"][1] == {"check": "a.b", "node": "w2", "status": "fail", "expected": "", "observed": "", "hint": "", "tolerance": "", "sources": []}
    assert data["nodes"][0]["runtime"] == "containerd 2.4.2"


def test_junit() -> None:
    made = report(
        Result("a.ok", "w1", OK),
        Result("a.warn", "w1", WARN, "x", "y", "z"),
        Result("a.fail", "w1", FAIL, "x", "y <&>", "z"),
        Result("a.unknown", CLUSTER, UNKNOWN, "x", "y", "z"),
        Result("a.out", "w2", FAIL),
    )
    root = ElementTree.fromstring(as_junit(made))
    suites = {suite.get("name"): suite for suite in root}
    assert {name: (suite.get("tests"), suite.get("failures"), suite.get("errors")) for name, suite in suites.items()} == {
        "w1": ("3", "1", "0"),
        CLUSTER: ("1", "0", "1"),
    }
    cases = {case.get("name"): [child.tag for child in case] for case in root.iter("testcase")}
    assert cases == {"a.ok": [], "a.warn": ["system-out"], "a.fail": ["failure"], "a.unknown": ["error"]}
    failure = suites["w1"].find("testcase/failure")
    assert failure is not None
    assert (failure.get("message"), failure.text) == ("expected x; observed y <&>", "z")


def test_a_report_from_the_modules_result() -> None:
    made = report(Result("a.b", "w1", OK))
    data = {
        "cluster_name": "nodewise",
        "nodes": [asdict(ROW)],
        "checks": [result.to_dict() for result in made.results],
        "scope": ["w1"],
        "seconds": 1.23,
    }
    assert text(Report.from_dict(data)) == text(made)


def test_a_tolerance_stands_beside_what_was_expected() -> None:
    lines = problems(report(Result("resources.lease", "w1", FAIL, "renewed within 20 s", "renewed 50 s ago", "look", "failure above 40 s")))
    assert lines[1] == "         expected: renewed within 20 s (tolerance: failure above 40 s)"


@pytest.mark.parametrize(("status", "cell"), [(OK, "ok"), (FAIL, "FAILED"), (UNKNOWN, "unknown"), (WARN, "warning")])
def test_resources_have_a_column(status: str, cell: str) -> None:
    assert cells(report(Result("resources.memory.node", "w1", status)))["RESOURCES"] == cell


def test_quotas_and_node_groups_are_told_even_if_they_are_well() -> None:
    made = report(
        Result("policies.quota.demo/compute", CLUSTER, OK, observed="requests.cpu 1 of 4"),
        Result("autoscaler.health", CLUSTER, WARN, observed="cluster-autoscaler not deployed, provider cp1"),
        Result("autoscaler.group.standby", CLUSTER, OK, observed="ready 1, target 1, min 0, max 2, standby 1"),
    )
    lines = text(made).splitlines()
    assert "Quota demo/compute: requests.cpu 1 of 4" in lines
    assert "Autoscaler ~: cluster-autoscaler not deployed, provider cp1" in lines
    assert "Node group standby: ready 1, target 1, min 0, max 2, standby 1" in lines
