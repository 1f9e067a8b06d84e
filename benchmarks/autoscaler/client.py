"""A client that plays cluster-autoscaler: its calls in its own order, each with its deadline, over mutual TLS."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / ".ansible" / "collections"))

# ruff: noqa: E402 (the path comes first)
import grpc
from ansible_collections.nodewise.cluster.plugins.module_utils.autoscaler.contract import MESSAGES, METHODS, PACKAGE, SERVICE
from ansible_collections.nodewise.cluster.plugins.module_utils.proto.table import message_classes, unary_calls

DEADLINE = 5.0
"""Seconds: the externalgrpc provider's default grpc_timeout."""
FAKE = "k8s.io/cluster-autoscaler/fake-node-reason"


@dataclass
class Autoscaler:
    """The client.

    Parameters
    ----------
    address : str
        HOST:PORT of the provider.
    credentials : grpc.ChannelCredentials
        Its certificate, and whom it trusts; None for plaintext.
    seconds : dict
        How long each call took, by method.
    """

    address: str
    credentials: Any
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.classes = message_classes(PACKAGE, MESSAGES)
        self.channel = grpc.secure_channel(self.address, self.credentials) if self.credentials else grpc.insecure_channel(self.address)
        self._calls = unary_calls(self.channel, SERVICE, METHODS, self.classes)

    def close(self) -> None:
        """Close the connection."""
        self.channel.close()

    def call(self, method: str, **fields: Any) -> Any:
        """Make one call and return its response; raises grpc.RpcError."""
        request = self.classes[METHODS[method][0]](**fields)
        begin = time.monotonic()
        try:
            return self._calls[method](request, timeout=DEADLINE)
        finally:
            self.seconds.setdefault(method, []).append(time.monotonic() - begin)

    def group_of(self, provider_id: str, name: str = "", fake: bool = False) -> str:
        """Return the group of a Node; empty if it has none."""
        node = {"providerID": provider_id, "name": provider_id if fake else name, "annotations": {FAKE: "unregistered"} if fake else {}}
        found: str = self.call("NodeGroupForNode", node=node).nodeGroup.id
        return found

    def target(self, group: str) -> int:
        """Return a group's target size."""
        size: int = self.call("NodeGroupTargetSize", id=group).targetSize
        return size

    def instances(self, group: str) -> dict[str, tuple[int, str]]:
        """Return {id: (state, error message)} of a group."""
        found = self.call("NodeGroupNodes", id=group).instances
        return {one.id: (one.status.instanceState, one.status.errorInfo.errorMessage) for one in found}

    def increase(self, group: str, delta: int) -> None:
        """Ask for more hosts."""
        self.call("NodeGroupIncreaseSize", id=group, delta=delta)

    def delete(self, group: str, *provider_ids: str) -> None:
        """Let hosts go."""
        nodes = [{"providerID": one, "name": one.rpartition("/")[2]} for one in provider_ids]
        self.call("NodeGroupDeleteNodes", id=group, nodes=nodes)

    def round(self, nodes: Iterable[tuple[str, str]]) -> dict[str, dict[str, tuple[int, str]]]:
        """Do what the autoscaler does each 10 s; return the instances of each group.

        As recorded of 1.36.1: the groups of all Nodes, Refresh, the groups, the groups of all Nodes again, template, target and instances of each
        group, and, twice more, of the Nodes and of the instances that are no Nodes yet.

        Parameters
        ----------
        nodes : iterable
            (provider id, name) of each registered Node.
        """
        registered = list(nodes)
        found = {}

        def ask() -> None:
            for provider_id, name in registered:
                self.group_of(provider_id, name)

        ask()
        self.call("Refresh")
        groups = [group.id for group in self.call("NodeGroups").nodeGroups]
        ask()
        for group in groups:
            self.call("NodeGroupTemplateNodeInfo", id=group)
            self.target(group)
            found[group] = self.instances(group)
        for _time in range(2):
            ask()
            known = {provider_id for provider_id, _name in registered}
            for group in groups:
                for provider_id in set(found[group]) - known:
                    self.group_of(provider_id, fake=True)
                self.group_of("", f"template-node-for-{group}-1-upcoming-0")
        for group in groups:
            self.target(group)
        return found


def refused(function: Callable[..., object], *args: Any, **fields: Any) -> str:
    """Return the name of the status with which a call is refused; empty if it is not."""
    try:
        function(*args, **fields)
    except grpc.RpcError as error:
        return str(error.code().name)
    return ""
