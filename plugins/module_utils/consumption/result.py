# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was read of a cluster as plain data: nodes, namespaces and totals, in the order a person wants."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..kube.quantity import parse_quantity
from .amounts import CPU, MEMORY, Amounts, add, plain
from .reading import Cluster, Load, NodeFacts, Quota
from .usage import METRICS, REPORT, RESOURCES, SUMMARY, Figure, Sample, choose

SORT_BY = ("cpu", "memory", "cpu_requested", "memory_requested", "pods", "name")

_PREFERENCE = (SUMMARY, REPORT, METRICS)
_COUNTS = {
    "secrets": "secrets",
    "persistent_volume_claims": "persistentvolumeclaims",
    "replication_controllers": "replicationcontrollers",
    "deployments": "deployments",
}

Row = dict[str, Any]


def nodes(cluster: Cluster, sort_by: str) -> list[Row] | None:
    """Return a row for each node, None if the nodes could not be read.

    Parameters
    ----------
    cluster : Cluster
        What was read.
    sort_by : str
        One of :data:`SORT_BY`: largest share of allocatable first, unknown last.
    """
    if cluster.nodes is None:
        return None
    rows = [_node(cluster, name, facts) for name, facts in cluster.nodes.items()]
    keys: dict[str, Callable[[Row], float | None]] = {
        "cpu": lambda row: share(row["used"][CPU]["value"], row["allocatable"].get(CPU)),
        "memory": lambda row: share(row["used"][MEMORY]["value"], row["allocatable"].get(MEMORY)),
        "cpu_requested": lambda row: share(amount(row["requested"], CPU), row["allocatable"].get(CPU)),
        "memory_requested": lambda row: share(amount(row["requested"], MEMORY), row["allocatable"].get(MEMORY)),
        "pods": lambda row: row["pods"],
    }
    return _sorted(rows, keys.get(sort_by))


def namespaces(cluster: Cluster, sort_by: str) -> list[Row]:
    """Return a row for each namespace, also for one that is seen only by what is in it.

    Parameters
    ----------
    cluster : Cluster
        What was read.
    sort_by : str
        One of :data:`SORT_BY`. What the pods of a namespace really use is not read: V(cpu) and V(memory) mean what is requested here.
    """
    names = set(cluster.namespaces or ())
    for found in (cluster.loads and cluster.loads.by_namespace, cluster.services and cluster.services.all, cluster.quotas, *cluster.counts.values()):
        names.update(found or ())
    rows = [_namespace(cluster, name) for name in names]
    keys: dict[str, Callable[[Row], float | None]] = {
        "cpu": lambda row: amount(row["requested"], CPU),
        "memory": lambda row: amount(row["requested"], MEMORY),
        "pods": lambda row: row["pods"],
    }
    return _sorted(rows, keys.get(sort_by.removesuffix("_requested")))


def totals(cluster: Cluster, node_rows: Sequence[Row] | None, namespace_rows: Sequence[Row]) -> Row:
    """Return the sums; one that an unknown part would make false is None.

    What is used is summed up over the nodes of which it is known, and says how many those are.
    """
    loads = list(cluster.loads.by_namespace.values()) if cluster.loads else []
    facts = None if cluster.nodes is None else list(cluster.nodes.values())
    total: Row = {
        "nodes": None if facts is None else len(facts),
        "namespaces": None if cluster.namespaces is None else len(cluster.namespaces),
        "capacity": None if facts is None else plain(_sum(node.capacity for node in facts)),
        "allocatable": None if facts is None else plain(_sum(node.allocatable for node in facts)),
        "requested": plain(_sum(load.requests for load in loads)) if cluster.loads else None,
        "limits": plain(_sum(load.limits for load in loads)) if cluster.loads else None,
        "used": {resource: _known([row["used"][resource]["value"] for row in node_rows or ()]) for resource in RESOURCES},
        "slack": {resource: _known([row["slack"][resource] for row in node_rows or ()]) for resource in (CPU, MEMORY)},
    }
    for key in ("pods", "terminated_pods", "services", "load_balancers", *_COUNTS):
        values = [row[key] for row in namespace_rows]
        total[key] = None if not values or None in values else sum(values)
    homeless = cluster.loads.by_node.get("", Load()).pods if cluster.loads else None
    return {**total, "unscheduled_pods": homeless}


def share(part: int | None, whole: int | None) -> float | None:
    """Return the percentage; None if one is unknown or the whole is nothing."""
    return None if part is None or not whole else 100 * part / whole


def amount(resources: Mapping[str, int] | None, name: str) -> int | None:
    """Return an amount of known resources: what is not mentioned is 0, but of unknown ones nothing is known."""
    return None if resources is None else resources.get(name, 0)


def _node(cluster: Cluster, name: str, facts: NodeFacts) -> Row:
    load = cluster.loads.by_node.get(name, Load()) if cluster.loads else None
    samples, silent = _samples(cluster, name)
    used = {resource: choose(resource, samples, silent, cluster.now) for resource in RESOURCES}
    requested = plain(load.requests) if load else None
    return {
        "name": name,
        "ready": facts.ready,
        "unschedulable": facts.unschedulable,
        "pods": load.pods if load else None,
        "terminated_pods": load.terminated if load else None,
        "capacity": plain(facts.capacity),
        "allocatable": plain(facts.allocatable),
        "requested": requested,
        "limits": plain(load.limits) if load else None,
        "used": {resource: figure.as_dict() for resource, figure in used.items()},
        "slack": {resource: _slack(amount(requested, resource), used[resource]) for resource in (CPU, MEMORY)},
    }


def _samples(cluster: Cluster, node: str) -> tuple[list[Sample], list[str]]:
    """Return a node's samples, the preferred first, and which sources have none."""
    samples, silent = [], []
    for source in _PREFERENCE:
        if source in cluster.samples:
            found = (cluster.samples[source] or {}).get(node)
            if found:
                samples.append(found)
            else:
                silent.append(f"no {source}")
    return samples, silent


def _slack(requested: int | None, used: Figure) -> int | None:
    return None if requested is None or used.value is None else requested - used.value


def _namespace(cluster: Cluster, name: str) -> Row:
    load = cluster.loads.by_namespace.get(name, Load()) if cluster.loads else None
    counts = {key: cluster.counts[kind] for key, kind in _COUNTS.items()}
    return {
        "name": name,
        "pods": load.pods if load else None,
        "terminated_pods": load.terminated if load else None,
        "requested": plain(load.requests) if load else None,
        "limits": plain(load.limits) if load else None,
        "services": cluster.services.all[name] if cluster.services else None,
        "load_balancers": cluster.services.load_balancers[name] if cluster.services else None,
        **{key: None if count is None else count[name] for key, count in counts.items()},
        "quotas": None if cluster.quotas is None else [_quota(quota) for quota in cluster.quotas.get(name, ())],
    }


def _quota(quota: Quota) -> Row:
    return {
        "name": quota.name,
        "resources": {
            resource: {"hard": hard, "used": quota.used.get(resource), "percent": _percent(quota.used.get(resource), hard)}
            for resource, hard in quota.hard.items()
        },
    }


def _percent(used: str | None, hard: str) -> float | None:
    if used is None:
        return None
    most = parse_quantity(hard)
    # A quota of nothing is used up from the start.
    return round(float(100 * parse_quantity(used) / most), 1) if most else 100.0


def _known(values: Iterable[int | None]) -> dict[str, int | None]:
    known = [value for value in values if value is not None]
    return {"value": sum(known) if known else None, "nodes": len(known)}


def _sum(parts: Iterable[Amounts]) -> Amounts:
    total: Amounts = {}
    for part in parts:
        add(total, part)
    return total


def _sorted(rows: list[Row], key: Callable[[Row], float | None] | None) -> list[Row]:
    rows.sort(key=lambda row: row["name"])
    if key is not None:
        # Unknown last; equal ones stay sorted by name.
        rows.sort(key=lambda row: -1.0 if (value := key(row)) is None else float(value), reverse=True)
    return rows
