# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Groups of standby hosts, and a cluster in which what is decided comes true."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.autoscaler.decide import Decider, Node, Record, Records
from ansible_collections.nodewise.cluster.plugins.module_utils.autoscaler.settings import Config, make_config

NOW = 1_800_000_000.0
AMOUNTS = {"cpu": "2", "memory": "2048000Ki", "ephemeral-storage": "20Gi", "pods": "110"}


def pid(name: str) -> str:
    return f"nodewise://lab/{name}"


def host_values(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "address": f"10.0.0.{number}",
        "provider_id": pid(f"s{number}"),
        "arch": "amd64",
        "capacity": AMOUNTS,
        "allocatable": AMOUNTS,
        **changes,
    }


def group_values(*numbers: int, **changes: Any) -> dict[str, Any]:
    return {"min": 0, "max": len(numbers), "hosts": {f"s{number}": host_values(number) for number in numbers}, **changes}


def config_values(**changes: Any) -> dict[str, Any]:
    return {
        "listen": "10.0.0.1:8086",
        "tls": {"ca": "/tls/ca.crt", "certificate": "/tls/server.crt", "key": "/tls/server.key"},
        "kubeconfig": "/etc/nodewise/autoscaler.conf",
        "identity": "cp1",
        "control_plane_endpoint": "cp1:6443",
        "ssh": {"key": "/ssh/key", "known_hosts": "/ssh/known_hosts"},
        "groups": {"a": group_values(1, 2, 3), "b": group_values(4)},
        **changes,
    }


def make(**changes: Any) -> Config:
    return make_config(config_values(**changes))


def token_ids() -> Iterator[str]:
    number = 0
    while True:
        number += 1
        yield f"{number:06d}"


def decider(**changes: Any) -> Decider:
    ids = token_ids()
    return Decider(make(groups={"a": group_values(1, 2, 3, **changes), "b": group_values(4)}).groups, 60.0, lambda: next(ids))


class Cluster:
    """Records, Nodes and time; each method is a thing that happens."""

    def __init__(self, **changes: Any) -> None:
        self.decider = decider(**changes)
        self.records: Records = {}
        self.nodes: dict[str, Node] = {}
        self.now = NOW

    def increase(self, delta: int, group: str = "a") -> None:
        self.records = self.decider.increase(self.records, group, delta, self.now)

    def delete(self, *names: str, group: str = "a") -> None:
        self.records = self.decider.delete(self.records, group, [pid(name) for name in names], self.now)

    def decrease(self, delta: int, group: str = "a") -> None:
        self.records = self.decider.decrease(self.records, self.nodes, group, delta, self.now)

    def observe(self, *busy: str) -> None:
        self.records = self.decider.observe(self.records, self.nodes, busy, self.now)

    def register(self, name: str, ready: bool = True) -> None:
        self.nodes[pid(name)] = Node(name, f"uid-{name}", "1", pid(name), ready)

    def join(self, *names: str) -> None:
        for name in names:
            self.register(name)
            self.records = self.decider.joined(self.records, name, self.now)

    def fail(self, name: str, reason: str = "it is broken") -> None:
        self.records = self.decider.join_failed(self.records, name, reason, self.now)

    def leave(self, name: str) -> None:
        self.nodes.pop(pid(name), None)
        self.records = self.decider.left(self.records, name, self.now)

    def stay(self, name: str, reason: str = "it hangs") -> None:
        self.records = self.decider.leave_failed(self.records, name, reason, self.now)

    def states(self) -> dict[str, str]:
        return {name: record.state for name, record in self.records.items()}

    def target(self, group: str = "a") -> int:
        return self.decider.target(self.records, group)

    def instances(self, group: str = "a") -> dict[str, tuple[str, str]]:
        return {one.provider_id.rpartition("/")[2]: (one.state, one.error) for one in self.decider.instances(self.records, group)}

    def due(self) -> dict[str, str]:
        return self.decider.due(self.records, self.now)

    def record(self, name: str) -> Record:
        return self.records[name]


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()
