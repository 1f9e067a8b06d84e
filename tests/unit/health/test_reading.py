# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.api.client import Answer, NoAnswer
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.health.reading import read_health

NOW = datetime(2026, 11, 25, 17, 40, tzinfo=UTC).timestamp()
NODES = "/api/v1/nodes"
REPORTS = "/apis/nodewise.dev/v1alpha1/nodereports"


class Api:
    """An API server whose lists are one page each; a number in the place of a list is an HTTP error."""

    def __init__(self, **lists: Any) -> None:
        self.lists = {"/version": [], NODES: lists.get("nodes", []), REPORTS: lists.get("reports", [])}

    def get(self, path: str, accept: str = "application/json") -> Answer:
        items = self.lists[path.partition("?")[0]]
        status, body = (items, {"message": "no"}) if isinstance(items, int) else (200, {"metadata": {}, "items": items})
        return Answer(status, json.dumps(body).encode(), "application/json", 0.0, NOW - 0.5, 0.0)


class Silent:
    def get(self, path: str, accept: str = "application/json") -> Answer:
        raise NoAnswer("connection refused")


def node(name: str, **spec: Any) -> dict[str, Any]:
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "ok", "lastTransitionTime": "2026-11-25T16:00:00Z"}
    return {"metadata": {"name": name}, "spec": spec, "status": {"conditions": [ready]}}


def report(name: str, observed: str, expires: str) -> dict[str, Any]:
    condition = {"type": "CPUOverloaded", "status": "False", "lastTransitionTime": observed}
    status = {"observedAt": observed, "expiresAt": expires, "cpuMillicores": {"now": 46}, "percent": {"disk": 41}, "conditions": [condition]}
    return {"metadata": {"name": name}, "status": status}


def test_nodes_come_by_name_with_what_they_and_their_reports_say() -> None:
    taint = {"key": "nodewise.dev/overloaded", "value": "cpu", "effect": "NoSchedule"}
    nodes = [node("w2"), node("w1", taints=[taint, {"key": "a", "effect": "NoExecute"}])]
    health = read_health(Api(nodes=nodes, reports=[report("w1", "2026-11-25T17:39:20.000000Z", "2026-11-25T17:42:20Z")]))

    assert health.errors == {}
    assert [row["name"] for row in health.nodes or ()] == ["w1", "w2"]
    first, second = health.nodes or ()
    assert first["taints"] == [taint, {"key": "a", "value": "", "effect": "NoExecute"}]
    assert first["conditions"] == [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "ok", "since": "2026-11-25T16:00:00Z"}]
    assert first["report"] == {
        "observed_at": "2026-11-25T17:39:20.000000Z",
        "expires_at": "2026-11-25T17:42:20Z",
        "age_seconds": 40.0,
        "fault": "",
        "used": {"cpu": 46},
        "disk_percent": 41,
        "conditions": [{"type": "CPUOverloaded", "status": "False", "reason": "", "message": "", "since": "2026-11-25T17:39:20.000000Z"}],
    }
    assert second["report"] is None


def test_a_report_that_expired_keeps_its_figures_and_says_how_old_they_are() -> None:
    [row] = read_health(Api(nodes=[node("w1")], reports=[report("w1", "2026-11-25T17:30:00Z", "2026-11-25T17:33:00Z")])).nodes or ()
    assert (row["report"]["fault"], row["report"]["age_seconds"], row["report"]["used"]) == ("NodeReport is 600 s old", 600.0, {"cpu": 46})


@pytest.mark.parametrize("observed", ["2026-11-25T18:30:00Z", "2026-11-25T17:30:00", "yesterday"])
def test_a_report_from_the_future_or_of_no_certain_time_has_a_fault_and_no_age(observed: str) -> None:
    [row] = read_health(Api(nodes=[node("w1")], reports=[report("w1", observed, "2026-11-25T19:33:00Z")])).nodes or ()
    assert row["report"]["fault"] and row["report"]["age_seconds"] is None


def test_a_report_without_a_status_has_a_fault() -> None:
    [row] = read_health(Api(nodes=[node("w1")], reports=[{"metadata": {"name": "w1"}}])).nodes or ()
    assert (row["report"]["fault"], row["report"]["age_seconds"]) == ("NodeReport has no valid time of observation", None)


def test_a_node_without_conditions_is_no_error() -> None:
    [row] = read_health(Api(nodes=[{"metadata": {"name": "w1"}}])).nodes or ()
    assert (row["conditions"], row["taints"]) == ([], [])


def test_one_kind_that_cannot_be_read_is_named() -> None:
    no_reports = read_health(Api(nodes=[node("w1")], reports=404))
    assert [row["report"] for row in no_reports.nodes or ()] == [None]
    assert no_reports.errors == {"nodereports": "the API server does not serve it (HTTP 404)"}
    no_nodes = read_health(Api(nodes=403))
    assert (no_nodes.nodes, no_nodes.errors) == (None, {"nodes": "HTTP 403: no"})


def test_nothing_at_all_is_an_error() -> None:
    with pytest.raises(NodewiseError, match="Neither Nodes nor NodeReports can be read: HTTP 403: no"):
        read_health(Api(nodes=403, reports=403))
    with pytest.raises(NodewiseError, match="The API server cannot be asked: connection refused"):
        read_health(Silent())
