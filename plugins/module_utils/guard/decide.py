# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From Nodes and NodeReports to what each node's taint and condition shall be; pure.

Every decision follows from the reports and from the times that stand in our own taints and conditions, so a guard
that has just started, or another one, comes to the same. Nothing is queued: a decision that was not carried out comes out again.

Whether a report's figures are too high is the reporter's to say, with hysteresis. Here only these are added, in this order:

1. unknown: what a stale, missing or incomplete report means;
2. hold and gap: how soon a taint may go, and come again;
3. cap: which nodes of a pool are tainted if not all may be, the worst first.

Recovered nodes come back all at once: let in a few at a time, those few would draw all pods (measured in benchmarks/guard/herd.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..api.clock import STEP
from ..api.times import format_time, time_or_none
from .model import (
    AT_CAP,
    CAUSES,
    EFFECT_OFF,
    NOT_OVERLOADED,
    RANK,
    REASON_OF_CAUSE,
    RECOVERED,
    REPORT_INCOMPLETE,
    REPORT_MISSING,
    REPORT_STALE,
    TAINT_KEY,
    UNKNOWN,
    UNSCHEDULABLE,
    Condition,
    NodeState,
    ReportState,
    Taint,
)
from .settings import CLEAR, OFF, TAINT, Settings

_TAINTED_REASONS = frozenset(REASON_OF_CAUSE.values())
_WHY_NOT = {AT_CAP: "cap", EFFECT_OFF: "effect_off", UNSCHEDULABLE: "unschedulable"}
# What a report says of a node; undecided: not enough for now, so everything stays as it is.
_OVERLOADED, _FINE, _UNKNOWN, _UNDECIDED = "overloaded", "fine", "unknown", "undecided"


@dataclass(frozen=True, slots=True)
class Decision:
    """What one node shall have, where that differs from what it has.

    Attributes
    ----------
    node : NodeState
        The node as it was when this was decided.
    taint : Taint or None
        Our taint as it shall be.
    write_taint : bool
        Whether the taints differ.
    condition : Condition or None
        Our condition as it shall be; None if it stays as it is.
    message : str
        Why, with the numbers.
    told : bool
        Whether it is worth an Event and a log line: all but "nothing is wrong" said for the first time.
    """

    node: NodeState
    taint: Taint | None
    write_taint: bool
    condition: Condition | None
    message: str
    told: bool


@dataclass
class Outcome:
    """All decisions, the most urgent first, and counts for the metrics.

    Attributes
    ----------
    decisions : list of Decision
        Only nodes for which something differs.
    tainted : dict
        Nodes that shall be tainted, by cause.
    untainted : dict
        Overloaded nodes that shall not be tainted, by why: C(cap), C(effect_off), C(unschedulable), C(gap).
    held : int
        Nodes that keep a taint only because it is too young to go or to become a weaker one.
    unknown : int
        Nodes whose report is stale, missing or incomplete.
    schedulable, allowed : int
        Schedulable nodes, and how many of them may be tainted, over all pools.
    failed : dict
        Nodes about which nothing could be decided, and why: a mistake of ours.
    """

    decisions: list[Decision] = field(default_factory=list)
    tainted: dict[str, int] = field(default_factory=lambda: dict.fromkeys(RANK, 0))
    untainted: dict[str, int] = field(default_factory=lambda: dict.fromkeys((*_WHY_NOT.values(), "gap"), 0))
    held: int = 0
    unknown: int = 0
    schedulable: int = 0
    allowed: int = 0
    failed: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Case:
    """One node on its way through the steps.

    C(current) is the cause of the taint that it has, C(cause) that of the taint it shall have; None means no taint.
    """

    node: NodeState
    report: ReportState | None
    current: str | None
    cause: str | None
    verdict: str = _UNDECIDED
    reason: str = ""  # of the condition: why unknown, or why not tainted
    percent: int = -1  # for the order among nodes of one cause
    stays: bool = False  # neither taint nor condition changes for now


@dataclass(frozen=True, slots=True)
class _Times:
    """See C(decide)."""

    now: float
    watching_since: float
    steady_since: float

    def within(self, seconds: float, moment: float | None) -> bool:
        """Whether something written into an object at this moment may be younger than so many seconds."""
        # abs: a time of the near future was written by a guard whose idea of the time was ahead.
        return moment is not None and (abs(self.now - moment) < seconds or self.now - self.steady_since < seconds)


def decide(
    nodes: Mapping[str, NodeState],
    reports: Mapping[str, ReportState],
    settings: Settings,
    now: float,
    watching_since: float,
    steady_since: float = float("-inf"),
) -> Outcome:
    """Decide for all nodes.

    Parameters
    ----------
    nodes, reports : Mapping
        By name.
    settings : Settings
        The operator's.
    now : float
        Seconds since 1970 on the API server's clock.
    watching_since : float
        Since when, on the same clock, the API server has been reachable without a break. Reporters could not report while it
        was not, so nothing is called stale within C(grace_seconds) of it.
    steady_since : float
        When that clock was last set, as far as known. Older times say nothing of how long something has been so: reports are
        not stale within C(grace_seconds) of it either, and every taint and every recovery counts as one of this moment at the earliest.
    """
    outcome = Outcome()
    times = _Times(now, max(watching_since, steady_since), steady_since)
    cases = [_first_steps(node, reports.get(node.name), settings, times, outcome) for node in nodes.values()]
    pools: dict[object, list[_Case]] = {}
    for case in cases:
        if case.node.schedulable:
            pools.setdefault(case.node.pool, []).append(case)
        elif case.cause is not None and case.current is None:
            case.cause, case.reason = None, case.reason or UNSCHEDULABLE
    for pool in pools.values():
        allowed = len(pool) * settings.max_tainted_percent // 100
        outcome.schedulable += len(pool)
        outcome.allowed += allowed
        _cap(pool, allowed)
    for case in cases:
        if case.cause is not None:
            outcome.tainted[case.cause] += 1
        elif case.verdict == _OVERLOADED and case.reason in _WHY_NOT:
            outcome.untainted[_WHY_NOT[case.reason]] += 1
        outcome.unknown += case.verdict == _UNKNOWN
    outcome.decisions = sorted(_decisions(cases, settings, now, outcome), key=_urgency)
    return outcome


# -- the steps -----------------------------------------------------------------------------------------------------------


def _first_steps(node: NodeState, report: ReportState | None, settings: Settings, times: _Times, outcome: Outcome) -> _Case:
    """Take the steps for which other nodes do not matter."""
    case = _unchanged(node, report)
    try:
        _assess(case, settings, times)
        _hold_and_gap(case, settings, times, outcome)
    except Exception as error:
        # A mistake of ours about one node is seen in health and log, and must not keep the guard from all the others.
        outcome.failed[node.name] = f"{type(error).__name__}: {error}"
        return _unchanged(node, report)
    return case


def _unchanged(node: NodeState, report: ReportState | None) -> _Case:
    current = None
    if node.ours:
        current = node.ours[0].value if node.ours[0].value in RANK else UNKNOWN
    return _Case(node, report, current, current)


def _assess(case: _Case, settings: Settings, times: _Times) -> None:
    """Tell what the report means, leaving times and other nodes aside."""
    node, report, current, now = case.node, case.report, case.current, times.now
    if report is None:
        if now - max(node.created, times.watching_since) >= settings.grace_seconds:
            _unknown(case, REPORT_MISSING, settings)
        return
    # None holds for longer than its lifetime, unless the clock has been set back since: it would, for as long again.
    if now >= report.expires or report.expires - now > report.lifetime + STEP:
        if now - times.watching_since >= settings.grace_seconds:
            _unknown(case, REPORT_STALE, settings)
        return

    overloaded = [cause for cause, status in zip(CAUSES, report.statuses, strict=True) if status == "True"]
    acted_on = [cause for cause in overloaded if settings.effect_of(cause) != OFF]
    unread = [cause for cause, status in zip(CAUSES, report.statuses, strict=True) if status not in ("True", "False")]
    # A figure is missing for good only after a while: the first report of a reporter has no CPU rate yet. Both times are of the node's clock.
    missing = [cause for cause in unread if report.observed - (report.since[RANK[cause]] or report.observed) >= report.lifetime]
    if current in unread and current not in missing and not (acted_on and RANK[acted_on[0]] < RANK[current]):
        return
    if overloaded:
        case.verdict = _OVERLOADED
        case.cause = acted_on[0] if acted_on else None
        case.reason = "" if acted_on else EFFECT_OFF
        case.percent = report.percents[RANK[(acted_on or overloaded)[0]]] or 0
    elif missing:
        _unknown(case, REPORT_INCOMPLETE, settings)
    elif not unread:
        case.verdict, case.cause = _FINE, None
        case.percent = max((percent for percent in report.percents if percent is not None), default=0)


def _unknown(case: _Case, reason: str, settings: Settings) -> None:
    case.verdict, case.reason = _UNKNOWN, reason
    if settings.unknown == CLEAR:
        case.cause = None
    elif settings.unknown == TAINT and case.current is None:
        case.cause = UNKNOWN


def _hold_and_gap(case: _Case, settings: Settings, times: _Times, outcome: Outcome) -> None:
    """Keep a taint that is too young to go or to become a weaker one; keep one from coming too soon after the last."""
    if case.current is None:
        if case.cause is not None and _recovered_within(case, settings.gap_seconds, times):
            case.cause, case.stays = None, True
            outcome.untainted["gap"] += 1
    elif settings.effect_of(case.current) == OFF:
        if case.cause == case.current:
            case.cause = None
    elif case.cause is None or RANK[case.cause] > RANK[case.current]:
        added = time_or_none(case.node.ours[0].time_added)
        if times.within(settings.hold_seconds, added):
            case.cause = case.current
            outcome.held += 1


def _cap(pool: Sequence[_Case], allowed: int) -> None:
    """Keep the worst: disk before memory before CPU, then what is tainted already, then the fuller."""
    wanted = [case for case in pool if case.cause is not None]
    if len(wanted) > allowed:
        wanted.sort(key=lambda case: (RANK[case.cause or UNKNOWN], case.verdict != _OVERLOADED, case.current is None, -case.percent, case.node.name))
        for case in wanted[allowed:]:
            case.cause, case.reason = None, case.reason or AT_CAP
    # A taint that goes counts until it is gone: a worse node takes its place only then.
    room = allowed - sum(1 for case in pool if case.current is not None)
    for case in wanted[:allowed]:
        if case.current is None:
            if room <= 0:
                case.cause, case.stays = None, True
            room -= 1


# -- what comes of it ----------------------------------------------------------------------------------------------------


def _decisions(cases: Iterable[_Case], settings: Settings, now: float, outcome: Outcome) -> Iterator[Decision]:
    for case in cases:
        if case.node.name in outcome.failed:
            continue
        try:
            decision = _decision(case, settings, now)
        except Exception as error:
            # As in the first steps.
            outcome.failed[case.node.name] = f"{type(error).__name__}: {error}"
            continue
        if decision is not None:
            yield decision


def _decision(case: _Case, settings: Settings, now: float) -> Decision | None:
    taint = _taint(case, settings, now)
    write_taint = case.node.ours != (() if taint is None else (taint,))
    condition = _condition(case, now)
    if not write_taint and condition is None:
        return None
    first = condition is not None and condition.reason == NOT_OVERLOADED and case.node.condition is None
    return Decision(case.node, taint, write_taint, condition, _message(case, taint, write_taint), told=write_taint or not first)


def _taint(case: _Case, settings: Settings, now: float) -> Taint | None:
    if case.cause is None:
        return None
    added = next((taint.time_added for taint in case.node.ours[:1] if case.cause == case.current), "")
    return Taint(TAINT_KEY, settings.effect_of(case.cause), case.cause, added or format_time(now, 0))


def _condition(case: _Case, now: float) -> Condition | None:
    """Return the condition to write, or None if the one that is there is right or stays for now."""
    old = case.node.condition
    if case.stays or case.verdict == _UNDECIDED or (case.verdict == _FINE and case.cause is not None):
        return None
    if case.verdict == _UNKNOWN:
        status, reason = "Unknown", case.reason
    elif case.verdict == _OVERLOADED:
        status, reason = "True", case.reason if case.cause is None else REASON_OF_CAUSE.get(case.cause, case.reason)
    elif case.current is not None or _untold(case):
        return Condition("False", RECOVERED, now)
    else:
        status, reason = "False", RECOVERED if old is not None and old.reason == RECOVERED else NOT_OVERLOADED
    if old is None or old.status != status:
        return Condition(status, reason, now)
    return None if old.reason == reason else Condition(status, reason, old.since)


def _recovered_within(case: _Case, seconds: float, times: _Times) -> bool:
    condition = case.node.condition
    return condition is not None and condition.reason == RECOVERED and times.within(seconds, condition.since)


def _untold(case: _Case) -> bool:
    """Whether the taint is gone and the condition does not say so yet: the guard was stopped between the two, or someone removed it."""
    condition = case.node.condition
    return case.current is None and condition is not None and condition.reason in _TAINTED_REASONS


def _message(case: _Case, taint: Taint | None, write_taint: bool) -> str:
    report = case.report
    if report is None:
        found = "there is no NodeReport"
    else:
        figures = ", ".join(f"{cause} {'unknown' if percent is None else f'{percent} %'}" for cause, percent in zip(CAUSES, report.percents, strict=True))
        found = f"{figures} (report of {format_time(report.observed, 0)}{', stale' if case.reason == REPORT_STALE else ''})"
    if taint is not None:
        done = f"{'' if write_taint else 'still '}tainted {taint.value}:{taint.effect}"
    elif case.current is not None:
        done = "taint removed"
    else:
        done = "not tainted"
    why = {AT_CAP: ", as many nodes as may be are tainted", EFFECT_OFF: ", the effect is off", UNSCHEDULABLE: ", it takes no pods anyway"}
    return f"{found}: {done}{why.get(case.reason, '') if taint is None else ''}"


def _urgency(decision: Decision) -> tuple[int, int]:
    """Taints to set first, the worst cause before the others, then taints to remove, then conditions."""
    if decision.write_taint:
        return (0, RANK[decision.taint.value]) if decision.taint is not None else (1, 0)
    return (2, 0) if decision.told else (3, 0)
