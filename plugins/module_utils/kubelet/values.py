# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Durations as Kubernetes writes them.

kubeadm passes the kubelet's configuration through Go's types, so C(2m) comes back as
C(2m0s): values are brought into Go's form before anything is compared.
"""

from __future__ import annotations

import re
from fractions import Fraction

_DURATION = re.compile(r"([+-]?)((?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+")
_DURATION_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_NANOSECONDS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


def parse_duration(text: str) -> int:
    """Return the nanoseconds of a Go duration such as C(1m30s) or C(100ms).

    Raises
    ------
    ValueError
        The text is not a duration; a number other than 0 needs a unit.
    """
    if text in ("0", "+0", "-0"):
        return 0
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is not a duration such as '30s', '2m' or '1h30m'")
    total = sum((Fraction(number.rstrip(".")) * _NANOSECONDS[unit] for number, unit in _DURATION_PART.findall(text)), Fraction(0))
    return -int(total) if text.startswith("-") else int(total)


def format_duration(nanoseconds: int) -> str:
    """Return a duration as Go prints it: C(2m0s), C(1.5s), C(100ms), C(0s)."""
    sign = "-" if nanoseconds < 0 else ""
    rest = abs(nanoseconds)
    if rest == 0:
        return "0s"
    for unit, size in (("ns", 1), ("µs", 10**3), ("ms", 10**6)):
        if rest < size * 1000:
            return f"{sign}{_decimal(Fraction(rest, size))}{unit}"
    hours, rest = divmod(rest, 3600 * 10**9)
    minutes, rest = divmod(rest, 60 * 10**9)
    seconds = f"{_decimal(Fraction(rest, 10**9))}s"
    if hours:
        return f"{sign}{hours}h{minutes}m{seconds}"
    return f"{sign}{minutes}m{seconds}" if minutes else f"{sign}{seconds}"


def _decimal(value: Fraction) -> str:
    # Exact: the parts of a duration have at most nine decimals.
    whole, rest = divmod(value, 1)
    decimals = f"{int(rest * 10**9):09d}".rstrip("0")
    return f"{whole}.{decimals}" if decimals else str(whole)
