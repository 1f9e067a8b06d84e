# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.nodewise.cluster.plugins.module_utils.report.settings import Settings
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter.state import State

SETTINGS = Settings(sample_seconds=10, valid_seconds=180)


def test_a_start_is_given_time() -> None:
    assert State(settings=SETTINGS, started=100.0).health(130.0) == []


def test_samples_that_never_came_are_missed() -> None:
    assert State(settings=SETTINGS, started=100.0).health(130.1) == ["no sample for 30 s; one is due every 10 s"]


def test_an_old_sample_is_missed() -> None:
    state = State(settings=SETTINGS, started=0.0)
    state.sample_taken({}, 0.1, {"host": 1})
    state.publish_tried("accepted", True, "", 0.0)
    assert state.sampled is not None and state.published is not None
    assert state.health(state.sampled + 30) == []
    assert state.health(state.sampled + 31) == ["no sample for 31 s; one is due every 10 s"]


def test_reports_that_are_not_accepted_are_told_with_their_reason() -> None:
    state = State(settings=SETTINGS, started=0.0, sampled=200.0)
    state.publish_tried("refused", False, "HTTP 403", 4.0)
    assert state.health(180.0) == []
    assert state.health(181.0) == ["no report accepted for 181 s: HTTP 403"]
    assert state.backoff_seconds == 4.0
    assert state.published is None


def test_what_could_not_be_read_adds_up() -> None:
    state = State(settings=SETTINGS)
    state.sample_taken({}, 0.25, {"host": 1, "runtime": 0})
    state.sample_taken({}, 0.25, {"host": 0, "runtime": 3})
    assert (state.samples, state.sample_seconds, dict(state.errors)) == (2, 0.5, {"host": 1, "runtime": 3})
