# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A container runtime that does as it is told: a real gRPC server on a unix socket."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.cri.client import CriClient
from ansible_collections.nodewise.cluster.plugins.module_utils.cri.messages import CONTAINER_STATES, MESSAGES, PACKAGE, SERVICES
from ansible_collections.nodewise.cluster.plugins.module_utils.proto.table import message_classes, unary_handler

CLASSES = message_classes(PACKAGE, MESSAGES)


class FakeRuntime:
    """Two pods, of which one has the containers C(a) and C(b), the other C(c); C(old) has exited.

    What a test changes: C(fail) {method: status}, C(broken) and C(gone) (containers whose stats fail, and that end when they are asked for),
    C(hang) (containers, or methods), C(answers) {method: response}.
    """

    def __init__(self, socket: str) -> None:
        self.socket = socket
        self.calls: list[str] = []
        self.fail: dict[str, grpc.StatusCode] = {}
        self.answers: dict[str, Any] = {}
        self.broken: set[str] = set()
        self.gone: set[str] = set()
        self.hang: set[str] = set()
        self.without_entry: set[str] = set()
        self.states = {"a": "running", "b": "running", "c": "running", "old": "exited"}
        self.pods = {"a": "pod-1", "b": "pod-1", "c": "pod-2", "old": "pod-2"}
        self._released = threading.Event()
        self._server: grpc.Server | None = None

    def start(self) -> None:
        self._released.clear()
        self._server = grpc.server(concurrent.futures.ThreadPoolExecutor(16))
        for service, methods in SERVICES.items():
            functions = {method: self._function(method) for method in methods}
            self._server.add_generic_rpc_handlers((unary_handler(service, methods, CLASSES, functions),))
        self._server.add_insecure_port(f"unix:{self.socket}")
        self._server.start()

    def stop(self) -> None:
        self._released.set()
        if self._server is not None:
            self._server.stop(None).wait()

    def _function(self, method: str) -> Callable[[Any, grpc.ServicerContext], Any]:
        def answer(request: Any, context: grpc.ServicerContext) -> Any:
            self.calls.append(method)
            if method in self.hang:
                self._released.wait()
            if method in self.fail:
                context.abort(self.fail[method], f"{method} is told\nto fail")
            if method in self.answers:
                return self.answers[method]
            return getattr(self, method)(request, context)

        return answer

    def Version(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return CLASSES["VersionResponse"](runtime_name="fake", runtime_version="v9")

    def Status(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return CLASSES["StatusResponse"](status={"conditions": [{"type": "RuntimeReady", "status": True}, {"type": "NetworkReady", "status": True}]})

    def RuntimeConfig(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return CLASSES["RuntimeConfigResponse"](linux={})

    def ListPodSandbox(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        items = [{"id": pod, "metadata": {"namespace": "ns", "name": f"{pod}-name"}, "state": 0} for pod in ("pod-1", "pod-2")]
        return CLASSES["ListPodSandboxResponse"](items=[*items, {"id": "dead", "metadata": {"namespace": "ns", "name": "dead"}, "state": 1}])

    def ListContainers(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return CLASSES["ListContainersResponse"](
            containers=[
                {
                    "id": container,
                    "pod_sandbox_id": self.pods[container],
                    "metadata": {"name": f"{container}-name", "attempt": 2},
                    "state": CONTAINER_STATES.index(state),
                    "created_at": 1000,
                }
                for container, state in self.states.items()
            ]
        )

    def ListContainerStats(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        sandbox = request.filter.pod_sandbox_id
        asked = [container for container, state in self.states.items() if state == "running" and sandbox in ("", self.pods[container])]
        entries = [self._stats(container, context) for container in asked]
        return CLASSES["ListContainerStatsResponse"](stats=[entry for entry in entries if entry["attributes"]["id"] not in self.without_entry])

    def ContainerStats(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        if request.container_id not in self.states:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such container")
        return CLASSES["ContainerStatsResponse"](stats=self._stats(request.container_id, context))

    def ImageFsInfo(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return CLASSES["ImageFsInfoResponse"](image_filesystems=[{"fs_id": {"mountpoint": "/images"}}])

    def _stats(self, container: str, context: grpc.ServicerContext) -> dict[str, Any]:
        if container in self.hang:
            self._released.wait()
        if container in self.gone:
            self.states.pop(container, None)
            context.abort(grpc.StatusCode.NOT_FOUND, f"{container} is gone")
        if container in self.broken:
            context.abort(grpc.StatusCode.UNKNOWN, f"failed to decode the metrics of {container}")
        return {
            "attributes": {"id": container},
            "cpu": {"timestamp": 5000, "usage_core_nano_seconds": {"value": 70}},
            "memory": {"working_set_bytes": {"value": 4096}},
            "writable_layer": {"used_bytes": {"value": 0}},
        }


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[FakeRuntime]:
    fake = FakeRuntime(str(tmp_path / "cri.sock"))
    fake.start()
    yield fake
    fake.stop()


@pytest.fixture
def client(runtime: FakeRuntime) -> Iterator[CriClient]:
    with CriClient(runtime.socket) as client:
        yield client
