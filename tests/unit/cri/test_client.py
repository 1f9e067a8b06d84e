# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CRI client: bytes against the protocol's field numbers, and what its errors say."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.cri.client import CallFailed, CriClient
from ansible_collections.nodewise.cluster.plugins.module_utils.cri.messages import MESSAGES, PACKAGE
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.proto.table import message_classes

CLASSES = message_classes(PACKAGE, MESSAGES)


def field(number: int, value: int | bytes) -> bytes:
    """Encode one field by hand."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def number(value: int) -> bytes:
    """A UInt64Value."""
    return field(1, value)


# From k8s.io/cri-api v0.37.2, api.proto; fields that are not decoded here (labels, images, usage_nano_cores) are among them as a runtime sends them.
STATS = (
    field(1, field(1, b"abc") + field(2, field(1, b"name") + field(2, 3)) + field(3, field(1, b"k") + field(2, b"v")))
    + field(2, field(1, 1795626150759670053) + field(2, number(498528776)) + field(3, number(12)) + field(4, field(1, field(1, 5))))
    + field(3, field(1, 7) + field(2, number(12693504)) + field(3, number(0)) + field(4, number(99)))
    + field(4, field(1, 8) + field(2, field(1, b"/images")) + field(3, number(53248)) + field(4, number(9)))
    + field(5, field(1, 9) + field(3, number(0)))
)
RESPONSES: list[tuple[str, bytes, dict[str, Any]]] = [
    (
        "VersionResponse",
        field(1, b"0.1.0") + field(2, b"containerd") + field(3, b"v2.4.2") + field(4, b"v1"),
        {"version": "0.1.0", "runtime_name": "containerd", "runtime_version": "v2.4.2", "runtime_api_version": "v1"},
    ),
    (
        "StatusResponse",
        field(1, field(1, field(1, b"RuntimeReady") + field(2, 1)) + field(1, field(1, b"NetworkReady") + field(3, b"R") + field(4, b"M"))),
        {"status": {"conditions": [{"type": "RuntimeReady", "status": True}, {"type": "NetworkReady", "reason": "R", "message": "M"}]}},
    ),
    ("RuntimeConfigResponse", field(1, b""), {"linux": {}}),
    ("RuntimeConfigResponse", field(1, field(1, 1)), {"linux": {"cgroup_driver": 1}}),
    (
        "ListPodSandboxResponse",
        field(1, field(1, b"p") + field(2, field(1, b"n") + field(2, b"u") + field(3, b"ns") + field(4, 2)) + field(3, 1)),
        {"items": [{"id": "p", "metadata": {"name": "n", "uid": "u", "namespace": "ns", "attempt": 2}, "state": 1}]},
    ),
    (
        "ListContainersResponse",
        field(1, field(1, b"c") + field(2, b"p") + field(3, field(1, b"n") + field(2, 4)) + field(6, 1) + field(7, 1795625416766183738)),
        {"containers": [{"id": "c", "pod_sandbox_id": "p", "metadata": {"name": "n", "attempt": 4}, "state": 1, "created_at": 1795625416766183738}]},
    ),
    (
        "ImageFsInfoResponse",
        field(1, field(1, 8) + field(2, field(1, b"/images"))) + field(2, field(2, field(1, b"/containers"))),
        {
            "image_filesystems": [{"timestamp": 8, "fs_id": {"mountpoint": "/images"}}],
            "container_filesystems": [{"fs_id": {"mountpoint": "/containers"}}],
        },
    ),
]


@pytest.mark.parametrize(("name", "wire", "expected"), RESPONSES, ids=[name for name, _wire, _expected in RESPONSES])
def test_responses(name: str, wire: bytes, expected: dict[str, Any]) -> None:
    assert CLASSES[name].FromString(wire) == CLASSES[name](**expected)


@pytest.mark.parametrize(("name", "wire"), [("ListContainerStatsResponse", field(1, STATS)), ("ContainerStatsResponse", field(1, STATS))])
def test_stats(name: str, wire: bytes) -> None:
    response = CLASSES[name].FromString(wire)
    stats = response.stats[0] if name.startswith("List") else response.stats
    assert stats.attributes.id == "abc"
    assert (stats.cpu.timestamp, stats.cpu.usage_core_nano_seconds.value) == (1795626150759670053, 498528776)
    assert (stats.memory.working_set_bytes.value, stats.writable_layer.used_bytes.value) == (12693504, 53248)


def test_a_figure_that_is_not_sent_is_told_from_0() -> None:
    absent, zero = field(1, field(2, field(1, 1))), field(1, field(2, field(1, 1) + field(2, number(0))))
    assert not CLASSES["ContainerStatsResponse"].FromString(absent).stats.cpu.HasField("usage_core_nano_seconds")
    assert CLASSES["ContainerStatsResponse"].FromString(zero).stats.cpu.HasField("usage_core_nano_seconds")
    assert not CLASSES["RuntimeConfigResponse"].FromString(b"").HasField("linux")


@pytest.mark.parametrize(
    ("name", "fields", "wire"),
    [
        ("ListContainerStatsRequest", {"filter": {"pod_sandbox_id": "p"}}, field(1, field(2, b"p"))),
        ("ContainerStatsRequest", {"container_id": "c"}, field(1, b"c")),
        ("StatusRequest", {}, b""),
    ],
)
def test_requests(name: str, fields: dict[str, Any], wire: bytes) -> None:
    assert CLASSES[name](**fields).SerializeToString() == wire


def test_an_answer(client: CriClient) -> None:
    assert client.call("Version", 5).runtime_name == "fake"


def test_an_answer_of_more_than_4_mib(runtime: Any, client: CriClient) -> None:
    runtime.answers["ListContainers"] = CLASSES["ListContainersResponse"](containers=[{"id": "x" * 100_000}] * 60)
    assert len(client.call("ListContainers", 5).containers) == 60


def test_an_error_says_what_was_asked_and_what_the_runtime_said(runtime: Any, client: CriClient) -> None:
    import grpc

    runtime.fail["ListPodSandbox"] = grpc.StatusCode.INTERNAL
    with pytest.raises(CallFailed, match=r"^ListPodSandbox: INTERNAL: ListPodSandbox is told to fail$") as error:
        client.call("ListPodSandbox", 5)
    assert error.value.code == "INTERNAL"


def test_a_call_that_hangs_ends_in_time(runtime: Any, client: CriClient) -> None:
    runtime.hang.add("Status")
    with pytest.raises(CallFailed) as error:
        client.call("Status", 0.1)
    assert error.value.code == "DEADLINE_EXCEEDED"


def test_no_socket(tmp_path: Path) -> None:
    with CriClient(f"unix://{tmp_path}/none.sock") as client, pytest.raises(CallFailed, match=f"there is no socket {tmp_path}/none.sock. Remedy: start"):
        client.call("Version", 5)


def test_a_runtime_that_is_back_is_found_again(runtime: Any, client: CriClient) -> None:
    client.call("Version", 5)
    runtime.stop()
    with pytest.raises(CallFailed) as error:
        client.call("Version", 5)
    assert error.value.code == "UNAVAILABLE"
    runtime.start()
    until_answered(client)


def until_answered(client: CriClient) -> None:
    """Ask for 5 s; gRPC waits a second before it connects anew."""
    import time

    end = time.monotonic() + 5
    while True:
        try:
            client.call("Version", 5)
            return
        except CallFailed as error:
            if time.monotonic() > end:
                raise AssertionError("the runtime is not found again") from error


@pytest.mark.parametrize("path", ["", "containerd.sock", "unix:containerd.sock", "tcp://127.0.0.1:1"])
def test_a_path_that_is_none(path: str) -> None:
    with pytest.raises(NodewiseError, match=f"'{path}' is no absolute path.*unix:///run/containerd/containerd.sock"):
        CriClient(path)


def test_without_grpcio(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "grpc":
            raise ImportError("No module named 'grpc'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(NodewiseError, match="No module named 'grpc'.*Remedy: install grpcio and protobuf"):
        CriClient()
