# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read-only access to the API server, one HTTPS request a call.

kubectl takes a tenth of a second to start; a verification reads two things of every
node, so it speaks to the API server itself.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import ssl
import tempfile
import urllib.parse
from dataclasses import dataclass
from typing import Any

from ..errors import NodewiseError
from ..files import read_text
from ..kube.kubectl import ADMIN_KUBECONFIG


@dataclass(frozen=True)
class Reading:
    """What was read, or why it could not be.

    Parameters
    ----------
    value : object
        The decoded answer; meaningless if there is an C(error).
    error : str
        Empty, or the reason why there is no value.
    status : int
        The HTTP status of the answer; 0 if none came.
    """

    value: Any = None
    error: str = ""
    status: int = 0

    @property
    def items(self) -> list[dict[str, Any]] | None:
        """The items of a list, or None if it could not be read."""
        return None if self.error else list(self.value.get("items") or [])


class ApiReader:
    """GET requests with one kubeconfig that holds a client certificate (kubeadm's admin.conf).

    Parameters
    ----------
    kubeconfig : str
        Path of the kubeconfig.
    timeout : float
        Seconds that one request may take.

    Raises
    ------
    NodewiseError
        The kubeconfig is missing or not understood.
    """

    def __init__(self, kubeconfig: str = ADMIN_KUBECONFIG, timeout: float = 5.0) -> None:
        try:
            text = read_text(kubeconfig)
        except OSError as error:
            raise NodewiseError(f"{kubeconfig} cannot be read: {error.strerror}.", "run with become") from error
        if text is None:
            raise NodewiseError(f"{kubeconfig} is not on this host.", "run this on the first control plane, after kubeadm init")
        server, authority, pair = parse_kubeconfig(text, kubeconfig)
        self._timeout = timeout
        address = urllib.parse.urlsplit(server)
        self._host, self._port = address.hostname or "", address.port or 443
        self._context = ssl.create_default_context(cadata=authority)
        # The ssl module loads a client key from a file only. /run is memory, and the file is gone at once.
        descriptor, path = tempfile.mkstemp(dir="/run" if os.access("/run", os.W_OK) else None)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as handle:
                handle.write(pair)
            self._context.load_cert_chain(path)
        except ssl.SSLError as error:
            raise NodewiseError(f"The client certificate in {kubeconfig} cannot be used: {error}.", "renew it with kubeadm certs renew admin.conf") from error
        finally:
            os.unlink(path)

    def get(self, path: str) -> Reading:
        """Read a path; an answer in JSON is decoded, anything else is text."""
        connection = http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout, context=self._context)
        try:
            connection.request("GET", path, headers={"Accept": "application/json, text/plain"})
            response = connection.getresponse()
            body = response.read().decode()
            if response.status >= 400:
                return Reading(body, f"HTTP {response.status} {_message(body)}", response.status)
            kind = response.headers.get_content_type()
            return Reading(json.loads(body) if kind == "application/json" else body, "", response.status)
        except TimeoutError:
            return Reading(error=f"{self._host}:{self._port} did not answer within {self._timeout:.0f} s")
        except (OSError, http.client.HTTPException, ValueError) as error:
            return Reading(error=f"{self._host}:{self._port}: {error}")
        finally:
            connection.close()


def _message(body: str) -> str:
    """Return the message of a Status object, or the text's first line."""
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body.strip().partition("\n")[0][:200]


def parse_kubeconfig(text: str, path: str) -> tuple[str, str, str]:
    """Return the server's URL, the authority's certificates and the client's certificate and key (PEM).

    Raises
    ------
    NodewiseError
        Something of it is missing, or python3-yaml is.
    """
    try:
        import yaml
    except ImportError as error:
        raise NodewiseError("The Python package yaml is missing on this host.", "install python3-yaml (role host does)") from error
    try:
        data = yaml.safe_load(text)
        context = _named(data["contexts"], data["current-context"])["context"]
        cluster = _named(data["clusters"], context["cluster"])["cluster"]
        user = _named(data["users"], context["user"])["user"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode("ascii")
        pair = base64.b64decode(user["client-certificate-data"]) + b"\n" + base64.b64decode(user["client-key-data"])
        return str(cluster["server"]), authority, pair.decode("ascii")
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise NodewiseError(
            f"{path} is not a kubeconfig with a server and a client certificate ({type(error).__name__}: {error}).",
            "write it again with kubeadm init phase kubeconfig admin",
        ) from error


def _named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    for entry in entries:
        if entry["name"] == name:
            return entry
    raise KeyError(name)
