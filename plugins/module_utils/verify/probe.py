# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connect, and try again until what must be is so or the time is up."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from .dns import DnsError, ask

CONNECT_TIMEOUT = 1.0
"""Seconds for one attempt. A policy drops packets silently, so this is also the price of a closed path."""

BLOCKED_TWICE = 2
"""A closed path must be seen closed so many times in a row: one lost packet proves nothing."""


@dataclass(frozen=True)
class Attempt:
    """One attempt's outcome: did it get through, and what was seen."""

    passed: bool
    detail: str


@dataclass(frozen=True)
class Path:
    """Something to try.

    Parameters
    ----------
    label : str
        The path as a person reads it.
    must_pass : bool
        Whether it must get through, or must not.
    attempt : callable
        Tries once; it ends by itself within a few seconds.
    """

    label: str
    must_pass: bool
    attempt: Callable[[], Attempt]


@dataclass(frozen=True)
class Outcome:
    """A path after the last attempt; C(as_wanted) says whether it was as it must be."""

    label: str
    must_pass: bool
    as_wanted: bool
    detail: str


def connect(address: str, port: int, name: str, size: int, timeout: float = CONNECT_TIMEOUT) -> Attempt:
    """Read a test server's greeting to its end.

    Parameters
    ----------
    name : str
        The name the server must give; empty accepts any (a service leads to any of its pods).
    size : int
        Bytes of the greeting.
    """
    received = b""
    try:
        with socket.create_connection((address, port), timeout=timeout) as client:
            while len(received) < size:
                chunk = client.recv(65536)
                if not chunk:
                    break
                received += chunk
    except TimeoutError:
        return Attempt(False, f"stalled after {len(received)} bytes (path MTU?)" if received else "no answer")
    except OSError as error:
        return Attempt(False, (error.strerror or str(error)).lower())
    said = received.partition(b"\n")[0].decode(errors="replace")
    if name and said != name:
        return Attempt(False, f"answered by {said[:80]!r}")
    return Attempt(len(received) >= size, f"answered by {said[:80]}" if len(received) >= size else f"ended after {len(received)} bytes")


def resolve(server: str, name: str, wanted: str, timeout: float = CONNECT_TIMEOUT) -> Attempt:
    """Ask a DNS server once.

    Parameters
    ----------
    wanted : str
        The address that must be in the answer; empty accepts any.
    """
    try:
        answer = ask(server, name, timeout=timeout, tries=1)
    except DnsError as error:
        return Attempt(False, error.message)
    if wanted and wanted not in answer.addresses:
        return Attempt(False, f"{name} is {', '.join(answer.addresses)}, not {wanted}")
    return Attempt(True, f"{name} is {', '.join(answer.addresses)}")


def settle(paths: Sequence[Path], deadline: float, pause: float = 0.2, workers: int = 32) -> list[Outcome]:
    """Try all paths side by side, again and again, until each is as it must be or the deadline has passed.

    Parameters
    ----------
    deadline : float
        On the clock of :func:`time.monotonic`. Every path is tried once at least.
    pause : float
        Seconds between an attempt and the next on the same path, where it was not as wanted.
    """
    if not paths:
        return []
    with ThreadPoolExecutor(min(workers, len(paths))) as pool:
        return list(pool.map(lambda path: _settle_one(path, deadline, pause), paths))


def _settle_one(path: Path, deadline: float, pause: float) -> Outcome:
    needed, seen = (1 if path.must_pass else BLOCKED_TWICE), 0
    while True:
        attempt = path.attempt()
        seen = seen + 1 if attempt.passed == path.must_pass else 0
        if seen >= needed or time.monotonic() >= deadline:
            return Outcome(path.label, path.must_pass, seen >= needed, attempt.detail)
        if not seen:
            time.sleep(pause)
