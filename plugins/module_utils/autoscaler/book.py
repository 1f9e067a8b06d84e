# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The records, kept in a ConfigMap: what has been promised to the autoscaler survives this process and this host.

Every write names the version that was read, so of two that write at once one is refused. Whoever takes over writes first of all, so a late write
of the one before is refused, too; and so does one whose write has had no answer, since it may still be on its way.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any

from ..api.client import ApiClient
from ..errors import NodewiseError
from ..report.manifests import NAMESPACE
from .decide import STATES, Record, Records

NAME = "nodewise-autoscaler"
CONFIG_MAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
KEY, LEADER, WRITE = "hosts.json", "leader", "write"
_PATH = f"{CONFIG_MAPS}/{NAME}"
_DEFAULTS = asdict(Record())
_ATTEMPTS = 3


class Book:
    """The records of all hosts; for several threads.

    Parameters
    ----------
    client : ApiClient
        A connection of its own.
    identity : str
        Who writes.
    may_write : callable
        Asked before each write: whether this provider still leads.
    told : callable
        Is told each change that has been written: the records before and after.
    """

    def __init__(self, client: ApiClient, identity: str, may_write: Callable[[], bool], told: Callable[[Records, Records], None]) -> None:
        self._client = client
        self._identity = identity
        self._may_write = may_write
        self._told = told
        self._lock = threading.Lock()
        self._version = ""
        self._settled = True
        self.records: Records = {}
        """Replaced as a whole, so it is read without a lock."""

    def take_over(self) -> None:
        """Read what the one before has left, and write, so that it cannot write any more.

        Raises
        ------
        NodewiseError
            The API server does not answer or refuses it, or the ConfigMap is not understood.
        """
        with self._lock:
            self._read()
            self._write(self.records)

    def change(self, decide: Callable[[Records], Records]) -> Records:
        """Decide on the newest records and write the outcome; return only when that is safe.

        Parameters
        ----------
        decide : callable
            From records to new ones; it may be called again with others. What it raises is raised, and nothing is changed.

        Raises
        ------
        NodewiseError
            It could not be written. If the API server has not answered it may have been: the next change finds out.
        """
        with self._lock:
            attempt = 1
            while True:
                if not self._version:
                    self._read()
                before, after = self.records, decide(self.records)
                if after == before and self._settled:
                    return before
                try:
                    self._write(after)
                    break
                except _Outdated:
                    if attempt == _ATTEMPTS:
                        raise
                    attempt += 1
            self._told(before, after)
            return after

    def _read(self) -> None:
        answer = self._client.get(_PATH)
        if answer.status == 404:
            created = self._client.request("POST", CONFIG_MAPS, self._object({}, ""))
            if not created.ok:
                raise NodewiseError(f"the ConfigMap {NAME} cannot be made: {created.status} {created.message}")
            answer = created
        elif not answer.ok:
            raise NodewiseError(f"the ConfigMap {NAME} cannot be read: {answer.status} {answer.message}")
        found = answer.value()
        self.records = decode((found.get("data") or {}).get(KEY, "{}"))
        self._version = found["metadata"]["resourceVersion"]

    def _write(self, records: Records) -> None:
        if not self._may_write():
            raise NodewiseError("this provider does not lead any more")
        version, self._version, self._settled = self._version, "", False
        answer = self._client.request("PUT", _PATH, self._object(records, version))
        if answer.status in (404, 409):
            raise _Outdated(f"the ConfigMap {NAME} has been written by somebody else")
        if not answer.ok:
            raise NodewiseError(f"the ConfigMap {NAME} cannot be written: {answer.status} {answer.message}")
        self._version, self._settled = answer.value()["metadata"]["resourceVersion"], True
        self.records = records

    def _object(self, records: Records, version: str) -> dict[str, Any]:
        metadata = {"name": NAME, "namespace": NAMESPACE, **({"resourceVersion": version} if version else {})}
        # The API server does not write what is the same as before, so the version would stay: every write has a mark of its own.
        data = {KEY: encode(records), LEADER: self._identity, WRITE: uuid.uuid4().hex}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


class _Outdated(NodewiseError):
    """The version that was read is not the newest."""


def encode(records: Records) -> str:
    """Return records as text; but for the state, what has its default is left out."""
    lines = []
    for name, record in sorted(records.items()):
        shown = {key: value for key, value in vars(record).items() if key == "state" or value != _DEFAULTS[key]}
        lines.append(f"{json.dumps(name)}: {json.dumps(shown)}")
    # A line for each host. (With indent= Python's encoder is many times slower, and calls wait for it.)
    return "{\n" + ",\n".join(lines) + "\n}\n"


def decode(text: str) -> dict[str, Record]:
    """Return the records of a text.

    Raises
    ------
    NodewiseError
        It is not what :func:`encode` writes. Nothing is guessed: a host that was forgotten might be joined twice.
    """
    try:
        found = json.loads(text)
        return {str(name): _record(values) for name, values in found.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise NodewiseError(
            f"{KEY} in the ConfigMap {NAMESPACE}/{NAME} is not understood: {error}.",
            "delete the ConfigMap when no host joins or leaves: it is made anew from the Nodes",
        ) from error


def _record(values: Mapping[str, Any]) -> Record:
    for entry in fields(Record):
        value, default = values.get(entry.name), _DEFAULTS[entry.name]
        fits = isinstance(value, int | float) and not isinstance(value, bool) if isinstance(default, float) else type(value) is type(default)
        if entry.name in values and not fits:
            raise ValueError(f"{entry.name} is {value!r}")
    record = Record(**values)
    if record.state not in STATES:
        raise ValueError(f"state is {record.state!r}")
    return record
