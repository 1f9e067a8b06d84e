# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing a node's reports: one request a period, the newest sample only, and nothing ever queues."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ..api.client import JSON, JSON_PATCH, METADATA_ONLY, Answer, NoAnswer
from ..api.times import parse_time
from ..errors import NodewiseError
from . import schema
from .build import Allocatable, true_conditions
from .schedule import backoff, is_current, next_slot, start_delay
from .settings import Settings
from .size import fitted

RECALLED = "recalled"
WRITTEN = "written"
FAILED = "failed"

NODE_SECONDS = 300.0
"""The Node object is read again after this long: its allocatable, or the object itself, may be another."""

# From the API server's watch cache: a start of thousands of reporters costs etcd nothing.
_CACHED = "?resourceVersion=0"

# What a server answers that is busy, stopping or does not know us yet. It costs no more to ask it at every regular time than
# it costs to serve us, so the pause ends there; other refusals stay until somebody does something.
_PASSING = frozenset({0, 401, 408, 409, 429, 500, 502, 503, 504})

_REMEDIES = {
    401: "look at the kubelet's client certificate: openssl x509 -noout -dates -in /var/lib/kubelet/pki/kubelet-client-current.pem",
    403: "see that node_name is the node's own, then apply the reporter's objects to the cluster again (role reporter)",
    404: "apply the reporter's objects to the cluster again (role reporter): the CustomResourceDefinition is missing",
    422: "give the reporter the node's own name, and let both it and the cluster's objects be of the same version",
}


class Client(Protocol):
    """What is needed of an :class:`..api.client.ApiClient`."""

    def request(self, method: str, path: str, body: Any = None, content_type: str = JSON, accept: str = JSON) -> Answer:
        """Send one request."""


@dataclass(frozen=True)
class Outcome:
    """What one step of the publisher came to.

    Parameters
    ----------
    kind : str
        :data:`RECALLED` (the stored report and the Node were read: take a sample now), :data:`WRITTEN` or :data:`FAILED`.
    sequence : int
        The last sequence number that was used.
    status : int
        HTTP status of the last answer; 0 if there was none.
    seconds : float or None
        How long the last answer took.
    skew : float or None
        Seconds that the host's clock is ahead of the API server's.
    message, remedy : str
        Of a failure.
    retry_in : float
        Seconds until the next try, after a failure.
    """

    kind: str
    sequence: int
    status: int = 0
    seconds: float | None = None
    skew: float | None = None
    message: str = ""
    remedy: str = ""
    retry_in: float = 0.0


class _Refused(Exception):
    """The API server answered, but not as it should."""

    def __init__(self, action: str, answer: Answer) -> None:
        super().__init__(f"{action}: HTTP {answer.status}: {answer.message}")
        self.answer = answer


class Publisher:
    """Writes one node's report. Not for several threads at once.

    :meth:`due_in` says when :meth:`step` has something to do. The first step reads the stored report and the Node; then
    :attr:`stored` and :attr:`allocatable` are known, and statuses can be offered. ::

        while True:
            wait(min(publisher.due_in(), seconds_to_next_sample))
            if publisher.due_in() <= 0 and publisher.step().kind == RECALLED:
                observer.restore(publisher.stored)
                sample_now = True
            if sample_now or it is time:
                publisher.offer(observer.observe(host, runtime, publisher.allocatable, monotonic, wall))

    Parameters
    ----------
    node : str
        The node's name.
    client : Client
        Access to the API server with the node's identity.
    settings : Settings
        When to write.
    clock, wall : callable
        Seconds of a clock that is never set, and seconds since the epoch.
    draw : callable
        Returns a random number in C([0, 1)).
    """

    def __init__(
        self,
        node: str,
        client: Client,
        settings: Settings,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.stored: dict[str, Any] | None = None
        """C(status) of the report as it was found at the start; None if there was none."""
        self.allocatable = Allocatable()
        """Of the Node object, when last read."""
        self._node, self._client, self._settings = node, client, settings
        self._clock, self._wall, self._draw = clock, wall, draw
        self._recalled = False
        self._version = ""
        self._uid = ""
        self._owner = ""
        self._node_read_at = 0.0
        self._sequence = 0
        self._pending: dict[str, Any] | None = None
        self._written: Mapping[str, Any] = {}
        self._written_at = clock()
        self._regular_at = clock() + start_delay(node)
        self._failures = 0
        self._retry_at = 0.0

    def due_in(self) -> float:
        """Return the seconds until the next step; 0 if it is due, infinite as long as there is nothing to write."""
        if self._recalled and self._pending is None:
            return float("inf")
        return max(0.0, self._due_at() - self._clock())

    def offer(self, status: Mapping[str, Any]) -> None:
        """Take the newest status to write; it replaces an earlier one that was not written."""
        self._pending = dict(status)

    def reconfigure(self, settings: Settings) -> None:
        """Use other settings from now on."""
        self._settings = settings
        if self._recalled:
            self._regular_at = min(self._regular_at, self._slot_after(self._written_at, self._settings.min_gap_seconds))

    def step(self) -> Outcome:
        """Do what is due: read the stored report first, later write the newest status. Never raises for a failure."""
        try:
            answer = self._write() if self._recalled else self._recall()
        except _Refused as error:
            return self._failed(str(error), _REMEDIES.get(error.answer.status, ""), error.answer)
        except NoAnswer as error:
            return self._failed(error.message, error.remedy or "see whether the API server runs and can be reached from this host")
        except NodewiseError as error:
            return self._failed(error.message, error.remedy)
        self._failures = 0
        kind = WRITTEN if self._recalled else RECALLED
        self._recalled = True
        return Outcome(kind, self._sequence, answer.status, answer.seconds, answer.skew)

    def _due_at(self) -> float:
        if self._failures:
            return self._retry_at
        if self._recalled and self._pending is not None:
            if _identity(self._pending) != _identity(self._written):
                return self._clock()
            if true_conditions(self._pending) != true_conditions(self._written):
                return min(self._regular_at, self._written_at + self._settings.min_gap_seconds)
        return self._regular_at

    def _recall(self) -> Answer:
        answer = self._read_report(_CACHED)
        self._read_node(_CACHED)
        now = self._clock()
        self._regular_at = now
        if self.stored is not None:
            age = _age(self.stored, self._wall())
            if age is not None:
                self._written, self._written_at = self.stored, now - max(0.0, age)
                if is_current(self._wall() - age, self._node, self._wall(), self._settings):
                    self._regular_at = self._slot_after(self._written_at, self._settings.min_gap_seconds)
        return answer

    def _read_report(self, query: str = "") -> Answer:
        """Read the report as it is stored; another reporter of the same name, or one before us, may have written it."""
        action = f"reading the NodeReport {self._node}"
        answer = self._client.request("GET", f"{self._path()}{query}")
        if answer.status not in (200, 404):
            raise _Refused(action, answer)
        self._version = self._owner = ""
        if answer.ok:
            report = _object(action, answer)
            self._version, self._owner = str(report["metadata"]["resourceVersion"]), _owner(report)
            self.stored = report.get("status") or {}
            self._sequence = max(self._sequence, int(self.stored.get("sequence") or 0))
        return answer

    def _write(self) -> Answer:
        if self._clock() - self._node_read_at >= NODE_SECONDS:
            self._read_node(_CACHED)
        status: Mapping[str, Any] = {}
        for _attempt in range(2):
            if not self._version:
                self._read_report()
            if not self._version:
                # Deleted, by hand or because its Node was. The Node may be another one by now, under the same name.
                self._read_node()
                self._create()
            elif self._owner != self._uid:
                self._adopt()
            self._sequence += 1
            status = fitted(self._node, self._uid, {**(self._pending or {}), "sequence": self._sequence})
            answer = self._put(status)
            if answer.status not in (404, 409):
                break
        if not answer.ok:
            raise _Refused(f"writing the NodeReport {self._node}", answer)
        self._pending, self._written, self._written_at = None, status, self._clock()
        self._regular_at = self._slot_after(self._written_at, self._settings.min_gap_seconds)
        return answer

    def _put(self, status: Mapping[str, Any]) -> Answer:
        """Replace the status: the cheapest write there is (benchmarks/nodereports), and no figure stays that is unknown now.

        A merge patch would keep such figures. The API server takes nothing of the metadata here but the resourceVersion.
        """
        metadata = {"name": self._node, "resourceVersion": self._version}
        # Until the answer is there, nobody knows which version is stored.
        self._version = ""
        body = {"apiVersion": schema.API_VERSION, "kind": schema.KIND, "metadata": metadata, "status": status}
        answer = self._client.request("PUT", f"{self._path()}/status", body, JSON, METADATA_ONLY)
        if answer.ok:
            self._version = _version(answer)
        return answer

    def _create(self) -> None:
        body = {"apiVersion": schema.API_VERSION, "kind": schema.KIND, "metadata": {"name": self._node, "ownerReferences": self._owners()}}
        answer = self._client.request("POST", schema.PATH, body, JSON, METADATA_ONLY)
        # 409: it is there already, since an earlier request made it whose answer did not arrive.
        if not answer.ok and answer.status != 409:
            raise _Refused(f"creating the NodeReport {self._node}", answer)
        self._adopt()

    def _adopt(self) -> None:
        """Name the present Node as the report's owner; else it would be collected as garbage.

        The managedFields are emptied: one owner writes all, they are a fifth of the object, and the API server tracks
        none any more for an object that has none and was never applied.
        """
        patch = [
            {"op": "add", "path": "/metadata/ownerReferences", "value": self._owners()},
            {"op": "add", "path": "/metadata/managedFields", "value": [{}]},
        ]
        answer = self._client.request("PATCH", self._path(), patch, JSON_PATCH, METADATA_ONLY)
        if not answer.ok:
            raise _Refused(f"naming the owner of the NodeReport {self._node}", answer)
        self._version, self._owner = _version(answer), self._uid

    def _read_node(self, query: str = "") -> None:
        answer = self._client.request("GET", f"/api/v1/nodes/{self._node}{query}")
        if answer.status == 404:
            raise NodewiseError(f"there is no Node {self._node}, so no report can belong to it.", "let the kubelet register it, or correct the node's name")
        if not answer.ok:
            raise _Refused(f"reading the Node {self._node}", answer)
        node = _object(f"reading the Node {self._node}", answer)
        self._uid = str(node["metadata"]["uid"])
        self.allocatable = Allocatable.of(node)
        self._node_read_at = self._clock()

    def _failed(self, message: str, remedy: str, answer: Answer | None = None) -> Outcome:
        self._failures += 1
        pause = backoff(self._failures, self._settings, self._draw)
        status = answer.status if answer else 0
        if status in _PASSING:
            # A second from now at least: this failure may be that of a regular time.
            pause = min(pause, self._slot_after(self._clock(), 1.0) - self._clock())
        if answer and answer.retry_after is not None:
            wanted = min(answer.retry_after, self._settings.backoff_cap_seconds)
            # All who are refused in one second would come back in one second.
            pause = max(pause, wanted * (1 + self._draw()))
        self._retry_at = self._clock() + pause
        seconds, skew = (answer.seconds, answer.skew) if answer else (None, None)
        return Outcome(FAILED, self._sequence, status, seconds, skew, message, remedy, pause)

    def _slot_after(self, moment: float, gap: float) -> float:
        """Return the monotonic time of the first regular time that is at least a gap after a monotonic time."""
        offset = self._wall() - self._clock()
        return next_slot(self._node, moment + offset + gap, self._settings) - offset

    def _owners(self) -> list[dict[str, str]]:
        return [{"apiVersion": "v1", "kind": "Node", "name": self._node, "uid": self._uid}]

    def _path(self) -> str:
        return f"{schema.PATH}/{self._node}"


def _object(action: str, answer: Answer) -> dict[str, Any]:
    """Return the object of an answer; something between us and the API server may have answered in its place."""
    try:
        value = answer.value()
    except ValueError:
        value = None
    if not isinstance(value, dict) or "metadata" not in value:
        raise NodewiseError(f"{action}: the answer is no Kubernetes object: {answer.text[:80]!r}.", "see what stands between this host and the API server")
    return value


def _version(answer: Answer) -> str:
    """Return the resourceVersion that a write has come to; empty, so that it is read again, if the answer does not say."""
    try:
        return str(answer.value()["metadata"]["resourceVersion"])
    except (ValueError, KeyError, TypeError):
        return ""


def _identity(status: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what tells a report of before a reboot, an upgrade or another configuration from one after it."""
    return status.get("bootID"), status.get("agentVersion"), status.get("configDigest")


def _owner(report: Mapping[str, Any]) -> str:
    """Return the UID of the Node that owns a report; empty if it is not exactly one."""
    uids = [owner["uid"] for owner in report["metadata"].get("ownerReferences") or ()]
    return uids[0] if len(uids) == 1 else ""


def _age(status: Mapping[str, Any], now: float) -> float | None:
    try:
        return now - parse_time(str(status["observedAt"]))
    except (KeyError, ValueError):
        return None
