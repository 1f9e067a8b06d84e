# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of a KubeletConfiguration, and its values in Kubernetes' own form.

The kubelet checks part of this itself, but only at its start, when it is too late; and some
things (thresholds, reserved resources) only long after that. Rules are those of the
kubelet v1.37.2: apis/config/validation, eviction/helpers.go, cmd/kubelet/app/server.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..kube.quantity import parse_quantity
from ..plain import plain
from . import schema
from .legacy import nearest
from .values import format_duration, parse_duration

Problem = tuple[str, str]

# The controller manager declares a node unknown after this (nodeMonitorGracePeriod, default since 1.32), in seconds.
_MONITOR_GRACE = 50


def problems_of(fields: Mapping[str, Any], version: tuple[int, int] | None = None) -> list[Problem]:
    """Return everything that is wrong with the fields, each as its path and a sentence.

    Parameters
    ----------
    fields : Mapping
        Fields of a KubeletConfiguration, without apiVersion and kind.
    version : tuple of int, optional
        Minor version of Kubernetes, e.g. C((1, 37)); None lets the fields of every version through.
    """
    found = list(_shape(fields, schema.FIELDS, ""))
    if version is not None:
        for name, since in schema.SINCE.items():
            if name in fields and version < since:
                found.append((name, f"Kubernetes {version[0]}.{version[1]} has no such field, it came with {since[0]}.{since[1]}."))
    if not found:
        # Types are right from here on.
        for rule in _RULES:
            found.extend(rule(fields))
    return found


def normalise(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields with every duration as Go prints it; what is no duration stays as it is."""
    result: dict[str, Any] = plain(fields)
    for name in result:
        result[name] = _normalise(schema.FIELDS.get(name), result[name])
    return result


def _normalise(kind: schema.Kind, value: Any) -> Any:
    if isinstance(kind, dict) and isinstance(value, dict):
        return {name: _normalise(kind.get(name), item) for name, item in value.items()}
    if kind in (schema.DURATION, schema.LOG_DURATION) and isinstance(value, str):
        try:
            return format_duration(parse_duration(value))
        except ValueError:
            return value
    return value


def _shape(value: Any, kind: schema.Kind, path: str) -> Iterator[Problem]:
    if isinstance(kind, Mapping):
        if not isinstance(value, Mapping):
            yield path, f"{value!r} is not a mapping."
            return
        for name, item in value.items():
            inner = f"{path}.{name}" if path else str(name)
            if name not in kind:
                yield inner, f"there is no such field{nearest(str(name), [*kind])}."
            else:
                yield from _shape(item, kind[name], inner)
    elif isinstance(kind, list):
        if not isinstance(value, list):
            yield path, f"{value!r} is not a list."
            return
        for index, item in enumerate(value):
            yield from _shape(item, kind[0], f"{path}[{index}]")
    else:
        problem = _scalar(value, kind)
        if problem:
            yield path, problem


def _scalar(value: Any, kind: str) -> str:
    if kind in (schema.DURATION, schema.LOG_DURATION) and isinstance(value, str):
        try:
            parse_duration(value)
        except ValueError as error:
            return f"{error}."
        return ""
    return "" if _TESTS[kind](value) else f"{value!r} is not {kind}."


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_list(value: Any, test: Callable[[Any], bool]) -> bool:
    return isinstance(value, list) and all(test(item) for item in value)


def _is_map(value: Any, test: Callable[[Any], bool]) -> bool:
    return isinstance(value, Mapping) and all(isinstance(name, str) and test(item) for name, item in value.items())


def _is_str(value: Any) -> bool:
    return isinstance(value, str)


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


_TESTS: Mapping[str, Callable[[Any], bool]] = {
    schema.BOOL: _is_bool,
    schema.INT: _is_int,
    schema.FLOAT: lambda value: _is_int(value) or isinstance(value, float),
    schema.STR: _is_str,
    schema.DURATION: lambda value: False,
    schema.LOG_DURATION: _is_int,
    schema.STRS: lambda value: _is_list(value, _is_str),
    schema.INTS: lambda value: _is_list(value, _is_int),
    schema.STR_MAP: lambda value: _is_map(value, _is_str),
    schema.GATES: lambda value: _is_map(value, _is_bool),
    schema.STR_LISTS: lambda value: _is_map(value, lambda item: _is_list(item, _is_str)),
    schema.QUANTITIES: lambda value: _is_map(value, _is_str),
}


def _at(fields: Mapping[str, Any], path: str) -> Any:
    value: Any = fields
    for step in path.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def _choices(fields: Mapping[str, Any]) -> Iterator[Problem]:
    for path, allowed in schema.CHOICES.items():
        value = _at(fields, path)
        if value is not None and value not in allowed:
            yield path, f"{value!r} is not one of {', '.join(item or repr('') for item in allowed)}."


def _ranges(fields: Mapping[str, Any]) -> Iterator[Problem]:
    for name, (low, high) in schema.RANGES.items():
        value = fields.get(name)
        if value is not None and (value < low or (high is not None and value > high)):
            yield name, f"{value} is not {f'between {low} and {high}' if high is not None else f'{low} or more'}."


def _durations(fields: Mapping[str, Any]) -> Iterator[Problem]:
    for path, text in _all_durations(fields, schema.FIELDS, ""):
        # A negative volumeStatsAggPeriod switches the figures off.
        if path != "volumeStatsAggPeriod" and parse_duration(text) < 0:
            yield path, f"{text!r} is negative."
    seconds = {name: parse_duration(fields[name]) / 1e9 for name in fields if schema.FIELDS[name] == schema.DURATION}
    period = seconds.get("cpuCFSQuotaPeriod")
    if period is not None and not 0.001 <= period <= 1:
        yield "cpuCFSQuotaPeriod", f"{fields['cpuCFSQuotaPeriod']} is not between 1ms and 1s."
    if seconds.get("containerLogMonitorInterval", 3) < 3:
        yield "containerLogMonitorInterval", f"{fields['containerLogMonitorInterval']} is less than 3s."
    restart = _at(fields, "crashLoopBackOff.maxContainerRestartPeriod")
    if restart is not None and not 1 <= parse_duration(restart) / 1e9 <= 300:
        yield "crashLoopBackOff.maxContainerRestartPeriod", f"{restart} is not between 1s and 300s."
    if 0 < seconds.get("imageMaximumGCAge", 0) <= (seconds.get("imageMinimumGCAge") or 120):
        yield "imageMaximumGCAge", "it is not more than imageMinimumGCAge (default 2m)."
    grace, critical = seconds.get("shutdownGracePeriod", 0), seconds.get("shutdownGracePeriodCriticalPods", 0)
    if critical > grace:
        yield "shutdownGracePeriodCriticalPods", "it is a part of shutdownGracePeriod and cannot be longer."
    for name, value in (("shutdownGracePeriod", grace), ("shutdownGracePeriodCriticalPods", critical)):
        if 0 < value < 1:
            yield name, f"{fields[name]} is neither 0s nor at least 1s."
    if fields.get("shutdownGracePeriodByPodPriority") and (grace or critical):
        yield "shutdownGracePeriodByPodPriority", "it cannot be set beside shutdownGracePeriod."


def _all_durations(value: Any, kind: schema.Kind, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(kind, Mapping) and isinstance(value, Mapping):
        for name, item in value.items():
            yield from _all_durations(item, kind[name], f"{path}.{name}" if path else name)
    elif kind in (schema.DURATION, schema.LOG_DURATION) and isinstance(value, str):
        yield path, value


def _heartbeats(fields: Mapping[str, Any]) -> Iterator[Problem]:
    update = parse_duration(fields.get("nodeStatusUpdateFrequency", "0s"))
    if update and parse_duration(fields.get("nodeStatusReportFrequency", "0s")) == 0:
        yield (
            "nodeStatusReportFrequency",
            "0s makes it follow nodeStatusUpdateFrequency, so that every node re-sends its whole status each time; the default is 5m.",
        )
    lease = fields.get("nodeLeaseDurationSeconds", 0)
    if lease / 4 >= _MONITOR_GRACE:
        yield (
            "nodeLeaseDurationSeconds",
            f"the lease would be renewed every {lease / 4:g} s (a quarter of it), but the controller manager gives a node up after {_MONITOR_GRACE} s.",
        )


def _endpoints(fields: Mapping[str, Any]) -> Iterator[Problem]:
    for name in ("containerRuntimeEndpoint", "imageServiceEndpoint"):
        value = fields.get(name)
        if value is None or (value == "" and name == "imageServiceEndpoint"):
            continue
        if value.endswith("dockershim.sock"):
            yield name, f"{value!r}: dockershim is gone since Kubernetes 1.24; use containerd, or cri-dockerd's socket."
        elif not value.startswith("unix:///"):
            yield name, f"{value!r} is not a socket of the form unix:///run/containerd/containerd.sock."


def _image_pulls(fields: Mapping[str, Any]) -> Iterator[Problem]:
    parallel = fields.get("maxParallelImagePulls")
    if fields.get("serializeImagePulls") is True and parallel is not None and parallel > 1:
        yield "maxParallelImagePulls", f"{parallel} pulls at a time contradict serializeImagePulls: true."
    low, high = fields.get("imageGCLowThresholdPercent", 80), fields.get("imageGCHighThresholdPercent", 85)
    if low >= high:
        yield "imageGCLowThresholdPercent", f"{low} is not less than imageGCHighThresholdPercent {high} (defaults 80 and 85)."
    if fields.get("preloadedImagesVerificationAllowlist") and fields.get("imagePullCredentialsVerificationPolicy") != "NeverVerifyAllowlistedImages":
        yield "preloadedImagesVerificationAllowlist", "it needs imagePullCredentialsVerificationPolicy: NeverVerifyAllowlistedImages."


def _thresholds(fields: Mapping[str, Any]) -> Iterator[Problem]:
    for name in ("evictionHard", "evictionSoft", "evictionSoftGracePeriod", "evictionMinimumReclaim"):
        for signal, value in fields.get(name, {}).items():
            path = f"{name}.{signal}"
            if signal not in schema.EVICTION_SIGNALS:
                yield path, f"there is no such signal{nearest(signal, schema.EVICTION_SIGNALS)}."
            elif signal.startswith("containerfs."):
                yield path, "the kubelet derives containerfs.* from nodefs.* or imagefs.* and ignores it."
            elif name == "evictionSoftGracePeriod":
                yield from _grace(path, value)
            else:
                yield from _threshold(path, value, positive=name != "evictionMinimumReclaim")
    soft, grace = fields.get("evictionSoft", {}), fields.get("evictionSoftGracePeriod", {})
    for signal in soft:
        if signal not in grace:
            yield f"evictionSoft.{signal}", "a soft threshold needs its evictionSoftGracePeriod."
    for signal in grace:
        if signal not in soft:
            yield f"evictionSoftGracePeriod.{signal}", "there is no evictionSoft threshold for it."


def _grace(path: str, value: str) -> Iterator[Problem]:
    try:
        if parse_duration(value) < 0:
            yield path, f"{value!r} is negative."
    except ValueError as error:
        yield path, f"{error}."


def _threshold(path: str, value: str, positive: bool) -> Iterator[Problem]:
    try:
        if value.endswith("%"):
            if not 0 <= float(value[:-1]) <= 100 or (not positive and float(value[:-1]) == 0):
                yield path, f"{value!r} is not between {'0' if positive else 'more than 0'}% and 100%."
        elif (amount := parse_quantity(value)) < 0 or (positive and amount == 0):
            yield path, f"{value!r} is not positive; 0% switches a threshold off."
    except ValueError:
        yield path, f"{value!r} is neither a quantity such as '100Mi' nor a percentage such as '10%'."


def _reserved(fields: Mapping[str, Any]) -> Iterator[Problem]:
    for name in ("kubeReserved", "systemReserved"):
        for resource, value in fields.get(name, {}).items():
            path = f"{name}.{resource}"
            if resource not in schema.RESERVABLE:
                yield path, f"only {', '.join(schema.RESERVABLE)} can be reserved{nearest(resource, schema.RESERVABLE)}."
                continue
            try:
                if parse_quantity(value) < 0:
                    yield path, f"{value!r} is negative."
            except ValueError as error:
                yield path, f"{error}."
    for index, memory in enumerate(fields.get("reservedMemory", [])):
        for resource, value in memory.get("limits", {}).items():
            path = f"reservedMemory[{index}].limits.{resource}"
            try:
                if parse_quantity(value) <= 0:
                    yield path, f"{value!r} is not positive."
            except ValueError as error:
                yield path, f"{error}."
            if resource != "memory" and not resource.startswith("hugepages-"):
                yield path, "only memory and hugepages-<size> can be reserved here."


def _enforcement(fields: Mapping[str, Any]) -> Iterator[Problem]:
    name = "enforceNodeAllocatable"
    wanted = fields.get(name)
    if wanted is not None:
        if not wanted:
            yield name, "an empty list is lost on its way through kubeadm and means ['pods'] then; say ['none']."
        for item in sorted(set(wanted) - set(schema.ENFORCEMENTS)):
            yield name, f"{item!r} is not one of {', '.join(schema.ENFORCEMENTS)}."
        if len(wanted) != len(set(wanted)):
            yield name, f"{wanted} names something twice."
        if "none" in wanted and len(wanted) > 1:
            yield name, "'none' stands alone."
        for who, cgroup in (("kube-reserved", "kubeReservedCgroup"), ("system-reserved", "systemReservedCgroup")):
            if {who, f"{who}-compressible"} <= set(wanted):
                yield name, f"'{who}' and '{who}-compressible' exclude each other."
            if {who, f"{who}-compressible"} & set(wanted) and not fields.get(cgroup):
                yield name, f"'{who}' needs {cgroup}, the cgroup to hold to the reservation; without one, reserving works but is not enforced: leave it out."
        if set(wanted) - {"none"} and fields.get("cgroupsPerQOS") is False:
            yield name, "it needs cgroupsPerQOS: true; say ['none']."
    if fields.get("reservedSystemCPUs"):
        for cgroup in ("kubeReservedCgroup", "systemReservedCgroup"):
            if fields.get(cgroup):
                yield "reservedSystemCPUs", f"it cannot be set beside {cgroup}."
        if not _is_cpu_list(fields["reservedSystemCPUs"]):
            yield "reservedSystemCPUs", f"{fields['reservedSystemCPUs']!r} is not a list of CPUs such as '0-1,4'."


def _is_cpu_list(text: str) -> bool:
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not first.isdigit() or (dash and (not last.isdigit() or int(last) < int(first))):
            return False
    return True


def _single_fields(fields: Mapping[str, Any]) -> Iterator[Problem]:
    if fields.get("runOnce"):
        yield "runOnce", "it is deprecated and the kubelet refuses it."
    if fields.get("systemCgroups") and not fields.get("cgroupRoot"):
        yield "systemCgroups", "it needs cgroupRoot."
    if fields.get("enableSystemLogQuery") and fields.get("enableSystemLogHandler") is False:
        yield "enableSystemLogQuery", "it needs enableSystemLogHandler: true."
    factor = fields.get("memoryThrottlingFactor")
    if factor is not None and not 0 < factor <= 1:
        yield "memoryThrottlingFactor", f"{factor} is not more than 0 and at most 1."
    logs = fields.get("podLogsDir")
    if logs is not None and (not logs.startswith("/") or logs != logs.rstrip("/") or "/../" in logs or "//" in logs):
        yield "podLogsDir", f"{logs!r} is not a plain absolute path."
    ids = _at(fields, "userNamespaces.idsPerPod")
    if ids is not None and (ids < 65536 or ids % 65536 or ids > 2**32 - 1):
        yield "userNamespaces.idsPerPod", f"{ids} is not a multiple of 65536 below 4294967296."
    for index, taint in enumerate(fields.get("registerWithTaints", [])):
        if taint.get("effect") not in ("NoSchedule", "PreferNoSchedule", "NoExecute") or not taint.get("key"):
            yield f"registerWithTaints[{index}]", "a taint has a key and an effect NoSchedule, PreferNoSchedule or NoExecute."
    size = fields.get("containerLogMaxSize")
    if size is not None:
        try:
            parse_quantity(size)
        except ValueError as error:
            yield "containerLogMaxSize", f"{error}."


_RULES = (_choices, _ranges, _durations, _heartbeats, _endpoints, _image_pulls, _thresholds, _reserved, _enforcement, _single_fields)
