# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of the hosts' changes: Events on their Nodes, and lines in the log."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass

from .decide import FAILED, JOINED, JOINING, LEAVING, PREPARED, Record, Records

_TOLD = {
    JOINING: ("HostJoining", "Join"),
    JOINED: ("HostJoined", "Join"),
    LEAVING: ("HostLeaving", "Leave"),
    PREPARED: ("HostPrepared", "Leave"),
    FAILED: ("HostFailed", "Join"),
}
_NEW = Record()


@dataclass(frozen=True)
class Change:
    """A change of one host.

    Parameters
    ----------
    host : str
        Its name.
    reason, action : str
        Of the Event.
    warning : bool
        Whether somebody should look at it.
    note : str
        For people.
    """

    host: str
    reason: str
    action: str
    warning: bool
    note: str


def changes(before: Records, after: Records, inventory: Container[str]) -> Iterator[Change]:
    """Return what is told of a change of records, host by host.

    Parameters
    ----------
    before, after : Records
        The records.
    inventory : Container
        The hosts of all groups.
    """
    for name in sorted({*before, *after}):
        old, new = before.get(name, _NEW), after.get(name, _NEW)
        if name not in inventory:
            yield Change(name, "HostForgotten", "Forget", old.state != PREPARED, f"it is not in the inventory any more; it was {old.state}, and stays as it is")
        elif new.state != old.state:
            reason, action = _TOLD[new.state]
            yield Change(name, reason, action, new.state == FAILED, new.reason or "it is prepared")
        elif new.failures > old.failures:
            yield Change(name, "HostLeaveFailed", "Leave", True, new.reason)
