# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole cluster read once, each kind in pages that are summed up and dropped.

What is kept grows with the numbers of nodes and namespaces only. A kind that cannot be read to its end is None, with the
reason: half of its sum would be a lie.
"""

from __future__ import annotations

import time
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ..api.client import JSON
from ..errors import NodewiseError
from ..report.schema import PATH as REPORTS_PATH
from .amounts import Amounts, add, amounts
from .pages import METADATA_LIST, Client, Unreadable, pages, read
from .pods import is_terminated, pod_limits, pod_requests
from .usage import METRICS, REPORT, SUMMARY, Sample, from_metrics, from_report, from_summary
from .wire import accepted

METRICS_PATH = "/apis/metrics.k8s.io/v1beta1/nodes"

# Kinds of which only the number counts; of secrets above all nothing else must ever leave the API server.
COUNTED = {
    "secrets": "/api/v1/secrets",
    "persistentvolumeclaims": "/api/v1/persistentvolumeclaims",
    "replicationcontrollers": "/api/v1/replicationcontrollers",
    "deployments": "/apis/apps/v1/deployments",
}

_Pages = Iterable[Iterable[dict[str, Any]]]
_T = TypeVar("_T")


@dataclass(frozen=True)
class NodeFacts:
    """What a Node object says of itself; C(ready) is None where its condition is Unknown or missing."""

    ready: bool | None
    unschedulable: bool
    capacity: Amounts
    allocatable: Amounts


@dataclass
class Load:
    """The sum over pods; those that have ended for good are only counted."""

    pods: int = 0
    terminated: int = 0
    requests: Amounts = field(default_factory=dict)
    limits: Amounts = field(default_factory=dict)


@dataclass
class Loads:
    """All pods, summed up by node (C("") holds those that have none yet) and by namespace."""

    by_node: dict[str, Load] = field(default_factory=dict)
    by_namespace: dict[str, Load] = field(default_factory=dict)


@dataclass(frozen=True)
class Quota:
    """A ResourceQuota: quantities as the API server writes them; C(used) lacks what the quota controller has not counted."""

    name: str
    hard: Mapping[str, str]
    used: Mapping[str, str]


@dataclass
class Services:
    """By namespace: all services, and those of type LoadBalancer."""

    all: Counter[str] = field(default_factory=Counter)
    load_balancers: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Cluster:
    """Everything that was read; None is unknown, and C(errors) says why.

    Parameters
    ----------
    now : float
        The API server's clock when the reading ended, seconds since 1970.
    nodes : dict or None
        By name.
    loads : Loads or None
        The pods.
    namespaces : sequence of str or None
        Names.
    services : Services or None
        The services.
    counts : dict
        By the names of :data:`COUNTED`: numbers by namespace, or None.
    quotas : dict or None
        By namespace.
    samples : dict
        By source that was asked: samples by node, or None.
    errors : dict
        By kind: why it could not be read.
    """

    now: float
    nodes: Mapping[str, NodeFacts] | None
    loads: Loads | None
    namespaces: Sequence[str] | None
    services: Services | None
    counts: Mapping[str, Counter[str] | None]
    quotas: Mapping[str, Sequence[Quota]] | None
    samples: Mapping[str, Mapping[str, Sample] | None]
    errors: Mapping[str, str]


def read_cluster(client: Client, summary_nodes: Sequence[str] = (), clock: Callable[[], float] = time.time) -> Cluster:
    """Read a cluster.

    The metrics API is asked only if a node has no current NodeReport.

    Parameters
    ----------
    client : Client
        The API server.
    summary_nodes : sequence of str
        Nodes whose kubelets are asked as well.
    clock : callable
        The host's own clock, seconds since 1970.

    Raises
    ------
    NodewiseError
        The API server is silent or does not know who asks, no kind at all can be read, or a node of C(summary_nodes) does not exist.
    """
    try:
        # A big cluster takes many seconds to read: the server's clock is told from the host's, for the moment at which each age matters.
        ahead = read(client, "/version").skew or 0.0
    except Unreadable as error:
        raise NodewiseError(f"The API server cannot be asked: {error}", "name a kubeconfig of this cluster that is still valid") from error
    kinds = _Kinds(client)
    nodes = kinds.read("nodes", "/api/v1/nodes", _nodes, accepted())
    missing = sorted(set(summary_nodes) - set(nodes)) if nodes is not None else []
    if missing:
        raise NodewiseError(f"summary_nodes names {', '.join(missing)}, but the cluster has no such Node.", "name Nodes as kubectl get nodes does")
    loads = kinds.read("pods", "/api/v1/pods", _loads, accepted())
    namespaces = kinds.read("namespaces", "/api/v1/namespaces", _names, METADATA_LIST)
    services = kinds.read("services", "/api/v1/services", _services)
    counts = {kind: kinds.read(kind, path, _numbers, METADATA_LIST) for kind, path in COUNTED.items()}
    quotas = kinds.read("resourcequotas", "/api/v1/resourcequotas", _quotas)
    if kinds.succeeded == 0:
        raise NodewiseError(f"Nothing of the cluster can be read: {kinds.errors['nodes']}", "name a kubeconfig whose user may list nodes and pods")
    # What is used comes last, so that it is young.
    reports = kinds.read("nodereports", REPORTS_PATH, _reports)
    samples: dict[str, Mapping[str, Sample] | None] = {REPORT: reports}
    now = clock() - ahead
    if nodes is None or reports is None or not all(name in reports and not reports[name].fault(now) for name in nodes):
        samples[METRICS] = kinds.read("nodemetrics", METRICS_PATH, _metrics)
    if summary_nodes:
        samples[SUMMARY] = {name: sample for name in summary_nodes if (sample := kinds.summary(name))}
    return Cluster(clock() - ahead, nodes, loads, namespaces, services, counts, quotas, samples, kinds.errors)


class _Kinds:
    """The API server, and why a kind of it could not be read."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.errors: dict[str, str] = {}
        self.succeeded = 0

    def read(self, kind: str, path: str, sum_up: Callable[[_Pages], _T], accept: str = JSON) -> _T | None:
        """Sum a kind up; None if it cannot be read to its end."""
        try:
            total = sum_up(pages(self._client, path, accept))
        except (Unreadable, ValueError) as error:  # ValueError: an aggregated API may answer what is no quantity
            self.errors[kind] = str(error)
            return None
        self.succeeded += 1
        return total

    def summary(self, node: str) -> Sample | None:
        """Ask a kubelet, through the API server."""
        try:
            return from_summary(read(self._client, f"/api/v1/nodes/{urllib.parse.quote(node)}/proxy/stats/summary").value())
        except (Unreadable, ValueError) as error:
            self.errors[f"summary of {node}"] = str(error)
            return None


def _nodes(listed: _Pages) -> dict[str, NodeFacts]:
    return {item["metadata"]["name"]: _node(item) for page in listed for item in page}


def _node(node: Mapping[str, Any]) -> NodeFacts:
    status = node.get("status") or {}
    ready = next((item["status"] for item in status.get("conditions") or () if item["type"] == "Ready"), "Unknown")
    return NodeFacts(
        {"True": True, "False": False}.get(ready),
        bool((node.get("spec") or {}).get("unschedulable")),
        amounts(status.get("capacity")),
        amounts(status.get("allocatable")),
    )


def _loads(listed: _Pages) -> Loads:
    loads = Loads()
    for page in listed:
        for pod in page:
            on = (
                loads.by_node.setdefault(pod["spec"].get("nodeName") or "", Load()),
                loads.by_namespace.setdefault(pod["metadata"]["namespace"], Load()),
            )
            if is_terminated(pod):
                for load in on:
                    load.terminated += 1
                continue
            requests, limits = pod_requests(pod), pod_limits(pod)
            for load in on:
                load.pods += 1
                add(load.requests, requests)
                add(load.limits, limits)
    return loads


def _names(listed: _Pages) -> list[str]:
    return [item["metadata"]["name"] for page in listed for item in page]


def _numbers(listed: _Pages) -> Counter[str]:
    return Counter(item["metadata"]["namespace"] for page in listed for item in page)


def _services(listed: _Pages) -> Services:
    services = Services()
    for page in listed:
        for item in page:
            namespace = item["metadata"]["namespace"]
            services.all[namespace] += 1
            services.load_balancers[namespace] += item["spec"].get("type") == "LoadBalancer"
    return services


def _quotas(listed: _Pages) -> dict[str, list[Quota]]:
    quotas: dict[str, list[Quota]] = {}
    for page in listed:
        for item in page:
            spec, status = item.get("spec") or {}, item.get("status") or {}
            # What is in force is in the status; before the quota controller has seen a quota there is only the wish.
            hard = status.get("hard") or spec.get("hard") or {}
            quotas.setdefault(item["metadata"]["namespace"], []).append(Quota(item["metadata"]["name"], hard, status.get("used") or {}))
    return quotas


def _reports(listed: _Pages) -> dict[str, Sample]:
    return {item["metadata"]["name"]: from_report(item) for page in listed for item in page}


def _metrics(listed: _Pages) -> dict[str, Sample]:
    return {item["metadata"]["name"]: from_metrics(item) for page in listed for item in page}
