# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.api.client import Answer, NoAnswer
from ansible_collections.nodewise.cluster.plugins.module_utils.consumption.amounts import plain
from ansible_collections.nodewise.cluster.plugins.module_utils.consumption.pages import METADATA_LIST, PAGE
from ansible_collections.nodewise.cluster.plugins.module_utils.consumption.reading import METRICS_PATH, Cluster, read_cluster
from ansible_collections.nodewise.cluster.plugins.module_utils.consumption.usage import METRICS, REPORT, SUMMARY
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError

from .conftest import AHEAD, NOW, Api, ago, metrics, pod, refused, report

SECRETS = "/api/v1/secrets"
REPORTS = "/apis/nodewise.dev/v1alpha1/nodereports"
SUMMARY_W3 = "/api/v1/nodes/w3/proxy/stats/summary"


def read(lists: dict[str, Any], *summary_nodes: str) -> Cluster:
    return read_cluster(Api(lists), summary_nodes, lambda: NOW + AHEAD)


def test_pods_are_summed_up_by_node_and_by_namespace(lists: dict[str, Any]) -> None:
    loads = read(lists).loads
    assert loads is not None
    w1, homeless, shop = loads.by_node["w1"], loads.by_node[""], loads.by_namespace["shop"]
    assert (w1.pods, w1.terminated, plain(w1.requests), plain(w1.limits)) == (2, 1, {"cpu": 600, "memory": 2**30}, {"memory": 2**31})
    assert (homeless.pods, plain(homeless.requests)) == (1, {"cpu": 250})
    assert (shop.pods, shop.terminated, plain(shop.requests)) == (3, 1, {"cpu": 1750, "memory": 3 * 2**29})
    assert "w3" not in loads.by_node


def test_each_kind_is_read_once_and_of_what_is_counted_only_metadata(lists: dict[str, Any]) -> None:
    api = Api(lists)
    read_cluster(api, (), lambda: NOW + AHEAD)
    asked = [path.partition("?")[0] for path, _accept in api.seen]
    assert sorted(asked) == sorted({"/version", *lists})
    counted = {path.partition("?")[0] for path, accept in api.seen if accept == METADATA_LIST}
    assert counted == {SECRETS, "/api/v1/persistentvolumeclaims", "/api/v1/replicationcontrollers", "/apis/apps/v1/deployments", "/api/v1/namespaces"}


def test_what_comes_in_several_pages_is_one_sum(lists: dict[str, Any]) -> None:
    lists["/api/v1/pods"] = [pod("many", f"p{index}", "w1", {"cpu": "1m"}) for index in range(1234)]
    lists[SECRETS] = [{"metadata": {"name": f"s{index}", "namespace": "many"}} for index in range(PAGE + 1)]
    cluster = read(lists)
    assert cluster.loads is not None
    assert cluster.loads.by_node["w1"].pods == plain(cluster.loads.by_namespace["many"].requests)["cpu"] == 1234
    assert cluster.counts["secrets"] == {"many": PAGE + 1}


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/api/v1/nodes", "nodes"),
        ("/api/v1/pods", "pods"),
        ("/api/v1/namespaces", "namespaces"),
        ("/api/v1/services", "services"),
        (SECRETS, "secrets"),
        ("/api/v1/persistentvolumeclaims", "persistentvolumeclaims"),
        ("/api/v1/replicationcontrollers", "replicationcontrollers"),
        ("/apis/apps/v1/deployments", "deployments"),
        ("/api/v1/resourcequotas", "resourcequotas"),
        (REPORTS, "nodereports"),
        (METRICS_PATH, "nodemetrics"),
    ],
)
def test_a_kind_that_cannot_be_read_is_unknown_with_the_reason(lists: dict[str, Any], path: str, kind: str) -> None:
    lists[path] = refused(403, "forbidden")
    cluster = read(lists)
    values = {**vars(cluster), **cluster.counts, "pods": cluster.loads, "resourcequotas": cluster.quotas}
    values |= {"nodereports": cluster.samples[REPORT], "nodemetrics": cluster.samples[METRICS]}
    assert cluster.errors == {kind: "HTTP 403: forbidden"}
    assert values[kind] is None
    others = {"nodes", "pods", "namespaces", "services", *cluster.counts, "resourcequotas", "nodereports", "nodemetrics"} - {kind}
    assert all(values[other] is not None for other in others)


def test_a_kind_that_breaks_off_is_unknown_as_a_whole(lists: dict[str, Any]) -> None:
    class Breaking(Api):
        def get(self, path: str, accept: str = "") -> Answer:
            return refused(500, "etcd went away") if f"continue={PAGE}" in path else super().get(path, accept)

    lists[SECRETS] = [{"metadata": {"name": f"s{index}", "namespace": "many"}} for index in range(PAGE + 1)]
    cluster = read_cluster(Breaking(lists), (), lambda: NOW + AHEAD)
    assert (cluster.counts["secrets"], cluster.errors) == (None, {"secrets": "HTTP 500: etcd went away"})


def test_metrics_that_are_no_quantities_are_unknown(lists: dict[str, Any]) -> None:
    lists[METRICS_PATH] = [metrics("w1", 1, "much", "1Gi")]
    cluster = read(lists)
    assert cluster.samples[METRICS] is None
    assert cluster.errors["nodemetrics"].startswith("'much' is not a quantity")


def test_the_metrics_api_is_asked_only_if_a_node_has_no_current_report(lists: dict[str, Any]) -> None:
    lists[METRICS_PATH] = refused(404)
    lists[REPORTS] = [report(name, 10, 1, 1) for name in ("w1", "w2", "w3")]
    cluster = read(lists)
    assert (METRICS in cluster.samples, cluster.errors) == (False, {})
    lists[REPORTS][2] = report("w3", 181, 1, 1)
    cluster = read(lists)
    assert (cluster.samples[METRICS], cluster.errors) == (None, {"nodemetrics": "the API server does not serve it (HTTP 404)"})


def test_only_named_kubelets_are_asked(lists: dict[str, Any]) -> None:
    part = {"time": ago(3), "usageNanoCores": 5_000_000}
    lists[SUMMARY_W3] = {"node": {"cpu": part}}
    assert SUMMARY not in read(lists).samples
    cluster = read(lists, "w3")
    samples = cluster.samples[SUMMARY]
    assert samples is not None
    assert ({name: dict(sample.used) for name, sample in samples.items()}, cluster.errors) == ({"w3": {"cpu": 5}}, {})


def test_a_kubelet_that_does_not_answer_is_an_error_of_its_own(lists: dict[str, Any]) -> None:
    lists[SUMMARY_W3] = refused(502, "dial tcp: refused")
    cluster = read(lists, "w3")
    assert (cluster.samples[SUMMARY], cluster.errors) == ({}, {"summary of w3": "HTTP 502: dial tcp: refused"})


def test_a_node_that_does_not_exist_is_named(lists: dict[str, Any]) -> None:
    with pytest.raises(NodewiseError, match="summary_nodes names w8, w9, but the cluster has no such Node"):
        read(lists, "w9", "w1", "w8")


def test_time_is_the_api_servers_when_the_reading_ends(lists: dict[str, Any]) -> None:
    # The reading takes 20 s, and w1's report is written in its last second.
    lists[REPORTS] = [report("w1", -19, 1, 1)]
    cluster = read_cluster(Api(lists), (), lambda: NOW + AHEAD + 20)
    assert cluster.now == NOW + 20
    samples = cluster.samples[REPORT]
    assert samples is not None
    assert samples["w1"].fault(cluster.now) == ""


def test_a_quota_that_is_not_counted_yet_has_its_wish(lists: dict[str, Any]) -> None:
    quotas = read(lists).quotas
    assert quotas is not None
    team, new = quotas["shop"]
    assert (team.hard, team.used) == ({"requests.cpu": "2", "pods": "0"}, {"requests.cpu": "1500m", "pods": "0"})
    assert (new.hard, new.used) == ({"secrets": "5"}, {})


def test_a_silent_api_server_is_an_error() -> None:
    class Silent:
        def get(self, path: str, accept: str = "") -> Answer:
            raise NoAnswer("127.0.0.1:6443 did not answer within 30 s.")

    with pytest.raises(NodewiseError, match=r"The API server cannot be asked: 127.0.0.1:6443 did not answer within 30 s"):
        read_cluster(Silent())


def test_who_may_read_nothing_is_told_so(lists: dict[str, Any]) -> None:
    with pytest.raises(NodewiseError, match=r"Nothing of the cluster can be read: HTTP 403: forbidden.*list nodes and pods"):
        read(dict.fromkeys(lists, refused(403, "forbidden")))
