# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the variables of role kubelet to a checked KubeletConfiguration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import NodewiseError
from ..plain import plain
from . import schema
from .legacy import Translation, translate_flags, translate_mapping
from .validate import normalise, problems_of

# Variables of role kubelet, without their prefix, and the field each sets.
VARIABLES: Mapping[str, str] = {
    "cgroup_driver": "cgroupDriver",
    "container_runtime_endpoint": "containerRuntimeEndpoint",
    "eviction_hard": "evictionHard",
    "eviction_soft": "evictionSoft",
    "eviction_soft_grace_period": "evictionSoftGracePeriod",
    "fail_cgroup_v1": "failCgroupV1",
    "fail_swap_on": "failSwapOn",
    "feature_gates": "featureGates",
    "image_service_endpoint": "imageServiceEndpoint",
    "kube_reserved": "kubeReserved",
    "max_parallel_image_pulls": "maxParallelImagePulls",
    "max_pods": "maxPods",
    "node_lease_duration_seconds": "nodeLeaseDurationSeconds",
    "node_status_report_frequency": "nodeStatusReportFrequency",
    "node_status_update_frequency": "nodeStatusUpdateFrequency",
    "runtime_request_timeout": "runtimeRequestTimeout",
    "serialize_image_pulls": "serializeImagePulls",
    "server_tls_bootstrap": "serverTLSBootstrap",
    "system_reserved": "systemReserved",
}
_OTHERS = ("config_extra", "config_overrides", "extra_args", "kubernetes_version")

# What the kubelet uses for nodeStatusReportFrequency when neither frequency is set.
_REPORT_FREQUENCY = "5m"


@dataclass(frozen=True)
class Built:
    """What the variables come to.

    Attributes
    ----------
    configuration : dict
        A whole KubeletConfiguration with apiVersion and kind, holding only what is wanted.
    flags : list of str
        Flags that have no field in it.
    warnings : list of str
        Old ways that were carried over or dropped.
    """

    configuration: dict[str, Any]
    flags: list[str]
    warnings: list[str]


def build_configuration(variables: Mapping[str, Any], with_overrides: bool = False) -> Built:
    """Build the configuration that the variables ask for.

    Parameters
    ----------
    variables : Mapping
        The role's variables without the prefix C(kubelet_): those in C(VARIABLES), C(config_extra) and C(config_overrides)
        (mappings of fields), C(extra_args) (a list of flags) and C(kubernetes_version). None means unset.
    with_overrides : bool
        Whether C(config_overrides), which are for one host, are laid over the rest.

    Raises
    ------
    NodewiseError
        Something in the variables is wrong; the text names everything that is, each with its place.
    """
    unknown = sorted(set(variables) - {*VARIABLES, *_OTHERS})
    if unknown:
        raise ValueError(f"not variables of role kubelet: {', '.join(unknown)}")
    version = _minor(variables.get("kubernetes_version"))
    fields: dict[str, Any] = {}
    origin: dict[str, str] = {}
    problems: list[str] = []
    warnings: list[str] = []
    for name, field in VARIABLES.items():
        if variables.get(name) is not None:
            fields[field] = _coerce(schema.FIELDS[field], variables[name])
            origin[field] = f"kubelet_{name}"

    extra_args = translate_flags(_list(variables, "extra_args", problems), "kubelet_extra_args")
    extra = translate_mapping(_mapping(variables, "config_extra", problems), "kubelet_config_extra")
    for place, found in (("kubelet_extra_args", extra_args), ("kubelet_config_extra", extra)):
        _report(found, warnings, problems)
        _add(fields, found.fields, place, origin, problems)
    if with_overrides:
        overrides = translate_mapping(_mapping(variables, "config_overrides", problems), "kubelet_config_overrides")
        _report(overrides, warnings, problems)
        fields = _overlay(fields, overrides.fields)
        origin.update(dict.fromkeys(overrides.fields, "kubelet_config_overrides"))

    _complete(fields)
    for path, text in problems_of(fields, version):
        place = origin.get(path.split(".")[0].split("[")[0], "")
        problems.append(f"{place}: {path}: {text}" if place else f"{path}: {text}")
    if problems:
        raise NodewiseError("The kubelet's configuration is refused:\n" + "\n".join(f"- {line}" for line in problems))
    return Built({"apiVersion": schema.API_VERSION, "kind": schema.KIND, **normalise(fields)}, extra_args.flags, warnings)


def check_configuration(configuration: Mapping[str, Any], version: str = "") -> dict[str, Any]:
    """Check a whole KubeletConfiguration and return its fields, without apiVersion and kind, in Kubernetes' own form.

    Parameters
    ----------
    configuration : Mapping
        What C(build_configuration) gives, or the like.
    version : str
        Kubernetes version it is for; empty: fields of any version are let through.

    Raises
    ------
    NodewiseError
        It is not valid; the text names everything that is wrong.
    """
    translated = translate_mapping(configuration, "configuration")
    problems = [*translated.problems, *(f"{path}: {text}" for path, text in problems_of(translated.fields, _minor(version)))]
    if problems:
        raise NodewiseError("The kubelet's configuration is refused:\n" + "\n".join(f"- {line}" for line in problems))
    return normalise(translated.fields)


def _minor(version: Any) -> tuple[int, int] | None:
    if not version:
        return None
    try:
        major, minor = str(version).removeprefix("v").split(".")[:2]
        return int(major), int(minor)
    except ValueError as error:
        raise NodewiseError(f"kubelet_kubernetes_version {version!r} is not a version such as 1.37.2.") from error


def _mapping(variables: Mapping[str, Any], name: str, problems: list[str]) -> Mapping[str, Any]:
    value = variables.get(name) or {}
    if isinstance(value, Mapping):
        return value
    problems.append(f"kubelet_{name}: {value!r} is not a mapping of fields.")
    return {}


def _list(variables: Mapping[str, Any], name: str, problems: list[str]) -> list[str]:
    value = variables.get(name) or []
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    problems.append(f"kubelet_{name}: {value!r} is not a list of flags.")
    return []


def _coerce(kind: schema.Kind, value: Any) -> Any:
    # -e kubelet_max_pods=50 gives a text, and YAML gives a number for `cpu: 1`: both are meant well.
    if kind == schema.INT and isinstance(value, str) and value.strip().lstrip("-").isdigit():
        return int(value)
    if kind == schema.BOOL and isinstance(value, str) and value.lower() in ("true", "yes", "false", "no"):
        return value.lower() in ("true", "yes")
    if kind == schema.STR_MAP and isinstance(value, Mapping):
        return {name: str(item) if isinstance(item, (int, float)) and not isinstance(item, bool) else item for name, item in value.items()}
    return plain(value)


def _report(found: Translation, warnings: list[str], problems: list[str]) -> None:
    warnings.extend(found.warnings)
    problems.extend(found.problems)


def _add(fields: dict[str, Any], more: Mapping[str, Any], place: str, origin: dict[str, str], problems: list[str]) -> None:
    for name, value in more.items():
        if name not in fields:
            fields[name] = plain(value)
            origin[name] = place
        elif isinstance(fields[name], dict) and isinstance(value, Mapping) and not _clashes(fields[name], value):
            fields[name] = _overlay(fields[name], value)
        elif normalise({name: fields[name]}) != normalise({name: value}):
            problems.append(f"{place} sets {name} to {value!r}, but {origin[name]} sets it to {fields[name]!r}: say it in one place.")


def _clashes(left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
    return any(
        _clashes(left[name], right[name]) if isinstance(left[name], Mapping) and isinstance(right[name], Mapping) else left[name] != right[name]
        for name in left.keys() & right.keys()
    )


def _overlay(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = plain(below)
    for name, value in above.items():
        old = result.get(name)
        result[name] = _overlay(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else plain(value)
    return result


def _complete(fields: dict[str, Any]) -> None:
    # One key of evictionHard makes the kubelet drop its defaults for all others (kubernetes#121809).
    if isinstance(fields.get("evictionHard"), Mapping) and fields["evictionHard"] and "mergeDefaultEvictionSettings" not in fields:
        fields["evictionHard"] = {**schema.DEFAULT_EVICTION_HARD, **fields["evictionHard"]}
    # Left unset beside an explicit nodeStatusUpdateFrequency it follows that: every node then re-sends its
    # whole status each time instead of every 5 minutes (deckhouse#22175).
    if "nodeStatusUpdateFrequency" in fields:
        fields.setdefault("nodeStatusReportFrequency", _REPORT_FREQUENCY)
