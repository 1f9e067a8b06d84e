# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.consumption.usage import (
    METRICS,
    REPORT,
    SUMMARY,
    Sample,
    choose,
    from_metrics,
    from_report,
    from_summary,
)

from .conftest import NOW, ago, metrics, report


def sample(source: str, age: float, **used: int) -> Sample:
    return Sample(source, ago(age), used)


def test_the_first_that_is_current_and_has_the_figure_says_it() -> None:
    samples = [sample(SUMMARY, 200, cpu=1), sample(REPORT, 12.34, memory=2), sample(METRICS, 30, cpu=3)]
    figure = choose("cpu", samples, [], NOW)
    assert figure.as_dict() == {"value": 3, "source": "metrics API", "observed_at": ago(30), "age_seconds": 30.0}
    assert choose("memory", samples, [], NOW).as_dict()["age_seconds"] == 12.3


def test_nothing_current_is_unknown_and_says_why() -> None:
    figure = choose("cpu", [sample(REPORT, 200, cpu=1), sample(METRICS, 5)], ["no kubelet Summary"], NOW)
    assert figure.as_dict() == {
        "value": None,
        "source": None,
        "observed_at": None,
        "age_seconds": None,
        "reason": "no kubelet Summary; NodeReport is 200 s old; metrics API does not tell it",
    }
    assert choose("cpu", [], [], NOW).reason == "no source"


def test_a_use_of_0_is_known() -> None:
    assert choose("cpu", [sample(REPORT, 1, cpu=0), sample(METRICS, 1, cpu=7)], [], NOW).value == 0


@pytest.mark.parametrize(
    ("age", "fault"), [(0, ""), (179, ""), (180, "NodeReport is 180 s old"), (-10, ""), (-11, "NodeReport lies 11 s in the future: the clocks differ")]
)
def test_a_sample_without_a_date_of_expiry_counts_for_180_seconds(age: float, fault: str) -> None:
    assert sample(REPORT, age).fault(NOW) == fault


def test_one_with_a_date_counts_until_then() -> None:
    assert Sample(REPORT, ago(500), {}, ago(-1)).fault(NOW) == ""
    assert Sample(REPORT, ago(5), {}, ago(0)).fault(NOW) == "NodeReport is 5 s old"


def test_a_little_in_the_future_is_an_age_of_0() -> None:
    assert choose("cpu", [sample(REPORT, -3, cpu=1)], [], NOW).age == 0.0


@pytest.mark.parametrize("text", ["", "None", "yesterday", "2026-11-25T17:40:00"])
def test_without_a_time_a_sample_says_nothing(text: str) -> None:
    assert Sample(METRICS, text, {"cpu": 1}).fault(NOW) == "metrics API has no valid time of observation"


def test_a_report_tells_cpu_memory_and_the_nodes_own_filesystem() -> None:
    told = from_report(report("w1", 10, 600, 2**30))
    assert (told.source, dict(told.used)) == (REPORT, {"cpu": 600, "memory": 2**30, "ephemeral-storage": 2**31})
    assert told.fault(NOW) == ""


@pytest.mark.parametrize("status", [None, {}, {"observedAt": ago(1)}])
def test_a_report_without_its_times_or_figures_says_nothing(status: Any) -> None:
    told = from_report({"metadata": {"name": "w1"}, "status": status})
    assert told.used == {}
    assert told.fault(NOW) == "NodeReport has no valid time of observation"


def test_metrics_come_as_quantities_rounded_up() -> None:
    told = from_metrics(metrics("w1", 1, "156340001n", "512Ki"))
    assert dict(told.used) == {"cpu": 157, "memory": 2**19}


def test_a_summary_is_as_old_as_its_oldest_part() -> None:
    parts = {"cpu": {"time": ago(5), "usageNanoCores": 1_600_000}, "memory": {"time": ago(9), "workingSetBytes": 7}, "fs": {"time": ago(7), "usedBytes": 8}}
    told = from_summary({"node": parts})
    assert (told.source, told.observed_at, dict(told.used)) == (SUMMARY, ago(9), {"cpu": 2, "memory": 7, "ephemeral-storage": 8})


def test_a_summary_of_a_kubelet_that_has_just_started_tells_what_it_can() -> None:
    told = from_summary({"node": {"cpu": {"time": ago(5)}, "memory": {"time": ago(5), "workingSetBytes": 0}}})
    assert dict(told.used) == {"memory": 0}
    assert from_summary({}).fault(NOW) == "kubelet Summary has no valid time of observation"
