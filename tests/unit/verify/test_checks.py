# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The static checks: a cluster as it was really read passes, and each planted fault is found by its own check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.api import Reading
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.checks import (
    HOST_CHECKS,
    TRANSIENT,
    Expected,
    HostReport,
    Row,
    cluster_checks,
    node_names,
    pod_state,
    rows,
    within,
)
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.dns import Answer, DnsError
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.reading import (
    PATHS,
    ClusterReading,
    pause_of,
    read_cluster,
)
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.result import CLUSTER, FAIL, OK, UNKNOWN, WARN, Result

NODES = ("cp1", "w1", "w2")
Named = Callable[[str, str], dict[str, Any]]
Report = Callable[..., HostReport]


def bad(reading: ClusterReading, wanted: Expected, hosts: dict[str, HostReport], scope: tuple[str, ...] = NODES) -> dict[tuple[str, str], Result]:
    """Return what is not ok, by node and check."""
    return {(result.node, result.check): result for result in cluster_checks(reading, wanted, hosts, scope) if result.status != OK}


# -- a healthy cluster ---------------------------------------------------------------------------------------------------


def test_a_healthy_cluster_passes(reading: ClusterReading, wanted: Expected, hosts: dict[str, HostReport]) -> None:
    results = cluster_checks(reading, wanted, hosts, NODES)
    assert [result for result in results if result.status != OK] == []
    assert len({(result.node, result.check) for result in results}) == len(results)
    assert {result.node for result in results} == {CLUSTER, *NODES}
    assert {result.check for result in results} > TRANSIENT - {"node.registered"}


def test_nothing_in_particular_wanted(reading: ClusterReading) -> None:
    """An ad-hoc call has no hosts and no wishes: what remains is compared with itself."""
    results = cluster_checks(reading, Expected(), {}, NODES)
    assert {result.status for result in results} == {OK}
    assert not {result.check for result in results} & set(HOST_CHECKS)


def test_rows(reading: ClusterReading) -> None:
    assert rows(reading, ["cp1", "w9"]) == [
        Row("cp1", "control", "yes", "1.37.2", "containerd 2.4.2", "calico 3.28.5", "10.244.176.0/26"),
        Row("w9"),
    ]


# -- lies ----------------------------------------------------------------------------------------------------------------


def test_kube_proxy_pod_is_missing(reading: ClusterReading, wanted: Expected, hosts: dict[str, HostReport]) -> None:
    pods = reading.api["pods"].value
    pods["items"] = [pod for pod in pods["items"] if not (pod["metadata"]["labels"].get("k8s-app") == "kube-proxy" and pod["spec"]["nodeName"] == "w1")]
    found = bad(reading, wanted, hosts)
    assert set(found) == {("w1", "node.kube-proxy")}
    assert found["w1", "node.kube-proxy"].observed == "none"


def test_calico_node_is_not_ready(reading: ClusterReading, wanted: Expected, hosts: dict[str, HostReport]) -> None:
    (pod,) = [
        pod for pod in reading.api["pods"].value["items"] if pod["metadata"]["labels"].get("k8s-app") == "calico-node" and pod["spec"]["nodeName"] == "w2"
    ]
    pod["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
    found = bad(reading, wanted, hosts)
    assert set(found) == {("w2", "cni.calico-node")}
    assert found["w2", "cni.calico-node"].observed.endswith("Running, not ready")


def test_a_pod_that_is_being_deleted_is_not_ready(reading: ClusterReading, wanted: Expected, hosts: dict[str, HostReport], named: Named) -> None:
    named("pods", "etcd-cp1")["metadata"]["deletionTimestamp"] = "2026-11-25T10:00:00Z"
    assert bad(reading, wanted, hosts)[CLUSTER, "control-plane.ready"].observed == "not ready: etcd on cp1"


def test_conflist_is_lost(reading: ClusterReading, wanted: Expected, hosts: dict[str, HostReport], report: Report) -> None:
    hosts["w1"] = report("w1", cni=Reading([]), conflist=Reading(error="/etc/cni/net.d/10-calico.conflist does not exist"))
    assert set(bad(reading, wanted, hosts)) == {("w1", "cni.conflist")}


def test_coredns_is_scaled_to_zero(reading: ClusterReading, wanted: Expected, hosts: dict[str, HostReport], named: Named) -> None:
    deployment = named("deployments", "coredns")
    deployment["spec"]["replicas"] = 0
    deployment["status"] = {}
    pods = reading.api["pods"].value
    pods["items"] = [pod for pod in pods["items"] if pod["metadata"]["labels"].get("k8s-app") != "kube-dns"]
    reading.dns = {"10.96.0.10": Reading(error="10.96.0.10 did not answer for kubernetes.default.svc.cluster.local within 3 s")}
    found = bad(reading, wanted, hosts)
    assert set(found) == {(CLUSTER, "dns.deployment"), (CLUSTER, "dns.service"), (CLUSTER, "dns.pods")}
    assert found[CLUSTER, "dns.deployment"].observed == "coredns is scaled to 0"
    assert found[CLUSTER, "dns.pods"].observed == "none"


def test_one_coredns_pod_of_two_does_not_answer(reading: ClusterReading, wanted: Expected, hosts: dict[str, HostReport]) -> None:
    pod = next(server for server in reading.dns if server != "10.96.0.10")
    reading.dns[pod] = Reading(error=f"{pod} did not answer")
    assert {key: result.observed for key, result in bad(reading, wanted, hosts).items()} == {(CLUSTER, "dns.pods"): f"{pod} did not answer"}


def test_dns_answers_with_a_foreign_address(reading: ClusterReading, wanted: Expected, hosts: dict[str, HostReport]) -> None:
    reading.dns["10.96.0.10"] = Reading(["192.0.2.1"])
    assert bad(reading, wanted, hosts)[CLUSTER, "dns.service"].observed == "10.96.0.10: 192.0.2.1"


@pytest.mark.parametrize(
    ("changed", "status", "observed"),
    [
        ({"cgroup_driver": Reading("cgroupfs")}, FAIL, "kubelet systemd, runtime cgroupfs, config.yaml systemd"),
        ({"kubelet_config": Reading({"cgroupDriver": "cgroupfs"})}, FAIL, "kubelet systemd, runtime systemd, config.yaml cgroupfs"),
        ({"cgroup_driver": Reading(error="unknown method RuntimeConfig")}, UNKNOWN, "runtime could not be read: unknown method RuntimeConfig"),
    ],
)
def test_wrong_cgroup_driver(
    reading: ClusterReading, wanted: Expected, hosts: dict[str, HostReport], report: Report, changed: dict[str, Reading], status: str, observed: str
) -> None:
    hosts["w1"] = report("w1", **changed)
    found = bad(reading, wanted, hosts)
    assert set(found) == {("w1", "kubelet.cgroup-driver")}
    assert (found["w1", "kubelet.cgroup-driver"].status, found["w1", "kubelet.cgroup-driver"].observed) == (status, observed)


def test_all_agree_on_a_cgroup_driver_that_is_not_wanted(reading: ClusterReading, wanted: Expected, hosts: dict[str, HostReport]) -> None:
    found = bad(reading, replace(wanted, cgroup_driver="cgroupfs"), hosts)
    assert set(found) == {(node, "kubelet.cgroup-driver") for node in NODES}


def test_kubelet_is_stopped(reading: ClusterReading, wanted: Expected, hosts: dict[str, HostReport], report: Report) -> None:
    """Its Node stays Ready for 40 s and more; the host, and the API server's question to it, tell at once."""
    hosts["w1"] = report("w1", healthz=Reading(error="Connection refused"))
    reading.configz["w1"] = Reading(error="HTTP 503 dial tcp 10.0.0.2:10250: connect: connection refused", status=503)
    assert {key: result.status for key, result in bad(reading, wanted, hosts).items()} == {
        ("w1", "kubelet.healthy"): FAIL,
        ("w1", "kubelet.configz"): FAIL,
    }


def test_a_lease_tells_before_the_node_does(reading: ClusterReading, wanted: Expected, hosts: dict[str, HostReport]) -> None:
    reading.now += 60
    found = bad(reading, wanted, hosts)
    assert set(found) == {(node, "node.lease") for node in NODES}
    assert found["w1", "node.lease"].expected == "renewed within 40 s"


def test_a_clock_that_is_ahead(reading: ClusterReading, wanted: Expected, hosts: dict[str, HostReport]) -> None:
    reading.now -= 100
    assert "renewed -" in bad(reading, wanted, hosts)["w1", "node.lease"].observed


def test_no_lease(reading: ClusterReading, wanted: Expected, hosts: dict[str, HostReport]) -> None:
    reading.api["leases"].value["items"] = []
    assert bad(reading, wanted, hosts)["w1", "node.lease"].observed == "none"


def test_calico_uses_another_address(reading: ClusterReading, wanted: Expected, hosts: dict[str, HostReport], named: Named) -> None:
    named("nodes", "w1")["metadata"]["annotations"]["projectcalico.org/IPv4Address"] = "172.17.0.1/16"
    found = bad(reading, wanted, hosts)
    assert set(found) == {("w1", "network.address")}
    assert found["w1", "network.address"].observed == "172.17.0.1"


def test_calico_has_written_no_address(reading: ClusterReading, wanted: Expected, hosts: dict[str, HostReport], named: Named) -> None:
    named("nodes", "w1")["metadata"]["annotations"] = {}
    assert bad(reading, wanted, hosts)["w1", "network.address"].observed == "calico-node has written no address"


@pytest.mark.parametrize(("value", "observed"), [("nodewise://other/w1", "nodewise://other/w1"), ("", "nothing")])
def test_a_provider_id_that_is_not_the_nodes(
    reading: ClusterReading, wanted: Expected, hosts: dict[str, HostReport], named: Named, value: str, observed: str
) -> None:
    named("nodes", "w1")["spec"]["providerID"] = value
    found = bad(reading, wanted, hosts)
    assert set(found) == {("w1", "node.provider-id")}
    assert found["w1", "node.provider-id"].observed == observed


def test_a_kubelet_of_another_version(reading: ClusterReading, wanted: Expected, hosts: dict[str, HostReport], named: Named) -> None:
    named("nodes", "w1")["status"]["nodeInfo"]["kubeletVersion"] = "v1.36.3"
    assert set(bad(reading, wanted, hosts)) == {("w1", "kubelet.version")}
    assert set(bad(reading, replace(wanted, kubernetes_version=""), hosts)) == {("w1", "kubelet.version")}


def test_versions_that_are_not_wanted(reading: ClusterReading, wanted: Expected, hosts: dict[str, HostReport]) -> None:
    found = bad(reading, replace(wanted, kubernetes_version="1.36.3", containerd_version="2.3.0", calico_version="3.33.0"), hosts)
    assert set(found) == {(CLUSTER, "api.version"), *((node, check) for node in NODES for check in ("kubelet.version", "runtime.version", "cni.version"))}


def test_the_kubelet_talks_to_another_runtime(reading: ClusterReading, wanted: Expected, hosts: dict[str, HostReport], report: Report) -> None:
    hosts["w1"] = report("w1", version=Reading({"name": "containerd", "version": "2.3.0"}))
    assert bad(reading, wanted, hosts)["w1", "runtime.version"].observed == "containerd 2.3.0 (as the runtime says)"


def test_another_sandbox_image(reading: ClusterReading, wanted: Expected, hosts: dict[str, HostReport], report: Report) -> None:
    image = "registry.k8s.io/pause:3.8"
    hosts["w1"] = report("w1", sandbox_image=Reading(image), images=Reading([image]))
    assert set(bad(reading, wanted, hosts)) == {("w1", "runtime.sandbox-image")}


def test_kubeadm_cannot_be_asked(reading: ClusterReading, wanted: Expected, hosts: dict[str, HostReport]) -> None:
    reading.sandbox_image = Reading(error="kubeadm is not installed on this host.")
    assert {key: result.status for key, result in bad(reading, wanted, hosts).items()} == {(node, "runtime.sandbox-image"): UNKNOWN for node in NODES}


def test_pods_ask_another_dns(reading: ClusterReading, wanted: Expected, hosts: dict[str, HostReport]) -> None:
    reading.configz["w1"].value["clusterDNS"] = ["10.43.0.10"]
    assert set(bad(reading, wanted, hosts)) == {("w1", "kubelet.cluster-dns")}


def test_a_node_is_not_ready(reading: ClusterReading, wanted: Expected, hosts: dict[str, HostReport], named: Named) -> None:
    for condition in named("nodes", "w1")["status"]["conditions"]:
        if condition["type"] == "Ready":
            condition.update(status="False", message="cni plugin not initialized")
    found = bad(reading, wanted, hosts)
    assert found["w1", "node.ready"].observed == "not Ready: cni plugin not initialized"
    assert rows(reading, ["w1"])[0].ready == "NO"


def test_a_node_without_conditions(reading: ClusterReading, wanted: Expected, hosts: dict[str, HostReport], named: Named) -> None:
    named("nodes", "w1")["status"]["conditions"] = []
    found = bad(reading, wanted, hosts)
    assert found["w1", "node.ready"].observed == "no Ready condition yet"
    assert found["w1", "node.network"].observed == "calico-node has not reported it"


def test_a_cordoned_node_is_a_warning(reading: ClusterReading, wanted: Expected, hosts: dict[str, HostReport], named: Named) -> None:
    named("nodes", "w1")["spec"]["unschedulable"] = True
    assert {key: result.status for key, result in bad(reading, wanted, hosts).items()} == {("w1", "node.schedulable"): WARN}


def test_blocks(reading: ClusterReading, wanted: Expected, hosts: dict[str, HostReport]) -> None:
    blocks = reading.api["blocks"].value["items"]
    blocks[:] = [block for block in blocks if block["spec"]["node"] != "w2"]
    next(block for block in blocks if block["spec"]["node"] == "w1")["spec"]["cidr"] = "192.168.5.0/26"
    found = bad(reading, wanted, hosts)
    assert {key: result.status for key, result in found.items()} == {("w1", "network.block"): FAIL, ("w2", "network.block"): WARN}
    assert found["w1", "network.block"].observed == "192.168.5.0/26 is outside"


def test_a_block_that_is_given_back_does_not_count(reading: ClusterReading, wanted: Expected, hosts: dict[str, HostReport]) -> None:
    for block in reading.api["blocks"].value["items"]:
        block["spec"]["deleted"] = "true"
    assert {result.status for result in bad(reading, wanted, hosts).values()} == {WARN}


def test_pools(reading: ClusterReading, wanted: Expected, hosts: dict[str, HostReport]) -> None:
    pools = reading.api["pools"].value["items"]
    pools.append({"metadata": {"name": "more"}, "spec": {"cidr": "172.20.0.0/16"}})
    assert bad(reading, wanted, hosts) == {}
    pools[0]["spec"]["disabled"] = True
    assert bad(reading, wanted, hosts)[CLUSTER, "network.pool"].observed == "only 172.20.0.0/16"
    pools.clear()
    assert bad(reading, wanted, hosts)[CLUSTER, "network.pool"].observed == "no enabled IP pool"


def test_a_pod_cidr_outside(reading: ClusterReading, wanted: Expected, hosts: dict[str, HostReport], named: Named) -> None:
    named("nodes", "w1")["spec"]["podCIDR"] = "192.168.1.0/24"
    assert set(bad(reading, wanted, hosts)) == {("w1", "network.pod-cidr")}
    # Without a wish it is the controller-manager's flag that counts.
    assert set(bad(reading, replace(wanted, pod_cidr=""), hosts)) == {("w1", "network.pod-cidr")}


def test_no_calico_at_all(reading: ClusterReading, wanted: Expected, hosts: dict[str, HostReport]) -> None:
    reading.api["pools"] = reading.api["blocks"] = Reading(error="HTTP 404 the server could not find the requested resource", status=404)
    found = bad(reading, wanted, hosts)
    assert found[CLUSTER, "network.pool"].observed == "Calico's resources are not in this cluster"
    assert found["w1", "network.block"].status == UNKNOWN


def test_the_api_server_is_not_ready(reading: ClusterReading, wanted: Expected, hosts: dict[str, HostReport]) -> None:
    text = "[+]ping ok\n[-]etcd failed: reason withheld\n[-]informer-sync failed: reason withheld\nreadyz check failed\n"
    reading.api["readyz"] = Reading(text, "HTTP 500 [+]ping ok", 500)
    assert bad(reading, wanted, hosts)[CLUSTER, "api.ready"].observed == "not ready: etcd, informer-sync"


def test_no_control_plane(reading: ClusterReading, wanted: Expected, hosts: dict[str, HostReport], named: Named) -> None:
    named("nodes", "cp1")["metadata"]["labels"] = {}
    assert "no node has the label" in bad(reading, wanted, hosts)[CLUSTER, "control-plane.ready"].observed


def test_a_deployment_is_missing(reading: ClusterReading, wanted: Expected, hosts: dict[str, HostReport]) -> None:
    reading.api["deployments"].value["items"] = []
    found = bad(reading, wanted, hosts)
    assert found[CLUSTER, "calico.controllers"].observed == "there is no deployment calico-kube-controllers"


# -- what could not be read ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(set(PATHS) - {"readyz", "kubeadm_config"}))
def test_what_could_not_be_read_is_never_ok(reading: ClusterReading, wanted: Expected, hosts: dict[str, HostReport], name: str) -> None:
    before = {(result.node, result.check) for result in cluster_checks(reading, wanted, hosts, NODES)}
    reading.api[name] = Reading(error="HTTP 403 forbidden", status=403)
    found = bad(reading, replace(wanted, kubernetes_version=""), hosts)
    assert UNKNOWN in {result.status for result in found.values()}
    after = {(result.node, result.check) for result in cluster_checks(reading, wanted, hosts, NODES)}
    # Where nodes or pods are unreadable fewer checks can be named, but each node keeps one that says so.
    assert all(any(node == key[0] for key in after) for node in {key[0] for key in before})


def test_nothing_could_be_read(wanted: Expected, hosts: dict[str, HostReport]) -> None:
    reading = ClusterReading({name: Reading(error="10.0.0.1:6443: Connection refused") for name in PATHS})
    results = cluster_checks(reading, wanted, hosts, NODES)
    assert {result.status for result in results if result.check not in HOST_CHECKS} == {FAIL, UNKNOWN}
    assert {result.node for result in results} == {CLUSTER, *NODES}
    assert rows(reading, NODES) == [Row(node) for node in NODES]


# -- who is there --------------------------------------------------------------------------------------------------------


def test_a_node_that_did_not_register(reading: ClusterReading, wanted: Expected, hosts: dict[str, HostReport]) -> None:
    nodes = reading.api["nodes"].value
    nodes["items"] = [node for node in nodes["items"] if node["metadata"]["name"] != "w2"]
    assert set(bad(reading, wanted, hosts)) == {("w2", "node.registered")}


def test_a_node_beside_the_inventory(reading: ClusterReading, wanted: Expected, hosts: dict[str, HostReport]) -> None:
    less = replace(wanted, nodes=("cp1", "w1"))
    assert node_names(reading, less) == ["cp1", "w1", "w2"]
    del hosts["w2"]
    found = bad(reading, less, hosts, ("cp1", "w1"))
    assert found["w2", "node.registered"].status == WARN
    assert found["w2", "dns.host"].status == UNKNOWN


def test_a_standby_host_that_has_joined_is_a_node_like_others(reading: ClusterReading, wanted: Expected, hosts: dict[str, HostReport]) -> None:
    assert bad(reading, replace(wanted, nodes=("cp1", "w1"), standby=("w2", "s9")), hosts) == {}


def test_a_host_that_did_not_answer(reading: ClusterReading, wanted: Expected, hosts: dict[str, HostReport]) -> None:
    del hosts["w1"]
    found = bad(reading, wanted, hosts)
    assert set(found) == {("w1", check) for check in HOST_CHECKS}
    assert {result.status for result in found.values()} == {UNKNOWN}
    assert {result.hint for result in found.values()} == {"the host failed or was not reached in this run"}
    assert {result.hint for result in bad(reading, wanted, hosts, ("cp1", "w2")).values()} == {"the host is not part of this run (--limit)"}


def test_a_report_survives_the_way_through_json(report: Report) -> None:
    made = report("w1", dns=Reading(error="no answer"))
    data = {
        "reading": {name: {"value": item.value, "error": item.error} for name, item in made.reading.items()},
        "checks": [check.to_dict() for check in made.checks],
    }
    assert HostReport.from_dict(data) == made


# -- small things --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (
            {"phase": "Pending", "containerStatuses": [{"name": "pause", "ready": False, "state": {"waiting": {"reason": "ErrImageNeverPull"}}}]},
            "pause: ErrImageNeverPull",
        ),
        ({"phase": "Running", "containerStatuses": [{"name": "x", "ready": False, "state": {"terminated": {"reason": "Error"}}}]}, "x: Error"),
        ({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes"}]}, "0/3 nodes"),
        (
            {"initContainerStatuses": [{"name": "i", "ready": False, "state": {"terminated": {"reason": "Completed"}}}], "phase": "Pending"},
            "Pending, not ready",
        ),
        ({}, "Unknown, not ready"),
    ],
)
def test_pod_state(status: dict[str, Any], expected: str) -> None:
    assert pod_state({"status": status}) == expected


@pytest.mark.parametrize(
    ("inner", "outers", "expected"),
    [
        ("10.244.1.0/26", ["10.244.0.0/16"], True),
        ("10.244.1.5", ["192.168.0.0/16", "10.244.0.0/16"], True),
        ("10.245.0.0/26", ["10.244.0.0/16"], False),
        ("10.0.0.0/8", ["10.244.0.0/16"], False),
        ("fd00::1", ["10.244.0.0/16"], False),
        ("10.244.1.5", [], False),
    ],
)
def test_within(inner: str, outers: list[str], expected: bool) -> None:
    assert within(inner, outers) is expected


# -- reading -------------------------------------------------------------------------------------------------------------


class FakeApi:
    """Answers from a reading, and counts."""

    def __init__(self, reading: ClusterReading) -> None:
        self.reading = reading
        self.asked: list[str] = []

    def get(self, path: str) -> Reading:
        self.asked.append(path)
        for name, known in PATHS.items():
            if path == known:
                return self.reading.api[name]
        node = path.split("/")[4]
        return Reading({"kubeletconfig": self.reading.configz[node].value}) if node != "w2" else Reading({"wrong": {}})


def test_read_cluster(reading: ClusterReading) -> None:
    api = FakeApi(reading)

    def ask(server: str, name: str) -> Answer:
        if server == "10.96.0.10":
            raise DnsError(f"{server} did not answer for {name}")
        return Answer(("10.96.0.1",), 0.001)

    images = []

    def list_images(version: str, repository: str) -> str:
        images.append((version, repository))
        return "registry.k8s.io/etcd:3.7.0-0\nregistry.k8s.io/pause:3.10.2\n"

    got = read_cluster(api, ask, list_images, 5.0)
    assert got.configz["w1"] == reading.configz["w1"]
    assert got.configz["w2"].error == "the kubelet's configz holds no kubeletconfig"
    assert got.dns["10.96.0.10"].error == "10.96.0.10 did not answer for kubernetes.default.svc.cluster.local"
    assert [server for server, answer in got.dns.items() if answer.value == ["10.96.0.1"]] == [server for server in reading.dns if server != "10.96.0.10"]
    assert images == [("v1.37.2", "registry.k8s.io")]
    assert got.sandbox_image.value == "registry.k8s.io/pause:3.10.2"


def test_a_silent_api_server_is_asked_once(reading: ClusterReading) -> None:
    reading.api["readyz"] = Reading(error="10.0.0.1:6443 did not answer within 5 s")
    api = FakeApi(reading)

    def ask(_server: str, _name: str) -> Answer:
        raise AssertionError

    got = read_cluster(api, ask, lambda _version, _repository: "", 5.0)
    assert api.asked == ["/readyz?verbose"]
    assert {item.error for item in got.api.values()} == {"10.0.0.1:6443 did not answer within 5 s"}


def test_pause_of() -> None:
    assert pause_of("a.example/b/pause@sha256:0") == "a.example/b/pause@sha256:0"
    with pytest.raises(NodewiseError, match="names no pause image"):
        pause_of("registry.k8s.io/paused:1\n")
