# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documents that kubeadm is given, built as data (kubeadm.k8s.io/v1beta4).

A node's providerID is the kubelet's flag C(--provider-id), in kubeletExtraArgs, not the field of that name
in KubeletConfiguration: that document is one for all nodes, and what a C(patches) folder adds to it is lost
when C(kubeadm upgrade node phase kubelet-config) runs without the folder. The flag is one of the few that are
not deprecated (kubelet 1.37.2, options.go), and kubeadm keeps it in /var/lib/kubelet/kubeadm-flags.env.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import NodewiseError
from .names import check_cluster_name, check_endpoint, check_node_name, check_registration_labels, check_taints, provider_id

API_VERSION = "kubeadm.k8s.io/v1beta4"

# kubelet flags that this collection sets itself; the value says by which variable.
_OWN_FLAGS = {
    "provider-id": "it follows from nodewise_cluster_name and the node's name",
    "hostname-override": "set nodewise_node_name",
    "node-ip": "set nodewise_node_ip",
    "node-labels": "set kubeadm_control_plane_labels or kubeadm_worker_labels",
}

Document = dict[str, Any]

# What gets a host into the cluster, wherever in kubeadm's documents it stands.
_SECRETS = ("token", "tlsBootstrapToken", "certificateKey")


@dataclass(frozen=True)
class NodeSettings:
    """What init and join say about a node alike.

    Attributes
    ----------
    node_name : str
        Its name.
    node_ip : str
        The address its kubelet registers (InternalIP).
    cluster_name : str
        The cluster's name.
    cri_socket : str
        The container runtime's endpoint, C(unix://...).
    labels : Mapping[str, str]
        Labels it registers with.
    taints : Sequence[Mapping[str, str]], optional
        Taints it registers with; None leaves kubeadm's default.
    ignore_preflight_errors : Sequence[str]
        kubeadm's preflight checks that may fail.
    """

    node_name: str
    node_ip: str
    cluster_name: str
    cri_socket: str
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[Mapping[str, str]] | None = None
    ignore_preflight_errors: Sequence[str] = ()


@dataclass(frozen=True)
class ClusterSettings:
    """What the cluster is.

    Attributes
    ----------
    kubernetes_version : str
        Without the leading v.
    endpoint : str
        HOST:PORT under which every node and client reaches the API server.
    pod_cidr, service_cidr : str
        Address ranges.
    image_repository : str
        Registry of the control plane's images; empty for kubeadm's default.
    cert_sans : Sequence[str]
        Further names and addresses in the API server's certificate.
    """

    kubernetes_version: str
    endpoint: str
    pod_cidr: str
    service_cidr: str
    image_repository: str = ""
    cert_sans: Sequence[str] = ()


@dataclass(frozen=True)
class Overrides:
    """What the operator adds to each document, merged over ours.

    C(initial_cluster) is for ClusterConfiguration too, but only for a cluster that is made now: afterwards it is another module's matter.
    """

    init: Mapping[str, Any] = field(default_factory=dict)
    cluster: Mapping[str, Any] = field(default_factory=dict)
    initial_cluster: Mapping[str, Any] = field(default_factory=dict)
    kube_proxy: Mapping[str, Any] = field(default_factory=dict)
    kubelet: Mapping[str, Any] = field(default_factory=dict)


def init_documents(node: NodeSettings, cluster: ClusterSettings, overrides: Overrides) -> list[Document]:
    """Return the documents for C(kubeadm init).

    The bootstrap token that kubeadm would make and keep for a day lives for one second:
    tokens are minted when a host joins.

    Raises
    ------
    NodewiseError
        A name, label, taint or endpoint is malformed, or an override sets what is not the operator's to set.
    """
    check_endpoint(cluster.endpoint)
    cluster_configuration: Document = {
        "apiVersion": API_VERSION,
        "kind": "ClusterConfiguration",
        "kubernetesVersion": f"v{cluster.kubernetes_version}",
        "clusterName": node.cluster_name,
        "controlPlaneEndpoint": cluster.endpoint,
        "networking": {"podSubnet": cluster.pod_cidr, "serviceSubnet": cluster.service_cidr},
    }
    if cluster.image_repository:
        cluster_configuration["imageRepository"] = cluster.image_repository
    if cluster.cert_sans:
        cluster_configuration["apiServer"] = {"certSANs": list(cluster.cert_sans)}
    init_configuration: Document = {
        "apiVersion": API_VERSION,
        "kind": "InitConfiguration",
        "bootstrapTokens": [{"ttl": "1s", "description": "made by kubeadm init, never used"}],
        "localAPIEndpoint": {"advertiseAddress": node.node_ip, "bindPort": 6443},
        "nodeRegistration": _node_registration(node),
    }
    kube_proxy = {"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration", "mode": "nftables"}
    kubelet = {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration"}
    return [
        _with_overrides(init_configuration, overrides.init),
        merge(cluster_configuration, overrides.cluster),
        merge(kube_proxy, overrides.kube_proxy),
        merge(kubelet, overrides.kubelet),
    ]


def join_document(node: NodeSettings, endpoint: str, token: str, ca_cert_hashes: Sequence[str], override: Mapping[str, Any]) -> Document:
    """Return the document for C(kubeadm join) of a worker.

    Parameters
    ----------
    node : NodeSettings
        The node.
    endpoint : str
        HOST:PORT of the API server.
    token : str
        Bootstrap token.
    ca_cert_hashes : Sequence[str]
        Hashes, C(sha256:...), of the public keys of which the cluster's CA must have one.
    override : Mapping
        What the operator adds.

    Raises
    ------
    NodewiseError
        A name, label, taint or endpoint is malformed, or the override sets what is not the operator's to set.
    """
    check_endpoint(endpoint)
    document: Document = {
        "apiVersion": API_VERSION,
        "kind": "JoinConfiguration",
        "discovery": {"bootstrapToken": {"apiServerEndpoint": endpoint, "token": token, "caCertHashes": list(ca_cert_hashes)}},
        "nodeRegistration": _node_registration(node),
        # Half of kubeadm's defaults or less: a join takes seconds, and its failure should be told in minutes.
        "timeouts": {"discovery": "1m0s", "kubeletHealthCheck": "2m0s", "tlsBootstrap": "2m0s"},
    }
    return _with_overrides(document, override)


def reset_document(cri_socket: str) -> Document:
    """Return the document for C(kubeadm reset).

    The phase remove-etcd-member is left out: it empties /var/lib/etcd while etcd still runs there, and on a host
    that never had one of Kubernetes'.
    """
    return {
        "apiVersion": API_VERSION,
        "kind": "ResetConfiguration",
        "criSocket": cri_socket,
        "force": True,
        "cleanupTmpDir": True,
        "skipPhases": ["remove-etcd-member"],
    }


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> Document:
    """Return C(base) with C(over) laid over it.

    Mappings merge key by key. Lists of C({name: ..., value: ...}), kubeadm's way to write arguments, merge
    by name, so that adding an argument does not drop the others. Anything else is replaced.
    """
    result: Document = dict(base)
    for key, value in over.items():
        old: Any = result.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            result[key] = merge(old, value)
        elif is_named_list(old) and is_named_list(value):
            names = {item["name"] for item in value}
            result[key] = [item for item in old if item["name"] not in names] + list(value)
        else:
            result[key] = value
    return result


def as_text(documents: Sequence[Document]) -> str:
    """Return the documents as one text that kubeadm reads (JSON is YAML)."""
    return "\n---\n".join(json.dumps(document, indent=2) for document in documents) + "\n"


def without_secrets(value: Any) -> Any:
    """Return a copy of a document, or of anything that holds one, that can be shown: tokens and the certificates' key are replaced by their names."""
    if isinstance(value, Mapping):
        return {key: f"<{key}>" if key in _SECRETS and content else without_secrets(content) for key, content in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_secrets(item) for item in value]
    return value


def _node_registration(node: NodeSettings) -> Document:
    check_node_name(node.node_name)
    check_cluster_name(node.cluster_name)
    check_registration_labels(node.labels)
    flags = {"node-ip": node.node_ip, "provider-id": provider_id(node.cluster_name, node.node_name)}
    if node.labels:
        flags["node-labels"] = ",".join(f"{key}={value}" for key, value in sorted(node.labels.items()))
    registration: Document = {
        "name": node.node_name,
        "criSocket": node.cri_socket,
        "kubeletExtraArgs": [{"name": name, "value": value} for name, value in flags.items()],
        "ignorePreflightErrors": list(node.ignore_preflight_errors),
    }
    if node.taints is not None:
        check_taints(node.taints)
        registration["taints"] = [dict(taint) for taint in node.taints]
    return registration


def _with_overrides(document: Document, override: Mapping[str, Any]) -> Document:
    registration = override.get("nodeRegistration") or {}
    for key in ("name", "criSocket"):
        if key in registration:
            raise NodewiseError(f"nodeRegistration.{key} cannot be set as extra configuration.", "set nodewise_node_name or nodewise_cri_socket")
    for flag in registration.get("kubeletExtraArgs") or []:
        if flag.get("name") in _OWN_FLAGS:
            raise NodewiseError(f"The kubelet flag {flag['name']} cannot be set as extra configuration.", _OWN_FLAGS[flag["name"]])
    return merge(document, override)


def is_named_list(value: object) -> bool:
    """Whether a value is a list of mappings with names, as kubeadm writes arguments and volumes."""
    return isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(item, Mapping) and "name" in item for item in value)
