# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API server's clock, as told by the C(Date) of its answers.

Times that are written into objects outlive the daemon that wrote them, so they must not depend on the clock of its host.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from .client import Answer

# C(Date) has whole seconds: differences up to this are no news.
_GRAIN = 1.0
STEP = 10.0
"""Seconds by which a clock goes wrong at once, above which it has been set. The clocks of several API servers may differ by half of it."""


class ServerClock:
    """Tells the API server's time; the host's own until it has answered once.

    Parameters
    ----------
    wall : callable
        The host's clock, seconds since 1970.
    """

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self.skew: float | None = None
        """Seconds that the host's clock is ahead; None before the first answer."""

    def learn(self, answer: Answer) -> None:
        """Take the time from an answer."""
        skew = answer.skew
        if skew is not None and (self.skew is None or abs(skew - self.skew) > _GRAIN):
            self.skew = skew

    def now(self) -> float:
        """Return seconds since 1970."""
        return self._wall() - (self.skew or 0.0)


class Steps:
    """Notices that a clock has been set, or that what it belongs to was stopped, by a clock that nobody sets."""

    def __init__(self) -> None:
        self.last = float("-inf")
        """When that was, seconds of the clock that nobody sets."""
        self._ahead: float | None = None

    def look(self, now: float, monotonic: float) -> float:
        """Compare the two clocks; return the seconds by which the first was set since the last look, 0 if it was not.

        Parameters
        ----------
        now : float
            The clock in question.
        monotonic : float
            The other one, at the same moment.
        """
        ahead = now - monotonic
        step = 0.0 if self._ahead is None else ahead - self._ahead
        self._ahead = ahead
        if abs(step) <= STEP:
            return 0.0
        self.last = monotonic
        return step
