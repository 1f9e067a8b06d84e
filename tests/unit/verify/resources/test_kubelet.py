# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pressure, cgroups, configuration, the serving certificate and flags."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.api import Reading
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.resources import kubelet
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.resources.reading import Look, NodeReading, Tolerances
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.result import FAIL, OK, UNKNOWN, WARN, Result

from .conftest import MIB, NOW, summary
from .test_identity import FORBIDDEN, by_name, the

Made = Callable[..., NodeReading]
MakeLook = Callable[..., Look]
Plain = Callable[[str], Any]


@pytest.mark.parametrize("check", [kubelet.pressure, kubelet.cgroups, kubelet.configuration, kubelet.certificate, kubelet.flags])
def test_a_healthy_node(made: Made, check: Callable[..., list[Result]]) -> None:
    assert {result.status for result in check(made(), Tolerances())} == {OK}


# -- pressure ------------------------------------------------------------------------------------------------------------


def under_pressure(node: dict[str, Any], kind: str, *taints: str) -> Reading:
    for condition in node["status"]["conditions"]:
        if condition["type"] == kind:
            condition["status"] = "True"
    node["spec"]["taints"] = [{"key": key, "effect": "NoSchedule"} for key in taints]
    return Reading(node)


def full(seconds: float = 0, available: int = 2047 * MIB) -> Reading:
    changed = summary(seconds)
    changed["node"]["fs"]["availableBytes"] = available
    return Reading(changed)


@pytest.mark.parametrize(("seconds", "status"), [(0, WARN), (20, WARN), (20.1, FAIL)])
def test_a_threshold_that_is_crossed_without_a_condition(made: Made, look: MakeLook, seconds: float, status: str) -> None:
    looks = [look(summary=full())] + ([look(seconds, summary=full(seconds))] if seconds else [])
    result = the(kubelet.pressure(made(*looks), Tolerances()), "pressure.signals")
    assert result.status == status
    assert "nodefs.available 2047.0Mi < 2048.0Mi" in result.observed
    assert kubelet.unheeded(made(*looks))


def test_a_threshold_itself_is_not_crossed(made: Made, look: MakeLook) -> None:
    reading = made(look(summary=full(available=2147483648 + 32)))
    assert the(kubelet.pressure(reading, Tolerances()), "pressure.signals").status == OK
    assert not kubelet.unheeded(reading)


def test_a_crossing_that_passed_meanwhile_counts_from_its_return(made: Made, look: MakeLook) -> None:
    looks = [look(summary=full()), look(15), look(30, summary=full(30))]
    assert the(kubelet.pressure(made(*looks), Tolerances()), "pressure.signals").status == WARN


@pytest.mark.parametrize(
    ("path", "key", "value", "signal"),
    [
        (("memory",), "availableBytes", 100 * MIB - 1, "memory.available"),
        (("fs",), "inodesFree", 49, "nodefs.inodesFree"),
        (("runtime", "imageFs"), "availableBytes", 1535 * MIB, "imagefs.available"),
        (("runtime", "imageFs"), "inodesFree", 49, "imagefs.inodesFree"),
        (("rlimit",), "curproc", 32768 - 99, "pid.available 99 < 100"),
        (("rlimit",), "curproc", 40000, "pid.available -7232 < 100"),
    ],
)
def test_each_signal(made: Made, look: MakeLook, path: tuple[str, ...], key: str, value: int, signal: str) -> None:
    changed = summary(0)
    place = changed["node"]
    for step in path:
        place = place[step]
    place[key] = value
    configz = made().configz.value
    configz["evictionHard"] = {**configz["evictionHard"], "pid.available": "100"}
    result = the(kubelet.pressure(made(look(summary=Reading(changed)), configz=Reading(configz)), Tolerances()), "pressure.signals")
    assert (result.status, result.observed.startswith(signal)) == (WARN, True)


def test_processes_that_are_short_want_their_own_condition(made: Made, look: MakeLook, plain: Plain) -> None:
    short = summary(0)
    short["node"]["rlimit"]["curproc"] = 32000
    configz = Reading({"evictionHard": {"pid.available": "10%"}})
    for kind, status in (("PIDPressure", WARN), ("MemoryPressure", FAIL)):
        node = under_pressure(plain("node"), kind)
        looks = [look(seconds, node=node, summary=Reading(short)) for seconds in (0, 21)]
        assert the(kubelet.pressure(made(*looks, configz=configz), Tolerances()), "pressure.signals").status == status


@pytest.mark.parametrize("text", ["0%", "100%"])
def test_a_threshold_that_the_kubelet_ignores_is_never_crossed(made: Made, look: MakeLook, text: str) -> None:
    configz = Reading({"evictionHard": {"nodefs.available": text, "memory.available": "100Mi"}})
    assert the(kubelet.pressure(made(look(summary=full()), configz=configz), Tolerances()), "pressure.signals").status == OK


@pytest.mark.parametrize(
    ("path", "key", "signal"),
    [
        (("memory",), "workingSetBytes", "memory.available"),
        (("fs",), "inodesFree", "nodefs.inodesFree"),
        (("runtime",), "imageFs", "imagefs.available, imagefs.inodesFree"),
    ],
)
def test_a_signal_without_figures_is_not_taken_for_good(made: Made, look: MakeLook, path: tuple[str, ...], key: str, signal: str) -> None:
    changed = summary(0)
    place = changed["node"]
    for step in path:
        place = place[step]
    del place[key]
    result = the(kubelet.pressure(made(look(summary=Reading(changed))), Tolerances()), "pressure.signals")
    assert (result.status, result.observed) == (WARN, f"no pressure; the kubelet has no figures for {signal}")


def test_pressure_that_is_known_is_a_warning(made: Made, look: MakeLook, plain: Plain) -> None:
    node = under_pressure(plain("node"), "DiskPressure", "node.kubernetes.io/disk-pressure")
    results = kubelet.pressure(made(look(summary=full(), node=node)), Tolerances())
    assert by_name(results) == {"pressure.signals": WARN, "pressure.taints": OK}
    assert results[0].observed == "the node has DiskPressure"


def test_taints(made: Made, look: MakeLook, plain: Plain) -> None:
    missing = the(kubelet.pressure(made(look(node=under_pressure(plain("node"), "MemoryPressure"))), Tolerances()), "pressure.taints")
    assert (missing.status, missing.observed) == (FAIL, "no taint node.kubernetes.io/memory-pressure")
    extra = the(kubelet.pressure(made(look(node=under_pressure(plain("node"), "none", "node.kubernetes.io/pid-pressure"))), Tolerances()), "pressure.taints")
    assert (extra.status, extra.observed) == (WARN, "taint node.kubernetes.io/pid-pressure without its condition")


# -- cgroups -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["config_file", "configz", "kubepods", "runtime"])
def test_a_wrong_driver_is_named(made: Made, look: MakeLook, who: str) -> None:
    changed: dict[str, Any] = {who: Reading({"cgroupDriver": "cgroupfs"})}
    if who == "kubepods":
        changed = {who: Reading("cgroupfs")}
    looks = [look()]
    if who == "runtime":
        runtime = look().runtime
        looks, changed = [look(runtime=replace(runtime, status=replace(runtime.status, cgroup_driver="cgroupfs")))], {}  # type: ignore[union-attr,type-var]
    result = the(kubelet.cgroups(made(*looks, **changed), Tolerances()), "cgroups.driver")
    name = {"config_file": "config.yaml", "configz": "kubelet", "kubepods": "cgroup tree", "runtime": "runtime"}[who]
    assert result.status == FAIL
    assert f"{name} cgroupfs" in result.observed
    assert result.observed.count("systemd") == 3


def test_a_driver_that_is_seen_to_differ_outranks_one_that_is_not_seen(made: Made) -> None:
    assert the(kubelet.cgroups(made(configz=FORBIDDEN), Tolerances()), "cgroups.driver").status == UNKNOWN
    differing = made(configz=FORBIDDEN, kubepods=Reading("cgroupfs"))
    assert the(kubelet.cgroups(differing, Tolerances()), "cgroups.driver").status == FAIL


def test_a_runtime_that_does_not_name_its_driver(made: Made, look: MakeLook) -> None:
    runtime = look().runtime
    silent = look(runtime=replace(runtime, status=replace(runtime.status, cgroup_driver=None)))  # type: ignore[union-attr,type-var]
    result = the(kubelet.cgroups(made(silent), Tolerances()), "cgroups.driver")
    observed = "kubelet systemd, config.yaml systemd, cgroup tree systemd; the runtime does not tell its own"
    assert (result.status, result.observed) == (WARN, observed)
    assert "crictl info" in result.hint
    # The others are compared all the same, and a call that failed is no silence.
    assert the(kubelet.cgroups(made(silent, kubepods=Reading("cgroupfs")), Tolerances()), "cgroups.driver").status == FAIL
    assert the(kubelet.cgroups(made(silent, configz=FORBIDDEN), Tolerances()), "cgroups.driver").status == UNKNOWN
    failed = replace(silent, runtime=replace(silent.runtime, errors=("RuntimeConfig: DEADLINE_EXCEEDED: too late",)))  # type: ignore[type-var]
    assert the(kubelet.cgroups(made(failed), Tolerances()), "cgroups.driver").status == UNKNOWN


@pytest.mark.parametrize(
    ("hierarchy", "file", "status"),
    [("v2", {}, OK), ("hybrid", {}, WARN), ("v1", {"failCgroupV1": True}, WARN), ("hybrid", {"failCgroupV1": False}, OK)],
)
def test_an_old_hierarchy_must_be_accepted(made: Made, look: MakeLook, hierarchy: str, file: dict[str, Any], status: str) -> None:
    old = look(host=replace(look().host, cgroup=hierarchy))
    assert the(kubelet.cgroups(made(old, config_file=Reading(file)), Tolerances()), "cgroups.hierarchy").status == status


# -- configuration -------------------------------------------------------------------------------------------------------


def test_a_reserved_setting_that_is_not_in_force(made: Made) -> None:
    results = kubelet.configuration(made(config_file=Reading({"systemReserved": {"memory": "1Gi"}, "kind": "KubeletConfiguration"})), Tolerances())
    assert by_name(results) == {"configuration.in-force": FAIL, "configuration.report-frequency": OK, "configuration.eviction": OK}
    assert results[0].observed == "systemReserved is None, wanted {'memory': '1Gi'}"


def test_the_driver_on_disk_is_not_this_checks_matter(made: Made) -> None:
    assert kubelet.configuration(made(config_file=Reading({"cgroupDriver": "cgroupfs"})), Tolerances())[0].status == OK


@pytest.mark.parametrize(
    ("configz", "status"),
    [
        ({"nodeStatusUpdateFrequency": "10s", "nodeStatusReportFrequency": "5m0s"}, OK),
        ({"nodeStatusUpdateFrequency": "10s", "nodeStatusReportFrequency": "10s"}, WARN),
        ({"nodeStatusUpdateFrequency": "20s", "nodeStatusReportFrequency": "20.001s"}, OK),
        ({"nodeStatusUpdateFrequency": "soon"}, UNKNOWN),
    ],
)
def test_the_report_frequency_trap(made: Made, configz: dict[str, Any], status: str) -> None:
    assert the(kubelet.configuration(made(configz=Reading(configz)), Tolerances()), "configuration.report-frequency").status == status


def test_the_eviction_trap(made: Made) -> None:
    configz = {"evictionHard": {"memory.available": "200Mi", "nodefs.available": "10%"}}
    result = the(kubelet.configuration(made(configz=Reading(configz)), Tolerances()), "configuration.eviction")
    assert (result.status, result.observed) == (WARN, "no threshold for imagefs.available, imagefs.inodesFree, nodefs.inodesFree")
    merged = {**configz, "mergeDefaultEvictionSettings": True}
    assert the(kubelet.configuration(made(configz=Reading(merged)), Tolerances()), "configuration.eviction").status == OK


def test_what_is_no_threshold_is_lost(made: Made) -> None:
    given = made().configz.value["evictionHard"]
    for configz, lost in (({"evictionHard": {**given, "imagefs.available": "0%"}}, "imagefs.available"), ({}, ", ".join(sorted(given)))):
        result = the(kubelet.configuration(made(configz=Reading(configz)), Tolerances()), "configuration.eviction")
        assert (result.status, result.observed) == (WARN, f"no threshold for {lost}")


@pytest.mark.parametrize(
    ("gate", "name", "version", "status"),
    [
        (False, "containerd", "1.7.33", None),
        (True, "containerd", "1.7.33", WARN),
        (True, "containerd", "v2.2.9", WARN),
        (True, "containerd", "2.3.0-rc.1", OK),
        (True, "containerd", "2.10.0", OK),
        (True, "cri-o", "1.30.0", OK),
        (True, None, None, UNKNOWN),
    ],
)
def test_the_trap_of_rates_from_the_runtime(made: Made, look: MakeLook, gate: bool, name: str | None, version: str | None, status: str | None) -> None:
    runtime = look().runtime
    changed = look(runtime=replace(runtime, status=replace(runtime.status, name=name, version=version)))  # type: ignore[union-attr,type-var]
    reading = made(changed, configz=Reading({"featureGates": {"PodAndContainerStatsFromCRI": gate}}))
    assert by_name(kubelet.configuration(reading, Tolerances())).get("configuration.stats-from-cri") == status


def test_configuration_without_rights(made: Made) -> None:
    (result,) = kubelet.configuration(made(configz=FORBIDDEN), Tolerances())
    assert (result.check, result.status) == ("resources.configuration.in-force", UNKNOWN)


# -- flags ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "status"), [("v1.37.2", FAIL), ("v1.35.0", FAIL), ("v1.34.9", WARN)])
def test_a_removed_flag(made: Made, look: MakeLook, plain: Plain, version: str, status: str) -> None:
    node = plain("node")
    node["status"]["nodeInfo"]["kubeletVersion"] = version
    line = "/etc/default/kubelet: --pod-infra-container-image is gone since Kubernetes 1.35; instead: x"
    (result,) = kubelet.flags(made(look(node=Reading(node)), gone_flags=Reading([line])), Tolerances())
    assert (result.status, result.observed) == (status, line)


# -- the serving certificate ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("days", "status"), [(300, "ok"), (30.1, "ok"), (29.9, "warn"), (7.1, "warn"), (6.9, "fail"), (-1, "fail")])
def test_a_serving_certificate_that_ends_soon_was_not_renewed(made: Made, days: float, status: str) -> None:
    (result,) = kubelet.certificate(made(serving=Reading(NOW + days * 86400)), Tolerances())
    assert (result.check, result.status, result.tolerance) == ("resources.certificate", status, "30 days, 7 at the least")
    assert result.observed == f"one that ends in {days:.0f} days"


def test_a_certificate_that_no_client_trusts_fails(made: Made) -> None:
    (result,) = kubelet.certificate(made(serving=Reading(error="it has no certificate yet (TLSV1_ALERT_INTERNAL_ERROR)")), Tolerances())
    assert (result.status, result.observed) == ("fail", "it has no certificate yet (TLSV1_ALERT_INTERNAL_ERROR)")
    assert "kubectl get csr" in result.hint


def test_kubelets_that_sign_their_own_are_as_they_were_wanted(made: Made) -> None:
    own = Reading({"cgroupDriver": "systemd", "serverTLSBootstrap": False})
    assert kubelet.certificate(made(configz=own, serving=Reading(error="not trusted")), Tolerances()) == []


def test_without_the_right_to_read_the_configuration_it_is_unknown(made: Made) -> None:
    (result,) = kubelet.certificate(made(configz=Reading(error="HTTP 403 no", status=403)), Tolerances())
    assert result.status == "unknown"
