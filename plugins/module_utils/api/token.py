# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A daemon's credentials: a ServiceAccount's token, bound to the Node of its host, renewed by itself.

The daemon may ask for tokens of its own ServiceAccount only. Deleting the ServiceAccount or the Node makes all of them void at once.
"""

from __future__ import annotations

import base64
import json
import logging
from dataclasses import dataclass
from typing import Any

from ..errors import NodewiseError
from ..files import read_text, write_atomic
from ..report.manifests import NAMESPACE
from .client import ApiClient
from .clock import ServerClock

LOG = logging.getLogger("nodewise.api")
LIFETIME = 7 * 86400
"""Seconds: a daemon that has been off for longer needs the role to be run again."""
# Seconds between two attempts, and the share of its life after which a token is renewed.
_PAUSE, _SHARE = 300.0, 1 / 7


@dataclass(frozen=True)
class Claims:
    """What a token says of itself; not verified, only the API server can.

    Parameters
    ----------
    issued, expires : float
        Seconds since 1970.
    node_name, node_uid : str
        The Node that it is bound to; empty if to none.
    """

    issued: float
    expires: float
    node_name: str
    node_uid: str


def claims(token: str) -> Claims:
    """Return what a token says of itself (RFC 7519).

    Raises
    ------
    ValueError
        It is no such token.
    """
    parts = token.strip().split(".")
    if len(parts) != 3:
        raise ValueError("it does not have three parts")
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    node = (found.get("kubernetes.io") or {}).get("node") or {}
    return Claims(float(found["iat"]), float(found["exp"]), node.get("name", ""), node.get("uid", ""))


def due(token: Claims, now: float, share: float) -> bool:
    """Tell whether a share of its life is over."""
    return now >= token.issued + (token.expires - token.issued) * share


def request_path(account: str) -> str:
    """Return where tokens of a ServiceAccount are asked for."""
    return f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{account}/token"


class TokenKeeper:
    """Renews the token.

    Parameters
    ----------
    client : ApiClient
        Reads the new token by itself.
    account : str
        Its ServiceAccount.
    path : str
        The token's file.
    clock : ServerClock
        The API server's.
    """

    def __init__(self, client: ApiClient, account: str, path: str, clock: ServerClock) -> None:
        self._client = client
        self._request_path = request_path(account)
        self._path = path
        self._clock = clock
        self._next = 0.0
        self.expires: float | None = None
        """When the token in use expires; None if unknown."""

    def look(self, monotonic: float) -> None:
        """Renew the token if it is time; at most every few minutes, whatever happens."""
        if monotonic < self._next:
            return
        self._next = monotonic + _PAUSE
        try:
            self._renew()
        except (NodewiseError, OSError, ValueError, KeyError) as error:
            LOG.warning("the token is not renewed: %s", error)

    def _renew(self) -> None:
        current = claims(read_text(self._path) or "")
        self.expires = current.expires
        if not due(current, self._clock.now(), _SHARE):
            return
        spec: dict[str, Any] = {"expirationSeconds": LIFETIME}
        if current.node_name:
            spec["boundObjectRef"] = {"apiVersion": "v1", "kind": "Node", "name": current.node_name, "uid": current.node_uid}
        answer = self._client.request("POST", self._request_path, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec})
        if not answer.ok:
            raise NodewiseError(f"{answer.status}: {answer.message}")
        token = answer.value()["status"]["token"]
        self.expires = claims(token).expires
        write_atomic(self._path, f"{token}\n", 0o600)
        LOG.info("the token is renewed")
