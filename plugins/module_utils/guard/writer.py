# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carry decisions out, the most urgent first, no faster than allowed.

What is refused, too old or too much for now is simply left: it is decided anew from what is true then.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from ..api.client import JSON, MERGE_PATCH, STRATEGIC_MERGE_PATCH, Answer, ApiClient
from ..api.clock import ServerClock
from ..api.events import EVENTS
from ..api.store import Store
from ..errors import NodewiseError
from .decide import Decision
from .model import NodeState, node_state
from .requests import condition_patch, described, event, node_path, taints_patch
from .state import State
from .throttle import Throttle

LOG = logging.getLogger("nodewise.guard")
# Events that wait for their turn; more are dropped, the oldest first, and counted.
_EVENTS = 1000
# A node whose change is refused for a reason of its own (an admission policy) is left alone for a while.
_REFUSED_FIRST, _REFUSED_MOST = 5.0, 300.0
# Attempts after the first to write a Node's taints while somebody else writes that Node.
_ATTEMPTS = 3
_BUSY = (429, 500, 502, 503, 504)


class Writer:
    """Not for several threads at once.

    Parameters
    ----------
    client : ApiClient
        A connection of its own.
    nodes : Store
        Is told what the API server answers, so that the next decision need not wait for the watch.
    throttle : Throttle
        How fast it may write.
    clock : ServerClock
        The API server's.
    state : State
        Counts.
    identity : str
        Who writes, for Events.
    may_write : callable
        Asked before each request: whether this guard still leads and goes on.
    """

    def __init__(
        self,
        client: ApiClient,
        nodes: Store[NodeState],
        throttle: Throttle,
        clock: ServerClock,
        state: State,
        identity: str,
        may_write: Callable[[], bool],
    ) -> None:
        self._client = client
        self._nodes = nodes
        self._throttle = throttle
        self._clock = clock
        self._state = state
        self._identity = identity
        self._may_write = may_write
        self._events: deque[dict[str, Any]] = deque()
        self._refused: dict[str, tuple[float, float]] = {}

    def carry_out(self, decisions: Sequence[Decision]) -> None:
        """Carry out as many decisions as may be now: all taints before any condition, then Events."""
        now = time.monotonic()
        due = [decision for decision in decisions if now >= self._refused.get(decision.node.name, (0.0, 0.0))[0]]
        try:
            undone: set[str] = set()
            for decision in due:
                if decision.write_taint and not self._write_taint(decision, undone):
                    return
            for decision in due:
                if decision.condition is not None and decision.node.name not in undone and not self._write_condition(decision):
                    return
            self._send_events()
        except NodewiseError as error:
            self._failed(str(error), None)

    def _write_taint(self, decision: Decision, undone: set[str]) -> bool:
        """Return whether to go on with the next."""
        node = decision.node
        answer = self._request("taint", "PATCH", node_path(node.name), taints_patch(node, decision.taint), MERGE_PATCH)
        for _attempt in range(_ATTEMPTS):
            if answer is None or answer.status != 409:
                break
            # Somebody else was faster. Of taints that are not ours, or of the status, the decision does not depend.
            fresh = self._fresh(node.name)
            if fresh is None or (fresh.uid, fresh.ours, fresh.cordoned, fresh.pool) != (node.uid, node.ours, node.cordoned, node.pool):
                break
            answer = self._request("taint", "PATCH", node_path(node.name), taints_patch(fresh, decision.taint), MERGE_PATCH)
        if answer is None:
            return False
        if not answer.ok:
            undone.add(node.name)
            return self._not_done(node, answer)
        self._nodes.refresh(node.name, node_state(answer.value()))
        self._refused.pop(node.name, None)
        self._tell(decision)
        return True

    def _write_condition(self, decision: Decision) -> bool:
        """Return whether to go on with the next."""
        node, condition = decision.node, decision.condition
        if condition is None:
            return True
        body = condition_patch(condition, decision.message, self._clock.now())
        answer = self._request("condition", "PATCH", f"{node_path(node.name)}/status", body, STRATEGIC_MERGE_PATCH)
        if answer is None:
            return False
        if not answer.ok:
            return self._not_done(node, answer)
        self._nodes.refresh(node.name, node_state(answer.value()))
        self._refused.pop(node.name, None)
        if decision.told and not decision.write_taint:
            self._tell(decision)
        return True

    def _tell(self, decision: Decision) -> None:
        reason, _action, kind = described(decision)
        LOG.log(logging.WARNING if kind == "Warning" else logging.INFO, "%s: %s: %s", decision.node.name, reason, decision.message)
        self._state.decided(reason)
        if len(self._events) >= _EVENTS:
            self._events.popleft()
            self._state.event_dropped()
        self._events.append(event(decision, self._identity, self._clock.now()))

    def _send_events(self) -> None:
        while self._events:
            answer = self._request("event", "POST", EVENTS, self._events[0], JSON)
            if answer is None:
                return
            if answer.status in _BUSY:
                self._failed(f"{answer.status}: {answer.message}", answer.retry_after)
                return
            self._events.popleft()
            if not answer.ok:
                self._state.event_dropped()
                LOG.warning("an Event is refused: %s %s", answer.status, answer.message)

    def _request(self, kind: str, method: str, path: str, body: Any, content_type: str) -> Answer | None:
        """Return the answer, or None if nothing may be written now."""
        if not self._may_write() or not self._throttle.take():
            return None
        try:
            answer = self._client.request(method, path, body, content_type)
        except NodewiseError:
            self._state.wrote(kind, "no_answer")
            raise
        self._clock.learn(answer)
        self._state.wrote(kind, str(answer.status))
        if answer.ok:
            self._throttle.succeeded()
        return answer

    def _fresh(self, name: str) -> NodeState | None:
        """Return what a Node is now; None if it cannot be read."""
        answer = self._client.get(node_path(name))
        if not answer.ok:
            return None
        fresh = node_state(answer.value())
        self._nodes.refresh(name, fresh)
        return fresh

    def _not_done(self, node: NodeState, answer: Answer) -> bool:
        """Deal with a refusal; return whether to go on with other nodes."""
        if answer.status == 404:
            self._nodes.remove(node.name)
            return True
        if answer.status == 409:
            return True
        if answer.status in (401, *_BUSY):
            self._failed(f"{answer.status}: {answer.message}", answer.retry_after)
            return False
        _until, pause = self._refused.get(node.name, (0.0, _REFUSED_FIRST / 2))
        pause = min(2 * pause, _REFUSED_MOST)
        self._refused[node.name] = (time.monotonic() + pause, pause)
        LOG.error("%s cannot be changed: %s %s", node.name, answer.status, answer.message)
        return True

    def _failed(self, message: str, retry_after: float | None) -> None:
        self._throttle.failed(retry_after)
        LOG.warning("writing pauses: %s", message)
