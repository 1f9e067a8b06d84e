# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The thread that samples."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from math import floor

from ..cri.client import CriClient
from ..cri.model import RuntimeReading
from ..cri.rates import MINIMUM_WINDOW
from ..cri.readings import read_runtime
from ..node.filesystems import filesystem_paths
from ..node.model import HostReading
from ..node.readings import HostReader
from ..report.build import Observer
from .shared import Shared
from .state import State

LOG = logging.getLogger("nodewise.reporter")
# Seconds for which the first sample waits for the API server, so that the first report continues the one from before.
_PATIENCE = 3.0


def next_due(start: float, now: float, interval: float) -> float:
    """Return the first moment of a grid that begins at C(start) which lies after now; those that were missed stay missed."""
    return start + (floor((now - start) / interval) + 1) * interval


class SampleLoop:
    """Reads host and runtime on a fixed grid of the monotonic clock, and hands statuses over.

    Parameters
    ----------
    shared : Shared
        Whom statuses are handed to.
    state : State
        What the reporter knows of itself.
    """

    def __init__(self, shared: Shared, state: State) -> None:
        self._shared = shared
        self._state = state
        self._config = shared.config
        self._observer = Observer(self._config.settings, state.version, self._config.digest)
        self._socket = ""
        self._runtime: CriClient | None = None
        self._host = HostReader()
        self._images: tuple[str, ...] | None = None
        self._containers: tuple[str, ...] | None = None
        self._errors: tuple[str, ...] = ()
        self._pressure = ""

    def run(self) -> None:
        """Sample until the reporter ends."""
        shared = self._shared
        shared.wait_for_recall(_PATIENCE)
        start = time.monotonic()
        while not shared.stopping:
            begin = time.monotonic()
            try:
                self.sample()
            except Exception:
                # A fault of ours: nothing is published, and if it lasts the watchdog starts the reporter anew.
                LOG.exception("a sample failed")
            now, interval = time.monotonic(), self._config.settings.sample_seconds
            if shared.wait_for_change(next_due(start, now, interval) - now, self._config):
                # Who has changed it waits for its report; but a rate over a shorter time would say nothing.
                start = max(time.monotonic(), begin + min(interval, MINIMUM_WINDOW))
                shared.wait(start - time.monotonic())

    def sample(self) -> None:
        """Take one sample."""
        config = self._shared.config
        if config is not self._config:
            self._config = config
            self._observer.reconfigure(config.settings, config.digest)
        recalled = self._shared.restore()
        if recalled is not None:
            self._observer.restore(recalled.stored)
        begin, wall = time.monotonic(), time.time()
        runtime = read_runtime(self._client(config.cri_socket))
        if runtime.image_filesystems is not None:
            # Kept: a runtime that is down does not move its files.
            self._images, self._containers = runtime.image_filesystems, runtime.container_filesystems
        host = self._host.read(filesystem_paths(config.kubelet_root, config.runtime_root, self._images, self._containers))
        status = self._observer.observe(host, runtime, self._shared.allocatable, begin, wall)
        self._shared.offer(status)
        self._state.sample_taken(status, time.monotonic() - begin, {"host": len(host.errors), "runtime": len(runtime.errors)})
        self._tell(host, runtime, status["pressure"])

    def _client(self, socket: str) -> CriClient:
        if self._runtime is None or socket != self._socket:
            if self._runtime is not None:
                self._runtime.close()
            self._runtime, self._socket = CriClient(socket), socket
        return self._runtime

    def _tell(self, host: HostReading, runtime: RuntimeReading, pressure: str) -> None:
        """Log what has changed, not every sample."""
        errors = (*host.errors, *runtime.errors)
        if errors != self._errors:
            self._errors = errors
            if errors:
                LOG.warning("not everything could be read: %s", "; ".join(errors))
            else:
                LOG.info("everything can be read")
        if pressure != self._pressure:
            tell: Callable[..., None] = LOG.warning if pressure != "none" and self._pressure else LOG.info
            tell("pressure: %s (was: %s)", pressure, self._pressure or "not known")
            self._pressure = pressure
