# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The thread that writes."""

from __future__ import annotations

import logging

from ..api.client import ApiClient
from ..errors import NodewiseError
from ..report.publisher import FAILED, RECALLED, WRITTEN, Outcome, Publisher
from .config import Config
from .notify import Notifier
from .shared import Shared
from .state import State

LOG = logging.getLogger("nodewise.reporter")
# Seconds after which a kubeconfig that could not be used is tried again.
_RETRY = 10.0


def result_of(outcome: Outcome) -> str:
    """Return the word by which attempts are counted: accepted, throttled, refused or unreachable."""
    if outcome.kind == WRITTEN:
        return "accepted"
    if outcome.status == 429:
        return "throttled"
    return "refused" if outcome.status else "unreachable"


def _access(config: Config) -> tuple[str, str, float]:
    """Return what a publisher cannot change: its node and its client."""
    return config.node_name, config.kubeconfig, config.settings.request_seconds


class PublishLoop:
    """Writes the newest status whenever one is due.

    Parameters
    ----------
    shared : Shared
        Where statuses come from.
    state : State
        What the reporter knows of itself.
    notifier : Notifier
        The service manager, which is told of the first accepted report.
    """

    def __init__(self, shared: Shared, state: State, notifier: Notifier) -> None:
        self._shared = shared
        self._state = state
        self._notifier = notifier
        self._config: Config | None = None
        self._publisher: Publisher | None = None
        self._failure = ""

    def run(self) -> None:
        """Write until the reporter ends."""
        while not self._shared.stopping:
            try:
                self._round()
            except Exception:
                # A fault of ours: the report expires if it lasts, and the health endpoint says so.
                LOG.exception("a write failed")
                self._shared.wait(_RETRY)

    def _round(self) -> None:
        config = self._shared.config
        publisher = self._publisher_of(config)
        if publisher is None:
            self._shared.take(_RETRY, config)
            return
        status = self._shared.take(publisher.due_in(), config)
        if self._shared.stopping:
            return
        if status is not None:
            publisher.offer(status)
        if publisher.due_in() > 0:
            if publisher.stored and status is not None:
                # The stored report is this version's, and young: a restart is no reason to write another.
                self._shared.tell_ready(self._notifier, "the stored report is current")
            return
        outcome = publisher.step()
        self._shared.allocatable = publisher.allocatable
        if outcome.kind == RECALLED:
            self._shared.recall(publisher.stored, publisher.allocatable)
        else:
            self._state.publish_tried(result_of(outcome), outcome.kind == WRITTEN, outcome.message, outcome.retry_in)
        self._tell(outcome)

    def _publisher_of(self, config: Config) -> Publisher | None:
        """Return the publisher of a configuration, or None if there can be none now."""
        if config is self._config and self._publisher is not None:
            return self._publisher
        before, self._config = self._config, config
        if before is not None and self._publisher is not None and _access(before) == _access(config):
            self._publisher.reconfigure(config.settings)
            return self._publisher
        try:
            self._publisher = Publisher(config.node_name, ApiClient(config.kubeconfig, config.settings.request_seconds), config.settings)
        except NodewiseError as error:
            self._publisher = None
            self._state.publish_tried("unreachable", False, str(error), _RETRY)
            self._tell(Outcome(FAILED, 0, message=error.message, remedy=error.remedy, retry_in=_RETRY))
        return self._publisher

    def _tell(self, outcome: Outcome) -> None:
        """Log what has changed, not every write, and keep the service manager's line of status."""
        if outcome.kind == FAILED:
            if outcome.message != self._failure:
                LOG.warning("%s", NodewiseError(outcome.message, outcome.remedy))
            self._failure = outcome.message
            self._notifier.send(STATUS=f"no report accepted: {outcome.message}")
            return
        if self._failure:
            LOG.info("the API server accepts again")
            self._failure = ""
        if outcome.kind == WRITTEN:
            if self._state.publishes["accepted"] == 1:
                LOG.info("report %d is the first that was accepted", outcome.sequence)
            self._notifier.send(STATUS=f"report {outcome.sequence} accepted")
            self._shared.tell_ready(self._notifier, f"report {outcome.sequence} accepted")
