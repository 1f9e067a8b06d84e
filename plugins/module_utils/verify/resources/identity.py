# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is it the same machine, do both ends know of each other, and is what they say fresh?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ...api.times import parse_time
from ...report.manifests import NAME, OWN_NAME_ONLY
from ..api import Reading
from ..result import FAIL, OK, UNKNOWN, WARN, Result
from .figures import figures
from .reading import NodeReading, Tolerances, graded

NODE_USER = "system:node:"
_REPORTER_HINT = "systemctl status nodewise-reporter; journalctl -u nodewise-reporter"
_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_ABOUT_RUNTIME = ("runtime", "PLEG", "CNI", "cni")


def condition(node: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """Return a Node's condition of one type, or an empty mapping."""
    found: Mapping[str, Any] = next((item for item in node.get("status", {}).get("conditions") or [] if item["type"] == kind), {})
    return found


def identity(reading: NodeReading, _tolerances: Tolerances) -> list[Result]:
    """The name under which the kubelet speaks, and the identifiers of machine and boot."""
    results = [_name(reading)]
    node = reading.last.node
    sources = ("Node.status.nodeInfo", "host")
    missing = reading.unreadable("identity.machine", "the Node has this machine's identifiers", node, reading.machine_id, sources=sources)
    if missing is not None:
        return [*results, missing]
    info = node.value["status"]["nodeInfo"]
    pairs = [("machineID", reading.machine_id.value, info.get("machineID", ""))]
    unread = []
    # Not every machine has a readable one; the kubelet falls back to something of its own then.
    if reading.system_uuid.error:
        unread.append("no systemUUID to compare")
    else:
        pairs.append(("systemUUID", reading.system_uuid.value.lower(), info.get("systemUUID", "").lower()))
    boot_id = reading.last.host.boot_id
    if boot_id is not None:
        # Hosts that share a kernel share its boot id; what our reading appends to tell them apart is not the kubelet's.
        pairs.append(("bootID", boot_id.partition("+")[0], info.get("bootID", "")))
    differing = [f"{name} {said}" for name, own, said in pairs if own != said]
    expected = ", ".join(f"{name} {own}" for name, own, said in pairs if own != said or not differing)
    hint = "another machine registered under this name, or the kubelet has not posted its status since the reboot"
    if boot_id is None:
        unread.append(_no_boot_id(reading))
        hint = hint if differing else _BOOT_ID
    status = FAIL if differing else UNKNOWN if boot_id is None else OK
    observed = "; ".join([", ".join(differing) or "the same", *unread])
    results.append(reading.result("identity.machine", status, expected, observed, sources=sources, hint=hint))
    return results


def _name(reading: NodeReading) -> Result:
    sources = ("SelfSubjectReview with the kubelet's credentials", "given name")
    missing = reading.unreadable("identity.name", reading.name, reading.identity, sources=sources)
    if missing is not None:
        return missing
    user = str(reading.identity.value)
    observed = user.removeprefix(NODE_USER)
    same = user == NODE_USER + reading.name
    hint = f"the kubelet of this host is Node {observed}: correct nodewise_node_name, or the inventory"
    return reading.result("identity.name", OK if same else FAIL, reading.name, observed, sources=sources, hint=hint)


def runtime(reading: NodeReading, tolerances: Tolerances) -> list[Result]:
    """The runtime's own word against the Node's Ready."""
    look, sources, expected = reading.last, ("CRI Status", "Node condition Ready"), "the runtime is ready, and the Node Ready"
    if look.runtime is None:
        return [found] if (found := reading.no_runtime("runtime", expected, look, sources)) else []
    said, tolerance = look.runtime.status, f"{tolerances.runtime_seconds:g} s of disagreement"
    if not (said.ready and said.network_ready):
        part = "the runtime is not ready" if not said.ready else "the runtime's network is not ready"
        message = f"{part}: {said.message or '; '.join(look.runtime.errors) or 'it did not answer'}"
        if not look.node.error:
            message += f" (the Node's Ready is {condition(look.node.value, 'Ready').get('status', 'not there')})"
        return [reading.result("runtime", FAIL, expected, message, tolerance, sources, "systemctl status containerd; crictl info")]
    missing = reading.unreadable("runtime", expected, look.node, sources=sources)
    if missing is not None:
        return [missing]
    ready = condition(look.node.value, "Ready")
    if ready.get("status") == "True":
        return [reading.result("runtime", OK, expected, "ready and Ready", tolerance, sources)]
    since = reading.server_now - parse_time(ready["lastTransitionTime"]) if ready else 0.0
    about = "although the runtime is" if any(word in ready.get("message", "") for word in _ABOUT_RUNTIME) else "the runtime is ready"
    observed = f"the Node's Ready is {ready.get('status', 'not there')} for {since:.0f} s, {about}: {ready.get('message', '')}"
    return [reading.result("runtime", graded(since, -1, tolerances.runtime_seconds), expected, observed, tolerance, sources, "journalctl -u kubelet")]


def lease(reading: NodeReading, tolerances: Tolerances) -> list[Result]:
    """Age of the kubelet's lease by the API server's clock."""
    expected = f"renewed within {tolerances.lease_warn_seconds:g} s"
    tolerance = f"warning above {tolerances.lease_warn_seconds:g} s, failure above {tolerances.lease_fail_seconds:g} s"
    sources = ("Lease.spec.renewTime", "API server's Date")
    missing = reading.unreadable("lease", expected, reading.last.lease, reading.clock, sources=sources)
    if missing is not None:
        return [missing]
    age = reading.server_now - parse_time(reading.last.lease.value["spec"]["renewTime"])
    # A time to come was written by a clock that is ahead; how far is as bad as an age.
    status = graded(abs(age), tolerances.lease_warn_seconds, tolerances.lease_fail_seconds)
    observed = f"renewed {age:.1f} s ago" if age >= 0 else f"renewed {-age:.1f} s in the future"
    return [reading.result("lease", status, expected, observed, tolerance, sources, "systemctl status kubelet; the clocks of the hosts")]


def clock(reading: NodeReading, tolerances: Tolerances) -> list[Result]:
    """The host's clock, and the time of the report's sample, against the API server's."""
    expected = "the API server's time"
    limits = f"warning above {tolerances.clock_warn_seconds:g} s, failure above {tolerances.clock_fail_seconds:g} s"
    sources = ("host's clock", "API server's Date")
    hint = "timedatectl; systemctl status systemd-timesyncd chrony"
    missing = reading.unreadable("clock.host", expected, reading.clock, sources=sources)
    if missing is not None:
        return [missing]
    ahead = reading.clock.value.ahead
    status = graded(abs(ahead), tolerances.clock_warn_seconds, tolerances.clock_fail_seconds)
    observed = f"{abs(ahead):.1f} s {'ahead' if ahead >= 0 else 'behind'} (round trip {reading.clock.value.round_trip * 1000:.0f} ms)"
    results = [reading.result("clock.host", status, expected, observed, limits, sources, hint)]
    report = reading.last.report
    if not report.error:
        ahead = parse_time(report.value["status"]["observedAt"]) - reading.server_now
        # Only a sample of the future tells of a clock; an old one is what the check of the report is about.
        status = graded(ahead, tolerances.clock_warn_seconds, tolerances.clock_fail_seconds)
        observed = "not later" if status == OK else f"{ahead:.1f} s in the future"
        sources = ("NodeReport.status.observedAt", "API server's Date")
        results.append(reading.result("clock.report", status, "a sample that is not later than now", observed, limits, sources, hint))
    return results


def report(reading: NodeReading, tolerances: Tolerances) -> list[Result]:
    """Whether the reporter runs, and its report is fresh, of this boot, goes on, and agrees with itself."""
    running = _reporter(reading)
    found = reading.last.report
    if running.status == OK and reading.reporter.value == "not-found" and found.status == 404:
        return [running]
    if found.status == 404:
        return [running, reading.result("report.age", FAIL, "a NodeReport", "none", sources=("NodeReport",), hint=_REPORTER_HINT)]
    missing = reading.unreadable("report.age", "a fresh NodeReport", found, sources=("NodeReport",))
    if missing is not None:
        return [running, missing]
    return [running, _age(reading), *_sequence(reading), _boot(reading), *_configuration(reading), figures(reading, tolerances)]


def _reporter(reading: NodeReading) -> Result:
    check, sources = "report.service", ("systemd",)
    missing = reading.unreadable(check, "active", reading.reporter, sources=sources)
    if missing is not None:
        return missing
    state = reading.reporter.value
    if state == "not-found":
        status = FAIL if reading.reporter_required else OK
        expected = "active" if reading.reporter_required else "the reporter is not required"
        return reading.result(check, status, expected, "the reporter is not installed", sources=sources, hint="role reporter installs it")
    return reading.result(check, OK if state == "active" else FAIL, "active", f"nodewise-reporter is {state}", sources=sources, hint=_REPORTER_HINT)


def _age(reading: NodeReading) -> Result:
    status = reading.last.report.value["status"]
    observed_at = parse_time(status["observedAt"])
    # The lifetime is three intervals: one late report is a warning, three missing ones are the end.
    lifetime = parse_time(status["expiresAt"]) - observed_at
    age = reading.server_now - observed_at
    tolerance = f"warning above {lifetime * 2 / 3:.0f} s, failure above {lifetime:.0f} s"
    observed = f"observed {age:.0f} s ago, sequence {status['sequence']}"
    if age > lifetime and reading.reporter.value == "active":
        observed += ": frozen, although the reporter runs"
    sources = ("NodeReport.status.observedAt", "NodeReport.status.expiresAt", "API server's Date")
    return reading.result("report.age", graded(age, lifetime * 2 / 3, lifetime), "a fresh report", observed, tolerance, sources, _REPORTER_HINT)


def _sequence(reading: NodeReading) -> list[Result]:
    """Between two looks the sequence may stay, together with the sample, or rise, together with the sample."""
    readable = [look.report.value["status"] for look in reading.looks if not look.report.error]
    if len(readable) < 2:
        return []
    before, after = readable[0], readable[-1]
    steps = after["sequence"] - before["sequence"]
    moved = parse_time(after["observedAt"]) - parse_time(before["observedAt"])
    good = (steps == 0 and moved == 0) or (steps > 0 and moved > 0)
    observed = f"sequence {before['sequence']}, then {after['sequence']}; the sample is {moved:.1f} s younger"
    expected = "sequence and sample go on together"
    sources = ("NodeReport.status.sequence", "NodeReport.status.observedAt")
    hint = "another writer writes this report: look for a second host with this node's name"
    return [reading.result("report.sequence", OK if good else FAIL, expected, observed, sources=sources, hint=hint)]


def _boot(reading: NodeReading) -> Result:
    own, said = reading.last.host.boot_id, reading.last.report.value["status"].get("bootID")
    check, sources = "report.boot", ("NodeReport.status.bootID", "host")
    if own is None:
        return reading.result(check, UNKNOWN, said or "this boot", _no_boot_id(reading), sources=sources, hint=_BOOT_ID)
    if said is None:
        return reading.result(check, UNKNOWN, own, "the report does not tell", sources=sources, hint=_REPORTER_HINT)
    return reading.result(check, OK if own == said else FAIL, own, said, sources=sources, hint=_REPORTER_HINT)


def _no_boot_id(reading: NodeReading) -> str:
    return f"the host's boot id could not be read: {'; '.join(reading.last.host.errors) or 'no reason given'}"


def _configuration(reading: NodeReading) -> list[Result]:
    """A reporter passes a wrong configuration over; a right one shows in a report some seconds after its change."""
    said = reading.last.report.value["status"].get("configDigest")
    if said is None:
        return []
    check, sources = "report.configuration", ("NodeReport.status.configDigest", "the reporter's configuration on the host")
    own = reading.reporter_config
    missing = reading.unreadable(check, said, own, sources=sources)
    if missing is not None:
        return [missing]
    hint = "journalctl -u nodewise-reporter; verify again if it has just been changed"
    return [reading.result(check, OK if own.value == said else WARN, own.value, said, sources=sources, hint=hint)]


def confinement(reading: NodeReading, _tolerances: Tolerances) -> list[Result]:
    """A node may not write another's report.

    SelfSubjectAccessReview knows nothing of admission policies and says yes, so it is tried, as a dry run.
    """
    sources = ("dry-run create of a NodeReport with the kubelet's credentials",)
    results = [_refused(reading, "confinement", reading.foreign, "it would have been created", sources)]
    status = reading.foreign_status
    # One that is not there cannot be tried.
    if status is not None and status.status != 404 and not (status.status == 403 and not reading.reporter_required):
        sources = ("dry-run update of another node's NodeReport.status with the kubelet's credentials",)
        results.append(_refused(reading, "confinement.status", status, "it would have been written", sources))
    return results


_POLICY = f"ValidatingAdmissionPolicy '{NAME}'"
_ANY_POLICY = re.compile(r"ValidatingAdmissionPolicy '[^']*'")
_NO_RIGHT = re.compile(r'User "[^"]*" cannot \w+ resource "')
"""What the authorization says, whatever its mode; it comes before every admission."""


def _refused(reading: NodeReading, check: str, tried: Reading, accepted: str, sources: tuple[str, ...]) -> Result:
    """Judge an attempt by who refused it: only the policy's rule on names is a proof, since whatever else refuses this one may let the next pass."""
    expected = "another node's report is refused by its name"
    hint = "the ValidatingAdmissionPolicy of the reporter and its binding: role reporter applies them"
    missing = reading.unreadable(check, expected, tried, sources=sources)
    if missing is not None:
        return missing
    status, message = tried.value.status, tried.value.message
    unauthorized = status == 403 and _NO_RIGHT.search(message) is not None
    if (status == 404 or unauthorized) and not reading.reporter_required:
        observed = "this cluster has no NodeReports" if status == 404 else "the node has no right to write any NodeReport"
        return reading.result(check, OK, "the reporter is not required", observed, sources=sources)
    if 200 <= status < 300:
        return reading.result(check, FAIL, expected, accepted, sources=sources, hint=hint)
    if status in (403, 422) and _POLICY in message and OWN_NAME_ONLY in message:
        return reading.result(check, OK, expected, "refused", sources=sources)
    if unauthorized:
        observed = f"the node has no right to write any NodeReport, so the policy was not asked: {message}"
        return reading.result(check, UNKNOWN, expected, observed, sources=sources, hint=hint.replace("ValidatingAdmissionPolicy", "ClusterRole"))
    if status in (403, 422) and (policy := _ANY_POLICY.search(message)):
        return reading.result(check, UNKNOWN, expected, f"{policy.group()} refused it for another reason: {message}", sources=sources, hint=hint)
    return reading.result(check, UNKNOWN, expected, f"HTTP {status} {message}", sources=sources, hint=hint)
