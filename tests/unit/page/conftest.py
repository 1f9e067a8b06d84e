# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clusters that are made up, as the two modules would return them."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest

GIB = 2**30
OBSERVED = "2026-11-25T17:40:00.000000Z"
CPU, MEMORY, DISK = "cpu", "memory", "ephemeral-storage"
WHOLE = {CPU: 16000, MEMORY: 64 * GIB, DISK: 400 * GIB, "pods": 110}


def figure(value: int | None, age: float = 12.4, reason: str = "no NodeReport; no metrics API") -> dict[str, Any]:
    if value is None:
        return {"value": None, "source": None, "observed_at": None, "age_seconds": None, "reason": reason}
    return {"value": value, "source": "NodeReport", "observed_at": OBSERVED, "age_seconds": age}


def node(name: str, used: Mapping[str, int | None], requested: Mapping[str, int] | None, **other: Any) -> dict[str, Any]:
    row = {
        "name": name,
        "ready": True,
        "unschedulable": False,
        "pods": 12,
        "terminated_pods": 0,
        "capacity": WHOLE,
        "allocatable": WHOLE,
        "requested": requested,
        "limits": {},
        "used": {resource: figure(used.get(resource)) for resource in (CPU, MEMORY, DISK)},
        "slack": {},
    }
    return {**row, **other}


def condition(kind: str, status: str, message: str = "") -> dict[str, str]:
    return {"type": kind, "status": status, "reason": "", "message": message, "since": OBSERVED}


def report(used: Mapping[str, int], *conditions: dict[str, str], age: float = 12.4, fault: str = "", disk: int | None = 41) -> dict[str, Any]:
    return {
        "observed_at": OBSERVED,
        "expires_at": OBSERVED,
        "age_seconds": age,
        "fault": fault,
        "used": used,
        "disk_percent": disk,
        "conditions": list(conditions),
    }


def told(name: str, own: dict[str, Any] | None, *conditions: dict[str, str], taints: tuple[dict[str, str], ...] = ()) -> dict[str, Any]:
    return {"name": name, "conditions": list(conditions or (condition("Ready", "True"),)), "taints": list(taints), "report": own}


def namespace(name: str, quotas: list[dict[str, Any]] | None = None, **other: Any) -> dict[str, Any]:
    return {"name": name, "pods": 3, "requested": {CPU: 1500, MEMORY: 3 * GIB}, "quotas": [] if quotas is None else quotas, **other}


def quota(name: str, **percents: float | None) -> dict[str, Any]:
    parts = {resource: {"hard": "100", "used": None if value is None else f"{value:.0f}", "percent": value} for resource, value in percents.items()}
    return {"name": name, "resources": parts}


def resources(nodes: list[dict[str, Any]] | None, *namespaces: dict[str, Any], errors: Mapping[str, str] | None = None, waiting: int = 0) -> dict[str, Any]:
    totals = {"pods": 36, "namespaces": len(namespaces), "unscheduled_pods": waiting}
    return {"nodes": nodes, "namespaces": list(namespaces), "totals": totals, "errors": dict(errors or {})}


def health(*rows: dict[str, Any], errors: Mapping[str, str] | None = None) -> dict[str, Any]:
    return {"nodes": list(rows), "errors": dict(errors or {})}


def verification(*checks: tuple[str, str, str], name: str = "shop") -> dict[str, Any]:
    results = [{"check": check, "node": where, "status": status, "expected": "2", "observed": "3", "hint": "look"} for check, where, status in checks]
    verdict = "fail" if any(status in ("fail", "unknown") for _check, _where, status in checks) else "pass"
    return {"cluster_name": name, "verdict": verdict, "scope": ["w1", "w2"], "checks": results, "seconds": 2.5, "nodes": []}


def large(number: int = 500) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return both results for many nodes of which some are busy, stale, silent or full."""
    chance = random.Random(1)
    rows, says = [], []
    for index in range(number):
        name = f"worker-{index:03d}.rack-{index // 40:02d}.example"
        requested = {CPU: chance.randrange(500, 15000), MEMORY: chance.randrange(60) * GIB}
        used = {CPU: chance.randrange(100, 14500), MEMORY: chance.randrange(1, 60) * GIB, DISK: chance.randrange(20, 330) * GIB}
        own = report(used, condition("CPUOverloaded", "False"), disk=100 * used[DISK] // WHOLE[DISK])
        shown: Mapping[str, int | None] = used
        ready, taints, node_conditions = True, (), (condition("Ready", "True"),)
        if index % 50 == 7:
            used[CPU] = 15400
            own["conditions"] = [condition("CPUOverloaded", "True", "CPU 96 % of allocatable, threshold 85 %")]
            taints = ({"key": "nodewise.dev/overloaded", "value": "cpu", "effect": "PreferNoSchedule"},)
        elif index % 60 == 11:
            shown = {}
            own = report(used, age=1260.0, fault="NodeReport is 1260 s old")
        elif index % 125 == 17:
            shown, own = {}, None
        elif index % 200 == 23:
            ready, node_conditions = False, (condition("Ready", "False", "container runtime network not ready"),)
        rows.append(node(name, shown, requested, ready=ready))
        says.append(told(name, own, *node_conditions, taints=taints))
    spaces = [namespace(f"team-{index:02d}", [quota("compute", **{"requests.cpu": float(index * 3 % 101), "requests.memory": 40.0})]) for index in range(40)]
    return resources(rows, *spaces, namespace("kube-system"), waiting=4), health(*says)


@pytest.fixture
def made_up() -> Any:
    """Return this file, for what it makes."""
    import sys

    return sys.modules[__name__]
