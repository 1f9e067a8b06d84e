# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Conditions: what sets them, what clears them, and what a restart leaves alone."""

from __future__ import annotations

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.api.times import format_time, parse_time
from ansible_collections.nodewise.cluster.plugins.module_utils.report.conditions import (
    BAD,
    BETWEEN,
    GOOD,
    Condition,
    Signal,
    disk_signal,
    runtime_signal,
    share_signal,
)
from ansible_collections.nodewise.cluster.plugins.module_utils.report.schema import FALSE, MESSAGE_LENGTH, TRUE, UNKNOWN
from ansible_collections.nodewise.cluster.plugins.module_utils.report.settings import Settings

SETTINGS = Settings()
EPOCH = 1_795_000_000.0


def run(levels: list[str], condition: Condition | None = None, step: float = 10.0) -> list[Condition]:
    """Feed a sample every 10 s and return what the condition was after each."""
    found = []
    current = condition or Condition("CPUOverloaded")
    for number, level in enumerate(levels):
        current = current.next(Signal(level, f"sample {number}", "Reason"), number * step, EPOCH + number * step, SETTINGS)
        found.append(current)
    return found


def statuses(levels: list[str], condition: Condition | None = None) -> list[str]:
    return [entry.status for entry in run(levels, condition)]


def test_two_bad_samples_in_a_row_set_it() -> None:
    assert statuses([GOOD, BAD, GOOD, BAD, BAD]) == [FALSE, FALSE, FALSE, FALSE, TRUE]
    assert statuses([GOOD, BAD, BETWEEN, BAD, BAD]) == [FALSE, FALSE, FALSE, FALSE, TRUE]


def test_one_bad_sample_of_a_node_of_which_nothing_is_known_says_nothing_yet() -> None:
    first, second = run([BAD, BAD])
    assert (first.status, first.reason, second.status) == (UNKNOWN, "Pending", TRUE)


def test_it_clears_after_sixty_good_seconds_in_a_row() -> None:
    assert statuses([BAD, BAD, *[GOOD] * 7])[-2:] == [TRUE, FALSE]
    assert statuses([BAD, BAD, *[GOOD] * 6, BETWEEN, *[GOOD] * 6])[-1] == TRUE
    recovering = run([BAD, BAD, GOOD])[-1]
    assert (recovering.status, recovering.reason) == (TRUE, "Recovering")


def test_between_the_thresholds_nothing_changes() -> None:
    assert statuses([BAD, BAD, *[BETWEEN] * 50])[-1] == TRUE
    assert statuses([GOOD, *[BETWEEN] * 50])[-1] == FALSE


def test_an_unknown_reading_neither_sets_nor_clears() -> None:
    assert statuses([GOOD, BAD, UNKNOWN, BAD])[-1] == FALSE
    assert statuses([BAD, BAD, UNKNOWN, UNKNOWN, GOOD]) == [UNKNOWN, TRUE, TRUE, UNKNOWN, TRUE]
    # The time in which nothing was known does not count as good.
    assert statuses([BAD, BAD, GOOD, GOOD, GOOD, UNKNOWN, GOOD, GOOD, GOOD])[-1] == TRUE


def test_the_time_of_the_last_change() -> None:
    entries = run([GOOD, GOOD, BAD, BAD, BAD])
    assert [entry.since - EPOCH for entry in entries] == [0, 0, 0, 30, 30]


def test_what_is_well_needs_no_words() -> None:
    well, ill = run([GOOD, BAD, BAD])[0], run([GOOD, BAD, BAD])[2]
    assert well.to_dict() == {"type": "CPUOverloaded", "status": FALSE, "lastTransitionTime": format_time(EPOCH, 0)}
    assert (ill.to_dict()["reason"], ill.to_dict()["message"]) == ("Reason", "sample 2")


@pytest.mark.parametrize("status", [TRUE, FALSE])
def test_a_restart_is_no_change(status: str) -> None:
    stored = {"type": "CPUOverloaded", "status": status, "lastTransitionTime": "2026-11-25T12:00:00Z"}
    condition = Condition("CPUOverloaded").restored(stored)
    # The first sample after a start has no rate.
    for level in ([UNKNOWN, BETWEEN], [UNKNOWN, BAD], [UNKNOWN, GOOD]):
        for entry in run(level, condition):
            assert entry.to_dict()["status"] == status
            assert entry.to_dict()["lastTransitionTime"] == "2026-11-25T12:00:00Z"


def test_a_stored_state_that_is_no_news_does_not_replace_what_is_known() -> None:
    known = run([GOOD])[-1]
    assert known.restored({"status": TRUE, "lastTransitionTime": "2026-11-25T12:00:00Z"}) == known
    assert known.restored({"status": FALSE, "lastTransitionTime": "2026-11-25T12:00:00Z"}).since == parse_time("2026-11-25T12:00:00Z")
    assert Condition("x").restored({"status": TRUE, "lastTransitionTime": "yesterday"}) == Condition("x")
    assert Condition("x").restored({"status": TRUE}) == Condition("x")


@pytest.mark.parametrize(("percent", "level"), [(85.0, BAD), (84.99, BETWEEN), (75.0, BETWEEN), (74.99, GOOD), (0.0, GOOD), (None, UNKNOWN)])
def test_a_share_at_its_thresholds(percent: float | None, level: str) -> None:
    signal = share_signal(percent, "3400m of 4000m", 85, 10, "HighUsage", "not read")
    assert signal.level == level
    assert signal.message == ("not read" if percent is None else f"3400m of 4000m is {percent:.1f}%, limit 85%")


@pytest.mark.parametrize(
    ("shares", "level", "mountpoint"),
    [
        ([("/a", 14.99), ("/b", 50.0)], BAD, "/a"),
        ([("/a", 50.0), ("/b", 15.0)], BETWEEN, "/b"),
        ([("/a", 50.0), ("/b", 18.0)], GOOD, "/b"),
        ([("/a", None), ("/b", 10.0)], BAD, "/b"),
        ([("/a", None), ("/b", 50.0)], UNKNOWN, "/a"),
        ([], UNKNOWN, "no filesystem"),
    ],
)
def test_the_filesystem_with_the_least_room_decides(shares: list[tuple[str, float | None]], level: str, mountpoint: str) -> None:
    signal = disk_signal(shares, 15, 3)
    assert signal.level == level
    assert mountpoint in signal.message


@pytest.mark.parametrize(
    ("ready", "network", "message", "level", "reason"),
    [
        (True, True, "", GOOD, ""),
        (False, True, "RuntimeReady: shim\nfailed", BAD, "RuntimeNotReady"),
        (True, False, "cni plugin not initialized", BAD, "NetworkNotReady"),
        (None, None, "connection refused", BAD, "NoAnswer"),
        (None, None, "", UNKNOWN, "NoReading"),
        (True, None, "", UNKNOWN, "NoReading"),
    ],
)
def test_the_runtimes_word(ready: bool | None, network: bool | None, message: str, level: str, reason: str) -> None:
    signal = runtime_signal(ready, network, message)
    assert (signal.level, signal.reason) == (level, reason)
    assert "\n" not in signal.message


def test_a_long_message_is_cut() -> None:
    entry = run([BAD, BAD], Condition("x"))[-1].next(Signal(BAD, "x" * 1000, "Long"), 100, EPOCH, SETTINGS)
    assert len(entry.to_dict()["message"]) == MESSAGE_LENGTH


def test_times() -> None:
    assert format_time(1_795_608_000.25) == "2026-11-25T12:00:00.250000Z"
    assert parse_time("2026-11-25T12:00:00.250000Z") == 1_795_608_000.25
    with pytest.raises(ValueError, match="no time zone"):
        parse_time("2026-11-25T12:00:00")
