# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Capacity and allocatable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.node.model import Memory
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.api import Reading
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.resources import capacity
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.resources.reading import Look, NodeReading, Tolerances
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.result import FAIL, OK, UNKNOWN, WARN

from .conftest import MIB, of_images
from .test_identity import FORBIDDEN, by_name, the

Made = Callable[..., NodeReading]
MakeLook = Callable[..., Look]
DEFAULTS = {"evictionHard": {"memory.available": "100Mi", "nodefs.available": "10%", "nodefs.inodesFree": "5%", **of_images}}


def test_a_healthy_node(made: Made) -> None:
    assert by_name(capacity.capacity(made(), Tolerances())) == {"capacity.cpu": OK, "capacity.memory": OK, "capacity.storage": OK}
    assert by_name(capacity.allocatable(made(), Tolerances())) == {"allocatable": OK, "allocatable.report": OK}


@pytest.mark.parametrize(("cpus", "status"), [(2.0, OK), (1.5, FAIL), (4.0, FAIL), (None, UNKNOWN)])
def test_cpu_is_exact(made: Made, look: MakeLook, cpus: float | None, status: str) -> None:
    changed = replace(look().host, cpus=cpus)
    assert the(capacity.capacity(made(look(host=changed)), Tolerances()), "capacity.cpu").status == status


@pytest.mark.parametrize(
    ("total", "status"),
    [(8192 * MIB + MIB, OK), (8192 * MIB - MIB, OK), (8192 * MIB + MIB + 1, FAIL), (8192 * MIB - MIB - 1, FAIL), (None, UNKNOWN)],
)
def test_memory_at_its_edges(made: Made, look: MakeLook, total: int | None, status: str) -> None:
    changed = replace(look().host, memory=Memory(total=total))
    assert the(capacity.capacity(made(look(host=changed)), Tolerances()), "capacity.memory").status == status


def test_storage_is_exact_to_a_kibibyte(made: Made, look: MakeLook) -> None:
    host = look().host
    for more, status in ((0, OK), (1023, OK), (1024, FAIL)):
        grown = replace(host.filesystems[0], capacity=20480 * MIB + more)
        changed = replace(host, filesystems=(grown, *host.filesystems[1:]))
        assert the(capacity.capacity(made(look(host=changed)), Tolerances()), "capacity.storage").status == status


@pytest.mark.parametrize(
    ("configz", "expected"),
    [
        (DEFAULTS, {"cpu": 2, "memory": 8192 * MIB - 100 * MIB, "ephemeral-storage": 19327352800}),
        # The kubelet tells its defaults; without any they were given empty. And these two shares are none.
        ({}, {"cpu": 2, "memory": 8192 * MIB, "ephemeral-storage": 20480 * MIB}),
        ({"evictionHard": {}, "mergeDefaultEvictionSettings": True}, {"cpu": 2, "memory": 8192 * MIB - 100 * MIB, "ephemeral-storage": 19327352800}),
        ({"evictionHard": {"memory.available": "0%", "nodefs.available": "100%"}}, {"cpu": 2, "memory": 8192 * MIB, "ephemeral-storage": 20480 * MIB}),
        ({"evictionHard": {"nodefs.available": "100%"}, "mergeDefaultEvictionSettings": True},
         {"cpu": 2, "memory": 8192 * MIB - 100 * MIB, "ephemeral-storage": 20480 * MIB}),
        ({**DEFAULTS, "systemReserved": {"cpu": "200m", "memory": "1Gi"},
          "kubeReserved": {"cpu": "0.3", "memory": "512Mi", "ephemeral-storage": "1Gi"}},
         {"cpu": Fraction(3, 2), "memory": 8192 * MIB - 1636 * MIB, "ephemeral-storage": 19327352800 - 1024 * MIB}),
        # One threshold given drops the others, unless they are merged.
        ({"evictionHard": {"memory.available": "200Mi"}}, {"cpu": 2, "memory": 8192 * MIB - 200 * MIB, "ephemeral-storage": 20480 * MIB}),
        ({"evictionHard": {"memory.available": "200Mi"}, "mergeDefaultEvictionSettings": True},
         {"cpu": 2, "memory": 8192 * MIB - 200 * MIB, "ephemeral-storage": 19327352800}),
        ({"evictionHard": {"memory.available": "50%", "imagefs.available": "99%"}}, {"cpu": 2, "memory": 4096 * MIB, "ephemeral-storage": 20480 * MIB}),
        ({"systemReserved": {"cpu": "9"}, "evictionHard": {"pid.available": "1"}}, {"cpu": 0, "memory": 8192 * MIB, "ephemeral-storage": 20480 * MIB}),
        ({"systemReserved": {"cpu": "200m"}, "reservedSystemCPUs": "0", "evictionHard": {"pid.available": "1"}},
         {"cpu": 1, "memory": 8192 * MIB, "ephemeral-storage": 20480 * MIB}),
    ],
)  # fmt: skip
def test_the_formula(configz: dict[str, Any], expected: dict[str, Fraction | int], plain: Callable[[str], Any]) -> None:
    assert capacity.allocatable_of(plain("node")["status"]["capacity"], configz) == expected


def test_hugepages_are_taken_from_memory() -> None:
    found = capacity.allocatable_of({"memory": "1Gi", "hugepages-2Mi": "512Mi", "hugepages-1Gi": "0"}, {"evictionHard": {"memory.available": "12Mi"}})
    assert found == {"memory": 500 * MIB}
    assert capacity.allocatable_of({"memory": "1Gi", "hugepages-2Mi": "2Gi"}, {})["memory"] == 0


def test_a_percentage_is_the_kubelets_float32() -> None:
    # 0.1 as a float32 is 0.100000001490116: 32 bytes of 20 GiB.
    assert capacity.threshold("10%", Fraction(21474836480)) == 2147483648 + 32
    assert capacity.threshold("100Mi", Fraction(1)) == 100 * MIB
    with pytest.raises(ValueError, match="not a quantity"):
        capacity.threshold("much", Fraction(1))


def test_one_byte_off_fails(made: Made, look: MakeLook, plain: Callable[[str], Any]) -> None:
    node = plain("node")
    node["status"]["allocatable"]["memory"] = str(8092 * MIB - 1)
    result = the(capacity.allocatable(made(look(node=Reading(node))), Tolerances()), "allocatable")
    assert result.status == FAIL
    assert (result.expected, result.observed) == (f"memory {8092 * MIB}", f"memory {8092 * MIB - 1}")


def test_a_reserved_setting_that_is_not_in_the_node(made: Made) -> None:
    configz = Reading({**DEFAULTS, "systemReserved": {"memory": "1Gi"}})
    result = the(capacity.allocatable(made(configz=configz), Tolerances()), "allocatable")
    assert (result.status, result.expected) == (FAIL, f"memory {8092 * MIB - 1024 * MIB}")


def test_without_rights(made: Made) -> None:
    results = capacity.allocatable(made(configz=FORBIDDEN), Tolerances())
    assert by_name(results) == {"allocatable": UNKNOWN, "allocatable.report": OK}
    assert "nodes/configz" in results[0].hint


def test_a_report_that_lags_is_a_warning(made: Made, look: MakeLook, plain: Callable[[str], Any]) -> None:
    report = plain("report")
    report["status"]["cpuMillicores"]["allocatable"] = 1900
    result = the(capacity.allocatable(made(look(report=Reading(report))), Tolerances()), "allocatable.report")
    assert (result.status, result.expected, result.observed) == (WARN, "cpu 2000", "cpu 1900")
