# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Three-way merge of a KubeletConfiguration, and its text.

kubeadm writes fields of its own into the same document, and people edit it. So what is
wanted is laid over what is there, and only what we set before and no longer want goes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import NodewiseError
from ..kube.quantity import parse_quantity
from ..plain import plain
from . import schema
from .values import parse_duration

# Fields that kubeadm always sets: without a value to go back to they stay rather than go
# (a kubelet without clusterDNS starts pods that cannot resolve names).
KUBEADM_SETS = frozenset(
    {
        "authentication",
        "authorization",
        "cgroupDriver",
        "clusterDNS",
        "clusterDomain",
        "containerRuntimeEndpoint",
        "healthzBindAddress",
        "healthzPort",
        "rotateCertificates",
        "staticPodPath",
    }
)

# Texts that PyYAML leaves bare and Go's reader of YAML 1.1 takes for numbers or truth values: 1e3, y.
_AMBIGUOUS = re.compile(r"[-+.\d][-+.,:_\dxXoO a-fA-F]*|[yYnN]")


def merge(live: Mapping[str, Any], last: Mapping[str, Any], wanted: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    """Lay what is wanted over what is there.

    Parameters
    ----------
    live : Mapping
        What is there.
    last : Mapping
        What we wanted the last time.
    wanted : Mapping
        What we want now.
    base : Mapping
        Values that fields go back to when they are no longer wanted; fields without one are removed.
    """
    # Nothing to go back to: keep what the kubelet cannot do without.
    kept = {name: live[name] for name in KUBEADM_SETS & live.keys() - base.keys()}
    return _merge(live, last, wanted, {**kept, **base}, schema.FIELDS)


def union(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Return all keys of both, at every depth; the second's values win."""
    result: dict[str, Any] = plain(first)
    for name, value in second.items():
        result[name] = union(_mapping(result.get(name)), value) if isinstance(value, Mapping) else plain(value)
    return result


def same(kind: schema.Kind, name: str, left: Any, right: Any) -> bool:
    """Whether two values of a field mean the same to the kubelet; None is a field that is not there."""
    if left is None or right is None:
        present = right if left is None else left
        return present is None or _is_unset(kind, name, present)
    if isinstance(kind, Mapping) and isinstance(left, Mapping) and isinstance(right, Mapping):
        return all(same(kind.get(key), key, left.get(key), right.get(key)) for key in left.keys() | right.keys())
    if isinstance(kind, list) and isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(same(kind[0], name, one, other) for one, other in zip(left, right, strict=True))
    try:
        if kind in (schema.DURATION, schema.LOG_DURATION):
            return _nanoseconds(left) == _nanoseconds(right)
        if kind == schema.QUANTITIES:
            return {key: parse_quantity(str(item)) for key, item in left.items()} == {key: parse_quantity(str(item)) for key, item in right.items()}
    except (ValueError, AttributeError):
        return bool(left == right)
    return type(left) is type(right) and bool(left == right)


def differences(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Return a line for each wanted field that has another value.

    Parameters
    ----------
    wanted : Mapping
        Fields of a KubeletConfiguration: what was asked for, or a node's file. A value that means "unset" to the kubelet asks for nothing.
    found : Mapping
        The same, as it is: what a kubelet's /configz says, with its defaults filled in. Fields that are not wanted do not matter.
    """
    return list(_differences(wanted, found, schema.FIELDS, ""))


def load(text: str, place: str) -> dict[str, Any]:
    """Return the mapping that a YAML text holds.

    Raises
    ------
    NodewiseError
        It is not YAML, or not a mapping.
    """
    import yaml

    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise NodewiseError(f"{place} is not YAML: {error}.", "restore it, or write it anew with `kubeadm upgrade node phase kubelet-config`") from error
    if not isinstance(found, dict):
        raise NodewiseError(f"{place} holds no mapping but {type(found).__name__}.", "write it anew with `kubeadm upgrade node phase kubelet-config`")
    return found


def dump(document: Mapping[str, Any]) -> str:
    """Return the document as YAML that Go's reader takes for the same."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """A dumper whose ways with texts are changed."""

    def represent(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if _AMBIGUOUS.fullmatch(text) else None)

    Dumper.add_representer(str, represent)
    return str(yaml.dump(dict(document), Dumper=Dumper, default_flow_style=False, sort_keys=True, allow_unicode=True, width=10**6))


def _merge(live: Mapping[str, Any], last: Mapping[str, Any], wanted: Mapping[str, Any], base: Mapping[str, Any], kind: schema.Kind) -> dict[str, Any]:
    result: dict[str, Any] = plain(live)
    for name in last.keys() - wanted.keys():
        if isinstance(last[name], Mapping) and isinstance(live.get(name), Mapping):
            result[name] = _merge(live[name], last[name], {}, _mapping(base.get(name)), _inner(kind, name))
        elif name in base:
            result[name] = plain(base[name])
        else:
            result.pop(name, None)
        if result.get(name) == {}:
            del result[name]
    for name, value in wanted.items():
        if isinstance(value, Mapping):
            result[name] = _merge(_mapping(live.get(name)), _mapping(last.get(name)), value, _mapping(base.get(name)), _inner(kind, name))
        elif not same(_inner(kind, name), name, live.get(name), value):
            result[name] = plain(value)
    return result


def _differences(wanted: Mapping[str, Any], found: Mapping[str, Any], kind: schema.Kind, path: str) -> Iterator[str]:
    for name, value in wanted.items():
        inner, where = _inner(kind, name), f"{path}.{name}" if path else name
        if isinstance(value, Mapping) and isinstance(found.get(name), Mapping):
            yield from _differences(value, found[name], inner, where)
        elif (isinstance(value, bool) or not _is_unset(inner, name, value)) and not same(inner, name, found.get(name), value):
            yield f"{where} is {found.get(name)!r}, wanted {value!r}"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _inner(kind: schema.Kind, name: str) -> schema.Kind:
    return kind.get(name) if isinstance(kind, Mapping) else None


def _is_unset(kind: schema.Kind, name: str, value: Any) -> bool:
    # What kubeadm drops when it writes the document (omitempty), and zero durations, which it writes out.
    if name in schema.UNSET_AT_ZERO:
        return not value
    if kind in (schema.DURATION, schema.LOG_DURATION):
        return value in (0, "0", "0s")
    return value in ("", [], {}) and name != "resolvConf"


def _nanoseconds(value: Any) -> int:
    return value if isinstance(value, int) else parse_duration(str(value))
