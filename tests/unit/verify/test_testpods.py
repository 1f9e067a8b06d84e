# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting and removing test pods, against an API server and a kubectl that are not there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.kube.kubectl import Kubectl
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.api import Reading
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.dns import Answer, DnsError
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.result import FAIL, OK, UNKNOWN
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.testpods import (
    pod_check,
    remove,
    reopen,
    restrict,
    start,
)
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.traffic import ACTIVE_CHECKS
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.workload import LABEL, Pod, Session, members

IMAGES = {"cp1": "pause:1", "w1": "pause:1"}


class FakeKubectl(Kubectl):
    """Notes what it is asked; has the namespaces it is told."""

    def __init__(self, namespaces: Sequence[str] = ()) -> None:
        super().__init__()
        self.namespaces = list(namespaces)
        self.calls: list[list[str]] = []
        self.applied: list[dict[str, Any]] = []

    def run(self, args: Sequence[str], stdin: str | None = None, ok: Sequence[int] = (0,), timeout: float = 600) -> tuple[int, str, str]:
        self.calls.append(list(args))
        if args[:2] == ["get", "namespaces"]:
            return 0, json.dumps({"items": [{"metadata": {"name": name}} for name in self.namespaces]}), ""
        if args[0] == "apply":
            self.applied += json.loads(stdin or "")["items"]
        if args[0] == "wait":
            return max(ok), "", "timed out"
        return 0, "", ""


class FakeApi:
    """An API server whose pods run, but for those that are told to be down."""

    def __init__(self, down: Sequence[str] = ()) -> None:
        self.down = down

    def get(self, path: str) -> Reading:
        end = path.rpartition("/")[2]
        if end == "pods":
            pods = [
                {
                    "metadata": {"name": pod.name},
                    "status": {"phase": "Pending"} if pod.name in self.down else {"podIP": f"10.244.0.{number}"},
                }
                for number, pod in enumerate(members(list(IMAGES)), 1)
            ]
            return Reading({"items": pods})
        return {
            "kube-dns": Reading({"spec": {"clusterIP": "10.96.0.10"}}),
            "probe": Reading({"spec": {"clusterIP": "10.96.1.1"}}),
            "configz": Reading({"kubeletconfig": {"clusterDomain": "example.test"}}),
            "ippools": Reading({"items": [{"spec": {"cidr": "10.244.0.0/16"}}]}),
            "nodes": Reading({"items": [{}, {}, {}]}),
        }[end]


def answers(_server: str, _name: str) -> Answer:
    return Answer(("10.96.0.1",), 0.0)


def silent(server: str, _name: str) -> Answer:
    raise DnsError(f"{server} did not answer")


def test_start() -> None:
    kubectl = FakeKubectl()
    session, checks = start(kubectl, FakeApi(), answers, "s", IMAGES, 5)
    assert session is not None
    assert session == Session(
        "s", "10.96.1.1", "10.96.0.10", "example.test", 3, tuple(Pod(p.node, p.role, p.name, f"10.244.0.{n}") for n, p in enumerate(members(list(IMAGES)), 1))
    )
    assert [(check.node, check.status) for check in checks] == [("cp1", OK), ("w1", OK)]
    assert [item["kind"] for item in kubectl.applied] == ["Namespace", "Service", "Pod", "Pod", "Pod", "Pod"]
    assert "--timeout=5s" in next(call for call in kubectl.calls if call[0] == "wait")


def test_a_killed_run_is_cleaned_up_first() -> None:
    kubectl = FakeKubectl(["nodewise-verify-old"])
    start(kubectl, FakeApi(), answers, "s", IMAGES, 5)
    verbs = [call[:2] for call in kubectl.calls]
    assert verbs.index(["delete", "namespaces"]) < [call[0] for call in kubectl.calls].index("apply")


def test_no_pods_without_dns() -> None:
    kubectl = FakeKubectl()
    session, checks = start(kubectl, FakeApi(), silent, "s", IMAGES, 0)
    assert session is None
    assert kubectl.applied == []
    assert {(check.node, check.check) for check in checks} == {(node, check) for node in IMAGES for check in ACTIVE_CHECKS}
    assert {check.status for check in checks} == {UNKNOWN}
    assert {check.observed for check in checks} == {"not run: 10.96.0.10 did not answer"}


def test_a_pod_that_does_not_start_is_told_apart() -> None:
    session, checks = start(FakeKubectl(), FakeApi(["plain-w1"]), answers, "s", IMAGES, 5)
    assert session is not None
    assert [pod.name for pod in session.pods if not pod.address] == ["plain-w1"]
    assert [(check.node, check.status, check.observed) for check in checks][1] == ("w1", FAIL, "plain-w1: Pending, not ready")


def test_an_api_server_that_does_not_answer_is_an_error() -> None:
    class Down(FakeApi):
        def get(self, path: str) -> Reading:
            return Reading(error="10.0.0.1:6443: Connection refused")

    with pytest.raises(NodewiseError, match="could not be read: 10.0.0.1:6443: Connection refused"):
        start(FakeKubectl(), Down(), answers, "s", IMAGES, 5)


@pytest.mark.parametrize(
    ("addresses", "pools", "status", "observed"),
    [
        (["10.244.0.1", "10.244.0.2"], ["10.244.0.0/16"], OK, "10.244.0.1, 10.244.0.2"),
        (["10.244.0.1", "172.17.0.2"], ["10.244.0.0/16"], FAIL, "172.17.0.2 is of no pool"),
        (["10.244.0.1", "10.244.0.2"], [], UNKNOWN, "no IP pool to compare with"),
        (["10.244.0.1", ""], ["10.244.0.0/16"], FAIL, "was not made"),
    ],
)
def test_pod_check(addresses: list[str], pools: list[str], status: str, observed: str) -> None:
    result = pod_check("w1", [(Pod("w1", "plain", f"p{number}", address), None) for number, address in enumerate(addresses)], pools)
    assert result.status == status
    assert observed in result.observed


def test_policies_are_set_and_lifted() -> None:
    kubectl, session = FakeKubectl(), Session("s", "", "", "", 1, ())
    restrict(kubectl, session)
    assert [item["metadata"]["name"] for item in kubectl.applied] == ["deny-all", "allow-friends"]
    reopen(kubectl, session)
    assert kubectl.calls[-1] == ["delete", "networkpolicies", "--namespace=s", f"--selector={LABEL}", "--ignore-not-found"]


def test_remove() -> None:
    assert remove(FakeKubectl(), 5) is False
    kubectl = FakeKubectl(["a", "b"])
    assert remove(kubectl, 5) is True
    assert [call[0] for call in kubectl.calls] == ["get", "delete", "delete", "delete", "wait"]
    assert kubectl.calls[1][:4] == ["delete", "namespaces", "a", "b"]
    assert [call[2] for call in kubectl.calls if call[:2] == ["delete", "pods"]] == ["--namespace=a", "--namespace=b"]
    assert kubectl.calls[-1][-2:] == ["namespace/a", "namespace/b"]
