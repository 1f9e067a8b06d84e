"""Objects as a busy cluster has them, in the sizes that kubelets and controllers write."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

TEAM = "team-%04d"
NODE = "node-%05d"
POD = "checkout-service-7d9f8c6b5d-%06d"
TIME = "2026-11-25T16:00:00Z"
IMAGE = "registry.example.internal/shop/checkout-service-%02d@sha256:" + "0123456789abcdef" * 4
IMAGES = 50
"""The most that a kubelet tells."""

CPU_REQUEST = 350
"""Millicores of a pod: 250 of its container and 100 of its sidecar."""


@dataclass(frozen=True, eq=False)
class Kind:
    """One kind: where it is in the API and in etcd, its first object, and how many there are.

    Parameters
    ----------
    api, plural : str
        C(/api/v1) and C(pods).
    registry : str
        The key's folder in etcd.
    name : str
        With the place of a number of fixed length.
    body : dict
        The first object, in the first namespace.
    status : dict
        Written to its subresource; empty: it has none.
    namespaced : bool
        Whether it is in a namespace.
    per_namespace : int
        How many of it a namespace has; 0: the number comes from elsewhere.
    total : str
        Its number's name in the module's totals; empty: it has none.
    """

    api: str
    plural: str
    registry: str
    name: str
    body: dict[str, Any]
    status: dict[str, Any] = field(default_factory=dict)
    namespaced: bool = True
    per_namespace: int = 0
    total: str = ""

    def path(self, namespace: str) -> str:
        """Return the path of the list."""
        return f"{self.api}/namespaces/{namespace}/{self.plural}" if self.namespaced else f"{self.api}/{self.plural}"

    def key(self, namespace: str, number: int) -> str:
        """Return an object's key in etcd."""
        return f"/registry/{self.registry}/{f'{namespace}/' if self.namespaced else ''}{self.name % number}"


def node() -> dict[str, Any]:
    """Return a Node as a kubelet writes it, with its images."""
    amounts = {"cpu": "32", "memory": "134217728Ki", "pods": "110", "ephemeral-storage": "488Gi", "hugepages-1Gi": "0", "hugepages-2Mi": "0"}
    times = {"lastHeartbeatTime": TIME, "lastTransitionTime": TIME}
    kinds = {"MemoryPressure": "False", "DiskPressure": "False", "PIDPressure": "False", "Ready": "True"}
    status = {
        "capacity": amounts,
        "allocatable": amounts,
        "addresses": [{"type": "InternalIP", "address": "10.10.10.10"}, {"type": "Hostname", "address": NODE % 0}],
        "conditions": [
            {"type": kind, "status": value, "reason": f"Kubelet{kind}", "message": f"kubelet says of {kind}", **times} for kind, value in kinds.items()
        ],
        "images": [{"names": [IMAGE % index, f"registry.example.internal/shop/image-{index}:1.2.3"], "sizeBytes": 123_456_789} for index in range(IMAGES)],
        "nodeInfo": {
            "machineID": "0f2d3c6493a54dc19d0b5c3a9f2f7c11",
            "systemUUID": "0f2d3c64-93a5-4dc1-9d0b-5c3a9f2f7c11",
            "bootID": "0f2d3c64-93a5-4dc1-9d0b-5c3a9f2f7c12",
            "kernelVersion": "6.12.48+deb13-amd64",
            "osImage": "Debian GNU/Linux 13 (trixie)",
            "containerRuntimeVersion": "containerd://2.4.2",
            "kubeletVersion": "v1.37.2",
            "kubeProxyVersion": "",
            "operatingSystem": "linux",
            "architecture": "amd64",
        },
    }
    labels = {"kubernetes.io/hostname": NODE % 0, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", "topology.kubernetes.io/zone": "rack-7"}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE % 0, "labels": labels}, "spec": {"podCIDR": "10.1.2.0/24"}, "status": status}


def _container(name: str, cpu: str, **other: Any) -> dict[str, Any]:
    probe = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10}
    return {
        "name": name,
        "image": IMAGE % 1,
        "args": ["--listen=:8080", "--log-format=json", "--upstream=http://inventory.shop.svc.cluster.local:8080"],
        "env": [{"name": f"SETTING_{index}", "value": f"value-{index}"} for index in range(8)],
        "ports": [{"containerPort": 8080, "name": "http"}],
        "resources": {"requests": {"cpu": cpu, "memory": "256Mi"}, "limits": {"memory": "512Mi"}},
        "volumeMounts": [{"name": "settings", "mountPath": "/etc/checkout"}],
        "readinessProbe": probe,
        "livenessProbe": probe,
        **other,
    }


def pod() -> dict[str, Any]:
    """Return a pod with a sidecar, as a Deployment makes it."""
    spec = {
        "nodeName": NODE % 0,
        "containers": [_container("application", "250m")],
        "initContainers": [_container("proxy", "100m", restartPolicy="Always", readinessProbe=None, livenessProbe=None)],
        "volumes": [{"name": "settings", "configMap": {"name": "checkout"}}],
    }
    labels = {"app.kubernetes.io/name": "checkout", "app.kubernetes.io/instance": "checkout", "pod-template-hash": "7d9f8c6b5d"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": POD % 0, "labels": labels}, "spec": spec}


def pod_status() -> dict[str, Any]:
    """Return the status of a pod that runs, as a kubelet writes it."""

    def container(name: str, cpu: str) -> dict[str, Any]:
        requests = {"cpu": cpu, "memory": "256Mi"}
        return {
            "name": name,
            "image": IMAGE % 1,
            "imageID": IMAGE % 1,
            "containerID": "containerd://" + "fedcba9876543210" * 4,
            "ready": True,
            "started": True,
            "restartCount": 0,
            "state": {"running": {"startedAt": TIME}},
            "lastState": {},
            "allocatedResources": requests,
            "resources": {"requests": requests, "limits": {"memory": "512Mi"}},
            "volumeMounts": [{"name": "settings", "mountPath": "/etc/checkout"}],
        }

    kinds = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    return {
        "phase": "Running",
        "conditions": [{"type": kind, "status": "True", "lastTransitionTime": TIME, "observedGeneration": 1} for kind in kinds],
        "hostIP": "10.10.10.10",
        "hostIPs": [{"ip": "10.10.10.10"}],
        "podIP": "10.1.2.3",
        "podIPs": [{"ip": "10.1.2.3"}],
        "startTime": TIME,
        "qosClass": "Burstable",
        "containerStatuses": [container("application", "250m")],
        "initContainerStatuses": [container("proxy", "100m")],
    }


def _plain(kind: str, name: str, **parts: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name % 0}, **parts}


_QUOTA = {"requests.cpu": "64", "requests.memory": "256Gi", "pods": "500", "secrets": "100", "services.loadbalancers": "2", "persistentvolumeclaims": "50"}
_USED = {"requests.cpu": "35", "requests.memory": "50Gi", "pods": "100", "secrets": "10", "services.loadbalancers": "0", "persistentvolumeclaims": "3"}
_DATA = {"tls.crt": base64.b64encode(b"certificate" * 100).decode(), "tls.key": base64.b64encode(b"key" * 100).decode()}
_VOLUME = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}}
_LABELS = {"app": "checkout"}
_TEMPLATE = {"metadata": {"labels": _LABELS}, "spec": {"containers": [_container("application", "250m")], "volumes": pod()["spec"]["volumes"]}}

KINDS = (
    Kind("/api/v1", "nodes", "minions", NODE, node(), namespaced=False),
    Kind("/api/v1", "namespaces", "namespaces", TEAM, _plain("Namespace", TEAM), namespaced=False, per_namespace=1),
    Kind("/api/v1", "serviceaccounts", "serviceaccounts", "default%.0s", _plain("ServiceAccount", "default%.0s"), per_namespace=1),
    Kind("/api/v1", "pods", "pods", POD, pod(), pod_status(), total="pods"),
    Kind("/api/v1", "secrets", "secrets", "secret-%06d", _plain("Secret", "secret-%06d", data=_DATA), per_namespace=10, total="secrets"),
    Kind(
        "/api/v1",
        "services",
        "services/specs",
        "service-%06d",
        _plain("Service", "service-%06d", spec={"clusterIP": "None", "selector": _LABELS, "ports": [{"port": 80}]}),
        per_namespace=5,
    ),
    Kind(
        "/api/v1",
        "persistentvolumeclaims",
        "persistentvolumeclaims",
        "claim-%06d",
        _plain("PersistentVolumeClaim", "claim-%06d", spec=_VOLUME),
        per_namespace=3,
        total="persistent_volume_claims",
    ),
    Kind(
        "/api/v1",
        "replicationcontrollers",
        "controllers",
        "controller-%06d",
        _plain("ReplicationController", "controller-%06d", spec={"replicas": 0, "selector": _LABELS, "template": _TEMPLATE}),
        per_namespace=1,
        total="replication_controllers",
    ),
    Kind(
        "/apis/apps/v1",
        "deployments",
        "deployments",
        "deployment-%06d",
        {**_plain("Deployment", "deployment-%06d", spec={"selector": {"matchLabels": _LABELS}, "template": _TEMPLATE}), "apiVersion": "apps/v1"},
        per_namespace=5,
        total="deployments",
    ),
    Kind(
        "/api/v1",
        "resourcequotas",
        "resourcequotas",
        "quota-%06d",
        _plain("ResourceQuota", "quota-%06d", spec={"hard": _QUOTA}),
        {"hard": _QUOTA, "used": _USED},
        per_namespace=1,
    ),
)
