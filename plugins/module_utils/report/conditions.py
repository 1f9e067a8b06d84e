# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a condition of a report is true: thresholds with hysteresis.

A pure state machine over samples. A condition becomes true after some bad samples in a row, and false again once all samples
of some time lie beyond a second, easier threshold. A reading that is unknown sets nothing and clears nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..api.times import format_time, parse_time
from .schema import FALSE, MESSAGE_LENGTH, TRUE, UNKNOWN
from .settings import Settings

BAD = "bad"
GOOD = "good"
BETWEEN = "between"
"""Neither bad enough to set a condition nor good enough to clear it."""

_NORMAL = "Normal"


@dataclass(frozen=True)
class Signal:
    """What one sample says to a condition.

    Parameters
    ----------
    level : str
        :data:`BAD`, :data:`BETWEEN`, :data:`GOOD` or :data:`UNKNOWN`.
    message : str
        The numbers, for people.
    reason : str
        One word: why the level is bad or unknown.
    """

    level: str
    message: str
    reason: str


@dataclass(frozen=True)
class Condition:
    """One condition, and what its next change depends on.

    Parameters
    ----------
    type : str
        Its name.
    status : str
        C(True), C(False) or C(Unknown).
    since : float
        Seconds since the epoch: its last change.
    reason, message : str
        For people.
    latched : str
        C(True) or C(False): what it was when last known; C(Unknown) if it never was.
    streak : int
        Bad samples in a row, or unknown ones (negative).
    good_since : float or None
        Monotonic seconds: since when all samples have been good.
    """

    type: str
    status: str = UNKNOWN
    since: float = 0.0
    reason: str = "NoSample"
    message: str = ""
    latched: str = UNKNOWN
    streak: int = field(default=0, compare=False)
    good_since: float | None = field(default=None, compare=False)

    def next(self, signal: Signal, monotonic: float, wall: float, settings: Settings) -> Condition:
        """Return the condition after one more sample.

        Parameters
        ----------
        signal : Signal
            What the sample says.
        monotonic : float
            When it was taken, seconds of a clock that is never set.
        wall : float
            The same, seconds since the epoch.
        settings : Settings
            How many samples and seconds it takes.
        """
        streak, good_since, latched = 0, None, self.latched
        if signal.level == UNKNOWN:
            streak = min(self.streak, 0) - 1
        elif signal.level == BAD:
            streak = max(self.streak, 0) + 1
            if streak >= settings.samples:
                latched = TRUE
        elif signal.level == GOOD:
            good_since = monotonic if self.good_since is None else self.good_since
            if latched != TRUE or monotonic - good_since >= settings.clear_seconds:
                latched = FALSE
        elif latched == UNKNOWN:
            latched = FALSE
        status = latched
        if -streak >= settings.samples:
            status = UNKNOWN
        return replace(
            self,
            status=status,
            since=self.since if status == self.status and self.since else wall,
            reason=_reason(status, signal),
            message=signal.message,
            latched=latched,
            streak=streak,
            good_since=good_since,
        )

    def restored(self, stored: Mapping[str, Any]) -> Condition:
        """Return the condition continued from a stored report's entry, so that a restart of the reporter is no change."""
        status = stored.get("status")
        try:
            since = parse_time(str(stored["lastTransitionTime"]))
        except (KeyError, ValueError):
            return self
        if self.latched == UNKNOWN and status in (TRUE, FALSE):
            return replace(self, status=status, latched=status, since=since)
        return replace(self, since=since) if status == self.status else self

    def to_dict(self) -> dict[str, str]:
        """Return the entry of C(status.conditions); one that is plainly false needs no reason and no message."""
        said = {"reason": self.reason, "message": self.message[:MESSAGE_LENGTH]} if self.reason != _NORMAL else {}
        return {"type": self.type, "status": self.status, **said, "lastTransitionTime": format_time(self.since, 0)}


def _reason(status: str, signal: Signal) -> str:
    if signal.level == UNKNOWN:
        return signal.reason
    if status == TRUE:
        return "Recovering" if signal.level == GOOD else signal.reason
    return "Pending" if signal.level == BAD else _NORMAL


def share_signal(percent: float | None, numbers: str, threshold: float, clear: float, reason: str, missing: str) -> Signal:
    """Return the signal of a share that must stay below a threshold.

    Parameters
    ----------
    percent : float or None
        The share; None if it is unknown.
    numbers : str
        What it was made of.
    threshold, clear : float
        Bad from C(threshold) on, good below C(threshold - clear).
    reason : str
        Reason while it is bad.
    missing : str
        Message while it is unknown.
    """
    if percent is None:
        return Signal(UNKNOWN, missing, "NoReading")
    level = BAD if percent >= threshold else GOOD if percent < threshold - clear else BETWEEN
    return Signal(level, f"{numbers} is {percent:.1f}%, limit {threshold:g}%", reason)


def disk_signal(available: Iterable[tuple[str, float | None]], threshold: float, clear: float) -> Signal:
    """Return the signal of the filesystem with the least available share.

    A filesystem that could not be read makes the whole unknown, unless another one is bad already.

    Parameters
    ----------
    available : iterable of (str, float or None)
        Mount point and available share of the capacity in percent.
    threshold, clear : float
        Bad below C(threshold), good from C(threshold + clear) on.
    """
    filesystems = list(available)
    known = [(percent, mountpoint) for mountpoint, percent in filesystems if percent is not None]
    if known:
        percent, mountpoint = min(known)
        message = f"{mountpoint} has {percent:.1f}% available, limit {threshold:g}%"
        if percent < threshold:
            return Signal(BAD, message, "LittleSpace")
        if len(known) == len(filesystems):
            return Signal(GOOD if percent >= threshold + clear else BETWEEN, message, "LittleSpace")
    unread = ", ".join(mountpoint for mountpoint, percent in filesystems if percent is None)
    return Signal(UNKNOWN, f"{unread or 'no filesystem'} could not be read", "NoReading")


def runtime_signal(ready: bool | None, network_ready: bool | None, message: str) -> Signal:
    """Return the signal of the runtime's own word; one that does not answer at all (both are None, with an error) is unhealthy."""
    text = " ".join(message.split())
    if ready is None and network_ready is None:
        if text:
            return Signal(BAD, text, "NoAnswer")
        return Signal(UNKNOWN, "the runtime says nothing of its state", "NoReading")
    if ready is False or network_ready is False:
        return Signal(BAD, text or "no reason given", "RuntimeNotReady" if ready is False else "NetworkNotReady")
    if ready is None or network_ready is None:
        return Signal(UNKNOWN, f"{'RuntimeReady' if ready is None else 'NetworkReady'} is not reported", "NoReading")
    return Signal(GOOD, "runtime and network are ready", "")
