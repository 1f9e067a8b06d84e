# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import socket
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter.metrics import Collector, Server
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter.state import State

STATUS = {
    "cpuMillicores": {"now": 250, "allocatable": 2000},
    "memoryBytes": {"allocatable": 1024},
    "filesystems": [
        {"mountpoint": "/a", "roles": ["node", "image"], "capacityBytes": 10, "availableBytes": 4, "usedBytes": 6},
        {"mountpoint": "/b", "roles": ["container"]},
    ],
    "conditions": [{"type": "DiskNearlyFull", "status": "Unknown"}],
    "containers": {"created": 0, "running": 5, "exited": 0, "unknown": 0},
    "unreadContainers": 2,
}


@pytest.fixture
def state() -> State:
    return State(version="1.0.0+abc")


@pytest.fixture
def server(state: State) -> Iterator[Server]:
    server = Server(Collector(state), state.health, "127.0.0.1", 0)
    yield server
    server.close()


def get(server: Server, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}") as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def lines(server: Server) -> list[str]:
    return get(server, "/metrics")[1].splitlines()


def test_figures_are_in_base_units(state: State, server: Server) -> None:
    state.sample_taken(STATUS, 0.5, {"runtime": 1})
    state.publish_tried("accepted", True, "", 0.0)
    found = lines(server)
    for line in (
        'nodewise_reporter_build_info{version="1.0.0+abc"} 1.0',
        "nodewise_reporter_cpu_used_cores 0.25",
        "nodewise_reporter_cpu_allocatable_cores 2.0",
        "nodewise_reporter_memory_allocatable_bytes 1024.0",
        'nodewise_reporter_filesystem_available_bytes{mountpoint="/a",roles="node,image"} 4.0',
        'nodewise_reporter_condition{status="unknown",type="DiskNearlyFull"} 1.0',
        'nodewise_reporter_condition{status="true",type="DiskNearlyFull"} 0.0',
        "nodewise_reporter_unread_containers 2.0",
        "nodewise_reporter_sample_duration_seconds_count 1.0",
        "nodewise_reporter_sample_duration_seconds_sum 0.5",
        'nodewise_reporter_sample_errors_total{source="runtime"} 1.0',
        'nodewise_reporter_publishes_total{result="accepted"} 1.0',
        "nodewise_reporter_backoff_seconds 0.0",
    ):
        assert line in found, line


def test_what_is_unknown_is_left_out(state: State, server: Server) -> None:
    state.sample_taken(STATUS, 0.5, {})
    found = lines(server)
    assert not [line for line in found if line.startswith("nodewise_reporter_memory_used_bytes")]
    assert not [line for line in found if 'mountpoint="/b"' in line]
    assert not [line for line in found if line.startswith("nodewise_reporter_last_publish_success_timestamp_seconds")]


def test_unread_containers_are_unknown_when_none_could_be_listed(state: State, server: Server) -> None:
    def unread() -> list[str]:
        return [line for line in lines(server) if line.startswith("nodewise_reporter_unread_containers")]

    state.sample_taken({"containers": STATUS["containers"]}, 0.5, {})
    assert unread() == ["nodewise_reporter_unread_containers 0.0"]
    state.sample_taken({"pods": {"ready": 1}}, 0.5, {})
    assert not unread()


def test_nothing_is_known_before_the_first_sample(server: Server) -> None:
    assert not [line for line in lines(server) if line.startswith(("nodewise_reporter_cpu", "nodewise_reporter_unread"))]


def test_health_says_why_it_is_false(state: State, server: Server) -> None:
    assert get(server, "/healthz") == (200, "ok\n")
    state.started -= 1000
    code, text = get(server, "/healthz")
    assert code == 503
    assert text.startswith("no sample for 1000 s")
    assert "no report accepted for 1000 s: no attempt was made" in text


def test_no_resolver_is_asked(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead one would delay the daemon's start, and its end, by 10 s and more."""

    def dead(*_arguments: object) -> str:
        raise AssertionError("the resolver was asked")

    for name in ("getfqdn", "gethostbyaddr", "getaddrinfo"):
        monkeypatch.setattr(socket, name, dead)
    server = Server(Collector(state), state.health, "127.0.0.1", 0)
    try:
        with socket.socket() as client:
            client.connect(("127.0.0.1", server.port))
            client.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            assert client.makefile("rb").readline().split()[1] == b"200"
    finally:
        server.close()


def test_other_paths_are_not_served(server: Server) -> None:
    assert get(server, "/")[0] == 404


def test_a_port_that_is_taken_is_named(state: State, server: Server) -> None:
    with pytest.raises(NodewiseError, match=f"127.0.0.1 port {server.port}"):
        Server(Collector(state), state.health, "127.0.0.1", server.port)
