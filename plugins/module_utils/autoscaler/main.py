# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The provider's entry point: C(python -m nodewise.autoscaler.main --config /etc/nodewise/autoscaler.json).

One thread watches Nodes, one keeps the Lease, gRPC's take calls, and each host that joins or leaves has one of its own; this one looks, once a
second or when a call asks for it, at what has to be done, and starts it. A provider that has led and does not any more is ended at once by one
more thread, with all that it has begun, and started anew by systemd: so nothing of it acts beside the next leader.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import signal
import sys
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..api.client import ApiClient
from ..api.clock import ServerClock
from ..api.events import EVENTS, node_event
from ..api.lease import PERIOD, Elector
from ..api.pool import ClientPool
from ..api.token import TokenKeeper
from ..api.watch import Watcher
from ..errors import NodewiseError
from ..kubeadm.tokens import new_id
from ..reporter.journal import log_to_journal
from ..reporter.metrics import Server
from ..reporter.notify import Notifier
from .book import NAME, Book
from .changes import Change, changes
from .decide import JOIN, Decider, Records
from .hosts import Hosts
from .metrics import Collector
from .nodes import NODES, Nodes, node_of
from .server import Listener, Service
from .settings import PATH, Config, read_config
from .state import State
from .work import Work

LOGS = logging.getLogger("nodewise")
LOG = logging.getLogger("nodewise.autoscaler")
# Seconds between two looks at what has to be done, and at whether this provider still leads.
_TICK, _FENCE = 1.0, 0.5
# Seconds that one request may take. A call of the autoscaler must end within 5, and this loop must feed the watchdog.
_REQUEST, _SHORT = 10.0, 3.0
# Objects in one page of a list: a Node is up to 20 KB.
_PAGE = 50
# Hosts that join or leave at the same time; the others wait for their turn.
_WORKERS = 32
# Connections that they share.
_CONNECTIONS = 4
# Seconds for which one thread may keep the interpreter while others wait for it: calls must not wait for hosts' threads.
_SWITCH = 0.001
# Events that wait for their turn; more are dropped, the oldest first. Those that are sent in one look.
_EVENTS, _EVENTS_AT_ONCE = 1000, 20


def import_all() -> None:
    """Import every package that the daemon will need, so that a release that lacks one is found before it runs."""
    for name in ("grpc", "google.protobuf", "prometheus_client", "yaml"):
        importlib.import_module(name)


class Provider:
    """The daemon.

    Parameters
    ----------
    config : Config
        Its configuration; another one needs a restart, which loses nothing.
    notifier : Notifier
        The service manager.
    ready_seconds : float
        After this long it says that it is up, even if the API server has not answered yet.

    Raises
    ------
    NodewiseError
        The credentials cannot be used, or the metrics' port cannot be had.
    """

    def __init__(self, config: Config, notifier: Notifier, ready_seconds: float) -> None:
        self._config = config
        self._notifier = notifier
        self._ready_seconds = ready_seconds
        self._ready = False
        self._started = time.monotonic()
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._clock = ServerClock()
        self._nodes = Nodes()
        self._state = State(failure="the API server has not answered yet")
        self._events: deque[Change] = deque(maxlen=_EVENTS)
        self._listener: Listener | None = None
        self._took_over = False
        self._problem = ""
        self._busy: set[str] = set()
        self._workers = ThreadPoolExecutor(_WORKERS, thread_name_prefix="host")
        kubeconfig = config.kubeconfig
        self._elector = Elector(ApiClient(kubeconfig, _REQUEST / 2), config.identity, NAME, self._clock)
        self._client = ApiClient(kubeconfig, _SHORT)
        self._token = TokenKeeper(self._client, NAME, config.token_file, self._clock) if config.token_file else None
        self._decider = Decider(config.groups, config.retry_seconds, new_id)
        self._inventory = self._decider.inventory()
        self._book = Book(ApiClient(kubeconfig, _SHORT), config.identity, self._leading, self._tell)
        self._work = Work(
            config,
            ClientPool(kubeconfig, _REQUEST, _CONNECTIONS),
            self._decider,
            self._book,
            self._nodes,
            Hosts(config.ssh, config.control_plane_endpoint),
            self._clock,
            self._leading,
        )
        self._service = Service(self._decider, self._book, self._nodes, self._clock.now, self._wake.set, self._state)
        watcher = Watcher(
            ApiClient(kubeconfig, _REQUEST), NODES, _PAGE, lambda item, _now, _told: node_of(item), self._nodes.store, self._clock, lambda _why: None
        )
        self._threads = [
            threading.Thread(target=watcher.run, name="nodes", daemon=True),
            threading.Thread(target=self._elect, name="lease", daemon=True),
            threading.Thread(target=self._fence, name="fence", daemon=True),
        ]
        if config.metrics_port:
            Server(Collector(self._state, self._decider, lambda: self._book.records), self._state.health, config.metrics_address, config.metrics_port)

    def run(self) -> int:
        """Run until a signal says otherwise; return the exit status."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: self._end())
        LOG.info("the autoscaler's provider starts, with %d groups", len(self._config.groups))
        for thread in self._threads:
            thread.start()
        while not self._stop.is_set():
            self._wake.wait(_TICK)
            self._wake.clear()
            self._tick()
            self._notifier.send(WATCHDOG="1")
            if not self._ready and (self._elector.answered or time.monotonic() - self._started >= self._ready_seconds):
                self._ready = True
                self._notifier.send(READY="1")
        LOG.info("the autoscaler's provider ends")
        self._notifier.send(STOPPING="1")
        if self._listener is not None:
            self._listener.close()
        self._elector.release()
        return 0

    def _end(self) -> None:
        self._stop.set()
        self._wake.set()

    def _elect(self) -> None:
        while not self._stop.is_set():
            self._elector.attempt()
            self._stop.wait(PERIOD)

    def _fence(self) -> None:
        """End the process once the Lease is lost, whatever its other threads wait for: the next leader may act five seconds later."""
        while not self._stop.wait(_FENCE):
            if self._took_over and not self._elector.leading:
                LOG.warning("this provider has lost the Lease and ends, with all that it has begun")
                sys.stderr.flush()
                os._exit(1)

    def _leading(self) -> bool:
        return self._elector.leading and not self._stop.is_set()

    def _tick(self) -> None:
        leading, problem = self._leading(), ""
        if leading and self._nodes.complete:
            try:
                self._lead()
            except NodewiseError as error:
                problem = str(error)
        if self._token is not None and not self._elector.failure:
            self._token.look(time.monotonic())
        unwatched = "" if self._nodes.complete else self._nodes.store.failure or "the API server has not answered yet"
        if problem and problem != self._problem:
            LOG.warning("%s", problem)
        self._problem = problem
        with self._state.lock:
            self._state.leading, self._state.skew, self._state.working = leading and self._listener is not None, self._clock.skew, len(self._busy)
            self._state.failure = self._elector.failure or unwatched or problem
        self._send_events()

    def _lead(self) -> None:
        """Bring the records into line with the truth, start what is due, and listen."""
        if not self._took_over:
            self._book.take_over()
            self._took_over = True
        # In this order: the Nodes are then at least as new as the outcome of whoever is not busy any more.
        busy = set(self._busy)
        nodes = self._nodes.by_provider_id()
        records = self._book.change(lambda known: self._decider.observe(known, nodes, busy, self._clock.now()))
        for name, what in self._decider.due(records, self._clock.now()).items():
            if name not in busy:
                self._busy.add(name)
                self._workers.submit(self._run, name, what)
        if self._listener is None:
            self._listener = Listener(self._config.listen, self._config.tls, self._service.handler())
            LOG.info("this provider listens on %s", self._config.listen)

    def _run(self, name: str, what: str) -> None:
        since = self._book.records[name].since if name in self._book.records else self._clock.now()
        try:
            outcome = self._work.run(name)
            self._state.ended(outcome, self._clock.now() - since if what == JOIN and outcome == "joined" else None)
        except Exception:
            # A mistake of ours must be seen, and must not keep the host for ever: it is tried again.
            LOG.exception("%s: %s", name, what)
            self._state.ended("failed", None)
        finally:
            self._busy.discard(name)
            self._wake.set()

    def _tell(self, before: Records, after: Records) -> None:
        for change in changes(before, after, self._inventory):
            LOG.log(logging.WARNING if change.warning else logging.INFO, "%s: %s: %s", change.host, change.reason, change.note)
            if len(self._events) == _EVENTS:
                self._state.event_dropped()
            self._events.append(change)

    def _send_events(self) -> None:
        for _number in range(min(len(self._events), _EVENTS_AT_ONCE)):
            change = self._events[0]
            node = self._nodes.named(change.host)
            body: dict[str, Any] = node_event(
                change.host,
                node.uid if node is not None else "",
                controller="nodewise.dev/autoscaler",
                identity=self._config.identity,
                action=change.action,
                reason=change.reason,
                kind="Warning" if change.warning else "Normal",
                note=change.note,
                now=self._clock.now(),
            )
            try:
                answer = self._client.request("POST", EVENTS, body)
            except NodewiseError as error:
                LOG.debug("an Event waits: %s", error)
                return
            self._events.popleft()
            if not answer.ok:
                self._state.event_dropped()
                LOG.warning("an Event is refused: %s %s", answer.status, answer.message)


def main(argv: list[str] | None = None) -> int:
    """Run the provider and return its exit status."""
    parser = argparse.ArgumentParser(description="The inventory's standby hosts as node groups of cluster-autoscaler.")
    parser.add_argument("--config", default=PATH)
    parser.add_argument("--ready-seconds", type=float, default=30.0)
    options = parser.parse_args(argv)
    # Those of the API client, too.
    log_to_journal(LOGS)
    try:
        config = read_config(options.config)
        LOGS.setLevel(config.log_level.upper())
        sys.setswitchinterval(_SWITCH)
        return Provider(config, Notifier(), options.ready_seconds).run()
    except NodewiseError as error:
        LOG.error("%s", error)
        return 78  # EX_CONFIG


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    # Not sys.exit: that would wait for threads that are in a call, and for hosts.
    os._exit(status)
