# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Identity, runtime, lease, clock, report and confinement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.api import Reading
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.resources import identity
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.resources.reading import Attempt, Clock, Look, NodeReading, Tolerances
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.result import FAIL, OK, UNKNOWN, WARN, Result

from .conftest import refusal, stamp

Made = Callable[..., NodeReading]
MakeLook = Callable[..., Look]
FORBIDDEN = Reading(error="HTTP 403 forbidden", status=403)


def by_name(results: list[Result]) -> dict[str, str]:
    return {result.check.removeprefix("resources."): result.status for result in results}


def the(results: list[Result], check: str) -> Result:
    (found,) = [result for result in results if result.check == f"resources.{check}"]
    return found


@pytest.mark.parametrize("check", [identity.identity, identity.runtime, identity.lease, identity.clock, identity.report, identity.confinement])
def test_a_healthy_node(made: Made, check: Callable[..., list[Result]]) -> None:
    results = check(made(), Tolerances())
    assert results
    assert {result.status for result in results} == {OK}
    assert all(result.sources and not result.hint for result in results)


# -- identity ------------------------------------------------------------------------------------------------------------


def test_a_wrong_name_is_named(made: Made) -> None:
    results = identity.identity(made(identity=Reading("system:node:w2")), Tolerances())
    assert by_name(results) == {"identity.name": FAIL, "identity.machine": OK}
    assert (results[0].expected, results[0].observed) == ("w1", "w2")
    assert "nodewise_node_name" in results[0].hint


@pytest.mark.parametrize(("key", "word"), [("machineID", "machineID"), ("systemUUID", "systemUUID"), ("bootID", "bootID")])
def test_another_machine(made: Made, look: MakeLook, plain: Callable[[str], Any], key: str, word: str) -> None:
    node = plain("node")
    node["status"]["nodeInfo"][key] = "other"
    result = the(identity.identity(made(look(node=Reading(node))), Tolerances()), "identity.machine")
    assert result.status == FAIL
    assert result.observed == f"{word} other"


def test_hosts_that_share_a_kernel_share_its_boot_id(made: Made, look: MakeLook) -> None:
    shared = look()
    shared = replace(shared, host=replace(shared.host, boot_id=f"{shared.host.boot_id}+12345"))
    assert the(identity.identity(made(shared), Tolerances()), "identity.machine").status == OK


def test_a_machine_without_a_uuid(made: Made) -> None:
    result = the(identity.identity(made(system_uuid=Reading(error="does not exist")), Tolerances()), "identity.machine")
    assert (result.status, result.observed) == (OK, "the same; no systemUUID to compare")
    assert "systemUUID" not in result.expected


def test_a_boot_id_that_cannot_be_read_is_not_the_same(made: Made, look: MakeLook, plain: Callable[[str], Any]) -> None:
    unread = look()
    unread = replace(unread, host=replace(unread.host, boot_id=None, errors=("boot_id: denied",)))
    result = the(identity.identity(made(unread), Tolerances()), "identity.machine")
    assert (result.status, result.observed) == (UNKNOWN, "the same; the host's boot id could not be read: boot_id: denied")
    assert the(identity.report(made(unread), Tolerances()), "report.boot").status == UNKNOWN
    node = plain("node")
    node["status"]["nodeInfo"]["machineID"] = "other"
    result = the(identity.identity(made(replace(unread, node=Reading(node))), Tolerances()), "identity.machine")
    assert (result.status, result.observed.partition(";")[0]) == (FAIL, "machineID other")


# -- runtime -------------------------------------------------------------------------------------------------------------


def test_a_runtime_that_is_down(made: Made, look: MakeLook) -> None:
    reading = look()
    status = replace(reading.runtime.status, ready=None, network_ready=None, message="UNAVAILABLE: there is no socket")  # type: ignore[union-attr]
    (result,) = identity.runtime(made(look(runtime=replace(reading.runtime, status=status, containers=None))), Tolerances())  # type: ignore[type-var]
    assert result.status == FAIL
    assert result.observed == "the runtime is not ready: UNAVAILABLE: there is no socket (the Node's Ready is True)"


@pytest.mark.parametrize(("seconds", "status"), [(45.2, WARN), (45.3, FAIL)])
def test_a_node_that_is_not_ready_although_its_runtime_is(made: Made, look: MakeLook, plain: Callable[[str], Any], seconds: float, status: str) -> None:
    node = plain("node")
    # The host's clock is 0.2 s ahead, so the server's is behind NOW.
    ready = {"type": "Ready", "status": "False", "lastTransitionTime": stamp(-seconds), "message": "container runtime is down"}
    node["status"]["conditions"][-1] = ready
    (result,) = identity.runtime(made(look(node=Reading(node))), Tolerances())
    assert result.status == status
    assert "container runtime is down" in result.observed


def test_a_runtime_without_grpcio(made: Made, look: MakeLook) -> None:
    (result,) = identity.runtime(made(look(runtime=None, runtime_error="No module named 'grpc'")), Tolerances())
    assert result.status == UNKNOWN
    assert "No module named 'grpc'" in result.observed
    assert "grpcio" in result.hint


# -- lease ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("age", "status"), [(0, OK), (20, OK), (20.1, WARN), (40, WARN), (40.1, FAIL), (-20.1, WARN), (-40.1, FAIL)])
def test_lease_at_its_edges(made: Made, look: MakeLook, age: float, status: str) -> None:
    lease = Reading({"spec": {"renewTime": stamp(-age)}})
    (result,) = identity.lease(made(look(lease=lease), clock=Reading(Clock(0.0, 0.001))), Tolerances())
    assert result.status == status


def test_lease_is_judged_by_the_servers_clock(made: Made, look: MakeLook) -> None:
    # The host's clock is 100 s ahead, and the kubelet wrote 97 s from NOW: by the server's clock that is 3 s ago... in its future.
    lease = Reading({"spec": {"renewTime": stamp(-103)}})
    (result,) = identity.lease(made(look(lease=lease), clock=Reading(Clock(100.0, 0.001))), Tolerances())
    assert (result.status, result.observed) == (OK, "renewed 3.0 s ago")


def test_lease_that_may_not_be_read(made: Made, look: MakeLook) -> None:
    (result,) = identity.lease(made(look(lease=FORBIDDEN)), Tolerances())
    assert result.status == UNKNOWN
    assert "token" in result.hint


# -- clock ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ahead", "status"), [(2, OK), (-2, OK), (2.1, WARN), (-2.1, WARN), (10, WARN), (10.1, FAIL), (-10.1, FAIL)])
def test_clock_at_its_edges(made: Made, ahead: float, status: str) -> None:
    result = the(identity.clock(made(clock=Reading(Clock(ahead, 0.01))), Tolerances()), "clock.host")
    assert result.status == status
    assert ("ahead" if ahead > 0 else "behind") in result.observed


@pytest.mark.parametrize(("seconds", "status"), [(-500, OK), (2, OK), (2.1, WARN), (10.1, FAIL)])
def test_a_sample_of_the_future(made: Made, look: MakeLook, plain: Callable[[str], Any], seconds: float, status: str) -> None:
    report = plain("report")
    report["status"]["observedAt"] = stamp(seconds)
    results = identity.clock(made(look(report=Reading(report)), clock=Reading(Clock(0.0, 0.01))), Tolerances())
    assert by_name(results) == {"clock.host": OK, "clock.report": status}


# -- report --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("age", "status"), [(0, OK), (120, OK), (120.1, WARN), (180, WARN), (180.1, FAIL)])
def test_report_age_at_its_edges(made: Made, look: MakeLook, plain: Callable[[str], Any], age: float, status: str) -> None:
    report = plain("report")
    report["status"].update(observedAt=stamp(-age), expiresAt=stamp(180 - age))
    results = identity.report(made(look(report=Reading(report)), clock=Reading(Clock(0.0, 0.01))), Tolerances())
    assert by_name(results) == {"report.service": OK, "report.age": status, "report.boot": OK, "report.configuration": OK, "report.figures": OK}


def test_a_frozen_report_is_told_from_a_stopped_reporter(made: Made, look: MakeLook, plain: Callable[[str], Any]) -> None:
    report = plain("report")
    report["status"].update(observedAt=stamp(-400), expiresAt=stamp(-220))
    frozen = identity.report(made(look(report=Reading(report))), Tolerances())
    assert by_name(frozen)["report.service"] == OK
    assert the(frozen, "report.age").observed == "observed 400 s ago, sequence 7: frozen, although the reporter runs"
    stopped = identity.report(made(look(report=Reading(report)), reporter=Reading("inactive")), Tolerances())
    assert the(stopped, "report.service").observed == "nodewise-reporter is inactive"
    assert "frozen" not in the(stopped, "report.age").observed


@pytest.mark.parametrize(("sequence", "seconds", "status"), [(7, 0, OK), (8, 60, OK), (8, 0, FAIL), (7, 60, FAIL), (6, 60, FAIL), (8, -60, FAIL)])
def test_sequence_and_sample_go_on_together(made: Made, look: MakeLook, plain: Callable[[str], Any], sequence: int, seconds: float, status: str) -> None:
    report = plain("report")
    report["status"].update(sequence=sequence, observedAt=stamp(-20 + seconds))
    results = identity.report(made(look(), look(5, report=Reading(report))), Tolerances())
    assert the(results, "report.sequence").status == status


@pytest.mark.parametrize(
    ("own", "status"),
    [(Reading("0123abcd"), OK), (Reading("00000000"), WARN), (Reading(error="/etc/nodewise/reporter.json is no JSON"), UNKNOWN)],
)
def test_a_report_of_another_configuration(made: Made, own: Reading, status: str) -> None:
    assert the(identity.report(made(reporter_config=own), Tolerances()), "report.configuration").status == status


def test_a_reporter_of_before_names_no_configuration(made: Made, look: MakeLook, plain: Callable[[str], Any]) -> None:
    report = plain("report")
    del report["status"]["configDigest"]
    assert "report.configuration" not in by_name(identity.report(made(look(report=Reading(report))), Tolerances()))


def test_a_report_of_another_boot(made: Made, look: MakeLook, plain: Callable[[str], Any]) -> None:
    report = plain("report")
    report["status"]["bootID"] = "before"
    assert the(identity.report(made(look(report=Reading(report))), Tolerances()), "report.boot").status == FAIL
    del report["status"]["bootID"]
    assert the(identity.report(made(look(report=Reading(report))), Tolerances()), "report.boot").status == UNKNOWN


@pytest.mark.parametrize(("required", "status"), [(True, FAIL), (False, OK)])
def test_no_reporter_is_a_result_of_its_own(made: Made, look: MakeLook, required: bool, status: str) -> None:
    absent = made(look(report=Reading(error="HTTP 404", status=404)), reporter=Reading("not-found"), reporter_required=required)
    results = identity.report(absent, Tolerances())
    assert by_name(results)["report.service"] == status
    assert results[0].observed == "the reporter is not installed"
    assert set(by_name(results).values()) == {status}


def test_a_reporter_without_a_report(made: Made, look: MakeLook) -> None:
    results = identity.report(made(look(report=Reading(error="HTTP 404", status=404)), reporter_required=False), Tolerances())
    assert by_name(results) == {"report.service": OK, "report.age": FAIL}


# -- confinement ---------------------------------------------------------------------------------------------------------


OWNED = "the NodeReport of a node must be owned by the Node of the same name, and by nothing else"
NO_RIGHT = 'nodereports.nodewise.dev is forbidden: User "system:node:w1" cannot create resource "nodereports" in API group "nodewise.dev" at the cluster scope'
NO_STATUS_RIGHT = NO_RIGHT.replace("cannot create resource", "cannot update resource").replace('"nodereports"', '"nodereports/status"')
NOT_FOUND = "the server could not find the requested resource"


@pytest.mark.parametrize(
    ("status", "message", "required", "expected"),
    [
        (422, refusal("w1-of-another-node"), True, OK),
        # The policy's reason may be made Forbidden.
        (403, refusal("w1-of-another-node"), True, OK),
        # Another rule of it, one whose expression fails, and another policy: no proof that names are looked at.
        (422, refusal("w1-of-another-node", OWNED), True, UNKNOWN),
        (422, refusal("w1-of-another-node", "expression 'x' resulted in error: no such key: y"), True, UNKNOWN),
        (422, refusal("w1-of-another-node", policy="frozen"), True, UNKNOWN),
        (422, refusal("w1-of-another-node", policy="nodewise-reporter-2"), True, UNKNOWN),
        (403, NO_RIGHT, True, UNKNOWN),
        (403, NO_RIGHT, False, OK),
        (403, NO_STATUS_RIGHT, True, UNKNOWN),
        (403, 'admission webhook "x.example.com" denied the request: no', True, UNKNOWN),
        (403, 'admission webhook "x.example.com" denied the request: no', False, UNKNOWN),
        (422, 'NodeReport.nodewise.dev "w1-of-another-node" is invalid: spec: Required value', True, UNKNOWN),
        (201, "", True, FAIL),
        (201, "", False, FAIL),
        (404, NOT_FOUND, True, UNKNOWN),
        (404, NOT_FOUND, False, OK),
        (500, "Internal error occurred", True, UNKNOWN),
    ],
)
def test_confinement(made: Made, status: int, message: str, required: bool, expected: str) -> None:
    reading = made(foreign=Reading(Attempt(status, message)), reporter_required=required)
    assert by_name(identity.confinement(reading, Tolerances())) == {"confinement": expected, "confinement.status": OK}
    reading = made(foreign_status=Reading(Attempt(status, message)), reporter_required=required)
    assert by_name(identity.confinement(reading, Tolerances())) == {"confinement": OK, "confinement.status": expected}


@pytest.mark.parametrize(
    ("tried", "required", "there"),
    [
        (None, True, False),
        (Reading(error=f"HTTP 404 {NOT_FOUND}", status=404), True, False),
        (FORBIDDEN, False, False),
        (FORBIDDEN, True, True),
        (Reading(error="cp1:6443 sent nothing for 5 s."), True, True),
    ],
)
def test_a_report_that_is_not_there_cannot_be_tried(made: Made, tried: Reading | None, required: bool, there: bool) -> None:
    found = by_name(identity.confinement(made(foreign_status=tried, reporter_required=required), Tolerances()))
    assert found == {"confinement": OK, **({"confinement.status": UNKNOWN} if there else {})}
