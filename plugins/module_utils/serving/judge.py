# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a kubelet may have the serving certificate that it asks for; pure.

The signer C(kubernetes.io/kubelet-serving) signs whatever is approved if it looks like a kubelet's; nothing in Kubernetes approves, for nothing
there knows which addresses are a node's: a Node's own status is written by the very kubelet that asks. The inventory knows.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from ..errors import NodewiseError
from ..report.manifests import NAMESPACE
from .request import read_request

SIGNER = "kubernetes.io/kubelet-serving"
CONFIG_MAP = "nodewise-kubelet-addresses"
"""In :data:`NAMESPACE`: for each node of the inventory its IP addresses as a JSON list. No kubelet can write it."""

USER = "system:node:"
_GROUP = "system:nodes"
_GROUPS = {_GROUP, "system:authenticated"}
# As the signer's own rule; a key for ECDSA enciphers nothing.
_NEEDED, _ALLOWED = {"digital signature", "server auth"}, {"digital signature", "server auth", "key encipherment"}


def pending(request: Mapping[str, Any]) -> bool:
    """Whether a CertificateSigningRequest is for this signer and nobody has decided about it."""
    decided = {condition.get("type") for condition in request.get("status", {}).get("conditions") or ()}
    return request["spec"].get("signerName") == SIGNER and not decided & {"Approved", "Denied", "Failed"}


def node_of(request: Mapping[str, Any]) -> str:
    """Return the name of the node whose kubelet asks, by the identity that the API server has put into the request; empty if it is none."""
    user = str(request["spec"].get("username") or "")
    return user.removeprefix(USER) if user.startswith(USER) else ""


def refusal(request: Mapping[str, Any], known: Mapping[str, Sequence[str]]) -> str:
    """Return why a request must not be approved; empty if it may.

    Parameters
    ----------
    request : Mapping
        A CertificateSigningRequest (certificates.k8s.io/v1).
    known : Mapping
        For each node its IP addresses, from :func:`parse_addresses`.
    """
    spec, node = request["spec"], node_of(request)
    if spec.get("signerName") != SIGNER:
        return f"it is for the signer {spec.get('signerName')}"
    if not node:
        return f"{spec.get('username')!r} is no node"
    missing = sorted(_GROUPS - set(spec.get("groups") or ()))
    if missing:
        return f"its requestor is not in {' and '.join(missing)}"
    usages = list(spec.get("usages") or ())
    if len(set(usages)) != len(usages) or not _NEEDED <= set(usages) <= _ALLOWED:
        return f"it asks for the usages {', '.join(sorted(usages))}"
    if node not in known:
        return f"{node} is not in the inventory that the ConfigMap {NAMESPACE}/{CONFIG_MAP} was made of"
    try:
        asked = read_request(base64.b64decode(spec.get("request") or "", validate=True).decode("ascii"))
    except (binascii.Error, ValueError) as error:
        return f"its request is not a kubelet's: {error}"
    if asked.common_name != f"{USER}{node}":
        return f"its common name is {asked.common_name}"
    if asked.organization != _GROUP:
        return f"its organization is {asked.organization}"
    foreign = [*(name for name in asked.names if name != node), *(one for one in asked.addresses if one not in known[node])]
    if foreign:
        return f"{', '.join(foreign)} is not {node}'s: the inventory knows {', '.join([node, *known[node]])}"
    if not asked.addresses:
        return "it asks for no IP address"
    return ""


def config_map(known: Mapping[str, Iterable[str]]) -> dict[str, Any]:
    """Return the ConfigMap that tells which addresses are whose.

    Raises
    ------
    NodewiseError
        An address is none, is one of every host's, or is given to two nodes.
    """
    owner: dict[str, str] = {}
    data = {}
    for node, addresses in sorted(known.items()):
        plain = [_address(text, node) for text in addresses]
        for one in plain:
            if owner.setdefault(one, node) != node:
                raise NodewiseError(f"{one} is the address of both {owner[one]} and {node}.", "give each host its own nodewise_node_ip")
        data[node] = json.dumps(plain)
    metadata = {"name": CONFIG_MAP, "namespace": NAMESPACE, "labels": {"app.kubernetes.io/part-of": "nodewise"}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def check_given(given: Mapping[str, Iterable[str]], found: Mapping[str, Sequence[str]], declared: Collection[str], networks: Iterable[str]) -> None:
    """Refuse addresses that a host may not have said of itself.

    A certificate for another's address lets a host pass for it. Which address is a host's own follows from what it says, unless the operator declares it.

    Parameters
    ----------
    given : Mapping
        For each node its IP addresses.
    found : Mapping
        What was known before.
    declared : Collection
        Nodes whose addresses the operator has declared.
    networks : Iterable of str
        Networks of pods and services, in which no host is.

    Raises
    ------
    NodewiseError
        An address is in one of the networks, or another than before though nobody has declared it.
    """
    foreign = [ipaddress.ip_network(text) for text in networks]
    for node, addresses in sorted(given.items()):
        plain = [_address(text, node) for text in addresses]
        for one in plain:
            inside = next((network for network in foreign if ipaddress.ip_address(one) in network), None)
            if inside is not None:
                raise NodewiseError(f"{one} of {node} is in {inside}, a network of pods or services.", f"set nodewise_node_ip of {node} to its own address")
        if node in found and node not in declared and set(found[node]) != set(plain):
            raise NodewiseError(
                f"{node} says that its address is {', '.join(plain)}; the cluster knows it as {', '.join(found[node])}.",
                f"set nodewise_node_ip of {node} to the one that is right",
            )


def parse_addresses(found: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return what a ConfigMap tells.

    Raises
    ------
    NodewiseError
        It is not as :func:`config_map` makes it.
    """
    known = {}
    for node, text in (found.get("data") or {}).items():
        try:
            addresses = json.loads(text)
        except ValueError as error:
            raise NodewiseError(f"ConfigMap {NAMESPACE}/{CONFIG_MAP}: {node} is {text!r}, which is no list.", "run the playbook site again") from error
        if not isinstance(addresses, list):
            raise NodewiseError(f"ConfigMap {NAMESPACE}/{CONFIG_MAP}: {node} is {text!r}, which is no list.", "run the playbook site again")
        known[node] = [_address(str(one), node) for one in addresses]
    return known


def _address(text: str, node: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError as error:
        raise NodewiseError(f"{text!r} of {node} is no IP address.", "set nodewise_node_ip") from error
    if address.is_loopback or address.is_unspecified or address.is_multicast or address.is_link_local:
        raise NodewiseError(f"{text} of {node} is not an address of that host alone.", "set nodewise_node_ip")
    return str(address)
