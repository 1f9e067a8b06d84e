# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the page says, as plain values: every share, text and order is decided here, none in the template."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ansible_collections.nodewise.cluster.plugins.module_utils.consumption.amounts import CPU, DISK, MEMORY, PODS
from ansible_collections.nodewise.cluster.plugins.module_utils.consumption.result import amount, share
from ansible_collections.nodewise.cluster.plugins.module_utils.consumption.table import cores, size
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.report import schema
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.result import CLUSTER, FAIL, OK, UNKNOWN, WARN, Result, counted, counts, judged

HIGH = 85.0
"""Percent of use from which a bar is marked; whether a node is overloaded is for its NodeReport to say."""

QUOTA_HIGH = 90.0
"""Percent of a quota from which it needs attention."""

OLD_VERIFICATION = 86400.0
"""Seconds after which a verification needs attention for its age."""

UNKNOWN_TEXT = "unknown"

_SPACE = "\u00a0"  # A unit stays with its number.

SEVERITIES = (FAIL, UNKNOWN, WARN, OK)
"""The worst first."""

_NAMES = 10

RESOURCES = {CPU: "CPU", MEMORY: "Memory", DISK: "Disk"}

# What a condition that is True means. All but one take new pods from the node or end those that it has.
_NODE_PRESSURE = {"MemoryPressure": "Memory pressure", "DiskPressure": "Disk pressure", "PIDPressure": "Process ID pressure"}
_NODE_FAULTS = {**_NODE_PRESSURE, "NetworkUnavailable": "Network unavailable"}
_REPORTED = {
    schema.CPU_OVERLOADED: ("CPU overloaded", WARN),
    schema.MEMORY_OVERLOADED: ("Memory overloaded", WARN),
    schema.DISK_NEARLY_FULL: ("Disk nearly full", WARN),
    schema.RUNTIME_UNHEALTHY: ("Container runtime unhealthy", FAIL),
}

_VERIFIED = {
    FAIL: "Checks of the last verification that failed",
    UNKNOWN: "Checks of the last verification that could not be made",
    WARN: "Checks of the last verification that warn",
}


@dataclass(frozen=True)
class Bar:
    """One resource of a node or of the cluster, as a picture and in words.

    Parameters
    ----------
    label : str
        The resource.
    used, requested : float or None
        Percent of allocatable; None is unknown, and then there is no picture of it.
    percent, whole : str
        C(used) in words, and what it is a share of; empty if that is unknown.
    amounts : sequence of str
        What is used, if that is known, and what is requested, in words.
    note : str
        Why something is unknown, or how old it is.
    stale : bool
        Whether C(used) is the last that is known and says nothing of now.
    """

    label: str
    used: float | None
    requested: float | None
    percent: str
    whole: str
    amounts: Sequence[str]
    note: str = ""
    stale: bool = False

    @property
    def high(self) -> bool:
        """Whether it is marked."""
        return self.used is not None and self.used >= HIGH and not self.stale


@dataclass(frozen=True)
class Signal:
    """Something that a node, or one who looks at it, says is wrong."""

    severity: str
    title: str
    detail: str = ""


@dataclass(frozen=True)
class Node:
    """A row of the nodes."""

    name: str
    anchor: str
    state: str
    pods: str
    bars: Sequence[Bar]
    signals: Sequence[Signal]
    source: str
    taints: Sequence[str]

    @property
    def severity(self) -> str:
        """The worst of its signals."""
        return min((signal.severity for signal in self.signals), key=SEVERITIES.index, default=OK)


@dataclass(frozen=True)
class Entry:
    """Where something is wrong: a name, a link in the page (or none), and the numbers."""

    name: str
    anchor: str = ""
    detail: str = ""


@dataclass
class Item:
    """Something that needs attention, and all places where it does."""

    severity: str
    title: str
    entries: list[Entry] = field(default_factory=list)


@dataclass(frozen=True)
class QuotaPart:
    """One resource of a quota; C(percent) is None if it is not counted yet."""

    quota: str
    resource: str
    text: str
    percent: float | None

    @property
    def high(self) -> bool:
        """Whether it is nearly used up."""
        return self.percent is not None and self.percent >= QUOTA_HIGH


@dataclass(frozen=True)
class Namespace:
    """A row of the namespaces; C(quota) is None if quotas cannot be read."""

    name: str
    anchor: str
    pods: str
    cpu: str
    memory: str
    quota: Sequence[QuotaPart] | None


@dataclass(frozen=True)
class Verification:
    """The last verification; C(rows) are those results that are not ok, the worst first."""

    passed: bool
    at: datetime
    age: float
    summary: str
    rows: Sequence[Result]


@dataclass(frozen=True)
class Page:
    """All of it. C(nodes) is None if they cannot be read."""

    cluster_name: str
    made_at: datetime
    facts: Sequence[tuple[str, str]]
    totals: Sequence[Bar]
    attention: Sequence[Item]
    nodes: Sequence[Node] | None
    namespaces: Sequence[Namespace]
    verification: Verification | None


def build(
    resources: Mapping[str, Any],
    health: Mapping[str, Any],
    cluster_name: str,
    made_at: datetime,
    verification: Mapping[str, Any] | None = None,
    verified_at: datetime | None = None,
) -> Page:
    """Return the page of a cluster.

    Parameters
    ----------
    resources : mapping
        The result of module cluster_resources_info.
    health : mapping
        The result of module node_health_info.
    cluster_name : str
        What to call it.
    made_at : datetime
        Now.
    verification : mapping, optional
        What module verify_cluster wrote as JSON.
    verified_at : datetime, optional
        When; needed with C(verification).

    Raises
    ------
    NodewiseError
        The verification is not one, or of another cluster.
    """
    told = {row["name"]: row for row in health["nodes"] or ()}
    reports_read = health["nodes"] is not None and "nodereports" not in health["errors"]
    rows = resources["nodes"]
    nodes = None if rows is None else _worst_first(_node(f"n{number}", row, told.get(row["name"]), reports_read) for number, row in enumerate(rows))
    namespaces = _fullest_first(_namespace(f"s{number}", row) for number, row in enumerate(resources["namespaces"]))
    verified = None if verification is None else _verification(verification, cluster_name, made_at, verified_at)
    errors = {**health["errors"], **resources["errors"]}
    return Page(
        cluster_name=cluster_name,
        made_at=made_at,
        facts=_facts(rows, resources["totals"]),
        totals=[_total(label, resource, rows) for resource, label in RESOURCES.items()],
        attention=_attention(nodes or (), namespaces, verified, errors, resources["totals"]["unscheduled_pods"]),
        nodes=nodes,
        namespaces=namespaces,
        verification=verified,
    )


def age_text(seconds: float) -> str:
    """Return a length of time with one unit."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length or (unit != "min" and seconds >= length):
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def amount_text(resource: str, value: int | None) -> str:
    """Return an amount with its unit; millicores as cores. What is there but rounds to nothing is not 0."""
    if value is None:
        return UNKNOWN_TEXT
    if resource == CPU:
        # Hundredths say nothing of hundreds.
        value = round(value, -3) if value >= 100_000 else value
        number = cores(value)
        return f"{f'<{_SPACE}0.01' if value > 0 and number == '0' else number}{_SPACE}{'core' if value == 1000 else 'cores'}"
    return re.sub(r"([KMGTPE]i)?$", rf"{_SPACE}\1B", size(value), count=1)


def percent_text(value: float | None) -> str:
    """Return a whole percent; what is there but rounds to nothing is not 0."""
    if value is None:
        return UNKNOWN_TEXT
    return f"<{_SPACE}1{_SPACE}%" if 0 < value < 0.5 else f"{value:.0f}{_SPACE}%"


# -- nodes -------------------------------------------------------------------------------------------------------------


def _node(anchor: str, row: Mapping[str, Any], told: Mapping[str, Any] | None, reports_read: bool) -> Node:
    report = told["report"] if told else None
    bars = [_bar(label, resource, row, report) for resource, label in RESOURCES.items()]
    limit = row["allocatable"].get(PODS)
    return Node(
        name=row["name"],
        anchor=anchor,
        state={True: "Ready", False: "Not ready", None: "Readiness unknown"}[row["ready"]] + (", cordoned" if row["unschedulable"] else ""),
        pods=f"{_number(row['pods'])} of {_number(limit)} pods",
        bars=bars,
        signals=_signals(row, told, reports_read, bars),
        source=_source(row),
        taints=[
            f"{taint['key']}{'=' if taint['value'] else ''}{taint['value']}: {taint['effect']}"
            for taint in (told["taints"] if told else ())
            if taint["key"].startswith(f"{schema.GROUP}/")
        ],
    )


def _bar(label: str, resource: str, row: Mapping[str, Any], report: Mapping[str, Any] | None) -> Bar:
    figure = row["used"][resource]
    whole, requested = row["allocatable"].get(resource), amount(row["requested"], resource)
    value, note, stale = figure["value"], "", False
    if value is None:
        last = report["used"].get(resource) if report and report["fault"] else None
        age = report["age_seconds"] if report else None
        if last is not None and age is not None:
            value, note, stale = last, f"stale: {age_text(age)} old", True
        else:
            note = figure["reason"]
    if resource == DISK and report and not report["fault"] and report["disk_percent"] is not None:
        note = "; ".join(filter(None, (note, f"fullest filesystem {percent_text(report['disk_percent'])}")))
    return _drawn(label, resource, value, requested, whole, note, stale)


def _drawn(label: str, resource: str, used: int | None, requested: int | None, whole: int | None, note: str, stale: bool = False) -> Bar:
    used_share, requested_share = share(used, whole), share(requested, whole)
    share_of = f" ({percent_text(requested_share)})" if requested_share is not None else ""
    words = [f"{amount_text(resource, requested)} requested{share_of}"]
    if used is not None:
        words.insert(0, f"{amount_text(resource, used)} used")
    return Bar(
        label,
        used_share,
        requested_share,
        "Unknown" if used_share is None else percent_text(used_share),
        "" if whole is None else f"of {amount_text(resource, whole)}",
        words,
        note,
        stale,
    )


def _signals(row: Mapping[str, Any], told: Mapping[str, Any] | None, reports_read: bool, bars: Sequence[Bar]) -> list[Signal]:
    """Return what is wrong with a node, the worst first."""
    conditions = {item["type"]: item for item in (told["conditions"] if told else ())}
    ready = conditions.get("Ready", {})
    found: list[Signal] = []
    if row["ready"] is not True:
        found.append(Signal(FAIL, "Not ready" if row["ready"] is False else "Kubelet silent", ready.get("message", "")))
    for kind, title in _NODE_FAULTS.items():
        if conditions.get(kind, {}).get("status") == "True":
            found.append(Signal(FAIL, title, conditions[kind]["message"]))
    report = told["report"] if told else None
    if told is None:
        found.append(Signal(UNKNOWN, "Health unknown", "neither its conditions nor its NodeReport could be read"))
    elif report and report["fault"]:
        found.append(Signal(UNKNOWN, "NodeReport stale", _stale_text(report)))
    elif report:
        found += _reported(report["conditions"])
    elif reports_read:
        found.append(Signal(UNKNOWN, "No NodeReport", "is nodewise-reporter running there?"))
    missing = [row.label for row in bars if row.used is None]
    if missing and not any(signal.severity == UNKNOWN for signal in found):
        found.append(Signal(UNKNOWN, "Use unknown", f"{', '.join(missing)}: {next(row.note for row in bars if row.used is None)}"))
    return sorted(found, key=lambda signal: SEVERITIES.index(signal.severity))


def _reported(conditions: Iterable[Mapping[str, str]]) -> list[Signal]:
    found = []
    for item in conditions:
        title, severity = _REPORTED.get(item["type"], (item["type"], WARN))
        if item["status"] == "True":
            found.append(Signal(severity, title, item["message"]))
        elif item["status"] != "False":
            found.append(Signal(UNKNOWN, f"{title}: unknown", item["message"]))
    return found


def _stale_text(report: Mapping[str, Any]) -> str:
    age = report["age_seconds"]
    return report["fault"] if age is None or " old" not in report["fault"] else f"{age_text(age)} old"


def _source(row: Mapping[str, Any]) -> str:
    """Return by whom and when the figures were told."""
    known = [figure for figure in row["used"].values() if figure["value"] is not None]
    if not known:
        return "no current figures"
    oldest = max(known, key=lambda figure: figure["age_seconds"])
    return f"{', '.join(sorted({figure['source'] for figure in known}))}, {age_text(oldest['age_seconds'])} ago"


def _worst_first(nodes: Iterable[Node]) -> list[Node]:
    def key(node: Node) -> tuple[int, float, str]:
        return SEVERITIES.index(node.severity), -max((row.used or 0.0 for row in node.bars if not row.stale), default=0.0), node.name

    return sorted(nodes, key=key)


# -- the cluster -------------------------------------------------------------------------------------------------------


def _facts(rows: Sequence[Mapping[str, Any]] | None, totals: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what is said in numbers alone."""
    ready = UNKNOWN_TEXT if rows is None else f"{sum(row['ready'] is True for row in rows)} of {len(rows)}"
    pods = _number(totals["pods"])
    return [("Nodes ready", ready), ("Pods", pods), ("Namespaces", _number(totals["namespaces"]))]


def _total(label: str, resource: str, rows: Sequence[Mapping[str, Any]] | None) -> Bar:
    """Return a resource of all nodes; what is used is of those nodes only of which it is known, and so is what it is a share of."""
    known = [row for row in rows or () if row["used"][resource]["value"] is not None and row["allocatable"].get(resource) is not None]
    complete = rows is not None and len(known) == len(rows)
    counted_rows = known or rows or ()
    used = sum(row["used"][resource]["value"] for row in known) if known else None
    note = "" if complete or rows is None else f"known of {len(known)} of {counted(len(rows), 'node')}; the others are left out"
    requested = _sum(amount(row["requested"], resource) for row in counted_rows) if counted_rows else None
    return _drawn(label, resource, used, requested, _whole(counted_rows, resource), note)


def _whole(rows: Sequence[Mapping[str, Any]], resource: str) -> int | None:
    return _sum(row["allocatable"].get(resource) for row in rows) if rows else None


def _sum(values: Iterable[int | None]) -> int | None:
    total = 0
    for value in values:
        if value is None:
            return None
        total += value
    return total


def _attention(
    nodes: Sequence[Node], namespaces: Sequence[Namespace], verified: Verification | None, errors: Mapping[str, str], waiting: int | None
) -> list[Item]:
    """Return everything that is wrong, the worst first, the same thing at many places once."""
    items: dict[tuple[str, str], Item] = {}

    def add(severity: str, title: str, entry: Entry) -> None:
        items.setdefault((severity, title), Item(severity, title)).entries.append(entry)

    for node in nodes:
        for signal in node.signals:
            add(signal.severity, signal.title, Entry(node.name, node.anchor, signal.detail))
    for kind, reason in errors.items():
        add(UNKNOWN, "Could not be read", Entry(kind, "", reason))
    if verified:
        for status, title in _VERIFIED.items():
            places: dict[str, list[str]] = {}
            for result in verified.rows:
                if result.status == status:
                    places.setdefault(result.check, []).append(result.node)
            for check, names in places.items():
                add(status, title, Entry(check, "verification", _listed(names)))
        if not verified.passed and not any(result.status in (FAIL, UNKNOWN) for result in verified.rows):
            add(FAIL, "The last verification did not pass", Entry("no check of it says why", "verification", verified.summary))
        if verified.age > OLD_VERIFICATION:
            add(UNKNOWN, "The last verification is old", Entry(f"{age_text(verified.age)} old", "verification"))
    if waiting:
        add(WARN, "Pods wait for a node", Entry(counted(waiting, "pod"), "", "kubectl get pods -A --field-selector=spec.nodeName="))
    for namespace in namespaces:
        for part in namespace.quota or ():
            if part.percent is None:
                add(UNKNOWN, "Quota not counted yet", Entry(namespace.name, namespace.anchor, f"{part.resource} {part.text}"))
            elif part.high:
                title = "Quota used up" if part.percent >= 100 else "Quota nearly used up"
                add(WARN, title, Entry(namespace.name, namespace.anchor, f"{part.resource} {part.text}"))
    return sorted(items.values(), key=lambda item: SEVERITIES.index(item.severity))


def _listed(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    return ", ".join(names[:_NAMES]) + (f" and {len(names) - _NAMES} more" if len(names) > _NAMES else "")


# -- namespaces --------------------------------------------------------------------------------------------------------


def _namespace(anchor: str, row: Mapping[str, Any]) -> Namespace:
    parts = None
    if row["quotas"] is not None:
        parts = [
            QuotaPart(quota["name"], resource, f"{_unknown(part['used'])} of {part['hard']}", part["percent"])
            for quota in row["quotas"]
            for resource, part in quota["resources"].items()
        ]
        # What is not counted yet may be anything, so it comes first; of equals the order of the API stays.
        parts.sort(key=lambda part: -1000.0 if part.percent is None else -part.percent)
    requested = row["requested"]
    return Namespace(row["name"], anchor, _number(row["pods"]), amount_text(CPU, amount(requested, CPU)), amount_text(MEMORY, amount(requested, MEMORY)), parts)


def _fullest_first(namespaces: Iterable[Namespace]) -> list[Namespace]:
    """Return those with the fullest quotas first, then those with quotas; the rest stays as cluster_resources_info sorted it."""
    return sorted(namespaces, key=lambda namespace: -max((part.percent or 0.0 for part in namespace.quota or ()), default=-1.0))


# -- the verification --------------------------------------------------------------------------------------------------


def _verification(data: Mapping[str, Any], cluster_name: str, made_at: datetime, verified_at: datetime | None) -> Verification:
    try:
        results = judged([Result.from_dict(check) for check in data["checks"]], data["scope"])
        name, verdict, seconds = data["cluster_name"], data["verdict"], float(data["seconds"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NodewiseError(
            f"The verification given is not one ({type(error).__name__}: {error}).", "give the file that playbook verify writes with verify_json"
        ) from error
    if verified_at is None:
        raise NodewiseError("The verification given has no time.", "give verified_at as well")
    if name and cluster_name and name != cluster_name:
        raise NodewiseError(f"The verification given is of cluster {name}, the page is of {cluster_name}.", "give this cluster's")
    number = counts(results)
    nodes = len({result.node for result in results} - {CLUSTER})
    summary = (
        f"{counted(len(results), 'check')} of {counted(nodes, 'node')} and the cluster in {seconds:.1f} s: {number[OK]} ok, {number[FAIL]} failed,"
        f" {number[UNKNOWN]} unknown, {counted(number[WARN], 'warning')}."
    )
    bad = sorted((result for result in results if result.status != OK), key=lambda result: (SEVERITIES.index(result.status), result.check, result.node))
    return Verification(verdict == "pass", verified_at, max(0.0, (made_at - verified_at).total_seconds()), summary, bad)


def _number(count: int | None) -> str:
    return UNKNOWN_TEXT if count is None else str(count)


def _unknown(text: str | None) -> str:
    return UNKNOWN_TEXT if text is None else text
