# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The node groups as the inventory gives them: checked from variables alone, so that a mistake is told before a host is touched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..errors import NodewiseError
from ..kubeadm.names import check_cluster_name, check_node_name, check_registration_labels, check_taints, provider_id
from ..kubelet.legacy import nearest

STANDBY = "standby"
OTHERS = ("control_plane", "workers")
_FIELDS = ("min", "max", "labels", "taints")


def check_groups(groups: Any, inventory: Mapping[str, Sequence[str]], node_names: Mapping[str, str], cluster_name: str) -> dict[str, Any]:
    """Return the node groups, whole: C({name: {min, max, labels, taints, hosts: {inventory name: {node_name, provider_id}}}}).

    Parameters
    ----------
    groups : Mapping
        C({inventory group: {min, max, labels, taints}}); what is left out is 0, all hosts, and none.
    inventory : Mapping
        The inventory's hosts by group.
    node_names : Mapping
        Name of the Node that a host becomes, by inventory name.
    cluster_name : str
        Of which a providerID is made.

    Raises
    ------
    NodewiseError
        With every mistake in it.
    """
    problems = list(_problems(groups, inventory, node_names, cluster_name))
    if problems:
        raise NodewiseError(f"Nothing was changed, for autoscaler_groups is wrong: {' '.join(problems)}")
    return {
        name: {
            "min": (group or {}).get("min", 0),
            "max": (group or {}).get("max", len(inventory[name])),
            "labels": (group or {}).get("labels") or {},
            "taints": (group or {}).get("taints") or [],
            "hosts": {host: {"node_name": node_names[host], "provider_id": provider_id(cluster_name, node_names[host])} for host in inventory[name]},
        }
        for name, group in groups.items()
    }


def _problems(groups: Any, inventory: Mapping[str, Sequence[str]], node_names: Mapping[str, str], cluster_name: str) -> Iterator[str]:
    if not isinstance(groups, Mapping) or not groups:
        yield f"It is {groups!r}; give groups of the inventory, as {{standby: {{min: 0, max: 2}}}}."
        return
    yield from _refusal("", check_cluster_name, cluster_name)
    owner: dict[str, str] = {}
    nodes: dict[str, str] = {}
    for name, group in groups.items():
        if name not in inventory:
            yield f"{name}: there is no such group in the inventory{nearest(str(name), list(inventory))}."
            continue
        if not (group is None or isinstance(group, Mapping)):
            yield f"{name}: it is {group!r}, not a mapping of {', '.join(_FIELDS)}."
            continue
        yield from _group_problems(name, group or {}, len(inventory[name]))
        for host in inventory[name]:
            if host in owner:
                yield f"{name}: {host} is in {owner[host]} already; a host is in one group."
                continue
            owner[host] = name
            yield from _host_problems(name, host, node_names[host], inventory)
            if node_names[host] in nodes:
                yield f"{name}: {host} and {nodes[node_names[host]]} would both be the Node {node_names[host]}."
            nodes[node_names[host]] = host


def _host_problems(group: str, host: str, node_name: str, inventory: Mapping[str, Sequence[str]]) -> Iterator[str]:
    if host not in inventory.get(STANDBY, ()):
        yield f"{group}: {host} is not in the inventory's group {STANDBY}, whose hosts site.yml prepares."
    for other in OTHERS:
        if host in inventory.get(other, ()):
            yield f"{group}: {host} is in {other}, too; the autoscaler would remove a node that is meant to stay."
    yield from _refusal(f"{group}: {host} can have no providerID: ", check_node_name, node_name)


def _group_problems(name: str, group: Mapping[str, Any], hosts: int) -> Iterator[str]:
    for key in group:
        if key not in _FIELDS:
            yield f"{name}: {key} is not known{nearest(str(key), _FIELDS)}."
    if not hosts:
        yield f"{name}: the group has no hosts."
        return
    least, most = group.get("min", 0), group.get("max", hosts)
    if any(isinstance(value, bool) or not isinstance(value, int) for value in (least, most)):
        yield f"{name}: min is {least!r} and max is {most!r}; both are whole numbers."
    elif not 0 <= least <= most <= hosts:
        yield f"{name}: min is {least}, max is {most} and there are {hosts} hosts; 0 <= min <= max <= hosts is needed."
    labels, taints = group.get("labels") or {}, group.get("taints") or []
    if isinstance(labels, Mapping):
        yield from _refusal(f"{name}: ", check_registration_labels, labels)
    else:
        yield f"{name}: labels is {labels!r}, not a mapping."
    if isinstance(taints, Sequence) and not isinstance(taints, str) and all(isinstance(taint, Mapping) for taint in taints):
        yield from _refusal(f"{name}: ", check_taints, taints)
    else:
        yield f"{name}: taints is {taints!r}, not a list of key, value and effect."


def _refusal(place: str, check: Any, value: Any) -> Iterator[str]:
    try:
        check(value)
    except NodewiseError as error:
        yield f"{place}{error}" if str(error).endswith(".") else f"{place}{error}."
