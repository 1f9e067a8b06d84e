# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dashboard, rules and documentation speak of metrics and alerts that there are."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.guard import metrics as guard
from ansible_collections.nodewise.cluster.plugins.module_utils.guard.state import State as GuardState
from ansible_collections.nodewise.cluster.plugins.module_utils.monitoring.rules import groups
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter import metrics as reporter
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter.state import State as ReporterState
from prometheus_client import ProcessCollector

ROOT = Path(__file__).resolve().parents[3]
DASHBOARD = ROOT / "roles" / "monitoring" / "files" / "dashboard.json"
_NAME = re.compile(r"\b(?:[a-z]+:)?nodewise_[a-z_]+(?::[a-z]+)?\b")
_STATUS = {
    "cpuMillicores": {"now": 250, "allocatable": 2000},
    "memoryBytes": {"now": 512, "allocatable": 1024},
    "filesystems": [{"mountpoint": "/", "roles": ["node"], "capacityBytes": 10, "availableBytes": 4, "usedBytes": 6}],
    "conditions": [{"type": "DiskNearlyFull", "status": "True"}],
    "containers": {},
}
# States in which the daemons export everything that they can.
_REPORTER = ReporterState(version="1", status=_STATUS, sampled_wall=1.0, published_wall=1.0, publishes=Counter(accepted=1))
_GUARD = GuardState(leading=True, skew=0.0, decisions=Counter(Overloaded=1), writes=Counter({("taint", "200"): 1}), watches=Counter({("nodes", "end"): 1}))


def exported() -> dict[str, set[str]]:
    """Return each exported metric with the names of its labels."""
    found: dict[str, set[str]] = {}
    for collector in (reporter.Collector(_REPORTER), guard.Collector(_GUARD)):
        for family in collector.collect():
            for sample in family.samples:
                found.setdefault(sample.name, set()).update(sample.labels)
    return found


def expressions() -> Iterator[str]:
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", []):
            yield target["expr"]


def dashboard() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return loaded


def rules(kind: str) -> list[dict[str, Any]]:
    return [rule for group in groups(5, guard=True, valid_seconds=180.0) for rule in group["rules"] if kind in rule]


def known() -> set[str]:
    return set(exported()) | {rule["record"] for rule in rules("record")}


def named(text: str) -> set[str]:
    return set(_NAME.findall(text))


def test_the_dashboard_names_metrics_that_there_are() -> None:
    names = set().union(*(named(expression) for expression in expressions()))
    assert len(names) > 15
    assert names <= known()


def test_rules_name_metrics_that_there_are() -> None:
    for rule in (*rules("record"), *rules("alert")):
        assert named(rule["expr"]) <= known(), rule
        assert named(rule["expr"]) or "up{" in rule["expr"], rule


def test_labels_are_those_of_the_metrics() -> None:
    labels = exported()
    for expression in (*expressions(), *(rule["expr"] for rule in rules("alert"))):
        for name, matchers in re.findall(r"(nodewise_[a-z_]+)\{([^}]*)\}", expression):
            if name in labels:
                # node and job are of the target, not of the daemon.
                assert set(re.findall(r"(\w+)=", matchers)) <= labels[name] | {"node", "job"}, expression


def sources(part: Any) -> Iterator[Any]:
    """Return all data sources that a part of the dashboard names."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "datasource":
                yield value
            yield from sources(value)
    elif isinstance(part, list):
        for value in part:
            yield from sources(value)


def test_every_data_source_is_the_variable() -> None:
    found = list(sources(dashboard()))
    assert len(found) > 20
    assert all(one == {"type": "prometheus", "uid": "${datasource}"} for one in found)
    variables = {one["name"]: one for one in dashboard()["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert set(re.findall(r"\$\{?(\w+)\}?", "".join(expressions()))) <= set(variables)


def test_panels_do_not_overlap_and_have_ids_of_their_own() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells


@pytest.mark.parametrize("kind", ["alert", "record"])
def test_names_of_rules_are_their_own(kind: str) -> None:
    names = [rule[kind] for rule in rules(kind)]
    assert len(names) == len(set(names))


def test_alerts_say_what_and_how_bad() -> None:
    for rule in rules("alert"):
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"].keys() == {"summary", "description"}


def test_without_a_guard_its_absence_is_no_alert() -> None:
    text = json.dumps(groups(5, guard=False, valid_seconds=180.0))
    assert "nodewise_guard" not in text and "NodewiseReporterDown" in text


def test_the_wait_for_missing_things_is_the_operators() -> None:
    waits = {rule["alert"]: rule["for"] for group in groups(1, guard=True, valid_seconds=180.0) for rule in group["rules"] if "alert" in rule}
    assert waits["NodewiseReporterDown"] == waits["NodewiseReportStale"] == waits["NodewiseGuardWithoutLeader"] == "1m"
    assert waits["NodewiseNodeOverloaded"] == "15m"


@pytest.mark.parametrize(("seconds", "shown"), [(180.0, "180"), (1500.0, "1500"), (86399.0, "86399"), (90.5, "90.5")])
def test_a_report_is_stale_when_it_is_no_longer_valid(seconds: float, shown: str) -> None:
    (stale,) = (rule for group in groups(5, guard=True, valid_seconds=seconds) for rule in group["rules"] if rule.get("alert") == "NodewiseReportStale")
    assert re.findall(r"> (\S+)", stale["expr"]) == [shown, shown]


def test_a_reporter_that_has_published_nothing_since_its_start_is_seen() -> None:
    (stale,) = (rule for rule in rules("alert") if rule["alert"] == "NodewiseReportStale")
    _published, unpublished = stale["expr"].split(" or ")
    assert 'time() - process_start_time_seconds{job="nodewise-reporter"} > 180 unless on(node) nodewise_reporter_last_publish' in unpublished
    collector = ProcessCollector(registry=None)
    assert "process_start_time_seconds" in [family.name for family in collector.collect()]


@pytest.mark.parametrize("figure", ["cpu_{}_cores", "memory_{}_bytes"])
def test_a_node_whose_use_is_unknown_does_not_count_in_the_clusters(figure: str) -> None:
    used, allocatable = (f"nodewise_reporter_{figure.format(what)}" for what in ("used", "allocatable"))
    assert f"sum({used} and on(node) {allocatable}) / sum({allocatable} and on(node) {used})" in [rule["expr"] for rule in rules("record")]


def test_the_documentation_has_every_metric_and_alert() -> None:
    text = (ROOT / "docs" / "monitoring.md").read_text()
    for name in (*exported(), *(rule["alert"] for rule in rules("alert")), *(rule["record"] for rule in rules("record"))):
        assert f"`{name}`" in text, name
