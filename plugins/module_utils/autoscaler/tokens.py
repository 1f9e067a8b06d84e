# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bootstrap token of one join: made shortly before it, removed right after it, void by itself after ten minutes."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ..api.clock import ServerClock
from ..api.pool import ClientPool
from ..api.times import format_time
from ..errors import NodewiseError
from ..kubeadm import tokens

LOG = logging.getLogger("nodewise.autoscaler")
LIFETIME = 600
"""Seconds."""
DESCRIPTION = "made by nodewise-autoscaler for one join"
SECRETS = "/api/v1/namespaces/kube-system/secrets"
_CLUSTER_INFO = "/api/v1/namespaces/kube-public/configmaps/cluster-info"
_PAUSE = 0.2


class NoToken(NodewiseError):
    """The cluster gives no token that works; no host is to blame."""


@dataclass(frozen=True)
class Token:
    """What a host needs to join.

    Parameters
    ----------
    token : str
        ID.SECRET.
    ca_cert_hashes : list of str
        C(sha256:HEX) of each CA's public key.
    """

    token: str = field(repr=False)
    ca_cert_hashes: list[str]


@contextmanager
def bootstrap_token(client: ClientPool, token_id: str, clock: ServerClock) -> Iterator[Token]:
    """Make a token and wait until the cluster has signed with it; remove it at the end, whatever happens (what cannot be removed then expires).

    Parameters
    ----------
    client : ClientPool
        Connections.
    token_id : str
        Its public part, so that whoever goes on after a crash can remove what was left.
    clock : ServerClock
        The API server's, by which it expires.

    Raises
    ------
    NoToken
        The API server does not answer or refuses it, or the controller manager does not sign.
    """
    secret = tokens.new_secret()
    body = tokens.secret_object(token_id, secret, format_time(clock.now() + LIFETIME, 0), DESCRIPTION)
    try:
        try:
            answer = client.request("POST", SECRETS, body)
            if answer.status == 409:
                # Made for the same join by one who has ended since.
                revoke(client, token_id)
                answer = client.request("POST", SECRETS, body)
            if not answer.ok:
                raise NodewiseError(f"no bootstrap token can be made: {answer.status} {answer.message}")
            token = Token(f"{token_id}.{secret}", _hashes(client, token_id))
        except NodewiseError as error:
            raise NoToken(error.message, error.remedy) from error
        yield token
    finally:
        try:
            revoke(client, token_id)
        except NodewiseError as error:
            LOG.warning("%s; it expires by itself", error)


def revoke(client: ClientPool, token_id: str) -> None:
    """Remove a token; one that is gone already is fine.

    Raises
    ------
    NodewiseError
        The API server does not answer or refuses it.
    """
    answer = client.request("DELETE", f"{SECRETS}/{tokens.secret_name(token_id)}")
    if not answer.ok and answer.status != 404:
        raise NodewiseError(f"a bootstrap token cannot be removed: {answer.status} {answer.message}")


def _hashes(client: ClientPool, token_id: str) -> list[str]:
    deadline = time.monotonic() + tokens.SIGN_WAIT
    while True:
        answer = client.get(_CLUSTER_INFO)
        if answer.status not in (200, 404):
            raise NodewiseError(f"kube-public/cluster-info cannot be read: {answer.status} {answer.message}")
        data = (answer.value().get("data") or {}) if answer.ok else {}
        if tokens.is_signed(data, token_id):
            return tokens.endpoint_and_hashes(data)[1]
        if time.monotonic() >= deadline:
            raise tokens.unsigned()
        time.sleep(_PAUSE)
