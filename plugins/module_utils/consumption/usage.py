# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node uses, by whom that is said and how old it is. What is stale says nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..api.times import parse_time
from .amounts import CPU, DISK, MEMORY, nanos, plain

REPORT = "NodeReport"
METRICS = "metrics API"
SUMMARY = "kubelet Summary"

RESOURCES = (CPU, MEMORY, DISK)

LONGEST_AGE = 180.0
"""Seconds for which a sample without a date of expiry counts: as long as a NodeReport does."""

CLOCK_TOLERANCE = 10.0
"""Seconds that a sample may lie in the API server's future; beyond that the clocks differ and its age is not known."""


@dataclass(frozen=True)
class Sample:
    """Figures of one moment.

    Parameters
    ----------
    source : str
        :data:`REPORT`, :data:`METRICS` or :data:`SUMMARY`.
    observed_at : str
        RFC 3339, as the source wrote it.
    used : dict
        C(cpu) in millicores, C(memory) and C(ephemeral-storage) in bytes; what is unknown is absent.
    expires_at : str
        RFC 3339; empty if the source does not say: :data:`LONGEST_AGE` after C(observed_at).
    """

    source: str
    observed_at: str
    used: Mapping[str, int]
    expires_at: str = ""

    def fault(self, now: float) -> str:
        """Return why the sample says nothing at a time (seconds since 1970); empty if it does."""
        try:
            observed = parse_time(self.observed_at)
            expires = parse_time(self.expires_at) if self.expires_at else observed + LONGEST_AGE
        except ValueError:
            return f"{self.source} has no valid time of observation"
        if observed > now + CLOCK_TOLERANCE:
            return f"{self.source} lies {observed - now:.0f} s in the future: the clocks differ"
        return f"{self.source} is {now - observed:.0f} s old" if now >= expires else ""


@dataclass(frozen=True)
class Figure:
    """One figure: its value and who said it when, or why there is none.

    Parameters
    ----------
    value : int or None
        Millicores or bytes; None is unknown.
    source, observed_at : str or None
        As in :class:`Sample`.
    age : float or None
        Seconds.
    reason : str
        Why the value is unknown.
    """

    value: int | None = None
    source: str | None = None
    observed_at: str | None = None
    age: float | None = None
    reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return it as a result of the module."""
        data: dict[str, Any] = {"value": self.value, "source": self.source, "observed_at": self.observed_at, "age_seconds": self.age}
        return {**data, "reason": self.reason} if self.value is None else data


def choose(resource: str, samples: Sequence[Sample], silent: Sequence[str], now: float) -> Figure:
    """Return the figure of the first sample that is current and has the resource.

    Parameters
    ----------
    resource : str
        One of :data:`RESOURCES`.
    samples : sequence of Sample
        Of one node, the preferred first.
    silent : sequence of str
        Why other sources have no sample.
    now : float
        Seconds since 1970.
    """
    reasons = list(silent)
    for sample in samples:
        if fault := sample.fault(now):
            reasons.append(fault)
        elif resource not in sample.used:
            reasons.append(f"{sample.source} does not tell it")
        else:
            age = max(0.0, now - parse_time(sample.observed_at))
            return Figure(sample.used[resource], sample.source, sample.observed_at, round(age, 1))
    return Figure(reason="; ".join(reasons) or "no source")


def from_report(report: Mapping[str, Any]) -> Sample:
    """Return the sample of a NodeReport (:mod:`..report.schema`)."""
    status = report.get("status") or {}
    used = {CPU: (status.get("cpuMillicores") or {}).get("now"), MEMORY: (status.get("memoryBytes") or {}).get("now")}
    for filesystem in status.get("filesystems") or ():
        if "node" in (filesystem.get("roles") or ()):
            used[DISK] = filesystem.get("usedBytes")
    # Without a date of expiry a report is not one that can be trusted.
    return Sample(REPORT, str(status.get("observedAt")), _known(used), str(status.get("expiresAt")))


def from_metrics(metrics: Mapping[str, Any]) -> Sample:
    """Return the sample of a C(NodeMetrics) of metrics.k8s.io/v1beta1; its memory is the working set."""
    usage = plain({name: nanos(text) for name, text in (metrics.get("usage") or {}).items() if name in (CPU, MEMORY)})
    return Sample(METRICS, str(metrics.get("timestamp")), usage)


def from_summary(summary: Mapping[str, Any]) -> Sample:
    """Return the sample of a kubelet's C(/stats/summary); its memory is the working set."""
    node = summary.get("node") or {}
    cpu, memory, disk = (node.get(name) or {} for name in ("cpu", "memory", "fs"))
    cores = cpu.get("usageNanoCores")
    used = {CPU: None if cores is None else round(cores / 10**6), MEMORY: memory.get("workingSetBytes"), DISK: disk.get("usedBytes")}
    # The parts have times of their own, some seconds apart: the sample is as old as the oldest.
    times = [str(part["time"]) for part in (cpu, memory, disk) if part.get("time")]
    return Sample(SUMMARY, min(times, default=""), _known(used))


def _known(used: Mapping[str, int | None]) -> dict[str, int]:
    return {name: value for name, value in used.items() if value is not None}
