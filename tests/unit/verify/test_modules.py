# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The four modules: arguments in, results out, and what happens when the library raises an error."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.api import Reading
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.checks import HostReport
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.reading import ClusterReading
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.result import CLUSTER, OK, Result
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.traffic import ACTIVE_CHECKS, PHASE_CHECKS
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.workload import Session
from ansible_collections.nodewise.cluster.plugins.modules import (
    verify_cluster,
    verify_node,
    verify_pod_network,
    verify_test_pods,
)

Run = Callable[..., dict[str, Any]]
SESSION = Session("nodewise-verify-1", "10.96.1.1", "10.96.0.10", "cluster.local", 3, ()).to_dict()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def runner(module: ModuleType, **arguments: Any) -> dict[str, Any]:
        with patch_module_args(arguments), pytest.raises(SystemExit):
            module.main()
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        return result

    return runner


@pytest.fixture(autouse=True)
def no_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)


# -- verify_node ---------------------------------------------------------------------------------------------------------


def test_node_reads_until_it_is_well(run: Run, host: Callable[..., dict[str, Reading]], monkeypatch: pytest.MonkeyPatch) -> None:
    readings = [host("w1", dns=Reading(error="no")), host("w1")]
    monkeypatch.setattr(verify_node, "read_host", lambda _crictl, _ask: readings.pop(0))
    result = run(verify_node, node="w1", timeout=60)
    assert (result["verdict"], result["node"], result["changed"]) == ("pass", "w1", False)
    assert readings == []


def test_node_reads_once_by_itself_and_does_not_fail(run: Run, host: Callable[..., dict[str, Reading]], monkeypatch: pytest.MonkeyPatch) -> None:
    readings = [host("w1", dns=Reading(error="no")), host("w1")]
    monkeypatch.setattr(verify_node, "read_host", lambda _crictl, _ask: readings.pop(0))
    monkeypatch.setattr("platform.node", lambda: "W1")
    result = run(verify_node)
    assert "failed" not in result
    assert (result["verdict"], result["node"]) == ("fail", "w1")
    assert HostReport.from_dict(result).reading["dns"] == Reading(error="no")


# -- verify_cluster ------------------------------------------------------------------------------------------------------


@pytest.fixture
def cluster(reading: ClusterReading, monkeypatch: pytest.MonkeyPatch) -> list[ClusterReading]:
    """Return the readings that will be taken, the last for ever."""
    readings = [reading]
    monkeypatch.setattr(verify_cluster, "ApiReader", lambda: None)
    monkeypatch.setattr(verify_cluster, "read_cluster", lambda *_args: readings.pop(0) if len(readings) > 1 else readings[0])
    return readings


def without_dns(reading: ClusterReading) -> ClusterReading:
    return ClusterReading(reading.api, reading.configz, {server: Reading(error="no") for server in reading.dns}, reading.sandbox_image, reading.now)


def statuses(result: dict[str, Any]) -> dict[tuple[str, str], str]:
    return {(check["node"], check["check"]): check["status"] for check in result["checks"] if check["status"] != OK}


def test_cluster_alone(run: Run, cluster: list[ClusterReading]) -> None:
    assert len(cluster) == 1
    result = run(verify_cluster)
    assert statuses(result) == {}
    assert result["scope"] == ["cp1", "w1", "w2"]
    assert [node["name"] for node in result["nodes"]] == ["cp1", "w1", "w2"]


def test_cluster_waits_for_what_is_only_starting(run: Run, cluster: list[ClusterReading]) -> None:
    cluster.insert(0, without_dns(cluster[0]))
    assert statuses(run(verify_cluster, timeout=60)) == {}


def test_cluster_does_not_wait_unasked(run: Run, cluster: list[ClusterReading]) -> None:
    cluster.insert(0, without_dns(cluster[0]))
    assert statuses(run(verify_cluster)) == {(CLUSTER, "dns.service"): "fail", (CLUSTER, "dns.pods"): "fail"}


def test_cluster_does_not_wait_for_what_will_not_change(run: Run, cluster: list[ClusterReading]) -> None:
    cluster.insert(0, cluster[0])
    assert (CLUSTER, "api.version") in statuses(run(verify_cluster, timeout=60, kubernetes_version="1.36.3"))
    assert len(cluster) == 1


def test_cluster_does_not_miss_a_standby_host_that_has_left(run: Run, cluster: list[ClusterReading]) -> None:
    assert len(cluster) == 1
    result = run(verify_cluster, nodes=["cp1", "w1"], standby=["w2", "s9"], scope=["cp1", "w1", "w2", "s9"], resources=[])
    assert result["scope"] == ["cp1", "w1", "w2"]
    assert {node for node, check in statuses(result) if node == "s9"} == set()
    assert ("w2", "node.registered") not in statuses(result)
    assert "w3" in run(verify_cluster, nodes=["cp1", "w3"], standby=["s9"], scope=["w3"])["scope"]


def test_cluster_judges_only_the_scope(run: Run, cluster: list[ClusterReading], report: Callable[..., HostReport]) -> None:
    assert len(cluster) == 1
    made = report("w1")
    data = {
        "node": "w1",
        "reading": {name: {"value": item.value, "error": item.error} for name, item in made.reading.items()},
        "checks": [check.to_dict() for check in made.checks],
    }
    result = run(verify_cluster, nodes=["cp1", "w1", "w2"], scope=["w1"], hosts=[data])
    assert result["scope"] == ["w1"]
    assert {node for node, _check in statuses(result)} == {"cp1", "w2"}


def test_cluster_misses_active_results(run: Run, cluster: list[ClusterReading]) -> None:
    assert len(cluster) == 1
    have = [Result(check, node, OK).to_dict() for node in ("cp1", "w1") for check in ACTIVE_CHECKS]
    assert statuses(run(verify_cluster, active=have)) == {("w2", check): "unknown" for check in ACTIVE_CHECKS}


def test_cluster_takes_each_hosts_resources_and_misses_what_is_not_there(run: Run, cluster: list[ClusterReading]) -> None:
    assert len(cluster) == 1
    have = [
        {"node": "cp1", "checks": [Result("resources.lease", "cp1", OK).to_dict()]},
        {"node": "w1", "checks": [Result("resources.lease", "w1", "fail", "a", "b", "c", "d", ("e", "f")).to_dict()]},
    ]
    result = run(verify_cluster, resources=have)
    assert statuses(result) == {("w1", "resources.lease"): "fail", ("w2", "resources"): "unknown"}
    (failed,) = [check for check in result["checks"] if check["status"] == "fail"]
    assert (failed["tolerance"], failed["sources"]) == ("d", ["e", "f"])


@pytest.mark.parametrize("arguments", [{"resources": [{"node": "w1"}]}, {"hosts": [{"node": "w1"}]}, {"active": [{"check": "a.b"}]}])
def test_cluster_refuses_what_no_module_of_ours_returned(run: Run, arguments: dict[str, Any]) -> None:
    assert "The results given are not those of our modules" in run(verify_cluster, **arguments)["msg"]


def test_cluster_on_a_host_without_admin_conf(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise NodewiseError("/etc/kubernetes/admin.conf is not on this host.", "run this on the first control plane")

    monkeypatch.setattr(verify_cluster, "ApiReader", missing)
    result = run(verify_cluster)
    assert result["failed"]
    assert result["msg"] == "/etc/kubernetes/admin.conf is not on this host. Remedy: run this on the first control plane"


# -- verify_pod_network --------------------------------------------------------------------------------------------------


def test_pod_network_gives_what_the_phase_found(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def phase(*arguments: Any) -> list[Result]:
        seen.extend(arguments)
        return [Result("policy.removed", "w1", OK)]

    monkeypatch.setattr(verify_pod_network, "run_phase", phase)
    result = run(verify_pod_network, session=SESSION, phase="reopened", node="w1")
    assert (result["verdict"], len(result["checks"])) == ("pass", 1)
    assert (seen[0], seen[1], seen[2], *seen[4:]) == ("reopened", Session.from_dict(SESSION), "w1", 75, 300, 16)


@pytest.mark.parametrize("phase", list(PHASE_CHECKS))
def test_pod_network_that_cannot_be_entered_is_unknown(run: Run, monkeypatch: pytest.MonkeyPatch, phase: str) -> None:
    def error(*_arguments: Any) -> list[Result]:
        raise NodewiseError("The runtime of this host has no pod", "look")

    monkeypatch.setattr(verify_pod_network, "run_phase", error)
    result = run(verify_pod_network, session=SESSION, phase=phase, node="w1")
    assert "failed" not in result
    assert [(check["check"], check["status"], check["hint"]) for check in result["checks"]] == [(check, "unknown", "look") for check in PHASE_CHECKS[phase]]


def test_pod_network_refuses_what_is_no_session(run: Run) -> None:
    assert "The session is not one" in run(verify_pod_network, session={"name": "x"}, phase="open")["msg"]


# -- verify_test_pods ----------------------------------------------------------------------------------------------------


@pytest.fixture
def testpods(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Replace the library; C(error) is raised by all of it if set."""
    state: dict[str, Any] = {"calls": []}

    def fake(name: str, answer: Any) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            state["calls"].append((name, arguments[1:]))
            if "error" in state:
                raise state["error"]
            return answer

        return call

    monkeypatch.setattr(verify_test_pods, "ApiReader", lambda: None)
    monkeypatch.setattr(verify_test_pods, "kubeadm_images", lambda _version, _repository: "registry.k8s.io/pause:3.10.2\n")
    monkeypatch.setattr(verify_test_pods, "start", fake("start", (Session.from_dict(SESSION), [])))
    monkeypatch.setattr(verify_test_pods, "restrict", fake("restrict", None))
    monkeypatch.setattr(verify_test_pods, "reopen", fake("reopen", None))
    monkeypatch.setattr(verify_test_pods, "remove", fake("remove", True))
    return state


def test_present_gives_each_node_its_image_or_kubeadms(run: Run, testpods: dict[str, Any]) -> None:
    result = run(verify_test_pods, state="present", images={"cp1": "other/pause:1", "w1": ""})
    assert result["session"] == SESSION
    ((name, arguments),) = testpods["calls"]
    assert name == "start"
    assert arguments[2].startswith("nodewise-verify-")
    assert arguments[3] == {"cp1": "other/pause:1", "w1": "registry.k8s.io/pause:3.10.2"}


def test_each_session_has_its_own_name(run: Run, testpods: dict[str, Any]) -> None:
    for _run in range(2):
        run(verify_test_pods, state="present", images={"w1": "p"})
    assert len({arguments[2] for _name, arguments in testpods["calls"]}) == 2


@pytest.mark.parametrize(("state", "call"), [("restricted", "restrict"), ("reopened", "reopen")])
def test_policies(run: Run, testpods: dict[str, Any], state: str, call: str) -> None:
    result = run(verify_test_pods, state=state, session=SESSION)
    assert testpods["calls"] == [(call, (Session.from_dict(SESSION),))]
    assert (result["checks"], result["session"]) == ([], SESSION)


def test_absent(run: Run, testpods: dict[str, Any]) -> None:
    assert run(verify_test_pods, state="absent", timeout=7)["changed"] is True
    assert testpods["calls"] == [("remove", (7,))]


def test_check_mode_starts_nothing(run: Run, testpods: dict[str, Any]) -> None:
    result = run(verify_test_pods, state="present", images={"w1": ""}, _ansible_check_mode=True)
    assert (result["session"], testpods["calls"]) == (None, [])


def test_present_that_fails_makes_every_active_check_unknown(run: Run, testpods: dict[str, Any]) -> None:
    testpods["error"] = NodewiseError("pods is forbidden", "look at the quota")
    result = run(verify_test_pods, state="present", images={"w1": "p"})
    assert "failed" not in result
    assert result["session"] is None
    assert [(check["check"], check["status"], check["observed"]) for check in result["checks"]] == [
        (check, "unknown", "not run: pods is forbidden") for check in ACTIVE_CHECKS
    ]


@pytest.mark.parametrize("state", ["restricted", "reopened", "absent"])
def test_a_state_that_is_not_reached_is_a_failed_check(run: Run, testpods: dict[str, Any], state: str) -> None:
    testpods["error"] = NodewiseError("namespaces not gone after 60 s")
    result = run(verify_test_pods, state=state, session=SESSION)
    (check,) = result["checks"]
    assert (check["node"], check["check"], check["status"], check["observed"]) == (CLUSTER, f"policy.{state}", "fail", "namespaces not gone after 60 s")


def test_a_policy_needs_a_session(run: Run) -> None:
    assert "session" in run(verify_test_pods, state="restricted")["msg"]
