# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From readings of a host and its runtime to the C(status) of a NodeReport.

What is unknown is left out, never 0; so is a figure that is not possible, since the API server would refuse the whole report for it.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from ..api.times import format_time
from ..cri.model import Container, RuntimeReading
from ..cri.rates import CpuRates
from ..kube.quantity import parse_nanos
from ..node.model import CpuCounter, Filesystem, HostReading
from . import schema
from .conditions import Condition, disk_signal, runtime_signal, share_signal
from .schema import CONSUMER_LENGTH, FILESYSTEMS, MOUNTPOINT_LENGTH, NAME_LENGTH, TOP, TRUE
from .settings import Settings
from .windows import Window

_Number = TypeVar("_Number", int, float)

MINUTE = 60.0
FIVE_MINUTES = 300.0

_STATES = ("created", "running", "exited", "unknown")


@dataclass(frozen=True)
class Allocatable:
    """What the Node object says pods may have (C(status.allocatable)).

    Parameters
    ----------
    cpu_millicores : int or None
        Millicores, rounded down.
    memory_bytes : int or None
        Bytes.
    """

    cpu_millicores: int | None = None
    memory_bytes: int | None = None

    @classmethod
    def of(cls, node: Mapping[str, Any]) -> Allocatable:
        """Return that of a Node object; what is missing, not understood or not above zero is None."""
        amounts = (node.get("status") or {}).get("allocatable") or {}

        def amount(name: str, unit: int) -> int | None:
            try:
                return parse_nanos(str(amounts[name])) // unit or None
            except (KeyError, ValueError):
                return None

        return cls(amount("cpu", 10**6), amount("memory", 10**9))


class Observer:
    """Turns the samples of one node into statuses; keeps what a status needs of earlier samples, which is bounded.

    Parameters
    ----------
    settings : Settings
        Thresholds and times.
    agent_version : str
        The reporter's own version.
    config_digest : str
        Of the reporter's whole configuration; empty leaves it out.
    """

    def __init__(self, settings: Settings, agent_version: str, config_digest: str = "") -> None:
        self._settings = settings
        self._agent_version = agent_version
        self._config_digest = config_digest
        self._cpu_window, self._memory_window = Window(FIVE_MINUTES), Window(FIVE_MINUTES)
        self._cpu: CpuCounter | None = None
        self._memory_at: float | None = None
        self._rates = CpuRates()
        self._conditions = {name: Condition(name) for name in schema.CONDITIONS}

    def restore(self, stored: Mapping[str, Any] | None) -> None:
        """Go on from the conditions of the stored report's C(status), so that a restart of the reporter changes none of them."""
        for entry in (stored or {}).get("conditions") or ():
            condition = self._conditions.get(entry.get("type"))
            if condition is not None:
                self._conditions[condition.type] = condition.restored(entry)

    def reconfigure(self, settings: Settings, config_digest: str) -> None:
        """Use another configuration from the next sample on."""
        self._settings = settings
        self._config_digest = config_digest

    def observe(self, host: HostReading, runtime: RuntimeReading, allocatable: Allocatable, monotonic: float, wall: float) -> dict[str, Any]:
        """Take one sample and return its status, without C(sequence), which the publisher gives.

        Parameters
        ----------
        host, runtime : HostReading, RuntimeReading
            What was read.
        allocatable : Allocatable
            Of the Node object.
        monotonic, wall : float
            When: seconds of a clock that is never set, and seconds since the epoch.
        """
        cpu = self._cpu_rate(host.cpu)
        memory = _possible("memoryBytes.now", host.memory.used)
        if memory is not None:
            # A level stands for the time since the one before, but not for a pause in which nothing was read.
            start = monotonic if self._memory_at is None else max(self._memory_at, monotonic - 2 * self._settings.sample_seconds)
            self._memory_window.add(start, monotonic, memory)
            self._memory_at = monotonic
        cpu_percent = _percent(cpu, allocatable.cpu_millicores)
        memory_percent = _percent(memory, allocatable.memory_bytes)
        self._judge(host, runtime, (cpu, cpu_percent), (memory, memory_percent), allocatable, monotonic, wall)
        disk = [schema.used_percent(filesystem.used, filesystem.available) for filesystem in host.filesystems]
        status = {
            "observedAt": format_time(wall),
            "expiresAt": format_time(wall + self._settings.valid_seconds, 0),
            "bootID": host.boot_id,
            "agentVersion": self._agent_version,
            "configDigest": self._config_digest or None,
            "view": host.view,
            "runtime": {
                "name": _cut(runtime.status.name),
                "version": _cut(runtime.status.version),
                "cgroupDriver": runtime.status.cgroup_driver,
                "ready": runtime.status.ready,
                "networkReady": runtime.status.network_ready,
            },
            "cpuMillicores": {"allocatable": allocatable.cpu_millicores, "now": _rounded(cpu), **_window_figures(self._cpu_window, monotonic)},
            "memoryBytes": {
                "allocatable": allocatable.memory_bytes,
                "now": memory,
                **_window_figures(self._memory_window, monotonic),
                "workingSet": host.memory.working_set,
                "swap": host.memory.swap_used,
            },
            "percent": {
                "cpu": _rounded(cpu_percent),
                "memory": _rounded(memory_percent),
                # Of some of the filesystems the fullest may not be the fullest of all.
                "disk": None if None in disk else max((value for value in disk if value is not None), default=None),
            },
            "psiPercent": {name: None if value is None else round(value, 1) for name, value in _pressure(host)},
            "load1m": None if host.load1 is None else f"{host.load1:.2f}",
            "filesystems": [_filesystem(filesystem) for filesystem in host.filesystems[:FILESYSTEMS]],
            "pods": {"ready": runtime.pods_ready, "notReady": runtime.pods_not_ready},
            "containers": _count(runtime.containers),
            "unreadContainers": runtime.unread_containers or None,
            "top": self._top(runtime, monotonic),
            "conditions": [self._conditions[name].to_dict() for name in schema.CONDITIONS],
            "pressure": schema.pressure_of({name: condition.status for name, condition in self._conditions.items()}),
        }
        known: dict[str, Any] = _known(status)
        return known

    def _cpu_rate(self, counter: CpuCounter | None) -> float | None:
        """Return millicores since the counter before; a counter that fell gives no rate."""
        before = self._cpu
        if counter is None:
            return None
        self._cpu = counter
        if before is None or counter.monotonic <= before.monotonic or counter.core_nanoseconds < before.core_nanoseconds:
            return None
        rate = _possible("cpuMillicores.now", (counter.core_nanoseconds - before.core_nanoseconds) * 1000 / (counter.monotonic - before.monotonic))
        if rate is not None:
            self._cpu_window.add(before.monotonic / 1e9, counter.monotonic / 1e9, rate)
        return rate

    def _judge(
        self,
        host: HostReading,
        runtime: RuntimeReading,
        cpu: tuple[float | None, float | None],
        memory: tuple[float | None, float | None],
        allocatable: Allocatable,
        monotonic: float,
        wall: float,
    ) -> None:
        settings = self._settings
        missing = "unknown: {} or allocatable could not be read"
        signals = {
            schema.CPU_OVERLOADED: share_signal(
                cpu[1],
                f"{cpu[0] or 0:.0f}m of {allocatable.cpu_millicores}m",
                settings.cpu_percent,
                settings.clear_percent,
                "HighUsage",
                "unknown: a rate needs two samples and allocatable" if host.cpu is not None else missing.format("CPU time"),
            ),
            schema.MEMORY_OVERLOADED: share_signal(
                memory[1],
                f"{(memory[0] or 0) / 2**20:.0f}Mi of {(allocatable.memory_bytes or 0) / 2**20:.0f}Mi",
                settings.memory_percent,
                settings.clear_percent,
                "HighUsage",
                missing.format("memory"),
            ),
            schema.DISK_NEARLY_FULL: disk_signal(
                [(filesystem.mountpoint, _percent(filesystem.available, filesystem.capacity)) for filesystem in host.filesystems],
                settings.disk_available_percent,
                settings.clear_disk_percent,
            ),
            schema.RUNTIME_UNHEALTHY: runtime_signal(runtime.status.ready, runtime.status.network_ready, runtime.status.message),
        }
        for name, signal in signals.items():
            self._conditions[name] = self._conditions[name].next(signal, monotonic, wall, settings)

    def _top(self, runtime: RuntimeReading, monotonic: float) -> dict[str, list[str]]:
        running = runtime.containers
        if running is None:
            return {}
        rates = self._rates.next(running, runtime.clock_offset, monotonic)
        cpu = [(round(rates[one.key]), _name(one), f"{round(rates[one.key])}m") for one in running if one.key in rates]
        memory = [(one.working_set_bytes >> 20, _name(one), f"{one.working_set_bytes >> 20}Mi") for one in running if one.working_set_bytes is not None]
        return {"cpu": _largest(cpu), "memory": _largest(memory)}


def true_conditions(status: Mapping[str, Any]) -> frozenset[str]:
    """Return the types of the conditions that are true in a status; a report that changes them is urgent."""
    return frozenset(entry["type"] for entry in status.get("conditions") or () if entry["status"] == TRUE)


def _largest(consumers: list[tuple[int, str, str]]) -> list[str]:
    ranked = sorted((consumer for consumer in consumers if consumer[0] > 0), key=lambda consumer: (-consumer[0], consumer[1]))
    return [f"{name} {amount}" for _value, name, amount in ranked[:TOP]]


def _name(container: Container) -> str:
    name = f"{container.namespace}/{container.pod}/{container.name}"
    if len(name) <= CONSUMER_LENGTH:
        return name
    half = (CONSUMER_LENGTH - 2) // 2
    return f"{name[:half]}..{name[-half:]}"


def _window_figures(window: Window, now: float) -> dict[str, int | None]:
    return {
        "avg1m": _rounded(window.average(MINUTE, now)),
        "avg5m": _rounded(window.average(FIVE_MINUTES, now)),
        "p95": _rounded(window.percentile(95, FIVE_MINUTES, now)),
    }


def _filesystem(filesystem: Filesystem) -> dict[str, Any]:
    return {
        "roles": list(filesystem.roles),
        "mountpoint": filesystem.mountpoint[:MOUNTPOINT_LENGTH],
        "capacityBytes": filesystem.capacity,
        "usedBytes": filesystem.used,
        "availableBytes": filesystem.available,
        "inodes": filesystem.inodes,
        "inodesUsed": filesystem.inodes_used,
    }


def _count(containers: tuple[Container, ...] | None) -> dict[str, int]:
    if containers is None:
        return {}
    tally = Tally(container.state for container in containers)
    return {state: tally[state] for state in _STATES}


def _pressure(host: HostReading) -> tuple[tuple[str, float | None], ...]:
    return ("cpu", host.pressure.cpu), ("memory", host.pressure.memory), ("io", host.pressure.io)


def _cut(text: str | None) -> str | None:
    return None if text is None else text[:NAME_LENGTH]


def _percent(value: float | None, whole: float | None) -> float | None:
    return None if value is None or not whole else 100 * value / whole


def _rounded(value: float | None) -> int | None:
    return None if value is None else round(value)


def _possible(path: str, value: _Number | None) -> _Number | None:
    """Return a number, or None if it is beyond the bounds of its place in the status, so that it can only be wrong."""
    least, most = schema.bounds(path)
    return value if value is not None and least <= value <= most else None


def _known(value: Any, path: str = "") -> Any:
    """Leave out what is None or not possible, and objects of which nothing is known; a list that is empty is a fact and stays."""
    if isinstance(value, dict):
        kept = {key: _known(item, f"{path}.{key}" if path else key) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item is not None and item != {}}
    if isinstance(value, list):
        return [_known(item, path) for item in value]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _possible(path, value)
    return value
