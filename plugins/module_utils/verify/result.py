# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a check says, and what many checks say together."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

OK = "ok"
WARN = "warn"
FAIL = "fail"
UNKNOWN = "unknown"

STATUSES = (OK, WARN, FAIL, UNKNOWN)

# Worst last. An unknown outranks a warning (nothing is known to be right) and a failure outranks both.
_RANK = {OK: 0, WARN: 1, UNKNOWN: 2, FAIL: 3}

CLUSTER = "cluster"
"""The C(node) of a result that belongs to no single node."""


@dataclass(frozen=True)
class Result:
    """One check's answer.

    Parameters
    ----------
    check : str
        What was looked at, as C(group.name); the group decides the table's column.
    node : str
        Name of the Node, or :data:`CLUSTER`.
    status : str
        One of :data:`STATUSES`. C(unknown) means it could not be found out, and is never a success.
    expected, observed : str
        The two readings that were compared.
    hint : str
        What to look at next; empty for a success.
    tolerance : str
        How far apart the readings may be; empty if they must be equal or nothing is measured.
    sources : tuple of str
        Where the readings came from.
    """

    check: str
    node: str
    status: str
    expected: str = ""
    observed: str = ""
    hint: str = ""
    tolerance: str = ""
    sources: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        """The part of the check's name before the dot."""
        return self.check.partition(".")[0]

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain data, for JSON and for module results."""
        return {**asdict(self), "sources": list(self.sources)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Result:
        """Return the result that :meth:`to_dict` wrote.

        Raises
        ------
        ValueError
            A key is missing or the status is none of :data:`STATUSES`.
        """
        missing = [key for key in ("check", "node", "status") if not data.get(key)]
        if missing:
            raise ValueError(f"a check's result lacks {', '.join(missing)}: {dict(data)}")
        if data["status"] not in STATUSES:
            raise ValueError(f"{data['status']!r} is not a status; known are {', '.join(STATUSES)}")
        texts = {key: str(data.get(key, "")) for key in cls.__dataclass_fields__ if key != "sources"}
        return cls(**texts, sources=tuple(str(source) for source in data.get("sources") or ()))


def compare(check: str, node: str, expected: str, observed: str | None, hint: str, error: str = "") -> Result:
    """Return ok if both readings are equal, fail if they differ, unknown if nothing was read.

    Parameters
    ----------
    observed : str or None
        None when the reading could not be taken; then C(error) says why.
    """
    if observed is None:
        return Result(check, node, UNKNOWN, expected, f"could not be read: {error}" if error else "could not be read", hint)
    if observed == expected:
        return Result(check, node, OK, expected, observed)
    return Result(check, node, FAIL, expected, observed or "nothing", hint)


def worst(statuses: Iterable[str]) -> str:
    """Return the worst status; nothing at all is unknown, for nothing was checked."""
    return max(statuses, key=lambda status: _RANK[status], default=UNKNOWN)


def judged(results: Iterable[Result], scope: Collection[str]) -> list[Result]:
    """Return the results that decide: those of the cluster and of the nodes in scope."""
    return [result for result in results if result.node == CLUSTER or result.node in scope]


def verdict(results: Iterable[Result], scope: Collection[str]) -> str:
    """Return C(pass) or C(fail).

    A failure or an unknown in scope fails, a warning does not. No results at all fail too.
    """
    return "pass" if worst(result.status for result in judged(results, scope)) in (OK, WARN) else "fail"


def lines(results: Iterable[Result]) -> list[str]:
    """Return a line for each result that is not ok, the worst first."""
    bad = sorted((result for result in results if result.status != OK), key=lambda result: -_RANK[result.status])
    return [f"{result.status} {result.check}: expected {result.expected}; observed {result.observed}" for result in bad]


def counts(results: Iterable[Result]) -> dict[str, int]:
    """Return how many results have each status, every status named."""
    total = dict.fromkeys(STATUSES, 0)
    for result in results:
        total[result.status] += 1
    return total


def counted(number: int, noun: str) -> str:
    """Return C(1 node), C(2 nodes)."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
