# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What nodes say of their own health: conditions and taints of the Nodes beside their NodeReports, also those that have expired."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from ..api.times import time_or_none
from ..consumption.pages import Client, Unreadable, pages, read
from ..consumption.usage import from_report
from ..errors import NodewiseError
from ..report.schema import PATH as REPORTS_PATH

_Pages = Iterable[Iterable[dict[str, Any]]]
_T = TypeVar("_T")


@dataclass(frozen=True)
class Health:
    """What was read.

    Parameters
    ----------
    nodes : list or None
        A row for each Node, by name; None if the Nodes cannot be read.
    errors : dict
        By kind: why it could not be read.
    """

    nodes: list[dict[str, Any]] | None
    errors: dict[str, str]


def read_health(client: Client) -> Health:
    """Read the Nodes and the NodeReports, a page at a time.

    Raises
    ------
    NodewiseError
        The API server is silent or does not know who asks, or neither kind can be read.
    """
    try:
        version = read(client, "/version")
    except Unreadable as error:
        raise NodewiseError(f"The API server cannot be asked: {error}", "name a kubeconfig of this cluster that is still valid") from error
    now = version.sent_at if version.date is None else version.date + 0.5
    errors: dict[str, str] = {}
    nodes = _read(client, "/api/v1/nodes", "nodes", _nodes, errors)
    reports = _read(client, REPORTS_PATH, "nodereports", lambda listed: _reports(listed, now), errors)
    if nodes is None and reports is None:
        raise NodewiseError(f"Neither Nodes nor NodeReports can be read: {errors['nodes']}", "name a kubeconfig whose user may list nodes")
    rows = None if nodes is None else [{**nodes[name], "report": (reports or {}).get(name)} for name in sorted(nodes)]
    return Health(rows, errors)


def _read(client: Client, path: str, kind: str, collect: Callable[[_Pages], _T], errors: dict[str, str]) -> _T | None:
    try:
        return collect(pages(client, path))
    except Unreadable as error:
        errors[kind] = str(error)
        return None


def _nodes(listed: _Pages) -> dict[str, dict[str, Any]]:
    return {item["metadata"]["name"]: _node(item) for page in listed for item in page}


def _node(node: Mapping[str, Any]) -> dict[str, Any]:
    conditions = (node.get("status") or {}).get("conditions") or ()
    taints = (node.get("spec") or {}).get("taints") or ()
    return {
        "name": node["metadata"]["name"],
        "conditions": [_condition(item) for item in conditions],
        "taints": [{"key": item["key"], "value": item.get("value", ""), "effect": item["effect"]} for item in taints],
    }


def _condition(item: Mapping[str, Any]) -> dict[str, str]:
    return {
        "type": item["type"],
        "status": item["status"],
        "reason": item.get("reason") or "",
        "message": item.get("message") or "",
        "since": item.get("lastTransitionTime") or "",
    }


def _reports(listed: _Pages, now: float) -> dict[str, dict[str, Any]]:
    return {item["metadata"]["name"]: _report(item, now) for page in listed for item in page}


def _report(report: Mapping[str, Any], now: float) -> dict[str, Any]:
    status = report.get("status") or {}
    sample = from_report(report)
    return {
        "observed_at": status.get("observedAt"),
        "expires_at": status.get("expiresAt"),
        "age_seconds": _age(status.get("observedAt"), now),
        "fault": sample.fault(now),
        "used": dict(sample.used),
        "disk_percent": (status.get("percent") or {}).get("disk"),
        "conditions": [_condition(item) for item in status.get("conditions") or ()],
    }


def _age(observed_at: str | None, now: float) -> float | None:
    """Return how long ago an RFC 3339 time was; None if there is none, it has no zone, or it lies in the future."""
    observed = time_or_none(observed_at)
    return None if observed is None or observed > now else round(now - observed, 1)
