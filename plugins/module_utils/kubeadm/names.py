# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and other short texts that Kubernetes restricts, checked before anything is started with them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import NodewiseError
from ..kube.names import in_domain, is_subdomain, key_problem, value_problem

_PORT = re.compile(r"[0-9]{1,5}")
_TAINT_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")

# What a kubelet may set on its own Node (k8s.io/kubelet 0.37.2, pkg/apis/well_known_labels.go). With any
# other label under kubernetes.io or k8s.io in --node-labels it exits at once.
_KUBELET_LABELS = frozenset(
    {
        "kubernetes.io/hostname",
        "kubernetes.io/os",
        "kubernetes.io/arch",
        "topology.kubernetes.io/zone",
        "topology.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
        "failure-domain.beta.kubernetes.io/region",
        "node.kubernetes.io/instance-type",
        "beta.kubernetes.io/instance-type",
        "beta.kubernetes.io/os",
        "beta.kubernetes.io/arch",
    }
)
_KUBELET_LABEL_DOMAINS = ("kubelet.kubernetes.io", "node.kubernetes.io")
_KUBERNETES_DOMAINS = ("kubernetes.io", "k8s.io")


def provider_id(cluster_name: str, node_name: str) -> str:
    """Return the C(spec.providerID) of a node: the one place where this text is made."""
    return f"nodewise://{cluster_name}/{node_name}"


def check_node_name(name: str) -> None:
    """Refuse a Node name that the API server would refuse (RFC 1123 subdomain, at most 253 characters).

    Raises
    ------
    NodewiseError
        It is not one.
    """
    if not is_subdomain(name):
        raise NodewiseError(
            f"The node name {name!r} is not an RFC 1123 name.",
            "use lower-case letters, digits, '-' and '.' only, starting and ending with a letter or digit (variable nodewise_node_name)",
        )


def check_cluster_name(name: str) -> None:
    """Refuse a cluster name that cannot be a part of a providerID.

    Raises
    ------
    NodewiseError
        It is not an RFC 1123 name.
    """
    if not is_subdomain(name):
        raise NodewiseError(
            f"The cluster name {name!r} is not an RFC 1123 name; it becomes a part of every node's providerID.",
            "use lower-case letters, digits, '-' and '.' only (variable nodewise_cluster_name)",
        )


def check_endpoint(endpoint: str) -> None:
    """Refuse a control-plane endpoint that is not HOST:PORT, HOST being an IPv4 address or a DNS name.

    Raises
    ------
    NodewiseError
        It is not.
    """
    host, colon, port = endpoint.rpartition(":")
    if not (colon and is_subdomain(host) and _PORT.fullmatch(port) and 0 < int(port) < 65536):
        raise NodewiseError(
            f"The control-plane endpoint {endpoint!r} is not HOST:PORT.",
            "give an IPv4 address or a DNS name, a colon and a port, without https:// (variable nodewise_control_plane_endpoint)",
        )


def check_registration_labels(labels: Mapping[str, Any]) -> None:
    """Refuse labels that a kubelet may not set on its own Node when it registers.

    Raises
    ------
    NodewiseError
        A key or value is malformed, or the key is one that only the API may set.
    """
    for key, value in labels.items():
        if key_problem(key):
            raise NodewiseError(
                f"The label key {key!r} is malformed.", "write [DNS prefix/]name; letters, digits, '-', '_', '.', at most 63 characters in the name"
            )
        if value_problem(value):
            raise NodewiseError(
                f"The value {value!r} of the label {key} is not one.",
                "write text in quotes: letters, digits, '-', '_', '.', at most 63 characters, or empty",
            )
        if in_domain(key, _KUBERNETES_DOMAINS) and key not in _KUBELET_LABELS and not in_domain(key, _KUBELET_LABEL_DOMAINS):
            raise NodewiseError(
                f"The label {key} cannot be set when a node registers: kubelet refuses to start with it.",
                "take a prefix of your own, or node.kubernetes.io/, or set it through the API after the node has joined (role node_labels, kubectl label node)",
            )


def check_taints(taints: Sequence[Mapping[str, Any]]) -> None:
    """Refuse taints that kubelet could not parse from its command line.

    Raises
    ------
    NodewiseError
        A key, value or effect is malformed.
    """
    for taint in taints:
        key, value, effect = str(taint.get("key", "")), taint.get("value") or "", taint.get("effect")
        if key_problem(key):
            raise NodewiseError(f"The taint key {key!r} is malformed.", "write [DNS prefix/]name")
        if value_problem(value):
            raise NodewiseError(f"The value {value!r} of the taint {key} is not one.", "write text in quotes: letters, digits, '-', '_', '.'")
        if effect not in _TAINT_EFFECTS:
            raise NodewiseError(f"The effect {effect!r} of the taint {key} does not exist.", f"use one of {', '.join(_TAINT_EFFECTS)}")
