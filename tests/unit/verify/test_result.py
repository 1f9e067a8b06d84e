# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results: what they are worth alone and together."""

from __future__ import annotations

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.result import (
    CLUSTER,
    FAIL,
    OK,
    UNKNOWN,
    WARN,
    Result,
    compare,
    counted,
    counts,
    verdict,
    worst,
)


@pytest.mark.parametrize(
    ("observed", "status", "said"),
    [("a", OK, "a"), ("b", FAIL, "b"), ("", FAIL, "nothing"), (None, UNKNOWN, "could not be read: it is gone")],
)
def test_compare(observed: str | None, status: str, said: str) -> None:
    result = compare("group.name", "w1", "a", observed, "look there", "it is gone")
    assert (result.status, result.observed) == (status, said)
    assert result.hint == ("" if status == OK else "look there")


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [([OK, WARN], WARN), ([WARN, UNKNOWN], UNKNOWN), ([UNKNOWN, FAIL, OK], FAIL), ([], UNKNOWN)],
)
def test_worst(statuses: list[str], expected: str) -> None:
    assert worst(statuses) == expected


@pytest.mark.parametrize(("status", "expected"), [(OK, "pass"), (WARN, "pass"), (UNKNOWN, "fail"), (FAIL, "fail")])
def test_an_unknown_is_no_success_and_a_warning_no_failure(status: str, expected: str) -> None:
    assert verdict([Result("a.b", "w1", OK), Result("a.b", "w1", status)], ["w1"]) == expected
    assert verdict([Result("a.b", "w1", OK), Result("a.b", CLUSTER, status)], ["w1"]) == expected


def test_a_node_out_of_scope_decides_nothing() -> None:
    assert verdict([Result("a.b", "w1", OK), Result("a.b", "w2", FAIL)], ["w1"]) == "pass"


def test_no_results_are_no_success() -> None:
    assert verdict([], ["w1"]) == "fail"
    assert verdict([Result("a.b", "w2", OK)], ["w1"]) == "fail"


def test_a_result_survives_the_way_through_json() -> None:
    result = Result("a.b", "w1", WARN, "x", "y", "z")
    assert Result.from_dict(result.to_dict()) == result
    assert result.group == "a"


@pytest.mark.parametrize("data", [{}, {"check": "a.b", "node": "w1"}, {"check": "a.b", "node": "w1", "status": "fine"}])
def test_what_is_no_result_is_refused(data: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="lacks|is not a status"):
        Result.from_dict(data)


def test_counts_name_every_status() -> None:
    assert counts([Result("a.b", "w1", OK)]) == {"ok": 1, "warn": 0, "fail": 0, "unknown": 0}
    assert (counted(1, "node"), counted(0, "node")) == ("1 node", "0 nodes")
