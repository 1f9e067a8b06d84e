# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster's Nodes by provider id, and the end of one."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from ..api.pool import ClientPool
from ..api.store import Store
from ..errors import NodewiseError
from .decide import Node

NODES = "/api/v1/nodes"


def node_of(item: Mapping[str, Any]) -> Node:
    """Return what is kept of a Node object."""
    metadata, conditions = item["metadata"], (item.get("status") or {}).get("conditions") or ()
    return Node(
        metadata["name"],
        metadata["uid"],
        metadata["resourceVersion"],
        (item.get("spec") or {}).get("providerID", ""),
        any(one["type"] == "Ready" and one["status"] == "True" for one in conditions),
    )


class Nodes:
    """The Nodes as they are; those that this provider has deleted are gone at once, whatever a watch that lags behind still says."""

    def __init__(self) -> None:
        self.store: Store[Node] = Store()
        self._lock = threading.Lock()
        self._deleted: set[str] = set()

    @property
    def complete(self) -> bool:
        """Whether all of them are known, up to date."""
        return self.store.since is not None

    def by_provider_id(self) -> dict[str, Node]:
        """Return {provider id: Node}; Nodes without one are left out."""
        with self._lock:
            nodes = self.store.all()
            self._deleted &= {node.uid for node in nodes.values()}
            return {node.provider_id: node for node in nodes.values() if node.provider_id and node.uid not in self._deleted}

    def named(self, name: str) -> Node | None:
        """Return the Node of a name; None if there is none."""
        with self._lock:
            node = self.store.all().get(name)
            return None if node is None or node.uid in self._deleted else node

    def delete(self, client: ClientPool, name: str, provider_id: str, only_unready: bool = False) -> None:
        """Delete the Node of this name if it has this provider id; one that is gone already is fine.

        Parameters
        ----------
        client : ClientPool
            Connections.
        name, provider_id : str
            The Node.
        only_unready : bool
            Leave it if it is Ready.

        Raises
        ------
        NodewiseError
            The API server does not answer or refuses it.
        """
        answer = client.get(f"{NODES}/{name}")
        if answer.status == 404:
            return
        if not answer.ok:
            raise NodewiseError(f"the Node {name} cannot be read: {answer.status} {answer.message}")
        node = node_of(answer.value())
        if node.provider_id != provider_id or (only_unready and node.ready):
            return
        preconditions = {"uid": node.uid, **({"resourceVersion": node.version} if only_unready else {})}
        answer = client.request("DELETE", f"{NODES}/{name}", {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": preconditions})
        # 409: it is another one by now, or has changed.
        if answer.status == 409:
            return
        if not answer.ok and answer.status != 404:
            raise NodewiseError(f"the Node {name} cannot be deleted: {answer.status} {answer.message}")
        with self._lock:
            self._deleted.add(node.uid)
