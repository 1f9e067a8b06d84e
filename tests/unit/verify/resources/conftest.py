# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A healthy node as both ends tell of it, for tests to break."""

from __future__ import annotations

import copy
import datetime
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.cri.model import Container, ContainerKey, Counter, RuntimeReading, RuntimeStatus
from ansible_collections.nodewise.cluster.plugins.module_utils.node.model import CpuCounter, Filesystem, HostReading, Memory
from ansible_collections.nodewise.cluster.plugins.module_utils.report.manifests import OWN_NAME_ONLY
from ansible_collections.nodewise.cluster.plugins.module_utils.report.schema import CONDITIONS
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.api import Reading
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.resources.reading import Attempt, Clock, Look, NodeReading

NOW = datetime.datetime(2026, 11, 25, 17, 0, 0, tzinfo=datetime.UTC).timestamp()
MIB = 1 << 20
BOOT = "11111111-2222-3333-4444-555555555555"
NAMES = (("kube-system", "calico-node-x", "calico-node"), ("kube-system", "kube-proxy-x", "kube-proxy"), ("default", "web", "web"))


def stamp(seconds: float) -> str:
    """Return a moment, in seconds from NOW, as the API writes it."""
    return datetime.datetime.fromtimestamp(NOW + seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def refusal(name: str, words: str = OWN_NAME_ONLY, policy: str = "nodewise-reporter") -> str:
    """Return what the API server says for an admission policy that refuses a NodeReport."""
    return f"nodereports.nodewise.dev \"{name}\" is forbidden: ValidatingAdmissionPolicy '{policy}' with binding '{policy}' denied request: {words}"


def node() -> dict[str, Any]:
    conditions = [
        {"type": kind, "status": "False", "lastTransitionTime": stamp(-3600), "message": ""} for kind in ("MemoryPressure", "DiskPressure", "PIDPressure")
    ]
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": stamp(-3600), "message": "kubelet is posting ready status"}
    return {
        "metadata": {"name": "w1"},
        "spec": {},
        "status": {
            "capacity": {"cpu": "2", "memory": "8388608Ki", "ephemeral-storage": "20971520Ki", "hugepages-2Mi": "0", "pods": "110"},
            "allocatable": {"cpu": "2", "memory": str(8 * 1024 * MIB - 100 * MIB), "ephemeral-storage": "19327352800", "hugepages-2Mi": "0", "pods": "110"},
            "conditions": [*conditions, ready],
            "nodeInfo": {"machineID": "abc", "systemUUID": "DEF", "bootID": BOOT, "kubeletVersion": "v1.37.2"},
        },
    }


def summary(seconds: float) -> dict[str, Any]:
    """Return a Summary that was made some seconds from NOW: the node uses half a core, each container a tenth."""
    return {
        "node": {
            "cpu": {"time": stamp(seconds), "usageCoreNanoSeconds": int((7000 + seconds * 0.5) * 1e9)},
            "memory": {"workingSetBytes": 1000 * MIB, "availableBytes": 7192 * MIB},
            "rlimit": {"time": stamp(seconds), "maxpid": 32768, "curproc": 700},
            "fs": {"capacityBytes": 20480 * MIB, "availableBytes": 15000 * MIB, "inodes": 1000, "inodesFree": 900},
            "runtime": {"imageFs": {"capacityBytes": 10240 * MIB, "availableBytes": 8000 * MIB, "inodes": 1000, "inodesFree": 900}},
        },
        "pods": [
            {
                "podRef": {"namespace": namespace, "name": pod},
                "containers": [
                    {
                        "name": name,
                        "cpu": {"time": stamp(seconds - 7), "usageCoreNanoSeconds": int((100 + (seconds - 7) * 0.1) * 1e9)},
                        "memory": {"workingSetBytes": 100 * MIB},
                    }
                ],
            }
            for namespace, pod, name in NAMES
        ],
    }


def runtime(seconds: float) -> RuntimeReading:
    containers = tuple(
        Container(
            ContainerKey(f"id-{name}", 0, int((NOW - 1000) * 1e9)),
            namespace,
            pod,
            name,
            "running",
            Counter(int((NOW + seconds) * 1e9), int((100 + seconds * 0.1) * 1e9)),
            100 * MIB,
        )
        for namespace, pod, name in NAMES
    )
    ended = Container(ContainerKey("id-old", 0, 1), "kube-system", "calico-node-x", "install-cni", "exited")
    return RuntimeReading(RuntimeStatus("containerd", "2.4.2", "systemd", True, True), (*containers, ended), 3, 0)


def host(seconds: float) -> HostReading:
    return HostReading(
        "host",
        "v2",
        BOOT,
        CpuCounter(int((NOW + seconds) * 1e9), int((900 + seconds) * 1e9), int((7000 + seconds * 0.5) * 1e9)),
        2.0,
        Memory(8192 * MIB, 900 * MIB, 1000 * MIB, 0, 0),
        filesystems=(
            Filesystem(("node",), "/var/lib/kubelet", 1, 20480 * MIB, 5480 * MIB, 15000 * MIB),
            Filesystem(("image",), "/var/lib/containerd", 2, 10240 * MIB, 2240 * MIB, 8000 * MIB),
        ),
    )


def of_filesystem(capacity: int, used: int) -> dict[str, int]:
    return {"capacityBytes": capacity * MIB, "usedBytes": used * MIB, "availableBytes": (capacity - used) * MIB}


def report() -> dict[str, Any]:
    return {
        "status": {
            "observedAt": stamp(-20),
            "expiresAt": stamp(160),
            "sequence": 7,
            "bootID": BOOT,
            "configDigest": "0123abcd",
            "cpuMillicores": {"allocatable": 2000, "now": 480, "avg1m": 510},
            "memoryBytes": {"allocatable": 8092 * MIB, "now": 900 * MIB, "workingSet": 990 * MIB},
            "percent": {"cpu": 24, "memory": 11, "disk": 27},
            "filesystems": [
                {"roles": ["node"], "mountpoint": "/var/lib/kubelet", **of_filesystem(20480, 5480)},
                {"roles": ["image"], "mountpoint": "/var/lib/containerd", **of_filesystem(10240, 2240)},
            ],
            "pods": {"ready": 3, "notReady": 0},
            "containers": {"created": 0, "running": 3, "exited": 1, "unknown": 0},
            "conditions": [{"type": name, "status": "False", "lastTransitionTime": stamp(-3600)} for name in CONDITIONS],
            "pressure": "none",
        }
    }


def make_look(seconds: float = 0, **changed: Any) -> Look:
    look = Look(
        NOW + seconds,
        900 + seconds,
        host(seconds),
        runtime(seconds),
        "",
        CpuCounter(int((NOW + seconds) * 1e9), int((900 + seconds) * 1e9), int((300 + seconds * 0.3) * 1e9)),
        0,
        Reading(node(), "", 200),
        Reading({"spec": {"renewTime": stamp(-5)}}, "", 200),
        Reading(report(), "", 200),
        Reading(summary(seconds), "", 200),
        Reading({"timestamp": stamp(seconds - 20), "window": "15s", "usage": {"cpu": "500m", "memory": f"{1000 * MIB // 1024}Ki"}}, "", 200),
        Reading({"status": {"conditions": [{"type": "Available", "status": "True"}]}}, "", 200),
    )
    return replace(look, **changed)


of_images = {"imagefs.available": "15%", "imagefs.inodesFree": "5%"}


def make_reading(*looks: Look, **changed: Any) -> NodeReading:
    reading = NodeReading(
        "w1",
        looks or (make_look(),),
        Reading("system:node:w1", "", 201),
        Reading("abc"),
        Reading("def"),
        Reading(Clock(0.2, 0.004)),
        Reading(
            {
                "cgroupDriver": "systemd",
                "serverTLSBootstrap": True,
                "evictionHard": {"memory.available": "100Mi", "nodefs.available": "10%", "nodefs.inodesFree": "5%", **of_images},
            }
        ),
        Reading({"cgroupDriver": "systemd"}),
        Reading([]),
        Reading("systemd"),
        Reading(NOW + 300 * 86400),
        Reading("active"),
        Reading(500.0),
        Reading("0123abcd"),
        Reading(Attempt(422, refusal("w1-of-another-node"))),
        Reading(Attempt(422, refusal("w2"))),
    )
    return replace(reading, **changed)


@pytest.fixture
def look() -> Callable[..., Look]:
    """Return what makes a look: seconds from NOW, and what differs from a healthy one."""
    return make_look


@pytest.fixture
def made() -> Callable[..., NodeReading]:
    """Return what makes a reading: its looks, and what differs from a healthy one."""
    return make_reading


@pytest.fixture
def plain() -> Callable[[str], Any]:
    """Return what makes the plain parts of a healthy reading, to be changed: node, summary, report."""
    return lambda what: copy.deepcopy({"node": node(), "summary": summary(0), "report": report()}[what])
