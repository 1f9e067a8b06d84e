# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rates from counters: over the counters' own times, and none where there can be none."""

from __future__ import annotations

from ansible_collections.nodewise.cluster.plugins.module_utils.cri.model import Container, ContainerKey, Counter
from ansible_collections.nodewise.cluster.plugins.module_utils.cri.rates import cpu_rates

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
