# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All checks together, and when it is worth looking again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.api import Reading
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.resources.checks import TOPICS, evaluate, wait_for_another
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.resources.reading import Look, NodeReading, Tolerances
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.result import OK, UNKNOWN, WARN, Result, lines, verdict

from .conftest import summary
from .test_kubelet import full
from .test_usage import without_web

Made = Callable[..., NodeReading]
MakeLook = Callable[..., Look]


def test_a_healthy_node_passes_every_topic(made: Made, look: MakeLook) -> None:
    results = evaluate(made(look(), look(5)), Tolerances(), TOPICS)
    assert lines(results) == []
    assert {result.check.split(".")[1] for result in results} == set(TOPICS)
    assert all(result.check.startswith("resources.") and result.node == "w1" for result in results)


def test_an_answer_of_another_form_is_unknown(made: Made, look: MakeLook) -> None:
    odd = look(node=Reading({"metadata": {}}), report=Reading({"status": {}}), lease=Reading({"spec": {"renewTime": "yesterday"}}))
    results = evaluate(made(odd), Tolerances(), TOPICS)
    assert {result.check for result in results if "not understood" in result.observed} >= {"resources.identity", "resources.lease", "resources.report"}
    assert verdict(results, ["w1"]) == "fail"


def test_nothing_is_looked_at_twice_on_a_healthy_node(made: Made) -> None:
    assert wait_for_another(made(), Tolerances(), TOPICS) == 0


def test_a_node_that_is_under_pressure_and_says_so_is_not_waited_for(made: Made, look: MakeLook, plain: Callable[[str], Any]) -> None:
    node = plain("node")
    node["status"]["conditions"][1]["status"] = "True"
    assert wait_for_another(made(look(node=Reading(node), summary=full())), Tolerances(), ["pressure"]) == 0


@pytest.mark.parametrize(("seconds", "wait"), [(0, 16), (5, 16), (16, 0)])
def test_a_difference_of_containers_is_looked_at_again(made: Made, look: MakeLook, seconds: float, wait: float) -> None:
    looks = [look(summary=without_web())] + ([look(seconds, summary=without_web(seconds))] if seconds else [])
    assert wait_for_another(made(*looks), Tolerances(), TOPICS) == wait
    assert wait_for_another(made(*looks), Tolerances(), ["lease", "identity"]) == 0


def test_churn_is_not_waited_for_for_ever(made: Made, look: MakeLook) -> None:
    other = summary(16)
    del other["pods"][1]
    looks = [look(summary=without_web()), look(16, summary=Reading(other))]
    assert wait_for_another(made(*looks), Tolerances(), TOPICS) == 16
    assert wait_for_another(made(*looks, look(32, summary=without_web(32))), Tolerances(), TOPICS) == 0


def test_containers_that_came_within_the_window_make_it_longer(made: Made, look: MakeLook) -> None:
    first = look()
    fewer = replace(first, runtime=replace(first.runtime, containers=first.runtime.containers[1:]))  # type: ignore[union-attr,index,type-var]
    assert wait_for_another(made(fewer, look(5)), Tolerances(), ["cpu"]) == 5
    assert wait_for_another(made(fewer, look(5), look(10)), Tolerances(), ["cpu"]) == 0


def test_a_crossed_threshold_is_looked_at_again_after_the_kubelet_must_have_seen_it(made: Made, look: MakeLook) -> None:
    assert wait_for_another(made(look(summary=full())), Tolerances(), TOPICS) == 21
    assert wait_for_another(made(look(summary=full()), look(10, summary=full(10))), Tolerances(), ["pressure"]) == 21
    assert wait_for_another(made(look(summary=full()), look(21, summary=full(21))), Tolerances(), ["pressure"]) == 0


def test_a_clock_that_is_set_meanwhile_makes_nobody_wait_for_ever(made: Made, look: MakeLook) -> None:
    for step in (-3600, 3600):
        later = replace(look(21, summary=full(21)), at=look(21).at + step)
        assert wait_for_another(made(look(summary=full()), later), Tolerances(), ["pressure"]) == 0
        sooner = replace(look(5, summary=without_web(5)), at=look(5).at + step)
        assert wait_for_another(made(look(summary=without_web()), sooner), Tolerances(), ["containers"]) == 16
        lasting = replace(look(16, summary=without_web(16)), at=look(16).at + step)
        results = evaluate(made(look(summary=without_web()), lasting), Tolerances(), ["containers"])
        assert results[0].status == "fail"


def test_memory_that_is_apart_is_looked_at_again(made: Made, look: MakeLook) -> None:
    changed = summary(0)
    changed["node"]["memory"]["workingSetBytes"] *= 2
    assert wait_for_another(made(look(summary=Reading(changed))), Tolerances(), TOPICS) == 10


def test_what_cannot_be_read_is_not_waited_for(made: Made, look: MakeLook) -> None:
    blind = look(runtime=None, runtime_error="no grpc", summary=Reading(error="HTTP 403", status=403))
    assert wait_for_another(made(blind), Tolerances(), TOPICS) == 0


def test_lines_name_the_worst_first() -> None:
    results = [Result("a.a", "w1", OK), Result("a.b", "w1", WARN, "1", "2"), Result("a.c", "w1", UNKNOWN, "x", "y"), Result("a.d", "w1", "fail", "x", "z")]
    assert lines(results) == ["fail a.d: expected x; observed z", "unknown a.c: expected x; observed y", "warn a.b: expected 1; observed 2"]


def test_a_runtime_that_is_down_fails_once_and_hides_nothing(made: Made, look: MakeLook) -> None:
    one = look()
    status = replace(one.runtime.status, ready=None, network_ready=None, cgroup_driver=None, message="no socket")  # type: ignore[union-attr]
    down = replace(one.runtime, status=status, containers=None, errors=("ListContainers: no socket",))  # type: ignore[type-var]
    results = evaluate(made(look(runtime=down), look(5, runtime=down)), Tolerances(), TOPICS)
    assert [result.check for result in results if result.status == "fail"] == ["resources.runtime"]
    unknown = {result.check for result in results if result.status == UNKNOWN}
    assert unknown == {"resources.containers", "resources.memory.containers", "resources.cpu.pods", "resources.cpu.containers", "resources.cgroups.driver"}
