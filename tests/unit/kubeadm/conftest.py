# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host in a folder, a cluster in memory, and a kubeadm that only notes what it is asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.kubeadm.config import ClusterSettings, Document, NodeSettings
from ansible_collections.nodewise.cluster.plugins.module_utils.kubeadm.host import HostPaths

SOCKET = "unix:///run/containerd/containerd.sock"


def _node_settings(**changes: Any) -> NodeSettings:
    return NodeSettings(**{"node_name": "n1", "node_ip": "192.0.2.11", "cluster_name": "c", "cri_socket": SOCKET, **changes})


def _cluster_settings(**changes: Any) -> ClusterSettings:
    settings = {"kubernetes_version": "1.37.2", "endpoint": "192.0.2.11:6443", "pod_cidr": "10.244.0.0/16", "service_cidr": "10.96.0.0/12"}
    return ClusterSettings(**{**settings, **changes})


def _node_object(name: str, **fields: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "spec": {"providerID": fields.get("provider_id", f"nodewise://c/{name}"), "taints": fields.get("taints", [])},
        "status": {
            "conditions": [{"type": "Ready", "status": "True" if fields.get("ready", True) else "Unknown"}],
            "nodeInfo": {"machineID": fields.get("machine_id", f"machine-{name}")},
        },
    }


class FakeKubectl:
    """A cluster in a few dictionaries; it answers as Kubectl does."""

    def __init__(self) -> None:
        self.nodes: list[dict[str, Any]] = []
        self.cluster_configuration: dict[str, Any] = {}
        self.down = ""
        self.version = "v1.37.2"
        self.ran: list[tuple[list[str], str | None]] = []

    def get(self, *args: str) -> dict[str, Any] | None:
        if self.down:
            raise NodewiseError(self.down)
        if args == ("nodes",):
            return {"items": self.nodes}
        if args[0] == "node":
            return next((node for node in self.nodes if node["metadata"]["name"] == args[1]), None)
        if "kubeadm-config" in args:
            return {"data": {"ClusterConfiguration": json.dumps(self.cluster_configuration)}} if self.cluster_configuration else None
        raise AssertionError(f"unexpected: {args}")

    def run(self, args: list[str], stdin: str | None = None, **_options: Any) -> tuple[int, str, str]:
        if self.down:
            raise NodewiseError(self.down)
        self.ran.append((args, stdin))
        if args == ["get", "--raw", "/version"]:
            return 0, json.dumps({"gitVersion": self.version}), ""
        return 0, "ok", ""


class FakeKubeadm:
    """Records what it was asked for; C(effect) is what init or join does to the host."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.documents: list[Document] = []
        self.effect: Callable[[], None] = lambda: None
        self.refuses = ""
        self.there = True

    def under(self, _lock: int) -> FakeKubeadm:
        return self

    def installed(self) -> bool:
        return self.there

    def validate(self, documents: list[Document]) -> None:
        self.calls.append("validate")
        if self.refuses:
            raise NodewiseError(self.refuses)

    def init(self, documents: list[Document]) -> None:
        self.calls.append("init")
        self.documents = documents
        self.effect()

    def join(self, document: Document) -> None:
        self.calls.append("join")
        self.documents = [document]
        self.effect()

    def reset(self, _cri_socket: str) -> None:
        self.calls.append("reset")


@pytest.fixture
def node_settings() -> Callable[..., NodeSettings]:
    """Return a function that makes the settings of the node n1, with changes."""
    return _node_settings


@pytest.fixture
def cluster_settings() -> Callable[..., ClusterSettings]:
    """Return a function that makes the settings of a cluster, with changes."""
    return _cluster_settings


@pytest.fixture
def node_object() -> Callable[..., dict[str, Any]]:
    """Return a function that makes a Node as the API server has it."""
    return _node_object


@pytest.fixture
def paths(tmp_path: Path) -> HostPaths:
    root = tmp_path / "root"
    (root / "etc/kubernetes/manifests").mkdir(parents=True)
    (root / "etc/machine-id").write_text("machine-n1\n")
    return HostPaths(str(root))


@pytest.fixture
def put(paths: HostPaths) -> Callable[..., Path]:
    """Return a function that writes a file of the host."""

    def write(path: str, text: str = "x") -> Path:
        target = Path(paths.at(path))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target

    return write


@pytest.fixture
def lock_path(tmp_path: Path) -> str:
    return str(tmp_path / "lock")


@pytest.fixture
def kubectl() -> FakeKubectl:
    return FakeKubectl()


@pytest.fixture
def kubeadm() -> FakeKubeadm:
    return FakeKubeadm()
