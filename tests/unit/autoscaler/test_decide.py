# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of hosts."""

from __future__ import annotations

import random

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.autoscaler.decide import JOINING, STATES, Record, Refused

from .conftest import Cluster, pid


def refused(cluster: Cluster, method: str, *args: object, **fields: object) -> tuple[str, str]:
    before = dict(cluster.records)
    with pytest.raises(Refused) as error:
        getattr(cluster, method)(*args, **fields)
    assert cluster.records == before, "nothing was changed"
    return error.value.code, str(error.value)


def test_the_target_moves_at_once_and_the_host_is_an_instance_with_its_final_id(cluster: Cluster) -> None:
    cluster.increase(2)
    assert cluster.target() == 2 and cluster.target("b") == 0
    assert cluster.instances() == {"s1": ("joining", ""), "s2": ("joining", "")}
    assert cluster.due() == {"s1": "join", "s2": "join"}
    cluster.join("s1")
    assert cluster.instances() == {"s1": ("joined", ""), "s2": ("joining", "")}
    assert cluster.due() == {"s2": "join"}


def test_every_join_has_a_token_of_its_own(cluster: Cluster) -> None:
    cluster.increase(2)
    assert cluster.record("s1").token_id != cluster.record("s2").token_id
    assert all(len(record.token_id) == 6 for record in cluster.records.values())


@pytest.mark.parametrize(("delta", "code"), [(0, "INVALID_ARGUMENT"), (-1, "INVALID_ARGUMENT"), (4, "FAILED_PRECONDITION")])
def test_an_increase_has_its_bounds(cluster: Cluster, delta: int, code: str) -> None:
    assert refused(cluster, "increase", delta)[0] == code


def test_two_increases_do_not_exceed_the_max(cluster: Cluster) -> None:
    cluster.increase(2)
    assert refused(cluster, "increase", 2) == ("FAILED_PRECONDITION", "a has 2 hosts and its max is 3: it cannot grow by 2")
    cluster.increase(1)
    assert cluster.target() == 3


def test_a_group_that_is_not_there_is_not_found(cluster: Cluster) -> None:
    for method, args in (("increase", [1]), ("decrease", [-1]), ("delete", ["s1"]), ("target", []), ("instances", [])):
        fields = {"group": "c"}
        assert refused(cluster, method, *args, **fields) == ("NOT_FOUND", "there is no group 'c'")


def test_a_host_leaves_and_is_prepared_again(cluster: Cluster) -> None:
    cluster.increase(1)
    cluster.join("s1")
    cluster.delete("s1")
    assert cluster.target() == 0 and cluster.instances() == {"s1": ("leaving", "")}
    assert cluster.due() == {"s1": "leave"}
    cluster.leave("s1")
    assert cluster.records == {} and cluster.instances() == {}


def test_a_repeated_deletion_reduces_the_target_once(cluster: Cluster) -> None:
    cluster.increase(2)
    cluster.join("s1", "s2")
    cluster.delete("s1", "s1")
    cluster.delete("s1")
    assert cluster.target() == 1
    cluster.leave("s1")
    cluster.delete("s1")
    assert cluster.target() == 1 and cluster.states() == {"s2": "joined"}


def test_nodes_of_others_are_never_removed_and_nothing_else_with_them(cluster: Cluster) -> None:
    cluster.increase(1)
    cluster.join("s1")
    code, message = refused(cluster, "delete", "s1", "w1")
    assert code == "INVALID_ARGUMENT" and "'nodewise://lab/w1' is not of a; nothing was removed" in message
    assert refused(cluster, "delete", "s4")[0] == "INVALID_ARGUMENT", "of another group"
    assert cluster.states() == {"s1": "joined"}


def test_the_min_is_held() -> None:
    cluster = Cluster(min=1)
    cluster.observe()
    assert cluster.states() == {"s1": "joining"} and cluster.record("s1").reason == "the min of a is 1"
    cluster.join("s1")
    assert refused(cluster, "delete", "s1") == ("FAILED_PRECONDITION", "a has 1 hosts and its min is 1: 1 cannot go")
    cluster.increase(1)
    cluster.join("s2")
    assert refused(cluster, "delete", "s1", "s2")[0] == "FAILED_PRECONDITION"
    cluster.delete("s2")
    cluster.observe()
    assert cluster.target() == 1


def test_a_max_below_what_has_joined_removes_nothing(cluster: Cluster) -> None:
    cluster.increase(3)
    cluster.join("s1", "s2", "s3")
    smaller = Cluster(max=1)
    smaller.records, smaller.nodes = cluster.records, cluster.nodes
    smaller.observe()
    assert smaller.target() == 3 and set(smaller.states().values()) == {"joined"}


def test_another_host_is_taken_for_one_that_fails(cluster: Cluster) -> None:
    cluster.increase(1)
    cluster.fail("s1", "no disk")
    assert cluster.target() == 1 and cluster.instances() == {"s2": ("joining", "")}
    assert cluster.record("s1").state == "failed" and cluster.record("s1").reason == "no disk"
    assert cluster.record("s2").reason == "in the place of s1"
    assert cluster.due() == {"s1": "leave", "s2": "join"}, "what is half joined is cleaned"


def test_without_another_the_target_is_given_up_and_the_failure_told_until_it_is_noted() -> None:
    cluster = Cluster()
    cluster.increase(1, "b")
    cluster.fail("s4", "no disk")
    assert cluster.target("b") == 0 and cluster.instances("b") == {"s4": ("joining", "no disk")}
    code, message = refused(cluster, "increase", 1, group="b")
    assert code == "RESOURCE_EXHAUSTED" and "s4: no disk" in message
    cluster.delete("s4", group="b")
    assert cluster.instances("b") == {} and cluster.record("s4").state == "failed", "noting it does not make it well"
    cluster.delete("s4", group="b")


def test_a_failed_host_rests_longer_each_time_and_its_success_ends_that(cluster: Cluster) -> None:
    rests = []
    for _time in range(10):
        cluster.increase(1, "b")
        cluster.fail("s4")
        cluster.leave("s4")
        rests.append(cluster.record("s4").until - cluster.now)
        cluster.now = cluster.record("s4").until - 1
        cluster.observe()
        assert cluster.record("s4").state == "failed"
        cluster.now += 1
        cluster.observe()
        assert cluster.record("s4").state == "prepared" and cluster.instances("b") == {}
    assert rests == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600, 3600]
    cluster.increase(1, "b")
    cluster.join("s4")
    assert cluster.record("s4").failures == 0


def test_a_failed_host_is_not_used_before_it_is_cleaned(cluster: Cluster) -> None:
    cluster.increase(1, "b")
    cluster.fail("s4")
    cluster.stay("s4", "unreachable")
    assert cluster.record("s4").until == cluster.now + 120 and cluster.due() == {}
    cluster.now += 5000
    cluster.observe()
    assert cluster.record("s4").state == "failed" and cluster.due() == {"s4": "leave"}
    cluster.leave("s4")
    cluster.observe()
    assert cluster.record("s4").state == "failed", "it rests after that"
    cluster.now += 120
    cluster.observe()
    assert cluster.record("s4").state == "prepared"


def test_hosts_that_have_failed_are_taken_last(cluster: Cluster) -> None:
    cluster.increase(1)
    cluster.fail("s1")
    cluster.leave("s1")
    cluster.now += 100
    cluster.observe()
    cluster.increase(1)
    assert cluster.instances() == {"s2": ("joining", ""), "s3": ("joining", "")}


def test_an_increase_beyond_what_is_left_takes_what_there_is_and_tells_the_rest(cluster: Cluster) -> None:
    cluster.increase(1)
    cluster.fail("s1", "no disk")
    cluster.increase(2)
    assert cluster.target() == 2
    assert cluster.instances() == {"s1": ("joining", "no disk"), "s2": ("joining", ""), "s3": ("joining", "")}


def test_a_leave_that_fails_is_tried_again_and_the_target_stays(cluster: Cluster) -> None:
    cluster.increase(1)
    cluster.join("s1")
    cluster.delete("s1")
    cluster.stay("s1", "it hangs")
    assert cluster.target() == 0 and cluster.instances() == {"s1": ("leaving", "")} and cluster.due() == {}
    cluster.now += 60
    assert cluster.due() == {"s1": "leave"}
    cluster.observe()
    assert cluster.states() == {"s1": "leaving"}, "its Node is there, but it is not taken on"
    cluster.leave("s1")
    assert cluster.records == {}


def test_a_host_that_leaves_is_asked_for_again_only_if_there_is_no_other(cluster: Cluster) -> None:
    cluster.increase(1, "b")
    cluster.join("s4")
    cluster.delete("s4", group="b")
    cluster.increase(1, "b")
    assert cluster.target("b") == 1 and cluster.instances("b") == {"s4": ("joining", "")} and cluster.due() == {"s4": "leave"}
    cluster.delete("s4", group="b")
    assert cluster.target("b") == 0
    cluster.increase(1, "b")
    cluster.leave("s4")
    assert cluster.due() == {"s4": "join"} and cluster.record("s4").token_id
    cluster.increase(1)
    cluster.join("s1")
    cluster.delete("s1")
    cluster.increase(1)
    assert cluster.instances()["s2"] == ("joining", "")


def test_a_host_that_should_come_again_but_does_not_leave_is_given_up(cluster: Cluster) -> None:
    cluster.increase(1, "b")
    cluster.join("s4")
    cluster.delete("s4", group="b")
    cluster.increase(1, "b")
    cluster.stay("s4", "it hangs")
    assert cluster.target("b") == 0 and cluster.instances("b") == {"s4": ("joining", "it hangs")}


def test_a_join_that_is_given_up_is_undone_and_its_outcome_does_not_count(cluster: Cluster) -> None:
    cluster.increase(1)
    cluster.delete("s1")
    assert cluster.due() == {"s1": "leave"} and cluster.record("s1").token_id, "so that the token can be removed"
    cluster.records = cluster.decider.joined(cluster.records, "s1", cluster.now)
    cluster.fail("s1")
    assert cluster.states() == {"s1": "leaving"}


def test_a_decrease_gives_up_only_what_is_no_node_yet(cluster: Cluster) -> None:
    cluster.increase(1)
    cluster.join("s1")
    cluster.now += 1
    cluster.increase(1)
    cluster.now += 1
    cluster.increase(1)
    cluster.register("s2", ready=False)
    assert refused(cluster, "decrease", -2)[0] == "FAILED_PRECONDITION"
    assert refused(cluster, "decrease", 1)[0] == "INVALID_ARGUMENT"
    assert refused(cluster, "decrease", 0)[0] == "INVALID_ARGUMENT"
    cluster.decrease(-1)
    assert cluster.states() == {"s1": "joined", "s2": "joining", "s3": "leaving"} and cluster.target() == 2


def test_a_decrease_gives_up_the_youngest(cluster: Cluster) -> None:
    cluster.increase(1)
    cluster.now += 1
    cluster.increase(1)
    cluster.decrease(-1)
    assert cluster.states() == {"s1": "joining", "s2": "leaving"}


def test_a_node_that_was_deleted_by_hand_leaves(cluster: Cluster) -> None:
    cluster.increase(1)
    cluster.join("s1")
    cluster.nodes.clear()
    cluster.observe()
    assert cluster.target() == 0 and cluster.due() == {"s1": "leave"} and cluster.record("s1").reason == "its Node was deleted"


def test_a_host_that_left_the_inventory_is_forgotten_whatever_it_was(cluster: Cluster) -> None:
    cluster.records = {"gone": Record("joined"), "gone-too": Record("leaving", again=True)}
    cluster.register("gone")
    cluster.observe()
    assert cluster.records == {}
    assert pid("gone") not in cluster.decider.group_of()


def test_nodes_that_are_there_are_taken_on(cluster: Cluster) -> None:
    cluster.register("s1", ready=False)
    cluster.register("w1")
    cluster.observe()
    assert cluster.states() == {"s1": "joined"} and cluster.target() == 1


def test_a_node_that_comes_late_is_taken_on_once_it_is_ready_and_nobody_works_on_it(cluster: Cluster) -> None:
    cluster.increase(1)
    cluster.fail("s1")
    cluster.register("s1", ready=False)
    cluster.observe()
    assert cluster.record("s1").state == "failed"
    cluster.register("s1")
    cluster.observe("s1")
    assert cluster.record("s1").state == "failed", "it is being cleaned"
    cluster.observe()
    assert cluster.record("s1").state == "joined"


def test_a_long_outage_overflows_nothing(cluster: Cluster) -> None:
    cluster.records = {"s1": Record("failed", failures=5000, dirty=True)}
    cluster.stay("s1")
    assert cluster.record("s1").until == cluster.now + 3600


@pytest.mark.parametrize("ahead", [36000.0, 3700.0])
def test_a_time_that_was_written_while_the_clock_was_ahead_keeps_no_host_back(cluster: Cluster, ahead: float) -> None:
    late = cluster.now + ahead
    cluster.records = {
        "s1": Record("leaving", late, failures=1, until=late + 60),
        "s2": Record("failed", late, failures=1, until=late + 60, dirty=True),
        "s3": Record("failed", late, failures=1, until=late + 60),
    }
    cluster.observe()
    assert cluster.due() == {"s1": "leave", "s2": "leave"}
    assert cluster.record("s3").state == "prepared"


def test_the_longest_rest_is_waited_for(cluster: Cluster) -> None:
    cluster.records = {"s1": Record("leaving", cluster.now, failures=99, until=cluster.now + 3601), "s3": Record("failed", until=cluster.now + 3601)}
    cluster.observe()
    assert cluster.due() == {} and cluster.record("s3").state == "failed"


def test_reasons_are_bounded(cluster: Cluster) -> None:
    cluster.increase(1)
    cluster.fail("s1", "x" * 100_000)
    assert len(cluster.record("s1").reason) == 300


@pytest.mark.parametrize("seed", range(30))
def test_whatever_happens_the_rules_hold(seed: int) -> None:
    """Hosts, Nodes, the autoscaler and time do anything in any order."""
    dice = random.Random(seed)
    cluster = Cluster(min=dice.choice([0, 1]), max=2)
    for _step in range(400):
        name = dice.choice(["s1", "s2", "s3"])
        state = cluster.records.get(name, Record()).state
        happening = dice.choice(["increase", "delete", "decrease", "work", "work", "fail", "vanish", "time"])
        target = cluster.target()
        try:
            if happening == "increase":
                cluster.increase(dice.choice([1, 2]))
            elif happening == "delete":
                cluster.delete(name)
            elif happening == "decrease":
                cluster.decrease(-1)
            elif happening == "vanish":
                cluster.nodes.pop(pid(name), None)
            elif happening == "time":
                cluster.now += 500
            elif name in cluster.due() and happening == "work":
                cluster.join(name) if state == JOINING else cluster.leave(name)
            elif name in cluster.due():
                cluster.fail(name) if state == JOINING else cluster.stay(name)
        except Refused:
            assert cluster.target() == target
        cluster.observe()
        wanted = [one for one, record in cluster.records.items() if record.wanted]
        assert len(wanted) == cluster.target() <= 3
        assert {one for one, (_state, error) in cluster.instances().items() if not error} >= set(wanted)
        assert all(record.state in STATES for record in cluster.records.values())
        for one, record in cluster.records.items():
            assert not (record.state in ("joining", "joined", "prepared") and (record.dirty or record.untold or record.again)), (one, record)
            assert record.state != "joined" or pid(one) in cluster.nodes
        assert refused_above_max(cluster)
    # Left alone, every host comes to rest, and a group with a min has it.
    for _step in range(50):
        cluster.now += 4000
        for name, what in cluster.due().items():
            cluster.join(name) if what == "join" else cluster.leave(name)
        cluster.observe()
    assert set(cluster.states().values()) <= {"joined", "prepared"}
    assert cluster.target() >= cluster.decider.groups["a"].min


def refused_above_max(cluster: Cluster) -> bool:
    try:
        cluster.decider.increase(cluster.records, "a", 3 - cluster.target(), cluster.now)
    except Refused:
        return True
    return False
