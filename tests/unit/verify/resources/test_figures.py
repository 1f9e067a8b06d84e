# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a report agrees with itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.cri.model import Container, ContainerKey, RuntimeReading, RuntimeStatus
from ansible_collections.nodewise.cluster.plugins.module_utils.node.model import CpuCounter, Filesystem, HostReading, Memory
from ansible_collections.nodewise.cluster.plugins.module_utils.report.build import Allocatable, Observer
from ansible_collections.nodewise.cluster.plugins.module_utils.report.settings import Settings
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.api import Reading
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.resources import figures
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.resources.reading import Look, NodeReading, Tolerances
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.result import FAIL, OK, WARN, Result

from .conftest import MIB, NOW, of_filesystem

Made = Callable[..., NodeReading]
LONG_AGO = Reading(0.0)
MakeLook = Callable[..., Look]


@pytest.fixture
def judge(made: Made, look: MakeLook, plain: Callable[[str], Any]) -> Callable[..., Result]:
    """Return what judges a healthy report of which some parts were changed, or with None left out."""

    def judged(since: Reading = LONG_AGO, **changed: Any) -> Result:
        report = plain("report")
        for name, value in changed.items():
            merged = {**report["status"][name], **value} if isinstance(value, dict) and value else value
            report["status"][name] = {key: item for key, item in merged.items() if item is not None} if isinstance(merged, dict) else merged
        report["status"] = {name: value for name, value in report["status"].items() if value is not None}
        return figures.figures(replace(made(look(report=Reading(report))), reporter_since=since), Tolerances())

    return judged


def test_the_report_of_the_audit(judge: Callable[..., Result]) -> None:
    result = judge(percent={"cpu": 1, "memory": 1, "disk": 1}, memoryBytes={"now": 1}, conditions=[], containers={})
    assert result.status == FAIL
    for words in ("percent.cpu is 1", "percent.memory is 1", "percent.disk is 1", "no condition CPUOverloaded, ", "memoryBytes.now 1, less than"):
        assert words in result.observed
    assert result.observed.endswith("it does not tell containers.running")


@pytest.mark.parametrize(
    ("changed", "status", "words"),
    [
        ({"percent": {"cpu": 24}, "cpuMillicores": {"now": 490}}, OK, ""),
        ({"percent": {"cpu": 25}, "cpuMillicores": {"now": 490}}, OK, ""),
        ({"percent": {"cpu": 26}, "cpuMillicores": {"now": 490}}, FAIL, "percent.cpu is 26, and cpuMillicores 490 of 2000 is 24.5"),
        ({"percent": {"memory": 12}}, FAIL, "percent.memory is 12, and memoryBytes"),
        ({"percent": {"cpu": None}}, FAIL, "percent.cpu is missing, and cpuMillicores 480 of 2000 is 24.0"),
        ({"cpuMillicores": {"now": None}}, FAIL, "percent.cpu is 24 without cpuMillicores.now and allocatable"),
        ({"percent": {"disk": 28}}, FAIL, "percent.disk is 28, and the fullest of its filesystems 27"),
        ({"percent": {"disk": None}}, FAIL, "percent.disk is missing"),
        ({"filesystems": []}, FAIL, "percent.disk is 27, and the fullest of its filesystems unknown"),
        ({"filesystems": [{"roles": ["node"], "mountpoint": "/", **of_filesystem(100, 101)}], "percent": {"disk": 101}}, FAIL, "usedBytes"),
        ({"pressure": "cpu"}, FAIL, "pressure is cpu, and the conditions say none"),
        ({"pressure": None}, FAIL, "pressure is missing"),
        ({"memoryBytes": {"p95": 9000 * MIB}}, FAIL, "memoryBytes.p95 9000.0Mi of 8192.0Mi"),
        ({"cpuMillicores": {"avg1m": 2250}}, OK, ""),
        ({"cpuMillicores": {"avg1m": 2251}}, FAIL, "cpuMillicores.avg1m 2251 of 2000m"),
        ({"containers": None, "pods": None}, WARN, "it does not tell containers.running, pods.ready"),
        # Just started: no rate yet.
        ({"cpuMillicores": {"now": None, "avg1m": None}, "percent": {"cpu": None}}, WARN, "it does not tell cpuMillicores.now"),
    ],
)
def test_what_does_not_agree_is_named(judge: Callable[..., Result], changed: dict[str, Any], status: str, words: str) -> None:
    result = judge(**changed)
    assert result.status == status
    assert words in result.observed


@pytest.mark.parametrize(
    ("statuses", "pressure", "status"),
    [
        (("True", "False", "True", "False"), "cpu,disk", OK),
        (("True", "Unknown", "False", "False"), "cpu", OK),
        (("False", "Unknown", "False", "False"), "unknown", OK),
        (("False", "False", "False", "True"), "none", FAIL),
    ],
)
def test_pressure_is_the_conditions_in_short(judge: Callable[..., Result], statuses: tuple[str, ...], pressure: str, status: str) -> None:
    names = ("CPUOverloaded", "MemoryOverloaded", "DiskNearlyFull", "RuntimeUnhealthy")
    conditions = [{"type": name, "status": said} for name, said in zip(names, statuses, strict=True)]
    assert judge(conditions=conditions, pressure=pressure).status == status


def test_a_filesystem_that_is_not_told_may_be_the_fullest(judge: Callable[..., Result]) -> None:
    six = [{"roles": ["node"], "mountpoint": f"/{number}", **of_filesystem(100, 20)} for number in range(6)]
    for said, status in ((20, OK), (99, OK), (19, FAIL), (None, WARN)):
        assert judge(filesystems=six, percent={"disk": said}).status == status


def test_without_a_runtime_its_counts_are_not_expected(made: Made, look: MakeLook, plain: Callable[[str], Any]) -> None:
    report = plain("report")
    del report["status"]["containers"], report["status"]["pods"]
    assert figures.figures(made(look(report=Reading(report), runtime=None)), Tolerances()).status == OK


@pytest.mark.parametrize("share", [0.0, 0.0049, 0.005, 0.33333, 0.999, 1.0])
@pytest.mark.parametrize("allocatable", [(2000, 8092 * MIB), (1, 2 * MIB), (63999, 270582939648)])
def test_what_the_reporter_makes_agrees(made: Made, look: MakeLook, share: float, allocatable: tuple[int, int]) -> None:
    observer = Observer(Settings(), "1.0.0")
    cpus = allocatable[0] / 1000
    runtime = RuntimeReading(RuntimeStatus("containerd", "2.4.2", "systemd", True, True), (Container(ContainerKey("1", 0, 1), "a", "b", "c", "running"),), 1, 0)
    memory = max(int(allocatable[1] * share), MIB)
    filesystem = Filesystem(("node",), "/var/lib/kubelet", 1, 1000 * MIB, int(900 * share) * MIB, 1000 * MIB - int(900 * share) * MIB)
    status: dict[str, Any] = {}
    host = HostReading("host", "v2", "b", None, cpus, Memory(allocatable[1], memory, memory), filesystems=(filesystem,))
    for number in range(3):
        counter = CpuCounter(0, number * 10**10, int(number * 10**10 * cpus * share))
        status = observer.observe(replace(host, cpu=counter), runtime, Allocatable(*allocatable), number * 10.0, NOW + number * 10)
        result = figures.figures(made(look(host=host, report=Reading({"status": status}))), Tolerances())
        assert result.status == (OK if number else WARN), result.observed


def test_the_first_report_has_no_rate_yet(judge: Callable[..., Result], look: MakeLook) -> None:
    now = look().monotonic
    first: dict[str, Any] = {"cpuMillicores": {"now": None, "avg1m": None}, "percent": {"cpu": None}}
    assert judge(since=Reading(now - 89), **first).status == OK
    assert judge(since=Reading(now - 91), **first).status == WARN
