# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verification as a person reads it, and as JUnit and JSON readers do."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from xml.etree import ElementTree

from .checks import HOST_CHECKS
from .result import CLUSTER, FAIL, OK, UNKNOWN, WARN, Result, counted, counts, judged, verdict, worst
from .traffic import ACTIVE_CHECKS

WIDTH = 120
"""Columns of a line at most."""

_GAP = "  "
_MARKS = {OK: "", WARN: " ~", UNKNOWN: " ?", FAIL: " !"}
_WORDS = {OK: "ok", WARN: "warning", UNKNOWN: "unknown", FAIL: "FAILED"}

# By the worst of the checks of admission; without any nothing is said.
_ADMISSION: dict[str | None, str] = {OK: "admission works", WARN: "admission works", UNKNOWN: "ADMISSION NOT PROVED", FAIL: "ADMISSION FAILED"}

# Column, the key of the row's fact in it, and the groups of checks whose worst status marks it.
_COLUMNS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("NODE", "name", ()),
    ("ROLE", "role", ()),
    ("READY", "ready", ("node",)),
    ("KUBELET", "kubelet", ("kubelet",)),
    ("RUNTIME", "runtime", ("runtime",)),
    ("CNI", "cni", ("cni",)),
    ("POD NETWORK", "pod_network", ("network",)),
    ("TRAFFIC", "", ("traffic", "policy")),
    ("DNS", "", ("dns",)),
    ("RESOURCES", "", ("resources",)),
    ("RESULT", "", ()),
)


@dataclass(frozen=True)
class Report:
    """All that one verification found.

    Parameters
    ----------
    cluster_name : str
        May be empty.
    rows : sequence of mapping
        The facts of each node (:class:`.checks.Row` as data).
    results : sequence of Result
        Every check's result.
    scope : collection of str
        The nodes that the verdict is about.
    seconds : float
        How long the reading took.
    """

    cluster_name: str
    rows: Sequence[Mapping[str, str]]
    results: Sequence[Result]
    scope: Collection[str]
    seconds: float

    @property
    def verdict(self) -> str:
        """C(pass) or C(fail)."""
        return verdict(self.results, self.scope)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Report:
        """Return the report from module verify_cluster's result."""
        results = [Result.from_dict(item) for item in data["checks"]]
        return cls(data["cluster_name"], data["nodes"], results, frozenset(data["scope"]), data["seconds"])


def status_of(results: Sequence[Result], node: str, groups: Collection[str] = ()) -> str | None:
    """Return the worst status of a node's results in some groups (none given: in all); None if there is none."""
    found = [result.status for result in results if result.node == node and (not groups or result.group in groups)]
    return worst(found) if found else None


def table(report: Report) -> list[str]:
    """Return the lines of the table, each at most :data:`WIDTH` columns wide."""
    header = [title for title, _key, _groups in _COLUMNS]
    lines = [[_cell(report, row, column) for column in _COLUMNS] for row in report.rows]
    widths = _fit([max(len(line[index]) for line in [header, *lines]) for index in range(len(header))])
    return [_GAP.join(_clip(text, width).ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in [header, *lines]]


def _cell(report: Report, row: Mapping[str, str], column: tuple[str, str, tuple[str, ...]]) -> str:
    title, key, groups = column
    if title == "RESULT":
        status = status_of(report.results, row["name"])
        return _WORDS[status or UNKNOWN] if row["name"] in report.scope else "not judged"
    if not groups:
        return row[key]
    status = status_of(report.results, row["name"], groups)
    if status is None:
        return row[key] if key else "-"
    return f"{row[key]}{_MARKS[status]}" if key else _WORDS[status]


def _fit(widths: list[int]) -> list[int]:
    """Take columns from the widest until all fit."""
    widths = list(widths)
    while sum(widths) + len(_GAP) * (len(widths) - 1) > WIDTH:
        widths[widths.index(max(widths))] -= 1
    return widths


def _clip(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 2]}.."


def headline(report: Report) -> str:
    """Return one line on the cluster itself: each of its checks by name, with what was seen."""
    name = f"Cluster {report.cluster_name}" if report.cluster_name else "Cluster"
    facts = {result.check: result.observed for result in report.results if result.node == CLUSTER and result.status == OK}
    parts = [
        f"Kubernetes {facts['api.version']}" if "api.version" in facts else "",
        "API ready" if "api.ready" in facts else "API NOT READY",
        "control plane ready" if "control-plane.ready" in facts else "CONTROL PLANE NOT READY",
        f"DNS {facts['dns.pods']}" if "dns.pods" in facts else "DNS FAILED",
        f"pool {facts['network.pool']}" if "network.pool" in facts else "",
        _ADMISSION.get(status_of(report.results, CLUSTER, ("admission",)), ""),
    ]
    return f"{name}: {', '.join(part for part in parts if part)}"


# Results that are worth a line even if they are ok, by the beginning of their checks' names, with what to call them.
_TOLD = (("policies.quota.", "Quota "), ("autoscaler.health", "Autoscaler"), ("autoscaler.group.", "Node group "), ("autoscaler.trial", "Autoscaler tried"))


def told(report: Report) -> list[str]:
    """Return a line for each quota, what is used of each of its limits, and for the autoscaler, its node groups and its trial."""
    return [
        line
        for prefix, name in _TOLD
        for result in judged(report.results, report.scope)
        if result.check.startswith(prefix)
        for line in _wrap(f"{name}{result.check.removeprefix(prefix)}{_MARKS[result.status]}: {result.observed}", "      ")
    ]


def problems(report: Report) -> list[str]:
    """Return the lines that list every result that is not ok: failures first, then unknowns, then warnings.

    What is the same on several nodes, or of several checks, is said once.
    """
    lines: list[str] = []
    in_scope = judged(report.results, report.scope)
    for status in (FAIL, UNKNOWN, WARN):
        for nodes, checks, result in _merged([result for result in in_scope if result.status == status]):
            lines += _problem(nodes, checks, result)
    return lines


def _merged(results: Sequence[Result]) -> list[tuple[str, str, Result]]:
    """Return results that say the same as one: names of their nodes, of their checks, and the first of them."""
    by_check: dict[Result, list[str]] = {}
    for result in results:
        by_check.setdefault(replace(result, node=""), []).append(result.node)
    by_nodes: dict[tuple[str, Result], list[str]] = {}
    for result, nodes in by_check.items():
        by_nodes.setdefault((", ".join(nodes), replace(result, check="")), []).append(result.check)
    return [(nodes, ", ".join(checks), result) for (nodes, result), checks in by_nodes.items()]


def _problem(nodes: str, checks: str, result: Result) -> list[str]:
    lines = _wrap(f"{_WORDS[result.status]:<7}  {nodes}  {checks}: {result.observed}", "         ")
    if result.expected:
        tolerance = f" (tolerance: {result.tolerance})" if result.tolerance else ""
        lines += _wrap(f"         expected: {result.expected}{tolerance}", "                   ")
    if result.hint:
        lines += _wrap(f"         look at: {result.hint}", "                  ")
    return lines


def _wrap(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent=indent, break_on_hyphens=False) or [text]


def summary(report: Report) -> str:
    """Return the last line: the verdict and the numbers behind it."""
    number = counts(judged(report.results, report.scope))
    outside = [row["name"] for row in report.rows if row["name"] not in report.scope]
    parts = [
        counted(sum(number.values()), "check"),
        f"{number[FAIL]} failed",
        f"{number[UNKNOWN]} unknown",
        counted(number[WARN], "warning"),
        f"{report.seconds:.1f} s",
    ]
    notes = [
        _not_tried({result.check for result in report.results}),
        f"not in this run, so not judged: {', '.join(outside)}" if outside else "",
    ]
    word = "PASSED" if report.verdict == "pass" else "FAILED"
    return "; ".join([f"{word}: {', '.join(parts)}", *(note for note in notes if note)])


def _not_tried(checks: Collection[str]) -> str:
    """Return what this verification did not look at, and how to make it."""
    if HOST_CHECKS[0] not in checks:
        return "only the API server was asked (playbook verify asks the hosts)"
    notes = []
    if ACTIVE_CHECKS[0] not in checks:
        notes.append("traffic between pods was not tried (-e verify_active=true)")
    if not any(check.startswith("resources") for check in checks):
        notes.append("resources were not compared (-e verify_resources=true)")
    return "; ".join(notes)


def text(report: Report) -> str:
    """Return the whole report in plain text."""
    listed = problems(report)
    blocks = [[headline(report)], table(report), told(report), listed, _wrap(summary(report), "        ")]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def as_json(report: Report) -> str:
    """Return the whole report as JSON."""
    data = {
        "cluster_name": report.cluster_name,
        "verdict": report.verdict,
        "summary": counts(judged(report.results, report.scope)),
        "scope": sorted(report.scope),
        "nodes": [dict(row) for row in report.rows],
        "checks": [result.to_dict() for result in report.results],
        "seconds": report.seconds,
    }
    return json.dumps(data, indent=2) + "\n"


def as_junit(report: Report) -> str:
    """Return the results that decide as JUnit XML: a suite for each node, a case for each check.

    A failure is C(failure), an unknown is C(error); a warning passes and its text is the case's output.
    """
    root = ElementTree.Element("testsuites", name="nodewise.cluster.verify")
    results = judged(report.results, report.scope)
    for node in dict.fromkeys(result.node for result in results):
        own = [result for result in results if result.node == node]
        number = counts(own)
        attributes = {"name": node, "tests": str(len(own)), "failures": str(number[FAIL]), "errors": str(number[UNKNOWN])}
        suite = ElementTree.SubElement(root, "testsuite", attributes)
        for result in own:
            case = ElementTree.SubElement(suite, "testcase", classname=node, name=result.check)
            message = f"expected {result.expected}; observed {result.observed}"
            if result.status in (FAIL, UNKNOWN):
                element = ElementTree.SubElement(case, "failure" if result.status == FAIL else "error", message=message)
                element.text = result.hint
            elif result.status == WARN:
                ElementTree.SubElement(case, "system-out").text = f"{message}. {result.hint}"
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"
