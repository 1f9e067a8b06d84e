# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the guard has in the cluster: its objects removed, together with every taint and condition of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..errors import NodewiseError
from ..kube.kubectl import Kubectl
from ..kube.objects import remove_objects
from ..report.manifests import NAMESPACE
from .manifests import NAME, cluster_objects
from .model import CONDITION_TYPE, TAINT_KEY
from .requests import condition_removal

# Names in one call of kubectl.
_BATCH = 100
_ATTEMPTS = 5
_COLUMNS = (
    '{range .items[*]}{.metadata.name}{"\\t"}{range .spec.taints[*]}{.key},{end}{"\\t"}'
    '{range .status.conditions[?(@.type=="' + CONDITION_TYPE + '")]}{.status}{end}{"\\n"}{end}'
)


@dataclass(frozen=True)
class Marks:
    """What the guard has left on a Node.

    Parameters
    ----------
    node : str
        The Node's name.
    taint : int or None
        Position of our taint in C(spec.taints).
    condition : bool
        Whether there is our condition.
    """

    node: str
    taint: int | None
    condition: bool


def ensure_absent(kubectl: Kubectl, check_mode: bool) -> list[str]:
    """Remove our taints, conditions and objects; return what was there. No guard may run any more.

    Raises
    ------
    NodewiseError
        The API server cannot be reached, or something does not go.
    """
    marked = list(read_marks(kubectl))
    removed = [f"taint and condition of {one.node}" if one.taint is not None else f"condition of {one.node}" for one in marked]
    if not check_mode:
        for _attempt in range(_ATTEMPTS):
            if not marked:
                break
            remove_marks(kubectl, marked)
            marked = list(read_marks(kubectl))
        if marked:
            raise NodewiseError(f"Taints or conditions of the guard do not go from {', '.join(one.node for one in marked[:5])}.", "does a guard still run?")
    lease = {"kind": "Lease", "metadata": {"name": NAME, "namespace": NAMESPACE}}
    return removed + remove_objects(kubectl, [*cluster_objects(), lease], check_mode)


def read_marks(kubectl: Kubectl) -> Iterator[Marks]:
    """Return the Nodes that bear a taint or a condition of ours."""
    _code, out, _err = kubectl.run(["get", "nodes", f"--output=jsonpath={_COLUMNS}"])
    for line in out.splitlines():
        node, keys, condition = line.split("\t")
        taints = keys.split(",")
        taint = taints.index(TAINT_KEY) if TAINT_KEY in taints else None
        if taint is not None or condition:
            yield Marks(node, taint, bool(condition))


def remove_marks(kubectl: Kubectl, marked: Sequence[Marks]) -> None:
    """Remove them, those of many Nodes with one call. A Node that has changed meanwhile, or is gone, is passed over."""
    for position in sorted({one.taint for one in marked if one.taint is not None}):
        # The test makes sure that the position is still that of our taint.
        patch = [{"op": "test", "path": f"/spec/taints/{position}/key", "value": TAINT_KEY}, {"op": "remove", "path": f"/spec/taints/{position}"}]
        _patch(kubectl, [one.node for one in marked if one.taint == position], "json", patch)
    _patch(kubectl, [one.node for one in marked if one.condition], "strategic", condition_removal(), "--subresource=status")


def _patch(kubectl: Kubectl, nodes: Sequence[str], kind: str, patch: object, *more: str) -> None:
    for start in range(0, len(nodes), _BATCH):
        kubectl.run(["patch", "node", *nodes[start : start + _BATCH], f"--type={kind}", f"--patch={json.dumps(patch)}", *more], ok=(0, 1))
