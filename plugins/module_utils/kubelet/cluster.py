# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster's own copy: ConfigMap kube-system/kubelet-config, from which kubeadm configures nodes that join."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import NodewiseError
from ..kube.kubectl import Kubectl
from .merge import KUBEADM_SETS, dump, load, merge

NAME, NAMESPACE, KEY = "kubelet-config", "kube-system", "kubelet"
ANNOTATION = "nodewise.dev/kubelet-config-applied"
_PLACE = f"ConfigMap {NAMESPACE}/{NAME}"


@dataclass(frozen=True)
class ClusterPlan:
    """What separates the cluster's copy from what is wanted.

    Attributes
    ----------
    live, merged : dict
        The document as it is and as it shall be.
    wanted : dict
        What we want of it.
    last : dict
        What we wanted of it the last time.
    recorded : bool
        Whether the ConfigMap's annotation says already that we want this.
    resource_version : str
        The ConfigMap's version that was read.
    """

    live: dict[str, Any]
    merged: dict[str, Any]
    wanted: dict[str, Any]
    last: dict[str, Any]
    recorded: bool
    resource_version: str

    @property
    def differs(self) -> bool:
        """Whether the document has to be changed."""
        return self.live != self.merged

    def actions(self) -> list[str]:
        """Return what has to be done, a short phrase each."""
        if self.differs:
            return [f"update {_PLACE}"]
        return [] if self.recorded else [f"record in {_PLACE} which fields are ours"]

    def diff(self) -> list[dict[str, str]]:
        """Return the difference in the form that Ansible shows."""
        if not self.differs:
            return []
        return [{"before_header": _PLACE, "after_header": _PLACE, "before": dump(self.live), "after": dump(self.merged)}]


def plan_cluster(kubectl: Kubectl, wanted: Mapping[str, Any]) -> ClusterPlan:
    """Compare the ConfigMap with the wanted fields; changes nothing.

    Parameters
    ----------
    kubectl : Kubectl
        With a cluster administrator's kubeconfig.
    wanted : Mapping
        Fields without apiVersion and kind, from C(check_configuration).

    Raises
    ------
    NodewiseError
        The API server cannot be reached, or the ConfigMap is missing or unreadable.
    """
    found = _read(kubectl)
    live = load(found["data"][KEY], _PLACE)
    noted = found["metadata"].get("annotations", {}).get(ANNOTATION, "{}")
    try:
        last = json.loads(noted)
    except ValueError as error:
        raise NodewiseError(f"The annotation {ANNOTATION} of {_PLACE} is not JSON: {noted!r}.", "remove the annotation") from error
    base = _kubeadm_defaults(kubectl) if KUBEADM_SETS & (last.keys() - wanted.keys()) else {}
    merged = merge(live, last, wanted, base)
    return ClusterPlan(live, merged, dict(wanted), last, noted == _note(wanted), found["metadata"]["resourceVersion"])


def read_kubelet_config(kubectl: Kubectl) -> dict[str, Any]:
    """Return the KubeletConfiguration with which nodes join.

    Raises
    ------
    NodewiseError
        The API server cannot be reached, or the ConfigMap is missing or unreadable.
    """
    return load(_read(kubectl)["data"][KEY], _PLACE)


def apply_cluster(kubectl: Kubectl, plan: ClusterPlan) -> None:
    """Write the plan's document and the note of what is ours, in one request.

    Raises
    ------
    NodewiseError
        The API server refuses, or somebody else wrote the ConfigMap after it was read.
    """
    metadata = {
        "name": NAME,
        "namespace": NAMESPACE,
        # Makes the API server refuse instead of overwriting what came in between.
        "resourceVersion": plan.resource_version,
        "annotations": {ANNOTATION: _note(plan.wanted)},
    }
    kubectl.apply([{"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {KEY: dump(plan.merged)}}])


def _read(kubectl: Kubectl) -> dict[str, Any]:
    found = kubectl.get("configmap", NAME, f"--namespace={NAMESPACE}")
    if found is None or KEY not in found.get("data", {}):
        raise NodewiseError(f"{_PLACE} with the key {KEY!r} is missing.", "kubeadm init phase upload-config kubelet --config <file> on the control plane")
    return found


def _note(wanted: Mapping[str, Any]) -> str:
    return json.dumps(wanted, sort_keys=True, separators=(",", ":"))


def _kubeadm_defaults(kubectl: Kubectl) -> dict[str, Any]:
    # What kubeadm itself puts in (cmd/kubeadm/app/componentconfigs/kubelet.go, v1.37.2), for fields that we no longer set.
    found = kubectl.get("configmap", "kubeadm-config", f"--namespace={NAMESPACE}") or {}
    cluster = load(found.get("data", {}).get("ClusterConfiguration", "{}"), f"ConfigMap {NAMESPACE}/kubeadm-config")
    networking = cluster.get("networking", {})
    services = ipaddress.ip_network(networking.get("serviceSubnet", "10.96.0.0/12").split(",")[0])
    return {
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True, "cacheTTL": "0s"},
            "x509": {"clientCAFile": f"{cluster.get('certificatesDir', '/etc/kubernetes/pki')}/ca.crt"},
        },
        "authorization": {"mode": "Webhook", "webhook": {"cacheAuthorizedTTL": "0s", "cacheUnauthorizedTTL": "0s"}},
        "cgroupDriver": "systemd",
        "clusterDNS": [str(services[10])],
        "clusterDomain": networking.get("dnsDomain", "cluster.local"),
        "containerRuntimeEndpoint": "",
        "healthzBindAddress": "127.0.0.1",
        "healthzPort": 10248,
        "rotateCertificates": True,
        "staticPodPath": "/etc/kubernetes/manifests",
    }
