# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.calico.rollout import unsettled, wait_settled
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.kube.kubectl import Kubectl

LINES = "2026-01-01 [INFO] one\n\n2026-01-01 [ERROR] two\n"


def daemonset(**status: Any) -> dict[str, Any]:
    full = {"observedGeneration": 3, "desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberAvailable": 3, **status}
    return {"kind": "DaemonSet", "metadata": {"name": "calico-node", "generation": 3}, "status": full}


def deployment(name: str, wanted: int = 1, **status: Any) -> dict[str, Any]:
    full = {"observedGeneration": 1, "replicas": wanted, "updatedReplicas": wanted, "availableReplicas": wanted, **status}
    return {"kind": "Deployment", "metadata": {"name": name, "generation": 1}, "spec": {"replicas": wanted}, "status": full}


SETTLED = [daemonset(), deployment("coredns", 2), deployment("calico-kube-controllers")]


class FakeKubectl(Kubectl):
    """Answers from lists; remembers what was run."""

    def __init__(self, workloads: list[dict[str, Any]], pods: list[dict[str, Any]] | None = None, events: list[dict[str, Any]] | None = None) -> None:
        super().__init__()
        self.answers = {"pods": pods or [], "events": events or []}
        self.workloads = workloads
        self.failing: set[str] = set()
        self.ran: list[Sequence[str]] = []

    def get(self, *args: str) -> dict[str, Any] | None:
        items = next((items for name, items in self.answers.items() if name in args), self.workloads)
        return {"items": items} if items else None

    def run(self, args: Sequence[str], stdin: str | None = None, ok: Sequence[int] = (0,), timeout: float = 600) -> tuple[int, str, str]:
        self.ran.append(args)
        if "logs" in args:
            return 0, LINES, ""
        return (1, "", "error: timed out waiting for the condition\n") if args[4] in self.failing else (0, "", "")


def test_a_settled_cluster_has_nothing_to_wait_for() -> None:
    kubectl = FakeKubectl(SETTLED)
    assert unsettled(kubectl) == []
    wait_settled(kubectl, 10)
    assert kubectl.ran == []


@pytest.mark.parametrize(
    ("workloads", "line"),
    [
        ([daemonset(numberAvailable=2), *SETTLED[1:]], "daemonset/calico-node: 3 of 3 updated, 2 of 3 available"),
        ([daemonset(updatedNumberScheduled=1), *SETTLED[1:]], "daemonset/calico-node: 1 of 3 updated, 3 of 3 available"),
        ([daemonset(observedGeneration=2), *SETTLED[1:]], "daemonset/calico-node: its controller has not seen the last change yet"),
        ([daemonset(desiredNumberScheduled=0, updatedNumberScheduled=0, numberAvailable=0), *SETTLED[1:]], "daemonset/calico-node: no node asks for it yet"),
        ([SETTLED[0], deployment("coredns", 2, availableReplicas=1), SETTLED[2]], "deployment/coredns: 2 of 2 updated, 1 of 2 available"),
        ([SETTLED[0], deployment("coredns", 2, replicas=3), SETTLED[2]], "deployment/coredns: old pods are still there"),
        (SETTLED[:2], "deployment/calico-kube-controllers: does not exist"),
        (
            [{"kind": "DaemonSet", "metadata": {"name": "calico-node", "generation": 1}}, *SETTLED[1:]],
            "daemonset/calico-node: its controller has not seen the last change yet",
        ),
    ],
)
def test_what_is_missing_is_said(workloads: list[dict[str, Any]], line: str) -> None:
    assert unsettled(FakeKubectl(workloads)) == [line]


def test_an_empty_cluster_misses_everything() -> None:
    assert len(unsettled(FakeKubectl([]))) == 3


def test_waiting_watches_each_workload_in_order() -> None:
    kubectl = FakeKubectl([daemonset(numberAvailable=0), *SETTLED[1:]])
    wait_settled(kubectl, 100)
    assert [args[4] for args in kubectl.ran] == ["daemonset/calico-node", "deployment/coredns", "deployment/calico-kube-controllers"]


def pod(
    name: str, node: str | None, *containers: dict[str, Any], init: Sequence[dict[str, Any]] = (), ready: str = "False", message: str = ""
) -> dict[str, Any]:
    condition = {"type": "Ready", "status": ready, "message": message}
    status = {"phase": "Pending", "conditions": [condition], "initContainerStatuses": list(init), "containerStatuses": list(containers)}
    return {"metadata": {"name": name}, "spec": {"nodeName": node} if node else {}, "status": status}


def failure(pods: list[dict[str, Any]], events: list[dict[str, Any]] | None = None) -> tuple[str, FakeKubectl]:
    kubectl = FakeKubectl([], pods, events)
    kubectl.failing = {"daemonset/calico-node"}
    with pytest.raises(NodewiseError) as caught:
        wait_settled(kubectl, 100)
    return str(caught.value), kubectl


def test_a_timeout_names_pod_node_container_reason_and_log() -> None:
    crash = {"name": "calico-node", "restartCount": 4, "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s\nrestarting"}}}
    message, kubectl = failure([pod("calico-node-a", "w1", crash), pod("calico-node-b", "w2", ready="True")])
    assert "daemonset/calico-node was not rolled out within 100 s (error: timed out waiting for the condition)" in message
    assert (
        "calico-node-a on w1, container calico-node: CrashLoopBackOff: back-off 40s restarting; last log lines: 2026-01-01 [INFO] one | 2026-01-01 [ERROR] two"
        in message
    )
    assert "calico-node-b" not in message
    assert "Remedy: " in message
    assert "--previous" in kubectl.ran[-1]


def test_the_init_container_at_fault_is_found() -> None:
    init = [
        {"name": "upgrade-ipam", "state": {"terminated": {"exitCode": 0}}},
        {"name": "install-cni", "state": {"waiting": {"reason": "ErrImageNeverPull", "message": "no image"}}},
    ]
    waiting = {"name": "calico-node", "state": {"waiting": {"reason": "PodInitializing"}}}
    message, kubectl = failure([pod("calico-node-a", "w1", waiting, init=init)])
    assert "container install-cni: ErrImageNeverPull: no image" in message
    assert "--previous" not in kubectl.ran[-1]


def test_a_failing_probe_is_told_by_its_last_event() -> None:
    running = {"name": "calico-node", "restartCount": 1, "state": {"running": {}}, "ready": False}
    events = [
        {"lastTimestamp": "2026-01-02", "message": "Readiness probe failed: felix is not ready"},
        {"lastTimestamp": "2026-01-01", "message": "old"},
        {"message": "older"},
    ]
    message, kubectl = failure([pod("calico-node-a", "w1", running)], events)
    assert "container calico-node: running, but not ready: Readiness probe failed: felix is not ready; last log" in message
    assert "--previous" not in kubectl.ran[-1]


def test_a_pod_without_a_node_is_told_by_its_condition() -> None:
    message, _kubectl = failure([pod("coredns-a", None, message="0/1 nodes are available")])
    assert "coredns-a on no node: Pending, 0/1 nodes are available" in message


def test_only_the_first_pods_are_told() -> None:
    message, _kubectl = failure([pod(f"calico-node-{number}", "w1") for number in range(7)])
    assert "calico-node-3" in message
    assert "calico-node-4" not in message
    assert "and 3 more" in message
