# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kubelet's client against a TLS server of this test's own."""

from __future__ import annotations

import datetime
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.api.kubeconfig import Credentials
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.resources.kubelet_api import KubeletClient
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Kubelet = Callable[..., KubeletClient]


def certificate(path: Path) -> None:
    """Write a self-signed certificate and its key, as a kubelet makes one; it names the host, not its address."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "w1@1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("w1")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))


class Handler(BaseHTTPRequestHandler):
    seen: list[str | None] = []

    def do_GET(self) -> None:
        self.seen.append(self.headers["Authorization"])
        status, body = {"/configz": (200, json.dumps({"a": 1})), "/text": (200, "no json")}.get(self.path, (403, "Forbidden (user=x)\nmore"))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def kubelet(tmp_path: Path) -> Iterator[Kubelet]:
    """Return what makes a client of a running server: with the right certificate on disk, or another."""
    certificate(tmp_path / "kubelet.pem")
    certificate(tmp_path / "other.pem")
    Handler.seen = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "kubelet.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()

    def client(file: str = "kubelet.pem", port: int = server.server_port) -> KubeletClient:
        configuration = {"address": "0.0.0.0", "port": port, "tlsCertFile": str(tmp_path / file)}
        return KubeletClient(Credentials("https://unused", "", token="hush"), configuration)

    yield client
    server.shutdown()
    server.server_close()
    thread.join()


def test_an_answer(kubelet: Kubelet) -> None:
    reading = kubelet().get("/configz")
    assert (reading.value, reading.error) == ({"a": 1}, "")
    assert Handler.seen == ["Bearer hush"]


def test_a_refusal_keeps_its_status(kubelet: Kubelet) -> None:
    reading = kubelet().get("/stats/summary")
    assert (reading.status, reading.error) == (403, "kubelet /stats/summary: HTTP 403 Forbidden (user=x)")


def test_no_json(kubelet: Kubelet) -> None:
    assert "Expecting value" in kubelet().get("/text").error


def test_a_stranger_on_the_kubelets_port_gets_no_token(kubelet: Kubelet) -> None:
    reading = kubelet("other.pem").get("/configz")
    assert "certificate verify failed" in reading.error
    assert Handler.seen == []


def test_nobody_on_the_port(kubelet: Kubelet) -> None:
    assert "Connection refused" in kubelet(port=1).get("/configz").error


def test_a_kubelet_without_its_certificate_is_not_asked(kubelet: Kubelet) -> None:
    with pytest.raises(NodewiseError, match="serving certificate is not on this host"):
        kubelet("none.pem")
