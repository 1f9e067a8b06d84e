# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the API server, each kubelet and the cluster's DNS say."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..errors import NodewiseError
from .api import Reading
from .crictl import output_of
from .dns import Asker

CALICO_API = "/apis/crd.projectcalico.org/v1"
PATHS = {
    "readyz": "/readyz?verbose",
    "version": "/version",
    "nodes": "/api/v1/nodes",
    "leases": "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases",
    "pods": "/api/v1/namespaces/kube-system/pods",
    "deployments": "/apis/apps/v1/namespaces/kube-system/deployments",
    "dns_service": "/api/v1/namespaces/kube-system/services/kube-dns",
    "kubernetes_service": "/api/v1/namespaces/default/services/kubernetes",
    "kubeadm_config": "/api/v1/namespaces/kube-system/configmaps/kubeadm-config",
    "pools": f"{CALICO_API}/ippools",
    "blocks": f"{CALICO_API}/blockaffinities",
}


class Getter(Protocol):
    """What is needed of an :class:`.api.ApiReader`."""

    def get(self, path: str) -> Reading:
        """Read one path."""


@dataclass
class ClusterReading:
    """Everything that was read, each reading with its value or its error.

    Parameters
    ----------
    api : dict
        By the names of :data:`PATHS`.
    configz : dict
        By Node: the C(kubeletconfig) that its kubelet works with.
    dns : dict
        By server address: the addresses it gave for C(kubernetes.default).
    sandbox_image : Reading
        The sandbox image that kubeadm wants.
    now : float
        The time of this reading, seconds since 1970.
    """

    api: dict[str, Reading]
    configz: dict[str, Reading] = field(default_factory=dict)
    dns: dict[str, Reading] = field(default_factory=dict)
    sandbox_image: Reading = field(default_factory=lambda: Reading(error="not read"))
    now: float = 0.0


def read_cluster(api: Getter, ask: Asker, list_images: Callable[[str, str], str], now: float) -> ClusterReading:
    """Read the cluster; a silent API server is asked once, not a dozen times.

    Parameters
    ----------
    list_images : callable
        Given version and image repository, returns what C(kubeadm config images list) prints.
    """
    ready = api.get(PATHS["readyz"])
    if ready.status == 0:
        return ClusterReading({name: ready for name in PATHS}, now=now)
    others = [name for name in PATHS if name != "readyz"]
    with ThreadPoolExecutor(8) as pool:
        reading = ClusterReading({"readyz": ready, **dict(zip(others, pool.map(lambda name: api.get(PATHS[name]), others), strict=True))}, now=now)
        images = pool.submit(_sandbox_image, reading, list_images)
        names = [node["metadata"]["name"] for node in reading.api["nodes"].items or []]
        answers = pool.map(lambda name: _configz(api.get(f"/api/v1/nodes/{name}/proxy/configz")), names)
        reading.configz = dict(zip(names, answers, strict=True))
        servers = dns_servers(reading)
        name = f"kubernetes.default.svc.{cluster_domain(reading)}"
        reading.dns = dict(zip(servers, pool.map(lambda server: _ask(ask, server, name), servers), strict=True))
        reading.sandbox_image = images.result()
    return reading


def _configz(reading: Reading) -> Reading:
    if reading.error:
        return reading
    try:
        return Reading(reading.value["kubeletconfig"])
    except (KeyError, TypeError):
        return Reading(error="the kubelet's configz holds no kubeletconfig")


def _ask(ask: Asker, server: str, name: str) -> Reading:
    try:
        return Reading(list(ask(server, name).addresses))
    except NodewiseError as error:
        return Reading(error=error.message)


def dns_servers(reading: ClusterReading) -> list[str]:
    """Return the address of the DNS service and of each CoreDNS pod that has one."""
    service = reading.api["dns_service"]
    servers = [] if service.error else [service.value["spec"]["clusterIP"]]
    return [*servers, *(pod["status"]["podIP"] for pod in pods_of(reading, "k8s-app", "kube-dns") if pod.get("status", {}).get("podIP"))]


def cluster_domain(reading: ClusterReading) -> str:
    """Return the cluster's DNS domain as its kubelets know it."""
    domains = [item.value["clusterDomain"] for item in reading.configz.values() if not item.error and item.value.get("clusterDomain")]
    return str(domains[0]) if domains else "cluster.local"


def pods_of(reading: ClusterReading, label: str, value: str, node: str = "") -> list[dict[str, Any]]:
    """Return the pods of kube-system with a label, on one node or on all; none if they could not be read."""
    return [
        pod for pod in reading.api["pods"].items or [] if pod["metadata"].get("labels", {}).get(label) == value and node in ("", pod["spec"].get("nodeName"))
    ]


def _sandbox_image(reading: ClusterReading, list_images: Callable[[str, str], str]) -> Reading:
    version, config = reading.api["version"], reading.api["kubeadm_config"]
    for item in (version, config):
        if item.error:
            return Reading(error=item.error)
    repository = re.search(r"^imageRepository:\s*(\S+)", config.value["data"].get("ClusterConfiguration", ""), re.MULTILINE)
    try:
        return Reading(pause_of(list_images(version.value["gitVersion"], repository[1] if repository else "")))
    except NodewiseError as error:
        return Reading(error=error.message)


def pause_of(images: str) -> str:
    """Return the sandbox image from what C(kubeadm config images list) prints.

    Raises
    ------
    NodewiseError
        It lists none.
    """
    for image in images.split():
        if re.search(r"/pause[:@]", image):
            return image
    raise NodewiseError("kubeadm config images list names no pause image")


def kubeadm_images(version: str, repository: str) -> str:
    """Return what C(kubeadm config images list) prints.

    Parameters
    ----------
    version : str
        Of Kubernetes. Empty means kubeadm's own; it is always named, for otherwise kubeadm asks the network for the newest.
    repository : str
        Image repository; empty means kubeadm's default.
    """
    version = version or output_of(["kubeadm", "version", "-o", "short"]).strip()
    args = ["kubeadm", "config", "images", "list", f"--kubernetes-version={version}"]
    return output_of([*args, f"--image-repository={repository}"] if repository else args)
