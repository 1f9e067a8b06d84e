# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All checks by their topic."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from ..result import FAIL, UNKNOWN, Result
from . import capacity, identity, kubelet, metrics, usage
from .reading import NodeReading, Tolerances

Check = Callable[[NodeReading, Tolerances], list[Result]]

TOPICS: Mapping[str, Check] = {
    "identity": identity.identity,
    "runtime": identity.runtime,
    "lease": identity.lease,
    "clock": identity.clock,
    "report": identity.report,
    "capacity": capacity.capacity,
    "allocatable": capacity.allocatable,
    "containers": usage.containers,
    "memory": usage.memory,
    "cpu": usage.cpu,
    "filesystems": usage.filesystems,
    "metrics": metrics.metrics,
    "pressure": kubelet.pressure,
    "cgroups": kubelet.cgroups,
    "configuration": kubelet.configuration,
    "certificate": kubelet.certificate,
    "flags": kubelet.flags,
    "confinement": identity.confinement,
}

RELOOK: Mapping[str, tuple[float, float]] = {
    "containers": (usage.HOUSEKEEPING, 2 * usage.HOUSEKEEPING),
    "memory": (10, 20),
    "cpu": (5, 20),
    "filesystems": (10, 20),
    "pressure": (21, 21),
}
"""Topics that a passing change can make look wrong: after how many seconds another look may tell more, and for how long it is worth it."""


def evaluate(reading: NodeReading, tolerances: Tolerances, topics: Iterable[str]) -> list[Result]:
    """Return the results of some topics; a reading that lacks what its API always has is unknown, not an error."""
    results: list[Result] = []
    for topic in topics:
        try:
            results += TOPICS[topic](reading, tolerances)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            observed = f"an answer was not understood ({type(error).__name__}: {error})"
            results.append(reading.result(topic, UNKNOWN, "answers of the known form", observed, hint="versions of Kubernetes and of this collection"))
    return results


def wait_for_another(reading: NodeReading, tolerances: Tolerances, topics: Iterable[str]) -> float:
    """Return after how many seconds another look may tell more; 0 if none is needed."""
    elapsed = reading.last.monotonic - reading.looks[0].monotonic
    doubted = [topic for topic in topics if topic in RELOOK and RELOOK[topic][1] > elapsed and _doubtful(topic, reading, tolerances)]
    return max((RELOOK[topic][0] for topic in doubted), default=0.0)


def _doubtful(topic: str, reading: NodeReading, tolerances: Tolerances) -> bool:
    if topic == "pressure":
        return kubelet.unheeded(reading)
    if topic == "containers":
        return usage.come_or_go(reading)
    if topic == "cpu":
        return len(reading.looks) > 1 and usage.came_or_went(reading)
    return any(result.status == FAIL for result in evaluate(reading, tolerances, [topic]))
