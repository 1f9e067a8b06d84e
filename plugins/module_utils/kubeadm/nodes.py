# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The few things about a Node object on which joining, initialising and resetting depend."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..kube.kubectl import Kubectl


@dataclass(frozen=True)
class Node:
    """A Node as the API server knows it.

    Attributes
    ----------
    name : str
        Its name.
    ready : bool
        Whether its condition Ready is True.
    provider_id : str
        C(spec.providerID), empty if unset.
    machine_id : str
        C(status.nodeInfo.machineID): the host's /etc/machine-id as its kubelet last reported it.
    """

    name: str
    ready: bool
    provider_id: str
    machine_id: str

    @classmethod
    def from_object(cls, obj: Mapping[str, Any]) -> Node:
        """Read a Node object."""
        status = obj.get("status") or {}
        return cls(
            name=obj["metadata"]["name"],
            ready=any(item["type"] == "Ready" and item["status"] == "True" for item in status.get("conditions") or []),
            provider_id=(obj.get("spec") or {}).get("providerID") or "",
            machine_id=(status.get("nodeInfo") or {}).get("machineID") or "",
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the attributes for a module's result."""
        return asdict(self)


def list_nodes(kubectl: Kubectl) -> dict[str, Node]:
    """Return every Node of the cluster by name.

    Raises
    ------
    NodewiseError
        The API server does not answer, or refuses.
    """
    found = kubectl.get("nodes") or {}
    return {obj["metadata"]["name"]: Node.from_object(obj) for obj in found.get("items", [])}


def api_server_version(kubectl: Kubectl) -> str:
    """Return the version that the API server says it has, without the leading v.

    Raises
    ------
    NodewiseError
        The API server does not answer, or refuses.
    """
    _code, out, _err = kubectl.run(["get", "--raw", "/version"])
    return str(json.loads(out)["gitVersion"]).removeprefix("v")


def remove_node(kubectl: Kubectl, name: str, drain_timeout: int) -> None:
    """Delete a Node, after its pods were evicted.

    Parameters
    ----------
    kubectl : Kubectl
        With the administrator's rights.
    name : str
        The Node.
    drain_timeout : int
        Seconds the eviction may take; 0 evicts nothing.

    Raises
    ------
    NodewiseError
        The drain did not end in time; the Node is then still there, and unschedulable.
    """
    if drain_timeout:
        kubectl.run(
            ["drain", name, "--ignore-daemonsets", "--delete-emptydir-data", "--force", f"--timeout={drain_timeout}s"],
            timeout=drain_timeout + 60,
        )
    kubectl.run(["delete", "node", name, "--ignore-not-found"])
