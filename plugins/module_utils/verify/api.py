# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read-only access to the API server, one HTTPS request a call.

kubectl takes a tenth of a second to start; a verification reads two things of every
node, so it speaks to the API server itself.
"""

from __future__ import annotations

import http.client
import json
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..api.client import tls_context
from ..api.kubeconfig import read_kubeconfig
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


def taken(take: Callable[[], Any]) -> Reading:
    """Return what a function returns as a reading, and what it raises as the reason why there is none."""
    try:
        return Reading(take())
    except NodewiseError as error:
        return Reading(error=error.message)
    except OSError as error:
        return Reading(error=f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}")
    except (KeyError, TypeError, ValueError) as error:
        return Reading(error=f"not understood ({type(error).__name__}: {error})")


def text_of(path: str) -> str:
    """Return the text of a file.

    Raises
    ------
    NodewiseError
        There is no such file.
    """
    text = read_text(path)
    if text is None:
        raise NodewiseError(f"{path} does not exist")
    return text


class ApiReader:
    """GET requests with one kubeconfig (kubeadm's admin.conf), from several threads at once if need be.

    Parameters
    ----------
    kubeconfig : str
        Path of the kubeconfig.
    timeout : float
        Seconds that one request may take.
    server : str
        URL of the API server to ask instead of the kubeconfig's.

    Raises
    ------
    NodewiseError
        The kubeconfig is missing or not understood.
    """

    def __init__(self, kubeconfig: str = ADMIN_KUBECONFIG, timeout: float = 5.0, server: str = "") -> None:
        credentials = read_kubeconfig(kubeconfig)
        self._timeout = timeout
        address = urllib.parse.urlsplit(credentials.server)
        self._host, self._port = address.hostname or "", address.port or 443
        self._context = tls_context(credentials, kubeconfig)
        self._headers = {"Accept": "application/json, text/plain"}
        if credentials.token:
            self._headers["Authorization"] = f"Bearer {credentials.token}"

    def get(self, path: str) -> Reading:
        """Read a path; an answer in JSON is decoded, anything else is text."""
        connection = http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout, context=self._context)
        try:
            connection.request("GET", path, headers=self._headers)
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
