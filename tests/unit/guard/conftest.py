# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes and reports as a decision sees them, and a cluster in which decisions are carried out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.api.times import format_time
from ansible_collections.nodewise.cluster.plugins.module_utils.guard.decide import Decision, Outcome, decide
from ansible_collections.nodewise.cluster.plugins.module_utils.guard.model import (
    CAUSES,
    TAINT_KEY,
    Condition,
    NodeState,
    ReportState,
    Taint,
)
from ansible_collections.nodewise.cluster.plugins.module_utils.guard.settings import Settings

NOW = 1_800_000_000.0


def our_taint(cause: str = "cpu", effect: str = "PreferNoSchedule", age: float = 600.0) -> Taint:
    return Taint(TAINT_KEY, effect, cause, format_time(NOW - age, 0))


def make_node(
    name: str = "w1", *taints: Taint, condition: tuple[str, str, float] | None = ("False", "NotOverloaded", 9999.0), age: float = 9999.0, cordoned: bool = False
) -> NodeState:
    """Make a Node; the condition is status, reason and age in seconds."""
    kept = None if condition is None else Condition(condition[0], condition[1], NOW - condition[2])
    return NodeState(name, f"uid-{name}", "1", NOW - age, cordoned, taints, kept)


def make_report(*overloaded: str, age: float = 30.0, unread: tuple[str, ...] = (), unread_for: float = 0.0, percent: int | None = None) -> ReportState:
    """Make a report in which these causes are true and those unread."""
    return ReportState(
        observed=NOW - age,
        expires=NOW - age + 180,
        lifetime=180.0,
        statuses=tuple("True" if cause in overloaded else "Unknown" if cause in unread else "False" for cause in CAUSES),
        since=tuple(NOW - age - unread_for for cause in CAUSES),
        percents=tuple((95 if percent is None else percent) if cause in overloaded else None if cause in unread else 40 for cause in CAUSES),
        version="1",
    )


class Cluster:
    """Nodes and reports, and the time; each step decides and carries everything out."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings(max_tainted_percent=100)
        self.nodes: dict[str, NodeState] = {}
        self.reports: dict[str, ReportState] = {}
        self.now = NOW
        self.watching_since = NOW - 9999
        self.steady_since = float("-inf")

    def add(self, node: NodeState, report: ReportState | None = None) -> None:
        self.nodes[node.name] = node
        if report is not None:
            self.reports[node.name] = report

    def outcome(self) -> Outcome:
        return decide(self.nodes, self.reports, self.settings, self.now, self.watching_since, self.steady_since)

    def decision(self, name: str = "w1") -> Decision | None:
        """Return what is decided for one node, if anything."""
        return next((decision for decision in self.outcome().decisions if decision.node.name == name), None)

    def step(self, seconds: float = 0.0) -> Outcome:
        """Let time go by, reports be renewed, decide, and carry it out."""
        self.now += seconds
        self.reports = {name: replace(report, observed=report.observed + seconds, expires=report.expires + seconds) for name, report in self.reports.items()}
        outcome = self.outcome()
        for decision in outcome.decisions:
            node = decision.node
            taints = node.others + ((decision.taint,) if decision.taint else ())
            self.nodes[node.name] = replace(node, taints=taints, condition=decision.condition or node.condition)
        return outcome

    def set_clock(self, seconds: float) -> None:
        """Set the API server's clock by so much; reports, taints and conditions keep the times they have."""
        self.now += seconds
        self.watching_since += seconds
        self.steady_since = self.now

    def tainted(self) -> dict[str, str]:
        """Return the cause for which each tainted node is tainted."""
        return {name: node.ours[0].value for name, node in self.nodes.items() if node.ours}


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()
