# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The provider's metrics for Prometheus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from .decide import STATES, Decider, Record, Records
from .state import State

PREFIX = "nodewise_autoscaler"
_NEW = Record()


class Collector:
    """Makes metrics of the state at the moment they are asked for.

    What is known of hosts is there only while this provider leads: others would show what was.

    Parameters
    ----------
    state : State
        What the provider knows of itself.
    decider : Decider
        The groups.
    records : callable
        Returns the records of the hosts.
    """

    def __init__(self, state: State, decider: Decider, records: Callable[[], Records]) -> None:
        self._state = state
        self._decider = decider
        self._records = records

    def collect(self) -> Iterator[Any]:
        """Return metric families, as prometheus_client wants them."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        state = self._state
        with state.lock:
            yield GaugeMetricFamily(f"{PREFIX}_leading", "Whether this provider acts and listens.", value=float(state.leading))
            if state.skew is not None:
                yield GaugeMetricFamily(f"{PREFIX}_clock_skew_seconds", "How far the host's clock is ahead of the API server's.", value=state.skew)
            yield GaugeMetricFamily(f"{PREFIX}_working_hosts", "Hosts that join or leave at this moment.", value=state.working)
            calls = CounterMetricFamily(f"{PREFIX}_calls", "Calls of cluster-autoscaler, by method and gRPC status.", labels=["method", "code"])
            for (method, code), count in sorted(state.calls.items()):
                calls.add_metric([method, code], count)
            yield calls
            seconds = HistogramMetricFamily(f"{PREFIX}_call_duration_seconds", "How long the answers took.", labels=["method"])
            for method, histogram in sorted(state.call_seconds.items()):
                seconds.add_metric([method], histogram.buckets(), histogram.sum)
            yield seconds
            outcomes = CounterMetricFamily(f"{PREFIX}_outcomes", "Joins and leaves that have ended, by how.", labels=["outcome"])
            for outcome, count in sorted(state.outcomes.items()):
                outcomes.add_metric([outcome], count)
            yield outcomes
            joins = HistogramMetricFamily(f"{PREFIX}_join_duration_seconds", "From the request to a Ready Node.", labels=[])
            joins.add_metric([], state.join_seconds.buckets(), state.join_seconds.sum)
            yield joins
            yield CounterMetricFamily(f"{PREFIX}_events_dropped", "Events that were not sent.", value=state.events_dropped)
            leading = state.leading
        if leading:
            yield from self._groups()

    def _groups(self) -> Iterator[Any]:
        from prometheus_client.core import GaugeMetricFamily

        records = self._records()
        hosts = GaugeMetricFamily(f"{PREFIX}_hosts", "Hosts of a group, by state.", labels=["group", "state"])
        sizes = GaugeMetricFamily(f"{PREFIX}_group_size", "Size of a group: its target, min and max.", labels=["group", "which"])
        for name, group in self._decider.groups.items():
            states = Counter(records.get(host, _NEW).state for host in group.hosts)
            for state in STATES:
                hosts.add_metric([name, state], states[state])
            for which, size in (("target", self._decider.target(records, name)), ("min", group.min), ("max", group.max)):
                sizes.add_metric([name, which], size)
        yield hosts
        yield sizes
