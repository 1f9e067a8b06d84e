# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a caller may ask of a standby host, judged before anything is done: the command's name and a JSON document on standard input."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import NodewiseError
from ..kubeadm.names import check_endpoint, check_registration_labels, check_taints, provider_id
from .settings import Settings, are_hashes

COMMANDS = ("join", "leave", "status")
MOST_BYTES = 1 << 16
"""A longer document is none of ours."""

_FIELDS = ("token", "ca_cert_hashes", "endpoint", "node_name", "provider_id", "labels", "taints")
_TOKEN = re.compile(r"[a-z0-9]{6}\.[a-z0-9]{16}")


@dataclass(frozen=True)
class Join:
    """What a join takes.

    Attributes
    ----------
    token : str
        Bootstrap token, ID.SECRET.
    endpoint : str
        HOST:PORT of the API server.
    ca_cert_hashes : Sequence[str]
        C(sha256:HEX) of the public keys of which the cluster's CA must have one.
    labels : Mapping
        Labels to register with.
    taints : Sequence[Mapping]
        Taints to register with.
    """

    token: str
    endpoint: str
    ca_cert_hashes: Sequence[str]
    labels: Mapping[str, str]
    taints: Sequence[Mapping[str, str]]


def check_command(text: str) -> str:
    """Return the command if it is one of C(COMMANDS), word for word: no argument, no path, no space.

    Raises
    ------
    NodewiseError
        It is anything else.
    """
    if text not in COMMANDS:
        raise NodewiseError(f"The command {text[:40]!r} is not allowed here.", f"ask for {', '.join(COMMANDS[:-1])} or {COMMANDS[-1]}")
    return text


def parse_document(text: str, settings: Settings) -> dict[str, Any]:
    """Return the document that came on standard input; an empty input is an empty document.

    Raises
    ------
    NodewiseError
        It is too long, no JSON object, has an unknown field, or is meant for another host.
    """
    if len(text) > MOST_BYTES:
        raise NodewiseError(f"The document on standard input has more than {MOST_BYTES} bytes.")
    try:
        document = json.loads(text or "{}")
    except ValueError as error:
        # Not its text: a token stands in there.
        raise NodewiseError("The document on standard input is not JSON.") from error
    if not isinstance(document, dict):
        raise NodewiseError("The document on standard input is not a JSON object.")
    unknown = sorted(set(document) - set(_FIELDS))
    if unknown:
        raise NodewiseError(f"The document has the unknown field {unknown[0][:40]!r}.", f"known are {', '.join(_FIELDS)}")
    meant = {"node_name": settings.node_name, "provider_id": provider_id(settings.cluster_name, settings.node_name)}
    for name, own in meant.items():
        if document.get(name, own) != own:
            raise NodewiseError(f"{name} is {document[name]!r}, but this host is {own!r}.", "see that the inventory gives each host its own address")
    return document


def parse_join(document: Mapping[str, Any], settings: Settings) -> Join:
    """Return what a join takes.

    Which cluster it is that the host joins, its own file says and not the caller: whoever holds a cluster's API server is root on its nodes.

    Raises
    ------
    NodewiseError
        Something is missing or malformed, or it is about another cluster.
    """
    for name in ("token", "ca_cert_hashes", "endpoint", "node_name", "provider_id"):
        if not document.get(name):
            raise NodewiseError(f"The document lacks {name}, which a join takes.")
    token, hashes, endpoint = document["token"], document["ca_cert_hashes"], document["endpoint"]
    if not (isinstance(token, str) and _TOKEN.fullmatch(token)):
        raise NodewiseError("token is not a bootstrap token.")
    if not (are_hashes(hashes)):
        raise NodewiseError("ca_cert_hashes is not a list of sha256:<64 hexadecimal digits>.", "without the CA's hash the API server could be anybody's")
    if not isinstance(endpoint, str):
        raise NodewiseError("endpoint is not text.")
    check_endpoint(endpoint)
    remedy = "run site.yml (role autoscaler) for the control plane and this host, if the cluster's endpoint or CA is new"
    if endpoint != settings.endpoint:
        raise NodewiseError(f"endpoint is {endpoint!r}, but this host may join {settings.endpoint!r} only.", remedy)
    foreign = sorted(set(hashes) - set(settings.ca_cert_hashes))
    if foreign:
        raise NodewiseError(f"ca_cert_hashes has {foreign[0]}, which is no CA of the cluster that this host may join.", remedy)
    labels, taints = document.get("labels") or {}, document.get("taints") or []
    if not isinstance(labels, dict) or not (isinstance(taints, list) and all(isinstance(taint, dict) for taint in taints)):
        raise NodewiseError("labels is no mapping, or taints no list of mappings.")
    check_registration_labels(labels)
    check_taints(taints)
    return Join(token, endpoint, hashes, labels, taints)
