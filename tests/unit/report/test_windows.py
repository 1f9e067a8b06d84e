# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Averages and percentiles over samples of unequal length."""

from __future__ import annotations

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.report.windows import Window


def filled(values: list[float], step: float = 10.0, seconds: float = 300.0) -> Window:
    window = Window(seconds)
    for number, value in enumerate(values):
        window.add(number * step, (number + 1) * step, value)
    return window


def test_the_mean_is_weighted_by_time() -> None:
    window = Window(300)
    window.add(0, 10, 100)
    window.add(10, 40, 200)
    assert window.average(60, 40) == pytest.approx(175)


def test_a_window_counts_only_from_more_than_half() -> None:
    window = filled([5, 5, 5])
    assert window.average(60, 30) is None
    assert window.percentile(95, 60, 30) is None
    window.add(30, 30.1, 5)
    assert window.average(60, 30.1) == 5


def test_time_without_a_sample_is_not_covered() -> None:
    window = filled([5] * 6)
    assert window.average(60, 60) == 5
    assert window.average(60, 89) == 5
    assert window.average(60, 91) is None


def test_a_sample_counts_with_the_part_inside_the_window() -> None:
    window = Window(300)
    window.add(0, 60, 0)
    window.add(60, 90, 100)
    assert window.average(60, 90) == 50


@pytest.mark.parametrize(
    ("values", "percentile"),
    [
        (list(range(1, 21)), 19),  # nearest rank: the 19th of 20
        (list(range(1, 31)), 29),  # ceil(0.95 x 30)
        ([7] * 30, 7),
        ([1] * 29 + [9], 1),
        ([1] * 28 + [9] * 2, 9),
    ],
)
def test_the_percentile_is_the_nearest_rank_and_was_seen(values: list[float], percentile: float) -> None:
    assert filled(values).percentile(95, 300, len(values) * 10) == percentile


def test_the_percentile_is_weighted_by_time() -> None:
    window = Window(100)
    window.add(0, 90, 1)
    window.add(90, 94, 50)
    window.add(94, 100, 99)
    assert window.percentile(94, 100, 100) == 50
    assert window.percentile(95, 100, 100) == 99


def test_what_does_not_come_after_the_last_is_left_out() -> None:
    window = filled([1, 1, 1, 1])
    window.add(40, 40, 1000)
    window.add(35, 45, 1000)
    window.add(50, 45, 1000)
    assert window.average(60, 40) == 1


def test_it_forgets() -> None:
    window = filled([1] * 1000)
    assert len(window._samples) == 30
