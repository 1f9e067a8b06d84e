# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the autoscaler is and does: cluster-autoscaler's own status, the provider's records, and the Nodes, read at one moment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import NodewiseError
from ..kube.kubectl import Kubectl
from ..kubeadm.nodes import Node, list_nodes
from ..verify.result import CLUSTER, FAIL, OK, UNKNOWN, WARN, Result
from .flags import NAMESPACE
from .manifests import NAME, STATUS

PROVIDER_NAMESPACE = "nodewise-system"
PROVIDER_NAME = "nodewise-autoscaler"
"""Of the provider's ConfigMap of records and of its Lease."""
GROUP = "autoscaler.group."
"""With this the name of a group's check begins."""
_HEALTH = "autoscaler.health"
_RECORDS = "hosts.json"
_WANTED = ("joining", "joined")


@dataclass(frozen=True)
class Seen:
    """What was read.

    Parameters
    ----------
    status : Mapping, optional
        C(data.status) of cluster-autoscaler's ConfigMap, parsed; None if there is none.
    deployment : Mapping, optional
        cluster-autoscaler's Deployment; None if there is none.
    records : Mapping
        The provider's, by node name; a host without one is prepared.
    leader : str
        Who holds the provider's Lease; empty for nobody.
    nodes : Mapping
        The Nodes by name.
    """

    status: Mapping[str, Any] | None
    deployment: Mapping[str, Any] | None
    records: Mapping[str, Mapping[str, Any]]
    leader: str
    nodes: Mapping[str, Node]


def read(kubectl: Kubectl) -> Seen:
    """Read all of it.

    Raises
    ------
    NodewiseError
        The API server does not answer, or an object is not what its writer writes.
    """
    status = kubectl.get("configmap", STATUS, f"--namespace={NAMESPACE}")
    records = kubectl.get("configmap", PROVIDER_NAME, f"--namespace={PROVIDER_NAMESPACE}")
    lease = kubectl.get("lease", PROVIDER_NAME, f"--namespace={PROVIDER_NAMESPACE}")
    return Seen(
        status=parse_status((status.get("data") or {}).get("status", "")) if status else None,
        deployment=kubectl.get("deployment", NAME, f"--namespace={NAMESPACE}"),
        records=_parse_records((records or {}).get("data") or {}),
        leader=((lease or {}).get("spec") or {}).get("holderIdentity") or "",
        nodes=list_nodes(kubectl),
    )


def parse_status(text: str) -> Mapping[str, Any]:
    """Parse what cluster-autoscaler writes (YAML since 1.30, clusterstate/api/types.go).

    Raises
    ------
    NodewiseError
        It is no YAML mapping.
    """
    import yaml

    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise NodewiseError(f"The ConfigMap {NAMESPACE}/{STATUS} is not YAML: {error}.") from error
    if not isinstance(found, dict) or "autoscalerStatus" not in found:
        raise NodewiseError(f"The ConfigMap {NAMESPACE}/{STATUS} is not what cluster-autoscaler 1.30 and newer writes.")
    return found


def describe(seen: Seen, groups: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return what is to be known of the autoscaler.

    Parameters
    ----------
    seen : Seen
        What was read.
    groups : Mapping
        The provider's groups: C({name: {min, max, hosts: {node name: ...}}}).
    """
    return {
        "autoscaler": _autoscaler(seen),
        "provider": {"leader": seen.leader or None},
        "groups": {name: _group(seen, group, _status_of_group(seen.status, name)) for name, group in groups.items()},
    }


def checks(found: Mapping[str, Any]) -> list[Result]:
    """Return what is to be said of it, for the table of module verify_cluster.

    Parameters
    ----------
    found : Mapping
        From :func:`describe`.
    """
    return [_health(found), *(_check_group(name, group) for name, group in found["groups"].items())]


def _health(found: Mapping[str, Any]) -> Result:
    autoscaler, leader = found["autoscaler"], found["provider"]["leader"]
    scale = ", ".join(f"{what.replace('_', '-')} {autoscaler[what]['status']}" for what in ("scale_up", "scale_down") if autoscaler[what]["status"])
    running = f"cluster-autoscaler {autoscaler['health'] or autoscaler['status'] or 'without a status'}{f' ({scale})' if scale else ''}"
    observed = f"{running if autoscaler['deployed'] else 'cluster-autoscaler not deployed'}, provider {leader or 'of nobody'}"
    expected = "cluster-autoscaler Healthy, and a provider that leads"
    if not leader:
        return Result(_HEALTH, CLUSTER, FAIL, expected, observed, "journalctl -u nodewise-autoscaler on the control plane")
    if not autoscaler["deployed"]:
        hint = "its image is to be had from a mirror or the official registry only; until then nobody asks for hosts"
        return Result(_HEALTH, CLUSTER, WARN, expected, observed, hint)
    hint = "kubectl -n kube-system logs deployment/cluster-autoscaler; kubectl -n kube-system get configmap cluster-autoscaler-status -o yaml"
    if not autoscaler["available"] or autoscaler["health"] not in ("Healthy", None):
        return Result(_HEALTH, CLUSTER, FAIL, expected, observed, hint)
    # A new one has no status yet.
    return Result(_HEALTH, CLUSTER, OK if autoscaler["health"] else UNKNOWN, expected, observed, "" if autoscaler["health"] else hint)


def _check_group(name: str, group: Mapping[str, Any]) -> Result:
    observed = f"ready {group['ready']}, target {group['target']}, min {group['min']}, max {group['max']}, standby {len(group['standby'])}"
    wrong = [f"{host} has the providerID {provider!r}" for host, provider in group["foreign"].items()]
    if group["target"] < group["min"]:
        wrong.append("the target is below the minimum")
    failed = [f"{host} has failed: {reason}" for host, reason in group["failed"].items()]
    status = FAIL if wrong else WARN if failed else OK
    hint = "; ".join([*wrong, *failed])
    return Result(f"{GROUP}{name}", CLUSTER, status, f"ready = target, {group['min']} to {group['max']}, no host failed", observed, hint)


def _autoscaler(seen: Seen) -> dict[str, Any]:
    wide = (seen.status or {}).get("clusterWide") or {}
    container = ((((seen.deployment or {}).get("spec") or {}).get("template") or {}).get("spec") or {}).get("containers") or [{}]
    return {
        "deployed": seen.deployment is not None,
        "available": ((seen.deployment or {}).get("status") or {}).get("availableReplicas", 0) > 0,
        "image": container[0].get("image"),
        "status": (seen.status or {}).get("autoscalerStatus"),
        "health": (wide.get("health") or {}).get("status"),
        "last_probe": _text((wide.get("health") or {}).get("lastProbeTime")),
        "scale_up": {"status": (wide.get("scaleUp") or {}).get("status"), "since": _text((wide.get("scaleUp") or {}).get("lastTransitionTime"))},
        "scale_down": {"status": (wide.get("scaleDown") or {}).get("status"), "since": _text((wide.get("scaleDown") or {}).get("lastTransitionTime"))},
    }


def _group(seen: Seen, group: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    hosts = group["hosts"]
    states = {name: str(seen.records.get(name, {}).get("state", "prepared")) for name in hosts}
    return {
        "min": group["min"],
        "max": group["max"],
        "target": sum(state in _WANTED or bool(seen.records.get(name, {}).get("again")) for name, state in states.items()),
        "ready": sum(name in seen.nodes and seen.nodes[name].ready for name in hosts),
        "standby": [name for name, state in states.items() if state == "prepared" and name not in seen.nodes],
        "hosts": states,
        "failed": {name: str(seen.records[name].get("reason") or "no reason given") for name, state in states.items() if state == "failed"},
        "foreign": {
            name: seen.nodes[name].provider_id for name, host in hosts.items() if name in seen.nodes and seen.nodes[name].provider_id != host["provider_id"]
        },
        "autoscaler_health": (said.get("health") or {}).get("status"),
        "autoscaler_target": (said.get("health") or {}).get("cloudProviderTarget"),
    }


def _status_of_group(status: Mapping[str, Any] | None, name: str) -> Mapping[str, Any]:
    found: list[Mapping[str, Any]] = [one for one in (status or {}).get("nodeGroups") or [] if one.get("name") == name]
    return found[0] if found else {}


def _parse_records(data: Mapping[str, str]) -> Mapping[str, Mapping[str, Any]]:
    try:
        found = json.loads(data.get(_RECORDS) or "{}")
    except ValueError as error:
        raise NodewiseError(f"The ConfigMap {PROVIDER_NAMESPACE}/{PROVIDER_NAME} is not JSON: {error}.") from error
    return found if isinstance(found, dict) else {}


def _text(value: Any) -> str | None:
    # YAML makes a time of what looks like one.
    return None if value is None else value.isoformat() if hasattr(value, "isoformat") else str(value)
