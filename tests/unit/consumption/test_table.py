# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.consumption import result
from ansible_collections.nodewise.cluster.plugins.module_utils.consumption.reading import read_cluster
from ansible_collections.nodewise.cluster.plugins.module_utils.consumption.table import cores, size, table

from .conftest import AHEAD, NOW, Api, named, refused


def lines(lists: dict[str, Any], most: int = 0) -> list[str]:
    cluster = read_cluster(Api(lists), (), lambda: NOW + AHEAD)
    nodes, namespaces = result.nodes(cluster, "cpu"), result.namespaces(cluster, "cpu")
    return table(nodes, namespaces, result.totals(cluster, nodes, namespaces), cluster.errors, most)


def cells(listed: list[str], first: str) -> list[str]:
    return next(line for line in listed if line.startswith(first)).split()


def test_the_whole(lists: dict[str, Any]) -> None:
    assert lines(lists) == [
        "NODE   STATE              CPU  C-USE%  C-REQ%  C-LIM%  C-SLACK  MEMORY  M-USE%  M-REQ%  M-LIM%  M-SLACK   PODS  SOURCE   AGE",
        "w2     UNKNOWN, cordoned    2     75%     50%      0%     -0.5   4.0Gi     50%     12%      0%   -1.5Gi  1/110  metrics  30s",
        "w1     ready                2     30%     30%      0%        0   4.0Gi     25%     25%     50%        0  2/110  report   10s",
        "w3     NOT READY            2       ?      0%      0%        ?   4.0Gi       ?      0%      0%        ?  0/110  ?          ?",
        "TOTAL                       6       ?     31%      0%        ?  12.0Gi       ?     12%     17%        ?  4/330",
        "",
        "NAMESPACE    PODS  ENDED  C-REQ  C-LIM  M-REQ  M-LIM  SVC  LB  SECRETS  PVC  RC  DEPLOY  FULLEST QUOTA",
        "shop            3      1   1.75      0  1.5Gi  2.0Gi    2   1        2    1   0       0  100% pods 0/0 (team), ? secrets (new)",
        "kube-system     1      0    0.1      0      0      0    1   0        0    0   0       1  -",
        "empty           0      0      0      0      0      0    0   0        0    0   0       0  -",
        "TOTAL           4      1   1.85      0  1.5Gi  2.0Gi    3   1        2    1   0       1",
    ]


def test_a_long_list_is_cut_but_not_its_total(lists: dict[str, Any]) -> None:
    listed = lines(lists, most=1)
    assert [line.split()[0] for line in listed if line] == ["NODE", "w2", "...", "TOTAL", "NAMESPACE", "shop", "...", "TOTAL"]
    assert "... 2 more nodes (table_rows)" in listed
    assert "... 2 more namespaces (table_rows)" in listed
    assert cells(listed, "TOTAL")[1] == "6"


def test_what_is_unknown_is_a_question_mark_and_has_its_reason(lists: dict[str, Any]) -> None:
    lists["/api/v1/pods"] = lists["/api/v1/secrets"] = lists["/api/v1/resourcequotas"] = refused(403, "forbidden")
    listed = lines(lists)
    assert cells(listed, "w1") == ["w1", "ready", "2", "30%", "?", "?", "?", "4.0Gi", "25%", "?", "?", "?", "?/110", "report", "10s"]
    assert cells(listed, "shop") == ["shop", "?", "?", "?", "?", "?", "?", "2", "1", "?", "1", "0", "0", "?"]
    assert listed[-3:] == [f"unknown: {kind}: HTTP 403: forbidden" for kind in ("pods", "secrets", "resourcequotas")]


def test_unknown_nodes_are_said_in_their_place(lists: dict[str, Any]) -> None:
    lists["/api/v1/nodes"] = refused(403, "forbidden")
    listed = lines(lists)
    assert listed[:2] == ["nodes: ? (HTTP 403: forbidden)", ""]
    assert listed[2].startswith("NAMESPACE")


def test_a_quota_that_is_not_counted_is_unknown(lists: dict[str, Any]) -> None:
    del lists["/api/v1/resourcequotas"][0]
    assert cells(lines(lists), "shop")[-1] == "?"


def test_the_quota_nearest_to_its_end_is_shown_and_what_is_not_counted_is_unknown(lists: dict[str, Any]) -> None:
    team, new = lists["/api/v1/resourcequotas"]
    del team["status"]["hard"]["pods"]
    assert next(line for line in lines(lists) if line.startswith("shop")).endswith("75% requests.cpu 1500m/2 (team), ? secrets (new)")
    new["spec"]["hard"]["services"] = "5"
    assert next(line for line in lines(lists) if line.startswith("shop")).endswith("75% requests.cpu 1500m/2 (team), ? secrets (new) and 1 more")
    new["status"] = {"hard": {"secrets": "5"}, "used": {"secrets": "1"}}
    assert next(line for line in lines(lists) if line.startswith("shop")).endswith("75% requests.cpu 1500m/2 (team)")


def test_a_long_name_is_clipped(lists: dict[str, Any]) -> None:
    lists["/api/v1/namespaces"].append(named("n" * 63))
    assert f"{'n' * 38}..  " in "\n".join(lines(lists))


@pytest.mark.parametrize(("millicores", "text"), [(0, "0"), (1, "0"), (46, "0.05"), (500, "0.5"), (2000, "2"), (100_000, "100"), (-339, "-0.34"), (None, "?")])
def test_cores(millicores: int | None, text: str) -> None:
    assert cores(millicores) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.0Ki"),
        (2**20, "1.0Mi"),
        (150 * 2**20, "150Mi"),
        (1000 * 2**20, "1.0Gi"),
        (-(2**31), "-2.0Gi"),
        (2**63, "8.0Ei"),
        (None, "?"),
    ],
)
def test_size(count: int | None, text: str) -> None:
    assert size(count) == text
