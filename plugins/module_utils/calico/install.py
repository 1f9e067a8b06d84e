# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring a cluster's Calico to the operator's settings: what differs, and doing it."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import NodewiseError
from ..files import read_text, write_atomic
from ..kube.kubectl import Kubectl
from .calicoctl import CONFIG_PATH, Calicoctl, config_text
from .manifest import Document, crd_names, edit_manifest, felix_environment, load_manifest
from .resources import POOL, Plan, Record, Specs, differing, kinds_to_read, make_plan, wanted_resources
from .rollout import NAMESPACE
from .settings import Settings

RECORD_PATH = "/var/lib/nodewise/state/calico.json"
_OPERATOR_CRD = "installations.operator.tigera.io"
_POOL_CRD = "ippools.crd.projectcalico.org"


@dataclass(frozen=True)
class Paths:
    """Files on the control-plane host."""

    manifest: str
    record: str = RECORD_PATH
    config: str = CONFIG_PATH


@dataclass
class Changes:
    """What differs from the settings, and with it what has to be done.

    Attributes
    ----------
    config : tuple of str
        calicoctl's configuration file as it is (empty if there is none) and as it shall be; equal if nothing is to be done.
    objects : list of dict
        The edited manifest if any of it differs, else empty.
    objects_diff : str
        What applying the objects would change, for a person.
    plan : Plan
        Calico's own resources.
    restart_pods : list of str
        calico-node pods to delete, so that their successors write the CNI configuration again.
    """

    config: tuple[str, str]
    objects: list[Document] = field(default_factory=list)
    objects_diff: str = ""
    plan: Plan = field(default_factory=Plan)
    restart_pods: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether anything is to be done."""
        return bool(self.actions())

    def actions(self) -> list[str]:
        """Return what is to be done, in order, for a person."""
        return [
            *([f"write {CONFIG_PATH}"] if self.config[0] != self.config[1] else []),
            *([f"apply the manifest ({', '.join(_changed_objects(self.objects_diff))})"] if self.objects else []),
            *[f"delete {kind} {name}" for kind, name in self.plan.delete],
            *[f"{'change' if key in self.plan.before else 'create'} {key[0]} {key[1]}" for key in self.plan.apply],
            *[f"restart pod {pod}, since its node has lost its CNI configuration" for pod in self.restart_pods],
        ]

    def diff(self) -> list[dict[str, str]]:
        """Return the changes in Ansible's form of a diff."""
        parts = [_difference(CONFIG_PATH, self.config[0], self.config[1])]
        parts += [_difference(f"{kind} {name}", _pretty(self.plan.before[kind, name]), "") for kind, name in self.plan.delete]
        parts += [_difference(f"{key[0]} {key[1]}", _pretty(self.plan.before.get(key)), _pretty(spec)) for key, spec in self.plan.apply.items()]
        parts = [part for part in parts if part["before"] != part["after"]]
        return parts + ([{"prepared": self.objects_diff}] if self.objects_diff else [])


class Installer:
    """Compare and apply, on a control-plane host.

    Parameters
    ----------
    settings : Settings
        Settings without problems.
    paths : Paths
        Files on this host.
    kubectl, calicoctl
        The clients.
    """

    def __init__(self, settings: Settings, paths: Paths, kubectl: Kubectl, calicoctl: Calicoctl) -> None:
        self._settings = settings
        self._paths = paths
        self._kubectl = kubectl
        self._calicoctl = calicoctl

    def compare(self, nodes_without_cni: Sequence[str]) -> Changes:
        """Ask the cluster what differs. Nothing is changed.

        Parameters
        ----------
        nodes_without_cni : sequence of str
            Nodes whose /etc/cni/net.d lacks Calico's files.

        Raises
        ------
        NodewiseError
            The manifest is missing or of another version, another way of installing Calico is in use,
            a live pool differs in what cannot be changed, or a client fails.
        """
        text = read_text(self._paths.manifest)
        if text is None:
            raise NodewiseError(f"There is no Calico manifest at {self._paths.manifest}.", "run the artifacts role first")
        objects = edit_manifest(load_manifest(text), self._settings)
        self._check_felix(objects)
        wanted = wanted_resources(self._settings)
        changes = Changes(config=(read_text(self._paths.config) or "", config_text()))
        if self._is_fresh():
            changes.objects = objects
            changes.objects_diff = f"all {len(objects)} objects are new\n"
            changes.plan = make_plan(wanted, {}, {})
            return changes
        # The pools first: if they cannot be what is wanted, nothing is to be touched.
        record = self._read_record()
        changes.plan = make_plan(wanted, self._calicoctl.read(kinds_to_read(wanted, record)), record)
        self._check_deletions(changes.plan)
        changes.objects_diff = self._kubectl.diff(objects)
        changes.objects = objects if changes.objects_diff else []
        changes.restart_pods = self._pods_to_restart(nodes_without_cni)
        return changes

    def apply(self, changes: Changes) -> None:
        """Carry the changes out.

        Raises
        ------
        NodewiseError
            A client fails, or Calico stores a field otherwise than the settings say it.
        """
        if changes.config[0] != changes.config[1]:
            write_atomic(self._paths.config, changes.config[1])
        if changes.objects:
            self._kubectl.apply(changes.objects)
        plan = changes.plan
        if plan.apply or plan.delete:
            if changes.objects:
                names = [f"crd/{name}" for name in crd_names(changes.objects)]
                self._kubectl.run(["wait", "--for=condition=Established", "--timeout=60s", *names])
            # Written first with all that we may own then: a run killed in between leaves nothing unowned.
            self._write_record(_union(self._read_record(), plan.record))
            self._calicoctl.delete(plan.delete)
            self._calicoctl.apply(plan.apply)
            self._check_stored(plan.apply)
        self._write_record(plan.record)
        if changes.restart_pods:
            self._kubectl.run(["-n", NAMESPACE, "delete", "pod", "--ignore-not-found", "--wait=false", *changes.restart_pods])

    def _is_fresh(self) -> bool:
        """Return whether this cluster never had Calico; refuse one that another installer looks after."""
        answer = self._kubectl.get("crd", _OPERATOR_CRD, _POOL_CRD) or {"items": []}
        names = {item["metadata"]["name"] for item in answer.get("items", [answer])}
        if _OPERATOR_CRD in names:
            raise NodewiseError(
                f"This cluster has the Tigera operator (CustomResourceDefinition {_OPERATOR_CRD}), which installs Calico in its own way.",
                "leave Calico to the operator (drop this role), or remove the operator and what it installed first",
            )
        return _POOL_CRD not in names

    def _check_felix(self, objects: Sequence[Document]) -> None:
        shadowed = sorted(name for name in self._settings.felix_configuration if name.lower() in felix_environment(objects))
        if shadowed:
            raise NodewiseError(
                f"calico_felix_configuration sets {', '.join(shadowed)}, but calico-node has it as an environment variable, which wins.",
                "set it in calico_felix_env (FELIX_ and the name in capitals), calico_iptables_backend or calico_mtu instead",
            )

    def _check_deletions(self, plan: Plan) -> None:
        pools = [name for kind, name in plan.delete if kind == POOL]
        if not pools:
            return
        blocks = (self._kubectl.get("ipamblocks.crd.projectcalico.org") or {"items": []})["items"]
        for name in pools:
            network = ipaddress.IPv4Network(plan.before[POOL, name]["cidr"])
            pods = [pod for block in blocks for pod in _block_pods(block, network)]
            if pods:
                raise NodewiseError(
                    f"The IPPool {name} ({network}) is no longer in calico_ip_pools, but {len(pods)} pods have addresses of it, such as {pods[0]}.",
                    "put it back with disabled: true, restart these pods so that they get addresses of another pool, then remove it",
                )

    def _check_stored(self, applied: Specs) -> None:
        stored = self._calicoctl.read(sorted({kind for kind, _name in applied}))
        for (kind, name), spec in applied.items():
            have = stored.get((kind, name), {})
            for field_name in set(differing(kind, spec, have)) & spec.keys():
                raise NodewiseError(
                    f"Calico stores {field_name} of {kind} {name} as {have.get(field_name)!r}, not as {spec[field_name]!r}, so every run would change it.",
                    "write the value as Calico stores it",
                )

    def _pods_to_restart(self, nodes: Sequence[str]) -> list[str]:
        if not nodes:
            return []
        answer = self._kubectl.get("-n", NAMESPACE, "pods", "-l", "k8s-app=calico-node") or {"items": []}
        return [pod["metadata"]["name"] for pod in answer["items"] if pod["spec"].get("nodeName") in nodes and _has_installed_cni(pod)]

    def _read_record(self) -> Record:
        text = read_text(self._paths.record)
        record: Record = json.loads(text) if text else {}
        return record

    def _write_record(self, record: Record) -> None:
        if record != self._read_record():
            write_atomic(self._paths.record, json.dumps(record, indent=1, sort_keys=True) + "\n")


def _changed_objects(diff: str) -> list[str]:
    """Return the names of what a diff of kubectl is about; the text itself where it is none."""
    return re.findall(r"^diff .*/(\S+)$", diff, re.MULTILINE) or [diff.strip()]


def version_problem(calicoctl: Calicoctl) -> str:
    """Say how calicoctl's version differs from the cluster's (which it would refuse to work with); empty if it does not."""
    client, cluster = calicoctl.versions()
    if not cluster or client.partition("-")[0] == cluster.partition("-")[0]:
        return ""
    return f"calicoctl is version {client or 'unknown'}, but this cluster runs Calico {cluster}."


def _has_installed_cni(pod: dict[str, Any]) -> bool:
    """Return whether the pod has written the CNI configuration; one that has not will do so by itself."""
    return any(
        container["name"] == "install-cni" and container.get("state", {}).get("terminated", {}).get("exitCode") == 0
        for container in pod.get("status", {}).get("initContainerStatuses", [])
    )


def _block_pods(block: dict[str, Any], network: ipaddress.IPv4Network) -> list[str]:
    """Return the pods that hold addresses of an IPAM block, if it is of this network (tunnel addresses have no pod)."""
    cidr = ipaddress.ip_network(block["spec"]["cidr"])
    if not isinstance(cidr, ipaddress.IPv4Network) or not cidr.subnet_of(network):
        return []
    owners = [attribute.get("secondary") or {} for attribute in block["spec"].get("attributes") or []]
    return [f"{owner['namespace']}/{owner['pod']}" for owner in owners if "pod" in owner]


def _union(one: Record, other: Record) -> Record:
    return {key: sorted({*one.get(key, []), *other.get(key, [])}) for key in one.keys() | other.keys()}


def _pretty(spec: dict[str, Any] | None) -> str:
    return "" if spec is None else json.dumps(spec, indent=2, sort_keys=True) + "\n"


def _difference(name: str, before: str, after: str) -> dict[str, str]:
    return {"before_header": name, "after_header": name, "before": before, "after": after}
