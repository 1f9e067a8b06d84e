# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bodies of the requests that carry a decision out; pure."""

from __future__ import annotations

from typing import Any

from ..api.events import node_event
from ..api.times import format_time
from .decide import Decision
from .model import AT_CAP, CONDITION_TYPE, Condition, NodeState, Taint


def node_path(name: str) -> str:
    """Return a Node's path."""
    return f"/api/v1/nodes/{name}"


def taints_patch(node: NodeState, taint: Taint | None) -> dict[str, Any]:
    """Return the merge patch that gives a node our taint, or none, and leaves those of others.

    The list can only be written as a whole (it is atomic), so the patch is bound to the version that was read: whatever else has
    changed meanwhile, the API server answers 409 and nothing is lost.
    """
    taints = [other.as_dict() for other in node.others] + ([taint.as_dict()] if taint else [])
    return {"metadata": {"resourceVersion": node.version}, "spec": {"taints": taints or None}}


def condition_patch(condition: Condition, message: str, now: float) -> dict[str, Any]:
    """Return the strategic merge patch of C(nodes/status) that sets our condition; conditions are merged by type."""
    return {
        "status": {
            "conditions": [
                {
                    "type": CONDITION_TYPE,
                    "status": condition.status,
                    "reason": condition.reason,
                    "message": message,
                    "lastHeartbeatTime": format_time(now, 0),
                    "lastTransitionTime": format_time(now if condition.since is None else condition.since, 0),
                }
            ]
        }
    }


def condition_removal() -> dict[str, Any]:
    """Return the strategic merge patch of C(nodes/status) that removes our condition."""
    return {"status": {"conditions": [{"$patch": "delete", "type": CONDITION_TYPE}]}}


def event(decision: Decision, identity: str, now: float) -> dict[str, Any]:
    """Return the Event of a decision."""
    node = decision.node
    reason, action, kind = described(decision)
    return node_event(
        node.name, node.uid, controller="nodewise.dev/guard", identity=identity, action=action, reason=reason, kind=kind, note=decision.message, now=now
    )


def described(decision: Decision) -> tuple[str, str, str]:
    """Return reason, action and type (Normal or Warning) of a decision's Event."""
    if decision.write_taint:
        if decision.taint is None:
            return "OverloadTaintRemoved", "RemoveTaint", "Normal"
        return "OverloadTaintSet", "SetTaint", "Warning"
    condition = decision.condition
    reason = condition.reason if condition else ""
    return reason, "SetCondition", "Warning" if condition and (condition.status == "Unknown" or reason == AT_CAP) else "Normal"
