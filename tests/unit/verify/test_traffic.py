# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The active checks: which paths belong to which, and what their outcomes mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.verify import traffic
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.crictl import Crictl
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.netns import Job
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.probe import Attempt, Outcome, Path
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.result import FAIL, OK, UNKNOWN, WARN, Result
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.traffic import (
    ACTIVE_CHECKS,
    PHASE_CHECKS,
    doubted,
    judge,
    missing_results,
    not_run,
    plan,
    run_phase,
    sources_of,
    targets_of,
)
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.workload import (
    OPEN,
    REOPENED,
    RESTRICTED,
    SERVE,
    Pod,
    Session,
    members,
)


def session(*nodes: str, cluster_nodes: int = 3) -> Session:
    pods = tuple(Pod(pod.node, pod.role, pod.name, f"10.244.0.{number}") for number, pod in enumerate(members(nodes), 1))
    return Session("nodewise-verify-1", "10.96.1.1", "10.96.0.10", "cluster.local", cluster_nodes, pods)


def planned(phase: str, over: Session, node: str) -> Counter[tuple[str, bool]]:
    """Return how many paths of a node belong to each check and must, or must not, pass."""
    targets = targets_of(over, node, 16)
    return Counter((check, path.must_pass) for source in sources_of(over, node) for check, path in plan(phase, over, node, source, targets))


def test_every_check_of_a_phase_has_paths() -> None:
    assert planned(OPEN, session("cp1", "w1", "w2"), "w1") == {
        ("traffic.same-node", True): 2,  # two pods, each to the other
        ("traffic.cross-node", True): 8,  # two pods to the four of the other nodes
        ("traffic.host", True): 6,
        ("traffic.service", True): 2,
        ("dns.pod", True): 4,
    }
    assert planned(RESTRICTED, session("cp1", "w1", "w2"), "w1") == {
        ("policy.allows", True): 2 + 2,  # friend to two friends; the node to its own two pods
        ("policy.blocks", False): 8 + 4 + 4,  # of ten paths between pods; the node to others' pods; four questions to the DNS
    }
    assert planned(REOPENED, session("cp1", "w1", "w2"), "w1") == {("policy.removed", True): 16}


def test_a_lone_node_tries_a_policy_too() -> None:
    assert planned(RESTRICTED, session("cp1"), "cp1") == {
        ("policy.allows", True): 2 + 3,  # its two friends, and the node to its three pods
        ("policy.blocks", False): 4 + 6,
    }
    assert ("traffic.cross-node", True) not in planned(OPEN, session("cp1"), "cp1")


def test_a_pod_without_an_address_is_no_target() -> None:
    over = session("cp1", "w1")
    down = Session(over.name, over.service_address, over.dns_address, over.domain, 3, (*over.pods[:2], Pod("w1", "plain", "plain-w1"), over.pods[3]))
    assert [pod.name for pod in targets_of(down, "cp1", 16)] == ["plain-cp1", "friend-cp1", "friend-w1"]


def test_peers_are_limited() -> None:
    over = session(*(f"w{number}" for number in range(8)))
    assert {pod.node for pod in targets_of(over, "w6", 2)} == {"w6", "w7", "w0"}


def outcome(check: str, as_wanted: bool, label: str = "a to b", detail: str = "no answer") -> tuple[str, Outcome]:
    return check, Outcome(label, True, as_wanted, detail)


def test_judge() -> None:
    outcomes = [outcome(check, True) for check in PHASE_CHECKS[OPEN]]
    assert [(result.check, result.status, result.observed) for result in judge(OPEN, "w1", outcomes, False, 3)] == [
        (check, OK, "1 of 1 path") for check in PHASE_CHECKS[OPEN]
    ]


def test_a_failure_names_the_paths() -> None:
    outcomes = [outcome("policy.blocks", False, f"{number} to x", "answered by x") for number in range(5)]
    outcomes += [outcome("policy.blocks", True), outcome("policy.allows", True)]
    blocks, allows = judge(RESTRICTED, "w1", outcomes, False, 3)
    assert (blocks.status, allows.status) == (FAIL, OK)
    assert blocks.expected == "all paths closed"
    assert blocks.observed == ("1 of 6 paths as wanted; 0 to x: answered by x; 1 to x: answered by x; 2 to x: answered by x; and 2 more")
    assert "Felix" in blocks.hint


def test_what_was_not_tried_is_unknown() -> None:
    assert {result.status for result in judge(REOPENED, "w1", [], False, 3)} == {UNKNOWN}


def test_cross_node_where_there_is_no_other_node() -> None:
    def cross(cluster_nodes: int) -> Result:
        return judge(OPEN, "cp1", [], True, cluster_nodes)[1]

    assert (cross(1).status, cross(1).observed) == (OK, "not applicable: the cluster has one node")
    assert cross(3).status == WARN
    assert "--limit" in cross(3).hint


def test_missing_results() -> None:
    have = [Result(check, "w1", OK) for check in ACTIVE_CHECKS]
    assert missing_results(have, ["w1"]) == []
    assert [(result.node, result.check, result.status) for result in missing_results(have[:-1], ["w1"])] == [("w1", "policy.removed", UNKNOWN)]
    assert len(missing_results(have, ["w1", "w2"])) == len(ACTIVE_CHECKS)
    assert {result.hint for result in not_run("w1", "because", "look")} == {"look"}


@pytest.mark.parametrize("broken", ["traffic.same-node", "traffic.cross-node", "traffic.host", "dns.pod", "policy.allows"])
def test_what_never_was_open_is_not_blocked_by_a_policy(broken: str) -> None:
    results = [Result(check, node, FAIL if (node, check) == ("w1", broken) else OK) for node in ("w1", "w2") for check in ACTIVE_CHECKS]
    changed = [result for result, before in zip(doubted(results), results, strict=True) if result != before]
    assert [(result.node, result.check, result.status) for result in changed] == [("w1", "policy.blocks", UNKNOWN)]
    assert "not all were open before" in changed[0].observed


def test_a_policy_that_does_not_block_stays_a_failure() -> None:
    results = [Result("policy.blocks", "w1", FAIL), Result("dns.pod", "w1", FAIL)]
    assert doubted(results) == results


# -- a phase on a host ---------------------------------------------------------------------------------------------------


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Replace what needs a real host; a path passes if it must, but for those in C(broken)."""
    state: dict[str, Any] = {"served": [], "entered": [], "broken": set()}

    def jobs_here(jobs: Sequence[Job], _timeout: float) -> list[Any]:
        state["entered"] += [job.path for job in jobs]
        return [job.work() for job in jobs]

    def settled(paths: Sequence[Path], _deadline: float) -> list[Outcome]:
        return [Outcome(path.label, path.must_pass, path.label not in state["broken"], "seen") for path in paths]

    monkeypatch.setattr(traffic, "find_namespace", lambda _crictl, namespace, pod: f"/run/netns/{namespace}/{pod}")
    monkeypatch.setattr(traffic, "start_server", lambda path, port, greeting, life: state["served"].append((path, port, greeting[:9], len(greeting), life)))
    monkeypatch.setattr(traffic, "run_in_namespaces", jobs_here)
    monkeypatch.setattr(traffic, "settle", settled)
    return state


def test_serve_starts_servers_and_tries_nothing(fake: dict[str, Any]) -> None:
    assert run_phase(SERVE, session("cp1", "w1"), "w1", Crictl(), 1, 120, 16) == []
    assert fake["served"] == [
        ("/run/netns/nodewise-verify-1/plain-w1", 8080, b"plain-w1\n", 32768, 120),
        ("/run/netns/nodewise-verify-1/friend-w1", 8080, b"friend-w1", 32768, 120),
    ]
    assert fake["entered"] == []


def test_a_phase_gives_each_of_its_checks_once(fake: dict[str, Any]) -> None:
    fake["broken"].add("plain-w1 to friend-cp1 10.244.0.2")
    results = run_phase(OPEN, session("cp1", "w1"), "w1", Crictl(), 1, 120, 16)
    assert [result.check for result in results] == list(PHASE_CHECKS[OPEN])
    assert [(result.check, result.observed) for result in results if result.status != OK] == [
        ("traffic.cross-node", "3 of 4 paths as wanted; plain-w1 to friend-cp1 10.244.0.2: seen")
    ]
    # The node's own paths are tried from the host's network.
    assert fake["entered"] == ["/run/netns/nodewise-verify-1/plain-w1", "/run/netns/nodewise-verify-1/friend-w1", ""]


def test_attempts_go_where_the_plan_says(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def connect(*args: Any) -> Attempt:
        calls.append(args)
        return Attempt(True, "")

    monkeypatch.setattr(traffic, "connect", connect)
    monkeypatch.setattr(traffic, "resolve", connect)
    over = session("cp1", "w1")
    source = sources_of(over, "w1")[0]
    for _check, path in plan(OPEN, over, "w1", source, targets_of(over, "w1", 16)):
        path.attempt()
    assert calls == [
        ("10.244.0.1", 8080, "plain-cp1", 32768),
        ("10.244.0.2", 8080, "friend-cp1", 32768),
        ("10.244.0.4", 8080, "friend-w1", 32768),
        ("10.96.0.10", "probe.nodewise-verify-1.svc.cluster.local", "10.96.1.1"),
        ("10.96.0.10", "kubernetes.default.svc.cluster.local", ""),
        ("10.96.1.1", 80, "", 32768),
    ]
