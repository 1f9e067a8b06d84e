# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the kubelet is set up, and whether it acts on what it sees: pressure, cgroups, configuration, flags."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from ...kubelet.merge import differences
from ...kubelet.schema import DEFAULT_EVICTION_HARD
from ...kubelet.values import parse_duration
from ..result import FAIL, OK, UNKNOWN, WARN, Result
from .capacity import effective_eviction, threshold
from .identity import condition
from .reading import Look, NodeReading, Tolerances, graded, mebibytes

# Eviction signal: the Node's condition, and where the Summary has what is available, and what is there in all or (without) what is used.
_SIGNALS: Mapping[str, tuple[str, tuple[str, ...], str, str]] = {
    "memory.available": ("MemoryPressure", ("memory",), "availableBytes", ""),
    "pid.available": ("PIDPressure", ("rlimit",), "", "maxpid"),
    "nodefs.available": ("DiskPressure", ("fs",), "availableBytes", "capacityBytes"),
    "nodefs.inodesFree": ("DiskPressure", ("fs",), "inodesFree", "inodes"),
    "imagefs.available": ("DiskPressure", ("runtime", "imageFs"), "availableBytes", "capacityBytes"),
    "imagefs.inodesFree": ("DiskPressure", ("runtime", "imageFs"), "inodesFree", "inodes"),
}
TAINTS: Mapping[str, str] = {
    "MemoryPressure": "node.kubernetes.io/memory-pressure",
    "DiskPressure": "node.kubernetes.io/disk-pressure",
    "PIDPressure": "node.kubernetes.io/pid-pressure",
}


def crossed(look: Look, configz: Mapping[str, Any]) -> dict[str, str]:
    """Return the eviction signals below their hard threshold, each with its figures; the Summary must have been read."""
    found = {}
    for signal, text in _thresholds(configz).items():
        told = _told(look, signal)
        if told is None:
            continue
        available, capacity = told
        limit = threshold(text, Fraction(capacity))
        if available < limit:
            counted = signal.endswith("inodesFree") or signal == "pid.available"
            figures = f"{available} < {int(limit)}" if counted else f"{mebibytes(available)} < {mebibytes(float(limit))}"
            found[signal] = f"{signal} {figures}"
    return found


def _thresholds(configz: Mapping[str, Any]) -> dict[str, str]:
    return {signal: text for signal, text in effective_eviction(configz).items() if signal in _SIGNALS}


def _told(look: Look, signal: str) -> tuple[int, int] | None:
    """Return what the Summary says is available and what is there in all; None if it lacks one of them."""
    _condition, path, available, total = _SIGNALS[signal]
    place: Any = look.summary.value.get("node")
    for key in path:
        place = (place or {}).get(key)
    # Of memory the Summary does not tell what is there in all, and of processes not what is available.
    used = "workingSetBytes" if signal == "memory.available" else "curproc"
    if not place or any(name not in place for name in (available or used, total or used)):
        return None
    return place[available] if available else place[total] - place[used], place[total] if total else place[available] + place[used]


def pressure(reading: NodeReading, tolerances: Tolerances) -> list[Result]:
    """Eviction signals against the Node's conditions, and the conditions against its taints."""
    node = reading.last.node
    missing = reading.unreadable("pressure.taints", "a taint for each pressure", node, sources=("Node.status.conditions", "Node.spec.taints"))
    if missing is not None:
        return [missing]
    return [_signals(reading, tolerances), _taints(reading, node.value)]


def _signals(reading: NodeReading, tolerances: Tolerances) -> Result:
    check, expected = "pressure.signals", "a condition for each crossed eviction threshold"
    tolerance, sources = f"{tolerances.pressure_seconds:g} s", ("Summary", "configz", "Node.status.conditions")
    look = reading.last
    missing = reading.unreadable(check, expected, look.summary, reading.configz, sources=sources)
    if missing is not None:
        return missing
    silent = _silent(look, reading.configz.value)
    if not silent:
        pressures = [kind for kind in TAINTS if condition(look.node.value, kind).get("status") == "True"]
        # Legal for up to five minutes after the recovery (evictionPressureTransitionPeriod).
        status, observed = (WARN, f"the node has {', '.join(pressures)}") if pressures else (OK, "no pressure")
        hint = "free what is short; the condition goes 5 minutes after that"
        untold = [signal for signal in _thresholds(reading.configz.value) if _told(look, signal) is None]
        if untold:
            status, observed = WARN, f"{observed}; the kubelet has no figures for {', '.join(untold)}"
            hint = "what the kubelet cannot measure it cannot evict for: /stats/summary"
        return reading.result(check, status, expected, observed, tolerance, sources, hint)
    lasting = 0.0
    for earlier in reversed(reading.looks):
        readable = not earlier.summary.error and not earlier.node.error
        if not readable or not silent.keys() & _silent(earlier, reading.configz.value).keys():
            break
        lasting = look.monotonic - earlier.monotonic
    observed = f"{'; '.join(silent.values())} for {lasting:.0f} s or longer, and the condition is not True"
    status = FAIL if lasting > tolerances.pressure_seconds else WARN
    return reading.result(check, status, expected, observed, tolerance, sources, "journalctl -u kubelet | grep eviction")


def _silent(look: Look, configz: Mapping[str, Any]) -> dict[str, str]:
    """Return the crossed signals whose condition is not True."""
    node = look.node.value
    return {signal: text for signal, text in crossed(look, configz).items() if condition(node, _SIGNALS[signal][0]).get("status") != "True"}


def unheeded(reading: NodeReading) -> bool:
    """Whether the last look shows a crossed signal whose condition is not True (yet)."""
    look = reading.last
    return not (look.node.error or look.summary.error or reading.configz.error) and bool(_silent(look, reading.configz.value))


def _taints(reading: NodeReading, node: Mapping[str, Any]) -> Result:
    have = {taint["key"] for taint in node["spec"].get("taints") or [] if taint.get("effect") == "NoSchedule"}
    want = {key for kind, key in TAINTS.items() if condition(node, kind).get("status") == "True"}
    missing, extra = sorted(want - have), sorted(have & set(TAINTS.values()) - want)
    observed = "; ".join([*(f"no taint {key}" for key in missing), *(f"taint {key} without its condition" for key in extra)])
    hint = "the node lifecycle controller sets and removes them: the kube-controller-manager's log"
    status = FAIL if missing else WARN if extra else OK
    sources = ("Node.status.conditions", "Node.spec.taints")
    return reading.result("pressure.taints", status, "a taint for each pressure, and no other", observed or "so it is", sources=sources, hint=hint)


def cgroups(reading: NodeReading, _tolerances: Tolerances) -> list[Result]:
    """One cgroup driver in the runtime, the kubelet and the real tree; and a pure cgroup v2."""
    return [_driver(reading), _hierarchy(reading)]


def _driver(reading: NodeReading) -> Result:
    check, expected, look = "cgroups.driver", "one driver everywhere", reading.last
    sources = ("CRI RuntimeConfig, or containerd's configuration", "configz cgroupDriver", "config.yaml", "cgroup tree")
    hint = "nodewise_cgroup_driver feeds both: restart the runtime first, then the kubelet"
    said: dict[str, str] = {}
    unread, silent = [], False
    if look.runtime is not None and look.runtime.status.cgroup_driver is not None:
        said["runtime"] = look.runtime.status.cgroup_driver
    elif look.runtime is not None and look.runtime.status.ready is not None and not any("RuntimeConfig" in line for line in look.runtime.errors):
        # It need not know this call, nor tell its configuration; the kubelet believes its own then.
        silent = True
    else:
        unread.append(f"runtime: {look.runtime_error or (look.runtime.status.message if look.runtime else '') or 'it does not say'}")
    for name, found in (("kubelet", reading.configz), ("config.yaml", reading.config_file)):
        if found.error:
            unread.append(f"{name}: {found.error}")
        elif "cgroupDriver" in found.value:
            said[name] = str(found.value["cgroupDriver"])
    if reading.kubepods.error:
        unread.append(f"cgroup tree: {reading.kubepods.error}")
    else:
        said["cgroup tree"] = reading.kubepods.value
    observed = ", ".join(f"{who} {driver}" for who, driver in said.items())
    if len(set(said.values())) > 1:
        return reading.result(check, FAIL, expected, observed, sources=sources, hint=hint)
    if unread:
        return reading.result(check, UNKNOWN, expected, f"could not be read: {'; '.join(unread)}", sources=sources, hint=hint)
    if silent:
        hint = "compare the runtime's configuration yourself: crictl info; a newer runtime tells its driver (CRI RuntimeConfig)"
        return reading.result(check, WARN, expected, f"{observed}; the runtime does not tell its own", sources=sources, hint=hint)
    return reading.result(check, OK, expected, observed, sources=sources)


def _hierarchy(reading: NodeReading) -> Result:
    found, sources = reading.last.host.cgroup, ("/sys/fs/cgroup", "config.yaml failCgroupV1")
    expected = "cgroup v2"
    if found == "v2":
        return reading.result("cgroups.hierarchy", OK, expected, found, sources=sources)
    accepted = not reading.config_file.error and reading.config_file.value.get("failCgroupV1") is False
    hint = "boot with systemd.unified_cgroup_hierarchy=1, or accept it: host_allow_cgroup_v1 (failCgroupV1: false)"
    observed = f"{found}, accepted by failCgroupV1: false" if accepted else found
    return reading.result("cgroups.hierarchy", OK if accepted else WARN, expected, observed, sources=sources, hint=hint)


def configuration(reading: NodeReading, _tolerances: Tolerances) -> list[Result]:
    """What is on disk is in force; and settings that say something else than they seem to."""
    sources = ("config.yaml", "configz")
    missing = reading.unreadable("configuration.in-force", "config.yaml is in force", reading.configz, reading.config_file, sources=sources)
    if missing is not None:
        return [missing]
    return [_in_force(reading, sources), _report_frequency(reading), _eviction(reading), *_stats_from_cri(reading)]


def _in_force(reading: NodeReading, sources: tuple[str, ...]) -> Result:
    # The driver has a check of its own: the kubelet asks the runtime for it and ignores its file.
    wanted = {name: value for name, value in reading.config_file.value.items() if name not in ("apiVersion", "kind", "cgroupDriver")}
    found = differences(wanted, reading.configz.value)
    hint = "systemctl restart kubelet; a flag in its unit or environment files outranks the file"
    observed = "; ".join(found) or "all of it"
    return reading.result("configuration.in-force", FAIL if found else OK, "config.yaml is in force", observed, sources=sources, hint=hint)


def _report_frequency(reading: NodeReading) -> Result:
    check, sources = "configuration.report-frequency", ("configz",)
    configz = reading.configz.value
    try:
        update, report = (parse_duration(str(configz.get(name, default))) / 1e9 for name, default in _FREQUENCIES)
    except ValueError as error:
        return reading.result(check, UNKNOWN, "durations", str(error), sources=sources, hint="configz")
    expected = "an unchanged status is posted more seldom than it is computed"
    observed = f"computed every {update:g} s, posted every {report:g} s"
    hint = "nodeStatusUpdateFrequency that is set drags nodeStatusReportFrequency along: set the latter, to 5m (each post rewrites the whole Node)"
    return reading.result(check, WARN if report <= update else OK, expected, observed, sources=sources, hint=hint)


_FREQUENCIES = (("nodeStatusUpdateFrequency", "10s"), ("nodeStatusReportFrequency", "5m0s"))


def _eviction(reading: NodeReading) -> Result:
    lost = sorted(set(DEFAULT_EVICTION_HARD) - effective_eviction(reading.configz.value).keys())
    hint = "evictionHard that names one threshold drops the defaults of the others: name them all, or mergeDefaultEvictionSettings: true; 0% is none"
    observed = f"no threshold for {', '.join(lost)}" if lost else "all there"
    expected = f"thresholds for {', '.join(DEFAULT_EVICTION_HARD)}"
    return reading.result("configuration.eviction", WARN if lost else OK, expected, observed, sources=("configz",), hint=hint)


def _stats_from_cri(reading: NodeReading) -> list[Result]:
    """With this feature gate the kubelet's CPU rates are the runtime's, and older ones take a rate since whoever asked last (kubernetes#122092)."""
    if not (reading.configz.value.get("featureGates") or {}).get(_STATS_FROM_CRI):
        return []
    check, expected = "configuration.stats-from-cri", f"a runtime whose CPU rates are right for more than one who asks, or no {_STATS_FROM_CRI}"
    look, sources = reading.last, ("configz featureGates", "CRI Version")
    said = None if look.runtime is None else look.runtime.status
    if said is None or said.name is None or said.version is None:
        observed = f"the runtime's version could not be read: {look.runtime_error or (said.message if said else '') or 'it does not say'}"
        return [reading.result(check, UNKNOWN, expected, observed, sources=sources, hint="crictl version")]
    version = re.match(r"v?(\d+)\.(\d+)", said.version)
    old = said.name == "containerd" and version is not None and tuple(map(int, version.groups())) < _COLLECTOR
    hint = "containerd 2.3 or newer, which measures by itself (containerd#12629); or take the feature gate away"
    return [reading.result(check, WARN if old else OK, expected, f"{said.name} {said.version}", sources=sources, hint=hint)]


_STATS_FROM_CRI = "PodAndContainerStatsFromCRI"
_COLLECTOR = (2, 3)


def certificate(reading: NodeReading, tolerances: Tolerances) -> list[Result]:
    """With serverTLSBootstrap the kubelet serves with a certificate of the cluster, and gets the next one in time."""
    check, sources = "certificate", ("TLS handshake", "configz serverTLSBootstrap")
    missing = reading.unreadable(check, "a certificate of the cluster", reading.configz, reading.last.node, sources=sources)
    if missing is not None:
        return [missing]
    if not reading.configz.value.get("serverTLSBootstrap"):
        return []
    found, hint = reading.serving, "kubectl get csr; journalctl -u nodewise-guard | grep 'not approved'; or run the playbook site"
    expected, tolerance = "a certificate of the cluster", f"{tolerances.certificate_warn_days:g} days, {tolerances.certificate_fail_days:g} at the least"
    if found.error:
        return [reading.result(check, FAIL, expected, found.error, tolerance, sources, hint)]
    days = (found.value - reading.server_now) / 86400
    status = graded(-days, -tolerances.certificate_warn_days, -tolerances.certificate_fail_days)
    return [reading.result(check, status, expected, f"one that ends in {days:.0f} days", tolerance, sources, hint)]


def flags(reading: NodeReading, _tolerances: Tolerances) -> list[Result]:
    """Flags that this kubelet would not start with again."""
    sources = ("kubelet's unit and environment files",)
    missing = reading.unreadable("flags", "no removed flag", reading.gone_flags, sources=sources)
    if missing is not None:
        return [missing]
    found = reading.gone_flags.value
    node = reading.last.node
    version = "" if node.error else node.value["status"]["nodeInfo"]["kubeletVersion"]
    status = FAIL if any(_is_gone(line, version) for line in found) else WARN if found else OK
    hint = "remove it before the next restart, or upgrade: the kubelet ends with 'unknown flag'"
    return [reading.result("flags", status, "no removed flag", "; ".join(found) or "none", sources=sources, hint=hint)]


def _is_gone(line: str, version: str) -> bool:
    """Whether a flag is gone in this version already; if that is not known, it is."""
    since, now = (re.search(pattern, text) for pattern, text in ((r"since Kubernetes (\d+)\.(\d+)", line), (r"v(\d+)\.(\d+)", version)))
    return since is None or now is None or tuple(map(int, now.groups())) >= tuple(map(int, since.groups()))
