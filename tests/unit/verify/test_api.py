# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the API server: a real HTTPS server, and kubeconfigs that are none."""

from __future__ import annotations

import base64
import http.server
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from ansible_collections.nodewise.cluster.plugins.module_utils.api.kubeconfig import parse_kubeconfig
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.api import ApiReader, Reading


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers as an API server does, by path."""

    ANSWERS = {
        "/json": (200, "application/json", '{"items": null}'),
        "/text": (200, "text/plain; charset=utf-8", "ok"),
        "/missing": (404, "application/json", '{"kind": "Status", "message": "not found here"}'),
        "/readyz": (500, "text/plain", "[+]ping ok\n[-]etcd failed: reason withheld\n"),
        "/broken": (200, "application/json", "{"),
    }

    def do_GET(self) -> None:
        status, kind, body = self.ANSWERS[self.path]
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture(scope="module")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a kubeconfig for a server that asks for the client's certificate."""
    folder = tmp_path_factory.mktemp("api")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subject = ["-subj", "/CN=kubernetes", "-addext", "subjectAltName=IP:127.0.0.1"]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    subprocess.run(["openssl", "req", "-x509", *curve, *subject, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(certificate)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def coded(path: Path) -> str:
        return base64.b64encode(path.read_bytes()).decode()

    config = {
        "contexts": [{"name": "admin", "context": {"cluster": "k", "user": "u"}}],
        "current-context": "admin",
        "clusters": [{"name": "k", "cluster": {"server": f"https://127.0.0.1:{server.server_port}", "certificate-authority-data": coded(certificate)}}],
        "users": [{"name": "u", "user": {"client-certificate-data": coded(certificate), "client-key-data": coded(key)}}],
    }
    path = folder / "admin.conf"
    path.write_text(yaml.safe_dump(config))
    yield path
    server.shutdown()
    server.server_close()


def test_json_is_decoded_and_text_is_not(kubeconfig: Path) -> None:
    reader = ApiReader(str(kubeconfig))
    assert reader.get("/json") == Reading({"items": None}, "", 200)
    assert reader.get("/json").items == []
    assert reader.get("/text") == Reading("ok", "", 200)


def test_an_error_keeps_its_status_and_message(kubeconfig: Path) -> None:
    reader = ApiReader(str(kubeconfig))
    missing = reader.get("/missing")
    assert (missing.status, missing.error, missing.items) == (404, "HTTP 404 not found here", None)
    ready = reader.get("/readyz")
    assert (ready.status, ready.error) == (500, "HTTP 500 [+]ping ok")
    assert "[-]etcd" in ready.value


def test_a_broken_answer_is_an_error(kubeconfig: Path) -> None:
    assert ApiReader(str(kubeconfig)).get("/broken").error


def test_nobody_listens(kubeconfig: Path, tmp_path: Path) -> None:
    other = tmp_path / "admin.conf"
    config = yaml.safe_load(kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    other.write_text(yaml.safe_dump(config))
    reading = ApiReader(str(other)).get("/json")
    assert reading.status == 0
    assert "127.0.0.1:1" in reading.error
    assert "refused" in reading.error


def test_the_key_does_not_stay_on_disk(kubeconfig: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("os.access", lambda *_args: False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    ApiReader(str(kubeconfig))
    assert list(tmp_path.iterdir()) == []


def test_a_missing_kubeconfig_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(NodewiseError, match="is not on this host.*first control plane"):
        ApiReader(str(tmp_path / "admin.conf"))


@pytest.mark.parametrize("text", ["", "a: [", "current-context: admin\ncontexts: []\n", "- 1\n"])
def test_what_is_no_kubeconfig_is_refused(text: str) -> None:
    with pytest.raises(NodewiseError, match="/x is not a kubeconfig with a server and a client certificate"):
        parse_kubeconfig(text, "/x")
