# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recording rules and alerts: groups of a Prometheus rule file, pure data.

C(docs/monitoring.md) says for each alert what to do. Names of recording rules are level:metric:operation, as Prometheus recommends.
"""

from __future__ import annotations

from typing import Any

REPORTER, GUARD, KUBELET, API_SERVER = "nodewise-reporter", "nodewise-guard", "kubelet", "kube-apiserver"
"""Names of the scrape jobs, which the rules ask for."""

_WARNING, _CRITICAL = "warning", "critical"


def groups(missing_minutes: int, guard: bool, valid_seconds: float) -> list[dict[str, Any]]:
    """Return all rule groups.

    Parameters
    ----------
    missing_minutes : int
        How long a reporter or a report may be missing before somebody is told.
    guard : bool
        Whether the cluster has guards; without one, its absence is no alert.
    valid_seconds : float
        How long a report says something, as the reporters have it.
    """
    found = [
        {"name": "nodewise.use", "rules": _recorded()},
        {"name": "nodewise.reports", "rules": _reports(missing_minutes, valid_seconds)},
        {"name": "nodewise.nodes", "rules": _nodes()},
    ]
    if guard:
        found.append({"name": "nodewise.guard", "rules": _guard(missing_minutes)})
    found.append({"name": "nodewise.kubernetes", "rules": _kubernetes()})
    return found


def _recorded() -> list[dict[str, Any]]:
    return [
        {"record": record, "expr": expression}
        for record, expression in (
            ("node:nodewise_cpu_used:ratio", "nodewise_reporter_cpu_used_cores / nodewise_reporter_cpu_allocatable_cores"),
            ("node:nodewise_memory_used:ratio", "nodewise_reporter_memory_used_bytes / nodewise_reporter_memory_allocatable_bytes"),
            ("filesystem:nodewise_available:ratio", "nodewise_reporter_filesystem_available_bytes / nodewise_reporter_filesystem_size_bytes"),
            ("node:nodewise_report_age:seconds", "time() - nodewise_reporter_last_publish_success_timestamp_seconds"),
            ("cluster:nodewise_cpu_used:ratio", _share("nodewise_reporter_cpu_used_cores", "nodewise_reporter_cpu_allocatable_cores")),
            ("cluster:nodewise_memory_used:ratio", _share("nodewise_reporter_memory_used_bytes", "nodewise_reporter_memory_allocatable_bytes")),
        )
    ]


def _share(used: str, allocatable: str) -> str:
    """Return the share of the nodes of which both are known: a use that is unknown is not 0."""
    return f"sum({used} and on(node) {allocatable}) / sum({allocatable} and on(node) {used})"


def _reports(missing_minutes: int, valid_seconds: float) -> list[dict[str, Any]]:
    missing = f"{missing_minutes}m"
    published = "nodewise_reporter_last_publish_success_timestamp_seconds"
    # A reporter has no such time until it writes: soon after its start, when its stored report is due again, or never.
    unpublished = f'time() - process_start_time_seconds{{job="{REPORTER}"}} > {valid_seconds:g} unless on(node) {published}'
    return [
        _alert(
            "NodewiseReporterDown",
            f'up{{job="{REPORTER}"}} == 0',
            missing,
            _WARNING,
            "The reporter of {{ $labels.node }} does not answer.",
            f"Prometheus has had no answer for {missing}: the daemon or the host is down, or its certificate has ended.",
        ),
        _alert(
            "NodewiseReportStale",
            f"node:nodewise_report_age:seconds > {valid_seconds:g} or ({unpublished})",
            missing,
            _WARNING,
            "The report of {{ $labels.node }} is stale.",
            "The reporter runs, but has had no report accepted for {{ $value | humanizeDuration }}; what acts on reports takes the node for unknown.",
        ),
        _alert(
            "NodewiseReportsFail",
            f'sum by (node, result) (increase(nodewise_reporter_publishes_total{{job="{REPORTER}", result!="accepted"}}[15m])) > 5',
            "5m",
            _WARNING,
            "Reports of {{ $labels.node }} are not accepted: {{ $labels.result }}.",
            "{{ $value | humanize }} attempts failed within 15 minutes.",
        ),
        _alert(
            "NodewiseReporterErrors",
            "sum by (node, source) (increase(nodewise_reporter_sample_errors_total[15m])) > 5",
            "15m",
            _WARNING,
            "The reporter of {{ $labels.node }} cannot read figures of the {{ $labels.source }}.",
            "{{ $value | humanize }} figures could not be read within 15 minutes; they are unknown in the report.",
        ),
    ]


def _nodes() -> list[dict[str, Any]]:
    return [
        _alert(
            "NodewiseNodeOverloaded",
            'nodewise_reporter_condition{type=~"CPUOverloaded|MemoryOverloaded", status="true"} == 1',
            "15m",
            _WARNING,
            "{{ $labels.node }} has been overloaded for a quarter of an hour: {{ $labels.type }}.",
            "New pods are kept away if the guard runs; those that are there go on.",
        ),
        _alert(
            "NodewiseDiskNearlyFull",
            'nodewise_reporter_condition{type="DiskNearlyFull", status="true"} == 1',
            "5m",
            _CRITICAL,
            "A filesystem of {{ $labels.node }} is nearly full.",
            "Before long the kubelet evicts pods and removes images.",
        ),
        _alert(
            "NodewiseDiskFillingUp",
            "predict_linear(nodewise_reporter_filesystem_available_bytes[1h], 4 * 3600) < 0 and filesystem:nodewise_available:ratio < 0.4",
            "15m",
            _WARNING,
            "{{ $labels.mountpoint }} of {{ $labels.node }} will be full within four hours.",
            "That is where the last hour's trend leads; holds {{ $labels.roles }}.",
        ),
        _alert(
            "NodewiseRuntimeUnhealthy",
            'nodewise_reporter_condition{type="RuntimeUnhealthy", status="true"} == 1',
            "2m",
            _CRITICAL,
            "The container runtime of {{ $labels.node }} does not work.",
            "Pods cannot be started or stopped there.",
        ),
    ]


def _guard(missing_minutes: int) -> list[dict[str, Any]]:
    return [
        _alert(
            "NodewiseGuardDown",
            f'up{{job="{GUARD}"}} == 0',
            f"{missing_minutes}m",
            _WARNING,
            "The guard of {{ $labels.node }} does not answer.",
            "Another control-plane host's guard takes over, if there is one.",
        ),
        _alert(
            "NodewiseGuardWithoutLeader",
            "(sum(nodewise_guard_leading) or vector(0)) == 0",
            f"{missing_minutes}m",
            _CRITICAL,
            "No guard leads.",
            "Taints of overloaded nodes are neither set nor removed.",
        ),
        _alert(
            "NodewiseGuardAtCap",
            'nodewise_guard_untainted_nodes{why="cap"} > 0',
            "10m",
            _WARNING,
            "{{ $value }} overloaded nodes are not tainted, because too many are.",
            "The cluster as a whole is short of something, or a threshold is wrong.",
        ),
        _alert(
            "NodewiseReportsUnknown",
            "nodewise_guard_unknown_nodes > 0",
            f"{missing_minutes}m",
            _WARNING,
            "{{ $value }} nodes have no report that counts.",
            "A report is missing, stale or incomplete, as the guard sees it at the API server.",
        ),
        _alert(
            "NodewiseGuardWritesFail",
            'sum by (node, kind, status) (increase(nodewise_guard_writes_total{status!~"2..|409"}[15m])) > 5',
            "5m",
            _WARNING,
            "The guard's writes fail: {{ $labels.kind }}, {{ $labels.status }}.",
            "{{ $value | humanize }} within 15 minutes; 409 is a conflict, which it tries again, and is not counted.",
        ),
        _alert(
            "NodewiseCertificateRequestsWait",
            "max(nodewise_guard_certificate_requests) > 0",
            "30m",
            _WARNING,
            "{{ $value }} kubelets wait for serving certificates.",
            "The guard approves what it finds right, so these are not, or it may not.",
        ),
    ]


def _kubernetes() -> list[dict[str, Any]]:
    return [
        _alert(
            "NodewiseKubeletDown",
            f'up{{job="{KUBELET}"}} == 0',
            "5m",
            _WARNING,
            "The kubelet of {{ $labels.node }} does not answer.",
            "It is down, or its serving certificate is not the cluster's.",
        ),
        _alert(
            "NodewiseApiServerDown",
            f'up{{job="{API_SERVER}"}} == 0 or absent(up{{job="{API_SERVER}"}})',
            "5m",
            _CRITICAL,
            "An API server does not answer.",
            "Or there is none that Prometheus could find.",
        ),
    ]


def _alert(name: str, expression: str, after: str, severity: str, summary: str, description: str) -> dict[str, Any]:
    return {
        "alert": name,
        "expr": expression,
        "for": after,
        "labels": {"severity": severity},
        "annotations": {"summary": summary, "description": description},
    }
