# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small admission webhook: mutates one pod and refuses another (AdmissionReview, admission.k8s.io/v1)."""

from __future__ import annotations

import base64
import json
import os
import socketserver
import ssl
import tempfile
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any

from ..errors import NodewiseError
from ..process import TimeoutExpired, run

ANNOTATION = "nodewise.dev/verify-mutated"
"""What the mutating webhook adds to a pod that has annotations; its value is the session's name."""
REFUSE_LABEL = "nodewise.dev/verify-refuse"
"""A pod with this label is refused by the validating webhook."""
MUTATE, VALIDATE = "/mutate", "/validate"

# A review holds one pod; more is no review of ours.
_MOST_BYTES = 1 << 20
_TIMEOUT = 10.0


def refusal(session: str) -> str:
    """Return the message with which a pod is refused."""
    return f"refused by the test webhook of {session}"


def answer(path: str, review: Mapping[str, Any], session: str) -> dict[str, Any]:
    """Return the AdmissionReview that answers another.

    Raises
    ------
    KeyError
        It is no review of an object's creation.
    """
    request = review["request"]
    response: dict[str, Any] = {"uid": request["uid"], "allowed": True}
    if path == MUTATE:
        key = ANNOTATION.replace("~", "~0").replace("/", "~1")
        patch = [{"op": "add", "path": f"/metadata/annotations/{key}", "value": session}]
        response.update(patchType="JSONPatch", patch=base64.b64encode(json.dumps(patch).encode()).decode())
    elif REFUSE_LABEL in (request["object"]["metadata"].get("labels") or {}):
        response.update(allowed=False, status={"code": 403, "message": refusal(session)})
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}


class WebhookServer:
    """The webhook, served over TLS by threads of this process until the block is left, or the process ends.

    Parameters
    ----------
    address : str
        IP address of this host to listen on; the port is a free one.
    session : str
        Name of the session.

    Raises
    ------
    NodewiseError
        No certificate can be made, or the address is not this host's.
    """

    def __init__(self, address: str, session: str) -> None:
        self._address = address
        # /run is memory, and the key is gone as soon as it is loaded.
        with tempfile.TemporaryDirectory(dir="/run" if os.access("/run", os.W_OK) else None) as folder:
            certificate, key = f"{folder}/tls.crt", f"{folder}/tls.key"
            _make_certificate(address, certificate, key)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            with open(certificate, "rb") as handle:
                self.ca_bundle = base64.b64encode(handle.read()).decode()
        try:
            # Not ThreadingHTTPServer, which asks the resolver for the host's name and waits for it.
            self._server = socketserver.ThreadingTCPServer((address, 0), _handler(session))
        except OSError as error:
            remedy = "run this on the control plane whose address it is"
            raise NodewiseError(f"The test webhook cannot listen on {address}: {error.strerror}.", remedy) from error
        self._server.daemon_threads = True
        # The handshake is left to the thread of each connection, so that a silent client holds up nobody.
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def url(self) -> str:
        """URL of the server, without a path."""
        return f"https://{self._address}:{self._server.server_address[1]}"

    def stop(self) -> None:
        """Stop listening; twice is fine."""
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> WebhookServer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


def _make_certificate(address: str, certificate: str, key: str) -> None:
    """Make a certificate that is its own authority and lives for a day; a host's Python has no means to make one."""
    subject = ["-subj", "/CN=nodewise-verify", "-addext", f"subjectAltName=IP:{address}"]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc", "-days", "1", *subject]
    try:
        done = run([*command, "-out", certificate, "-keyout", key], timeout=30)
    except FileNotFoundError as error:
        raise NodewiseError("openssl is not installed on this host, so the test webhook has no certificate.", "install the package openssl") from error
    except TimeoutExpired as error:
        raise NodewiseError("openssl did not make a certificate within 30 s.") from error
    if done.returncode != 0:
        raise NodewiseError(f"openssl made no certificate ({done.returncode}): {done.stderr.strip()[-300:]}")


def _handler(session: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Answers reviews, and anything else with 400."""

        timeout = _TIMEOUT

        def do_POST(self) -> None:
            """Answer one review."""
            try:
                length = min(int(self.headers.get("Content-Length") or 0), _MOST_BYTES)
                body = json.dumps(answer(self.path.partition("?")[0], json.loads(self.rfile.read(length)), session)).encode()
            except (ValueError, KeyError, TypeError):
                self.send_error(400)
                return
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: Any) -> None:
            """Stay silent: what a module prints is its result."""

    return Handler
