# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the provider knows of itself, for metrics and health. Shared by its threads."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field

CALL_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 5.0)
"""Seconds. The autoscaler waits 5."""
JOIN_BUCKETS = (5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)


class Histogram:
    """Counts of durations; not locked.

    Parameters
    ----------
    bounds : tuple of float
        Upper bounds of its buckets, seconds, rising.
    """

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self._counts[sum(seconds > bound for bound in self._bounds)] += 1
        self.sum += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Return bound and cumulated count of each, as Prometheus wants them."""
        found, total = [], 0
        for bound, count in zip([*map(str, self._bounds), "+Inf"], self._counts, strict=True):
            total += count
            found.append((bound, float(total)))
        return found


@dataclass
class State:
    """Counts since the start.

    Parameters
    ----------
    leading : bool
        Whether this provider acts and listens.
    calls : Counter
        Calls of the autoscaler, by method and gRPC status.
    call_seconds : dict
        How long they took, by method.
    outcomes : Counter
        Joins and leaves, by outcome: C(joined), C(left), C(failed), C(abandoned).
    join_seconds : Histogram
        From the request to a Ready Node.
    working : int
        Hosts that join or leave at this moment.
    events_dropped : int
        Events that were not sent.
    skew : float or None
        Seconds that the host's clock is ahead of the API server's.
    failure : str
        Why the provider cannot do its work; empty if it can.
    """

    leading: bool = False
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    call_seconds: dict[str, Histogram] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)
    join_seconds: Histogram = field(default_factory=lambda: Histogram(JOIN_BUCKETS))
    working: int = 0
    events_dropped: int = 0
    skew: float | None = None
    failure: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def called(self, method: str, code: str, seconds: float) -> None:
        """Count a call."""
        with self.lock:
            self.calls[method, code] += 1
            self.call_seconds.setdefault(method, Histogram(CALL_BUCKETS)).add(seconds)

    def ended(self, outcome: str, seconds: float | None) -> None:
        """Count the end of a join or leave; the seconds are those of a join that went well."""
        with self.lock:
            self.outcomes[outcome] += 1
            if seconds is not None:
                self.join_seconds.add(seconds)

    def event_dropped(self) -> None:
        """Count an Event that was not sent."""
        with self.lock:
            self.events_dropped += 1

    def health(self, _now: float) -> list[str]:
        """Return what is wrong."""
        with self.lock:
            return [self.failure] if self.failure else []
