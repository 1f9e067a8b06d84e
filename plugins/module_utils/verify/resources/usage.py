# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is used, by both ends' own counters: containers, memory, CPU, filesystems."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ...api.times import parse_time
from ...cri.model import Container, Counter
from ...kube.quantity import parse_quantity
from ...node.model import HOST, CpuCounter
from ..result import FAIL, OK, UNKNOWN, WARN, Result
from .reading import Look, NodeReading, Tolerances, mebibytes, millicores

Name = tuple[str, str, str]
"""Namespace, pod and name of a container."""

_NAMED = 3
"""How many containers a result names at most."""


def running(look: Look) -> dict[Name, Container]:
    """Return the containers that the runtime says are running; there must be a reading of it."""
    found = look.runtime.containers if look.runtime is not None else None
    return {(item.namespace, item.pod, item.name): item for item in found or () if item.state == "running"}


def summarised(summary: Mapping[str, Any]) -> dict[Name, Mapping[str, Any]]:
    """Return the containers of the kubelet's Summary."""
    return {
        (pod["podRef"]["namespace"], pod["podRef"]["name"], container["name"]): container
        for pod in summary.get("pods") or []
        for container in pod.get("containers") or []
    }


def containers(reading: NodeReading, _tolerances: Tolerances) -> list[Result]:
    """The same containers run, by the runtime and by the kubelet; and as many as the report says.

    A difference counts only if it lasts: containers come and go, and the kubelet's housekeeping sees it some seconds later.
    """
    check, expected, look = "containers", "the runtime and the kubelet know the same running containers", reading.last
    sources = ("CRI ListContainers", "Summary")
    missing = reading.no_runtime(check, expected, look, sources) or reading.unreadable(check, expected, look.summary, sources=sources)
    results = [missing] if missing is not None else [_same_containers(reading, expected, sources)]
    if not look.report.error and look.runtime is not None and look.runtime.containers is not None:
        results += _reported_containers(reading, look)
    return results + _unread_containers(reading, look)


def _unread_containers(reading: NodeReading, look: Look) -> list[Result]:
    """Those of which the runtime tells no figures are in no other comparison, so it is said which they are."""
    own = running(look)
    unread = [name for name, container in own.items() if container.cpu is None or container.working_set_bytes is None]
    if look.runtime is None or not unread:
        return []
    observed = f"{len(unread)} of {len(own)} do not: {_names(unread)}; {'; '.join(look.runtime.errors) or 'no reason given'}"
    hint, sources = "crictl stats; journalctl -u containerd", ("CRI ListContainerStats", "CRI ContainerStats")
    return [reading.result("containers.unread", WARN, "each running container tells what it uses", observed, sources=sources, hint=hint)]


def _same_containers(reading: NodeReading, expected: str, sources: tuple[str, ...]) -> Result:
    last = _differing(reading.last)
    if not any(last):
        return reading.result("containers", OK, expected, f"{len(running(reading.last))} containers", sources=sources)
    only_runtime, only_kubelet = last
    parts = [f"only the {who} knows {_names(names)}" for who, names in (("runtime", only_runtime), ("kubelet", only_kubelet)) if names]
    lasting = _lasts(reading)
    observed = "; ".join(parts) + ("" if lasting else f" (not for {HOUSEKEEPING:.0f} s yet)")
    return reading.result("containers", FAIL if lasting else UNKNOWN, expected, observed, sources=sources, hint="crictl ps; journalctl -u kubelet")


HOUSEKEEPING = 16.0
"""Seconds after which the kubelet knows what the runtime does: cAdvisor's housekeeping comes every 10 to 15 s."""


def come_or_go(reading: NodeReading) -> bool:
    """Whether the last look shows different containers at both ends, and it is not known yet whether that lasts."""
    return _comparable(reading.last) and any(_differing(reading.last)) and not _lasts(reading)


def _lasts(reading: NodeReading) -> bool:
    last = reading.last
    earlier = [look for look in reading.looks if last.monotonic - look.monotonic >= HOUSEKEEPING and _comparable(look)]
    return bool(earlier) and _differing(earlier[-1]) == _differing(last)


def _comparable(look: Look) -> bool:
    return look.runtime is not None and look.runtime.containers is not None and not look.summary.error


def _differing(look: Look) -> tuple[frozenset[Name], frozenset[Name]]:
    own, kubelet = running(look).keys(), summarised(look.summary.value).keys()
    return frozenset(own - kubelet), frozenset(kubelet - own)


def _names(names: Collection[Name]) -> str:
    shown = ["/".join(name) for name in sorted(names)]
    return ", ".join(shown[:_NAMED]) + (f" and {len(shown) - _NAMED} more" if len(shown) > _NAMED else "")


def _left_out(figures: Mapping[Name, tuple[Any, Any]]) -> str:
    """Return which containers a comparison has to leave out, since one end lists them without a figure; empty if it is whole.

    Parameters
    ----------
    figures : mapping
        The runtime's and the kubelet's figure of each container that both list; None is one that is missing.
    """
    parts = []
    for who, end in (("runtime", 0), ("kubelet", 1)):
        lacking = [name for name, pair in figures.items() if pair[end] is None]
        if lacking:
            parts.append(f"the {who} has no figure of {len(lacking)} of {len(figures)}: {_names(lacking)}")
    return "; ".join(parts)


_LEFT_OUT = "crictl stats, /stats/summary: who lacks the figure; a container that has just started has it some seconds later"


def _reported_containers(reading: NodeReading, look: Look) -> list[Result]:
    """What came since the sample may be missing in it, and what went since may be in it; but what runs for long must have been counted."""
    status = look.report.value["status"]
    said = status.get("containers", {}).get("running")
    if said is None:
        return []
    before = (parse_time(status["observedAt"]) - _STARTING) * 1e9
    counted, lasting = len(running(look)), sum(container.key.created_at <= before for container in running(look).values())
    hint = "journalctl -u nodewise-reporter; crictl ps" if said < lasting else "the report's sample is older than this look; verify again"
    sources = ("NodeReport.status.containers", "CRI ListContainers")
    result = FAIL if said < lasting else WARN if said > counted else OK
    return [reading.result("containers.report", result, str(counted), str(said), f"{lasting} at the least", sources, hint)]


_STARTING = 60.0
"""Seconds in which a container that was created runs, or will not run."""


def memory(reading: NodeReading, tolerances: Tolerances) -> list[Result]:
    """Working sets: the containers' by CRI and Summary, the node's by host, Summary, metrics API and report."""
    look = reading.last
    return [_containers_memory(reading, look, tolerances), _node_memory(reading, look, tolerances), *_sampled_memory(reading, look, tolerances)]


def _apart(look: Look, own: float, other: float) -> float:
    """Return by how much another's figure differs from the host's with or without what this verification takes itself, whichever is nearer."""
    return max(other - own, own - look.own_memory - other, 0.0)


_NODE = 16
"""A node is taken for this many containers at least: it runs more than those, and whoever verifies it brings SSH, crictl and their page cache."""


def _memory_tolerance(tolerances: Tolerances, bytes_: float, count: int) -> float:
    return max(bytes_ * tolerances.memory_percent / 100, tolerances.memory_bytes * math.sqrt(max(count, 1)))


def _containers_memory(reading: NodeReading, look: Look, tolerances: Tolerances) -> Result:
    check, expected, sources = "memory.containers", "the same sum of working sets", ("CRI working_set_bytes", "Summary workingSetBytes")
    missing = reading.no_runtime(check, expected, look, sources) or reading.unreadable(check, expected, look.summary, sources=sources)
    if missing is not None:
        return missing
    kubelet = {name: item.get("memory", {}).get("workingSetBytes") for name, item in summarised(look.summary.value).items()}
    figures = {name: (own.working_set_bytes, kubelet[name]) for name, own in running(look).items() if name in kubelet}
    known = [(own, other) for own, other in figures.values() if own is not None and other is not None]
    left_out = _left_out(figures)
    if not known:
        hint = "no container has a working set on both sides: /sys/fs/cgroup, the cgroup driver"
        return reading.result(check, UNKNOWN, expected, "; ".join(filter(None, ("nothing to compare", left_out))), sources=sources, hint=hint)
    own, other = sum(pair[0] for pair in known), sum(pair[1] for pair in known)
    limit = _memory_tolerance(tolerances, other, len(known))
    apart = abs(own - other) > limit
    observed = "; ".join(filter(None, (f"{mebibytes(own)} of {len(known)} containers", left_out)))
    hint = "the runtime or the kubelet reads another cgroup than the container's: cgroup driver, /proc/PID/cgroup" if apart else _LEFT_OUT
    return reading.result(check, _judged(apart, left_out), mebibytes(other), observed, mebibytes(limit), sources, hint)


def _judged(apart: bool, left_out: str) -> str:
    """Return a comparison's status: what had to be left out may be apart as well."""
    return FAIL if apart else WARN if left_out else OK


def _node_memory(reading: NodeReading, look: Look, tolerances: Tolerances) -> Result:
    check, expected, sources = "memory.node", "the same working set", ("host", "Summary node.memory")
    missing = reading.unreadable(check, expected, look.summary, sources=sources)
    if missing is not None:
        return missing
    own, other = look.host.memory.working_set, look.summary.value.get("node", {}).get("memory", {}).get("workingSetBytes")
    if own is None or other is None:
        observed = "; ".join(look.host.errors) or "the kubelet gives no working set"
        return reading.result(check, UNKNOWN, expected, f"could not be read: {observed}", sources=sources, hint="/proc/meminfo; /sys/fs/cgroup")
    limit = _memory_tolerance(tolerances, other, max(len(running(look)), _NODE))
    hint = "the kubelet's figure is another cgroup's than the host's root"
    return reading.result(check, OK if _apart(look, own, other) <= limit else FAIL, mebibytes(other), _own(look, own), mebibytes(limit), sources, hint)


def _own(look: Look, bytes_: float) -> str:
    return f"{mebibytes(bytes_)}, of which this verification takes {mebibytes(look.own_memory)}" if look.own_memory else mebibytes(bytes_)


def _sampled_memory(reading: NodeReading, look: Look, tolerances: Tolerances) -> list[Result]:
    """Figures with a time of their own. Those of metrics-server are not compared if they are too old, since there are younger ones soon.

    A report's are what consumers act on as long as it is valid, so they are compared for as long; the older, the more they may be apart.
    """
    results = []
    memory = look.host.memory
    if not look.metrics.error:
        at, figure = parse_time(look.metrics.value["timestamp"]), float(parse_quantity(look.metrics.value["usage"]["memory"]))
        if abs(look.at - at) <= tolerances.sample_seconds:
            results.append(_sample_of_memory(reading, tolerances, "metrics-api", "NodeMetrics.usage.memory", at, memory.working_set, figure, 1.0))
    if not look.report.error:
        status = look.report.value["status"]
        at, said = parse_time(status["observedAt"]), status.get("memoryBytes", {})
        for part, name, own in (("report", "workingSet", memory.working_set), ("report-now", "now", memory.used)):
            source = f"NodeReport.status.memoryBytes.{name}"
            if name not in said:  # which the check of the report's figures tells, or the check of the node's memory
                continue
            wider = _wider(reading, tolerances)
            if wider is None:
                results.append(_expired(reading, f"memory.{part}", source))
            else:
                results.append(_sample_of_memory(reading, tolerances, part, source, at, own, said[name], wider))
    return results


def _wider(reading: NodeReading, tolerances: Tolerances) -> float | None:
    """Return how many times as much as samples of the same time a report's figures may be apart; None if it is not valid (any more)."""
    status = reading.last.report.value["status"]
    at = parse_time(status["observedAt"])
    age = abs(reading.last.at - at)
    return None if age > parse_time(status["expiresAt"]) - at else max(age / max(tolerances.sample_seconds, 1.0), 1.0)


def _expired(reading: NodeReading, check: str, source: str) -> Result:
    hint = "what the check of the report's age names; it cannot be compared before there is a new one"
    return reading.result(check, UNKNOWN, "the host's figure", "the report is not of this time", sources=(source, "host"), hint=hint)


def _sample_of_memory(
    reading: NodeReading, tolerances: Tolerances, part: str, source: str, at: float, own: float | None, figure: float, wider: float
) -> Result:
    look, check, sources = reading.last, f"memory.{part}", (source, "host")
    if own is None:
        observed = f"could not be read: {'; '.join(look.host.errors) or 'no reason given'}"
        return reading.result(check, UNKNOWN, mebibytes(figure), observed, sources=sources, hint="/proc/meminfo; /sys/fs/cgroup")
    limit = wider * _memory_tolerance(tolerances, own, max(len(running(look)), _NODE))
    # Memory moves between two samples, so this is a warning only.
    status, observed = OK if _apart(look, own, figure) <= limit else WARN, f"{mebibytes(figure)}, {look.at - at:.0f} s ago"
    hint = "verify again: it was measured at another time"
    return reading.result(check, status, _own(look, own), observed, mebibytes(limit), sources, hint)


def cpu(reading: NodeReading, tolerances: Tolerances) -> list[Result]:
    """CPU by cumulative counters only; no momentary rate of anyone is used.

    The runtime and the host are read at the same moments, so their rates over the window are compared. The kubelet reads its counters
    every 10 to 15 s, so it is its counters themselves that are compared: they must lie where the host's and the runtime's can have been then.
    """
    if len(reading.looks) < 2:
        hint = "give a window of some seconds"
        return [reading.result("cpu", UNKNOWN, "the same counters over a window", "there was no window", hint=hint)]
    return [_pods_cpu(reading, tolerances), _node_cpu(reading), _containers_cpu(reading), *_sampled_cpu(reading, tolerances)]


def _rate(before: CpuCounter | None, after: CpuCounter | None) -> float | None:
    """Return cores; None if a counter was not read, or the later one is not younger, or it fell."""
    if before is None or after is None:
        return None
    nanoseconds, used = after.monotonic - before.monotonic, after.core_nanoseconds - before.core_nanoseconds
    return used / nanoseconds if nanoseconds > 0 and used >= 0 else None


def _pods_cpu(reading: NodeReading, tolerances: Tolerances) -> Result:
    check, expected, sources = "cpu.pods", "the same rate", ("CRI usage_core_nano_seconds", "the pods' cgroup")
    first, last = reading.looks[0], reading.last
    missing = reading.no_runtime(check, expected, first, sources) or reading.no_runtime(check, expected, last, sources)
    if missing is not None:
        return missing
    first = _window(reading) or first
    own = _rate(first.pods_cpu, last.pods_cpu)
    if own is None or last.pods_cpu is None or first.pods_cpu is None:
        return reading.result(check, UNKNOWN, expected, "the CPU time of the pods' cgroup could not be read", sources=sources, hint="/sys/fs/cgroup")
    before, after = running(first), running(last)
    pairs = [(name, before[name], container) for name, container in after.items() if name in before]
    if came_or_went(reading):
        return reading.result(check, UNKNOWN, expected, "containers came or went within the window", sources=sources, hint="verify again")
    rates = {name: _container_rate(one.cpu, two.cpu) for name, one, two in pairs}
    known = [rate for rate in rates.values() if rate is not None]
    if len(known) != len(rates):
        stuck = [name for name, rate in rates.items() if rate is None]
        observed = f"{len(stuck)} of {len(rates)} counters did not go on, or were not read: {_names(stuck)}"
        return reading.result(check, UNKNOWN, expected, observed, sources=sources, hint="crictl stats; a longer window")
    said = sum(known)
    limit = max(own * tolerances.cpu_percent / 100, tolerances.cpu_millicores / 1000)
    seconds = (last.pods_cpu.monotonic - first.pods_cpu.monotonic) / 1e9
    hint = "containers run outside of the pods' cgroup, or the runtime reads another one: cgroup driver, /proc/PID/cgroup"
    observed = f"{millicores(said)} of {len(pairs)} containers over {seconds:.1f} s"
    return reading.result(check, OK if abs(said - own) <= limit else FAIL, millicores(own), observed, millicores(limit), sources, hint)


def _window(reading: NodeReading) -> Look | None:
    """Return the first look since which the same containers have been running, and at least a second passed; None if there is none."""
    now = {container.key for container in running(reading.last).values()}
    earlier = [look for look in reading.looks if reading.last.monotonic - look.monotonic >= 1]
    since = [look for look in earlier if {container.key for container in running(look).values()} == now]
    return since[0] if since else None


def came_or_went(reading: NodeReading) -> bool:
    """Whether there is no window within which the same containers ran."""
    return _comparable_runtime(reading) and _window(reading) is None


def _comparable_runtime(reading: NodeReading) -> bool:
    return reading.last.runtime is not None and reading.last.runtime.containers is not None


def _container_rate(before: Counter | None, after: Counter | None) -> float | None:
    if before is None or after is None:
        return None
    nanoseconds, used = after.timestamp - before.timestamp, after.value - before.value
    return used / nanoseconds if nanoseconds > 0 and used >= 0 else None


def _node_cpu(reading: NodeReading) -> Result:
    check, expected, sources = "cpu.node", "one and the same counter", ("host's cumulative CPU time", "Summary usageCoreNanoSeconds")
    first, last = reading.looks[0], reading.last
    missing = reading.unreadable(check, expected, last.summary, sources=sources)
    if missing is not None:
        return missing
    said = last.summary.value.get("node", {}).get("cpu", {})
    points = [look.host.cpu for look in (first, last) if look.host.cpu is not None]
    if not points or "usageCoreNanoSeconds" not in said:
        observed = "; ".join(last.host.errors) or "the kubelet gives no CPU time of the node"
        return reading.result(check, UNKNOWN, expected, f"could not be read: {observed}", sources=sources, hint="/proc/stat; /sys/fs/cgroup")
    if last.host.view == HOST and last.host.cgroup != "v2":
        # There the root cgroup counts what the scheduler measured, and /proc/stat clock ticks: they drift apart from the boot on.
        points = points[-1:]
        slack = _DRIFT * points[0].core_nanoseconds / 1e9
    else:
        # Newer kernels leave steal out of the root cgroup's usage_usec (commit db5fd3cf8bf4 of 2025, in the stable series since 6.1 as well).
        slack = points[-1].stolen_nanoseconds / 1e9
    at, value, cpus = parse_time(said["time"]), said["usageCoreNanoSeconds"] / 1e9, last.host.cpus or math.inf
    good = all(_possible(at, value, point.timestamp / 1e9, point.core_nanoseconds / 1e9, cpus, slack) for point in points)
    own = points[-1]
    expected = f"{value:.1f} s of CPU at {at - reading.looks[0].at:.0f} s"
    observed = f"{own.core_nanoseconds / 1e9:.1f} s of CPU at {own.timestamp / 1e9 - reading.looks[0].at:.1f} s"
    hint = "the kubelet's figure is another cgroup's than the host's root"
    return reading.result(check, OK if good else FAIL, expected, observed, _BETWEEN, sources, hint)


_DRIFT = 0.1
_BETWEEN = "what all CPUs can do between the two moments"
# Seconds: a report's averages still tell of the time of metrics-server's figures if it is not older than one interval and a half.
_REPORTED = 90.0


def _sampled_cpu(reading: NodeReading, tolerances: Tolerances) -> list[Result]:
    """Rates of others, over windows of their own: the report's now and averages span a range, and the tolerance is three times as wide.

    metrics-server's window ended before ours began, so its rate may also be one of those that the report has of that time. A report is
    compared as long as it is valid; the older, the more it may be apart.
    """
    look = reading.last
    own = _rate(reading.looks[0].host.cpu, look.host.cpu)
    if own is None:
        return []
    samples: list[tuple[str, str, str, list[float], list[float], float]] = []
    results, others = [], [own]
    if not look.report.error:
        status, source = look.report.value["status"], "NodeReport.status.cpuMillicores"
        rates = [value / 1000 for key, value in status.get("cpuMillicores", {}).items() if key != "allocatable"]
        wider = _wider(reading, tolerances)
        if wider is not None:
            samples.append(("report", source, status["observedAt"], rates, [own], wider))
        elif rates:
            results.append(_expired(reading, "cpu.report", source))
        others += rates if abs(look.at - parse_time(status["observedAt"])) <= _REPORTED else []
    if not look.metrics.error:
        rates = [float(parse_quantity(look.metrics.value["usage"]["cpu"]))]
        if abs(look.at - parse_time(look.metrics.value["timestamp"])) <= tolerances.sample_seconds:
            samples.append(("metrics-api", "NodeMetrics.usage.cpu", look.metrics.value["timestamp"], rates, others, 1.0))
    for part, source, at, rates, wanted, wider in samples:
        age = look.at - parse_time(at)
        if not rates:
            continue
        limit = 3 * wider * max(max(wanted) * tolerances.cpu_percent / 100, tolerances.cpu_millicores / 1000)
        good = min(rates) - limit <= max(wanted) and min(wanted) <= max(rates) + limit
        observed = f"{_range(rates)}, {age:.0f} s ago"
        # Load moves between two windows, so this is a warning only.
        hint = "verify again: it was measured at another time"
        sources = (source, "host", "NodeReport.status.cpuMillicores") if len(wanted) > 1 else (source, "host")
        results.append(reading.result(f"cpu.{part}", OK if good else WARN, _range(wanted), observed, millicores(limit), sources, hint))
    return results


def _range(rates: Sequence[float]) -> str:
    return " to ".join(millicores(rate) for rate in sorted({min(rates), max(rates)}))


def _containers_cpu(reading: NodeReading) -> Result:
    check, expected = "cpu.containers", "each container's counter is one and the same"
    sources = ("CRI usage_core_nano_seconds", "Summary usageCoreNanoSeconds")
    first, last = reading.looks[0], reading.last
    missing = reading.no_runtime(check, expected, first, sources) or reading.no_runtime(check, expected, last, sources)
    missing = missing or reading.unreadable(check, expected, last.summary, sources=sources)
    if missing is not None:
        return missing
    kubelet, earlier = summarised(last.summary.value), running(first)
    listed = {name: container for name, container in running(last).items() if name in kubelet}
    figures = {name: (container.cpu, kubelet[name].get("cpu", {}).get("usageCoreNanoSeconds")) for name, container in listed.items()}
    compared, bad = 0, []
    for name, container in listed.items():
        own, value = figures[name]
        if own is None or value is None:
            continue
        compared += 1
        points = [own]
        before = earlier.get(name)
        if before is not None and before.key == container.key and before.cpu is not None:
            points.append(before.cpu)
        at, seconds = parse_time(kubelet[name]["cpu"]["time"]), value / 1e9
        if not all(_possible(at, seconds, point.timestamp / 1e9, point.value / 1e9, last.host.cpus or math.inf) for point in points):
            bad.append(f"{'/'.join(name)} (kubelet {seconds:.2f} s at {at:.1f}, runtime {own.value / 1e9:.2f} s at {own.timestamp / 1e9:.1f})")
    left_out = _left_out(figures)
    if not compared:
        hint = "no container has a CPU counter on both sides: /sys/fs/cgroup, the cgroup driver"
        return reading.result(check, UNKNOWN, expected, "; ".join(filter(None, ("nothing to compare", left_out))), sources=sources, hint=hint)
    observed = f"{len(bad)} of {compared} containers differ: {', '.join(bad[:_NAMED])}" if bad else f"{compared} containers"
    hint = "the runtime or the kubelet reads another cgroup than the container's: cgroup driver, /proc/PID/cgroup" if bad else _LEFT_OUT
    observed = "; ".join(filter(None, (observed, left_out)))
    return reading.result(check, _judged(bool(bad), left_out), expected, observed, _BETWEEN, sources, hint)


def _possible(at: float, value: float, other_at: float, other_value: float, cpus: float, slack: float = 0.0) -> bool:
    """Whether two values (seconds of CPU) can be one counter's: it does not fall, and does not rise faster than all CPUs can work.

    Parameters
    ----------
    slack : float
        Seconds of CPU that the two may differ besides.
    """
    seconds, used = at - other_at, value - other_value
    if seconds < 0:
        seconds, used = -seconds, -used
    # The kubelet's times are cut to whole seconds.
    return -cpus * _STAMP - slack <= used <= (seconds + _STAMP) * cpus + slack


_STAMP = 1.0


def filesystems(reading: NodeReading, tolerances: Tolerances) -> list[Result]:
    """The host's statvfs against the kubelet's figures, for each filesystem; and the report's capacities."""
    look = reading.last
    results = []
    for part, role, path in (("node", "node", ("fs",)), ("image", "image", ("runtime", "imageFs")), ("container", "container", ("runtime", "containerFs"))):
        results += _filesystem(reading, look, tolerances, part, role, path)
    if not look.report.error:
        results += _reported_filesystems(reading, look)
    return results


def _filesystem(reading: NodeReading, look: Look, tolerances: Tolerances, part: str, role: str, path: tuple[str, ...]) -> list[Result]:
    check, expected, sources = f"filesystems.{part}", "the same filesystem", ("statvfs", f"Summary node.{'.'.join(path)}")
    own = next((item for item in look.host.filesystems if role in item.roles), None)
    if look.summary.error:
        missing = reading.unreadable(check, expected, look.summary, sources=sources)
        return [missing] if missing is not None else []
    said: Any = look.summary.value.get("node", {})
    for key in path:
        said = (said or {}).get(key)
    if own is None:
        # The host's reading has no filesystem of its own for containers unless the runtime names one.
        if role == "container":
            return []
        reason = "; ".join(look.host.errors) or "the runtime did not say where it is"
        return [reading.result(check, UNKNOWN, expected, f"could not be read: {reason}", sources=sources, hint="df; crictl imagefsinfo")]
    if own.capacity is None or own.available is None or not said or "capacityBytes" not in said or "availableBytes" not in said:
        reason = own.error or "the kubelet gives no figures of it"
        return [reading.result(check, UNKNOWN, expected, f"could not be read: {reason}", sources=sources, hint=f"df {own.mountpoint}")]
    limit = max(own.capacity * tolerances.filesystem_percent / 100, tolerances.filesystem_bytes)
    good = own.capacity == said["capacityBytes"] and abs(own.available - said["availableBytes"]) <= limit
    observed = f"{mebibytes(said['availableBytes'])} of {mebibytes(said['capacityBytes'])} available (kubelet)"
    expected = f"{mebibytes(own.available)} of {mebibytes(own.capacity)} available on {own.mountpoint}"
    hint = f"df {own.mountpoint}; a filesystem that was mounted after the kubelet's start is not seen: restart it"
    tolerance = f"capacity exact, available {mebibytes(limit)}"
    return [reading.result(check, OK if good else FAIL, expected, observed, tolerance, sources, hint)]


def _reported_filesystems(reading: NodeReading, look: Look) -> list[Result]:
    capacities = {role: item.capacity for item in look.host.filesystems for role in item.roles}
    said = {role: item.get("capacityBytes") for item in look.report.value["status"].get("filesystems") or [] for role in item["roles"]}
    known = {role: value for role, value in said.items() if value is not None and capacities.get(role) is not None}
    if not known:
        return []
    differing = [role for role, value in known.items() if value != capacities[role]]
    expected = ", ".join(f"{role} {mebibytes(capacities[role] or 0)}" for role in differing or known)
    observed = ", ".join(f"{role} {mebibytes(known[role])}" for role in differing or known)
    sources = ("NodeReport.status.filesystems", "statvfs")
    hint = "a filesystem was mounted or has grown since the report; verify again after the next one"
    return [reading.result("filesystems.report", WARN if differing else OK, expected, observed, sources=sources, hint=hint)]
