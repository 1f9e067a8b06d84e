# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.consumption import result
from ansible_collections.nodewise.cluster.plugins.module_utils.consumption.reading import read_cluster

from .conftest import AHEAD, NOW, Api, ago, node, pod, refused, report

REPORTS = "/apis/nodewise.dev/v1alpha1/nodereports"


def rows(lists: dict[str, Any], sort_by: str = "name", summary_nodes: tuple[str, ...] = ()) -> tuple[Any, list[result.Row], result.Row]:
    cluster = read_cluster(Api(lists), summary_nodes, lambda: NOW + AHEAD)
    nodes, namespaces = result.nodes(cluster, sort_by), result.namespaces(cluster, sort_by)
    return nodes, namespaces, result.totals(cluster, nodes, namespaces)


def names(listed: list[result.Row]) -> list[str]:
    return [row["name"] for row in listed]


def test_a_node_with_its_report(lists: dict[str, Any]) -> None:
    nodes, _namespaces, _totals = rows(lists)
    times = {"observed_at": ago(10), "age_seconds": 10.0}
    assert nodes[0] == {
        "name": "w1",
        "ready": True,
        "unschedulable": False,
        "pods": 2,
        "terminated_pods": 1,
        "capacity": {"cpu": 4000, "memory": 2**32, "ephemeral-storage": 10 * 2**30, "pods": 110},
        "allocatable": {"cpu": 2000, "memory": 2**32, "ephemeral-storage": 10 * 2**30, "pods": 110},
        "requested": {"cpu": 600, "memory": 2**30},
        "limits": {"memory": 2**31},
        "used": {
            "cpu": {"value": 600, "source": "NodeReport", **times},
            "memory": {"value": 2**30, "source": "NodeReport", **times},
            "ephemeral-storage": {"value": 2**31, "source": "NodeReport", **times},
        },
        "slack": {"cpu": 0, "memory": 0},
    }


def test_a_stale_report_gives_way_to_metrics_and_nothing_is_unknown(lists: dict[str, Any]) -> None:
    nodes, _namespaces, _totals = rows(lists)
    w2, w3 = nodes[1], nodes[2]
    assert w2["used"]["cpu"] == {"value": 1500, "source": "metrics API", "observed_at": ago(30), "age_seconds": 30.0}
    assert w2["used"]["ephemeral-storage"]["reason"] == "NodeReport is 190 s old; metrics API does not tell it"
    assert w2["slack"] == {"cpu": -500, "memory": 2**29 - 2**31}
    assert (w3["used"]["cpu"]["value"], w3["used"]["cpu"]["reason"]) == (None, "no NodeReport; no metrics API")
    assert w3["slack"] == {"cpu": None, "memory": None}
    assert [(row["ready"], row["unschedulable"]) for row in nodes] == [(True, False), (None, True), (False, False)]


def test_a_named_nodes_kubelet_is_believed_first(lists: dict[str, Any]) -> None:
    lists["/api/v1/nodes/w1/proxy/stats/summary"] = {"node": {"cpu": {"time": ago(2), "usageNanoCores": 700_000_000}}}
    nodes, _namespaces, _totals = rows(lists, summary_nodes=("w1",))
    assert [nodes[0]["used"][name]["source"] for name in ("cpu", "memory")] == ["kubelet Summary", "NodeReport"]
    assert nodes[0]["slack"]["cpu"] == -100


@pytest.mark.parametrize(
    ("sort_by", "order", "namespace_order"),
    [
        ("name", ["w1", "w2", "w3"], ["empty", "kube-system", "shop"]),
        ("cpu", ["w2", "w1", "w3"], ["shop", "kube-system", "empty"]),
        ("memory", ["w2", "w1", "w3"], ["shop", "empty", "kube-system"]),
        ("cpu_requested", ["w2", "w1", "w3"], ["shop", "kube-system", "empty"]),
        ("memory_requested", ["w1", "w2", "w3"], ["shop", "empty", "kube-system"]),
        ("pods", ["w1", "w2", "w3"], ["shop", "kube-system", "empty"]),
    ],
)
def test_the_largest_comes_first_and_the_unknown_last(lists: dict[str, Any], sort_by: str, order: list[str], namespace_order: list[str]) -> None:
    nodes, namespaces, _totals = rows(lists, sort_by)
    assert (names(nodes), names(namespaces)) == (order, namespace_order)


def test_nodes_are_compared_by_share_of_allocatable(lists: dict[str, Any]) -> None:
    lists["/api/v1/nodes"] = [node("big", {"cpu": "100"}), node("idle", {"cpu": "1"}), node("small", {"cpu": "1"})]
    lists[REPORTS] = [report("big", 1, 900, 0), report("small", 1, 500, 0), report("idle", 1, 0, 0)]
    nodes, _namespaces, _totals = rows(lists, "cpu")
    assert names(nodes) == ["small", "big", "idle"]


def test_a_namespace(lists: dict[str, Any]) -> None:
    _nodes, namespaces, _totals = rows(lists, "cpu")
    assert namespaces[0] == {
        "name": "shop",
        "pods": 3,
        "terminated_pods": 1,
        "requested": {"cpu": 1750, "memory": 3 * 2**29},
        "limits": {"memory": 2**31},
        "services": 2,
        "load_balancers": 1,
        "secrets": 2,
        "persistent_volume_claims": 1,
        "replication_controllers": 0,
        "deployments": 0,
        "quotas": [
            {
                "name": "team",
                "resources": {
                    "requests.cpu": {"hard": "2", "used": "1500m", "percent": 75.0},
                    "pods": {"hard": "0", "used": "0", "percent": 100.0},
                },
            },
            {"name": "new", "resources": {"secrets": {"hard": "5", "used": None, "percent": None}}},
        ],
    }
    assert (namespaces[2]["pods"], namespaces[2]["requested"], namespaces[2]["quotas"]) == (0, {}, [])


def test_totals(lists: dict[str, Any]) -> None:
    _nodes, _namespaces, totals = rows(lists)
    assert totals == {
        "nodes": 3,
        "namespaces": 3,
        "capacity": {"cpu": 12000, "memory": 3 * 2**32, "ephemeral-storage": 30 * 2**30, "pods": 330},
        "allocatable": {"cpu": 6000, "memory": 3 * 2**32, "ephemeral-storage": 30 * 2**30, "pods": 330},
        "requested": {"cpu": 1850, "memory": 3 * 2**29},
        "limits": {"memory": 2**31},
        "used": {"cpu": {"value": 2100, "nodes": 2}, "memory": {"value": 3 * 2**30, "nodes": 2}, "ephemeral-storage": {"value": 2**31, "nodes": 1}},
        "slack": {"cpu": {"value": -500, "nodes": 2}, "memory": {"value": 2**29 - 2**31, "nodes": 2}},
        "pods": 4,
        "terminated_pods": 1,
        "services": 3,
        "load_balancers": 1,
        "secrets": 2,
        "persistent_volume_claims": 1,
        "replication_controllers": 0,
        "deployments": 1,
        "unscheduled_pods": 1,
    }


def test_unknown_pods_leave_no_0_anywhere(lists: dict[str, Any]) -> None:
    lists["/api/v1/pods"] = refused(403)
    nodes, namespaces, totals = rows(lists, "pods")
    for row in (*nodes, *namespaces, totals):
        assert [row[name] for name in ("pods", "terminated_pods", "requested", "limits")] == [None] * 4
    assert totals["unscheduled_pods"] is None
    assert totals["slack"] == {"cpu": {"value": None, "nodes": 0}, "memory": {"value": None, "nodes": 0}}
    assert nodes[0]["used"]["cpu"]["value"] == 600


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("/api/v1/secrets", ["secrets"]),
        ("/api/v1/services", ["services", "load_balancers"]),
        ("/api/v1/persistentvolumeclaims", ["persistent_volume_claims"]),
        ("/api/v1/replicationcontrollers", ["replication_controllers"]),
        ("/apis/apps/v1/deployments", ["deployments"]),
    ],
)
def test_an_unknown_number_is_null_everywhere(lists: dict[str, Any], path: str, keys: list[str]) -> None:
    lists[path] = refused(403)
    _nodes, namespaces, totals = rows(lists)
    assert all(row[key] is None for row in (*namespaces, totals) for key in keys)
    assert all(row["pods"] is not None for row in (*namespaces, totals))


def test_unknown_quotas_are_not_none_at_all(lists: dict[str, Any]) -> None:
    lists["/api/v1/resourcequotas"] = refused(403)
    assert [row["quotas"] for row in rows(lists)[1]] == [None] * 3


def test_unknown_nodes_and_namespaces(lists: dict[str, Any]) -> None:
    lists["/api/v1/nodes"] = lists["/api/v1/namespaces"] = refused(403)
    nodes, namespaces, totals = rows(lists)
    assert nodes is None
    # What holds something is seen all the same.
    assert names(namespaces) == ["kube-system", "shop"]
    assert [totals[name] for name in ("nodes", "namespaces", "capacity", "allocatable")] == [None] * 4
    assert totals["pods"] == 4


def test_a_pod_on_a_node_that_is_gone_is_in_the_totals_only(lists: dict[str, Any]) -> None:
    lists["/api/v1/pods"].append(pod("shop", "lost", "w9", {"cpu": "1"}))
    nodes, _namespaces, totals = rows(lists)
    assert names(nodes) == ["w1", "w2", "w3"]
    assert (totals["pods"], totals["requested"]["cpu"]) == (5, 2850)


def test_all_of_it_is_plain_data(lists: dict[str, Any]) -> None:
    everything = rows(lists)
    assert json.loads(json.dumps(everything)) == list(everything)


@pytest.mark.parametrize(("part", "whole", "expected"), [(1, 4, 25.0), (0, 4, 0.0), (None, 4, None), (1, None, None), (1, 0, None)])
def test_share(part: int | None, whole: int | None, expected: float | None) -> None:
    assert result.share(part, whole) == expected


def test_amount() -> None:
    assert [result.amount(value, "cpu") for value in (None, {}, {"cpu": 3})] == [None, 0, 3]
