# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From readings to a status: what is unknown is left out, and the whole stays small and within the schema."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.cri.model import Container, ContainerKey, Counter, RuntimeReading, RuntimeStatus
from ansible_collections.nodewise.cluster.plugins.module_utils.node.model import HOST, CpuCounter, Filesystem, HostReading, Memory, Pressure
from ansible_collections.nodewise.cluster.plugins.module_utils.report import schema
from ansible_collections.nodewise.cluster.plugins.module_utils.report.build import Allocatable, Observer, true_conditions
from ansible_collections.nodewise.cluster.plugins.module_utils.report.manifests import custom_resource_definition
from ansible_collections.nodewise.cluster.plugins.module_utils.report.schema import CONSUMER_LENGTH
from ansible_collections.nodewise.cluster.plugins.module_utils.report.settings import Settings
from ansible_collections.nodewise.cluster.plugins.module_utils.report.size import BUDGET, fitted, stored_size

GIB = 2**30
WALL = 1_795_608_000.0
UID = "9b2d3c64-93a5-4dc1-9d0b-5c3a9f2f7c22"
ALLOCATABLE = Allocatable(4000, 8 * GIB)
DISK = Filesystem(("node",), "/var/lib/kubelet", 1, 100 * GIB, 40 * GIB, 55 * GIB, 1000, 10)
READY = RuntimeStatus("containerd", "v2.4.2", "systemd", True, True)


def host(second: float, cores: float = 1.0, **others: Any) -> HostReading:
    """Return a reading of a node that has used so many cores all along."""
    values: dict[str, Any] = {
        "boot_id": "0f2d3c64-93a5-4dc1-9d0b-5c3a9f2f7c11",
        "cpu": CpuCounter(0, int(second * 1e9), int(second * cores * 1e9)),
        "memory": Memory(8 * GIB, 2 * GIB, GIB, GIB, 0),
        "load1": 0.5,
        "pressure": Pressure(1.23, 0.0, None),
        "filesystems": (DISK,),
        **others,
    }
    return HostReading(HOST, "v2", **values)


def runtime(*containers: Container) -> RuntimeReading:
    return RuntimeReading(READY, containers, 3, 0)


def container(name: str, core_nanoseconds: int | None, second: float, working_set: int | None = None, state: str = "running", pod: str = "pod") -> Container:
    counter = None if core_nanoseconds is None else Counter(int(second * 1e9), core_nanoseconds)
    return Container(ContainerKey(name, 0, 1), "shop", pod, name, state, counter, working_set)


def observe(observer: Observer, second: float, reading: HostReading | None = None, run: RuntimeReading | None = None) -> dict[str, Any]:
    return observer.observe(reading or host(second), run or runtime(), ALLOCATABLE, second, WALL + second)


@pytest.fixture
def observer() -> Observer:
    return Observer(Settings(), "1.2.3")


def test_a_first_sample_has_no_rates(observer: Observer) -> None:
    status = observe(observer, 10)
    assert status["cpuMillicores"] == {"allocatable": 4000}
    assert status["percent"] == {"memory": 25, "disk": 43}
    assert "top" not in status or status["top"] == {"cpu": [], "memory": []}
    assert status["pressure"] == "unknown"
    assert {entry["type"]: entry["status"] for entry in status["conditions"]}[schema.CPU_OVERLOADED] == "Unknown"


def test_the_second_sample_has_the_rate_between_them(observer: Observer) -> None:
    observe(observer, 10)
    status = observe(observer, 20)
    assert (status["cpuMillicores"]["now"], status["percent"]["cpu"], status["pressure"]) == (1000, 25, "none")
    assert (status["observedAt"], status["expiresAt"]) == ("2026-11-25T12:00:20.000000Z", "2026-11-25T12:03:20Z")
    assert status["psiPercent"] == {"cpu": 1.2, "memory": 0.0}
    assert "avg1m" not in status["cpuMillicores"]


def test_windows_fill(observer: Observer) -> None:
    statuses = [observe(observer, second) for second in range(10, 400, 10)]
    assert "avg1m" in statuses[4]["cpuMillicores"]
    assert "avg5m" not in statuses[15]["cpuMillicores"]
    assert statuses[-1]["cpuMillicores"] == {"allocatable": 4000, "now": 1000, "avg1m": 1000, "avg5m": 1000, "p95": 1000}
    assert statuses[-1]["memoryBytes"]["p95"] == 2 * GIB


@pytest.mark.parametrize(
    "counter",
    [None, CpuCounter(0, int(20e9), 5), CpuCounter(0, int(10e9), int(99e9)), CpuCounter(0, int(9e9), int(99e9))],
    ids=["not read", "fell", "no time between", "time went back"],
)
def test_a_counter_that_gives_no_rate_is_no_zero(observer: Observer, counter: CpuCounter | None) -> None:
    observe(observer, 10)
    status = observe(observer, 20, host(20, cpu=counter))
    assert "now" not in status["cpuMillicores"]
    assert "cpu" not in status["percent"]


@pytest.mark.parametrize(
    ("others", "gone"),
    [
        # CephFS and some FUSE: f_ffree is 2**64 - 1.
        ({"filesystems": (replace(DISK, inodes=1000, inodes_used=1000 - (2**64 - 1)),)}, "filesystems.0.inodesUsed"),
        ({"filesystems": (replace(DISK, capacity=2**63),)}, "filesystems.0.capacityBytes"),
        ({"filesystems": (replace(DISK, used=-1),)}, "filesystems.0.usedBytes"),
        ({"memory": Memory(8 * GIB, -1, GIB, GIB, 0)}, "memoryBytes.now"),
        ({"memory": Memory(8 * GIB, GIB, -1, GIB, 0)}, "memoryBytes.workingSet"),
        ({"pressure": Pressure(100.1, 0.0, 0.0)}, "psiPercent.cpu"),
        ({"pressure": Pressure(float("nan"), 0.0, 0.0)}, "psiPercent.cpu"),
        ({"cpu": CpuCounter(0, int(20e9), 2**64 * 10**6)}, "cpuMillicores.now"),
    ],
)
def test_a_figure_that_is_not_possible_costs_itself_alone(observer: Observer, others: dict[str, Any], gone: str) -> None:
    observe(observer, 10)
    status = observe(observer, 20, host(20, **others))
    assert [fault for fault in faults(status, declared_status()) if fault != "status.sequence is missing"] == []
    found: Any = status
    *folders, name = gone.split(".")
    for part in folders:
        found = found[int(part)] if isinstance(found, list) else found[part]
    assert name not in found
    assert found
    assert len(status["conditions"]) == 4


def test_memory_that_is_not_possible_is_no_free_memory(observer: Observer) -> None:
    for second in (10, 20, 30):
        status = observe(observer, second, host(second, memory=Memory(8 * GIB, -1, GIB, GIB, 0)))
    assert {entry["type"]: entry["status"] for entry in status["conditions"]}[schema.MEMORY_OVERLOADED] == "Unknown"


def test_a_machine_of_thousands_of_cpus_reports(observer: Observer) -> None:
    large = Allocatable(1_792_000, 8 * GIB)
    for second in (10, 20):
        status = observer.observe(host(second, cores=1500), runtime(), large, second, WALL + second)
    assert status["cpuMillicores"] == {"allocatable": 1_792_000, "now": 1_500_000}
    assert [fault for fault in faults(status, declared_status()) if "is missing" not in fault] == []


def test_a_share_of_next_to_nothing_is_left_out(observer: Observer) -> None:
    for second in (10, 20, 30):
        status = observer.observe(host(second, cores=8), runtime(), Allocatable(1, 8 * GIB), second, WALL + second)
    assert "cpu" not in status["percent"]
    assert schema.CPU_OVERLOADED in true_conditions(status)


def test_a_gap_in_the_counter_is_bridged(observer: Observer) -> None:
    observe(observer, 10)
    observe(observer, 20, host(20, cpu=None))
    assert observe(observer, 30)["cpuMillicores"]["now"] == 1000


def test_nothing_known_of_host_and_runtime_leaves_nothing_false() -> None:
    observer = Observer(Settings(), "1")
    for second in (10.0, 20.0):
        status = observer.observe(HostReading(HOST, "v2"), RuntimeReading(), Allocatable(), second, WALL + second)
    assert set(status) == {"observedAt", "expiresAt", "agentVersion", "view", "filesystems", "conditions", "pressure"}
    assert {entry["status"] for entry in status["conditions"]} == {"Unknown"}
    assert status["pressure"] == "unknown"


def test_a_dead_runtime_is_unhealthy_and_the_rest_goes_on(observer: Observer) -> None:
    dead = RuntimeReading(RuntimeStatus(message="connection refused"), errors=("Status: connection refused",))
    observe(observer, 10)
    observe(observer, 20)
    observe(observer, 30, run=dead)
    status = observe(observer, 40, run=dead)
    assert true_conditions(status) == {schema.RUNTIME_UNHEALTHY}
    assert status["pressure"] == "runtime"
    assert status["cpuMillicores"]["now"] == 1000
    assert "containers" not in status
    assert "pods" not in status


def test_pressure_names_all_that_is_true(observer: Observer) -> None:
    full = Filesystem(("node",), "/var", 1, 100 * GIB, 95 * GIB, 5 * GIB)
    for second in (10, 20, 30):
        status = observe(observer, second, host(second, cores=3.9, filesystems=(full,)))
    assert status["pressure"] == "cpu,disk"
    (cpu,) = [entry for entry in status["conditions"] if entry["type"] == schema.CPU_OVERLOADED]
    assert cpu["message"] == "3900m of 4000m is 97.5%, limit 85%"


def test_the_fullest_filesystem_is_unknown_if_one_is(observer: Observer) -> None:
    unread = Filesystem(("image",), "/var/lib/containerd", error="no such file")
    status = observe(observer, 10, host(10, filesystems=(DISK, unread)))
    assert "disk" not in status["percent"]
    assert status["filesystems"][1] == {"roles": ["image"], "mountpoint": "/var/lib/containerd"}


def test_top_consumers(observer: Observer) -> None:
    def listing(second: float) -> RuntimeReading:
        names = [f"c{number}" for number in range(8)]
        return runtime(*(container(name, int(second * 1e6 * 50 * number), second, number * 100 * 2**20) for number, name in enumerate(names)))

    first = observe(observer, 10, run=listing(10))
    assert first["top"]["cpu"] == []
    assert first["top"]["memory"][0] == "shop/pod/c7 700Mi"
    status = observe(observer, 20, run=listing(20))
    assert status["top"]["cpu"] == [f"shop/pod/c{number} {number * 50}m" for number in (7, 6, 5, 4, 3)]
    assert len(status["top"]["memory"]) == 5


def test_a_container_without_usage_is_no_consumer_and_no_zero(observer: Observer) -> None:
    status = observe(observer, 10, run=runtime(container("gone", None, 10)))
    assert status["top"] == {"cpu": [], "memory": []}
    assert status["containers"] == {"created": 0, "running": 1, "exited": 0, "unknown": 0}


def test_a_long_name_is_cut_in_the_middle(observer: Observer) -> None:
    (entry,) = observe(observer, 10, run=runtime(container("application", None, 10, GIB, pod="x" * 200)))["top"]["memory"]
    name, _space, amount = entry.partition(" ")
    assert len(name) == CONSUMER_LENGTH
    assert name.startswith("shop/xx")
    assert name.endswith("xx/application")
    assert amount == "1024Mi"


def test_a_restart_takes_the_conditions_over() -> None:
    before = Observer(Settings(), "1")
    for second in (10, 20, 30):
        stored = observe(before, second, host(second, cores=3.9))
    after = Observer(Settings(), "1")
    after.restore(stored)
    status = observe(after, 40, host(40, cores=3.9))
    assert true_conditions(status) == {schema.CPU_OVERLOADED}
    assert status["conditions"][0]["lastTransitionTime"] == stored["conditions"][0]["lastTransitionTime"]
    after.restore(None)
    after.restore({})


@pytest.mark.parametrize(
    ("amounts", "expected"),
    [
        ({"cpu": "3920m", "memory": "8024540Ki"}, Allocatable(3920, 8024540 * 1024)),
        ({"cpu": "4"}, Allocatable(4000, None)),
        ({"cpu": "0", "memory": "lots"}, Allocatable(None, None)),
        (None, Allocatable(None, None)),
    ],
)
def test_allocatable_of_a_node(amounts: dict[str, str] | None, expected: Allocatable) -> None:
    assert Allocatable.of({"status": {"allocatable": amounts}}) == expected


def declared_status() -> dict[str, Any]:
    (version,) = custom_resource_definition()["spec"]["versions"]
    declared: dict[str, Any] = version["schema"]["openAPIV3Schema"]["properties"]["status"]
    return declared


def faults(value: Any, declared: dict[str, Any], path: str = "status") -> Iterator[str]:
    """Return where a value leaves its schema; as much of OpenAPI as the CRD uses."""
    kind = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool, "number": (int, float)}[declared["type"]]
    if not isinstance(value, kind):
        yield f"{path}: {value!r} is no {declared['type']}"
    elif isinstance(value, dict):
        yield from (f"{path}.{name} is missing" for name in declared.get("required", ()) if name not in value)
        for name, item in value.items():
            if name in declared["properties"]:
                yield from faults(item, declared["properties"][name], f"{path}.{name}")
            else:
                yield f"{path}.{name} is not declared, so it would be dropped"
    elif isinstance(value, list):
        if len(value) > declared["maxItems"]:
            yield f"{path} has {len(value)} items"
        for item in value:
            yield from faults(item, declared["items"], path)
    elif isinstance(value, str):
        if len(value) > declared.get("maxLength", 1000) or not re.search(declared.get("pattern", ""), value) or value not in declared.get("enum", [value]):
            yield f"{path}: {value!r}"
    elif not declared.get("minimum", value) <= value <= declared.get("maximum", 2**63 - 1):
        yield f"{path}: {value}"


def test_another_configuration_is_named_from_the_next_sample_on() -> None:
    observer = Observer(Settings(), "1", "01234567")
    assert observe(observer, 10)["configDigest"] == "01234567"
    observer.reconfigure(Settings(valid_seconds=240), "89abcdef")
    status = observe(observer, 20)
    assert (status["configDigest"], status["expiresAt"]) == ("89abcdef", "2026-11-25T12:04:20Z")


def troubled(disks: int = 3, mountpoint: int = 60, name: int = 64, true: bool = True, message: str = "w" * 300) -> dict[str, Any]:
    """Return a status as large as these make it: characters of mount points and of the runtime's names, and whether all conditions are true."""
    observer = Observer(Settings(), "10.20.30+0123456789ab", "01234567")
    words = RuntimeStatus("r" * name, "v" * name, "systemd", not true, not true, message if true else "")
    roles = {2: (("node",), ("image", "container")), 3: (("node",), ("image",), ("container",))}[disks]
    used = 10**14 * (9 if true else 1)
    mounts = tuple(
        Filesystem(role, f"/{role[0] * mountpoint}"[:mountpoint], number, 10**15, used, 10**15 - used, 10**10, 10**9) for number, role in enumerate(roles)
    )
    memory = Memory(8 * GIB, 8 * GIB if true else GIB, 8 * GIB, GIB, GIB)
    for second in range(10, 400, 10):
        listing = tuple(container(f"{number:063}", second * number * 10**9, second, number * GIB, pod="p" * 253) for number in range(20))
        reading = host(
            second,
            cores=3.99 if true else 1.01,
            boot_id="0f2d3c64-93a5-4dc1-9d0b-5c3a9f2f7c11+12345678",
            memory=memory,
            filesystems=mounts,
            pressure=Pressure(100.0, 99.9, 99.9),
        )
        status = observer.observe(reading, RuntimeReading(words, listing, 110, 110, 3), ALLOCATABLE, second, WALL + second)
    return {**status, "sequence": 10**9}


def test_the_largest_status_fits_the_schema() -> None:
    status = troubled(mountpoint=200, name=300)
    declared = declared_status()
    assert list(faults(status, declared)) == []
    assert list(faults(fitted("n" * 253, UID, status), declared)) == []
    assert status["pressure"] == "cpu,memory,disk,runtime"
    assert set(status) == set(declared["properties"])


@pytest.mark.parametrize(
    ("node", "status"),
    [
        (63, troubled(disks=2, true=False)),
        (63, troubled()),
        (63, troubled(message="<&>" * 100)),
        (63, troubled(message='"ü\u2028' * 100)),
        (128, troubled(mountpoint=20, name=20)),
    ],
    ids=["calm", "all conditions true", "markup", "letters", "a long name"],
)
def test_a_report_never_takes_more_than_its_bytes_in_etcd(node: int, status: dict[str, Any]) -> None:
    found = fitted("n" * node, UID, status)
    assert stored_size("n" * node, UID, status) > BUDGET
    assert stored_size("n" * node, UID, found) <= BUDGET
    left_out = {"top", "conditions"}
    assert {name: value for name, value in found.items() if name not in left_out} == {name: value for name, value in status.items() if name not in left_out}

    def without_message(conditions: list[dict[str, str]]) -> list[dict[str, str]]:
        return [{name: value for name, value in entry.items() if name != "message"} for entry in conditions]

    assert without_message(found["conditions"]) == without_message(status["conditions"])


def test_figures_and_conditions_go_first_even_if_names_leave_no_room() -> None:
    found = fitted("n" * 253, UID, troubled(mountpoint=200, name=300))
    assert BUDGET < stored_size("n" * 253, UID, found) < 3200
    assert {"filesystems", "memoryBytes", "cpuMillicores", "psiPercent", "pods", "containers"} <= set(found)
    assert [entry["reason"] for entry in found["conditions"]] == ["HighUsage", "HighUsage", "LittleSpace", "RuntimeNotReady"]


def test_consumers_go_from_the_end_of_both_lists_and_messages_only_after_them() -> None:
    calm = troubled(disks=2, true=False)
    assert fitted("n", UID, {**calm, "top": {}}) == {**calm, "top": {}}
    found = fitted("n" * 63, UID, calm)
    count = len(found["top"]["cpu"])
    assert 0 < count < 5
    assert found["top"] == {kind: consumers[:count] for kind, consumers in calm["top"].items()}
    assert found["conditions"] == calm["conditions"]
    bad = troubled(disks=2, mountpoint=20, name=10, message="w" * 60)
    some = fitted("n" * 63, UID, bad)
    assert some["conditions"] == bad["conditions"]
    worse = fitted("n" * 128, UID, bad)
    assert "top" not in worse
