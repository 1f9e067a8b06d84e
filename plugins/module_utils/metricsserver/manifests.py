# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the cluster gets for metrics-server: pure data, for a server-side apply.

Written by us and not taken from upstream's manifest: that one turns the verification of its certificate off, and edited it would be all ours but
for a dozen lines.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import NodewiseError
from ..kube.objects import PART_OF
from ..kube.quantity import parse_quantity

NAME = "metrics-server"
NAMESPACE = "kube-system"
API_SERVICE = "v1beta1.metrics.k8s.io"
SECRET = "metrics-server-certificate"
SERVER_NAME = f"{NAME}.{NAMESPACE}.svc"
"""The name that the API server expects in the certificate of a Service's server."""

_LABELS = {"app.kubernetes.io/name": NAME, PART_OF[0]: PART_OF[1]}
_RBAC = "rbac.authorization.k8s.io"
_PORT = 10250
_USER = 65534
_FOLDER = "/certificate"
_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


@dataclass(frozen=True)
class Settings:
    """How it runs.

    Parameters
    ----------
    image : str
        Full name of the image.
    replicas : int
        Pods.
    cpu, memory : str
        What one requests, quantities.
    resolution : int
        Seconds between two rounds over the kubelets.
    """

    image: str
    replicas: int = 1
    cpu: str = "100m"
    memory: str = "200Mi"
    resolution: int = 15


_BOUNDS = {"replicas": (1, 10), "resolution": (10, 300), "timeout": (1, 3600)}
_REQUESTS = ("cpu_request", "memory_request")


def make_settings(options: Mapping[str, Any]) -> Settings:
    """Return the settings that the module's options are.

    Raises
    ------
    NodewiseError
        An option is wrong.
    """
    for name, value in options.items():
        check_option(name, value)
    return Settings(options["image"], options["replicas"], options["cpu_request"], options["memory_request"], options["resolution"])


def check_option(name: str, value: Any) -> None:
    """Judge one option of the module by itself.

    Raises
    ------
    NodewiseError
        It is wrong.
    """
    if name in _BOUNDS:
        low, high = _BOUNDS[name]
        if not low <= value <= high:
            raise NodewiseError(f"{name} is {value}.", f"set it between {low} and {high}")
    if name in _REQUESTS:
        try:
            amount = parse_quantity(value)
        except ValueError as error:
            raise NodewiseError(f"{name} is {value!r}, which is no quantity.", "write it as 100m or 200Mi") from error
        if amount <= 0:
            raise NodewiseError(f"{name} is {value!r}.", "give more than nothing")
    if name == "image" and not re.fullmatch(r"[a-z0-9][\w.\-/:@]*", value):
        raise NodewiseError(f"image is {value!r}, which is no image's name.", "write it as registry.example.org/metrics-server:v0.8.0")


@dataclass(frozen=True)
class Certificate:
    """Its serving certificate.

    Parameters
    ----------
    certificate, key : str
        PEM.
    previous : str
        The certificate before; trusted as well while pods with it end. Empty for none.
    """

    certificate: str
    key: str
    previous: str = ""


def cluster_objects(settings: Settings, certificate: Certificate) -> list[dict[str, Any]]:
    """Return all objects in the order in which they are to be applied; remove them in the reverse order."""
    return [*access(), secret(certificate), service(), deployment(settings, certificate), *budget(settings), api_service(certificate)]


def access() -> list[dict[str, Any]]:
    """Return its identity and rights: read Nodes and pods, ask kubelets for metrics, and be an extension of the API server; and who may read its API."""
    account = {"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}
    aggregated = {f"{_RBAC}/aggregate-to-{role}": "true" for role in ("view", "edit", "admin")}

    def bound(kind: str, name: str, role: str, role_kind: str, namespace: str = "") -> dict[str, Any]:
        return {
            "apiVersion": f"{_RBAC}/v1",
            "kind": kind,
            "metadata": _metadata(name, namespace),
            "roleRef": {"apiGroup": _RBAC, "kind": role_kind, "name": role},
            "subjects": [account],
        }

    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _metadata(NAME, NAMESPACE), "automountServiceAccountToken": False},
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "ClusterRole",
            "metadata": _metadata("system:metrics-server"),
            "rules": [
                {"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]},
                {"apiGroups": [""], "resources": ["nodes", "pods"], "verbs": ["get", "list", "watch"]},
            ],
        },
        bound("ClusterRoleBinding", "system:metrics-server", "system:metrics-server", "ClusterRole"),
        bound("ClusterRoleBinding", "metrics-server:system:auth-delegator", "system:auth-delegator", "ClusterRole"),
        bound("RoleBinding", "metrics-server-auth-reader", "extension-apiserver-authentication-reader", "Role", NAMESPACE),
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "ClusterRole",
            "metadata": {**_metadata("system:aggregated-metrics-reader"), "labels": {**_LABELS, **aggregated}},
            "rules": [{"apiGroups": ["metrics.k8s.io"], "resources": ["nodes", "pods"], "verbs": ["get", "list", "watch"]}],
        },
    ]


def secret(certificate: Certificate) -> dict[str, Any]:
    """Return the Secret that holds certificate and key."""
    data = {"tls.crt": certificate.certificate, "tls.key": certificate.key, **({"previous.crt": certificate.previous} if certificate.previous else {})}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": _metadata(SECRET, NAMESPACE),
        "data": {name: base64.b64encode(text.encode()).decode() for name, text in data.items()},
    }


def certificate_of(found: Mapping[str, Any]) -> Certificate | None:
    """Return what a Secret holds; None if that is not a certificate with its key."""
    try:
        data = {name: base64.b64decode(text, validate=True).decode() for name, text in (found.get("data") or {}).items()}
    except ValueError:
        return None
    if not data.get("tls.crt") or not data.get("tls.key"):
        return None
    return Certificate(data["tls.crt"], data["tls.key"], data.get("previous.crt", ""))


def service() -> dict[str, Any]:
    """Return the Service by which the API server finds it."""
    ports = [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": "https"}]
    return {"apiVersion": "v1", "kind": "Service", "metadata": _metadata(NAME, NAMESPACE), "spec": {"selector": _selector(), "ports": ports}}


def deployment(settings: Settings, certificate: Certificate) -> dict[str, Any]:
    """Return the Deployment. Kubelets are verified with the cluster's authority, which a ServiceAccount's token comes with."""
    arguments = [
        f"--secure-port={_PORT}",
        f"--tls-cert-file={_FOLDER}/tls.crt",
        f"--tls-private-key-file={_FOLDER}/tls.key",
        f"--kubelet-certificate-authority={_ACCOUNT}/ca.crt",
        "--kubelet-preferred-address-types=InternalIP",
        "--kubelet-use-node-status-port",
        f"--metric-resolution={settings.resolution}s",
    ]

    def probe(path: str, **more: int) -> dict[str, Any]:
        return {"httpGet": {"path": path, "port": "https", "scheme": "HTTPS"}, "periodSeconds": 5, "failureThreshold": 6, **more}

    container = {
        "name": NAME,
        "image": settings.image,
        "imagePullPolicy": "IfNotPresent",
        "args": arguments,
        "ports": [{"name": "https", "containerPort": _PORT, "protocol": "TCP"}],
        "resources": {"requests": {"cpu": settings.cpu, "memory": settings.memory}},
        # It is ready once it has figures, and is given a minute to start where the machine is slow.
        "startupProbe": probe("/livez", failureThreshold=12),
        "livenessProbe": probe("/livez"),
        "readinessProbe": probe("/readyz"),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "privileged": False,
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"name": "certificate", "mountPath": _FOLDER, "readOnly": True}],
    }
    spreading = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": _selector()},
    }
    pod = {
        "serviceAccountName": NAME,
        "automountServiceAccountToken": True,
        "priorityClassName": "system-cluster-critical",
        "nodeSelector": {"kubernetes.io/os": "linux"},
        # A cluster may have nothing but control planes. Nodes that are overloaded, or short of something, are avoided like by any other pod.
        "tolerations": [{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists", "effect": "NoSchedule"}],
        "topologySpreadConstraints": [spreading],
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "certificate", "secret": {"secretName": SECRET, "defaultMode": 0o440}}],
    }
    # Another certificate makes other pods: until they are there the API server trusts both.
    annotations = {"nodewise.dev/certificate": hashlib.sha256(certificate.certificate.encode()).hexdigest()[:16]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(NAME, NAMESPACE),
        "spec": {
            "replicas": settings.replicas,
            "selector": {"matchLabels": _selector()},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {"metadata": {"labels": _LABELS, "annotations": annotations}, "spec": pod},
        },
    }


def budget(settings: Settings) -> list[dict[str, Any]]:
    """Return a PodDisruptionBudget if there is more than one pod: with one it would only keep nodes from being drained."""
    if settings.replicas < 2:
        return []
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": _selector()}}
    return [{"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": _metadata(NAME, NAMESPACE), "spec": spec}]


def api_service(certificate: Certificate) -> dict[str, Any]:
    """Return the APIService, with the certificates that the API server trusts there and nowhere else."""
    bundle = certificate.certificate + certificate.previous
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": _metadata(API_SERVICE),
        "spec": {
            "group": "metrics.k8s.io",
            "version": "v1beta1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "service": {"name": NAME, "namespace": NAMESPACE, "port": 443},
            "caBundle": base64.b64encode(bundle.encode()).decode(),
            "insecureSkipTLSVerify": False,
        },
    }


def _metadata(name: str, namespace: str = "") -> dict[str, Any]:
    return {"name": name, "labels": _LABELS, **({"namespace": namespace} if namespace else {})}


def _selector() -> dict[str, str]:
    return {"app.kubernetes.io/name": NAME}
