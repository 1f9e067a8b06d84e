# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the guard keeps of a Node and of a NodeReport, and what it writes onto a Node.

Only what a decision needs is kept, because a Node is 13 to 20 KB and a cluster may have 5,000. All
times are seconds since 1970 on the API server's clock, unless a name says otherwise.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..api.times import time_or_none
from ..report.schema import CPU_OVERLOADED, DISK_NEARLY_FULL, MEMORY_OVERLOADED

TAINT_KEY = "nodewise.dev/overloaded"
CONDITION_TYPE = "NodewiseOverloaded"

DISK, MEMORY, CPU, UNKNOWN = "disk", "memory", "cpu", "unknown"
CAUSES = (DISK, MEMORY, CPU)
"""Causes that a report can name, the one that outranks the others first."""
RANK = {cause: rank for rank, cause in enumerate((*CAUSES, UNKNOWN))}
REPORTED_AS = {DISK: DISK_NEARLY_FULL, MEMORY: MEMORY_OVERLOADED, CPU: CPU_OVERLOADED}

# Reasons of the Node condition. True:
REASON_OF_CAUSE = REPORTED_AS  # overloaded, and tainted for it
AT_CAP = "NotTaintedAtCap"
EFFECT_OFF = "NotTaintedEffectOff"
UNSCHEDULABLE = "NotTaintedUnschedulable"
# False:
NOT_OVERLOADED = "NotOverloaded"
RECOVERED = "Recovered"  # a taint was removed at lastTransitionTime
# Unknown:
REPORT_MISSING = "ReportMissing"
REPORT_STALE = "ReportStale"
REPORT_INCOMPLETE = "ReportIncomplete"

BLOCKING_EFFECTS = ("NoSchedule", "NoExecute")
# Taints with which Kubernetes itself says that a node takes no pods for now (well-known labels, annotations and taints).
_LIFECYCLE_PREFIXES = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/")

# A report that is written longer than this after its sample, or before it, comes from a node whose clock is wrong.
_WRITE_DELAY = 30.0
# A clock that was never set says 1970. What is further away than a century is no clock's time, and may be none that can be written back.
_FAR = 100 * 365.25 * 86400


@dataclass(frozen=True, slots=True)
class Taint:
    """One entry of C(spec.taints), ours or another's; an empty field is one that is not there."""

    key: str
    effect: str
    value: str = ""
    time_added: str = ""

    def as_dict(self) -> dict[str, str]:
        """Return it as the API has it."""
        fields = {"key": self.key, "value": self.value, "effect": self.effect, "timeAdded": self.time_added}
        return {name: value for name, value in fields.items() if value}


@dataclass(frozen=True, slots=True)
class Condition:
    """Our Node condition.

    Attributes
    ----------
    status : str
        True, False or Unknown.
    reason : str
        One of the reasons above.
    since : float or None
        C(lastTransitionTime).
    """

    status: str
    reason: str
    since: float | None


@dataclass(frozen=True, slots=True)
class NodeState:
    """What is kept of a Node.

    Attributes
    ----------
    version : str
        C(metadata.resourceVersion): what a change of the taints is bound to.
    created : float
        C(metadata.creationTimestamp).
    cordoned : bool
        C(spec.unschedulable).
    taints : tuple of Taint
        All of them: the list is written as a whole.
    condition : Condition or None
        Ours.
    """

    name: str
    uid: str
    version: str
    created: float
    cordoned: bool
    taints: tuple[Taint, ...]
    condition: Condition | None

    @property
    def ours(self) -> tuple[Taint, ...]:
        """Our taints: none or one, unless someone else set a second one."""
        return tuple(taint for taint in self.taints if taint.key == TAINT_KEY)

    @property
    def others(self) -> tuple[Taint, ...]:
        """The taints of others."""
        return tuple(taint for taint in self.taints if taint.key != TAINT_KEY)

    @property
    def schedulable(self) -> bool:
        """Whether the node takes pods as far as others are concerned: neither cordoned nor unfit in Kubernetes' own eyes."""
        return not self.cordoned and not any(taint.effect in BLOCKING_EFFECTS and taint.key.startswith(_LIFECYCLE_PREFIXES) for taint in self.taints)

    @property
    def pool(self) -> tuple[tuple[str, str], ...]:
        """Key and value of the blocking taints of others: only nodes on which the same pods can run can stand in for each other."""
        return tuple(sorted({(taint.key, taint.value) for taint in self.others if taint.effect in BLOCKING_EFFECTS}))


@dataclass(frozen=True, slots=True)
class ReportState:
    """What is kept of a NodeReport.

    Attributes
    ----------
    observed : float
        C(status.observedAt), on the node's clock.
    expires : float
        When it says nothing any more, on the API server's clock.
    lifetime : float
        Seconds from observation to expiry.
    statuses : tuple of str
        Of the causes, in the order of C(CAUSES): True, False or Unknown.
    since : tuple of float or None
        C(lastTransitionTime) of the same.
    percents : tuple of int or None
        C(status.percent) of the same.
    version : str
        C(metadata.resourceVersion).
    """

    observed: float
    expires: float
    lifetime: float
    statuses: tuple[str, ...]
    since: tuple[float | None, ...]
    percents: tuple[int | None, ...]
    version: str


def node_state(node: Mapping[str, Any]) -> NodeState:
    """Return what is kept of a Node as the API has it."""
    metadata, spec = node["metadata"], node.get("spec", {})
    condition = next((entry for entry in node.get("status", {}).get("conditions", ()) if entry["type"] == CONDITION_TYPE), None)
    return NodeState(
        name=metadata["name"],
        uid=metadata["uid"],
        version=metadata["resourceVersion"],
        created=time_or_none(metadata.get("creationTimestamp")) or 0.0,
        cordoned=bool(spec.get("unschedulable")),
        # Interned: 5,000 nodes have the same few keys and effects.
        taints=tuple(
            Taint(
                sys.intern(taint["key"]),
                sys.intern(taint["effect"]),
                sys.intern(taint.get("value", "")),
                taint.get("timeAdded") or "",
            )
            for taint in spec.get("taints") or ()
        ),
        condition=condition
        and Condition(sys.intern(condition["status"]), sys.intern(condition.get("reason", "")), time_or_none(condition.get("lastTransitionTime"))),
    )


def report_state(report: Mapping[str, Any], now: float, just_written: bool) -> ReportState | None:
    """Return what is kept of a NodeReport as the API has it; None if it does not say when it was taken and until when it holds, or says nonsense.

    Its two times are of the node's clock. If that is wrong, a live node would be stale, or a dead one fresh for hours; so a report
    that is seen being written, and does not seem young, holds for its lifetime from now on. One from a list may be of any age;
    it holds no longer than that.

    Parameters
    ----------
    report : Mapping
        The NodeReport.
    now : float
        The API server's time.
    just_written : bool
        Whether a watch told of it, and not a list.
    """
    status = report.get("status") or {}
    observed, expires = time_or_none(status.get("observedAt")), time_or_none(status.get("expiresAt"))
    if observed is None or expires is None or max(abs(now - observed), abs(now - expires)) > _FAR:
        return None
    lifetime = expires - observed
    if just_written and abs(now - observed) > _WRITE_DELAY:
        expires = now + lifetime
    conditions = {entry["type"]: entry for entry in status.get("conditions") or ()}
    found = [conditions.get(REPORTED_AS[cause], {}) for cause in CAUSES]
    percent = status.get("percent") or {}
    return ReportState(
        observed=observed,
        expires=min(expires, now + lifetime),
        lifetime=lifetime,
        statuses=tuple(sys.intern(entry.get("status", "Unknown")) for entry in found),
        since=tuple(time_or_none(entry.get("lastTransitionTime")) for entry in found),
        percents=tuple(percent.get(cause) for cause in CAUSES),
        version=report["metadata"]["resourceVersion"],
    )
