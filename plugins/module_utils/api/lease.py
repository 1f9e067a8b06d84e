# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of several daemons acts: the one that holds a Lease (coordination.k8s.io/v1).

As client-go's leader election does, a candidate takes a Lease over only after it has itself seen it unchanged for the whole
duration, so no two clocks are compared; and the holder stops earlier than that if it cannot renew.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import NodewiseError
from ..report.manifests import NAMESPACE
from .client import ApiClient
from .clock import ServerClock
from .times import format_time

LOG = logging.getLogger("nodewise.api")
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"

DURATION = 15.0
DEADLINE = 10.0
"""Seconds after the last renewal that was accepted in which the holder still acts."""
PERIOD = 3.0
"""Seconds between two attempts, of the holder and of the others."""


class Elector:
    """One candidate.

    Parameters
    ----------
    client : ApiClient
        A connection of its own.
    identity : str
        Its name. The same after a restart, so that a restarted holder goes on at once; one host runs one daemon of a kind.
    name : str
        The Lease's name.
    clock : ServerClock
        For the times in the Lease, which people read.
    monotonic : callable
        Seconds of a clock that is never set.
    """

    def __init__(self, client: ApiClient, identity: str, name: str, clock: ServerClock, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._identity = identity
        self._name = name
        self._clock = clock
        self._monotonic = monotonic
        self._until = float("-inf")
        self._seen: tuple[Any, float] = (None, 0.0)
        self._lease: dict[str, Any] | None = None
        self.answered = False
        """Whether the API server has let it read or write the Lease."""
        self.failure = ""
        """Why the last attempt failed; empty if it did not."""
        self.holder = ""
        """Who holds the Lease, as far as known."""

    @property
    def leading(self) -> bool:
        """Whether this one may act now."""
        return self._monotonic() < self._until

    def attempt(self) -> None:
        """Take, renew, or look at the Lease once."""
        was = self.leading
        begin = self._monotonic()
        try:
            self._attempt(begin)
            self.failure = ""
        except (NodewiseError, ValueError, KeyError) as error:
            self._lease = None
            self.failure = str(error)
        except Exception as error:
            # A mistake of ours must be seen, and must not end the thread: nobody would lead, and nothing would say why.
            self._lease = None
            self.failure = f"{type(error).__name__}: {error}"
            LOG.exception("the Lease")
        if self.leading != was:
            LOG.info(
                "this %s leads" if self.leading else "this %s does not lead any more: %s",
                self._name.removeprefix("nodewise-"),
                *([] if self.leading else [self.failure or f"{self.holder} does"]),
            )

    def release(self) -> None:
        """Give the Lease back, so that another one need not wait."""
        if self.leading and self._lease is not None:
            self._until = float("-inf")
            try:
                self._write({**self._lease, "spec": {**self._lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}})
            except NodewiseError as error:
                LOG.warning("the Lease is not given back: %s", error)

    def _attempt(self, begin: float) -> None:
        if self._lease is None or not self.leading:
            answer = self._client.get(f"{LEASES}/{self._name}")
            self._clock.learn(answer)
            if answer.status == 404:
                self._lease = None
            elif answer.ok:
                self._lease = answer.value()
            else:
                raise NodewiseError(f"the Lease cannot be read: {answer.status} {answer.message}")
            self.answered = True
        spec: Mapping[str, Any] = (self._lease or {}).get("spec") or {}
        self.holder = spec.get("holderIdentity") or ""
        record = (self.holder, spec.get("renewTime"), spec.get("leaseTransitions"))
        if record != self._seen[0]:
            self._seen = (record, begin)
        free = not self.holder or begin - self._seen[1] >= DURATION
        if self.holder != self._identity and not free:
            self._until = float("-inf")
            return
        now = f"{format_time(self._clock.now())}"
        taken = self.holder != self._identity
        wanted = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": int(DURATION),
            "acquireTime": now if taken else spec.get("acquireTime", now),
            "renewTime": now,
            "leaseTransitions": int(spec.get("leaseTransitions") or 0) + (1 if taken and self._lease is not None else 0),
        }
        metadata = (self._lease or {}).get("metadata") or {"name": self._name, "namespace": NAMESPACE}
        if self._write({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": wanted}):
            self._until = begin + DEADLINE
            self.holder = self._identity

    def _write(self, lease: Mapping[str, Any]) -> bool:
        """Write the Lease; return False if somebody else was faster."""
        if "resourceVersion" in lease["metadata"]:
            answer = self._client.request("PUT", f"{LEASES}/{self._name}", lease)
        else:
            answer = self._client.request("POST", LEASES, lease)
        self._clock.learn(answer)
        if answer.ok:
            self._lease = answer.value()
            return True
        self._lease = None
        if answer.status in (404, 409):
            return False
        raise NodewiseError(f"the Lease cannot be written: {answer.status} {answer.message}")
