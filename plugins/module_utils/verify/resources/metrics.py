# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the metrics API, where there is one, is available and has fresh figures of this node; the figures themselves are :mod:`usage`'s."""

from __future__ import annotations

from ...api.times import parse_time
from ..result import FAIL, OK, UNKNOWN, Result
from .reading import NodeReading, Tolerances, graded

_SOURCE = ("APIService v1beta1.metrics.k8s.io",)


def metrics(reading: NodeReading, tolerances: Tolerances) -> list[Result]:
    """The APIService's condition, and the age of the node's figures. Nothing where nobody serves the metrics API."""
    service = reading.last.api_service
    if service.status == 404:
        return []
    check, expected = "metrics.available", "the metrics API is available"
    missing = reading.unreadable(check, expected, service, sources=_SOURCE)
    if missing is not None:
        return [missing]
    conditions = service.value.get("status", {}).get("conditions") or []
    condition = next((one for one in conditions if one["type"] == "Available"), None)
    hint = "kubectl --namespace kube-system describe pods --selector app.kubernetes.io/name=metrics-server, and their logs"
    if condition is None:
        return [reading.result(check, UNKNOWN, expected, "the API server has not tried it yet", sources=_SOURCE, hint=hint)]
    if condition.get("status") != "True":
        observed = f"{condition.get('reason')}: {condition.get('message')}"
        return [reading.result(check, FAIL, expected, observed, sources=_SOURCE, hint=hint)]
    return [reading.result(check, OK, expected, "it is", sources=_SOURCE), _figures(reading, tolerances)]


def _figures(reading: NodeReading, tolerances: Tolerances) -> Result:
    check, expected, found = "metrics.node", "fresh figures of the node", reading.last.metrics
    sources = ("NodeMetrics.timestamp",)
    hint = "metrics-server's log; the kubelet's serving certificate: kubectl get csr"
    if found.error and found.status in (0, 401, 403):
        return reading.unreadable(check, expected, found, sources=sources) or reading.result(check, UNKNOWN, expected, found.error)
    if found.error:
        return reading.result(check, FAIL, expected, f"there are none: {found.error}", sources=sources, hint=hint)
    age = reading.server_now - parse_time(found.value["timestamp"])
    status = graded(age, tolerances.metrics_warn_seconds, tolerances.metrics_fail_seconds)
    tolerance = f"{tolerances.metrics_warn_seconds:g} s, {tolerances.metrics_fail_seconds:g} s at the most"
    return reading.result(check, status, expected, f"{age:.0f} s old", tolerance, sources, hint)
