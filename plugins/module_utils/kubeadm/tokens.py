# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bootstrap tokens: made for a join, and removed after it.

A token is a Secret of the type bootstrap.kubernetes.io/token (Kubernetes documentation, "Authenticating
with Bootstrap Tokens"), which is all that C(kubeadm token create) makes. It reaches kubectl by standard input, so
that it stands in no command line.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import ssl
import string
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import NodewiseError
from ..kube.kubectl import Kubectl
from .names import check_endpoint

_ALPHABET = string.ascii_lowercase + string.digits
TYPE = "bootstrap.kubernetes.io/token"
GROUP = "system:bootstrappers:kubeadm:default-node-token"
_TOKEN_ID = re.compile(r"[a-z0-9]{6}")
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
SIGN_WAIT = 20.0
"""Seconds in which the controller manager has to sign with a new token."""


@dataclass(frozen=True)
class Token:
    """A bootstrap token and what a host needs beside it.

    Attributes
    ----------
    token : str
        ID.SECRET; whoever has it can add nodes to the cluster until it is removed or expires.
    token_id : str
        Its public part.
    expires : str
        When the API server stops to accept it (RFC 3339, UTC).
    endpoint : str
        HOST:PORT of the API server, as the cluster itself publishes it.
    ca_cert_hashes : list[str]
        C(sha256:) and the SHA-256 of each CA's public key, to be pinned.
    """

    token: str
    token_id: str
    expires: str
    endpoint: str
    ca_cert_hashes: list[str]


# What stands for a token in check mode: well-formed, so that the rest of the run can be predicted, and of no use.
PLACEHOLDER = Token("000000.0000000000000000", "000000", "1970-01-01T00:00:00Z", "control-plane.invalid:6443", [f"sha256:{'0' * 64}"])


def mint(kubectl: Kubectl, lifetime: int) -> Token:
    """Make a token and wait until the cluster has signed its own address with it, as a join needs.

    Parameters
    ----------
    kubectl : Kubectl
        With the administrator's rights.
    lifetime : int
        Seconds until it expires by itself.

    Raises
    ------
    NodewiseError
        The API server does not answer or is not made for bootstrap tokens, or the controller manager does not sign.
    """
    token_id, secret = new_id(), new_secret()
    expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + lifetime))
    kubectl.apply([secret_object(token_id, secret, expires, "made by nodewise.cluster for one run's joins")])
    endpoint, hashes = _signed_cluster_info(kubectl, token_id)
    return Token(f"{token_id}.{secret}", token_id, expires, endpoint, hashes)


def new_id() -> str:
    """Return a fresh token id, the public part."""
    return _random(6)


def new_secret() -> str:
    """Return a fresh token secret."""
    return _random(16)


def secret_object(token_id: str, secret: str, expires: str, description: str) -> dict[str, Any]:
    """Return the Secret that is a bootstrap token with which kubeadm lets a worker join.

    Parameters
    ----------
    token_id, secret : str
        The token's two parts.
    expires : str
        RFC 3339 time in UTC.
    description : str
        Who made it, for people.
    """
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": TYPE,
        "metadata": {"name": secret_name(token_id), "namespace": "kube-system"},
        "stringData": {
            "token-id": token_id,
            "token-secret": secret,
            "expiration": expires,
            "description": description,
            "usage-bootstrap-authentication": "true",
            "usage-bootstrap-signing": "true",
            "auth-extra-groups": GROUP,
        },
    }


def exists(kubectl: Kubectl, token_id: str) -> bool:
    """Tell whether the token of this id is there.

    Raises
    ------
    NodewiseError
        The id is malformed, or the API server does not answer.
    """
    return kubectl.get("--namespace=kube-system", "secret", secret_name(token_id)) is not None


def revoke(kubectl: Kubectl, token_id: str) -> None:
    """Remove the token of this id; one that is gone already is fine.

    Raises
    ------
    NodewiseError
        The id is malformed, or the API server does not answer.
    """
    kubectl.run(["delete", "--namespace=kube-system", "secret", secret_name(token_id), "--ignore-not-found"])


def public_key_hashes(pem: str) -> list[str]:
    """Return C(sha256:HEX) of each certificate's SubjectPublicKeyInfo (RFC 7469), the form kubeadm pins.

    Raises
    ------
    NodewiseError
        There is no certificate in the text, or one is not X.509.
    """
    try:
        hashes = [f"sha256:{hashlib.sha256(_public_key_info(ssl.PEM_cert_to_DER_cert(part))).hexdigest()}" for part in _CERTIFICATE.findall(pem)]
    except (ValueError, IndexError) as error:
        raise NodewiseError(f"The cluster's CA certificate cannot be read: {error}.") from error
    if not hashes:
        raise NodewiseError("The cluster publishes no CA certificate.")
    return hashes


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _count in range(length))


def secret_name(token_id: str) -> str:
    """Return the name of a token's Secret.

    Raises
    ------
    NodewiseError
        The id is malformed.
    """
    if not _TOKEN_ID.fullmatch(token_id):
        raise NodewiseError("The token id does not consist of six lower-case letters and digits.", "give what kubeadm_token returned as token_id")
    return f"bootstrap-token-{token_id}"


def _signed_cluster_info(kubectl: Kubectl, token_id: str) -> tuple[str, list[str]]:
    """Return endpoint and CA hashes from kube-public/cluster-info, once it is signed with the token.

    kubeadm join looks for the signature only every 5 seconds, so it is waited for here, where it takes less than one.
    """
    deadline = time.monotonic() + SIGN_WAIT
    while True:
        data = (kubectl.get("--namespace=kube-public", "configmap", "cluster-info") or {}).get("data") or {}
        if is_signed(data, token_id):
            return endpoint_and_hashes(data)
        if time.monotonic() > deadline:
            raise unsigned()
        time.sleep(0.1)


def is_signed(data: Mapping[str, str], token_id: str) -> bool:
    """Tell whether the ConfigMap kube-public/cluster-info is signed with a token."""
    return f"jws-kubeconfig-{token_id}" in data


def unsigned() -> NodewiseError:
    """Return the error of a token with which nothing has been signed in time."""
    return NodewiseError(
        f"The ConfigMap kube-public/cluster-info got no signature for the new token within {SIGN_WAIT:.0f} s.",
        "look at kube-controller-manager, which signs it: kubectl -n kube-system logs -l component=kube-controller-manager",
    )


def endpoint_and_hashes(data: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return endpoint and CA hashes from the data of kube-public/cluster-info.

    Raises
    ------
    NodewiseError
        There is no certificate, or the endpoint is malformed.
    """
    import yaml

    cluster = yaml.safe_load(data["kubeconfig"])["clusters"][0]["cluster"]
    endpoint = cluster["server"].removeprefix("https://").rstrip("/")
    check_endpoint(endpoint)
    return endpoint, public_key_hashes(base64.b64decode(cluster["certificate-authority-data"]).decode())


def _public_key_info(certificate: bytes) -> bytes:
    """Return the bytes of the SubjectPublicKeyInfo in a DER certificate (RFC 5280, section 4.1).

    Certificate and TBSCertificate are sequences; in the latter come an optional version [0], then serial number,
    signature algorithm, issuer, validity, subject, and the field wanted.
    """
    position, _end = _content(certificate, 0)
    position, _end = _content(certificate, position)
    fields = 5 + (certificate[position] == 0xA0)
    for _field in range(fields):
        _start, position = _content(certificate, position)
    _start, end = _content(certificate, position)
    return certificate[position:end]


def _content(data: bytes, position: int) -> tuple[int, int]:
    """Return where the content of the DER element at a position starts and ends."""
    length, start = data[position + 1], position + 2
    if length & 0x80:
        size = length & 0x7F
        length, start = int.from_bytes(data[start : start + size], "big"), start + size
    if start + length > len(data):
        raise ValueError("it is truncated")
    return start, start + length
