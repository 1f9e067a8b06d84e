# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Events (events.k8s.io/v1) about Nodes; they lie in C(default), as those of all objects without a namespace do."""

from __future__ import annotations

import uuid
from typing import Any

from .times import format_time

EVENTS = "/apis/events.k8s.io/v1/namespaces/default/events"
_NOTE = 1024  # characters, by the API's validation


def node_event(name: str, uid: str, *, controller: str, identity: str, action: str, reason: str, kind: str, note: str, now: float) -> dict[str, Any]:
    """Return an Event, to be sent to C(EVENTS).

    Parameters
    ----------
    name, uid : str
        The Node; a uid may be empty, of a Node that is not there.
    controller, identity : str
        Who tells it: the program, and which one of several.
    action, reason : str
        What was done, and why, in CamelCase.
    kind : str
        C(Normal) or C(Warning).
    note : str
        For people.
    now : float
        Seconds since 1970.
    """
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": f"{name[:200]}.{uuid.uuid4().hex[:16]}", "namespace": "default"},
        "eventTime": format_time(now),
        "reportingController": controller,
        "reportingInstance": identity[:128],
        "action": action,
        "reason": reason,
        "type": kind,
        "note": note[:_NOTE],
        "regarding": {"apiVersion": "v1", "kind": "Node", "name": name, **({"uid": uid} if uid else {})},
    }
