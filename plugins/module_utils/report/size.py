# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How large a report is in etcd, and making one fit.

Thousands of nodes write one a minute, so each has to stay small whatever its node's names and troubles are. What people only read
goes first: the last of the top consumers, then the ends of the messages. Figures and conditions are never given up for size.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from . import schema
from .schema import MESSAGE_LENGTH, TOP

BUDGET = 2600
"""Bytes in etcd of a whole NodeReport: 2.6 KB. Only names of some hundred characters (node, mount points, runtime) can make it larger."""

# Characters by which messages are shortened at a time.
_STEP = 20


def fitted(node: str, uid: str, status: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a status of which as much is left out as it takes for the report to fit, and no more.

    Parameters
    ----------
    node, uid : str
        Name and UID of the Node: the report bears the name twice.
    status : Mapping
        With C(sequence).
    """
    smaller = status
    for smaller in _smaller(status):
        if stored_size(node, uid, smaller) <= BUDGET:
            break
    return smaller


def stored_size(node: str, uid: str, status: Mapping[str, Any]) -> int:
    """Return the bytes of a report in etcd: the API server stores compact JSON and a newline, and of the metadata what is here."""
    text = json.dumps(
        {
            "apiVersion": schema.API_VERSION,
            "kind": schema.KIND,
            "metadata": {
                "creationTimestamp": "2026-11-25T12:00:00Z",
                "generation": 1,
                "name": node,
                "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": node, "uid": uid}],
                # Its own, which is as long.
                "uid": uid,
            },
            "status": status,
        },
        separators=(",", ":"),
    )
    # Go writes these as six characters each; it writes letters beyond ASCII shorter than Python does.
    return len(text) + 5 * sum(text.count(character) for character in "<>&") + 1


def _smaller(status: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Return the status, and then one that is smaller than the one before until nothing is left that may go."""
    yield status
    top = status.get("top") or {}
    for count in range(TOP - 1, 0, -1):
        yield {**status, "top": {kind: consumers[:count] for kind, consumers in top.items()}}
    # Not an empty list, which would say that nobody consumes anything.
    status = {name: value for name, value in status.items() if name != "top"}
    yield status
    for length in range(MESSAGE_LENGTH - _STEP, -1, -_STEP):
        yield {**status, "conditions": [_shortened(condition, length) for condition in status["conditions"]]}


def _shortened(condition: Mapping[str, str], length: int) -> dict[str, str]:
    return {name: value[:length] if name == "message" else value for name, value in condition.items() if length or name != "message"}
