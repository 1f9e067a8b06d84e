"""The collection's own code, and a status as a node with 110 pods has it."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / ".ansible" / "collections"), str(ROOT / "benchmarks" / "common")]

# ruff: noqa: E402 (the path comes first)
from ansible_collections.nodewise.cluster.plugins.module_utils.api.client import ApiClient
from ansible_collections.nodewise.cluster.plugins.module_utils.api.times import format_time
from ansible_collections.nodewise.cluster.plugins.module_utils.cri.model import Container, ContainerKey, Counter, RuntimeReading, RuntimeStatus
from ansible_collections.nodewise.cluster.plugins.module_utils.node.model import HOST, CpuCounter, Filesystem, HostReading, Memory, Pressure
from ansible_collections.nodewise.cluster.plugins.module_utils.report.build import Allocatable, Observer
from ansible_collections.nodewise.cluster.plugins.module_utils.report.manifests import cluster_objects
from ansible_collections.nodewise.cluster.plugins.module_utils.report.publisher import Publisher
from ansible_collections.nodewise.cluster.plugins.module_utils.report.schema import PATH as REPORTS
from ansible_collections.nodewise.cluster.plugins.module_utils.report.settings import Settings
from cluster import apply as apply_objects
from control_plane import wait_until

__all__ = ["ROOT", "ApiClient", "Publisher", "Settings", "apply", "create_node", "format_time", "status"]

PODS = 110
GIB = 2**30


def status(minutes: int = 6) -> dict[str, Any]:
    """Return the status after some minutes of samples: nothing of it is unknown."""
    observer = Observer(Settings(), "0.2.0")
    begin, start = 1000.0, time.time() - minutes * 60
    result: dict[str, Any] = {}
    for step in range(minutes * 6 + 1):
        second = begin + 10 * step
        wall = start + 10 * step
        result = observer.observe(host(second, wall, step), runtime(wall, step), Allocatable(31_850, 128 * GIB), second, wall)
    return {**result, "sequence": 1}


def host(monotonic: float, wall: float, step: int) -> HostReading:
    """Return what a busy host with two filesystems says."""
    return HostReading(
        HOST,
        "v2",
        boot_id="0f2d3c64-93a5-4dc1-9d0b-5c3a9f2f7c11",
        cpu=CpuCounter(int(wall * 1e9), int(monotonic * 1e9), int((12 * step + step % 3) * 10e9)),
        cpus=32.0,
        memory=Memory(130 * GIB, 71 * GIB + step * 2**20, 69 * GIB, 8 * GIB, 3 * 2**20),
        load1=14.25,
        pressure=Pressure(12.3, 0.4, 3.1),
        filesystems=(
            Filesystem(("node",), "/var/lib/kubelet", 1, 500 * GIB, 211 * GIB + step, 264 * GIB, 32_768_000, 1_234_567),
            Filesystem(("image", "container"), "/var/lib/containerd", 2, 900 * GIB, 511 * GIB + step, 389 * GIB, 58_982_400, 2_345_678),
        ),
    )


def runtime(wall: float, step: int) -> RuntimeReading:
    """Return what a runtime with 110 pods says."""
    containers = tuple(
        Container(
            ContainerKey(f"{number:064x}", 0, 1),
            "shop-production",
            f"checkout-service-{number:03}-7d9f8c6b5d-x2x4z",
            "application",
            "running",
            Counter(int(wall * 1e9), int(step * 10e6 * number)),
            number * 40 * 2**20,
        )
        for number in range(PODS)
    )
    return RuntimeReading(RuntimeStatus("containerd", "v2.4.2", "systemd", True, True), containers, PODS, 1)


def apply(admin: ApiClient) -> None:
    """Create the cluster's objects and wait until reports can be written."""
    apply_objects(admin, cluster_objects())
    wait_until(lambda: admin.get(REPORTS).ok, "NodeReports are served")
    # Roles, policies and flow schemas reach the request's path within a second or two.
    time.sleep(3)


def create_node(admin: ApiClient, name: str) -> str:
    """Create a Node with allocatable as a kubelet registers it, and return its UID."""
    amounts = {"cpu": "32", "memory": "134217728Ki", "pods": "110", "ephemeral-storage": "488Gi"}
    body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": {"capacity": amounts, "allocatable": amounts}}
    answer = admin.request("POST", "/api/v1/nodes", body)
    if not answer.ok:
        sys.exit(f"Node {name}: {answer.status} {answer.message}")
    return str(answer.value()["metadata"]["uid"])
