# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Times as the API writes them: RFC 3339."""

from __future__ import annotations

from datetime import UTC, datetime


def format_time(seconds: float, digits: int = 6) -> str:
    """Return seconds since the epoch as RFC 3339 in UTC, with 0 or 6 digits of a second."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="microseconds" if digits else "seconds").replace("+00:00", "Z")


def parse_time(text: str) -> float:
    """Return seconds since the epoch of an RFC 3339 time.

    Raises
    ------
    ValueError
        The text is no time, or one without a zone.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment.timestamp()


def time_or_none(text: str | None) -> float | None:
    """Return seconds since the epoch of an RFC 3339 time; None if there is none, it is no time, or one without a zone."""
    try:
        return parse_time(text or "")
    except ValueError:
        return None
