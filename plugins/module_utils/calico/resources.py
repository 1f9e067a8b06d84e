# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calico's own resources (pools, BGP, Felix): what is wanted against what is there, as pure functions."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from ..errors import NodewiseError
from .settings import DEFAULT_POOL, Settings

# (kind, name) -> spec
Specs = dict[tuple[str, str], dict[str, Any]]
# "kind/name" -> the fields of its spec that this collection set
Record = dict[str, list[str]]

POOL, FELIX, BGP, PEER = "IPPool", "FelixConfiguration", "BGPConfiguration", "BGPPeer"
KINDS = (POOL, FELIX, BGP, PEER)
_POOL_FIXED = {"cidr": "calico_pod_cidr", "blockSize": "calico_block_size"}


@dataclass(frozen=True)
class Plan:
    """What has to be done to Calico's resources.

    Attributes
    ----------
    apply : dict
        Whole new spec of each resource that differs.
    delete : list
        Resources that we made and that are no longer wanted.
    record : dict
        What we own once the plan is carried out.
    before : dict
        The spec, as it is, of each resource in the plan.
    """

    apply: Specs = field(default_factory=dict)
    delete: list[tuple[str, str]] = field(default_factory=list)
    record: Record = field(default_factory=dict)
    before: Specs = field(default_factory=dict)


def wanted_resources(settings: Settings) -> Specs:
    """Return the fields that the settings ask for, by resource."""
    mode = {"ipipMode": settings.ipip_mode, "vxlanMode": settings.vxlan_mode}
    common = {"blockSize": settings.block_size, "natOutgoing": settings.nat_outgoing}
    wanted: Specs = {(POOL, DEFAULT_POOL): {"cidr": settings.pod_cidr, **mode, **common}}
    for entry in settings.ip_pools:
        spec = {name: value for name, value in entry.items() if name != "name"}
        if entry["name"] == DEFAULT_POOL:
            wanted[POOL, DEFAULT_POOL].update(spec)
            continue
        # A pool that names one mode means the other to be off.
        own_mode = {"ipipMode": "Never", "vxlanMode": "Never"} if mode.keys() & spec.keys() else mode
        wanted[POOL, entry["name"]] = {**own_mode, **common, **spec}
    for kind, spec in ((FELIX, settings.felix_configuration), (BGP, settings.bgp_configuration)):
        if spec:
            wanted[kind, "default"] = dict(spec)
    for entry in settings.bgp_peers:
        wanted[PEER, entry["name"]] = {name: value for name, value in entry.items() if name != "name"}
    return wanted


def kinds_to_read(wanted: Specs, record: Record) -> list[str]:
    """Return the kinds that a plan needs to know; the others need not be asked for."""
    owned = {key.partition("/")[0] for key in record}
    return [kind for kind in KINDS if kind in owned or any(kind == key[0] for key in wanted)]


def make_plan(wanted: Specs, live: Specs, record: Record) -> Plan:
    """Compare named fields and say what has to be done.

    Fields that nobody here ever named (Calico's own defaults, an operator's additions) are left alone.

    Raises
    ------
    NodewiseError
        A live pool differs in something that Calico cannot change.
    """
    plan = Plan(record={_key(kind, name): sorted(spec) for (kind, name), spec in wanted.items()})
    targets = dict(wanted)
    for key in record:
        kind, _slash, name = key.partition("/")
        if (kind, name) in targets or (kind, name) not in live:
            continue
        if kind in (FELIX, BGP):
            targets[kind, name] = {}  # Calico's own object: only our fields go.
        else:
            plan.delete.append((kind, name))
            plan.before[kind, name] = live[kind, name]
    for (kind, name), fields in targets.items():
        have = live.get((kind, name))
        if kind == POOL and have is not None:
            _check_fixed(name, fields, have)
        obsolete = set(record.get(_key(kind, name), [])) - fields.keys()
        kept = {name: value for name, value in (have or {}).items() if name not in obsolete}
        spec = {**kept, **fields}
        if have is None or differing(kind, spec, have):
            plan.apply[kind, name] = spec
            if have is not None:
                plan.before[kind, name] = have
    return plan


def differing(kind: str, wanted: dict[str, Any], have: dict[str, Any]) -> list[str]:
    """Return the names of the fields whose values mean different things."""
    return [name for name in sorted(wanted.keys() | have.keys()) if _meaning(kind, wanted.get(name)) != _meaning(kind, have.get(name))]


def _check_fixed(name: str, fields: dict[str, Any], have: dict[str, Any]) -> None:
    for field_name, variable in _POOL_FIXED.items():
        if have.get(field_name) != fields[field_name]:
            place = variable if name == DEFAULT_POOL else f"calico_ip_pools[{name}].{field_name}"
            raise NodewiseError(
                f"The live IPPool {name} has {field_name} {have.get(field_name)}, but {place} is {fields[field_name]}; Calico cannot change that of a pool.",
                f"set {place} to {have.get(field_name)}, or add a pool in calico_ip_pools and move the pods to it",
            )


def _meaning(kind: str, value: Any) -> Any:
    """Bring a value to a form in which equal meanings are equal: 60s is 1m0s, and a pool's or peer's C(false) is not stored at all."""
    if isinstance(value, dict):
        return {name: _meaning(kind, item) for name, item in value.items()}
    if isinstance(value, list):
        return [_meaning(kind, item) for item in value]
    if value is False and kind in (POOL, PEER):
        return None
    return _seconds(value) if isinstance(value, str) else value


def _seconds(text: str) -> str | float:
    """Return the seconds of a Go duration; any other text as it is."""
    if not re.fullmatch(r"(\d+(\.\d+)?(h|ms|m|s))+", text):
        return text
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
    return sum(float(number) * units[unit] for number, _fraction, unit in re.findall(r"(\d+(\.\d+)?)(h|ms|m|s)", text))


def _key(kind: str, name: str) -> str:
    return f"{kind}/{name}"
