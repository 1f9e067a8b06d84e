# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have one host join or leave, from the first step to the last; runs in a thread of its own and takes as long as it takes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from ..api.clock import ServerClock
from ..api.pool import ClientPool
from ..errors import NodewiseError
from ..process import TimeoutExpired, run
from .book import Book
from .decide import FAILED, JOINING, Decider, Record, Records
from .hosts import Hosts
from .nodes import Nodes
from .settings import Config, Group, Host
from .tokens import NoToken, bootstrap_token, revoke

LOG = logging.getLogger("nodewise.autoscaler")
# Seconds between two looks at whether a Node is Ready, two attempts at a host that boots, and two at the API server.
_LOOK, _BOOT, _AGAIN = 0.2, 5.0, 1.0
# Seconds that a host may take to say what it is.
_STATUS = 20.0


class Abandoned(Exception):
    """The host shall not join any more, or this provider does not lead any more."""


class Work:
    """Carries out what is due.

    Parameters
    ----------
    config : Config
        The configuration.
    client : ClientPool
        Connections to the API server.
    decider : Decider
        Turns outcomes into records.
    book : Book
        Where they are kept.
    nodes : Nodes
        What the cluster has.
    hosts : Hosts
        How hosts are spoken to.
    clock : ServerClock
        The API server's.
    leading : callable
        Whether this provider leads; asked before each step.
    """

    def __init__(
        self, config: Config, client: ClientPool, decider: Decider, book: Book, nodes: Nodes, hosts: Hosts, clock: ServerClock, leading: Callable[[], bool]
    ) -> None:
        self._config = config
        self._client = client
        self._decider = decider
        self._book = book
        self._nodes = nodes
        self._hosts = hosts
        self._clock = clock
        self._leading = leading

    def run(self, name: str) -> str:
        """Do what a host's record asks for and write down how it went; return C(joined), C(left), C(failed) or C(abandoned)."""
        found, record = self._decider.host(name), self._record(name)
        if found is None:
            return "abandoned"
        group, host = found
        try:
            return self._join(name, group, host, record) if record.state == JOINING else self._leave(name, host, record)
        except Abandoned:
            return "abandoned"

    def _join(self, name: str, group: Group, host: Host, record: Record) -> str:
        try:
            self._make_join(name, group, host, record)
        except NodewiseError as error:
            reason = str(error)
            try:
                # Nothing has run on a Node that was never Ready. One that is, has come after all: it is taken on.
                self._nodes.delete(self._client, name, host.provider_id, only_unready=True)
            except NodewiseError as second:
                LOG.warning("%s: %s", name, second)
            self._write_down(lambda records, now: self._decider.join_failed(records, name, reason, now))
            return "failed"
        self._write_down(lambda records, now: self._decider.joined(records, name, now))
        return "joined"

    def _make_join(self, name: str, group: Group, host: Host, record: Record) -> None:
        if self._is_ready(name, host):
            # Done before this provider was started anew; what it has left goes.
            revoke(self._client, record.token_id)
            return
        self._refuse_foreign(name, host)
        self._wake(name, host, record)
        deadline = time.monotonic() + self._config.join_timeout_seconds
        while True:
            try:
                with bootstrap_token(self._client, record.token_id, self._clock) as token:
                    self._go_on(name, record)
                    self._hosts.join(name, host, token.token, token.ca_cert_hashes, group.labels, group.taints, deadline)
                break
            except NoToken:
                # Not the host's fault: it is tried again for as long as the host may take.
                self._go_on(name, record)
                if time.monotonic() >= deadline:
                    raise
                time.sleep(_AGAIN)
        while not self._is_ready(name, host):
            self._go_on(name, record)
            if time.monotonic() >= deadline:
                there = host.provider_id in self._nodes.by_provider_id()
                problem = "its Node is not Ready" if there else f"there is no Node with the provider id {host.provider_id}"
                raise NodewiseError(f"it has joined, but {problem} within {self._config.join_timeout_seconds:.0f} s")
            time.sleep(_LOOK)

    def _leave(self, name: str, host: Host, record: Record) -> str:
        try:
            if record.token_id:
                revoke(self._client, record.token_id)
            self._refuse_foreign(name, host)
            # The attempt before may have turned it off, and ended before that was written down.
            if record.state == FAILED or record.failures:
                self._wake(name, host, record)
            self._go_on(name, record)
            self._hosts.leave(name, host, time.monotonic() + self._config.leave_timeout_seconds)
            self._go_on(name, record)
            self._nodes.delete(self._client, name, host.provider_id)
        except NodewiseError as error:
            reason = f"it does not leave: {error}"
            self._write_down(lambda records, now: self._decider.leave_failed(records, name, reason, now))
            return "failed"
        if host.power_off is not None and not self._record(name).again:
            try:
                _command(host.power_off, host.power_timeout_seconds)
            except NodewiseError as error:
                # A host that stays on costs power; one that is out of use for it would cost more.
                LOG.warning("%s: it is not turned off: %s", name, error)
        self._write_down(lambda records, now: self._decider.left(records, name, now))
        return "left"

    def _refuse_foreign(self, name: str, host: Host) -> None:
        """Raise if the host is a Node in another way: what others have joined is neither joined nor reset by us."""
        node = self._nodes.named(name)
        if node is not None and node.provider_id != host.provider_id:
            raise NodewiseError(f"a Node {name} is there already, with the provider id {node.provider_id!r} instead of {host.provider_id!r}")

    def _wake(self, name: str, host: Host, record: Record) -> None:
        """Turn a host on, and wait until it answers; only where there is a command for it."""
        if host.power_on is None:
            return
        deadline = time.monotonic() + host.power_timeout_seconds
        _command(host.power_on, host.power_timeout_seconds)
        while True:
            self._go_on(name, record)
            try:
                self._hosts.status(name, host, min(deadline, time.monotonic() + _STATUS))
                return
            except NodewiseError as error:
                if time.monotonic() + _BOOT >= deadline:
                    raise NodewiseError(f"it was turned on, but does not answer within {host.power_timeout_seconds:.0f} s: {error}") from error
            time.sleep(_BOOT)

    def _go_on(self, name: str, record: Record) -> None:
        """Raise Abandoned if the host's state is another one by now, or this provider does not lead."""
        if not self._leading() or self._record(name).state != record.state:
            raise Abandoned

    def _record(self, name: str) -> Record:
        return self._book.records.get(name, Record())

    def _is_ready(self, name: str, host: Host) -> bool:
        node = self._nodes.named(name)
        return node is not None and node.ready and node.provider_id == host.provider_id

    def _write_down(self, decide: Callable[[Records, float], Records]) -> None:
        """Write an outcome down, however often it takes."""
        while self._leading():
            try:
                self._book.change(lambda records: decide(records, self._clock.now()))
                return
            except NodewiseError as error:
                LOG.warning("an outcome is not written down yet: %s", error)
                time.sleep(_AGAIN)
        raise Abandoned


def _command(argv: Sequence[str], timeout: float) -> None:
    """Run a power command.

    Raises
    ------
    NodewiseError
        It failed; what it said is not told, since it may name a password.
    """
    try:
        done = run(argv, timeout=timeout)
    except TimeoutExpired as error:
        raise NodewiseError(f"{argv[0]} did not end within {timeout:.0f} s") from error
    except OSError as error:
        raise NodewiseError(f"{argv[0]} cannot be run: {error.strerror}") from error
    if done.returncode:
        raise NodewiseError(f"{argv[0]} failed with exit code {done.returncode}")
