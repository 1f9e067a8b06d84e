# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reporter's entry point: C(python -m nodewise.reporter.main --config /etc/nodewise/reporter.json).

Three threads: this one takes signals, looks at the configuration and feeds the watchdog; one samples; one writes. So an API server
that hangs never stops the sampling, and a runtime that hangs never stops the ending.
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
from types import ModuleType
from typing import Any

from ..errors import NodewiseError
from .config import PATH, Config, read_config
from .journal import log_to_journal
from .metrics import Collector, Server, serve
from .notify import Notifier
from .publishing import PublishLoop
from .sampling import SampleLoop
from .shared import Shared
from .state import State
from .tls import Files

LOG = logging.getLogger("nodewise.reporter")
# Seconds between two looks at the configuration file and at the samples' progress.
_TICK = 2.0
# Seconds that the threads get to end; they hold nothing that could be lost.
_FAREWELL = 1.0
_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


def spare_memory() -> None:
    """Keep out of the process what it never uses: grpc imports its asyncio half, a MiB that takes time, too."""
    sys.modules.setdefault("grpc.aio", ModuleType("grpc.aio"))


def import_all() -> None:
    """Import every package that the daemon will need, so that a release that lacks one is found before it runs."""
    spare_memory()
    for name in ("grpc", "google.protobuf", "prometheus_client", "yaml"):
        importlib.import_module(name)


class Reporter:
    """The daemon.

    Parameters
    ----------
    path : str
        The configuration file.
    agent_version : str
        What reports name.
    ready_seconds : float
        After this long it says that it is up, even if no report has been accepted yet.
    notifier : Notifier
        The service manager.

    Raises
    ------
    NodewiseError
        The configuration is wrong.
    """

    def __init__(self, path: str, agent_version: str, ready_seconds: float, notifier: Notifier) -> None:
        self._path = path
        self._stamp = _stamp(path)
        config = read_config(path)
        self._ready_seconds = ready_seconds
        self._notifier = notifier
        self._state = State(version=agent_version, settings=config.settings)
        self._shared = Shared(config)
        self._servers: list[Server] = []
        self._samples = 0
        self._threads = [
            threading.Thread(target=SampleLoop(self._shared, self._state).run, name="sampling", daemon=True),
            threading.Thread(target=PublishLoop(self._shared, self._state, notifier).run, name="publishing", daemon=True),
        ]

    def run(self) -> int:
        """Run until a signal says otherwise; return the exit status."""
        # Blocked before any thread starts, so that all inherit it, and taken with sigtimedwait: no handler interrupts anything.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        self._set_level()
        LOG.info("version %s of node %s starts", self._state.version, self._shared.config.node_name)
        self._serve()
        for thread in self._threads:
            thread.start()
        while True:
            received = signal.sigtimedwait(_SIGNALS, _TICK)
            # 0: it was interrupted by a signal of none of these, as when the process was stopped and goes on, and its time is over.
            number = received.si_signo if received is not None else 0
            if number in (signal.SIGTERM, signal.SIGINT):
                return self._end(signal.Signals(number).name)
            stamp = _stamp(self._path)
            if number == signal.SIGHUP or stamp != self._stamp:
                self._stamp = stamp
                self._reload()
            if self._state.samples > self._samples:
                self._samples = self._state.samples
                self._notifier.send(WATCHDOG="1")
            if time.monotonic() - self._state.started >= self._ready_seconds:
                self._shared.tell_ready(self._notifier, f"no report accepted yet: {self._state.failure or 'no attempt was made'}")

    def _reload(self) -> None:
        self._notifier.reloading()
        try:
            config = read_config(self._path)
        except NodewiseError as error:
            LOG.error("the configuration is not taken over, the one from before stays in force: %s", error)
        else:
            before, changed = self._shared.config, config != self._shared.config
            self._shared.change(config)
            with self._state.lock:
                self._state.settings = config.settings
            self._set_level()
            if _served(before) != _served(config):
                self._serve()
            LOG.info("the configuration was read again: %s", "it has changed" if changed else "it is the same")
        self._notifier.send(READY="1")

    def _serve(self) -> None:
        config = self._shared.config
        for server in self._servers:
            server.close()
        self._servers = []
        try:
            for server in serve(Collector(self._state), self._state.health, *_served(config)):
                self._servers.append(server)
        except NodewiseError as error:
            # Reports matter more than who looks at their maker.
            LOG.error("%s", error)

    def _set_level(self) -> None:
        LOG.setLevel(self._shared.config.log_level.upper())

    def _end(self, reason: str) -> int:
        LOG.info("%s: ends", reason)
        self._notifier.send(STOPPING="1")
        self._shared.stop()
        deadline = time.monotonic() + _FAREWELL
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return 0


def _served(config: Config) -> tuple[str, str, Files, int]:
    """Return where metrics are served."""
    return config.metrics_address, config.metrics_tls_address, config.metrics_files, config.metrics_port


def _stamp(path: str) -> Any:
    """Return what differs once a file has been replaced or written."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def main(argv: list[str] | None = None) -> int:
    """Run the reporter and return its exit status."""
    parser = argparse.ArgumentParser(description="Report what this node really uses to the Kubernetes API.")
    parser.add_argument("--config", default=PATH)
    parser.add_argument("--agent-version", required=True)
    parser.add_argument("--ready-seconds", type=float, default=30.0)
    options = parser.parse_args(argv)
    log_to_journal(LOG)
    spare_memory()
    try:
        return Reporter(options.config, options.agent_version, options.ready_seconds, Notifier()).run()
    except NodewiseError as error:
        LOG.error("%s", error)
        return 78  # EX_CONFIG


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    # Not sys.exit: that would wait for threads of gRPC's that may be in a call.
    os._exit(status)
