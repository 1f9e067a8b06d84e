# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The static checks: from what was read to results. Nothing here reads anything."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..api.times import parse_time
from .api import Reading
from .host import HostReading, runtime_of
from .reading import ClusterReading, pods_of
from .result import CLUSTER, FAIL, OK, UNKNOWN, WARN, Result, compare

COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
CONTROL_PLANE_LABEL = "node-role.kubernetes.io/control-plane"
HOST_CHECKS = (
    "kubelet.healthy",
    "runtime.ready",
    "runtime.network",
    "runtime.sandbox-present",
    "cni.conflist",
    "cni.kubeconfig",
    "dns.host",
)
"""The checks that only a host itself can make; :func:`.host.host_checks` gives each of them once."""

TRANSIENT = frozenset(
    {
        "api.ready",
        "control-plane.ready",
        "dns.deployment",
        "dns.service",
        "dns.pods",
        "calico.controllers",
        "network.pool",
        "node.registered",
        "node.ready",
        "node.network",
        "node.lease",
        "node.kube-proxy",
        "kubelet.configz",
        "cni.calico-node",
        "network.address",
        "network.block",
    }
)
"""Checks that may fail only because a cluster is still starting: worth waiting for."""


@dataclass(frozen=True)
class Expected:
    """What the operator wants; an empty string means that nothing in particular was asked for.

    Parameters
    ----------
    nodes : tuple of str
        Names of the Nodes that must be there; empty means whichever are registered.
    hosts_asked : bool
        The hosts themselves were asked, so a node without a host's answer is unknown.
    standby : tuple of str
        Names of the Nodes that may be there.
    """

    cluster_name: str = ""
    kubernetes_version: str = ""
    containerd_version: str = ""
    calico_version: str = ""
    pod_cidr: str = ""
    cgroup_driver: str = ""
    nodes: tuple[str, ...] = ()
    hosts_asked: bool = False
    standby: tuple[str, ...] = ()


@dataclass(frozen=True)
class HostReport:
    """What module verify_node brought from one host."""

    reading: HostReading
    checks: tuple[Result, ...]

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> HostReport:
        """Return the report from the module's result."""
        reading = {name: Reading(item.get("value"), item.get("error", "")) for name, item in data["reading"].items()}
        return cls(reading, tuple(Result.from_dict(item) for item in data["checks"]))


def cluster_checks(reading: ClusterReading, wanted: Expected, hosts: Mapping[str, HostReport], scope: Iterable[str]) -> list[Result]:
    """Return every static result, the cluster's first and then each node's.

    Parameters
    ----------
    hosts : mapping
        By Node: what its host says; a node in C(wanted.nodes) that is absent is unknown if hosts were asked.
    scope : iterable of str
        Nodes of this run; the others' missing host answers are explained by it.
    """
    results = [
        _api_ready(reading.api["readyz"]),
        _api_version(reading.api["version"], wanted),
        _control_plane(reading),
        _deployment(reading, "dns.deployment", "coredns"),
        *_dns(reading),
        _deployment(reading, "calico.controllers", "calico-kube-controllers"),
        _pool(reading, wanted),
    ]
    in_scope = frozenset(scope)
    for name in node_names(reading, wanted):
        results += node_checks(name, reading, wanted, hosts.get(name))
        if wanted.hosts_asked and name not in hosts:
            hint = "the host failed or was not reached in this run" if name in in_scope else "the host is not part of this run (--limit)"
            results += [Result(check, name, UNKNOWN, "an answer from the host", "not asked", hint) for check in HOST_CHECKS]
    return results


def node_names(reading: ClusterReading, wanted: Expected) -> list[str]:
    """Return the wanted nodes in their order, then those that are registered beside them."""
    registered = sorted(node["metadata"]["name"] for node in reading.api["nodes"].items or [])
    return [*wanted.nodes, *(name for name in registered if name not in wanted.nodes)]


def _api_ready(ready: Reading) -> Result:
    hint = "crictl ps -a --name kube-apiserver; journalctl -u kubelet"
    if not ready.error:
        return Result("api.ready", CLUSTER, OK, "ready", "ready")
    failed = [line[3:].split(":")[0].removesuffix(" failed") for line in str(ready.value or "").splitlines() if line.startswith("[-]")]
    return Result("api.ready", CLUSTER, FAIL, "ready", f"not ready: {', '.join(failed)}" if failed else ready.error, hint)


def _api_version(version: Reading, wanted: Expected) -> Result:
    observed = None if version.error else plain_version(version.value.get("gitVersion", ""))
    return compare("api.version", CLUSTER, wanted.kubernetes_version or (observed or "any"), observed, "the API server runs another version", version.error)


def plain_version(text: str) -> str:
    """Return a version without a leading C(v)."""
    return text.strip().removeprefix("v")


def _unreadable(check: str, node: str, expected: str, reading: Reading) -> Result:
    return Result(check, node, UNKNOWN, expected, f"could not be read: {reading.error}", "the API server must answer first")


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Return whether a pod is Ready and not about to go."""
    return "deletionTimestamp" not in pod["metadata"] and any(
        condition["type"] == "Ready" and condition["status"] == "True" for condition in pod.get("status", {}).get("conditions") or []
    )


def pod_state(pod: Mapping[str, Any]) -> str:
    """Return in a few words why a pod is not ready: the reason of its first waiting or ended container, or its phase."""
    status = pod.get("status", {})
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        if container.get("ready"):
            continue
        for kind in ("waiting", "terminated"):
            state = container.get("state", {}).get(kind)
            if state and state.get("reason") not in (None, "Completed"):
                return f"{container['name']}: {state['reason']}"
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] != "True":
            return str(condition.get("message") or "not scheduled")
    return f"{status.get('phase', 'Unknown')}, not ready"


def _pod_on_node(check: str, reading: ClusterReading, label: str, value: str, node: str) -> Result:
    expected, hint = f"one ready {value} pod", f"kubectl -n kube-system describe pods -l {label}={value} --field-selector spec.nodeName={node}"
    if reading.api["pods"].error:
        return _unreadable(check, node, expected, reading.api["pods"])
    pods = pods_of(reading, label, value, node)
    if any(is_ready(pod) for pod in pods):
        return Result(check, node, OK, expected, expected)
    return Result(check, node, FAIL, expected, f"{pods[0]['metadata']['name']}: {pod_state(pods[0])}" if pods else "none", hint)


def _control_plane(reading: ClusterReading) -> Result:
    check, expected = "control-plane.ready", f"{', '.join(COMPONENTS)} ready on each control plane"
    for needed in ("pods", "nodes"):
        if reading.api[needed].error:
            return _unreadable(check, CLUSTER, expected, reading.api[needed])
    nodes = [node["metadata"]["name"] for node in reading.api["nodes"].items or [] if is_control_plane(node)]
    if not nodes:
        return Result(check, CLUSTER, FAIL, expected, f"no node has the label {CONTROL_PLANE_LABEL}", "kubectl get nodes --show-labels")
    bad = [f"{name} on {node}" for node in nodes for name in COMPONENTS if not any(is_ready(pod) for pod in pods_of(reading, "component", name, node))]
    if bad:
        return Result(check, CLUSTER, FAIL, expected, f"not ready: {', '.join(bad)}", "kubectl -n kube-system get pods -l tier=control-plane; crictl ps -a")
    return Result(check, CLUSTER, OK, expected, "all ready")


def is_control_plane(node: Mapping[str, Any]) -> bool:
    """Return whether a Node bears kubeadm's control-plane label."""
    return CONTROL_PLANE_LABEL in node["metadata"].get("labels", {})


def _deployment(reading: ClusterReading, check: str, name: str) -> Result:
    deployments, hint = reading.api["deployments"], f"kubectl -n kube-system describe deployment {name}"
    if deployments.error:
        return _unreadable(check, CLUSTER, f"{name} available", deployments)
    for deployment in deployments.items or []:
        if deployment["metadata"]["name"] != name:
            continue
        # The API leaves a zero out of status, but never out of spec.
        replicas, available = deployment["spec"].get("replicas", 1), deployment.get("status", {}).get("availableReplicas", 0)
        observed = f"{available} of {replicas} pods of {name} available"
        if replicas == 0:
            return Result(check, CLUSTER, FAIL, "at least one pod", f"{name} is scaled to 0", f"kubectl -n kube-system scale deployment {name} --replicas=2")
        return Result(check, CLUSTER, OK if available == replicas else FAIL, f"{replicas} of {replicas} pods", observed, "" if available == replicas else hint)
    return Result(check, CLUSTER, FAIL, f"{name} available", f"there is no deployment {name}", hint)


def _dns(reading: ClusterReading) -> list[Result]:
    """Ask the service's address and each pod's: a dead pod behind a service is seen by a share of the queries only."""
    service, wanted = reading.api["dns_service"], "the address of the service kubernetes"
    hint = "kubectl -n kube-system logs -l k8s-app=kube-dns; kube-proxy and the pod network carry the query"
    pods = [pod for pod in pods_of(reading, "k8s-app", "kube-dns") if "deletionTimestamp" not in pod["metadata"]]
    if service.error:
        results = [_unreadable("dns.service", CLUSTER, wanted, service)]
    else:
        results = [_dns_answer("dns.service", service.value["spec"]["clusterIP"], reading, hint)]
    if reading.api["pods"].error:
        return [*results, _unreadable("dns.pods", CLUSTER, wanted, reading.api["pods"])]
    answers = [_dns_answer("dns.pods", str(pod.get("status", {}).get("podIP", "")), reading, hint) for pod in pods]
    bad = [answer for answer in answers if answer.status != OK]
    if bad:
        return [*results, Result("dns.pods", CLUSTER, bad[0].status, wanted, "; ".join(answer.observed for answer in bad), hint)]
    if not answers:
        return [*results, Result("dns.pods", CLUSTER, FAIL, "at least one CoreDNS pod", "none", hint)]
    return [*results, Result("dns.pods", CLUSTER, OK, wanted, f"{len(answers)} of {len(answers)} pods answer")]


def _dns_answer(check: str, server: str, reading: ClusterReading, hint: str) -> Result:
    answer, kubernetes = reading.dns.get(server), reading.api["kubernetes_service"]
    wanted = "the address of the service kubernetes" if kubernetes.error else str(kubernetes.value["spec"]["clusterIP"])
    if answer is None:
        return Result(check, CLUSTER, FAIL, wanted, f"{server or 'a CoreDNS pod without an address'} was not asked", hint)
    if answer.error:
        return Result(check, CLUSTER, FAIL, wanted, answer.error, hint)
    if kubernetes.error:
        return _unreadable(check, CLUSTER, wanted, kubernetes)
    observed = ", ".join(answer.value)
    return Result(check, CLUSTER, OK if wanted in answer.value else FAIL, wanted, f"{server}: {observed}", "" if wanted in answer.value else hint)


def _pool(reading: ClusterReading, wanted: Expected) -> Result:
    pools = reading.api["pools"]
    pod_cidr = wanted.pod_cidr or cluster_cidr(reading)
    expected = f"an IP pool in {pod_cidr}" if pod_cidr else "an IP pool"
    hint = "kubectl get ippools.crd.projectcalico.org -o yaml; the pod CIDR of role calico"
    if pools.error:
        if pools.status == 404:
            return Result("network.pool", CLUSTER, FAIL, expected, "Calico's resources are not in this cluster", "apply role calico")
        return _unreadable("network.pool", CLUSTER, expected, pools)
    cidrs = pool_cidrs(reading)
    if not cidrs:
        return Result("network.pool", CLUSTER, FAIL, expected, "no enabled IP pool", hint)
    # Further pools, outside of it, are the operator's own doing.
    if pod_cidr and not any(within(cidr, [pod_cidr]) for cidr in cidrs):
        return Result("network.pool", CLUSTER, FAIL, expected, f"only {', '.join(cidrs)}", hint)
    return Result("network.pool", CLUSTER, OK, expected, ", ".join(cidrs))


def pool_cidrs(reading: ClusterReading) -> list[str]:
    """Return the CIDRs of Calico's enabled IPv4 pools; none if they could not be read."""
    specs = [pool["spec"] for pool in reading.api["pools"].items or []]
    return sorted(spec["cidr"] for spec in specs if not spec.get("disabled") and ":" not in spec["cidr"])


def cluster_cidr(reading: ClusterReading) -> str:
    """Return the pod CIDR that the controller-manager was started with, or an empty string."""
    for pod in pods_of(reading, "component", "kube-controller-manager"):
        for argument in pod["spec"]["containers"][0].get("command") or []:
            name, _equals, value = argument.partition("=")
            if name == "--cluster-cidr":
                return str(value)
    return ""


def within(inner: str, outers: Iterable[str]) -> bool:
    """Return whether an address or CIDR lies wholly in one of the CIDRs."""
    network = ipaddress.ip_network(inner, strict=False)
    # Mixed families are never within each other; subnet_of would raise for them.
    return any(network.version == outer.version and network.subnet_of(outer) for outer in map(ipaddress.ip_network, outers))  # type: ignore[arg-type]


def node_checks(name: str, reading: ClusterReading, wanted: Expected, host: HostReport | None) -> list[Result]:
    """Return the results of one node."""
    nodes = reading.api["nodes"]
    if nodes.error:
        return [_unreadable("node.ready", name, "Ready", nodes), *(host.checks if host else ())]
    node = next((item for item in nodes.items or [] if item["metadata"]["name"] == name), None)
    if node is None:
        hint = f"the kubelet of {name} has not registered: journalctl -u kubelet on it"
        return [Result("node.registered", name, FAIL, "a Node object", "none", hint), *(host.checks if host else ())]
    results = [
        _registered(name, wanted),
        _ready(name, node),
        _network_available(name, node),
        _schedulable(name, node),
        _lease(name, reading),
        _kubelet_version(name, node, reading, wanted),
        _runtime_version(name, node, wanted, host),
        _provider_id(name, node, wanted),
        _pod_on_node("node.kube-proxy", reading, "k8s-app", "kube-proxy", name),
        _pod_on_node("cni.calico-node", reading, "k8s-app", "calico-node", name),
        *_calico_version(name, reading, wanted),
        _address(name, node),
        _pod_cidr(name, node, reading, wanted),
        _block(name, reading),
        *_kubelet_config(name, reading, wanted, host),
    ]
    if host is not None:
        results += [_sandbox_image(name, reading.sandbox_image, host.reading), *host.checks]
    return results


def _registered(name: str, wanted: Expected) -> Result:
    if wanted.nodes and name not in (*wanted.nodes, *wanted.standby):
        hint = "add its host to group workers, or remove the node"
        return Result("node.registered", name, WARN, "a node of the inventory", "registered, but not in the inventory", hint)
    return Result("node.registered", name, OK, "a Node object", "registered")


def _condition(node: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    return next((item for item in node.get("status", {}).get("conditions") or [] if item["type"] == kind), {})


def _ready(name: str, node: Mapping[str, Any]) -> Result:
    ready = _condition(node, "Ready")
    if ready.get("status") == "True":
        return Result("node.ready", name, OK, "Ready", "Ready")
    observed = f"not Ready: {ready.get('message', '')}" if ready else "no Ready condition yet"
    return Result("node.ready", name, FAIL, "Ready", observed, f"kubectl describe node {name}; journalctl -u kubelet on it")


def _network_available(name: str, node: Mapping[str, Any]) -> Result:
    found = _condition(node, "NetworkUnavailable")
    if found.get("status") == "False":
        return Result("node.network", name, OK, "network available", str(found.get("reason", "")))
    observed = f"NetworkUnavailable={found['status']}: {found.get('message', '')}" if found else "calico-node has not reported it"
    return Result("node.network", name, FAIL, "network available", observed, "the calico-node pod of this node")


def _schedulable(name: str, node: Mapping[str, Any]) -> Result:
    if node["spec"].get("unschedulable"):
        return Result("node.schedulable", name, WARN, "schedulable", "cordoned", f"kubectl uncordon {name}")
    return Result("node.schedulable", name, OK, "schedulable", "schedulable")


def _lease(name: str, reading: ClusterReading) -> Result:
    """A dead kubelet's Node stays Ready for 40 to 50 s; its lease tells sooner and never longer than its own duration."""
    check, leases, hint = "node.lease", reading.api["leases"], f"the kubelet of {name}; or the clocks of the hosts differ"
    if leases.error:
        return _unreadable(check, name, "a fresh lease", leases)
    lease = next((item["spec"] for item in leases.items or [] if item["metadata"]["name"] == name), None)
    if lease is None or "renewTime" not in lease:
        return Result(check, name, FAIL, "a fresh lease", "none", hint)
    duration = int(lease.get("leaseDurationSeconds", 40))
    age = reading.now - parse_time(lease["renewTime"])
    expected = f"renewed within {duration} s"
    return Result(check, name, OK if abs(age) <= duration else FAIL, expected, f"renewed {age:.0f} s ago", "" if abs(age) <= duration else hint)


def _kubelet_version(name: str, node: Mapping[str, Any], reading: ClusterReading, wanted: Expected) -> Result:
    version = reading.api["version"]
    expected = wanted.kubernetes_version or ("" if version.error else plain_version(version.value["gitVersion"]))
    observed = plain_version(node["status"]["nodeInfo"]["kubeletVersion"])
    if not expected:
        return _unreadable("kubelet.version", name, "the API server's version", version)
    return compare("kubelet.version", name, expected, observed, "the kubelet on this host is another version; after replacing it, restart it")


def runtime_of_node(node: Mapping[str, Any]) -> tuple[str, str]:
    """Return name and version of the runtime as the Node object has it."""
    name, _separator, version = node["status"]["nodeInfo"]["containerRuntimeVersion"].partition("://")
    return name, plain_version(version)


def _runtime_version(name: str, node: Mapping[str, Any], wanted: Expected, host: HostReport | None) -> Result:
    check, (runtime, version) = "runtime.version", runtime_of_node(node)
    observed = f"{runtime} {version}"
    if host is not None:
        if host.reading["version"].error:
            return Result(check, name, UNKNOWN, observed, f"could not be read: {host.reading['version'].error}", "systemctl status containerd")
        said = " ".join(runtime_of(host.reading["version"]))
        if said != observed:
            hint = "restart the kubelet: it talks to another runtime"
            return Result(check, name, FAIL, f"{observed} (as the Node says)", f"{said} (as the runtime says)", hint)
    if runtime == "containerd" and wanted.containerd_version:
        return compare(check, name, f"containerd {wanted.containerd_version}", observed, "role containerd installs the wanted version")
    return Result(check, name, OK if version else UNKNOWN, "a runtime and its version", observed)


def _provider_id(name: str, node: Mapping[str, Any], wanted: Expected) -> Result:
    observed = str(node["spec"].get("providerID", ""))
    hint = "it cannot be changed: delete the Node, put providerID into the kubelet's configuration and let it register again"
    if wanted.cluster_name:
        return compare("node.provider-id", name, f"nodewise://{wanted.cluster_name}/{name}", observed, hint)
    return Result("node.provider-id", name, OK if observed else FAIL, "a provider id", observed or "none", "" if observed else hint)


def _calico_version(name: str, reading: ClusterReading, wanted: Expected) -> list[Result]:
    if not wanted.calico_version or reading.api["pods"].error:
        return []
    observed = calico_of_node(reading, name) or "no calico-node pod"
    return [compare("cni.version", name, wanted.calico_version, observed, "role calico applies the manifest of the wanted version")]


def calico_of_node(reading: ClusterReading, node: str) -> str:
    """Return the version of the node's calico-node image, or an empty string."""
    for pod in pods_of(reading, "k8s-app", "calico-node", node):
        for container in pod["spec"]["containers"]:
            if container["name"] == "calico-node":
                return plain_version(container["image"].partition("@")[0].rpartition(":")[2])
    return ""


def internal_ip(node: Mapping[str, Any]) -> str:
    """Return the Node's first InternalIP, or an empty string."""
    return next((str(item["address"]) for item in node.get("status", {}).get("addresses") or [] if item["type"] == "InternalIP"), "")


def _address(name: str, node: Mapping[str, Any]) -> Result:
    calico = node["metadata"].get("annotations", {}).get("projectcalico.org/IPv4Address", "").partition("/")[0]
    hint = "Calico's address detection picked another interface: IP_AUTODETECTION_METHOD=kubernetes-internal-ip"
    return compare("network.address", name, internal_ip(node) or "an InternalIP", calico or "calico-node has written no address", hint)


def _pod_cidr(name: str, node: Mapping[str, Any], reading: ClusterReading, wanted: Expected) -> Result:
    check, observed, pod_cidr = "network.pod-cidr", node["spec"].get("podCIDR", ""), wanted.pod_cidr or cluster_cidr(reading)
    hint = "the controller-manager's --cluster-cidr and --allocate-node-cidrs"
    if not pod_cidr:
        return Result(check, name, UNKNOWN, "a part of the pod CIDR", "the cluster's pod CIDR could not be read", hint)
    good = bool(observed) and within(observed, [pod_cidr])
    return Result(check, name, OK if good else FAIL, f"a part of {pod_cidr}", observed or "none", "" if good else hint)


def blocks_of(reading: ClusterReading, node: str) -> list[str]:
    """Return the address blocks that Calico gave a node; none if they could not be read."""
    specs = [item["spec"] for item in reading.api["blocks"].items or []]
    # The field is text: "true" while Calico gives the block back.
    return sorted(spec["cidr"] for spec in specs if spec.get("node") == node and spec.get("deleted") != "true" and ":" not in spec["cidr"])


def _block(name: str, reading: ClusterReading) -> Result:
    check, expected, hint = "network.block", "an address block of an IP pool", "kubectl get blockaffinities.crd.projectcalico.org"
    for needed in ("blocks", "pools"):
        if reading.api[needed].error:
            return _unreadable(check, name, expected, reading.api[needed])
    blocks, pools = blocks_of(reading, name), pool_cidrs(reading)
    outside = [block for block in blocks if not within(block, pools)]
    if outside:
        return Result(check, name, FAIL, f"inside {', '.join(pools) or 'a pool'}", f"{', '.join(outside)} is outside", hint)
    if not blocks:
        # With BIRD a node gets its first block with its first pod; with VXLAN the tunnel takes one at once.
        return Result(check, name, WARN, expected, "none yet", hint)
    return Result(check, name, OK, expected, ", ".join(blocks))


def _kubelet_config(name: str, reading: ClusterReading, wanted: Expected, host: HostReport | None) -> list[Result]:
    configz = reading.configz.get(name, Reading(error="not read"))
    if configz.error:
        # The API server's question to the kubelet fails at once when the kubelet is dead.
        return [Result("kubelet.configz", name, FAIL, "the kubelet answers the API server", configz.error, f"the kubelet of {name}, port 10250")]
    results = [Result("kubelet.configz", name, OK, "the kubelet answers the API server", "answers")]
    service = reading.api["dns_service"]
    if service.error:
        results.append(_unreadable("kubelet.cluster-dns", name, "the DNS service's address", service))
    else:
        observed = ", ".join(configz.value.get("clusterDNS") or []) or "none"
        hint = "clusterDNS in the kubelet's configuration is what pods ask"
        results.append(compare("kubelet.cluster-dns", name, service.value["spec"]["clusterIP"], observed, hint))
    return [*results, cgroup_driver(name, str(configz.value.get("cgroupDriver", "")), wanted.cgroup_driver, host)]


def cgroup_driver(name: str, kubelet: str, wanted: str, host: HostReport | None) -> Result:
    """Compare the cgroup drivers of kubelet, runtime, the kubelet's file and the operator's wish.

    A kubelet asks the runtime once, when it starts, and then ignores its own file, so a
    runtime that was changed later differs from the kubelet, and the file may differ from both.
    """
    check, hint = "kubelet.cgroup-driver", "one value in nodewise_cgroup_driver feeds both; restart containerd first, then the kubelet"
    said = {"kubelet": kubelet}
    if host is not None:
        for key, reading in (("runtime", host.reading["cgroup_driver"]), ("config.yaml", host.reading["kubelet_config"])):
            if reading.error:
                return Result(check, name, UNKNOWN, wanted or kubelet, f"{key} could not be read: {reading.error}", hint)
        said["runtime"] = host.reading["cgroup_driver"].value
        said["config.yaml"] = host.reading["kubelet_config"].value.get("cgroupDriver", kubelet)
    observed = ", ".join(f"{who} {driver}" for who, driver in said.items())
    same = set(said.values()) == {wanted or kubelet}
    return Result(check, name, OK if same else FAIL, wanted or "all the same", observed, "" if same else hint)


def _sandbox_image(name: str, wanted: Reading, host: HostReading) -> Result:
    check, (runtime, _version) = "runtime.sandbox-image", runtime_of(host["version"])
    if runtime and runtime != "containerd":
        return Result(check, name, WARN, "kubeadm's image", f"not looked at: the runtime is {runtime}", "only containerd's configuration is understood")
    for reading in (wanted, host["sandbox_image"]):
        if reading.error:
            return Result(check, name, UNKNOWN, "kubeadm's image", f"could not be read: {reading.error}", "containerd config dump; kubeadm config images list")
    return compare(check, name, wanted.value, host["sandbox_image"].value, "role containerd writes the image that kubeadm wants")


@dataclass(frozen=True)
class Row:
    """The facts of one node that the table shows."""

    name: str
    role: str = "-"
    ready: str = "-"
    kubelet: str = "-"
    runtime: str = "-"
    cni: str = "-"
    pod_network: str = "-"


def rows(reading: ClusterReading, names: Sequence[str]) -> list[Row]:
    """Return the table's facts of each node; a dash is what nobody said."""
    nodes = {node["metadata"]["name"]: node for node in reading.api["nodes"].items or []}
    return [_row(name, nodes.get(name), reading) for name in names]


def _row(name: str, node: Mapping[str, Any] | None, reading: ClusterReading) -> Row:
    if node is None:
        return Row(name)
    calico, blocks = calico_of_node(reading, name), blocks_of(reading, name)
    return Row(
        name,
        "control" if is_control_plane(node) else "worker",
        "yes" if _condition(node, "Ready").get("status") == "True" else "NO",
        plain_version(node["status"]["nodeInfo"]["kubeletVersion"]),
        " ".join(runtime_of_node(node)),
        f"calico {calico}" if calico else "-",
        blocks[0] + (f" +{len(blocks) - 1}" if len(blocks) > 1 else "") if blocks else "-",
    )
