# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network namespaces: work in children, deadlines, and a server that outlives its starter but not its pod."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.crictl import Crictl
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.netns import (
    Job,
    find_namespace,
    greeting_of,
    parse_namespace,
    run_in_namespaces,
    start_server,
)
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.probe import connect

SANDBOX = {
    "info": {
        "pid": 425,
        "runtimeSpec": {"linux": {"namespaces": [{"type": "pid"}, {"type": "network", "path": "/var/run/netns/cni-46f4"}]}},
    }
}


def test_the_namespace_of_a_sandbox() -> None:
    assert parse_namespace(SANDBOX) == "/var/run/netns/cni-46f4"


@pytest.mark.parametrize("sandbox", [{}, {"info": {}}, {"info": {"runtimeSpec": {"linux": {"namespaces": [{"type": "network"}]}}}}])
def test_a_pod_with_the_hosts_network_is_refused(sandbox: dict[str, Any]) -> None:
    with pytest.raises(NodewiseError, match="names no network namespace"):
        parse_namespace(sandbox)


class FakeCrictl(Crictl):
    """Knows one pod."""

    def json(self, command: str, *args: str) -> Any:
        if command == "inspectp":
            assert args == ("abc",)
            return SANDBOX
        assert args == ("--namespace", "^s$", "--name", "^plain-w1$", "--state", "ready")
        return {"items": [{"id": "abc"}]}


class EmptyCrictl(Crictl):
    """Knows none."""

    def json(self, command: str, *args: str) -> Any:
        return {"items": []}


def test_find_namespace() -> None:
    assert find_namespace(FakeCrictl(), "s", "plain-w1") == "/var/run/netns/cni-46f4"
    with pytest.raises(NodewiseError, match="no pod s/plain-w1 that is ready"):
        find_namespace(EmptyCrictl(), "s", "plain-w1")


def test_jobs_run_side_by_side_and_keep_their_order(tmp_path: Path) -> None:
    def meet(number: int) -> int:
        """Wait for the two others: one after another they would wait for ever."""
        (tmp_path / str(number)).touch()
        while len(list(tmp_path.iterdir())) < 3:
            time.sleep(0.01)
        return number

    assert run_in_namespaces([Job("", partial(meet, number)) for number in range(3)], 20) == [0, 1, 2]


def test_an_error_in_a_child_is_told() -> None:
    with pytest.raises(NodewiseError, match="The work in the host's network failed: ZeroDivisionError"):
        run_in_namespaces([Job("", lambda: 1 / 0)], 10)


def test_a_namespace_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(NodewiseError, match="failed: FileNotFoundError"):
        run_in_namespaces([Job(str(tmp_path / "cni-1"), lambda: None)], 10)


def test_no_child_outlives_its_deadline(tmp_path: Path) -> None:
    mark = tmp_path / "pid"

    def forever() -> None:
        mark.write_text(str(os.getpid()))
        time.sleep(600)

    with pytest.raises(NodewiseError, match="did not end within 0 s"):
        run_in_namespaces([Job("", forever)], 0.4)
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)


def can_make_namespaces() -> bool:
    return os.geteuid() == 0 and subprocess.run(["unshare", "--net", "true"], check=False, capture_output=True).returncode == 0


@pytest.fixture
def namespace(tmp_path: Path) -> Iterator[Path]:
    """Return a file that stands for a new network namespace, as a CNI runtime makes them."""
    if not can_make_namespaces():
        pytest.skip("needs the right to make network namespaces")
    path = tmp_path / "cni-test"
    path.touch()
    script = f"ip link set lo up; mount --bind /proc/self/ns/net {path}"
    # The mount must stay when unshare ends, so only the network is unshared.
    subprocess.run(["unshare", "--net", "sh", "-c", script], check=True)
    yield path
    subprocess.run(["umount", str(path)], check=False, capture_output=True)
    path.unlink(missing_ok=True)


def test_work_runs_inside_a_namespace(namespace: Path) -> None:
    assert run_in_namespaces([Job(str(namespace), lambda: [name for _index, name in socket.if_nameindex()])], 10) == [["lo"]]


def test_a_server_ends_with_its_pod(namespace: Path) -> None:
    greeting = greeting_of("plain-w1", 32768)

    def reached() -> bool:
        (passed,) = run_in_namespaces([Job(str(namespace), lambda: connect("127.0.0.1", 8080, "plain-w1", 32768).passed)], 10)
        return bool(passed)

    start_server(str(namespace), 8080, greeting, life=60)
    assert reached()
    start_server(str(namespace), 8080, greeting, life=60)
    assert reached()
    held = os.open(namespace, os.O_RDONLY)
    try:
        # Runtimes detach it, so that an open file does not hold it.
        subprocess.run(["umount", "--lazy", str(namespace)], check=True)
        namespace.unlink()
        deadline = time.monotonic() + 5
        inside = Job(f"/proc/self/fd/{held}", lambda: connect("127.0.0.1", 8080, "plain-w1", 32768).detail)
        while run_in_namespaces([inside], 10) != ["connection refused"]:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        os.close(held)


def test_a_server_ends_with_its_time(namespace: Path) -> None:
    start_server(str(namespace), 8080, greeting_of("x", 64), life=0.2)
    inside = Job(str(namespace), lambda: connect("127.0.0.1", 8080, "x", 64).detail)
    deadline = time.monotonic() + 5
    while run_in_namespaces([inside], 10) != ["connection refused"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_greeting() -> None:
    assert greeting_of("plain-w1", 16) == b"plain-w1\n......."
