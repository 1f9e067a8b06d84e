# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster's consumption as a person reads it. What is unknown is a question mark, never a 0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .amounts import CPU, MEMORY, PODS
from .result import Row, amount, share

_GAP = "  "
_UNKNOWN = "?"
_LONGEST_NAME = 40
_BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
_SOURCES = {"NodeReport": "report", "metrics API": "metrics", "kubelet Summary": "summary"}

# What stands left; all else are figures and stands right.
_LEFT = frozenset({"NODE", "NAMESPACE", "STATE", "SOURCE", "FULLEST QUOTA"})


def table(nodes: Sequence[Row] | None, namespaces: Sequence[Row], totals: Row, errors: Mapping[str, str], most: int) -> list[str]:
    """Return the lines: nodes, namespaces, and what could not be read.

    Parameters
    ----------
    nodes, namespaces, totals
        As :mod:`.result` gives them.
    errors : mapping
        By kind: why it could not be read.
    most : int
        Nodes and namespaces to show at most; 0 shows all. The totals are of all.
    """
    blocks = [
        _unknown("nodes", errors) if nodes is None else _table([_node(row) for row in _first(nodes, most)], _all_nodes(totals), len(nodes), "nodes"),
        _table([_namespace(row) for row in _first(namespaces, most)], _all_namespaces(totals), len(namespaces), "namespaces"),
        [f"unknown: {kind}: {reason}" for kind, reason in errors.items()],
    ]
    lines: list[str] = []
    for block in filter(None, blocks):
        lines += ["", *block] if lines else block
    return lines


def cores(millicores: int | None) -> str:
    """Return millicores as cores, two decimals at most."""
    return _UNKNOWN if millicores is None else f"{millicores / 1000:.2f}".rstrip("0").rstrip(".")


def size(count: int | None) -> str:
    """Return bytes with three digits or four and a binary suffix."""
    if count is None:
        return _UNKNOWN
    number, power = float(abs(count)), 0
    while number >= 1000 and power < len(_BINARY) - 1:
        number, power = number / 1024, power + 1
    text = f"{number:.1f}" if power and number < 99.95 else f"{number:.0f}"
    return f"{'-' if count < 0 else ''}{text}{_BINARY[power]}"


def _node(row: Row) -> dict[str, str]:
    cpu, memory = row["used"][CPU], row["used"][MEMORY]
    # CPU and memory come from one source as a rule; the table names the older figure's.
    known = [figure for figure in (cpu, memory) if figure["value"] is not None]
    oldest = max(known, key=lambda figure: figure["age_seconds"], default=None)
    return {
        "NODE": _clip(row["name"]),
        "STATE": _state(row),
        **_consumed("CPU", cores, row, CPU, cpu["value"], row["slack"][CPU]),
        **_consumed("MEMORY", size, row, MEMORY, memory["value"], row["slack"][MEMORY]),
        "PODS": f"{_UNKNOWN if row['pods'] is None else row['pods']}/{row['allocatable'].get(PODS, _UNKNOWN)}",
        "SOURCE": _SOURCES[oldest["source"]] if oldest else _UNKNOWN,
        "AGE": f"{oldest['age_seconds']:.0f}s" if oldest else _UNKNOWN,
    }


def _consumed(title: str, form: Any, row: Row, resource: str, used: int | None, slack: int | None) -> dict[str, str]:
    """Return one resource's columns; USE%, REQ% and LIM% are shares of allocatable."""
    whole = row["allocatable"].get(resource)
    initial = title[0]
    return {
        title: form(whole),
        f"{initial}-USE%": _percent(share(used, whole)),
        f"{initial}-REQ%": _percent(share(amount(row["requested"], resource), whole)),
        f"{initial}-LIM%": _percent(share(amount(row["limits"], resource), whole)),
        f"{initial}-SLACK": form(slack),
    }


def _all_nodes(totals: Row) -> dict[str, str]:
    number = totals["nodes"]
    row = {"allocatable": totals["allocatable"], "requested": totals["requested"], "limits": totals["limits"]}

    def whole_sum(figures: Mapping[str, Any]) -> int | None:
        """Return a sum, unless a node is missing in it."""
        value: int | None = figures["value"]
        return value if figures["nodes"] == number else None

    used, slack = totals["used"], totals["slack"]
    return {
        "NODE": "TOTAL",
        **_consumed("CPU", cores, row, CPU, whole_sum(used[CPU]), whole_sum(slack[CPU])),
        **_consumed("MEMORY", size, row, MEMORY, whole_sum(used[MEMORY]), whole_sum(slack[MEMORY])),
        "PODS": f"{_number(totals['pods'])}/{totals['allocatable'].get(PODS, _UNKNOWN)}",
    }


def _namespace(row: Row) -> dict[str, str]:
    return {"NAMESPACE": _clip(row["name"]), **_contents(row), "FULLEST QUOTA": _fullest(row["quotas"])}


def _all_namespaces(totals: Row) -> dict[str, str]:
    return {"NAMESPACE": "TOTAL", **_contents(totals)}


def _contents(row: Row) -> dict[str, str]:
    return {
        "PODS": _number(row["pods"]),
        "ENDED": _number(row["terminated_pods"]),
        "C-REQ": cores(amount(row["requested"], CPU)),
        "C-LIM": cores(amount(row["limits"], CPU)),
        "M-REQ": size(amount(row["requested"], MEMORY)),
        "M-LIM": size(amount(row["limits"], MEMORY)),
        "SVC": _number(row["services"]),
        "LB": _number(row["load_balancers"]),
        "SECRETS": _number(row["secrets"]),
        "PVC": _number(row["persistent_volume_claims"]),
        "RC": _number(row["replication_controllers"]),
        "DEPLOY": _number(row["deployments"]),
    }


def _fullest(quotas: Sequence[Row] | None) -> str:
    """Return the part of all quotas that is nearest to its end; one that is not counted yet is unknown, and may be nearer."""
    if quotas is None:
        return _UNKNOWN
    parts = [(part["percent"], quota["name"], resource, part) for quota in quotas for resource, part in quota["resources"].items()]
    if not parts:
        return "-"
    known = [part for part in parts if part[0] is not None]
    if not known:
        return _UNKNOWN
    percent, name, resource, part = max(known, key=lambda part: part[0])
    text = f"{percent:.0f}% {resource} {part['used']}/{part['hard']} ({name})"
    unknown = [f"{resource} ({name})" for percent, name, resource, _part in parts if percent is None]
    if unknown:
        text += f", {_UNKNOWN} {unknown[0]}" + (f" and {len(unknown) - 1} more" if len(unknown) > 1 else "")
    return text


def _state(row: Row) -> str:
    state = {True: "ready", False: "NOT READY", None: "UNKNOWN"}[row["ready"]]
    return f"{state}, cordoned" if row["unschedulable"] else state


def _table(rows: Sequence[Mapping[str, str]], total: Mapping[str, str], number: int, what: str) -> list[str]:
    titles = list(rows[0]) if rows else list(total)
    lines = [{title: title for title in titles}, *rows, total]
    widths = {title: max(len(line.get(title, "")) for line in lines) for title in titles}
    text = [
        _GAP.join(line.get(title, "").ljust(widths[title]) if title in _LEFT else line.get(title, "").rjust(widths[title]) for title in titles).rstrip()
        for line in lines
    ]
    if len(rows) < number:
        text.insert(-1, f"... {number - len(rows)} more {what} (table_rows)")
    return text


def _unknown(kind: str, errors: Mapping[str, str]) -> list[str]:
    return [f"{kind}: {_UNKNOWN} ({errors.get(kind, 'not read')})"]


def _first(rows: Sequence[Row], most: int) -> Sequence[Row]:
    return rows[:most] if most else rows


def _percent(number: float | None) -> str:
    return _UNKNOWN if number is None else f"{number:.0f}%"


def _number(count: int | None) -> str:
    return _UNKNOWN if count is None else str(count)


def _clip(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 2]}.."
