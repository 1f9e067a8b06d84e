# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a report agrees with itself, and tells nothing that this host cannot have.

Consumers act on its percents, conditions and counts. They are recalculated here from the report's own figures, so its age does not matter
and the load may be what it will.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...node.model import HostReading
from ...report import schema
from ..result import FAIL, OK, WARN, Result
from .reading import NodeReading, Tolerances, mebibytes, millicores

_UNITS: Mapping[str, str] = {"cpu": "cpuMillicores", "memory": "memoryBytes"}
_USED = ("now", "avg1m", "avg5m", "p95", "workingSet")
# Seconds within which a reporter that has just started writes its second report, in which CPU is known.
_SECOND_REPORT = 90.0
# Bytes: an init process alone takes more.
_LEAST = 1 << 20


def figures(reading: NodeReading, tolerances: Tolerances) -> Result:
    """Return whether the report's figures agree with one another and are possible; a report without all of them is a warning."""
    look = reading.last
    status = look.report.value["status"]
    runtime_answers = look.runtime is not None and look.runtime.containers is not None
    wrong = [*_percents(status), *_disk(status), *_conditions(status), *_impossible(status, look.host, tolerances)]
    young = not reading.reporter_since.error and look.monotonic - reading.reporter_since.value < _SECOND_REPORT
    lacking = _lacking(status, runtime_answers, young)
    observed = "; ".join([*wrong, *([f"it does not tell {', '.join(lacking)}"] if lacking else [])]) or "they are"
    hint = "kubectl get nodereport NAME --output=yaml: who wrote it? journalctl -u nodewise-reporter"
    if not wrong:
        hint = "journalctl -u nodewise-reporter"
    result = FAIL if wrong else WARN if lacking else OK
    return reading.result("report.figures", result, "figures that agree and are possible", observed, sources=("NodeReport.status", "host"), hint=hint)


def _lacking(status: Mapping[str, Any], runtime_answers: bool, young: bool) -> list[str]:
    """Return the names of what a report of a healthy node tells, and this one does not; the first one of a reporter has no rate yet."""
    wanted = [(unit, name) for unit in _UNITS.values() for name in ("allocatable", "now") if not (young and (unit, name) == (_UNITS["cpu"], "now"))]
    wanted += [("percent", "disk")]
    if runtime_answers:
        wanted += [("containers", "running"), ("pods", "ready")]
    return [f"{part}.{name}" for part, name in wanted if (status.get(part) or {}).get(name) is None]


def _percents(status: Mapping[str, Any]) -> list[str]:
    wrong = []
    for name, unit in _UNITS.items():
        said, used = (status.get("percent") or {}).get(name), status.get(unit) or {}
        now, whole = used.get("now"), used.get("allocatable")
        if now is None or not whole:
            wrong += [] if said is None else [f"percent.{name} is {said} without {unit}.now and allocatable"]
            continue
        exact = 100 * now / whole
        # The percent is rounded, and was made before millicores were.
        rounding = 0.5 + (50 / whole if name == "cpu" else 0)
        if said is None or abs(said - exact) > rounding + 1e-6:
            wrong.append(f"percent.{name} is {'missing' if said is None else said}, and {unit} {now} of {whole} is {exact:.1f}")
    return wrong


def _disk(status: Mapping[str, Any]) -> list[str]:
    said, listed = (status.get("percent") or {}).get("disk"), status.get("filesystems") or []
    shares = [schema.used_percent(one.get("usedBytes"), one.get("availableBytes")) for one in listed]
    fullest = None if None in shares else max((share for share in shares if share is not None), default=None)
    # A report has no more than some of the filesystems; one that it leaves out may be the fullest, or unreadable.
    cut = len(listed) >= schema.FILESYSTEMS
    if said == fullest or (cut and (said is None or (fullest is not None and said > fullest))):
        return []
    return [f"percent.disk is {'missing' if said is None else said}, and the fullest of its filesystems {'unknown' if fullest is None else fullest}"]


def _conditions(status: Mapping[str, Any]) -> list[str]:
    found = {entry["type"]: entry["status"] for entry in status.get("conditions") or []}
    missing = [name for name in schema.CONDITIONS if name not in found]
    if missing:
        return [f"no condition {', '.join(missing)}"]
    wanted = schema.pressure_of(found)
    said = status.get("pressure", "missing")
    return [] if said == wanted else [f"pressure is {said}, and the conditions say {wanted}"]


def _impossible(status: Mapping[str, Any], host: HostReading, tolerances: Tolerances) -> list[str]:
    wrong = []
    memory, cpu = status.get("memoryBytes") or {}, status.get("cpuMillicores") or {}
    if host.memory.total is not None:
        most = host.memory.total * (1 + tolerances.memory_percent / 100)
        wrong += [f"memoryBytes.{name} {mebibytes(memory[name])} of {mebibytes(host.memory.total)}" for name in _USED if memory.get(name, 0) > most]
    wrong += [f"memoryBytes.{name} {memory[name]}, less than any node takes" for name in ("now", "workingSet") if memory.get(name, _LEAST) < _LEAST]
    if host.cpus is not None:
        most = host.cpus * 1000 * (1 + tolerances.cpu_percent / 100) + tolerances.cpu_millicores
        wrong += [f"cpuMillicores.{name} {cpu[name]} of {millicores(host.cpus)}" for name in _USED if cpu.get(name, 0) > most]
    for one in status.get("filesystems") or []:
        capacity = one.get("capacityBytes")
        wrong += [f"{key} {one[key]} of {capacity} on {one['mountpoint']}" for key in ("usedBytes", "availableBytes") if _exceeds(one.get(key), capacity)]
    return wrong


def _exceeds(value: int | None, capacity: int | None) -> bool:
    return value is not None and capacity is not None and value > capacity
