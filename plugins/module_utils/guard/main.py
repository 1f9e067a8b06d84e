# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guard's entry point: C(python -m nodewise.guard.main --config /etc/nodewise/guard.json).

Three threads watch, one keeps the Lease; this one decides and writes, once a second. Guards that do not lead watch as well, so
the next leader acts at once.
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
from dataclasses import replace

from ..api.client import ApiClient
from ..api.clock import ServerClock, Steps
from ..api.lease import PERIOD, Elector
from ..api.store import Store
from ..api.token import TokenKeeper
from ..api.watch import Watcher
from ..errors import NodewiseError
from ..report.schema import PATH as REPORTS
from ..reporter.journal import log_to_journal
from ..reporter.metrics import serve
from ..reporter.notify import Notifier
from ..serving.approve import PATH as CERTIFICATE_REQUESTS
from .certificates import Certificates, Waiting, waiting
from .config import PATH, Config, read_config
from .decide import Decision, decide
from .manifests import NAME
from .metrics import Collector
from .model import NodeState, ReportState, node_state, report_state
from .requests import described
from .state import State
from .throttle import Throttle
from .writer import Writer

LOG = logging.getLogger("nodewise.guard")
LOGS = logging.getLogger("nodewise")
# Seconds between two decisions.
_TICK = 1.0
# Seconds that one request may take; a list's page is the longest.
_REQUEST = 10.0
# Objects in one page: a Node is up to 20 KB, a report 2.6 KB, and Python takes several times that while it reads a page.
_NODE_PAGE, _REPORT_PAGE, _REQUEST_PAGE = 50, 250, 100


def import_all() -> None:
    """Import every package that the daemon will need, so that a release that lacks one is found before it runs."""
    for name in ("prometheus_client", "yaml"):
        importlib.import_module(name)


class Guard:
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
        self._settings = config.settings
        self._notifier = notifier
        self._ready_seconds = ready_seconds
        self._ready = False
        self._started = time.monotonic()
        self._stop = threading.Event()
        self._clock = ServerClock()
        self._steps = Steps()
        self._nodes: Store[NodeState] = Store()
        self._reports: Store[ReportState] = Store()
        self._state = State(dry_run=config.settings.dry_run, failure="the API server has not answered yet")
        # In a dry run what would be written is remembered, so that each decision is told once.
        self._imagined: dict[str, Decision] = {}
        kubeconfig = config.kubeconfig
        self._elector = Elector(ApiClient(kubeconfig, _REQUEST / 2), config.identity, NAME, self._clock)
        writing = ApiClient(kubeconfig, _REQUEST / 2)
        self._token = TokenKeeper(writing, NAME, config.token_file, self._clock) if config.token_file else None
        self._writer = Writer(
            writing,
            self._nodes,
            Throttle(self._settings.writes_per_second),
            self._clock,
            self._state,
            config.identity,
            lambda: self._elector.leading and not self._stop.is_set(),
        )
        nodes = Watcher(
            ApiClient(kubeconfig, _REQUEST),
            "/api/v1/nodes",
            _NODE_PAGE,
            lambda node, _now, _told: node_state(node),
            self._nodes,
            self._clock,
            lambda why: self._state.watch_ended("nodes", why),
        )
        reports = Watcher(
            ApiClient(kubeconfig, _REQUEST),
            REPORTS,
            _REPORT_PAGE,
            report_state,
            self._reports,
            self._clock,
            lambda why: self._state.watch_ended("reports", why),
        )
        self._requests: Store[Waiting] = Store()
        self._certificates = Certificates(ApiClient(kubeconfig, _REQUEST / 2), self._requests, self._clock, self._state.approved)
        requests = Watcher(
            ApiClient(kubeconfig, _REQUEST),
            CERTIFICATE_REQUESTS,
            _REQUEST_PAGE,
            waiting,
            self._requests,
            self._clock,
            lambda why: self._state.watch_ended("certificate requests", why),
        )
        self._threads = [
            threading.Thread(target=nodes.run, name="nodes", daemon=True),
            threading.Thread(target=reports.run, name="reports", daemon=True),
            threading.Thread(target=requests.run, name="requests", daemon=True),
            threading.Thread(target=self._elect, name="lease", daemon=True),
        ]
        addresses = config.metrics_address, config.metrics_tls_address
        self._servers = list(serve(Collector(self._state), self._state.health, *addresses, config.metrics_files, config.metrics_port))

    def run(self) -> int:
        """Run until a signal says otherwise; return the exit status."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: self._stop.set())
        LOG.info("the guard starts%s", ", a dry run" if self._settings.dry_run else "")
        for thread in self._threads:
            thread.start()
        while not self._stop.wait(_TICK):
            self._tick()
            self._notifier.send(WATCHDOG="1")
            if not self._ready and (self._elector.answered or time.monotonic() - self._started >= self._ready_seconds):
                self._ready = True
                self._notifier.send(READY="1")
        LOG.info("the guard ends")
        self._notifier.send(STOPPING="1")
        self._elector.release()
        return 0

    def _elect(self) -> None:
        while not self._stop.is_set():
            self._elector.attempt()
            self._stop.wait(PERIOD)

    def _tick(self) -> None:
        # Read once: every time of this tick is of the same clock, whatever other threads learn of it meanwhile.
        now, begin = self._clock.now(), time.monotonic()
        if step := self._steps.look(now, begin):
            LOG.warning("the API server's clock was set by %+.0f s: for %g s no report counts as stale", step, self._settings.grace_seconds)
        since = self._watching_since()
        leading = self._elector.leading
        nodes, reports = self._nodes.all(), self._reports.all()
        with self._state.lock:
            if leading and not self._state.leading:
                self._state.decided_at = time.monotonic()
            self._state.leading, self._state.skew = leading, self._clock.skew
            self._state.nodes, self._state.reports = len(nodes), len(reports)
            self._state.certificate_requests = len(self._requests.all())
            unwatched = "" if since is not None else self._nodes.failure or self._reports.failure or "the API server has not answered yet"
            unasked = self._requests.failure if self._requests.since is None else ""
            self._state.failure = self._elector.failure or unwatched or unasked
        if self._token is not None and not self._elector.failure:
            self._token.look(time.monotonic())
        if leading:
            self._certificates.look()
        if not leading or since is None:
            return
        if self._settings.dry_run:
            nodes = {name: self._imagine(node) for name, node in nodes.items()}
        deciding = time.monotonic()
        outcome = decide(nodes, reports, self._settings, now, now - (begin - since), now - (begin - self._steps.last))
        self._state.made(outcome, time.monotonic() - deciding)
        if not self._settings.dry_run:
            self._writer.carry_out(outcome.decisions)
            return
        for decision in outcome.decisions:
            self._imagined[decision.node.name] = decision
            if decision.told:
                reason, _action, _kind = described(decision)
                LOG.info("dry run: %s: %s: %s", decision.node.name, reason, decision.message)
                self._state.decided(reason)

    def _watching_since(self) -> float | None:
        """Return since when both kinds have been watched without a break, seconds of C(time.monotonic); None while they are not."""
        nodes, reports = self._nodes.since, self._reports.since
        return None if nodes is None or reports is None else max(nodes, reports)

    def _imagine(self, node: NodeState) -> NodeState:
        decision = self._imagined.get(node.name)
        if decision is None:
            return node
        taints = (*node.others, *([decision.taint] if decision.taint else []))
        return replace(node, taints=taints, condition=decision.condition or decision.node.condition)


def main(argv: list[str] | None = None) -> int:
    """Run the guard and return its exit status."""
    parser = argparse.ArgumentParser(description="Keep pods away from nodes that are overloaded or whose disk is nearly full.")
    parser.add_argument("--config", default=PATH)
    parser.add_argument("--ready-seconds", type=float, default=30.0)
    options = parser.parse_args(argv)
    # Those of the API client, too.
    log_to_journal(LOGS)
    try:
        config = read_config(options.config)
        LOGS.setLevel(config.log_level.upper())
        return Guard(config, Notifier(), options.ready_seconds).run()
    except NodewiseError as error:
        LOG.error("%s", error)
        return 78  # EX_CONFIG


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    # Not sys.exit: that would wait for the threads that watch.
    os._exit(status)
