# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A healthy cluster as it was really read, for tests to break."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.api import Reading
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.checks import Expected, HostReport
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.host import host_checks
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.reading import ClusterReading

FIXTURES = Path(__file__).parent / "fixtures"
NODES = ("cp1", "w1", "w2")
PAUSE = "registry.k8s.io/pause:3.10.2"


@pytest.fixture
def reading() -> ClusterReading:
    data = json.loads((FIXTURES / "cluster.json").read_text())
    return ClusterReading(
        {name: Reading(value, "", 200) for name, value in data["api"].items()},
        {name: Reading(value) for name, value in data["configz"].items()},
        {name: Reading(value) for name, value in data["dns"].items()},
        Reading(data["sandbox_image"]),
        data["now"],
    )


def host_reading(node: str, **changed: Reading) -> dict[str, Reading]:
    """Return what a healthy host says, with some of it changed."""
    return {
        "version": Reading({"name": "containerd", "version": "2.4.2"}),
        "info": Reading({"RuntimeReady": {"status": True, "message": ""}, "NetworkReady": {"status": True, "message": ""}}),
        "cgroup_driver": Reading("systemd"),
        "images": Reading(["docker.io/calico/node:v3.28.5", PAUSE]),
        "sandbox_image": Reading(PAUSE),
        "kubelet_config": Reading({"cgroupDriver": "systemd", "clusterDNS": ["10.96.0.10"], "clusterDomain": "cluster.local"}),
        "healthz": Reading("ok"),
        "cni": Reading(["10-calico.conflist"]),
        "conflist": Reading((FIXTURES / "10-calico.conflist").read_text().replace("w1", node)),
        "cni_kubeconfig": Reading(int(time.time()) + 86400),
        "dns": Reading({"server": "10.96.0.10", "addresses": ["10.96.0.1"], "milliseconds": 1}),
        **changed,
    }


def host_report(node: str, **changed: Reading) -> HostReport:
    read = host_reading(node, **changed)
    return HostReport(read, tuple(host_checks(node, read, time.time())))


@pytest.fixture
def hosts() -> dict[str, HostReport]:
    return {node: host_report(node) for node in NODES}


@pytest.fixture
def wanted() -> Expected:
    return Expected("nodewise", "1.37.2", "2.4.2", "3.28.5", "10.244.0.0/16", "systemd", NODES, True)


@pytest.fixture
def host() -> Callable[..., dict[str, Reading]]:
    """Return what makes a host's reading: its node, and what differs from a healthy one."""
    return host_reading


@pytest.fixture
def report() -> Callable[..., HostReport]:
    """Return what makes a host's report."""
    return host_report


@pytest.fixture
def named(reading: ClusterReading) -> Callable[[str, str], dict[str, Any]]:
    """Return what finds one object of the reading itself, to be changed, by the beginning of its name."""

    def find(kind: str, name: str) -> dict[str, Any]:
        item: dict[str, Any]
        for item in reading.api[kind].value["items"]:
            if item["metadata"]["name"].startswith(name):
                return item
        raise KeyError(name)

    return find
