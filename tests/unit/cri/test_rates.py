# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rates from counters: over the counters' own times, and none where there can be none."""

from __future__ import annotations

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.cri.model import Container, ContainerKey, Counter
from ansible_collections.nodewise.cluster.plugins.module_utils.cri.rates import CpuRates, cpu_rates

SECOND = 1_000_000_000
KEY = ContainerKey("a", 0, 1)


def container(key: ContainerKey = KEY, seconds: float = 0, used: int | None = 0) -> Container:
    return Container(key, "ns", "pod", "name", "running", None if used is None else Counter(int(seconds * SECOND), used))


def test_the_first_sample_has_no_rates() -> None:
    assert cpu_rates({}, [container(seconds=10, used=5)]) == ({}, {KEY: Counter(10 * SECOND, 5)})


def test_a_rate_is_in_millicores_over_the_counters_own_times() -> None:
    before = {KEY: Counter(100 * SECOND, SECOND)}
    assert cpu_rates(before, [container(seconds=108, used=3 * SECOND)])[0] == {KEY: 250.0}
    assert cpu_rates(before, [container(seconds=110, used=SECOND)])[0] == {KEY: 0.0}


def test_a_counter_that_fell_gives_no_rate_and_is_where_the_next_begins() -> None:
    rates, counters = cpu_rates({KEY: Counter(0, 9)}, [container(seconds=10, used=8)])
    assert (rates, counters) == ({}, {KEY: Counter(10 * SECOND, 8)})


def test_a_cached_answer_gives_no_rate_and_the_window_goes_on() -> None:
    before = {KEY: Counter(10 * SECOND, 0)}
    rates, counters = cpu_rates(before, [container(seconds=10, used=0)])
    assert (rates, counters) == ({}, before)
    assert cpu_rates(counters, [container(seconds=20, used=SECOND)])[0] == {KEY: 100.0}


def test_an_older_time_gives_no_rate_and_does_not_stop_the_rates_for_ever() -> None:
    rates, counters = cpu_rates({KEY: Counter(1000 * SECOND, SECOND)}, [container(seconds=10, used=SECOND)])
    assert rates == {}
    assert cpu_rates(counters, [container(seconds=20, used=2 * SECOND)])[0] == {KEY: 100.0}


def test_the_least_window() -> None:
    before = {KEY: Counter(0, 0)}
    assert cpu_rates(before, [container(seconds=4.999, used=1)]) == ({}, before)
    assert cpu_rates(before, [container(seconds=5, used=SECOND)])[0] == {KEY: 200.0}
    assert cpu_rates(before, [container(seconds=1, used=SECOND)], minimum_window=1)[0] == {KEY: 1000.0}


def test_another_life_of_a_container_is_another_container() -> None:
    again = ContainerKey("a", 1, 1)
    rates, counters = cpu_rates({KEY: Counter(0, 0)}, [container(again, 10, 50)])
    assert (rates, set(counters)) == ({}, {again})


def test_one_whose_use_was_not_read_keeps_its_counter() -> None:
    before = {KEY: Counter(0, 0)}
    rates, counters = cpu_rates(before, [container(used=None)])
    assert (rates, counters) == ({}, before)
    assert cpu_rates(counters, [container(seconds=20, used=SECOND)])[0] == {KEY: 50.0}


def test_what_is_gone_is_forgotten() -> None:
    assert cpu_rates({KEY: Counter(0, 0)}, []) == ({}, {})


@pytest.mark.parametrize("step", [-3600.0, -4.0, -0.5, 0.5, 4.0, 3600.0])
@pytest.mark.parametrize("age", [0.0, 9.0])
@pytest.mark.parametrize("at", [39.9, 40.0, 40.5])
def test_a_step_of_the_wall_clock_gives_no_false_rate(step: float, age: float, at: float) -> None:
    """One busy core; the clock is set at some second, while the fifth sample is taken or before it; answers are fresh or cached."""

    def wall(second: float) -> float:
        return 10_000 + second + (step if second >= at else 0.0)

    rates = CpuRates()
    found = []
    for second in range(0, 120, 10):
        read = second + 0.2 - age
        one = container(seconds=wall(read), used=int((100 + read) * SECOND))
        found.append(rates.next([one], wall(second + 0.6) - (second + 0.6), float(second)).get(KEY))
    assert found[0] is None
    assert all(rate is None or abs(rate - 1000) < 0.001 for rate in found), found
    assert found[1:4] == pytest.approx([1000.0] * 3)
    assert found[8:] == pytest.approx([1000.0] * 4)


def test_what_two_clocks_differ_by_the_reading_is_no_step() -> None:
    rates = CpuRates()
    for second in range(0, 50, 10):
        found = rates.next([container(seconds=second, used=second * SECOND)], 0.02 * (second % 20), float(second))
    assert found == {KEY: pytest.approx(1000.0)}
