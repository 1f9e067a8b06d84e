# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guard's other duty: approve the kubelets' serving certificates when Ansible does not run."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..api.client import ApiClient
from ..api.clock import ServerClock
from ..api.store import Store
from ..errors import NodewiseError
from ..serving.approve import Approver
from ..serving.judge import pending

LOG = logging.getLogger("nodewise.guard")
# Seconds before a request that was not approved is judged again: its Node may come, or its host be added to the inventory.
_AGAIN = 5.0


@dataclass(frozen=True)
class Waiting:
    """A request about which nobody has decided.

    Parameters
    ----------
    version : str
        Its resourceVersion.
    body : Mapping
        The whole CertificateSigningRequest.
    """

    version: str
    body: Mapping[str, Any]


def waiting(request: Mapping[str, Any], _now: float, _told: bool) -> Waiting | None:
    """Return what the watch keeps of a request; None of one that is decided, or not a kubelet's."""
    return Waiting(request["metadata"]["resourceVersion"], request) if pending(request) else None


class Certificates:
    """Approves what the watch has found.

    Parameters
    ----------
    client : ApiClient
        Not used by another thread.
    store : Store
        Kept up to date by a watch.
    clock : ServerClock
        The API server's time.
    count : callable
        Is told the nodes that got an approval, by number.
    monotonic : callable
        Seconds.
    """

    def __init__(
        self, client: ApiClient, store: Store[Waiting], clock: ServerClock, count: Callable[[int], None], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._approver = Approver(client)
        self._store = store
        self._clock = clock
        self._count = count
        self._monotonic = monotonic
        self._not_before: dict[str, float] = {}
        self._told: dict[str, str] = {}

    def look(self) -> None:
        """Decide about what waits; never raises for what the API server says."""
        now, requests = self._monotonic(), self._store.all()
        self._not_before = {name: at for name, at in self._not_before.items() if name in requests}
        due = {name: one.body for name, one in requests.items() if now >= self._not_before.get(name, now)}
        if not due:
            return
        self._not_before.update(dict.fromkeys(due, now + _AGAIN))
        try:
            known = self._approver.known()
            # Where nobody has said which addresses are whose, somebody else approves.
            if known is None:
                return
            approved, refused = self._approver.decide(due.values(), known, self._clock.now())
        except (NodewiseError, ValueError, KeyError) as error:
            LOG.warning("certificates of kubelets are not approved: %s", error)
            return
        for node in approved:
            LOG.info("%s: its serving certificate is approved", node)
        self._count(len(approved))
        for name, why in refused.items():
            if self._told.get(name) != why:
                LOG.warning("the certificate signing request %s is not approved: %s", name, why)
        self._told = {name: why for name, why in {**self._told, **refused}.items() if name in requests}
