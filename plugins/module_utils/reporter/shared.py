# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the reporter's threads hand to one another."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..report.build import Allocatable
from .config import Config
from .notify import Notifier


@dataclass(frozen=True)
class Recalled:
    """What the API server knew at the start.

    Parameters
    ----------
    stored : Mapping or None
        C(status) of the stored report.
    """

    stored: Mapping[str, Any] | None


class Shared:
    """Configuration, the newest status, and what was read from the API server; every wait ends when the reporter does.

    Parameters
    ----------
    config : Config
        The configuration in force.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        """Replaced as a whole; each thread looks at it in each round."""
        self.stopping = False
        self.allocatable = Allocatable()
        """Of the Node, when last read."""
        self._condition = threading.Condition()
        self._recalled: Recalled | None = None
        self._restored: Recalled | None = None
        self._newest: Mapping[str, Any] | None = None
        self._ready = False

    def change(self, config: Config) -> None:
        """Put another configuration in force."""
        with self._condition:
            self.config = config
            self._condition.notify_all()

    def stop(self) -> None:
        """Let all threads end."""
        with self._condition:
            self.stopping = True
            self._condition.notify_all()

    def recall(self, stored: Mapping[str, Any] | None, allocatable: Allocatable) -> None:
        """Hand what the API server knew to the sampling thread; a status that was made without it is void."""
        with self._condition:
            self._recalled, self.allocatable, self._newest = Recalled(stored), allocatable, None
            self._condition.notify_all()

    def restore(self) -> Recalled | None:
        """Return what was recalled, if that has not been returned before."""
        with self._condition:
            fresh = self._recalled if self._recalled is not self._restored else None
            self._restored = self._recalled
            return fresh

    def wait_for_recall(self, seconds: float) -> None:
        """Wait until the API server has answered for the first time, but no longer than some seconds."""
        with self._condition:
            self._condition.wait_for(lambda: self.stopping or self._recalled is not None, seconds)

    def offer(self, status: Mapping[str, Any]) -> None:
        """Hand the newest status to the publishing thread; it replaces one that was not taken. One made before a recall is dropped."""
        with self._condition:
            if self._recalled is self._restored and self._recalled is not None:
                self._newest = status
                self._condition.notify_all()

    def take(self, seconds: float, known: Config) -> Mapping[str, Any] | None:
        """Return the newest status; wait for it, for another configuration than C(known) or for the end, but no longer than some seconds."""
        with self._condition:
            # Threads cannot wait for longer than this, nor have they to.
            self._condition.wait_for(lambda: self.stopping or self._newest is not None or self.config is not known, min(seconds, 3600.0))
            status, self._newest = self._newest, None
            return status

    def wait(self, seconds: float) -> None:
        """Wait some seconds, or until the reporter ends."""
        with self._condition:
            self._condition.wait_for(lambda: self.stopping, seconds)

    def wait_for_change(self, seconds: float, known: Config) -> bool:
        """Wait some seconds, or until the reporter ends; return at once, and True, if the newest status is void.

        That is so with another configuration than C(known), and with a recall that has not been returned yet.
        """

        def changed() -> bool:
            return self.config is not known or self._recalled is not self._restored

        with self._condition:
            self._condition.wait_for(lambda: self.stopping or changed(), seconds)
            return changed()

    def tell_ready(self, notifier: Notifier, status: str) -> None:
        """Tell the service manager once that the reporter is up."""
        with self._condition:
            if self._ready:
                return
            self._ready = True
        notifier.send(READY="1", STATUS=status)
