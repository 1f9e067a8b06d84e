# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The labels and taints of all Nodes, compared and set with one read and one write."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ..errors import NodewiseError
from ..kube.kubectl import FIELD_MANAGER, OUTDATED, Kubectl, as_list
from .plan import Change, Node, conflicts, make_change
from .rules import Marks

_ATTEMPTS = 6


@dataclass(frozen=True)
class Plan:
    """What has to be done to the Nodes.

    Attributes
    ----------
    changes : list of Change
        One for each Node that differs.
    missing : list of str
        Nodes that must be there and are not.
    """

    changes: list[Change] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def actions(self) -> list[str]:
        """Return what is done, a short phrase each."""
        return [action for change in self.changes for action in change.actions()]

    def diff(self) -> list[dict[str, str]]:
        """Return the changes in Ansible's form of a diff."""
        return [change.diff() for change in self.changes if change.set or change.remove]


def read_nodes(kubectl: Kubectl) -> dict[str, Node]:
    """Return every Node by name.

    Raises
    ------
    NodewiseError
        The API server does not answer, or refuses.
    """
    return {item["metadata"]["name"]: item for item in (kubectl.get("nodes") or {"items": []})["items"]}


def make_plan(nodes: Mapping[str, Node], wanted: Mapping[str, Marks], required: Iterable[str], predict: bool = False) -> Plan:
    """Compare all Nodes with what they shall have; those that nothing is wanted of may still bear what was set before.

    Parameters
    ----------
    required : iterable of str
        Nodes that must be there if anything is wanted of them.
    predict : bool
        Take those that are not for new Nodes, as they will be once they have joined.

    Raises
    ------
    NodewiseError
        A label or taint that is wanted is somebody else's, or our note on a Node is unreadable.
    """
    missing = sorted({name for name in required if wanted.get(name) and name not in nodes})
    known = {**nodes, **({name: {"metadata": {"name": name}} for name in missing} if predict else {})}
    found = [problem for name, node in known.items() for problem in conflicts(name, node, wanted.get(name, Marks()))]
    if found:
        raise NodewiseError(f"Nothing was changed, for labels and taints of others are in the way: {' '.join(found)}")
    changes = [make_change(name, node, wanted.get(name, Marks())) for name, node in known.items()]
    return Plan([change for change in changes if change], missing)


def carry_out(kubectl: Kubectl, plan: Plan, wanted: Mapping[str, Marks]) -> None:
    """Write the Nodes that differ, in one call. Where somebody else wrote a Node in between, it is read and compared again.

    Raises
    ------
    NodewiseError
        The API server refuses, or Nodes are written by others all the time.
    """
    changes = plan.changes
    for attempt in range(1, _ATTEMPTS + 1):
        if not changes:
            return
        try:
            kubectl.run(["replace", f"--field-manager={FIELD_MANAGER}", "-f", "-"], stdin=as_list(change.node for change in changes))
            return
        except NodewiseError as error:
            if OUTDATED not in error.message or attempt == _ATTEMPTS:
                raise
        changes = make_plan(read_nodes(kubectl), wanted, ()).changes
