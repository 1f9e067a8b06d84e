# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connecting and trying again, against servers that behave and servers that do not."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.verify import probe
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.dns import Answer, DnsError
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.netns import greeting_of
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.probe import (
    Attempt,
    Path,
    connect,
    resolve,
    settle,
)

SIZE = 4096
Start = Callable[[Callable[[socket.socket], None]], int]


@pytest.fixture
def server() -> Iterator[Start]:
    """Return what starts a TCP server whose clients are handled by a function."""
    listeners: list[tuple[socket.socket, threading.Thread]] = []
    held: list[socket.socket] = []

    def start(handle: Callable[[socket.socket], None]) -> int:
        listener = socket.create_server(("127.0.0.1", 0))

        def serve() -> None:
            while True:
                client, _peer = listener.accept()
                if stop.is_set():
                    client.close()
                    return
                held.append(client)
                handle(client)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        listeners.append((listener, thread))
        return int(listener.getsockname()[1])

    stop = threading.Event()
    yield start
    stop.set()
    for listener, thread in listeners:
        socket.create_connection(listener.getsockname()).close()
        thread.join()
        listener.close()
    for client in held:
        client.close()


def greet(client: socket.socket) -> None:
    client.sendall(greeting_of("plain-w1", SIZE))
    client.close()


def test_a_whole_greeting_passes(server: Start) -> None:
    port = server(greet)
    assert connect("127.0.0.1", port, "plain-w1", SIZE) == Attempt(True, "answered by plain-w1")
    assert connect("127.0.0.1", port, "", SIZE).passed


def test_another_pod_answers(server: Start) -> None:
    assert connect("127.0.0.1", server(greet), "plain-w2", SIZE) == Attempt(False, "answered by 'plain-w1'")


def test_a_stall_half_way_is_no_pass(server: Start) -> None:
    """Small packets come through a path whose MTU is too small, full ones do not."""
    port = server(lambda client: client.sendall(greeting_of("plain-w1", SIZE)[:1000]))
    assert connect("127.0.0.1", port, "plain-w1", SIZE, timeout=0.2) == Attempt(False, "stalled after 1000 bytes (path MTU?)")


def test_an_early_end_is_no_pass(server: Start) -> None:
    def half(client: socket.socket) -> None:
        client.sendall(greeting_of("plain-w1", SIZE)[:1000])
        client.close()

    assert connect("127.0.0.1", server(half), "plain-w1", SIZE) == Attempt(False, "ended after 1000 bytes")


def test_silence_and_refusal(server: Start) -> None:
    assert connect("127.0.0.1", server(lambda _client: None), "x", SIZE, timeout=0.1) == Attempt(False, "no answer")
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    assert connect("127.0.0.1", port, "x", SIZE) == Attempt(False, "connection refused")


def test_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    def answering(server: str, name: str, timeout: float, tries: int) -> Answer:
        assert (server, timeout, tries) == ("10.96.0.10", 1.0, 1)
        if name == "silent":
            raise DnsError("10.96.0.10 did not answer")
        return Answer(("10.96.1.1",), 0.0)

    monkeypatch.setattr(probe, "ask", answering)
    assert resolve("10.96.0.10", "a", "10.96.1.1") == Attempt(True, "a is 10.96.1.1")
    assert resolve("10.96.0.10", "a", "") == Attempt(True, "a is 10.96.1.1")
    assert resolve("10.96.0.10", "a", "10.96.2.2") == Attempt(False, "a is 10.96.1.1, not 10.96.2.2")
    assert resolve("10.96.0.10", "silent", "") == Attempt(False, "10.96.0.10 did not answer")


def changing(*passes: bool) -> Callable[[], Attempt]:
    """Return an attempt with these outcomes in turn, the last for ever."""
    left = list(passes)
    return lambda: Attempt(left.pop(0) if len(left) > 1 else left[0], "seen")


@pytest.mark.parametrize(
    ("must_pass", "passes", "as_wanted"),
    [
        (True, [True], True),
        (True, [False, False, True], True),
        (True, [False], False),
        (False, [False, False], True),
        (False, [True, True, False, False], True),
        (False, [True], False),
        # One lost packet is no closed path.
        (False, [False, True], False),
    ],
)
def test_settle(must_pass: bool, passes: list[bool], as_wanted: bool) -> None:
    (outcome,) = settle([Path("a to b", must_pass, changing(*passes))], time.monotonic() + 0.2, pause=0.01)
    assert (outcome.label, outcome.must_pass, outcome.as_wanted, outcome.detail) == ("a to b", must_pass, as_wanted, "seen")


def test_settle_keeps_the_order_and_works_side_by_side() -> None:
    together = threading.Barrier(20, timeout=20)

    def meet() -> Attempt:
        together.wait()
        return Attempt(True, "")

    outcomes = settle([Path(str(number), True, meet) for number in range(20)], time.monotonic() + 5)
    assert [outcome.label for outcome in outcomes] == [str(number) for number in range(20)]
    assert settle([], 0) == []


def test_each_path_is_tried_once_even_after_the_deadline() -> None:
    (outcome,) = settle([Path("a", True, changing(True))], time.monotonic() - 1)
    assert outcome.as_wanted
