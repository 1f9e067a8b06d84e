# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator may set of the guard's decisions, and within which bounds."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ..errors import NodewiseError
from .model import CAUSES, CPU, DISK, MEMORY, UNKNOWN

OFF = "off"
PREFER, FORBID = "PreferNoSchedule", "NoSchedule"
EFFECTS = (OFF, PREFER, FORBID)
KEEP, CLEAR, TAINT = "keep", "clear", "taint"
POLICIES = (KEEP, CLEAR, TAINT)

DEFAULT_EFFECTS = {CPU: PREFER, MEMORY: PREFER, DISK: FORBID}


@dataclass(frozen=True)
class Settings:
    """How the guard decides; the defaults are the product's.

    Parameters
    ----------
    effects : Mapping
        For each cause the taint's effect, or C(off).
    unknown : str
        What becomes of the taint of a node whose report is stale or missing: C(keep), C(clear), or C(taint), which
        sets one (value C(unknown), PreferNoSchedule) where there is none.
    max_tainted_percent : int
        Of the schedulable nodes of a pool at most this share is tainted, rounded down.
    hold_seconds : float
        A taint stays this long at least.
    gap_seconds : float
        A node is not tainted again before its last taint has been gone for this long.
    grace_seconds : float
        A node may be without a report this long. For as long after the guard has found the API server (again), or its clock was set, reports are not stale.
    writes_per_second : int
        Requests that change something, at most.
    dry_run : bool
        Only log and count.

    Raises
    ------
    NodewiseError
        A value is not allowed.
    """

    effects: Mapping[str, str] = field(default_factory=lambda: dict(DEFAULT_EFFECTS))
    unknown: str = CLEAR
    max_tainted_percent: int = 50
    hold_seconds: float = 120.0
    gap_seconds: float = 60.0
    grace_seconds: float = 180.0
    writes_per_second: int = 100
    dry_run: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.effects, Mapping) or set(self.effects) != set(CAUSES):
            raise NodewiseError(f"effects is {self.effects!r}.", f"give an effect for each of {', '.join(sorted(CAUSES))}")
        for cause, effect in self.effects.items():
            if effect not in EFFECTS:
                why = "; NoExecute would evict pods that run, which the guard never does" if effect == "NoExecute" else ""
                raise NodewiseError(f"effects.{cause} is {effect!r}.", f"use one of {', '.join(EFFECTS)}{why}")
        if self.unknown not in POLICIES:
            raise NodewiseError(f"unknown is {self.unknown!r}.", f"use one of {', '.join(POLICIES)}")
        if not isinstance(self.dry_run, bool):
            raise NodewiseError(f"dry_run is {self.dry_run!r}.", "use true or false")
        self._range("max_tainted_percent", 1, 100)
        self._range("hold_seconds", 0, 86400)
        self._range("gap_seconds", 0, 86400)
        self._range("grace_seconds", 60, 3600)
        self._range("writes_per_second", 1, 1000)

    def _range(self, name: str, low: float, high: float) -> None:
        value = getattr(self, name)
        whole = next(entry.type for entry in fields(self) if entry.name == name) == "int"
        if isinstance(value, bool) or not isinstance(value, int | float) or (whole and int(value) != value):
            raise NodewiseError(f"{name} is {value!r}, which is not a {'whole ' if whole else ''}number.", "write a plain number")
        if not low <= value <= high:
            raise NodewiseError(f"{name} is {value:g}.", f"set it between {low:g} and {high:g}")

    def effect_of(self, cause: str) -> str:
        """Return the taint's effect for a cause, or C(off)."""
        return PREFER if cause == UNKNOWN else self.effects[cause]

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Settings:
        """Return the settings of a configuration; what it leaves out has its default.

        Raises
        ------
        NodewiseError
            A name is not known, or a value is not allowed.
        """
        check_names(values, [entry.name for entry in fields(cls)])
        effects = values.get("effects", {})
        if isinstance(effects, Mapping):
            check_names(effects, CAUSES, "effects.")
            effects = {**DEFAULT_EFFECTS, **effects}
        return cls(**{**values, "effects": effects})


def check_names(values: Iterable[str], known: Iterable[str], prefix: str = "") -> None:
    """Refuse a name that is not known.

    Raises
    ------
    NodewiseError
        With the nearest name, if one is near.
    """
    choices = list(known)
    for name in values:
        if name not in choices:
            near = difflib.get_close_matches(str(name), choices, n=1)
            raise NodewiseError(f"{prefix}{name} is not known.", f"did you mean {prefix}{near[0]}?" if near else f"use one of {', '.join(choices)}")
