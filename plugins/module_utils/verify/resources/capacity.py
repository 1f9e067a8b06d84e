# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the Node says it has and may give away, against the host and the kubelet's own formula."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from ...kube.quantity import parse_quantity
from ...kubelet.schema import DEFAULT_EVICTION_HARD
from ..result import FAIL, OK, UNKNOWN, WARN, Result
from .reading import NodeReading, Tolerances, mebibytes

_RESOURCES = ("cpu", "memory", "ephemeral-storage")
_SIGNALS = {"memory": "memory.available", "ephemeral-storage": "nodefs.available"}
_NONE = ("0%", "100%")
"""Eviction thresholds that the kubelet takes for none (kubernetes/pkg/kubelet/eviction/helpers.go)."""


def effective_eviction(configz: Mapping[str, Any]) -> dict[str, str]:
    """Return the hard eviction thresholds that are in force.

    One of them given drops the defaults of the others, unless they are merged. The kubelet fills its defaults in before it tells its
    configuration, in which an empty map is left out: without evictionHard there, it was given empty, and there are none.
    """
    given = configz.get("evictionHard") or {}
    found = {**DEFAULT_EVICTION_HARD, **given} if configz.get("mergeDefaultEvictionSettings") else given
    return {signal: str(text) for signal, text in found.items() if text not in _NONE}


def threshold(text: str, capacity: Fraction) -> Fraction:
    """Return an eviction threshold as a quantity.

    Parameters
    ----------
    text : str
        A quantity, or a share of the capacity such as C(10%).
    capacity : Fraction
        Of the resource.

    Raises
    ------
    ValueError
        It is neither.
    """
    if not text.endswith("%"):
        return parse_quantity(text)
    # The kubelet holds the share as a float32 and cuts the product down to a whole number.
    share: float = struct.unpack("f", struct.pack("f", float(text.rstrip("%"))))[0]
    single: float = struct.unpack("f", struct.pack("f", share / 100))[0]
    return Fraction(int(float(capacity) * single))


def allocatable_of(capacity: Mapping[str, str], configz: Mapping[str, Any]) -> dict[str, Fraction]:
    """Return what the kubelet's formula makes of a capacity.

    capacity - systemReserved - kubeReserved - hard eviction (memory.available and nodefs.available only), not below zero; memory
    further minus all hugepages (kubernetes/pkg/kubelet/nodestatus/setters.go, cm/node_container_manager_linux.go).

    Raises
    ------
    ValueError
        A quantity is not understood.
    """
    eviction = effective_eviction(configz)
    cpus = _cpu_set(str(configz.get("reservedSystemCPUs") or ""))
    result = {}
    for name in _RESOURCES:
        if name not in capacity:
            continue
        total = parse_quantity(capacity[name])
        reserved = sum((parse_quantity(str((configz.get(key) or {}).get(name, "0"))) for key in ("systemReserved", "kubeReserved")), Fraction(0))
        if name == "cpu" and cpus:
            reserved = Fraction(cpus)
        if _SIGNALS.get(name) in eviction:
            reserved += threshold(eviction[_SIGNALS[name]], total)
        result[name] = max(total - reserved, Fraction(0))
    if "memory" in result:
        pages = sum((parse_quantity(value) for name, value in capacity.items() if name.startswith("hugepages-")), Fraction(0))
        result["memory"] = max(result["memory"] - pages, Fraction(0))
    return result


def _cpu_set(text: str) -> int:
    """Return how many CPUs a list such as C(0-3,8) names."""
    total = 0
    for part in filter(None, text.split(",")):
        first, _dash, last = part.partition("-")
        total += int(last or first) - int(first) + 1
    return total


def capacity(reading: NodeReading, tolerances: Tolerances) -> list[Result]:
    """The Node's capacity against what the host may really use."""
    look = reading.last
    missing = reading.unreadable("capacity", "what the host may use", look.node, sources=("Node.status.capacity",))
    if missing is not None:
        return [missing]
    said = look.node.value["status"]["capacity"]
    return [
        _cpus(reading, parse_quantity(said.get("cpu", "0"))),
        _memory(reading, parse_quantity(said.get("memory", "0")), tolerances),
        *_storage(reading, said),
    ]


def _cpus(reading: NodeReading, said: Fraction) -> Result:
    own, sources = reading.last.host.cpus, ("Node.status.capacity", "online CPUs, or affinity and quota of a container")
    if own is None:
        return reading.result("capacity.cpu", UNKNOWN, f"{said}", _errors(reading), sources=sources, hint="nproc; /sys/fs/cgroup")
    hint = "the kubelet counts the machine's CPUs: reserve what this host may not use (reservedSystemCPUs, systemReserved)"
    return reading.result("capacity.cpu", OK if own == said else FAIL, f"{own:g} CPUs", f"{float(said):g} CPUs", sources=sources, hint=hint)


def _memory(reading: NodeReading, said: Fraction, tolerances: Tolerances) -> Result:
    own, sources = reading.last.host.memory.total, ("Node.status.capacity", "MemTotal", "cgroup limit")
    if own is None:
        return reading.result("capacity.memory", UNKNOWN, mebibytes(float(said)), _errors(reading), sources=sources, hint="/proc/meminfo")
    good = abs(said - own) <= tolerances.capacity_memory_bytes
    hint = "the kubelet counts the machine's memory: reserve what this host may not use (systemReserved), or restart the kubelet if memory was added"
    tolerance = f"{mebibytes(tolerances.capacity_memory_bytes)}"
    return reading.result("capacity.memory", OK if good else FAIL, mebibytes(own), mebibytes(float(said)), tolerance, sources, hint)


def _storage(reading: NodeReading, said: Mapping[str, str]) -> list[Result]:
    own = next((item.capacity for item in reading.last.host.filesystems if "node" in item.roles), None)
    sources = ("Node.status.capacity", "statvfs")
    if "ephemeral-storage" not in said:
        return []
    if own is None:
        return [reading.result("capacity.storage", UNKNOWN, said["ephemeral-storage"], _errors(reading), sources=sources, hint="df /var/lib/kubelet")]
    # In a Node it has whole kibibytes.
    good = abs(parse_quantity(said["ephemeral-storage"]) - own) < 1024
    hint = "the filesystem of /var/lib/kubelet has grown or was mounted after the kubelet's start: restart it"
    observed = mebibytes(float(parse_quantity(said["ephemeral-storage"])))
    return [reading.result("capacity.storage", OK if good else FAIL, mebibytes(own), observed, sources=sources, hint=hint)]


def _errors(reading: NodeReading) -> str:
    return f"the host's figure could not be read: {'; '.join(reading.last.host.errors) or 'no reason given'}"


def allocatable(reading: NodeReading, _tolerances: Tolerances) -> list[Result]:
    """The Node's allocatable, recalculated from the configuration that is in force; and the report's."""
    check, look = "allocatable", reading.last
    sources = ("Node.status", "configz")
    missing = reading.unreadable(check, "capacity - reserved - hard eviction", look.node, reading.configz, sources=sources)
    results = [missing] if missing is not None else [_formula(reading)]
    if not look.node.error and not look.report.error:
        results += _reported(reading, look.node.value["status"]["allocatable"], look.report.value["status"])
    return results


def _formula(reading: NodeReading) -> Result:
    status = reading.last.node.value["status"]
    wanted = allocatable_of(status["capacity"], reading.configz.value)
    found = {name: parse_quantity(status["allocatable"][name]) for name in wanted}
    differing = [name for name in wanted if wanted[name] != found[name]]
    shown = differing or list(wanted)
    expected = ", ".join(f"{name} {_plain(wanted[name])}" for name in shown)
    observed = ", ".join(f"{name} {_plain(found[name])}" for name in shown)
    hint = "a device plugin or the topology manager set it, or the kubelet was not restarted after a change: systemctl restart kubelet"
    sources = ("Node.status.capacity", "Node.status.allocatable", "configz")
    return reading.result("allocatable", FAIL if differing else OK, expected, observed, sources=sources, hint=hint)


def _reported(reading: NodeReading, said: Mapping[str, str], report: Mapping[str, Any]) -> list[Result]:
    """The reporter takes allocatable from the Node, so it may lag behind a change by one report."""
    pairs = [
        ("cpu", parse_quantity(said["cpu"]) * 1000, report.get("cpuMillicores", {}).get("allocatable")),
        ("memory", parse_quantity(said["memory"]), report.get("memoryBytes", {}).get("allocatable")),
    ]
    known = [(name, node, Fraction(value)) for name, node, value in pairs if value is not None]
    if not known:
        return []
    differing = [item for item in known if int(item[1]) != item[2]]
    expected = ", ".join(f"{name} {_plain(node)}" for name, node, _value in differing or known)
    observed = ", ".join(f"{name} {_plain(value)}" for name, _node, value in differing or known)
    sources = ("NodeReport.status", "Node.status.allocatable")
    hint = "journalctl -u nodewise-reporter; a report is older than a change of the kubelet by up to one interval"
    return [reading.result("allocatable.report", WARN if differing else OK, expected, observed, sources=sources, hint=hint)]


def _plain(value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else f"{float(value):g}"
