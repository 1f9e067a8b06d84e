# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run Python in a pod's network namespace.

A pod of the pause image has no shell and no tools, but its network namespace can be
entered from the host (setns(2)), and everything else stays the host's.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import socket
import socketserver
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from ..errors import NodewiseError
from .crictl import Crictl

_CLONE_NEWNET = 0x40000000


def find_namespace(crictl: Crictl, namespace: str, pod: str) -> str:
    """Return the path of a pod's network namespace.

    Raises
    ------
    NodewiseError
        This host runs no such pod, or the runtime does not tell.
    """
    found = crictl.json("pods", "--namespace", f"^{namespace}$", "--name", f"^{pod}$", "--state", "ready").get("items") or []
    if not found:
        raise NodewiseError(f"The runtime of this host has no pod {namespace}/{pod} that is ready.", "kubectl describe pod")
    return parse_namespace(crictl.json("inspectp", found[0]["id"]))


def parse_namespace(sandbox: dict[str, Any]) -> str:
    """Return the network namespace's path from what C(crictl inspectp) prints.

    Raises
    ------
    NodewiseError
        It names none: the pod has the host's network, or the runtime tells too little.
    """
    linux = (sandbox.get("info", {}).get("runtimeSpec") or {}).get("linux") or {}
    for space in linux.get("namespaces") or []:
        if space.get("type") == "network" and space.get("path"):
            return str(space["path"])
    raise NodewiseError("crictl inspectp names no network namespace for the pod.")


def enter(path: str) -> None:
    """Move this process into a network namespace.

    Raises
    ------
    OSError
        The namespace is gone, or the process may not.
    """
    # os.setns is there since Python 3.12, Debian 12 has 3.11.
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(descriptor, _CLONE_NEWNET) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), path)
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class Job:
    """Work in one network namespace.

    Parameters
    ----------
    path : str
        The namespace; empty means the host's own.
    work : callable
        Returns something that JSON can hold.
    """

    path: str
    work: Callable[[], Any]


def run_in_namespaces(jobs: Sequence[Job], timeout: float) -> list[Any]:
    """Run each job in its namespace, in a child process of its own and side by side; return their results.

    Parameters
    ----------
    timeout : float
        Seconds until children that have not ended are killed.

    Raises
    ------
    NodewiseError
        A child raised an error, or did not end in time. None is left running.
    """
    deadline = time.monotonic() + timeout
    children = [_start_child(job) for job in jobs]
    try:
        return [_result_of(job, reader, deadline, timeout) for job, (_child_id, reader) in zip(jobs, children, strict=True)]
    finally:
        for child_id, reader in children:
            os.close(reader)
            # After its answer a child has nothing left to do, and without one it must not go on.
            os.kill(child_id, signal.SIGKILL)
            os.waitpid(child_id, 0)


def _start_child(job: Job) -> tuple[int, int]:
    """Return the child's id and the descriptor of the pipe its answer comes through."""
    reader, writer = os.pipe()
    child_id = os.fork()
    if child_id == 0:
        _child(job, writer)
    os.close(writer)
    return child_id, reader


def _result_of(job: Job, reader: int, deadline: float, timeout: float) -> Any:
    place = job.path or "the host's network"
    try:
        answer = json.loads(_read_all(reader, deadline))
    except ValueError as error:
        raise NodewiseError(f"The work in {place} did not end within {timeout:.0f} s.") from error
    if answer["error"]:
        raise NodewiseError(f"The work in {place} failed: {answer['error']}")
    return answer["result"]


def _child(job: Job, writer: int) -> NoReturn:
    """Do the work and leave without the parent's exit handlers, which belong to Ansible."""
    answer: dict[str, Any] = {"error": "", "result": None}
    try:
        if job.path:
            enter(job.path)
        answer["result"] = job.work()
    except Exception as error:
        answer["error"] = f"{type(error).__name__}: {error}"
    try:
        with os.fdopen(writer, "w", encoding="utf-8") as pipe:
            json.dump(answer, pipe)
    finally:
        os._exit(0)


def _read_all(descriptor: int, deadline: float) -> str:
    """Return all that comes through a pipe until its end or the deadline."""
    data = b""
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([descriptor], [], [], left)[0]:
            break
        chunk = os.read(descriptor, 1 << 16)
        if not chunk:
            break
        data += chunk
    return data.decode()


class _Server(socketserver.ThreadingTCPServer):
    """Sends its greeting to whoever connects; ends with its pod or with its time, whichever is first."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, greeting: bytes, path: str, life: float) -> None:
        super().__init__(("0.0.0.0", port), _Greeter)
        self.greeting = greeting
        self._path = path
        self._deadline = time.monotonic() + life

    def service_actions(self) -> None:
        """End the process; socketserver calls this twice a second."""
        if time.monotonic() > self._deadline or not os.path.exists(self._path):
            os._exit(0)


class _Greeter(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        self.request.settimeout(5)
        self.request.sendall(self.server.greeting)


def greeting_of(name: str, size: int) -> bytes:
    """Return the text a test server sends: its name, filled up to C(size) bytes.

    The filling makes full-sized packets, so a path whose MTU is too small stalls instead of passing.
    """
    return f"{name}\n".encode().ljust(size, b".")


def start_server(path: str, port: int, greeting: bytes, life: float) -> None:
    """Start a TCP server in a network namespace; one that is there already stays.

    It outlives this process, and ends when the namespace's file vanishes or after C(life) seconds.

    Raises
    ------
    NodewiseError
        It cannot listen.
    """
    run_in_namespaces([Job(path, lambda: _start(path, port, greeting, life))], timeout=10)


def _start(path: str, port: int, greeting: bytes, life: float) -> None:
    """Listen, then leave the server to a process of its own."""
    try:
        server = _Server(port, greeting, path, life)
    except OSError:
        # Taken: the server of an earlier call. Anything else is an error.
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
        return
    if os.fork() == 0:
        try:
            _leave(server)
            server.serve_forever(poll_interval=0.5)
        finally:
            os._exit(0)


def _leave(server: _Server) -> None:
    """Become a daemon: no terminal, no open file of the parent's, or Ansible would wait for it."""
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    keep = server.fileno()
    os.closerange(3, keep)
    os.closerange(keep + 1, os.sysconf("SC_OPEN_MAX"))
