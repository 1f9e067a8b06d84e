# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator may set of a report: when it is written, and when a condition is true."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..errors import NodewiseError

_SHARES = ("cpu_percent", "memory_percent", "disk_available_percent")


@dataclass(frozen=True)
class Settings:
    """Seconds and percents; the defaults are the product's.

    Parameters
    ----------
    sample_seconds : float
        The host and its runtime are read this often.
    publish_seconds : float
        A report is written this often, whatever happens.
    jitter_percent : float
        A node's own period is up to this much shorter or longer, always the same for the same name.
    min_gap_seconds : float
        No two reports are closer than this.
    valid_seconds : float
        A report says nothing any more this long after its sample.
    backoff_cap_seconds : float
        Longest pause after a write that failed.
    request_seconds : float
        Longest time that one request may take.
    cpu_percent, memory_percent : float
        Overloaded from this share of allocatable on.
    disk_available_percent : float
        Nearly full below this share of a filesystem's capacity.
    samples : int
        A condition becomes true, or unknown, after this many samples in a row that say so.
    clear_percent, clear_disk_percent : float
        A condition clears this many points beyond its threshold ...
    clear_seconds : float
        ... once it has been there for this long.

    Raises
    ------
    NodewiseError
        A value is out of its range, or contradicts another one.
    """

    sample_seconds: float = 10.0
    publish_seconds: float = 60.0
    jitter_percent: float = 20.0
    min_gap_seconds: float = 15.0
    valid_seconds: float = 180.0
    backoff_cap_seconds: float = 300.0
    request_seconds: float = 10.0
    cpu_percent: float = 85.0
    memory_percent: float = 90.0
    disk_available_percent: float = 15.0
    samples: int = 2
    clear_percent: float = 10.0
    clear_disk_percent: float = 3.0
    clear_seconds: float = 60.0

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            if isinstance(value, bool) or not isinstance(value, int | float) or (entry.type == "int" and int(value) != value):
                raise NodewiseError(f"{entry.name} is {value!r}, which is not a {'whole ' if entry.type == 'int' else ''}number.", "write a plain number")
        self._range("sample_seconds", 1, 60)
        self._range("publish_seconds", self.sample_seconds, 3600, "sample_seconds")
        self._range("jitter_percent", 0, 50)
        self._range("min_gap_seconds", 1, self.publish_seconds, "", "publish_seconds")
        # The longest regular pause: a report may come min_gap_seconds before its time and be left out then.
        longest = self.publish_seconds * (1 + self.jitter_percent / 100) + self.min_gap_seconds
        self._range("valid_seconds", max(2 * self.publish_seconds, longest), 86400, "2 x publish_seconds and a period with its jitter and min_gap_seconds")
        self._range("backoff_cap_seconds", 1, 3600)
        self._range("request_seconds", 1, 60)
        for name in _SHARES:
            self._range(name, 1, 99)
        self._range("samples", 1, 10)
        self._range("clear_percent", 0, min(self.cpu_percent, self.memory_percent) - 1, "", "cpu_percent and memory_percent less 1")
        self._range("clear_disk_percent", 0, 99 - self.disk_available_percent, "", "99 less disk_available_percent")
        self._range("clear_seconds", 0, 3600)

    def _range(self, name: str, low: float, high: float, low_name: str = "", high_name: str = "") -> None:
        value = getattr(self, name)
        if not low <= value <= high:
            lowest = f"{low:g}" + (f" ({low_name})" if low_name else "")
            highest = f"{high:g}" + (f" ({high_name})" if high_name else "")
            raise NodewiseError(f"{name} is {value:g}.", f"set it between {lowest} and {highest}")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Settings:
        """Return the settings of a configuration; what it leaves out has its default.

        Raises
        ------
        NodewiseError
            A name is not known, or a value is not allowed.
        """
        known = [entry.name for entry in fields(cls)]
        for name in values:
            if name not in known:
                raise NodewiseError(f"{name} is not a setting of a report.", f"use one of {', '.join(known)}")
        return cls(**values)
