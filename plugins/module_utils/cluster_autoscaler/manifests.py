# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What cluster-autoscaler needs in the cluster: pure data, for a server-side apply.

Its rights are those that its informers and its drain use (1.36, RBAC of its own examples and kubernetes/autoscaler#8678, #10278): it reads
what pods and volumes depend on, evicts pods, and taints and cordons Nodes. It may not delete a Node, which is the provider's, read a Secret, or
change a ConfigMap that is not its own.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..kube.objects import PART_OF
from .flags import CONFIG_FOLDER, NAMESPACE

NAME = "cluster-autoscaler"
STATUS = "cluster-autoscaler-status"
PORT = 8085
_SECRET = "nodewise-cluster-autoscaler"
_RBAC = "rbac.authorization.k8s.io"
"""Label of all its objects; one without it is somebody else's."""
_LABELS = {"app.kubernetes.io/name": NAME, PART_OF[0]: PART_OF[1]}
_CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
_READ = ["get", "list", "watch"]
_NOBODY = 65534


@dataclass(frozen=True)
class Wanted:
    """The cluster-autoscaler as it shall be.

    Parameters
    ----------
    image : str
        Its image, with a tag.
    arguments : sequence of str
        Its command line.
    address : str
        HOST:PORT of the provider; its certificate names HOST.
    ca, certificate, key : str
        PEM: the provider's authority, and what cluster-autoscaler shows of itself.
    """

    image: str
    arguments: Sequence[str]
    address: str
    ca: str
    certificate: str
    key: str = field(repr=False)


def objects(wanted: Wanted) -> list[dict[str, Any]]:
    """Return all objects in the order in which they are to be applied; remove them in the reverse order."""
    return [*access(), _disruption_budget(), *workload(wanted)]


def cloud_config(address: str) -> str:
    """Return the provider's configuration of cluster-autoscaler. With an empty C(cert) it would speak without TLS and not say so."""
    paths = {"key": f"{CONFIG_FOLDER}/tls.key", "cert": f"{CONFIG_FOLDER}/tls.crt", "cacert": f"{CONFIG_FOLDER}/ca.crt"}
    return json.dumps({"address": address, **paths}, indent=2) + "\n"  # JSON is YAML


def access() -> list[dict[str, Any]]:
    """Return its ServiceAccount and rights."""
    everywhere = [
        _rule("", ["namespaces", "pods", "services", "replicationcontrollers", "persistentvolumeclaims", "persistentvolumes"], _READ),
        _rule("", ["nodes"], [*_READ, "update", "patch"]),
        _rule("", ["pods/eviction"], ["create"]),
        _rule("", ["pods/status"], ["update"]),
        _rule("", ["events"], ["create", "patch"]),
        _rule("apps", ["daemonsets", "replicasets", "statefulsets"], _READ),
        _rule("batch", ["jobs"], _READ),
        _rule("policy", ["poddisruptionbudgets"], _READ),
        _rule("storage.k8s.io", ["csidrivers", "csinodes", "csistoragecapacities", "storageclasses", "volumeattachments"], _READ),
        _rule("resource.k8s.io", ["deviceclasses", "resourceclaims", "resourceslices"], _READ),
    ]
    # A name cannot be asked for in a list, a watch or a creation.
    own = [
        _rule("", ["configmaps"], ["create", "list", "watch"]),
        _rule("", ["configmaps"], ["get", "update", "delete"], [STATUS, f"{NAME}-priority-expander"]),
        _rule("coordination.k8s.io", ["leases"], ["create"]),
        _rule("coordination.k8s.io", ["leases"], ["get", "update"], [NAME]),
    ]
    subjects = [{"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}]
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _metadata(NAME)},
        {"apiVersion": f"{_RBAC}/v1", "kind": "ClusterRole", "metadata": _metadata(NAME, namespaced=False), "rules": everywhere},
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": _metadata(NAME, namespaced=False),
            "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": NAME},
            "subjects": subjects,
        },
        {"apiVersion": f"{_RBAC}/v1", "kind": "Role", "metadata": _metadata(NAME), "rules": own},
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "RoleBinding",
            "metadata": _metadata(NAME),
            "roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": NAME},
            "subjects": subjects,
        },
    ]


def workload(wanted: Wanted) -> list[dict[str, Any]]:
    """Return the Secret with its configuration, and the Deployment."""
    files = {"cloud.yaml": cloud_config(wanted.address), "ca.crt": wanted.ca, "tls.crt": wanted.certificate, "tls.key": wanted.key}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(_SECRET),
        "type": "Opaque",
        "data": {name: base64.b64encode(text.encode()).decode() for name, text in files.items()},
    }
    return [secret, _deployment(wanted, hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:32])]


def _deployment(wanted: Wanted, digest: str) -> dict[str, Any]:
    probe = {"httpGet": {"path": "/health-check", "port": PORT}, "periodSeconds": 10, "failureThreshold": 3}
    container = {
        "name": NAME,
        "image": wanted.image,
        # The role brings it to the control plane's hosts.
        "imagePullPolicy": "IfNotPresent",
        "command": ["/cluster-autoscaler", *wanted.arguments],
        "ports": [{"name": "metrics", "containerPort": PORT, "protocol": "TCP"}],
        "livenessProbe": {**probe, "initialDelaySeconds": 60},
        "readinessProbe": probe,
        # No CPU limit: a throttled loop is a late node. Memory grows with nodes and pods.
        "resources": {"requests": {"cpu": "100m", "memory": "300Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "config", "mountPath": CONFIG_FOLDER, "readOnly": True}],
    }
    pod = {
        "serviceAccountName": NAME,
        "priorityClassName": "system-cluster-critical",
        # On a node that it will not remove, and where the image is.
        "nodeSelector": {_CONTROL_PLANE: ""},
        "tolerations": [{"key": _CONTROL_PLANE, "operator": "Exists", "effect": "NoSchedule"}],
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _NOBODY,
            "runAsGroup": _NOBODY,
            "fsGroup": _NOBODY,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "config", "secret": {"secretName": _SECRET, "defaultMode": 0o440}}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(NAME),
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app.kubernetes.io/name": NAME}},
            # It reads its configuration and certificates only at the start.
            "template": {"metadata": {"labels": dict(_LABELS), "annotations": {"nodewise.dev/config-digest": digest}}, "spec": pod},
        },
    }


def _disruption_budget() -> dict[str, Any]:
    # One replica: a drain may move it, and does not wait for ever.
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": {"app.kubernetes.io/name": NAME}}}
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": _metadata(NAME), "spec": spec}


def _metadata(name: str, namespaced: bool = True) -> dict[str, Any]:
    return {"name": name, **({"namespace": NAMESPACE} if namespaced else {}), "labels": dict(_LABELS)}


def _rule(group: str, resources: list[str], verbs: list[str], names: list[str] | None = None) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": resources, "verbs": list(verbs), **({"resourceNames": names} if names else {})}
