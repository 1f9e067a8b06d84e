# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The test pods: what they are, who may reach whom, and who probes whom."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.workload import (
    FRIEND,
    HOST,
    LABEL,
    OPEN,
    PLAIN,
    REOPENED,
    RESTRICTED,
    ROLE_LABEL,
    Pod,
    Session,
    may_pass,
    members,
    namespace_object,
    objects,
    peers,
    policies,
)


def by_kind(made: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [item for item in made if item["kind"] == kind]


def test_each_node_gets_two_pods_and_a_lone_node_three() -> None:
    assert [(pod.name, pod.role) for pod in members(["w1", "cp1"])] == [
        ("plain-cp1", PLAIN),
        ("friend-cp1", FRIEND),
        ("plain-w1", PLAIN),
        ("friend-w1", FRIEND),
    ]
    assert [(pod.name, pod.role) for pod in members(["cp1"])] == [("plain-cp1", PLAIN), ("friend-cp1", FRIEND), ("friend2-cp1", FRIEND)]


def test_everything_bears_the_label_by_which_it_is_removed() -> None:
    made = [namespace_object("s"), *objects("s", {"cp1": "pause:1", "w1": "pause:2"}), *policies("s")]
    assert {item["metadata"]["labels"][LABEL] for item in made} == {"s"}
    assert {item["metadata"].get("namespace", item["metadata"]["name"]) for item in made} == {"s"}


def test_a_pod_runs_its_nodes_own_image_there_and_nowhere_else() -> None:
    pods = by_kind(objects("s", {"cp1": "pause:1", "w1": "pause:2"}), "Pod")
    assert len(pods) == 4
    for pod in pods:
        (term,) = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        node = term["matchFields"][0]["values"][0]
        (container,) = pod["spec"]["containers"]
        assert pod["metadata"]["name"].endswith(f"-{node}")
        assert container["image"] == {"cp1": "pause:1", "w1": "pause:2"}[node]
        assert container["imagePullPolicy"] == "IfNotPresent"


def test_a_pod_meets_the_restricted_level() -> None:
    """As Kubernetes' Pod Security Standards list it."""
    (pod, *_more) = by_kind(objects("s", {"cp1": "pause:1"}), "Pod")
    spec, container = pod["spec"], pod["spec"]["containers"][0]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert not {"hostNetwork", "hostPID", "hostIPC", "volumes"} & set(spec)


def test_the_service_leads_to_the_pods() -> None:
    made = objects("s", {"cp1": "pause:1"})
    (service,) = by_kind(made, "Service")
    for pod in by_kind(made, "Pod"):
        assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()


def test_policies() -> None:
    deny, allow = policies("s")
    assert deny["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    friends = {"matchLabels": {ROLE_LABEL: FRIEND}}
    assert allow["spec"]["podSelector"] == friends
    assert allow["spec"]["ingress"] == [{"from": [{"podSelector": friends}]}]
    assert allow["spec"]["egress"] == [{"to": [{"podSelector": friends}]}]


@pytest.mark.parametrize("phase", [OPEN, REOPENED])
@pytest.mark.parametrize("source", [PLAIN, FRIEND, HOST])
def test_all_is_open_without_policies(phase: str, source: str) -> None:
    assert may_pass(phase, source, Pod("w2", PLAIN, "plain-w2"), "w1")


@pytest.mark.parametrize(
    ("source", "target", "node", "passes"),
    [
        (FRIEND, FRIEND, "w1", True),
        (FRIEND, FRIEND, "w2", True),
        (FRIEND, PLAIN, "w2", False),
        (PLAIN, FRIEND, "w2", False),
        (PLAIN, PLAIN, "w1", False),
        (HOST, PLAIN, "w2", False),
        (HOST, FRIEND, "w2", False),
        (HOST, PLAIN, "w1", True),
    ],
)
def test_only_friends_pass_a_policy_and_a_node_to_its_own_pods(source: str, target: str, node: str, passes: bool) -> None:
    assert may_pass(RESTRICTED, source, Pod(node, target, "x"), "w1") is passes


def test_peers_go_round() -> None:
    nodes = ["a", "b", "c", "d"]
    assert peers("c", nodes, 16) == ["d", "a", "b"]
    assert peers("c", nodes, 2) == ["d", "a"]
    assert peers("a", ["a"], 16) == []
    # With a limit too each node is probed by as many as it probes.
    probed = [peer for node in nodes for peer in peers(node, nodes, 2)]
    assert {probed.count(node) for node in nodes} == {2}


def test_a_session_survives_the_way_through_json() -> None:
    session = Session("s", "10.96.1.1", "10.96.0.10", "cluster.local", 3, (Pod("w1", PLAIN, "plain-w1", "10.244.1.1"),))
    assert Session.from_dict(session.to_dict()) == session
    assert session.service_name == "probe.s.svc.cluster.local"


@pytest.mark.parametrize("data", [{}, {"name": "s", "pods": [{"node": "w1"}]}])
def test_what_is_no_session_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(NodewiseError, match="not one that module verify_test_pods returned"):
        Session.from_dict(data)
