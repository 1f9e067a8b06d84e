# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a node's reports are due.

Each node has its own period and phase, both from its name, on the clock of the day. So thousands of nodes spread over the
period, and go on in the same places when all of them start anew at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from math import ceil

from .settings import Settings

START_SPREAD = 1.0
"""Seconds over which first requests spread when many nodes start at once; a first report is still out within 3 s."""

_FIRST_BACKOFF = 2.0


def period(node: str, settings: Settings) -> float:
    """Return the seconds between two regular reports of a node: C(publish_seconds) with the jitter of its name."""
    return settings.publish_seconds * (1 + settings.jitter_percent / 100 * (2 * _share(node, "period") - 1))


def next_slot(node: str, not_before: float, settings: Settings) -> float:
    """Return the first of a node's regular times (seconds since the epoch) that is not before a given one."""
    length = period(node, settings)
    phase = length * _share(node, "phase")
    return phase + length * ceil((not_before - phase) / length)


def start_delay(node: str) -> float:
    """Return the seconds for which a node waits before its first request."""
    return START_SPREAD * _share(node, "start")


def is_current(observed: float, node: str, now: float, settings: Settings) -> bool:
    """Return whether a report of this time leaves nothing to do before the node's next regular time."""
    return observed <= now < next_slot(node, observed + settings.min_gap_seconds, settings)


def backoff(failures: int, settings: Settings, draw: Callable[[], float]) -> float:
    """Return the pause after a number of failures in a row: exponential, with full jitter.

    Parameters
    ----------
    failures : int
        At least 1.
    settings : Settings
        The longest pause.
    draw : callable
        Returns a random number in C([0, 1)).
    """
    return draw() * min(settings.backoff_cap_seconds, _FIRST_BACKOFF * 2.0 ** min(failures - 1, 20))


def _share(node: str, purpose: str) -> float:
    """Return a number in C([0, 1)), always the same for a node and a purpose."""
    return int.from_bytes(hashlib.sha256(f"{purpose}/{node}".encode()).digest()[:6], "big") / 2**48
