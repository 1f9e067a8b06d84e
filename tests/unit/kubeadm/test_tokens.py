# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import datetime
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.kube.kubectl import Kubectl
from ansible_collections.nodewise.cluster.plugins.module_utils.kubeadm import tokens
from ansible_collections.nodewise.cluster.plugins.module_utils.kubeadm.tokens import PLACEHOLDER, mint, public_key_hashes, revoke
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

FIXTURES = Path(__file__).parent / "fixtures"
# What `kubeadm token create --print-join-command` of 1.37.2 printed on the control plane whose CA is the fixture.
KUBEADM_SAID = "sha256:4e116bd7ccc7e21d372566457ba9d78765c1583ba8ac13cd4e102c882cdf0d34"


def test_the_hash_is_the_one_kubeadm_prints() -> None:
    assert public_key_hashes((FIXTURES / "ca.crt").read_text()) == [KUBEADM_SAID]


def certificate(key: Any) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ca")])
    start = datetime.datetime(2026, 1, 1)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(2**159 - 1)
    return (
        builder.not_valid_before(start)
        .not_valid_after(start.replace(year=2030))
        .sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    )


@pytest.mark.parametrize("kind", ["rsa", "ec", "ed25519"])
def test_the_hash_is_that_of_the_public_key(kind: str) -> None:
    keys = {
        "rsa": lambda: rsa.generate_private_key(65537, 2048),
        "ec": lambda: ec.generate_private_key(ec.SECP256R1()),
        "ed25519": ed25519.Ed25519PrivateKey.generate,
    }
    made = certificate(keys[kind]())
    digest = hashes.Hash(hashes.SHA256())
    digest.update(made.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))
    pem = made.public_bytes(serialization.Encoding.PEM).decode()
    assert public_key_hashes(pem) == [f"sha256:{digest.finalize().hex()}"]
    assert len(public_key_hashes(pem + (FIXTURES / "ca.crt").read_text())) == 2


@pytest.mark.parametrize(
    ("pem", "message"),
    [
        ("", "publishes no CA certificate"),
        ("-----BEGIN CERTIFICATE-----\nMIIDBTCCAe2gAwIB\n-----END CERTIFICATE-----", "cannot be read"),
        ("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----", "cannot be read"),
    ],
)
def test_what_is_no_certificate_is_told_of(pem: str, message: str) -> None:
    with pytest.raises(NodewiseError, match=message):
        public_key_hashes(pem)


class Cluster:
    """A kubectl that notes its arguments and standard input in files, and a cluster-info that is signed at the third look."""

    def __init__(self, folder: Path, signs: bool = True) -> None:
        self.folder = folder
        kubeconfig = {
            "clusters": [
                {
                    "cluster": {
                        "server": "https://192.0.2.11:6443",
                        "certificate-authority-data": base64.b64encode((FIXTURES / "ca.crt").read_bytes()).decode(),
                    }
                }
            ]
        }
        (folder / "kubeconfig").write_text(json.dumps(kubeconfig))
        self.program = folder / "kubectl"
        self.program.write_text(f"#!/usr/bin/env python3\nFOLDER, SIGNS = {str(folder)!r}, {signs!r}\n{_KUBECTL}")
        self.program.chmod(0o755)

    def kubectl(self) -> Kubectl:
        return Kubectl(program=str(self.program))

    def argv(self) -> str:
        return (self.folder / "argv").read_text()

    def applied(self) -> dict[str, Any]:
        (item,) = json.loads((self.folder / "applied").read_text())["items"]
        found: dict[str, Any] = item
        return found


_KUBECTL = """
import json, os, sys
with open(FOLDER + "/argv", "a") as handle:
    handle.write(" ".join(sys.argv[1:]) + "\\n")
if "apply" in sys.argv:
    with open(FOLDER + "/applied", "w") as handle:
        handle.write(sys.stdin.read())
elif "cluster-info" in sys.argv:
    looks = open(FOLDER + "/argv").read().count("cluster-info")
    data = {"kubeconfig": open(FOLDER + "/kubeconfig").read()}
    if SIGNS and looks >= 3:
        token = json.load(open(FOLDER + "/applied"))["items"][0]["stringData"]
        data["jws-kubeconfig-" + token["token-id"]] = "signature"
    print(json.dumps({"data": data}))
"""


def test_a_token_is_minted_and_returned_when_it_is_signed(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)
    token = mint(cluster.kubectl(), lifetime=600)
    assert re.fullmatch(r"[a-z0-9]{6}\.[a-z0-9]{16}", token.token)
    assert token.token.startswith(token.token_id + ".")
    assert token.endpoint == "192.0.2.11:6443"
    assert token.ca_cert_hashes == [KUBEADM_SAID]
    assert cluster.argv().count("cluster-info") == 3


def test_the_secret_is_what_kubernetes_wants(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)
    token = mint(cluster.kubectl(), lifetime=600)
    secret = cluster.applied()
    assert (secret["kind"], secret["type"]) == ("Secret", "bootstrap.kubernetes.io/token")
    assert secret["metadata"] == {"name": f"bootstrap-token-{token.token_id}", "namespace": "kube-system"}
    assert secret["stringData"]["token-secret"] == token.token.split(".")[1]
    assert secret["stringData"]["usage-bootstrap-authentication"] == secret["stringData"]["usage-bootstrap-signing"] == "true"
    assert secret["stringData"]["auth-extra-groups"] == "system:bootstrappers:kubeadm:default-node-token"
    left = time.mktime(time.strptime(secret["stringData"]["expiration"], "%Y-%m-%dT%H:%M:%SZ")) - time.mktime(time.gmtime())
    assert 590 < left <= 600


def test_the_tokens_secret_is_in_no_command_line(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)
    token = mint(cluster.kubectl(), lifetime=600)
    assert token.token.split(".")[1] not in cluster.argv()


def test_no_two_tokens_are_alike(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)
    assert mint(cluster.kubectl(), 600).token != mint(cluster.kubectl(), 600).token


def test_a_cluster_that_does_not_sign_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "SIGN_WAIT", 0.0)
    with pytest.raises(NodewiseError, match=r"no signature for the new token.*kube-controller-manager"):
        mint(Cluster(tmp_path, signs=False).kubectl(), 600)


def test_revoking_names_only_the_public_part(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)
    revoke(cluster.kubectl(), "abcdef")
    assert "delete --namespace=kube-system secret bootstrap-token-abcdef --ignore-not-found" in cluster.argv()


@pytest.mark.parametrize("token_id", ["", "abcde", "ABCDEF", "abcdef.0123456789abcdef", "../../x"])
def test_what_is_no_token_id_is_refused_and_not_repeated(tmp_path: Path, token_id: str) -> None:
    with pytest.raises(NodewiseError, match="six lower-case letters") as caught:
        revoke(Cluster(tmp_path).kubectl(), token_id)
    assert not token_id or token_id not in str(caught.value)


def test_the_placeholder_is_well_formed() -> None:
    assert re.fullmatch(r"[a-z0-9]{6}\.[a-z0-9]{16}", PLACEHOLDER.token)
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", PLACEHOLDER.ca_cert_hashes[0])
