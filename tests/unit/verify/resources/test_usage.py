# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Containers, memory, CPU and filesystems."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.cri.model import Counter
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.api import Reading
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.resources import usage
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.resources.reading import Look, NodeReading, Tolerances
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.result import FAIL, OK, UNKNOWN, WARN, Result

from .conftest import MIB, NOW, stamp, summary
from .test_identity import FORBIDDEN, by_name, the

Made = Callable[..., NodeReading]
MakeLook = Callable[..., Look]
Plain = Callable[[str], Any]
ROOM = int(16 * MIB * math.sqrt(3))
"""What three containers may be apart."""


def test_a_healthy_node(made: Made, look: MakeLook) -> None:
    reading = made(look(), look(5))
    assert by_name(usage.containers(reading, Tolerances())) == {"containers": OK, "containers.report": OK}
    compared = ("containers", "node", "metrics-api", "report", "report-now")
    assert by_name(usage.memory(reading, Tolerances())) == {f"memory.{name}": OK for name in compared}
    assert by_name(usage.cpu(reading, Tolerances())) == {"cpu.pods": OK, "cpu.node": OK, "cpu.containers": OK, "cpu.metrics-api": OK, "cpu.report": OK}
    assert by_name(usage.filesystems(reading, Tolerances())) == {"filesystems.node": OK, "filesystems.image": OK, "filesystems.report": OK}


@pytest.mark.parametrize("check", [usage.containers, usage.memory, usage.cpu])
def test_without_grpcio_the_runtimes_part_is_unknown(made: Made, look: MakeLook, check: Callable[..., list[Result]]) -> None:
    blind = {"runtime": None, "runtime_error": "No module named 'grpc'"}
    results = check(made(look(**blind), look(5, **blind)), Tolerances())
    unknown = [result for result in results if result.status == UNKNOWN]
    assert {result.observed for result in unknown} == {"the container runtime could not be asked: No module named 'grpc'"}


@pytest.mark.parametrize("check", [usage.containers, usage.memory, usage.cpu, usage.filesystems])
def test_without_rights_the_kubelets_part_is_unknown(made: Made, look: MakeLook, check: Callable[..., list[Result]]) -> None:
    results = check(made(look(summary=FORBIDDEN), look(5, summary=FORBIDDEN)), Tolerances())
    assert {result.status for result in results} == {UNKNOWN, OK}
    assert all("nodes/stats" in result.hint for result in results if result.status == UNKNOWN)


# -- containers ----------------------------------------------------------------------------------------------------------


def without_web(seconds: float = 0) -> Reading:
    changed = summary(seconds)
    del changed["pods"][2]
    return Reading(changed)


def test_a_difference_must_last(made: Made, look: MakeLook) -> None:
    once = the(usage.containers(made(look(summary=without_web())), Tolerances()), "containers")
    assert (once.status, once.observed) == (UNKNOWN, "only the runtime knows default/web/web (not for 16 s yet)")
    for seconds, status in ((15.9, UNKNOWN), (16, FAIL)):
        looks = look(summary=without_web()), look(5), look(seconds, summary=without_web(seconds))
        twice = the(usage.containers(made(*looks), Tolerances()), "containers")
        assert twice.status == status
    assert twice.observed == "only the runtime knows default/web/web"
    gone = the(usage.containers(made(look(summary=without_web()), look(16)), Tolerances()), "containers")
    assert gone.status == OK


def without_figures(one: Look, number: int, *figures: str, **runtime: Any) -> Look:
    """Return a look at which the runtime's first containers lack figures."""
    listed = one.runtime.containers  # type: ignore[union-attr]
    lacking = [replace(container, **dict.fromkeys(figures)) for container in listed[:number]]  # type: ignore[index,arg-type]
    return replace(one, runtime=replace(one.runtime, containers=(*lacking, *listed[number:]), **runtime))  # type: ignore[index,type-var]


@pytest.mark.parametrize("figure", ["cpu", "working_set_bytes"])
def test_containers_that_the_runtime_cannot_read_are_told(made: Made, look: MakeLook, figure: str) -> None:
    partial = without_figures(look(), 2, figure, errors=("ListContainerStats: UNKNOWN: not found",))
    unread = the(usage.containers(made(partial), Tolerances()), "containers.unread")
    names = "kube-system/calico-node-x/calico-node, kube-system/kube-proxy-x/kube-proxy"
    assert (unread.status, unread.observed) == (WARN, f"2 of 3 do not: {names}; ListContainerStats: UNKNOWN: not found")


def test_churn_is_unknown(made: Made, look: MakeLook) -> None:
    other = summary(16)
    del other["pods"][1]
    assert the(usage.containers(made(look(summary=without_web()), look(16, summary=Reading(other))), Tolerances()), "containers").status == UNKNOWN


def test_what_only_the_kubelet_knows(made: Made, look: MakeLook) -> None:
    looks = []
    for seconds in (0, 16):
        one = look(seconds)
        runtime = replace(one.runtime, containers=one.runtime.containers[1:])  # type: ignore[union-attr,index,type-var]
        looks.append(replace(one, runtime=runtime))
    result = the(usage.containers(made(*looks), Tolerances()), "containers")
    assert (result.status, result.observed) == (FAIL, "only the kubelet knows kube-system/calico-node-x/calico-node")


def test_another_count_in_the_report_is_a_warning(made: Made, look: MakeLook, plain: Plain) -> None:
    report = plain("report")
    report["status"]["containers"]["running"] = 4
    assert the(usage.containers(made(look(report=Reading(report))), Tolerances()), "containers.report").status == WARN


@pytest.mark.parametrize(("created", "said", "status"), [(-1000, 2, FAIL), (-80, 2, FAIL), (-79, 2, OK), (-79, 3, OK), (-79, 1, FAIL), (-1000, 0, FAIL)])
def test_what_runs_for_long_must_have_been_counted(made: Made, look: MakeLook, plain: Plain, created: float, said: int, status: str) -> None:
    one, report = look(), plain("report")
    listed = one.runtime.containers  # type: ignore[union-attr]
    young = replace(listed[0], key=replace(listed[0].key, created_at=int((NOW + created) * 1e9)))  # type: ignore[index]
    report["status"]["containers"]["running"] = said
    changed = replace(one, runtime=replace(one.runtime, containers=(young, *listed[1:])), report=Reading(report))  # type: ignore[index,type-var]
    result = the(usage.containers(made(changed), Tolerances()), "containers.report")
    assert (result.status, result.expected) == (status, "3")


# -- memory --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("more", "status"), [(ROOM, OK), (-ROOM, OK), (ROOM + 1, FAIL), (-ROOM - 1, FAIL)])
def test_containers_memory_at_its_edges(made: Made, look: MakeLook, more: int, status: str) -> None:
    changed = summary(0)
    changed["pods"][0]["containers"][0]["memory"]["workingSetBytes"] += more
    result = the(usage.memory(made(look(summary=Reading(changed))), Tolerances()), "memory.containers")
    assert result.status == status
    assert result.tolerance == "27.7Mi"


def test_five_percent_of_much_memory(made: Made, look: MakeLook) -> None:
    host = look().host
    for own, status in ((950 * MIB, OK), (950 * MIB - 1, FAIL)):
        changed = replace(host, memory=replace(host.memory, working_set=own))
        assert the(usage.memory(made(look(host=changed)), Tolerances(memory_bytes=0)), "memory.node").status == status


def test_what_the_verification_takes_itself_is_no_difference(made: Made, look: MakeLook) -> None:
    host = look().host
    # 64 Mi, as of 16 containers, and 60 Mi that the kubelet may or may not have seen.
    for own, status in ((1124 * MIB, OK), (1124 * MIB + 1, FAIL), (936 * MIB, OK), (936 * MIB - 1, FAIL)):
        changed = look(host=replace(host, memory=replace(host.memory, working_set=own)), own_memory=60 * MIB)
        assert the(usage.memory(made(changed), Tolerances()), "memory.node").status == status


def test_a_container_without_figures_is_neither_zero_nor_passed_over(made: Made, look: MakeLook) -> None:
    changed = summary(0)
    del changed["pods"][0]["containers"][0]["memory"]
    result = the(usage.memory(made(look(summary=Reading(changed))), Tolerances()), "memory.containers")
    lacking = "the kubelet has no figure of 1 of 3: kube-system/calico-node-x/calico-node"
    assert (result.status, result.observed) == (WARN, f"200.0Mi of 2 containers; {lacking}")
    # 32 of the two are apart by more than they may: that outranks.
    changed["pods"][1]["containers"][0]["memory"]["workingSetBytes"] += 32 * MIB
    result = the(usage.memory(made(look(summary=Reading(changed))), Tolerances()), "memory.containers")
    assert (result.status, result.observed) == (FAIL, f"200.0Mi of 2 containers; {lacking}")
    for pod in changed["pods"]:
        pod["containers"][0].pop("memory", None)
    result = the(usage.memory(made(look(summary=Reading(changed))), Tolerances()), "memory.containers")
    assert (result.status, result.observed.partition(";")[0]) == (UNKNOWN, "nothing to compare")
    assert "no figure of 3 of 3" in result.observed


def test_who_lacks_a_working_set_is_named(made: Made, look: MakeLook) -> None:
    changed = summary(0)
    del changed["pods"][2]["containers"][0]["memory"]["workingSetBytes"]
    partial = replace(without_figures(look(), 1, "working_set_bytes"), summary=Reading(changed))
    result = the(usage.memory(made(partial), Tolerances()), "memory.containers")
    runtime = "the runtime has no figure of 1 of 3: kube-system/calico-node-x/calico-node"
    assert (result.status, result.observed) == (WARN, f"100.0Mi of 1 containers; {runtime}; the kubelet has no figure of 1 of 3: default/web/web")
    assert "/stats/summary" in result.hint


def test_of_many_only_the_first_are_named(made: Made, look: MakeLook) -> None:
    many = summary(0)
    first = many["pods"][0]
    listed = look().runtime.containers  # type: ignore[union-attr]
    for number in range(4):
        many["pods"].append({"podRef": {"namespace": "shop", "name": f"pod-{number}"}, "containers": [{"name": "web"}]})
    shop = tuple(replace(listed[0], namespace="shop", pod=f"pod-{number}", name="web") for number in range(4))  # type: ignore[index]
    crowd = replace(look(summary=Reading(many)), runtime=replace(look().runtime, containers=(*listed, *shop)))  # type: ignore[misc,type-var]
    assert first["containers"][0]["memory"]
    result = the(usage.memory(made(crowd), Tolerances()), "memory.containers")
    assert result.observed.endswith("the kubelet has no figure of 4 of 7: shop/pod-0/web, shop/pod-1/web, shop/pod-2/web and 1 more")


@pytest.mark.parametrize(("age", "there"), [(30, True), (30.1, False)])
def test_a_sample_of_metrics_server_that_is_too_old_is_not_compared(made: Made, look: MakeLook, age: float, there: bool) -> None:
    metrics = Reading({"timestamp": stamp(-age), "window": "15s", "usage": {"memory": "1000Mi", "cpu": "500m"}})
    assert ("memory.metrics-api" in by_name(usage.memory(made(look(metrics=metrics)), Tolerances()))) is there
    assert ("cpu.metrics-api" in by_name(usage.cpu(made(look(-5), look(metrics=metrics)), Tolerances()))) is there


@pytest.mark.parametrize("key", ["now", "workingSet"])
@pytest.mark.parametrize(
    ("age", "more", "status"),
    [(0, 64, OK), (30, 64, OK), (30, 65, WARN), (90, 192, OK), (90, 193, WARN), (180, 193, OK), (180, 800, WARN), (180.1, 0, UNKNOWN), (-3600, 0, UNKNOWN)],
)
def test_a_reports_memory_is_compared_as_long_as_it_is_valid(made: Made, look: MakeLook, plain: Plain, key: str, age: float, more: int, status: str) -> None:
    report = plain("report")
    own = {"now": 900 * MIB, "workingSet": 1000 * MIB}
    report["status"].update(observedAt=stamp(-age), expiresAt=stamp(180 - age), memoryBytes={**own, key: own[key] + more * MIB})
    found = by_name(usage.memory(made(look(report=Reading(report))), Tolerances()))
    assert found["memory.report-now" if key == "now" else "memory.report"] == status


def test_a_memory_that_the_host_does_not_tell(made: Made, look: MakeLook) -> None:
    host = look().host
    unread = look(host=replace(host, memory=replace(host.memory, used=None), errors=("MemAvailable: missing",)))
    result = the(usage.memory(made(unread), Tolerances()), "memory.report-now")
    assert (result.status, result.observed) == (UNKNOWN, "could not be read: MemAvailable: missing")


@pytest.mark.parametrize(("age", "now", "status"), [(30, 650, OK), (30, 651, WARN), (90, 950, OK), (90, 951, WARN), (180.1, 500, UNKNOWN)])
def test_a_reports_cpu_is_compared_as_long_as_it_is_valid(made: Made, look: MakeLook, plain: Plain, age: float, now: int, status: str) -> None:
    report = plain("report")
    report["status"].update(observedAt=stamp(5 - age), expiresAt=stamp(185 - age), cpuMillicores={"allocatable": 2000, "now": now, "avg1m": now})
    assert the(usage.cpu(made(look(), look(5, report=Reading(report))), Tolerances()), "cpu.report").status == status


@pytest.mark.parametrize(("used", "status"), [(1064 * MIB, OK), (1065 * MIB, WARN)])
def test_metrics_api_memory(made: Made, look: MakeLook, used: int, status: str) -> None:
    metrics = Reading({"timestamp": stamp(-15), "window": "15s", "usage": {"memory": f"{used // 1024}Ki", "cpu": "500m"}})
    assert the(usage.memory(made(look(metrics=metrics)), Tolerances()), "memory.metrics-api").status == status


# -- cpu -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cpu", "average", "age", "status"),
    [
        ("500m", 500, 20, OK),
        ("650m", 500, 20, OK),
        ("651m", 500, 20, WARN),
        ("349m", 500, 20, WARN),
        # Busy before this window began, and the report knows.
        ("900m", 900, 20, OK),
        ("1170m", 900, 20, OK),
        ("1171m", 900, 20, WARN),
        # A report that is older than that time knows nothing of it.
        ("900m", 900, 91, WARN),
    ],
)
def test_metrics_api_cpu(made: Made, look: MakeLook, plain: Plain, cpu: str, average: int, age: float, status: str) -> None:
    report = plain("report")
    report["status"].update(observedAt=stamp(5 - age), cpuMillicores={"allocatable": 2000, "now": 500, "avg1m": average})
    metrics = Reading({"timestamp": stamp(-15), "window": "15s", "usage": {"memory": "1000Mi", "cpu": cpu}})
    result = the(usage.cpu(made(look(), look(5, metrics=metrics, report=Reading(report))), Tolerances()), "cpu.metrics-api")
    assert result.status == status
    assert result.expected == ("500m to 900m" if average == 900 and age == 20 else "500m")


def test_cpu_needs_a_window(made: Made) -> None:
    (result,) = usage.cpu(made(), Tolerances())
    assert (result.status, result.check) == (UNKNOWN, "resources.cpu")


def later(look: MakeLook, cores: float, seconds: float = 10) -> Look:
    """Return a look at which the pods' cgroup has used so many cores since NOW."""
    last = look(seconds)
    used = look().pods_cpu.core_nanoseconds + int(cores * seconds * 1e9)  # type: ignore[union-attr]
    return replace(last, pods_cpu=replace(last.pods_cpu, core_nanoseconds=used))  # type: ignore[type-var]


@pytest.mark.parametrize(("cores", "status"), [(0.3499, OK), (0.2501, OK), (0.3501, FAIL), (0.2499, FAIL)])
def test_pods_cpu_at_its_edges(made: Made, look: MakeLook, cores: float, status: str) -> None:
    # 50m each way; the runtime says 300m.
    result = the(usage.cpu(made(look(), later(look, cores)), Tolerances()), "cpu.pods")
    assert (result.status, result.tolerance) == (status, "50m")


@pytest.mark.parametrize(("cores", "status"), [(0.333, OK), (0.334, FAIL), (0.273, OK), (0.272, FAIL)])
def test_ten_percent_of_much_cpu(made: Made, look: MakeLook, cores: float, status: str) -> None:
    assert the(usage.cpu(made(look(), later(look, cores)), Tolerances(cpu_millicores=0)), "cpu.pods").status == status


def test_a_counter_that_stands_still_is_unknown_not_zero(made: Made, look: MakeLook) -> None:
    stuck = replace(look(5), runtime=look(0).runtime)
    result = the(usage.cpu(made(look(), stuck), Tolerances()), "cpu.pods")
    observed = "3 of 3 counters did not go on, or were not read: default/web/web, "
    assert (result.status, result.observed[: len(observed)]) == (UNKNOWN, observed)


def test_a_counter_that_fell_is_unknown(made: Made, look: MakeLook) -> None:
    result = the(usage.cpu(made(look(), later(look, -1)), Tolerances()), "cpu.pods")
    assert (result.status, result.observed) == (UNKNOWN, "the CPU time of the pods' cgroup could not be read")


def test_containers_that_come_or_go_within_the_window(made: Made, look: MakeLook) -> None:
    first = look()
    fewer = replace(first, runtime=replace(first.runtime, containers=first.runtime.containers[1:]))  # type: ignore[union-attr,index,type-var]
    for looks in ((fewer, look(5)), (look(-5), fewer)):
        result = the(usage.cpu(made(*looks), Tolerances()), "cpu.pods")
        assert (result.status, result.observed) == (UNKNOWN, "containers came or went within the window")
    # From the second look on they were the same.
    assert the(usage.cpu(made(fewer, look(5), look(10)), Tolerances()), "cpu.pods").status == OK


@pytest.mark.parametrize(("stolen", "status"), [(0, FAIL), (50, OK)])
def test_kernels_differ_on_whether_a_virtual_machines_stolen_time_is_used(made: Made, look: MakeLook, stolen: int, status: str) -> None:
    changed = summary(4)
    changed["node"]["cpu"]["usageCoreNanoSeconds"] -= int(50e9)
    looks = [look(), look(5, summary=Reading(changed))]
    looks = [replace(one, host=replace(one.host, cpu=replace(one.host.cpu, stolen_nanoseconds=int(stolen * 1e9)))) for one in looks]
    assert the(usage.cpu(made(*looks), Tolerances()), "cpu.node").status == status


@pytest.mark.parametrize(
    ("value", "status"),
    [
        # The kubelet's value of 3 s before NOW, when the host read 7000.0 s: two CPUs can have done 6 s, and 2 s for a time without fractions.
        (7000.0, OK),
        (6992.1, OK),
        (6991.9, FAIL),
        (7001.9, OK),
        (7002.1, FAIL),
    ],
)
def test_node_cpu_is_one_counter(made: Made, look: MakeLook, value: float, status: str) -> None:
    changed = summary(-3)
    changed["node"]["cpu"]["usageCoreNanoSeconds"] = int(value * 1e9)
    result = the(usage.cpu(made(look(), look(5, summary=Reading(changed))), Tolerances()), "cpu.node")
    assert result.status == status


def test_another_cgroups_counter_is_found(made: Made, look: MakeLook) -> None:
    changed = summary(4)
    changed["node"]["cpu"]["usageCoreNanoSeconds"] *= 10
    assert the(usage.cpu(made(look(), look(5, summary=Reading(changed))), Tolerances()), "cpu.node").status == FAIL


def test_clock_ticks_and_the_scheduler_drift_apart_on_cgroup_v1(made: Made, look: MakeLook) -> None:
    changed = summary(4)
    changed["node"]["cpu"]["usageCoreNanoSeconds"] = int(6400e9)
    for hierarchy, status in (("v1", OK), ("v2", FAIL)):
        looks = [look(), look(5, summary=Reading(changed))]
        looks = [replace(one, host=replace(one.host, cgroup=hierarchy)) for one in looks]
        assert the(usage.cpu(made(*looks), Tolerances()), "cpu.node").status == status


@pytest.mark.parametrize(
    ("value", "both", "status"),
    [
        # The kubelet's sample is 7 s older than the runtime's last value, 100.5 s: two CPUs can have done 14 s in between, and 2 s for its cut time.
        (100.5, False, OK),
        (84.6, False, OK),
        (84.4, False, FAIL),
        (102.6, False, FAIL),
        # It is 2 s older than the runtime's first value as well, 100.0 s.
        (94.1, True, OK),
        (93.9, True, FAIL),
        (101.9, True, OK),
        (102.1, True, FAIL),
    ],
)
def test_containers_cpu_at_its_edges(made: Made, look: MakeLook, value: float, both: bool, status: str) -> None:
    changed = summary(5)
    changed["pods"][0]["containers"][0]["cpu"]["usageCoreNanoSeconds"] = int(value * 1e9)
    first = look()
    if not both:
        first = replace(first, runtime=replace(first.runtime, containers=()))  # type: ignore[type-var]
    result = the(usage.cpu(made(first, look(5, summary=Reading(changed))), Tolerances()), "cpu.containers")
    assert result.status == status
    assert ("kube-system/calico-node-x/calico-node" in result.observed) is (status == FAIL)


@pytest.mark.parametrize(
    ("kubelets", "runtimes", "status", "observed"),
    [
        (1, 0, WARN, "2 containers; the kubelet has no figure of 1 of 3: kube-system/calico-node-x/calico-node"),
        (0, 1, WARN, "2 containers; the runtime has no figure of 1 of 3: kube-system/calico-node-x/calico-node"),
        (3, 0, UNKNOWN, "nothing to compare; the kubelet has no figure of 3 of 3: default/web/web, "),
        (0, 3, UNKNOWN, "nothing to compare; the runtime has no figure of 3 of 3: default/web/web, "),
    ],
)
def test_containers_without_a_cpu_counter_are_told(made: Made, look: MakeLook, kubelets: int, runtimes: int, status: str, observed: str) -> None:
    changed = summary(5)
    for pod in changed["pods"][:kubelets]:
        del pod["containers"][0]["cpu"]
    last = replace(without_figures(look(5), runtimes, "cpu"), summary=Reading(changed))
    result = the(usage.cpu(made(look(), last), Tolerances()), "cpu.containers")
    assert (result.status, result.observed[: len(observed)]) == (status, observed)


def test_a_container_that_started_anew_is_compared_with_its_own_life_only(made: Made, look: MakeLook) -> None:
    first = look()
    before = first.runtime.containers[0]  # type: ignore[union-attr,index]
    earlier = replace(before, key=replace(before.key, id="before"), cpu=Counter(int(NOW * 1e9), int(5000e9)))
    first = replace(first, runtime=replace(first.runtime, containers=(earlier, *first.runtime.containers[1:])))  # type: ignore[union-attr,index,type-var]
    assert the(usage.cpu(made(first, look(5)), Tolerances()), "cpu.containers").status == OK


@pytest.mark.parametrize(("now", "status"), [(650, OK), (651, WARN), (350, OK), (349, WARN)])
def test_reported_cpu_is_a_warning_at_most(made: Made, look: MakeLook, plain: Plain, now: int, status: str) -> None:
    report = plain("report")
    report["status"]["cpuMillicores"] = {"allocatable": 2000, "now": now}
    report["status"]["observedAt"] = stamp(-10)
    result = the(usage.cpu(made(look(), look(5, report=Reading(report))), Tolerances()), "cpu.report")
    assert result.status == status


# -- filesystems ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("capacity", "available", "status"),
    [(0, 0, OK), (1, 0, FAIL), (0, 256 * MIB, OK), (0, -256 * MIB, OK), (0, 256 * MIB + 1, FAIL), (0, -256 * MIB - 1, FAIL)],
)
def test_filesystem_at_its_edges(made: Made, look: MakeLook, capacity: int, available: int, status: str) -> None:
    changed = summary(0)
    changed["node"]["fs"]["capacityBytes"] += capacity
    changed["node"]["fs"]["availableBytes"] += available
    results = by_name(usage.filesystems(made(look(summary=Reading(changed))), Tolerances()))
    assert results == {"filesystems.node": status, "filesystems.image": OK, "filesystems.report": OK}


def test_one_percent_of_a_large_filesystem(made: Made, look: MakeLook) -> None:
    tight = Tolerances(filesystem_bytes=0)
    changed = summary(0)
    changed["node"]["fs"]["availableBytes"] += 20480 * MIB // 100
    assert by_name(usage.filesystems(made(look(summary=Reading(changed))), tight))["filesystems.node"] == OK
    changed["node"]["fs"]["availableBytes"] += 2
    assert by_name(usage.filesystems(made(look(summary=Reading(changed))), tight))["filesystems.node"] == FAIL


def test_a_filesystem_that_could_not_be_read(made: Made, look: MakeLook) -> None:
    host = look().host
    broken = replace(host.filesystems[0], capacity=None, available=None, error="Input/output error")
    result = the(usage.filesystems(made(look(host=replace(host, filesystems=(broken, host.filesystems[1])))), Tolerances()), "filesystems.node")
    assert (result.status, result.observed) == (UNKNOWN, "could not be read: Input/output error")


def test_what_the_kubelet_does_not_tell_of_a_filesystem_is_not_zero(made: Made, look: MakeLook) -> None:
    changed = summary(0)
    del changed["node"]["fs"]["availableBytes"]
    result = the(usage.filesystems(made(look(summary=Reading(changed))), Tolerances()), "filesystems.node")
    assert (result.status, result.observed) == (UNKNOWN, "could not be read: the kubelet gives no figures of it")


def test_another_capacity_in_the_report(made: Made, look: MakeLook, plain: Plain) -> None:
    report = plain("report")
    report["status"]["filesystems"][0]["capacityBytes"] += 1
    result = the(usage.filesystems(made(look(report=Reading(report))), Tolerances()), "filesystems.report")
    assert (result.status, result.expected) == (WARN, "node 20480.0Mi")
