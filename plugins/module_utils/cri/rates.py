# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CPU rates of containers from their cumulative counters.

Their times are of the wall clock, which may be set; so no rate is taken over a step of it. C(usage_nano_cores), which runtimes also
offer, is no use here: containerd 1.7 reckons it since whoever asked last, and the kubelet asks too (kubernetes#122092, containerd#9531).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf

from .model import Container, ContainerKey, Counter

MINIMUM_WINDOW = 5.0
"""Seconds between two counters below which a rate says more of the moments of reading than of the container."""

# Seconds that the wall clock may move against the monotonic one from sample to sample without being a step: the two are read one after the other.
_STEP = 0.25
# Seconds that a runtime's answer may be old: containerd's collector keeps one for 1 s, cAdvisor reads every 10 to 15 s.
_CACHED = 15.0


class CpuRates:
    """CPU rates from one sample to the next."""

    def __init__(self) -> None:
        self._counters: dict[ContainerKey, Counter] = {}
        self._offset: float | None = None
        self._void_until = -inf

    def next(self, containers: Iterable[Container], clock_offset: float, monotonic: float) -> dict[ContainerKey, float]:
        """Return millicores since the sample before, of the containers that have a rate; none while a counter may be of before a step.

        Parameters
        ----------
        containers : Iterable of Container
            As for C(cpu_rates).
        clock_offset : float
            Seconds by which the wall clock was ahead of the monotonic one, taken after the containers were read: a step in between is then
            seen too early, never too late.
        monotonic : float
            When the sample began, seconds of the monotonic clock.
        """
        if self._offset is not None and abs(clock_offset - self._offset) > _STEP:
            self._void_until = monotonic + _CACHED
        self._offset = clock_offset
        if monotonic < self._void_until:
            self._counters = {}
            return {}
        rates, self._counters = cpu_rates(self._counters, containers)
        return rates


def cpu_rates(
    before: Mapping[ContainerKey, Counter], containers: Iterable[Container], minimum_window: float = MINIMUM_WINDOW
) -> tuple[dict[ContainerKey, float], dict[ContainerKey, Counter]]:
    """Return the rates since earlier counters, and the counters to hand in the next time.

    Parameters
    ----------
    before : Mapping
        What this function returned for the sample before; empty for the first.
    containers : Iterable of Container
        Of this sample. If they could not be listed, do not call this at all: the next window is then longer.
    minimum_window : float
        Seconds.

    Returns
    -------
    rates : dict
        Millicores; without those that have no rate yet. A counter that fell or a time that did not rise gives none, never 0.
    counters : dict
        Of the containers that are still listed, so it does not grow.
    """
    rates = {}
    counters = {}
    for container in containers:
        earlier, now = before.get(container.key), container.cpu
        kept = earlier if now is None else now
        if earlier is not None and now is not None:
            window = now.timestamp - earlier.timestamp
            if 0 <= window < minimum_window * 1e9:
                kept = earlier
            elif window > 0 and now.value >= earlier.value:
                rates[container.key] = (now.value - earlier.value) * 1000 / window
        if kept is not None:
            counters[container.key] = kept
    return rates, counters
