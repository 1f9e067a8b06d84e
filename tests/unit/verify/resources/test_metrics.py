# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The metrics API."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.api import Reading
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.resources.metrics import metrics
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.resources.reading import Look, NodeReading, Tolerances

Made = Callable[..., NodeReading]
MakeLook = Callable[..., Look]
NOW = datetime.datetime(2026, 11, 25, 17, 0, 0, tzinfo=datetime.UTC)


def service(**condition: Any) -> Reading:
    return Reading({"status": {"conditions": [{"type": "Available", **condition}]}}, "", 200)


def figures(age: float) -> Reading:
    at = (NOW - datetime.timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Reading({"timestamp": at, "window": "15s", "usage": {"cpu": "100m", "memory": "1Gi"}}, "", 200)


def test_nothing_is_said_where_nobody_serves_it(made: Made, look: MakeLook) -> None:
    gone = Reading(error="HTTP 404 not found", status=404)
    assert metrics(made(look(api_service=gone, metrics=gone)), Tolerances()) == []


def test_an_api_that_is_not_available_fails_with_its_reason(made: Made, look: MakeLook) -> None:
    broken = service(status="False", reason="FailedDiscoveryCheck", message="x509: certificate signed by unknown authority")
    (result,) = metrics(made(look(api_service=broken, metrics=Reading(error="HTTP 503", status=503))), Tolerances())
    assert (result.check, result.status) == ("resources.metrics.available", "fail")
    assert result.observed == "FailedDiscoveryCheck: x509: certificate signed by unknown authority" and "describe pods" in result.hint


def test_one_that_was_not_tried_yet_is_unknown(made: Made, look: MakeLook) -> None:
    (result,) = metrics(made(look(api_service=Reading({"status": {}}, "", 200))), Tolerances())
    assert (result.status, result.observed) == ("unknown", "the API server has not tried it yet")


def test_without_the_right_to_look_it_is_unknown(made: Made, look: MakeLook) -> None:
    (result,) = metrics(made(look(api_service=Reading(error="HTTP 403 no", status=403))), Tolerances())
    assert result.status == "unknown" and "token" in result.hint


@pytest.mark.parametrize(("age", "status"), [(-1, "ok"), (20, "ok"), (59, "ok"), (62, "warn"), (119, "warn"), (122, "fail"), (3600, "fail")])
def test_the_age_of_the_figures(made: Made, look: MakeLook, age: float, status: str) -> None:
    results = metrics(made(look(api_service=service(status="True"), metrics=figures(age))), Tolerances())
    assert [(one.check, one.status) for one in results] == [("resources.metrics.available", "ok"), ("resources.metrics.node", status)]
    assert results[1].tolerance == "60 s, 120 s at the most"


@pytest.mark.parametrize(
    ("answer", "status", "observed"),
    [
        (Reading(error="HTTP 404 nodemetrics not found", status=404), "fail", "there are none: HTTP 404 nodemetrics not found"),
        (Reading(error="HTTP 503 unavailable", status=503), "fail", "there are none: HTTP 503 unavailable"),
        (Reading(error="HTTP 403 forbidden", status=403), "unknown", "could not be read: HTTP 403 forbidden"),
        (Reading(error="no answer"), "unknown", "could not be read: no answer"),
    ],
)
def test_a_node_without_figures(made: Made, look: MakeLook, answer: Reading, status: str, observed: str) -> None:
    result = metrics(made(look(api_service=service(status="True"), metrics=answer)), Tolerances())[1]
    assert (result.status, result.observed) == (status, observed)
