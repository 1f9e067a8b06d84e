# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables an operator set: names that look like ours and that no role of the collection knows, and values that no role takes."""

from __future__ import annotations

import difflib
import fnmatch
import glob
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ..containerd.config import check_mirrors, mirror_of, refuse_old_names
from ..errors import NodewiseError
from ..files import read_text
from ..kubeadm.names import check_registration_labels, check_taints
from ..kubelet.legacy import translate_flags
from ..metricsserver.manifests import check_option
from ..monitoring.manifests import check_setting
from ..monitoring.pki import check_days
from .model import Problem

SHARED_PREFIX = "nodewise_"
# Prefixes that other people's roles use as well: only a near miss of a name of ours counts there.
_COMMON_PREFIXES = ("host_", "autoscaler_", "guard_", "metrics_server_", "monitoring_", "policies_", "reporter_", "verify_")

_CLOSE_WITHIN_PREFIX = 0.8
_CLOSE_ANYWHERE = 0.9


@dataclass(frozen=True)
class Catalogue:
    """The names a variable may have.

    Parameters
    ----------
    prefixes : collection of str
        C(<role>_) for each role, and C(nodewise_).
    names : collection of str
        Every option of a role's argument_specs, every shared variable, and every registered result.
    options : mapping
        What argument_specs say of an option, by its name.
    """

    prefixes: Collection[str]
    names: Collection[str]
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def load_catalogue(collection: str) -> Catalogue:
    """Read the names from the collection's own roles and playbooks.

    Parameters
    ----------
    collection : str
        The collection's folder on the controller.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # four times as fast where libyaml is
    prefixes = {SHARED_PREFIX}
    names: set[str] = set()
    options: dict[str, Mapping[str, Any]] = {}
    for path in glob.glob(os.path.join(collection, "roles", "*", "meta", "argument_specs.yml")):
        prefixes.add(os.path.basename(os.path.dirname(os.path.dirname(path))) + "_")
        specification = yaml.load(read_text(path) or "{}", Loader=loader) or {}
        for entry_point in specification.get("argument_specs", {}).values():
            options.update(entry_point.get("options", {}))
    names.update(options)
    # Nothing declares the shared variables, which roles' defaults and playbooks read, and the results that tasks register.
    for pattern in ("roles/*/defaults/*.yml", "roles/*/tasks/*.yml", "playbooks/*.yml"):
        for path in glob.glob(os.path.join(collection, pattern)):
            text = read_text(path) or ""
            names.update(re.findall(rf"\b{SHARED_PREFIX}\w+", text))
            names.update(re.findall(r"^\s+register: (\w+)", text, re.MULTILINE))
    return Catalogue(prefixes=prefixes, names=names, options=options)


def suggestion(name: str, catalogue: Catalogue) -> str | None:
    """Judge a variable's name.

    Returns
    -------
    str or None
        None if the name is known or not ours; else the nearest known name, empty if none is near.
    """
    if name in catalogue.names:
        return None
    prefix = max((prefix for prefix in catalogue.prefixes if name.startswith(prefix)), key=len, default="")
    if prefix:
        near = difflib.get_close_matches(name, catalogue.names, 1, _CLOSE_WITHIN_PREFIX)
        return near[0] if near else (None if prefix in _COMMON_PREFIXES else "")
    near = difflib.get_close_matches(name, catalogue.names, 1, _CLOSE_ANYWHERE)
    return near[0] if near else None


def check_variables(variables: Mapping[str, Iterable[str]], foreign: Iterable[str], catalogue: Catalogue) -> list[Problem]:
    """Report variables that look like ours and are not.

    Parameters
    ----------
    variables : mapping
        Hosts and the names of the variables set for each.
    foreign : iterable of str
        Names, or patterns with V(*), that the operator says belong to somebody else.
    catalogue : Catalogue
        The names that are ours.
    """
    holders: dict[str, list[str]] = {}
    for host, names in variables.items():
        for name in names:
            holders.setdefault(name, []).append(host)
    problems = []
    patterns = list(foreign)
    for name in sorted(holders):
        # Ansible's own names, and those a role or playbook marks as internal.
        if name.startswith(("ansible_", "_")) or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
            continue
        near = suggestion(name, catalogue)
        if near is not None:
            problems.append(
                Problem(
                    host="all hosts" if len(holders[name]) == len(variables) else ", ".join(holders[name]),
                    what="unknown variable",
                    found=name,
                    needed=f"{near}, perhaps" if near else "a variable that a role of this collection has",
                    remedy="correct the name, or list it in host_foreign_variables if another role uses it",
                )
            )
    return problems


def check_values(values: Mapping[str, Mapping[str, Any]], catalogue: Catalogue) -> list[Problem]:
    """Report values that a role would refuse by its argument_specs, for all roles together.

    Parameters
    ----------
    values : mapping
        Hosts and the options of roles that are set for each.
    catalogue : Catalogue
        What the options may be.
    """
    holders: dict[tuple[str, str], list[str]] = {}
    for host, its in values.items():
        for name, value in its.items():
            validated = ArgumentSpecValidator({name: catalogue.options[name]}).validate({name: value})
            for message in validated.error_messages or _content_problems(name, validated.validated_parameters[name], its):
                holders.setdefault((name, message), []).append(host)
    return [
        Problem(
            host="all hosts" if len(hosts) == len(values) else ", ".join(hosts),
            what=f"value of {name}",
            found="one that is refused, and not shown" if _has_secret(catalogue.options[name]) else message,
            needed=_kind(catalogue.options[name]),
            remedy="correct it where it is set: inventory, group_vars, host_vars, or -e",
        )
        for (name, message), hosts in sorted(holders.items())
    ]


def _content_problems(name: str, value: Any, others: Mapping[str, Any]) -> list[str]:
    """Return what a role would refuse of a value that has the right type."""
    try:
        if value is not None and name in _CONTENT and _is_read(name, others):
            _CONTENT[name](value)
    except NodewiseError as error:
        return [str(error)]
    return []


def _is_read(name: str, others: Mapping[str, Any]) -> bool:
    """Return whether a role looks at an option at all, by what else is set for the host."""
    return all(others.get(f"{prefix}state", state) == "present" for prefix, state in _OPTIONAL.items() if name.startswith(prefix))


def _check_flags(arguments: list[str]) -> None:
    problems = translate_flags(arguments, "kubelet_extra_args").problems
    if problems:
        raise NodewiseError("; ".join(problems))


_OPTIONAL = {"metrics_server_": "present", "monitoring_": "absent"}
"""Prefixes of roles whose settings nobody reads unless their state is V(present), and the state by default."""
_CONTENT: Mapping[str, Callable[[Any], object]] = {
    "containerd_config_extra": refuse_old_names,
    "containerd_registry_mirrors": lambda mirrors: check_mirrors([mirror_of(mirror) for mirror in mirrors]),
    "kubeadm_control_plane_labels": check_registration_labels,
    "kubeadm_worker_labels": check_registration_labels,
    "kubeadm_worker_taints": check_taints,
    "kubelet_extra_args": _check_flags,
    **{f"metrics_server_{name}": partial(check_option, name) for name in ("image", "replicas", "cpu_request", "memory_request", "resolution", "timeout")},
    **{
        f"monitoring_{name}": partial(check_setting, name)
        for name in ("operator_version", "prometheus_version", "missing_minutes", "retention_days", "storage_gib", "memory_mib")
    },
    "monitoring_certificate_days": check_days,
}
"""Options whose roles look at their content, and would do so only after other hosts and roles have changed something."""


def _has_secret(option: Mapping[str, Any]) -> bool:
    return bool(option.get("no_log")) or any(map(_has_secret, (option.get("options") or {}).values()))


def _kind(option: Mapping[str, Any]) -> str:
    choices = option.get("choices")
    if choices:
        return f"one of {', '.join(map(str, choices))}"
    elements = f" of {option['elements']}" if option.get("elements") else ""
    return f"a value of type {option.get('type', 'str')}{elements}"
