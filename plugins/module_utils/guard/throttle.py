# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast the guard may write: a token bucket, and pauses that the API server asks for or that failures bring."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

_BACKOFF = (1.0, 30.0)


class Throttle:
    """Not for several threads at once.

    Parameters
    ----------
    per_second : int
        Requests in a second; as many may come at once after a quiet second.
    monotonic : callable
        Seconds of a clock that is never set.
    """

    def __init__(self, per_second: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._rate = float(per_second)
        self._monotonic = monotonic
        self._tokens = float(per_second)
        self._filled = monotonic()
        self._paused_until = float("-inf")
        self._failures = 0

    def take(self) -> bool:
        """Take the right to one request; False if there is none now."""
        now = self._monotonic()
        self._tokens = min(self._rate, self._tokens + (now - self._filled) * self._rate)
        self._filled = now
        if now < self._paused_until or self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    @property
    def paused(self) -> bool:
        """Whether a pause lasts."""
        return self._monotonic() < self._paused_until

    def succeeded(self) -> None:
        """Note that the API server works."""
        self._failures = 0

    def failed(self, retry_after: float | None) -> None:
        """Pause: as long as the API server asks for, at least, else with exponential backoff and full jitter."""
        self._failures += 1
        pause = random.uniform(0, min(_BACKOFF[0] * 2**self._failures, _BACKOFF[1]))
        self._paused_until = self._monotonic() + max(pause, retry_after or 0.0)
