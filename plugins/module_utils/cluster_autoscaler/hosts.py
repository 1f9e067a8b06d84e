# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The provider's groups from what the inventory says and what the hosts have shown; a host that could not be asked keeps what was known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import NodewiseError
from ..kubeadm.nodes import Node
from ..standby.capacity import allocatable, with_pods


@dataclass
class Result:
    """What came of it.

    Parameters
    ----------
    groups : dict
        As the provider's configuration has them.
    host_keys : dict
        Host key by address; None for a host that could not be asked.
    left_out : list of str
        Hosts that have never been asked, so they are in no group yet.
    """

    groups: dict[str, Any] = field(default_factory=dict)
    host_keys: dict[str, str | None] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


def build_groups(
    groups: Mapping[str, Mapping[str, Any]], shown: Mapping[str, Mapping[str, Any]], before: Mapping[str, Any], kubelet: Mapping[str, Any]
) -> Result:
    """Return the provider's groups.

    Parameters
    ----------
    groups : Mapping
        From :func:`.groups.check_groups`.
    shown : Mapping
        By inventory name, what module C(standby) returned and what the inventory says beside: C(address), C(arch), C(capacity),
        C(host_key), C(power_on), C(power_off), C(power_timeout_seconds). A host that was not asked is missing.
    before : Mapping
        The groups of the provider's configuration as it is.
    kubelet : Mapping
        The KubeletConfiguration with which hosts join.

    Raises
    ------
    NodewiseError
        A quantity of the KubeletConfiguration is not understood.
    """
    known = {name: host for group in before.values() for name, host in group["hosts"].items()}
    result = Result()
    for group_name, group in groups.items():
        hosts = {}
        for inventory_name, host in group["hosts"].items():
            name, now = host["node_name"], shown.get(inventory_name)
            if now is None:
                if name not in known or known[name]["provider_id"] != host["provider_id"]:
                    result.left_out.append(inventory_name)
                    continue
                hosts[name] = known[name]
                result.host_keys[known[name]["address"]] = None
                continue
            capacity = with_pods(now["capacity"], kubelet)
            hosts[name] = {
                "address": now["address"],
                "provider_id": host["provider_id"],
                "arch": now["arch"],
                "capacity": capacity,
                "allocatable": allocatable(capacity, kubelet),
                **{key: now[key] for key in ("power_on", "power_off", "power_timeout_seconds") if now.get(key)},
            }
            result.host_keys[now["address"]] = now.get("host_key") or None
        result.groups[group_name] = {
            "min": min(group["min"], len(hosts)),
            "max": min(group["max"], len(hosts)),
            "labels": dict(group["labels"]),
            "taints": [dict(taint) for taint in group["taints"]],
            "hosts": hosts,
        }
    return result


def check_nodes(groups: Mapping[str, Mapping[str, Any]], nodes: Mapping[str, Node]) -> None:
    """Refuse hosts whose Node has another providerID than the provider would know it by.

    Raises
    ------
    NodewiseError
        Naming them all.
    """
    wrong = [
        f"{name} has {nodes[name].provider_id or 'none'}, wanted {host['provider_id']}"
        for group in groups.values()
        for name, host in group["hosts"].items()
        if name in nodes and nodes[name].provider_id != host["provider_id"]
    ]
    if wrong:
        raise NodewiseError(
            f"Nodes of autoscaler_groups have a providerID that the autoscaler does not know: {'; '.join(wrong)}.",
            "it cannot be changed: run playbooks/reset.yml for these hosts, then site.yml",
        )
