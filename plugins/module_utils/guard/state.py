# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the guard knows of itself: how its decisions and writes go. Shared by its threads."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

from .decide import Outcome

LOG = logging.getLogger("nodewise.guard")
# Seconds without a decision, though leading, after which the guard counts as ill.
_LATE = 60.0


@dataclass
class State:
    """Counts since the start.

    Parameters
    ----------
    dry_run : bool
        Whether nothing is written.
    leading : bool
        Whether this guard acts.
    nodes, reports : int
        What is known of the cluster.
    outcome : Outcome
        The last one.
    decided_at : float
        Monotonic: when it was made, or when this guard began.
    decide_seconds : float
        How long it took.
    decisions : Counter
        Decisions that were carried out (or would be, in a dry run), by the reason of their Event.
    writes : Counter
        Requests that change something, by kind and HTTP status.
    watches : Counter
        Watches that have ended, by kind and why.
    events_dropped : int
        Events that were not sent.
    certificate_requests : int
        Requests of kubelets for a serving certificate about which nobody has decided.
    certificates_approved : int
        Those that this guard has approved.
    skew : float or None
        Seconds that the host's clock is ahead of the API server's.
    failure : str
        Why the guard cannot do its work; empty if it can.
    """

    dry_run: bool = False
    leading: bool = False
    nodes: int = 0
    reports: int = 0
    outcome: Outcome = field(default_factory=Outcome)
    decided_at: float = field(default_factory=time.monotonic)
    decide_seconds: float = 0.0
    decisions: Counter[str] = field(default_factory=Counter)
    writes: Counter[tuple[str, str]] = field(default_factory=Counter)
    watches: Counter[tuple[str, str]] = field(default_factory=Counter)
    events_dropped: int = 0
    certificate_requests: int = 0
    certificates_approved: int = 0
    skew: float | None = None
    failure: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def made(self, outcome: Outcome, seconds: float) -> None:
        """Note what was decided, and how long it took."""
        with self.lock:
            for name, why in outcome.failed.items():
                if self.outcome.failed.get(name) != why:
                    LOG.error("%s: nothing can be decided: %s", name, why)
            self.outcome, self.decide_seconds, self.decided_at = outcome, seconds, time.monotonic()

    def decided(self, reason: str) -> None:
        """Count a decision that was carried out."""
        with self.lock:
            self.decisions[reason] += 1

    def wrote(self, kind: str, status: str) -> None:
        """Count a request."""
        with self.lock:
            self.writes[kind, status] += 1

    def event_dropped(self) -> None:
        """Count an Event that was not sent."""
        with self.lock:
            self.events_dropped += 1

    def approved(self, certificates: int) -> None:
        """Count approved requests."""
        with self.lock:
            self.certificates_approved += certificates

    def watch_ended(self, kind: str, why: str) -> None:
        """Count the end of a watch."""
        with self.lock:
            self.watches[kind, why] += 1

    def health(self, now: float) -> list[str]:
        """Return what is wrong."""
        with self.lock:
            wrong = [self.failure] if self.failure else []
            if self.leading and now - self.decided_at > _LATE:
                wrong.append(f"no decision for {now - self.decided_at:.0f} s")
            if self.leading:
                wrong += [f"{name}: nothing can be decided: {why}" for name, why in self.outcome.failed.items()]
            return wrong
