# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.policies.usage import kind_needed, matches, pod_usage, unstated, used


def container(cpu: str = "", limit: str = "", **more: Any) -> dict[str, Any]:
    resources = {**({"requests": {"cpu": cpu}} if cpu else {}), **({"limits": {"cpu": limit}} if limit else {})}
    return {"name": "c", "resources": resources, **more}


def pod(*containers: dict[str, Any], phase: str = "Running", qos: str = "Burstable", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p", "namespace": "demo"}, "spec": {"containers": list(containers), **spec}, "status": {"phase": phase, "qosClass": qos}}


@pytest.mark.parametrize(
    ("item", "cpu"),
    [
        (pod(container("100m"), container("1")), "1.1"),
        (pod(container("1"), initContainers=[container("3"), container("2")]), "3"),
        (pod(container("1"), initContainers=[container("500m", restartPolicy="Always"), container("3")]), "3.5"),
        (pod(container("4"), initContainers=[container("500m", restartPolicy="Always"), container("3")]), "4.5"),
        (pod(container("1"), overhead={"cpu": "250m"}), "1.25"),
        (pod(container("1"), resources={"requests": {"cpu": "2"}}), "2"),
    ],
)
def test_what_a_pod_requests(item: dict[str, Any], cpu: str) -> None:
    usage = pod_usage(item)
    assert usage["cpu"] == usage["requests.cpu"] == Fraction(cpu)
    assert "limits.cpu" not in usage or usage["limits.cpu"] == 0


def test_limits_extended_resources_and_the_pod_itself() -> None:
    gpu = {"name": "c", "resources": {"requests": {"nvidia.com/gpu": "2"}, "limits": {"nvidia.com/gpu": "2"}}}
    usage = pod_usage(pod(container("1", "2"), gpu))
    assert {name: int(usage[name]) for name in ("pods", "count/pods", "requests.cpu", "limits.cpu", "requests.nvidia.com/gpu")} == {
        "pods": 1,
        "count/pods": 1,
        "requests.cpu": 1,
        "limits.cpu": 2,
        "requests.nvidia.com/gpu": 2,
    }


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_has_ended_is_only_an_object(phase: str) -> None:
    assert pod_usage(pod(container("1"), phase=phase)) == {"count/pods": 1}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("pods", "pods"),
        ("requests.cpu", "pods"),
        ("requests.nvidia.com/gpu", "pods"),
        ("services.nodeports", "services"),
        ("requests.storage", "persistentvolumeclaims"),
        ("fast.storageclass.storage.k8s.io/persistentvolumeclaims", "persistentvolumeclaims"),
        ("secrets", "secrets"),
        ("count/deployments.apps", "deployments.apps"),
        ("gpu.deviceclass.resource.k8s.io/devices", None),
    ],
)
def test_where_to_look(name: str, kind: str | None) -> None:
    assert kind_needed(name) == kind


def test_use_of_a_namespace() -> None:
    claims = [
        {"spec": {"resources": {"requests": {"storage": "1Gi"}}, "storageClassName": "fast"}},
        {"spec": {"resources": {"requests": {"storage": "512Mi"}}}},
    ]
    ports = [{"port": 1}, {"port": 2}]
    services = [
        {"spec": {"type": "ClusterIP", "ports": ports}},
        {"spec": {"type": "NodePort", "ports": ports}},
        {"spec": {"type": "LoadBalancer", "ports": ports}},
        {"spec": {"type": "LoadBalancer", "ports": ports, "allocateLoadBalancerNodePorts": False}},
    ]
    there = {"persistentvolumeclaims": claims, "services": services, "secrets": ["a", "b"], "pods": [pod(container("1")), pod(container("2"), phase="Failed")]}
    names = {
        "requests.storage": Fraction(1536 * 1024**2),
        "persistentvolumeclaims": 2,
        "count/persistentvolumeclaims": 2,
        "fast.storageclass.storage.k8s.io/requests.storage": 1024**3,
        "slow.storageclass.storage.k8s.io/persistentvolumeclaims": 0,
        "services": 4,
        "services.nodeports": 4,
        "services.loadbalancers": 2,
        "secrets": 2,
        "pods": 1,
        "count/pods": 2,
        "requests.cpu": 1,
    }
    assert {name: used(name, {}, there) for name in names} == names


AFFINITY = {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": {"namespaceSelector": {}}}]}}


@pytest.mark.parametrize(
    ("scope", "inside", "outside"),
    [
        ("Terminating", pod(activeDeadlineSeconds=0), pod()),
        ("NotTerminating", pod(), pod(activeDeadlineSeconds=5)),
        ("BestEffort", pod(qos="BestEffort"), pod()),
        ("NotBestEffort", pod(), pod(qos="BestEffort")),
        ("PriorityClass", pod(priorityClassName="high"), pod()),
        ("CrossNamespacePodAffinity", pod(affinity=AFFINITY), pod(affinity={"podAffinity": {}})),
    ],
)
def test_scopes(scope: str, inside: dict[str, Any], outside: dict[str, Any]) -> None:
    assert (matches({"scopes": [scope]}, inside), matches({"scopes": [scope]}, outside)) == (True, False)


@pytest.mark.parametrize(("operator", "expected"), [("In", [True, False, False]), ("NotIn", [False, True, True]), ("DoesNotExist", [False, False, True])])
def test_scope_selectors(operator: str, expected: list[bool]) -> None:
    spec = {"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": operator, "values": ["high"]}]}}
    pods = [pod(priorityClassName="high"), pod(priorityClassName="low"), pod()]
    assert [matches(spec, item) for item in pods] == expected


def test_a_quota_counts_only_what_is_in_its_scopes() -> None:
    pods = [pod(container("1"), priorityClassName="high"), pod(container("2"))]
    assert used("requests.cpu", {"scopes": ["PriorityClass"]}, {"pods": pods}) == 1


def test_what_pods_do_not_state() -> None:
    hard = ["limits.cpu", "cpu", "requests.ephemeral-storage", "pods"]
    assert unstated(hard, pod(container("1", "1"))) == []
    assert unstated(hard, pod(container("1", "1"), container("1"))) == ["limits.cpu"]
    assert unstated(hard, pod(container("1", "1"), initContainers=[container()])) == ["cpu", "limits.cpu"]
    assert unstated(hard, pod(container(), resources={"requests": {"cpu": "1"}})) == []
