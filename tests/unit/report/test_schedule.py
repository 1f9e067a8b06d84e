# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When reports are due: spread, periods, phases, pauses."""

from __future__ import annotations

from collections import Counter

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.report.schedule import START_SPREAD, backoff, is_current, next_slot, period, start_delay
from ansible_collections.nodewise.cluster.plugins.module_utils.report.settings import Settings

SETTINGS = Settings()
NAMES = [f"node-{number}" for number in range(5000)]
NOW = 1_795_608_000.0


def test_a_period_is_within_the_jitter_and_always_the_same() -> None:
    periods = [period(name, SETTINGS) for name in NAMES]
    assert 48 <= min(periods) < 48.5
    assert 71.5 < max(periods) <= 72
    assert period("node-1", SETTINGS) == period("node-1", SETTINGS)
    assert period("node-1", Settings(jitter_percent=0)) == 60


def test_slots_of_many_nodes_spread_evenly() -> None:
    writes: Counter[int] = Counter()
    for name in NAMES:
        slot = next_slot(name, NOW, SETTINGS)
        while slot < NOW + 600:
            writes[int(slot)] += 1
            slot = next_slot(name, slot + SETTINGS.min_gap_seconds, SETTINGS)
    assert 80 < sum(writes.values()) / 600 < 90
    assert max(writes.values()) < 130


def test_the_slot_after_a_slot_is_a_period_later() -> None:
    slot = next_slot("w1", NOW, SETTINGS)
    assert NOW <= slot < NOW + period("w1", SETTINGS)
    assert next_slot("w1", slot + 0.001, SETTINGS) == pytest.approx(slot + period("w1", SETTINGS), abs=0.001)


def test_first_requests_spread_over_a_second() -> None:
    delays = [start_delay(name) for name in NAMES]
    assert min(delays) >= 0
    assert START_SPREAD * 0.99 < max(delays) < START_SPREAD


def test_a_report_is_current_until_the_next_slot() -> None:
    slot = next_slot("w1", NOW, SETTINGS)
    assert is_current(slot, "w1", slot + 1, SETTINGS)
    assert is_current(slot, "w1", slot + period("w1", SETTINGS) - 1, SETTINGS)
    assert not is_current(slot, "w1", slot + period("w1", SETTINGS) + 1, SETTINGS)
    # One from the future is the work of a clock that has been set.
    assert not is_current(slot + 3600, "w1", slot, SETTINGS)


def test_backoff_is_exponential_with_full_jitter_and_a_cap() -> None:
    assert [backoff(failures, SETTINGS, lambda: 1.0) for failures in (1, 2, 3, 8, 9, 1000)] == [2, 4, 8, 256, 300, 300]
    assert backoff(9, SETTINGS, lambda: 0.0) == 0
    assert backoff(9, SETTINGS, lambda: 0.5) == 150
