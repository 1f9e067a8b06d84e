# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An API server of made-up lists, that pages, forgets its snapshots and refuses as a real one does."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.api.client import Answer

NOW = datetime(2026, 11, 25, 17, 40, tzinfo=UTC).timestamp()
"""The API server's clock; the host's own is 100 s ahead of it."""

AHEAD = 100.0


class Api:
    """Serves lists by path; an Answer in the place of a list is given as it is, a dict is an object."""

    def __init__(self, lists: Mapping[str, Sequence[Any] | dict[str, Any] | Answer]) -> None:
        self.lists: dict[str, Any] = {"/version": {}, **lists}
        self.seen: list[tuple[str, str]] = []
        self.expire_at: set[str] = set()
        """Tokens whose snapshot is gone: each is refused once."""

    def get(self, path: str, accept: str = "application/json") -> Answer:
        self.seen.append((path, accept))
        base, _mark, query = path.partition("?")
        options = dict(urllib.parse.parse_qsl(query))
        found = self.lists.get(base, refused(404))
        if isinstance(found, Answer):
            return found
        if isinstance(found, dict):
            return answer(200, found)
        token = options.get("continue", "0")
        if token in self.expire_at:
            self.expire_at.remove(token)
            # With the token of the newest state, as the API server does.
            return answer(410, {"kind": "Status", "message": "too old", "metadata": {"continue": f"{token}.new"}})
        first = int(token.removesuffix(".new"))
        last = first + int(options["limit"])
        return answer(200, {"metadata": {"continue": str(last)} if last < len(found) else {}, "items": found[first:last]})


def answer(status: int, body: Any, retry_after: float | None = None) -> Answer:
    # Date has whole seconds and is meant to be in their middle.
    return Answer(status, json.dumps(body).encode(), "application/json", 0.0, NOW - 0.5, NOW + AHEAD, retry_after)


def refused(status: int, message: str = "no") -> Answer:
    return answer(status, {"kind": "Status", "message": message})


@pytest.fixture
def lists() -> dict[str, Any]:
    """Return a cluster of three nodes and three namespaces."""
    allocatable = {"cpu": "2", "memory": "4Gi", "ephemeral-storage": "10Gi", "pods": "110"}
    return {
        "/api/v1/nodes": [node("w1", allocatable), node("w2", allocatable, ready="Unknown", unschedulable=True), node("w3", allocatable, ready="False")],
        "/api/v1/pods": [
            pod("shop", "a", "w1", {"cpu": "500m", "memory": "1Gi"}, {"memory": "2Gi"}),
            pod("shop", "b", "w2", {"cpu": "1", "memory": "512Mi"}),
            pod("shop", "ended", "w1", {"cpu": "1"}, phase="Succeeded"),
            pod("shop", "waiting", "", {"cpu": "250m"}, phase="Pending"),
            pod("kube-system", "c", "w1", {"cpu": "100m"}),
        ],
        "/api/v1/namespaces": [named(name) for name in ("shop", "kube-system", "empty")],
        "/api/v1/services": [service("shop", "ClusterIP"), service("shop", "LoadBalancer"), service("kube-system", "NodePort")],
        "/api/v1/secrets": [named("s1", "shop"), named("s2", "shop")],
        "/api/v1/persistentvolumeclaims": [named("v", "shop")],
        "/api/v1/replicationcontrollers": [],
        "/apis/apps/v1/deployments": [named("d", "kube-system")],
        "/api/v1/resourcequotas": [
            {
                "metadata": {"name": "team", "namespace": "shop"},
                "spec": {"hard": {"requests.cpu": "4", "pods": "10"}},
                "status": {"hard": {"requests.cpu": "2", "pods": "0"}, "used": {"requests.cpu": "1500m", "pods": "0"}},
            },
            {"metadata": {"name": "new", "namespace": "shop"}, "spec": {"hard": {"secrets": "5"}}},
        ],
        "/apis/nodewise.dev/v1alpha1/nodereports": [report("w1", 10, 600, 2**30), report("w2", 190, 700, 2**30)],
        "/apis/metrics.k8s.io/v1beta1/nodes": [metrics("w1", 20, "1", "1Gi"), metrics("w2", 30, "1500000000n", "2Gi")],
    }


def named(name: str, namespace: str = "") -> dict[str, Any]:
    return {"metadata": {"name": name, **({"namespace": namespace} if namespace else {})}}


def node(name: str, allocatable: Mapping[str, str], ready: str = "True", **spec: Any) -> dict[str, Any]:
    status = {"capacity": {**allocatable, "cpu": "4"}, "allocatable": allocatable, "conditions": [{"type": "Ready", "status": ready}]}
    return {**named(name), "spec": spec, "status": status}


def pod(namespace: str, name: str, on: str, requests: Mapping[str, str], limits: Mapping[str, str] | None = None, phase: str = "Running") -> dict[str, Any]:
    container = {"name": "c", "resources": {"requests": requests, **({"limits": limits} if limits else {})}}
    spec = {"containers": [container], **({"nodeName": on} if on else {})}
    return {**named(name, namespace), "spec": spec, "status": {"phase": phase}}


def service(namespace: str, kind: str) -> dict[str, Any]:
    return {**named(kind.lower(), namespace), "spec": {"type": kind}}


def ago(seconds: float) -> str:
    """Return the time that is so long before the API server's clock."""
    return datetime.fromtimestamp(NOW - seconds, UTC).isoformat().replace("+00:00", "Z")


def report(name: str, age: float, millicores: int, memory: int) -> dict[str, Any]:
    status = {"observedAt": ago(age), "expiresAt": ago(age - 180), "cpuMillicores": {"now": millicores}, "memoryBytes": {"now": memory}}
    filesystems = [{"roles": ["image"], "usedBytes": 1}, {"roles": ["node"], "usedBytes": 2**31}]
    return {**named(name), "status": {**status, "filesystems": filesystems}}


def metrics(name: str, age: float, cpu: str, memory: str) -> dict[str, Any]:
    return {**named(name), "timestamp": ago(age), "window": "15s", "usage": {"cpu": cpu, "memory": memory}}
