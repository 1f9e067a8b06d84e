# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Averages and percentiles over the last minutes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True)
class _Sample:
    start: float
    end: float
    value: float


class Window:
    """The samples of the last minutes of one figure.

    Each value stands for a span of time: a rate for the time between its two readings, a level for the time since the
    reading before. A figure over a window is there only if samples cover more than half of it, since a few of them
    would say something about another time.

    Parameters
    ----------
    seconds : float
        Length of the longest window; what is older is forgotten.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._samples: deque[_Sample] = deque()

    def add(self, start: float, end: float, value: float) -> None:
        """Add a value that stands for a span of time (seconds of a monotonic clock); one that is not after the last is left out."""
        if end <= start or (self._samples and start < self._samples[-1].end):
            return
        self._samples.append(_Sample(start, end, value))
        while self._samples[0].end <= end - self._seconds:
            self._samples.popleft()

    def average(self, seconds: float, now: float) -> float | None:
        """Return the time-weighted mean of the last seconds, or None if they are not covered."""
        weighted = self._weighted(seconds, now)
        total = sum(weight for weight, _value in weighted)
        return sum(weight * value for weight, value in weighted) / total if total > seconds / 2 else None

    def percentile(self, percent: float, seconds: float, now: float) -> float | None:
        """Return the nearest-rank percentile, weighted by time, or None if the window is not covered.

        It is the smallest value that was seen such that values up to it cover at least C(percent) of the covered time;
        for samples of equal length that is the nearest-rank percentile. It is never interpolated.
        """
        weighted = sorted(self._weighted(seconds, now), key=lambda pair: pair[1])
        total = sum(weight for weight, _value in weighted)
        if total <= seconds / 2:
            return None
        # The last value bounds it, whatever the sums of floats say.
        rank, covered = total * percent / 100, 0.0
        for weight, value in weighted[:-1]:
            covered += weight
            if covered >= rank - 1e-9:
                return value
        return weighted[-1][1]

    def _weighted(self, seconds: float, now: float) -> list[tuple[float, float]]:
        begin = now - seconds
        return [(sample.end - max(sample.start, begin), sample.value) for sample in self._samples if sample.end > begin]
