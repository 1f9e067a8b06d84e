# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cluster needs to be watched: Prometheus Operator in one namespace, and a Prometheus with its targets and rules.

Pure data, for a server-side apply. Targets are found by Prometheus itself among the Nodes, so a node that joins is scraped without a run of
the playbook.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import NodewiseError
from . import rules

NAMESPACE = "nodewise-monitoring"
NAME = "nodewise-prometheus"
OPERATOR = "nodewise-prometheus-operator"
PROMETHEUS = "nodewise"
"""Name of the Prometheus; its pod is C(prometheus-nodewise-0)."""
CLIENT_SECRET = "nodewise-metrics-client"
SCRAPE_SECRET = "nodewise-scrape-configs"
READERS_LABEL = "nodewise.dev/reads-prometheus"
"""Namespaces with this label, value C(true), may query Prometheus."""

_GROUP = "monitoring.coreos.com"
_RBAC = "rbac.authorization.k8s.io"
_PART = {"app.kubernetes.io/part-of": "nodewise"}
# Of Debian and of Prometheus' own images: nobody.
_USER = 65534
_SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
# Histograms of hundreds of series for each resource and verb, from which no rule here reads.
_DROPPED = "(apiserver_(request_(body|sli).*|response_sizes|watch_.*)|etcd_request_duration_seconds|rest_client_.*)_bucket"
# What one answer may hold, so that a target gone wild cannot fill Prometheus: daemons have some hundred samples, an API server some ten thousand.
_DAEMON_SAMPLES, _KUBERNETES_SAMPLES = 5000, 200000
# Of the volume for samples; the rest is for the write-ahead log and for compaction.
_RETAINED_SHARE = 0.8


@dataclass(frozen=True)
class Settings:
    """What an operator may set.

    Parameters
    ----------
    operator_version, prometheus_version : str
        Releases, without C(v).
    image_prefix : str
        Registry and folder that replace those of the images; empty leaves them.
    missing_minutes : int
        How long a reporter or a report may be missing before an alert.
    guard : bool
        Whether the cluster has guards.
    reporter_port, guard_port : int
        Ports of their metrics.
    reporter_valid_seconds : float
        How long a report says something, as the reporters have it.
    retention_days : int
        Days for which samples are kept, if the volume is large enough.
    storage_gib : int
        Size of the volume.
    storage_class : str
        StorageClass of the volume; empty for an emptyDir, which goes with the pod.
    memory_mib : int
        Memory that Prometheus may take.
    alertmanagers : list of dict
        Services to which alerts are sent: C(namespace), C(name), C(port).
    """

    operator_version: str
    prometheus_version: str
    image_prefix: str = ""
    missing_minutes: int = 5
    guard: bool = True
    reporter_port: int = 10270
    guard_port: int = 10271
    reporter_valid_seconds: float = 180.0
    retention_days: int = 7
    storage_gib: int = 5
    storage_class: str = ""
    memory_mib: int = 2048
    alertmanagers: list[dict[str, Any]] = field(default_factory=list)


_VERSIONS = ("operator_version", "prometheus_version")
_BOUNDS = {
    "missing_minutes": (1, 1440),
    "reporter_port": (1, 65535),
    "guard_port": (1, 65535),
    "reporter_valid_seconds": (1, 86400),
    "retention_days": (1, 3650),
    "storage_gib": (1, 10000),
    "memory_mib": (256, 1048576),
}


def make_settings(values: Mapping[str, Any]) -> Settings:
    """Return settings that can work.

    Raises
    ------
    NodewiseError
        A value cannot; the message names it.
    """
    for name, value in values.items():
        check_setting(name, value)
    ports = [{**one, "port": int(one["port"]) if str(one["port"]).isdecimal() else one["port"]} for one in values.get("alertmanagers", [])]
    return Settings(**{**values, "alertmanagers": ports})


def check_setting(name: str, value: Any) -> None:
    """Judge one setting by itself.

    Raises
    ------
    NodewiseError
        It cannot work.
    """
    if name in _VERSIONS and not re.fullmatch(r"\d+\.\d+\.\d+", str(value)):
        raise NodewiseError(f"{name} is {value!r}, which is not a version.", "write it as 3.16.0, in quotes and without a leading v")
    if name in _BOUNDS:
        low, high = _BOUNDS[name]
        if not low <= value <= high:
            raise NodewiseError(f"{name} is {value}.", f"set it between {low} and {high}")


def namespace() -> dict[str, Any]:
    """Return the namespace, in which every pod has to be a restricted one."""
    labels = {**_PART, "pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}


def cluster_objects(settings: Settings) -> list[dict[str, Any]]:
    """Return all objects but the namespace, the kinds and the client's certificate, in the order in which they are to be applied."""
    return [
        *operator_access(),
        operator(settings),
        *prometheus_access(),
        *network_policies(),
        secret(SCRAPE_SECRET, {"scrape.yaml": json.dumps(kubernetes_jobs(), indent=1)}),  # JSON is YAML
        *scrape_configs(settings),
        prometheus_rule(settings),
        prometheus(settings),
    ]


def outside() -> list[dict[str, Any]]:
    """Return the objects that do not go with the namespace."""
    return [one for one in prometheus_access() if one["metadata"].get("namespace") != NAMESPACE]


def secret(name: str, texts: dict[str, str]) -> dict[str, Any]:
    """Return a Secret of the namespace."""
    data = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": _metadata(name, NAMESPACE), "type": "Opaque", "data": data}


def operator_access() -> list[dict[str, Any]]:
    """Return the operator's identity and its rights, all of them within the namespace."""
    watched = ["get", "list", "watch"]
    kept = [*watched, "create", "update", "patch", "delete"]
    return [
        _account(OPERATOR),
        *_grant(
            OPERATOR,
            NAMESPACE,
            [
                {
                    "apiGroups": [_GROUP],
                    "resources": ["podmonitors", "probes", "prometheuses", "prometheusrules", "scrapeconfigs", "servicemonitors"],
                    "verbs": watched,
                },
                {"apiGroups": [_GROUP], "resources": ["prometheuses", "prometheuses/finalizers", "prometheuses/status"], "verbs": ["update", "patch"]},
                {"apiGroups": ["apps"], "resources": ["statefulsets"], "verbs": kept},
                {"apiGroups": [""], "resources": ["configmaps", "secrets"], "verbs": kept},
                {"apiGroups": [""], "resources": ["services", "services/finalizers"], "verbs": ["get", "create", "update", "delete"]},
                {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "delete"]},
                {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]},
            ],
        ),
    ]


def prometheus_access() -> list[dict[str, Any]]:
    """Return Prometheus' identity and its rights: to find Nodes and API servers, and to read metrics. It can change nothing."""
    watched = ["get", "list", "watch"]
    return [
        _account(NAME),
        *_grant(
            NAME,
            "",
            [
                {"apiGroups": [""], "resources": ["nodes"], "verbs": watched},
                {"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]},
                {"nonResourceURLs": ["/metrics"], "verbs": ["get"]},
            ],
        ),
        # The API servers' addresses are those of the Service kubernetes in this namespace; the discovery looks at its pods as well.
        *_grant(
            NAME,
            "default",
            [
                {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": watched},
                {"apiGroups": [""], "resources": ["services", "pods"], "verbs": watched},
            ],
        ),
    ]


def operator(settings: Settings) -> dict[str, Any]:
    """Return the operator's Deployment."""
    version = settings.operator_version
    labels = {"app.kubernetes.io/name": OPERATOR, **_PART}
    container = {
        "name": "operator",
        "image": _image(settings, "quay.io/prometheus-operator/prometheus-operator", version),
        "imagePullPolicy": "IfNotPresent",
        "args": [
            f"--namespaces={NAMESPACE}",
            f"--prometheus-config-reloader={_image(settings, 'quay.io/prometheus-operator/prometheus-config-reloader', version)}",
        ],
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 5},
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 20, "failureThreshold": 6},
        "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(OPERATOR, NAMESPACE),
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app.kubernetes.io/name": OPERATOR}},
            # Two operators at once would undo each other's work for as long.
            "strategy": {"type": "Recreate"},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"serviceAccountName": OPERATOR, "securityContext": _pod_security(), "containers": [container]},
            },
        },
    }


def prometheus(settings: Settings) -> dict[str, Any]:
    """Return the Prometheus, which the operator makes a StatefulSet of."""
    volume: dict[str, Any] = {"emptyDir": {"sizeLimit": f"{settings.storage_gib}Gi"}}
    if settings.storage_class:
        claim = {"storageClassName": settings.storage_class, "accessModes": ["ReadWriteOnce"]}
        volume = {"volumeClaimTemplate": {"spec": {**claim, "resources": {"requests": {"storage": f"{settings.storage_gib}Gi"}}}}}
    spec: dict[str, Any] = {
        "replicas": 1,
        "version": f"v{settings.prometheus_version}",
        "image": _image(settings, "quay.io/prometheus/prometheus", settings.prometheus_version),
        "imagePullPolicy": "IfNotPresent",
        "serviceAccountName": NAME,
        "podMetadata": {"labels": _PART},
        "securityContext": {**_pod_security(), "fsGroup": _USER},
        "scrapeInterval": "30s",
        "evaluationInterval": "30s",
        "retention": f"{settings.retention_days}d",
        "retentionSize": f"{int(settings.storage_gib * 1024 * _RETAINED_SHARE)}MiB",
        "storage": volume,
        "resources": {
            "requests": {"cpu": "100m", "memory": f"{min(512, settings.memory_mib)}Mi"},
            "limits": {"memory": f"{settings.memory_mib}Mi"},
        },
        # All of this namespace; others are not looked at.
        "scrapeConfigSelector": {},
        "serviceMonitorSelector": {},
        "podMonitorSelector": {},
        "ruleSelector": {},
        "additionalScrapeConfigs": {"name": SCRAPE_SECRET, "key": "scrape.yaml"},
    }
    if settings.alertmanagers:
        spec["alerting"] = {"alertmanagers": settings.alertmanagers}
    return {"apiVersion": f"{_GROUP}/v1", "kind": "Prometheus", "metadata": _metadata(PROMETHEUS, NAMESPACE), "spec": spec}


def scrape_configs(settings: Settings) -> list[dict[str, Any]]:
    """Return what scrapes our own daemons: on every Node the reporter, on those of the control plane the guard."""
    found = [_daemon(rules.REPORTER, settings.reporter_port, [])]
    if settings.guard:
        label = "__meta_kubernetes_node_labelpresent_node_role_kubernetes_io_control_plane"
        found.append(_daemon(rules.GUARD, settings.guard_port, [{"action": "Keep", "sourceLabels": [label], "regex": "true"}]))
    return found


def _daemon(job: str, port: int, relabelings: list[dict[str, Any]]) -> dict[str, Any]:
    def part(key: str) -> dict[str, str]:
        return {"name": CLIENT_SECRET, "key": key}

    return {
        "apiVersion": f"{_GROUP}/v1alpha1",
        "kind": "ScrapeConfig",
        "metadata": _metadata(job, NAMESPACE),
        "spec": {
            "jobName": job,
            "kubernetesSDConfigs": [{"role": "Node"}],
            "scheme": "HTTPS",
            "tlsConfig": {"ca": {"secret": part("ca.crt")}, "cert": {"secret": part("tls.crt")}, "keySecret": part("tls.key"), "minVersion": "TLS12"},
            "sampleLimit": _DAEMON_SAMPLES,
            "relabelings": [
                *relabelings,
                {
                    "action": "Replace",
                    "sourceLabels": ["__meta_kubernetes_node_address_InternalIP"],
                    "regex": "(.+)",
                    "replacement": f"$1:{port}",
                    "targetLabel": "__address__",
                },
                {"action": "Replace", "sourceLabels": ["__meta_kubernetes_node_name"], "targetLabel": "node"},
            ],
        },
    }


def kubernetes_jobs() -> list[dict[str, Any]]:
    """Return the jobs of the kubelets and the API servers as Prometheus' own configuration has them.

    No ScrapeConfig can name the file of the pod's own token, which is renewed hourly; a Secret with a token that lasts is what it is spared.
    """

    def job(name: str, discovery: dict[str, Any], server_name: str, relabelings: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "job_name": name,
            "scheme": "https",
            "authorization": {"credentials_file": f"{_SERVICE_ACCOUNT}/token"},
            # The cluster's authority; a certificate of another one is refused.
            "tls_config": {"ca_file": f"{_SERVICE_ACCOUNT}/ca.crt", **({"server_name": server_name} if server_name else {})},
            "kubernetes_sd_configs": [discovery],
            "sample_limit": _KUBERNETES_SAMPLES,
            "relabel_configs": relabelings,
            "metric_relabel_configs": [{"source_labels": ["__name__"], "regex": _DROPPED, "action": "drop"}],
        }

    service = {
        "source_labels": ["__meta_kubernetes_service_name", "__meta_kubernetes_endpointslice_port_name"],
        "regex": "kubernetes;https",
        "action": "keep",
    }
    return [
        job(rules.KUBELET, {"role": "node"}, "", [{"source_labels": ["__meta_kubernetes_node_name"], "target_label": "node"}]),
        job(rules.API_SERVER, {"role": "endpointslice", "namespaces": {"names": ["default"]}}, "kubernetes.default.svc", [service]),
    ]


def prometheus_rule(settings: Settings) -> dict[str, Any]:
    """Return the rules."""
    return {
        "apiVersion": f"{_GROUP}/v1",
        "kind": "PrometheusRule",
        "metadata": _metadata(PROMETHEUS, NAMESPACE),
        "spec": {"groups": rules.groups(settings.missing_minutes, settings.guard, settings.reporter_valid_seconds)},
    }


def network_policies() -> list[dict[str, Any]]:
    """Return who may reach the pods: nobody, but Prometheus' port those of this namespace and of labelled ones."""
    metadata = _metadata(NAME, NAMESPACE)
    readers = [{"podSelector": {}}, {"namespaceSelector": {"matchLabels": {READERS_LABEL: "true"}}}]
    return [
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {**metadata, "name": "default-deny-ingress"},
            "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
        },
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": metadata,
            "spec": {
                "podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}},
                "policyTypes": ["Ingress"],
                "ingress": [{"from": readers, "ports": [{"port": 9090, "protocol": "TCP"}]}],
            },
        },
    ]


def _image(settings: Settings, name: str, version: str) -> str:
    prefix = settings.image_prefix.rstrip("/")
    return f"{prefix}/{name.rpartition('/')[2]}:v{version}" if prefix else f"{name}:v{version}"


def _pod_security() -> dict[str, Any]:
    return {"runAsNonRoot": True, "runAsUser": _USER, "runAsGroup": _USER, "seccompProfile": {"type": "RuntimeDefault"}}


def _account(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _metadata(name, NAMESPACE)}


def _grant(name: str, namespace_name: str, granted: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a role with its binding; of the cluster, if no namespace is given."""
    kind = "Role" if namespace_name else "ClusterRole"
    return [
        {"apiVersion": f"{_RBAC}/v1", "kind": kind, "metadata": _metadata(name, namespace_name), "rules": granted},
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": f"{kind}Binding",
            "metadata": _metadata(name, namespace_name),
            "roleRef": {"apiGroup": _RBAC, "kind": kind, "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE}],
        },
    ]


def _metadata(name: str, namespace_name: str = "") -> dict[str, Any]:
    return {"name": name, "labels": dict(_PART), **({"namespace": namespace_name} if namespace_name else {})}
