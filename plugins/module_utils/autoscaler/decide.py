# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of each host: a state machine, pure.

A group's target size is the number of its hosts that shall be Nodes, so each unit of it is a certain host and there is none without.

::

    prepared ──IncreaseSize──► joining ──Node is Ready──► joined ──DeleteNodes, or its Node is deleted──► leaving ──► prepared
                                  │                                                                          ▲
                                  ├──DeleteNodes, DecreaseTargetSize─────────────────────────────────────────┘
                                  └──deadline, error──► failed ──cleaned, and rested──► prepared
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, replace

from ..errors import NodewiseError
from .settings import Group, Host

PREPARED, JOINING, JOINED, LEAVING, FAILED = "prepared", "joining", "joined", "leaving", "failed"
STATES = (PREPARED, JOINING, JOINED, LEAVING, FAILED)
JOIN, LEAVE = "join", "leave"

_LONGEST_REST = 3600.0
# Seconds by which the API servers' clocks may differ, generously.
_JITTER = 60.0
_REASON = 300  # characters

# gRPC's names of what a request is refused with.
NOT_FOUND, INVALID_ARGUMENT, FAILED_PRECONDITION, RESOURCE_EXHAUSTED = "NOT_FOUND", "INVALID_ARGUMENT", "FAILED_PRECONDITION", "RESOURCE_EXHAUSTED"


class Refused(NodewiseError):
    """A request of the autoscaler that is not carried out.

    Parameters
    ----------
    code : str
        Name of the gRPC status.
    message : str
        Why.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Node:
    """A Node, as far as it matters here.

    Parameters
    ----------
    name, uid, version : str
        Of its metadata; the version is resourceVersion.
    provider_id : str
        C(spec.providerID), empty if unset.
    ready : bool
        Whether its condition Ready is True.
    """

    name: str
    uid: str
    version: str
    provider_id: str
    ready: bool


@dataclass(frozen=True)
class Record:
    """What is known of a host that is not simply prepared.

    Parameters
    ----------
    state : str
        One of C(STATES).
    since : float
        When it got into this state, seconds since 1970 on the API server's clock.
    reason : str
        Why.
    failures : int
        Joins and leaves that have failed in a row.
    until : float
        When a failed leave is tried again, or a failed host may be joined again.
    dirty : bool
        Of a failed host: it may be half joined, so it has to leave before anything else.
    again : bool
        Of a leaving host: it joins again after it.
    untold : bool
        Of a failed host: its unit of the target has been given up, and the autoscaler has not taken note of it yet.
    token_id : str
        Of a joining or leaving host: the public part of the bootstrap token that has been, or may have been, made for it.
    """

    state: str = PREPARED
    since: float = 0.0
    reason: str = ""
    failures: int = 0
    until: float = 0.0
    dirty: bool = False
    again: bool = False
    untold: bool = False
    token_id: str = ""

    def rested(self, now: float) -> bool:
        """Whether the time to wait is over; no wait is longer than the longest rest, so one that seems to be was written by a clock that was ahead."""
        return not now < self.until <= now + _LONGEST_REST + _JITTER

    @property
    def wanted(self) -> bool:
        """Whether it is one unit of its group's target size."""
        return self.state in (JOINING, JOINED) or (self.state == LEAVING and self.again)


_NEW = Record()
Records = Mapping[str, Record]
"""{host: record}; a host without one is prepared."""


@dataclass(frozen=True)
class Instance:
    """A host as the autoscaler is told of it.

    Parameters
    ----------
    provider_id : str
        Its Node's.
    state : str
        C(joining), C(joined) or C(leaving).
    error : str
        Why it will not come; empty unless it has failed.
    """

    provider_id: str
    state: str
    error: str = ""


@dataclass(frozen=True)
class Decider:
    """Decides over all groups. Every method returns new records and leaves the given ones as they are.

    Parameters
    ----------
    groups : Mapping
        {name: Group}
    retry_seconds : float
        How long a host rests after its first failure.
    new_token_id : callable
        Returns a fresh bootstrap token id.
    """

    groups: Mapping[str, Group]
    retry_seconds: float
    new_token_id: Callable[[], str]

    def group_of(self) -> dict[str, str]:
        """Return {provider id: group}."""
        return {host.provider_id: name for name, group in self.groups.items() for host in group.hosts.values()}

    def inventory(self) -> set[str]:
        """Return the names of all hosts."""
        return {name for group in self.groups.values() for name in group.hosts}

    def host(self, name: str) -> tuple[Group, Host] | None:
        """Return a host with its group; None if it is not in the inventory any more."""
        return next(((group, group.hosts[name]) for group in self.groups.values() if name in group.hosts), None)

    def target(self, records: Records, group: str) -> int:
        """Return a group's target size.

        Raises
        ------
        Refused
            There is no such group.
        """
        return sum(records[name].wanted for name in self._group(group).hosts if name in records)

    def instances(self, records: Records, group: str) -> list[Instance]:
        """Return a group's hosts that are, become or cease to be Nodes, and those whose failure the autoscaler does not know yet.

        Raises
        ------
        Refused
            There is no such group.
        """
        found = []
        for name, host in self._group(group).hosts.items():
            record = records.get(name, _NEW)
            if record.wanted:
                found.append(Instance(host.provider_id, JOINED if record.state == JOINED else JOINING))
            elif record.untold:
                found.append(Instance(host.provider_id, JOINING, record.reason))
            elif record.state == LEAVING:
                found.append(Instance(host.provider_id, LEAVING))
        return found

    def increase(self, records: Records, group: str, delta: int, now: float) -> Records:
        """Let C(delta) more hosts join, or as many as there are.

        If there are fewer, those that have failed are told of as instances with an error: the autoscaler then looks elsewhere.

        Raises
        ------
        Refused
            There is no such group, the delta is not positive, the group would grow above its max, or it has no host left.
        """
        settings, target = self._group(group), self.target(records, group)
        if delta <= 0:
            raise Refused(INVALID_ARGUMENT, f"delta is {delta}, which is no increase of {group}")
        if target + delta > settings.max:
            raise Refused(FAILED_PRECONDITION, f"{group} has {target} hosts and its max is {settings.max}: it cannot grow by {delta}")
        chosen = (self._ready_to_join(records, settings) + self._leaving(records, settings))[:delta]
        failed = [name for name in settings.hosts if records.get(name, _NEW).state == FAILED]
        if not chosen:
            why = "; ".join(f"{name}: {records[name].reason}" for name in failed[:3])
            raise Refused(RESOURCE_EXHAUSTED, f"{group} has no host left to join{f' ({why})' if why else ''}")
        changed = dict(records)
        for name in failed[: delta - len(chosen)]:
            changed[name] = replace(changed[name], untold=True)
        for name in chosen:
            self._start(changed, name, now, "the autoscaler asked for it")
        return changed

    def decrease(self, records: Records, nodes: Mapping[str, Node], group: str, delta: int, now: float) -> Records:
        """Give up joins of hosts that are not Nodes yet; C(delta) is negative.

        Raises
        ------
        Refused
            There is no such group, the delta is not negative, or Nodes would have to go.
        """
        if delta >= 0:
            raise Refused(INVALID_ARGUMENT, f"delta is {delta}, which is no decrease of {group}")
        settings = self._group(group)
        open_joins = [name for name, host in settings.hosts.items() if records.get(name, _NEW).state == JOINING and host.provider_id not in nodes]
        if len(open_joins) < -delta:
            raise Refused(FAILED_PRECONDITION, f"{group} has {len(open_joins)} hosts that are not Nodes yet: {-delta} cannot be given up")
        open_joins.sort(key=lambda name: records[name].since)
        return {**records, **{name: self._leave(records[name], now, "the autoscaler gave it up") for name in open_joins[delta:]}}

    def delete(self, records: Records, group: str, provider_ids: Iterable[str], now: float) -> Records:
        """Let hosts leave. One that leaves already, is prepared or has failed is left as it is, so a repeated request changes nothing.

        Raises
        ------
        Refused
            There is no such group, one of the Nodes is not of the group, or the group would shrink below its min.
        """
        settings = self._group(group)
        names = {host.provider_id: name for name, host in settings.hosts.items()}
        asked = list(dict.fromkeys(provider_ids))
        foreign = [provider_id for provider_id in asked if provider_id not in names]
        if foreign:
            raise Refused(INVALID_ARGUMENT, f"{', '.join(repr(one) for one in foreign[:3])} is not of {group}; nothing was removed")
        chosen = [names[provider_id] for provider_id in asked]
        going = [name for name in chosen if records.get(name, _NEW).wanted]
        target = self.target(records, group)
        if going and target - len(going) < settings.min:
            raise Refused(FAILED_PRECONDITION, f"{group} has {target} hosts and its min is {settings.min}: {len(going)} cannot go")
        changed = dict(records)
        for name in chosen:
            record = records.get(name, _NEW)
            if record.state in (JOINING, JOINED):
                changed[name] = self._leave(record, now, "the autoscaler removed it")
            elif record.again or record.untold:
                changed[name] = replace(record, again=False, untold=False)
        return changed

    def observe(self, records: Records, nodes: Mapping[str, Node], busy: Container[str], now: float) -> Records:
        """Bring the records into line with the inventory and the truth.

        Hosts that have left the inventory are forgotten: their Nodes are foreign from then on. A Node that is there without our doing is taken
        on. Of a host whose Node has been deleted by hand what is left is cleaned away. A group below its min grows.

        Parameters
        ----------
        records : Records
            What was known.
        nodes : Mapping
            {provider id: Node}, complete.
        busy : Container
            Hosts that join or leave at this moment: what becomes of them is told when they are done.
        now : float
            The API server's time.
        """
        changed: dict[str, Record] = {}
        for group in self.groups.values():
            for name, host in group.hosts.items():
                record = records.get(name, _NEW)
                if name not in busy:
                    record = _observed(record, nodes.get(host.provider_id), now)
                if record != _NEW:
                    changed[name] = record
        for name, group in self.groups.items():
            for host_name in self._ready_to_join(changed, group)[: max(0, group.min - self.target(changed, name))]:
                self._start(changed, host_name, now, f"the min of {name} is {group.min}")
        return changed

    def joined(self, records: Records, name: str, now: float) -> Records:
        """Note that a host's Node is Ready."""
        record = records.get(name, _NEW)
        return {**records, name: Record(JOINED, now, "its Node is Ready")} if record.state == JOINING else records

    def join_failed(self, records: Records, name: str, reason: str, now: float) -> Records:
        """Note that a host does not come: its unit of the target goes to another one if there is one, and else is given up."""
        record = records.get(name, _NEW)
        if record.state != JOINING:
            return records
        failed = Record(FAILED, now, reason[:_REASON], record.failures + 1, now, dirty=True, token_id=record.token_id)
        return self._replace(records, name, failed, now)

    def left(self, records: Records, name: str, now: float) -> Records:
        """Note that a host is as it was prepared."""
        record = records.get(name, _NEW)
        changed = dict(records)
        if record.state == FAILED:
            changed[name] = replace(record, dirty=False, until=now + self._rest(record.failures), token_id="")
        elif record.state == LEAVING and record.again:
            self._start(changed, name, now, record.reason)
        elif record.state == LEAVING:
            changed.pop(name)
        return changed

    def leave_failed(self, records: Records, name: str, reason: str, now: float) -> Records:
        """Note that a host does not leave; it is tried again after a while."""
        record = records.get(name, _NEW)
        if record.state not in (LEAVING, FAILED):
            return records
        failures = record.failures + 1
        after = replace(record, reason=reason[:_REASON], failures=failures, until=now + self._rest(failures), again=False)
        return self._replace(records, name, after, now) if record.again else {**records, name: after}

    def due(self, records: Records, now: float) -> dict[str, str]:
        """Return {host: C(join) or C(leave)}: what has to be done now."""
        found = {}
        for name, record in records.items():
            if record.state == JOINING:
                found[name] = JOIN
            elif (record.state == LEAVING or record.dirty) and record.rested(now):
                found[name] = LEAVE
        return found

    def _group(self, name: str) -> Group:
        if name not in self.groups:
            raise Refused(NOT_FOUND, f"there is no group {name!r}")
        return self.groups[name]

    def _ready_to_join(self, records: Records, group: Group) -> list[str]:
        """Return the prepared hosts, those first that have not failed."""
        prepared = [name for name in group.hosts if records.get(name, _NEW).state == PREPARED]
        return sorted(prepared, key=lambda name: records.get(name, _NEW).failures)

    def _leaving(self, records: Records, group: Group) -> list[str]:
        """Return the hosts that leave without trouble and could join again after it."""
        found = [(name, records.get(name, _NEW)) for name in group.hosts]
        return [name for name, record in found if record.state == LEAVING and not record.again and not record.failures]

    def _start(self, changed: dict[str, Record], name: str, now: float, reason: str) -> None:
        record = changed.get(name, _NEW)
        if record.state == LEAVING and not record.again:
            changed[name] = replace(record, again=True)
        else:
            changed[name] = Record(JOINING, now, reason, record.failures, token_id=self.new_token_id())

    def _leave(self, record: Record, now: float, reason: str) -> Record:
        return Record(LEAVING, now, reason, until=now, token_id=record.token_id)

    def _replace(self, records: Records, name: str, failed: Record, now: float) -> Records:
        group = next(group for group in self.groups.values() if name in group.hosts)
        changed = {**records, name: failed}
        others = self._ready_to_join(changed, group)
        if others:
            self._start(changed, others[0], now, f"in the place of {name}")
        else:
            changed[name] = replace(failed, untold=True)
        return changed

    def _rest(self, failures: int) -> float:
        # The exponent is bounded, or a long outage makes it a number without end.
        return min(self.retry_seconds * 2.0 ** min(failures - 1, 16), _LONGEST_REST)


def _observed(record: Record, node: Node | None, now: float) -> Record:
    """Return what a record is in the light of the host's Node."""
    if record.state == JOINED and node is None:
        return Record(LEAVING, now, "its Node was deleted", until=now)
    if record.state == PREPARED and node is not None:
        return Record(JOINED, now, "its Node was there already")
    if record.state == FAILED and node is not None and node.ready:
        return Record(JOINED, now, "its Node came late")
    if record.state == FAILED and not record.dirty and record.rested(now):
        return Record(PREPARED, now, f"it may be tried again after: {record.reason}"[:_REASON], record.failures)
    return record
