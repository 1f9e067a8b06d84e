# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guard's metrics for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .state import State

PREFIX = "nodewise_guard"


class Collector:
    """Makes metrics of the state at the moment they are asked for.

    What a decision counts is there only while this guard leads: others would show the same nodes once more.

    Parameters
    ----------
    state : State
        What the guard knows.
    """

    def __init__(self, state: State) -> None:
        self._state = state

    def collect(self) -> Iterator[Any]:
        """Return metric families, as prometheus_client wants them."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        def gauge(name: str, text: str, value: float | None) -> Iterator[Any]:
            if value is not None:
                yield GaugeMetricFamily(f"{PREFIX}_{name}", text, value=value)

        def gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> Iterator[Any]:
            family = GaugeMetricFamily(f"{PREFIX}_{name}", text, labels=[label])
            for key, value in values.items():
                family.add_metric([key], value)
            yield family

        state = self._state
        with state.lock:
            yield from gauge("leading", "Whether this guard acts.", float(state.leading))
            yield from gauge("dry_run", "Whether nothing is written.", float(state.dry_run))
            yield from gauge("nodes", "Nodes that are known.", state.nodes)
            yield from gauge("node_reports", "NodeReports that are known.", state.reports)
            yield from gauge("clock_skew_seconds", "How far the host's clock is ahead of the API server's.", state.skew)
            yield from gauge("certificate_requests", "Kubelets' requests for serving certificates that nobody has decided about.", state.certificate_requests)
            if state.leading:
                outcome = state.outcome
                yield from gauges("tainted_nodes", "Nodes that are tainted, or shall be, by cause.", "cause", outcome.tainted)
                yield from gauges("untainted_nodes", "Overloaded nodes that are not tainted, by why not.", "why", outcome.untainted)
                yield from gauge("held_nodes", "Nodes that keep their taint only because it is too young to go.", outcome.held)
                yield from gauge("unknown_nodes", "Nodes whose report is stale, missing or incomplete.", outcome.unknown)
                yield from gauge("schedulable_nodes", "Nodes that take pods, as far as others are concerned.", outcome.schedulable)
                yield from gauge("allowed_tainted_nodes", "How many of them may be tainted.", outcome.allowed)
                yield from gauge("decision_duration_seconds", "Time that the last decision over all nodes took.", state.decide_seconds)
            decisions = CounterMetricFamily(f"{PREFIX}_decisions", "Decisions carried out (in a dry run: that would be), by reason.", labels=["reason"])
            for reason, count in sorted(state.decisions.items()):
                decisions.add_metric([reason], count)
            yield decisions
            writes = CounterMetricFamily(f"{PREFIX}_writes", "Requests that change something, by kind and HTTP status.", labels=["kind", "status"])
            for (kind, status), count in sorted(state.writes.items()):
                writes.add_metric([kind, status], count)
            yield writes
            watches = CounterMetricFamily(f"{PREFIX}_watch_ends", "Watches that have ended, by kind and why.", labels=["kind", "why"])
            for (kind, why), count in sorted(state.watches.items()):
                watches.add_metric([kind, why], count)
            yield watches
            yield CounterMetricFamily(f"{PREFIX}_events_dropped", "Events that were not sent.", value=state.events_dropped)
            yield CounterMetricFamily(f"{PREFIX}_certificates_approved", "Kubelets' serving certificates approved.", value=state.certificates_approved)
