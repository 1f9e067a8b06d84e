# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One sample of a runtime: whole, and with every part of the runtime failing."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import grpc
import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.cri.client import CriClient
from ansible_collections.nodewise.cluster.plugins.module_utils.cri.messages import MESSAGES, PACKAGE
from ansible_collections.nodewise.cluster.plugins.module_utils.cri.model import Container, ContainerKey, Counter, RuntimeReading, RuntimeStatus
from ansible_collections.nodewise.cluster.plugins.module_utils.cri.readings import read_runtime
from ansible_collections.nodewise.cluster.plugins.module_utils.proto.table import message_classes

CLASSES = message_classes(PACKAGE, MESSAGES)


def read_ids(reading: RuntimeReading) -> set[str]:
    """The containers whose use is known."""
    return {container.key.id for container in reading.containers or () if container.cpu is not None and container.working_set_bytes is not None}


def test_all_is_well(client: CriClient) -> None:
    running = {
        name: Container(ContainerKey(name, 2, 1000), "ns", f"{pod}-name", f"{name}-name", "running", Counter(5000, 70), 4096, 0)
        for name, pod in (("a", "pod-1"), ("b", "pod-1"), ("c", "pod-2"))
    }
    assert read_runtime(client) == RuntimeReading(
        status=RuntimeStatus("fake", "v9", "systemd", True, True, ""),
        containers=(*running.values(), Container(ContainerKey("old", 2, 1000), "ns", "pod-2-name", "old-name", "exited")),
        pods_ready=2,
        pods_not_ready=1,
        image_filesystems=("/images",),
        container_filesystems=(),
    )


def test_a_healthy_runtime_is_asked_seven_times(runtime: Any, client: CriClient) -> None:
    read_runtime(client)
    assert sorted(runtime.calls) == ["ImageFsInfo", "ListContainerStats", "ListContainers", "ListPodSandbox", "RuntimeConfig", "Status", "Version"]


def test_an_idle_node(runtime: Any, client: CriClient) -> None:
    runtime.states.clear()
    reading = read_runtime(client)
    assert (reading.containers, reading.unread_containers, reading.errors) == ((), 0, ())
    assert "ListContainerStats" not in runtime.calls


def test_states(runtime: Any, client: CriClient) -> None:
    runtime.answers["ListContainers"] = CLASSES["ListContainersResponse"](containers=[{"id": "x", "state": state} for state in (0, 2, 3, 7)])
    assert [container.state for container in read_runtime(client).containers or ()] == ["created", "exited", "unknown", "unknown"]


class TestStatus:
    def test_conditions_that_are_false(self, runtime: Any, client: CriClient) -> None:
        conditions = [
            {"type": "RuntimeReady", "status": True},
            {"type": "NetworkReady", "status": False, "reason": "NetworkPluginNotReady", "message": "cni plugin not initialized"},
            {"type": "ContainerdHasNoDeprecationWarnings", "status": False, "reason": "ContainerdHasDeprecationWarnings", "message": "cgroup v1"},
        ]
        runtime.answers["Status"] = CLASSES["StatusResponse"](status={"conditions": conditions})
        status = read_runtime(client).status
        assert (status.ready, status.network_ready, status.message) == (True, False, "NetworkReady: NetworkPluginNotReady: cni plugin not initialized")

    def test_no_conditions(self, runtime: Any, client: CriClient) -> None:
        runtime.answers["Status"] = CLASSES["StatusResponse"]()
        status = read_runtime(client).status
        assert (status.ready, status.network_ready, status.message) == (None, None, "the runtime does not say RuntimeReady")

    def test_a_status_that_fails_takes_nothing_else_away(self, runtime: Any, client: CriClient) -> None:
        runtime.fail["Status"] = grpc.StatusCode.INTERNAL
        reading = read_runtime(client)
        assert reading.status == RuntimeStatus("fake", "v9", "systemd", None, None, "Status: INTERNAL: Status is told to fail")
        assert (read_ids(reading), reading.errors) == ({"a", "b", "c"}, ("Status: INTERNAL: Status is told to fail",))

    def test_cgroupfs(self, runtime: Any, client: CriClient) -> None:
        runtime.answers["RuntimeConfig"] = CLASSES["RuntimeConfigResponse"](linux={"cgroup_driver": 1})
        assert read_runtime(client).status.cgroup_driver == "cgroupfs"

    def test_a_cgroup_driver_that_is_left_out_is_not_systemd(self, runtime: Any, client: CriClient) -> None:
        runtime.answers["RuntimeConfig"] = CLASSES["RuntimeConfigResponse"]()
        assert read_runtime(client).status.cgroup_driver is None

    def test_a_cgroup_driver_of_the_future(self, runtime: Any, client: CriClient) -> None:
        runtime.answers["RuntimeConfig"] = CLASSES["RuntimeConfigResponse"](linux={"cgroup_driver": 5})
        assert read_runtime(client).status.cgroup_driver is None

    def test_an_old_runtime(self, runtime: Any, client: CriClient) -> None:
        runtime.fail = {"RuntimeConfig": grpc.StatusCode.UNIMPLEMENTED, "ImageFsInfo": grpc.StatusCode.UNIMPLEMENTED}
        reading = read_runtime(client)
        assert (reading.status.cgroup_driver, reading.image_filesystems, reading.container_filesystems, reading.errors) == (None, None, None, ())

    def test_a_runtime_that_was_exchanged_is_described_as_it_is_now(self, runtime: Any, client: CriClient) -> None:
        read_runtime(client)
        runtime.answers["Version"] = CLASSES["VersionResponse"](runtime_name="fake", runtime_version="v10")
        assert read_runtime(client).status.version == "v10"


class TestLists:
    def test_containers_that_cannot_be_listed_are_unknown(self, runtime: Any, client: CriClient) -> None:
        runtime.fail["ListContainers"] = grpc.StatusCode.INTERNAL
        reading = read_runtime(client)
        assert (reading.containers, reading.unread_containers, reading.pods_ready) == (None, 0, 2)
        assert reading.errors == ("ListContainers: INTERNAL: ListContainers is told to fail",)

    def test_pods_that_cannot_be_listed_are_unknown(self, runtime: Any, client: CriClient) -> None:
        runtime.fail["ListPodSandbox"] = grpc.StatusCode.INTERNAL
        reading = read_runtime(client)
        assert (reading.pods_ready, reading.pods_not_ready, read_ids(reading)) == (None, None, {"a", "b", "c"})
        assert {(container.namespace, container.pod) for container in reading.containers or ()} == {("unknown", "unknown")}


class TestStats:
    @pytest.mark.parametrize("broken", ["a", "b", "c"])
    def test_one_broken_container_loses_no_other(self, runtime: Any, client: CriClient, broken: str) -> None:
        runtime.broken = {broken}
        reading = read_runtime(client)
        assert (read_ids(reading), reading.unread_containers) == ({"a", "b", "c"} - {broken}, 1)
        assert f"ContainerStats: UNKNOWN: failed to decode the metrics of {broken}" in reading.errors
        (entry,) = (container for container in reading.containers or () if container.key.id == broken)
        assert (entry.state, entry.cpu, entry.working_set_bytes, entry.writable_layer_bytes) == ("running", None, None, None)

    def test_all_broken(self, runtime: Any, client: CriClient) -> None:
        runtime.broken = {"a", "b", "c"}
        reading = read_runtime(client)
        assert (read_ids(reading), reading.unread_containers, len(reading.containers or ())) == (set(), 3, 4)

    def test_a_container_that_hangs_loses_no_other(self, runtime: Any, client: CriClient) -> None:
        runtime.hang = {"b"}
        reading = read_runtime(client, deadline=4)
        assert (read_ids(reading), reading.unread_containers) == ({"a", "c"}, 1)

    def test_one_that_ends_meanwhile_is_not_missed(self, runtime: Any, client: CriClient) -> None:
        runtime.gone = {"b"}
        reading = read_runtime(client)
        assert (read_ids(reading), reading.unread_containers) == ({"a", "c"}, 0)
        assert "b" not in {container.key.id for container in reading.containers or ()}

    def test_one_that_exits_meanwhile_is_shown_as_it_is_now(self, runtime: Any, client: CriClient) -> None:
        listed = runtime.ListContainerStats

        def exits(request: Any, context: grpc.ServicerContext) -> Any:
            runtime.states["b"] = "exited"
            return listed(request, context)

        runtime.ListContainerStats = exits
        reading = read_runtime(client)
        assert reading.unread_containers == 0
        assert {container.key.id: container.state for container in reading.containers or ()}["b"] == "exited"

    def test_one_that_is_just_not_in_the_list(self, runtime: Any, client: CriClient) -> None:
        runtime.without_entry = {"b"}
        reading = read_runtime(client)
        assert (read_ids(reading), reading.unread_containers, reading.errors) == ({"a", "c"}, 1, ())

    @pytest.mark.parametrize(
        "part", [{"cpu": {"timestamp": 5000, "usage_core_nano_seconds": {"value": 1}}}, {"memory": {"working_set_bytes": {"value": 1}}}, {}]
    )
    def test_half_an_entry_is_unread(self, runtime: Any, client: CriClient, part: dict[str, Any]) -> None:
        runtime.states = {"a": "running"}
        runtime.answers["ListContainerStats"] = CLASSES["ListContainerStatsResponse"](stats=[{"attributes": {"id": "a"}, **part}])
        reading = read_runtime(client)
        ((container,), unread) = (reading.containers or (), reading.unread_containers)
        assert (container.cpu is None, container.working_set_bytes is None, unread) == ("cpu" not in part, "memory" not in part, 1)

    def test_a_zero_is_a_figure(self, runtime: Any, client: CriClient) -> None:
        runtime.states = {"a": "running"}
        entry = {"attributes": {"id": "a"}, "cpu": {"timestamp": 1, "usage_core_nano_seconds": {}}, "memory": {"working_set_bytes": {}}}
        runtime.answers["ListContainerStats"] = CLASSES["ListContainerStatsResponse"](stats=[entry])
        reading = read_runtime(client)
        assert (reading.containers or ())[0].cpu == Counter(1, 0)
        assert ((reading.containers or ())[0].working_set_bytes, reading.unread_containers) == (0, 0)

    def test_a_runtime_without_stats(self, runtime: Any, client: CriClient) -> None:
        runtime.fail["ListContainerStats"] = grpc.StatusCode.UNIMPLEMENTED
        reading = read_runtime(client)
        assert (reading.unread_containers, "ContainerStats" in runtime.calls) == (3, False)
        assert reading.errors == ("ListContainerStats: UNIMPLEMENTED: ListContainerStats is told to fail",)


class TestDown:
    def test_no_socket(self, tmp_path: Path) -> None:
        message = f"Status: UNAVAILABLE: there is no socket {tmp_path}/none."
        with CriClient(f"{tmp_path}/none") as client:
            assert read_runtime(client) == RuntimeReading(status=RuntimeStatus(message=message), errors=(message,))

    def test_it_ends_in_the_middle(self, runtime: Any, client: CriClient) -> None:
        runtime.fail["ListContainerStats"] = grpc.StatusCode.UNAVAILABLE
        reading = read_runtime(client)
        assert (reading.status.ready, reading.unread_containers, read_ids(reading), len(reading.errors)) == (True, 3, set(), 1)

    def test_all_calls_hang(self, runtime: Any, client: CriClient) -> None:
        runtime.hang = {"Status", "Version", "RuntimeConfig", "ListPodSandbox", "ListContainers", "ListContainerStats", "ImageFsInfo"}
        begin = time.monotonic()
        reading = read_runtime(client, deadline=0.5)
        assert time.monotonic() - begin < 3
        assert (reading.status.ready, reading.containers, reading.pods_ready, reading.image_filesystems) == (None, None, None, None)
        assert reading.status.message.startswith("Status: DEADLINE_EXCEEDED")
        assert reading.errors[-1] == "Version and later calls: no time left of the 0.5 s for a sample"

    def test_it_is_back(self, runtime: Any, client: CriClient) -> None:
        runtime.stop()
        assert read_runtime(client).status.ready is None
        runtime.start()
        end = time.monotonic() + 5
        while (reading := read_runtime(client)).status.ready is None and time.monotonic() < end:
            pass
        assert (reading.status.ready, read_ids(reading), reading.errors) == (True, {"a", "b", "c"}, ())
