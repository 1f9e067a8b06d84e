# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the reporter knows of itself: how its samples and its writes go. Shared by its threads."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..report.settings import Settings

# Samples that may fail to come before the reporter counts as ill.
_LATE_SAMPLES = 3


@dataclass
class State:
    """Counts and times since the start; monotonic times unless said otherwise.

    Parameters
    ----------
    version : str
        The agent's version.
    settings : Settings
        Those in force.
    started : float
        When the reporter started.
    status : Mapping
        C(status) of the report of the newest sample; empty before the first.
    sampled, sampled_wall : float or None
        When the newest sample was complete; the latter in seconds since the epoch.
    samples : int
        Number of samples.
    sample_seconds : float
        Time that they took, all together.
    errors : Counter
        Figures that could not be read, C({"host": n, "runtime": n}).
    publishes : Counter
        Attempts to write a report by their result.
    published, published_wall : float or None
        When a report was last accepted; the latter in seconds since the epoch.
    failure : str
        Why the last attempt was none; empty if it was accepted.
    backoff_seconds : float
        Pause after attempts that failed; 0 if the last one was accepted.
    """

    version: str = ""
    settings: Settings = field(default_factory=Settings)
    started: float = field(default_factory=time.monotonic)
    status: Mapping[str, Any] = field(default_factory=dict)
    sampled: float | None = None
    sampled_wall: float | None = None
    samples: int = 0
    sample_seconds: float = 0.0
    errors: Counter[str] = field(default_factory=Counter)
    publishes: Counter[str] = field(default_factory=Counter)
    published: float | None = None
    published_wall: float | None = None
    failure: str = ""
    backoff_seconds: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def sample_taken(self, status: Mapping[str, Any], seconds: float, errors: Mapping[str, int]) -> None:
        """Note a sample, how long it took, and how many figures could not be read."""
        with self.lock:
            self.status = status
            self.sampled, self.sampled_wall = time.monotonic(), time.time()
            self.samples += 1
            self.sample_seconds += seconds
            self.errors.update(errors)

    def publish_tried(self, result: str, accepted: bool, failure: str, backoff_seconds: float) -> None:
        """Note an attempt to write a report."""
        with self.lock:
            self.publishes[result] += 1
            self.failure = failure
            self.backoff_seconds = backoff_seconds
            if accepted:
                self.published, self.published_wall = time.monotonic(), time.time()

    def health(self, now: float) -> list[str]:
        """Return what is wrong: samples or writes that are overdue."""
        with self.lock:
            settings, wrong = self.settings, []
            late = now - (self.started if self.sampled is None else self.sampled)
            if late > _LATE_SAMPLES * settings.sample_seconds:
                wrong.append(f"no sample for {late:.0f} s; one is due every {settings.sample_seconds:g} s")
            unpublished = now - (self.started if self.published is None else self.published)
            if unpublished > settings.valid_seconds:
                wrong.append(f"no report accepted for {unpublished:.0f} s: {self.failure or 'no attempt was made'}")
            return wrong
