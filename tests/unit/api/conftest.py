# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real HTTPS server that asks for client certificates, as an API server does."""

from __future__ import annotations

import base64
import contextlib
import http.server
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers by path, keeps connections, and notes what it saw."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[list[dict[str, Any]]] = []

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        peer = dict(part[0] for part in self.connection.getpeercert()["subject"]) if self.connection.getpeercert() else {}  # type: ignore[attr-defined]
        record = {"method": self.command, "path": self.path, "body": self.rfile.read(length), "peer": peer.get("commonName", "")}
        self.seen.append({**record, "connection": self.client_address, "headers": dict(self.headers)})
        if self.path == "/silent":
            self.server.release.wait(20)  # type: ignore[attr-defined]
            self.close_connection = True
            return
        if self.path == "/many-parts":
            # More than a client can read within its deadline, one after the other without a pause.
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            with contextlib.suppress(OSError):
                for _part in range(100000):
                    self.wfile.write(b" ")
            self.close_connection = True
            return
        status = int(self.path.rpartition("/")[2]) if "/status/" in self.path else 200
        body = b'{"kind": "Status", "message": "said so"}' if status >= 400 else b'{"metadata": {}}'
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body) + (5 if self.path == "/short" else 0)))
        if self.path.startswith("/close"):
            # As an API server that is ending does.
            self.send_header("Connection", "close")
        if status == 429:
            self.send_header("Retry-After", "7")
        self.end_headers()
        if self.path == "/close/later":
            self.server.release.wait(1)  # type: ignore[attr-defined]
        self.wfile.write(body)
        if self.path in ("/drop", "/short"):
            # Without a word, as a load balancer does.
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    do_PUT = do_POST = do_PATCH = do_GET

    def log_message(self, *_args: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    """Without tracebacks for clients that go away."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.release = threading.Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class Site:
    """The server's address, its authority, and certificates that it trusts."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder, self.port = folder, port
        self.authority = folder / "ca.pem"

    def issue(self, name: str) -> str:
        """Return a certificate and its key in one PEM, as a kubelet keeps them."""
        key, request, certificate = (self._folder / f"{name}.{kind}" for kind in ("key", "csr", "crt"))
        new = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-keyout", key, "-out", request]
        sign = ["openssl", "x509", "-req", "-in", request, "-CA", self.authority, "-CAkey", self._folder / "ca.key", "-CAcreateserial", "-out", certificate]
        for command in (new, sign):
            subprocess.run(command, check=True, capture_output=True)
        return certificate.read_text() + key.read_text()

    def config(self, user: dict[str, Any], **cluster: Any) -> str:
        """Return a kubeconfig's text."""
        authority = base64.b64encode(self.authority.read_bytes()).decode()
        return yaml.safe_dump(
            {
                "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
                "current-context": "c",
                "clusters": [{"name": "k", "cluster": {"server": f"https://127.0.0.1:{self.port}", "certificate-authority-data": authority, **cluster}}],
                "users": [{"name": "u", "user": user}],
            }
        )


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return a running server's site."""
    folder = tmp_path_factory.mktemp("site")
    subject = ["-subj", "/CN=kubernetes", "-addext", "subjectAltName=IP:127.0.0.1"]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command = ["openssl", "req", "-x509", *curve, *subject, "-keyout", folder / "ca.key", "-out", folder / "ca.pem"]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.pem", folder / "ca.key")
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(folder / "ca.pem")
    server = Server()
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Site(folder, server.server_port)
    server.release.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def seen() -> list[dict[str, Any]]:
    """Return what the server sees from now on."""
    Handler.seen.clear()
    return Handler.seen
