# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import threading
from dataclasses import replace

from ansible_collections.nodewise.cluster.plugins.module_utils.report.build import Allocatable
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter.config import Config
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter.notify import Notifier
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter.sampling import next_due
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter.shared import Shared


def recalled(config: Config | None = None) -> Shared:
    shared = Shared(config or Config("w1"))
    shared.recall({"sequence": 1}, Allocatable(1000, 1))
    shared.restore()
    return shared


def test_the_grid_does_not_drift_and_missed_moments_stay_missed() -> None:
    assert next_due(0.0, 0.2, 10) == 10
    assert next_due(0.0, 10.0, 10) == 20
    assert next_due(0.0, 34.9, 10) == 40
    assert next_due(3.0, 12.9, 10) == 13


def test_the_newest_status_replaces_one_that_was_not_taken() -> None:
    shared = recalled()
    shared.offer({"n": 1})
    shared.offer({"n": 2})
    assert shared.take(0, shared.config) == {"n": 2}
    assert shared.take(0, shared.config) is None


def test_a_status_that_was_made_before_the_recall_is_dropped() -> None:
    shared = Shared(Config("w1"))
    shared.offer({"n": 1})
    shared.recall(None, Allocatable())
    shared.offer({"n": 2})
    assert shared.take(0, shared.config) is None
    assert shared.restore() is not None
    shared.offer({"n": 3})
    assert shared.take(0, shared.config) == {"n": 3}


def test_what_was_recalled_is_restored_once() -> None:
    shared = Shared(Config("w1"))
    assert shared.restore() is None
    shared.recall({"sequence": 7}, Allocatable(1000, 1))
    found = shared.restore()
    assert found is not None and found.stored == {"sequence": 7}
    assert shared.restore() is None
    assert shared.allocatable == Allocatable(1000, 1)


def test_waiting_ends_with_another_configuration() -> None:
    shared = recalled()
    before = shared.config
    waiter = threading.Thread(target=shared.take, args=(3600, before))
    waiter.start()
    shared.change(replace(before, log_level="debug"))
    waiter.join(10)
    assert not waiter.is_alive()


def test_whoever_waits_for_a_change_is_told_of_another_configuration_and_of_a_recall() -> None:
    shared = recalled()
    before = shared.config
    assert not shared.wait_for_change(0, before)
    shared.change(replace(before, log_level="debug"))
    assert shared.wait_for_change(3600, before)
    assert not shared.wait_for_change(0, shared.config)
    shared.recall(None, Allocatable())
    assert shared.wait_for_change(3600, shared.config)
    shared.restore()
    assert not shared.wait_for_change(0, shared.config)


def test_all_waiting_ends_with_the_reporter() -> None:
    shared = Shared(Config("w1"))
    waiters = [
        threading.Thread(target=shared.take, args=(3600, shared.config)),
        threading.Thread(target=shared.wait, args=(3600,)),
        threading.Thread(target=shared.wait_for_recall, args=(3600,)),
        threading.Thread(target=shared.wait_for_change, args=(3600, shared.config)),
    ]
    for waiter in waiters:
        waiter.start()
    shared.stop()
    for waiter in waiters:
        waiter.join(10)
    assert not [waiter for waiter in waiters if waiter.is_alive()]


def test_ready_is_told_once() -> None:
    told = []

    class Recorder(Notifier):
        def send(self, **state: str) -> None:
            told.append(state)

    shared = Shared(Config("w1"))
    shared.tell_ready(Recorder(""), "first")
    shared.tell_ready(Recorder(""), "second")
    assert told == [{"READY": "1", "STATUS": "first"}]
