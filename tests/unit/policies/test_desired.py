# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.policies.desired import Key, desired, filled, problems

Options = Callable[..., dict[str, Any]]


def test_objects_come_in_the_order_in_which_they_are_needed(options: Options) -> None:
    wanted = desired(
        options(
            resource_quotas=[{"hard": {"requests.cpu": 4}}],
            limit_ranges=[{"limits": [{"default": {"memory": "500Mi"}}]}],
            priority_classes=[{"name": "b", "global_default": True}, {"name": "a"}],
            namespaces=["demo"],
        )
    )
    # The default class last: another one may have to give that up first.
    assert [str(key) for key in wanted.present] == [
        "Namespace demo",
        "PriorityClass a",
        "PriorityClass b",
        "LimitRange demo/one",
        "ResourceQuota demo/one",
    ]


def test_objects_are_kubernetes_own(options: Options) -> None:
    wanted = desired(
        options(
            limit_ranges=[{"limits": [{"default_request": {"cpu": 0.1}, "max_limit_request_ratio": {"cpu": 4}}]}],
            resource_quotas=[
                {
                    "hard": {"pods": 4, "limits.memory": "1024Mi"},
                    "scopes": ["NotBestEffort"],
                    "scope_selector": [
                        {"scope_name": "PriorityClass", "operator": "In", "values": ["high"]},
                        {"scope_name": "Terminating", "operator": "Exists"},
                    ],
                },
                {"name": "gone", "state": "absent"},
            ],
            priority_classes=[{"description": "x", "preemption_policy": "Never"}],
        )
    )
    assert wanted.present[Key("LimitRange", "demo", "one")]["spec"] == {
        "limits": [{"type": "Container", "defaultRequest": {"cpu": "100m"}, "maxLimitRequestRatio": {"cpu": "4"}}]
    }
    assert wanted.present[Key("ResourceQuota", "demo", "one")] == {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "one", "namespace": "demo"},
        "spec": {
            "hard": {"pods": "4", "limits.memory": "1Gi"},
            "scopes": ["NotBestEffort"],
            "scopeSelector": {
                "matchExpressions": [
                    {"scopeName": "PriorityClass", "operator": "In", "values": ["high"]},
                    {"scopeName": "Terminating", "operator": "Exists"},
                ]
            },
        },
    }
    assert wanted.present[Key("PriorityClass", "", "high")] == {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": "high"},
        "value": 5,
        "globalDefault": False,
        "preemptionPolicy": "Never",
        "description": "x",
    }
    assert wanted.absent == [Key("ResourceQuota", "demo", "gone")]


@pytest.mark.parametrize(
    ("item", "default", "default_request"),
    [
        ({"max": {"cpu": "2"}}, {"cpu": "2"}, {"cpu": "2"}),
        ({"default": {"cpu": "1"}, "max": {"cpu": "2"}}, {"cpu": "1"}, {"cpu": "1"}),
        ({"min": {"cpu": "1"}}, {}, {"cpu": "1"}),
        ({"min": {"cpu": "1"}, "default": {"cpu": "2"}}, {"cpu": "2"}, {"cpu": "2"}),
        ({"defaultRequest": {"cpu": "1"}, "default": {"memory": "1"}}, {"memory": "1"}, {"cpu": "1", "memory": "1"}),
    ],
)
def test_what_the_api_server_fills_in(item: dict[str, Any], default: dict[str, str], default_request: dict[str, str]) -> None:
    whole = filled({"type": "Container", **item})
    assert (whole["default"], whole["defaultRequest"]) == (default, default_request)
    assert filled({"type": "Pod", **item})["default"] == item.get("default", {})


GOOD: list[dict[str, Any]] = [
    {"limit_ranges": [{"limits": [{"min": {"cpu": 0}, "default": {"memory": "500Mi"}, "max": {"memory": "0.5Gi"}}]}]},
    {
        "limit_ranges": [
            {"limits": [{"max": {"nvidia.com/gpu": 1}}, {"type": "PersistentVolumeClaim", "max": {"storage": "1Ti"}}, {"type": "Pod", "max": {"cpu": 1}}]}
        ]
    },
    {"limit_ranges": [{"limits": [{"min": {"cpu": 1}, "max": {"cpu": 4}, "max_limit_request_ratio": {"cpu": 4}}]}]},
    {"limit_ranges": [{"state": "absent"}], "resource_quotas": [{"state": "absent", "hard": None}]},
    {"priority_classes": [{"value": 1_000_000_000}, {"name": "low", "value": -5}]},
    {"resource_quotas": [{"hard": {"cpu": "1e3", "count/deployments.apps": 2, "count/ippools.crd.projectcalico.org": 1, "requests.nvidia.com/gpu": 4}}]},
    {
        "resource_quotas": [
            {"hard": {"fast.storageclass.storage.k8s.io/requests.storage": "5Gi", "hugepages-2Mi": "4Mi", "gpu.deviceclass.resource.k8s.io/devices": 1}}
        ]
    },
    {"resource_quotas": [{"hard": {"pods": 1, "count/pods": 2}, "scopes": ["BestEffort"]}]},
    # The example of the issue.
    {
        "namespaces": ["demo"],
        "limit_ranges": [{"limits": [{"default": {"memory": "500Mi"}}]}],
        "priority_classes": [{"name": "high-priority", "value": 1000000}],
        "resource_quotas": [
            {"name": "compute-resources", "hard": {"requests.cpu": 4, "requests.memory": "8Gi", "limits.cpu": 4, "limits.memory": "8Gi"}},
            {"hard": {"persistentvolumeclaims": 10, "replicationcontrollers": 20, "secrets": 10, "services": 10, "services.loadbalancers": 10}},
        ],
    },
]


@pytest.mark.parametrize("given", GOOD)
def test_good_options(options: Options, given: dict[str, Any]) -> None:
    assert problems(options(**given)) == []


BAD: list[tuple[dict[str, Any], str]] = [
    ({"namespaces": ["Demo"]}, "The namespace 'Demo' is not an RFC 1123 label."),
    ({"namespaces": ["a", "a"]}, "Namespace a is listed 2 times; list it once."),
    ({"limit_ranges": [{"limits": []}]}, "LimitRange demo/one has no limits; list one, or write state: absent."),
    (
        {"limit_ranges": [{"limits": [{}]}]},
        "LimitRange demo/one, type Container limits nothing; write one of min, default_request, default, max, max_limit_request_ratio.",
    ),
    ({"limit_ranges": [{"state": "absent"}, {"state": "absent"}]}, "LimitRange demo/one is listed 2 times; list it once."),
    (
        {"limit_ranges": [{"state": "absent", "namespace": "a.b"}]},
        "LimitRange a.b/one: the namespace 'a.b' is not an RFC 1123 label; write lower-case letters, digits and '-'.",
    ),
    (
        {"limit_ranges": [{"state": "absent", "name": "A_b"}]},
        "LimitRange demo/A_b: the name 'A_b' is not an RFC 1123 name; write lower-case letters, digits, '-' and '.'.",
    ),
    (
        {"limit_ranges": [{"limits": [{"max": {"cpu": 1}}, {"max": {"memory": 1}}]}]},
        "LimitRange demo/one has several limits of type Container; write them as one.",
    ),
    (
        {"limit_ranges": [{"limits": [{"default": {"memory": "500MB"}}]}]},
        "LimitRange demo/one, type Container, default: '500MB' is not a quantity such as '500m', '100Mi' or '1Gi'.",
    ),
    ({"limit_ranges": [{"limits": [{"default": {"memory": "-1"}}]}]}, "LimitRange demo/one, type Container, default: -1 is negative."),
    ({"limit_ranges": [{"limits": [{"default": {"memory": True}}]}]}, "'True' is not a quantity"),
    (
        {"limit_ranges": [{"limits": [{"default": {"memroy": "1Gi"}}]}]},
        "LimitRange demo/one, type Container, default: 'memroy' is no resource that Kubernetes limits there; did you mean memory?",
    ),
    ({"limit_ranges": [{"limits": [{"default": {"limits.cpu": 1}}]}]}, "'limits.cpu' is no resource that Kubernetes limits there"),
    ({"limit_ranges": [{"limits": [{"max": {"a_b/gpu": 1}}]}]}, "'a_b/gpu' is no resource: what is before the '/' must be a DNS name"),
    (
        {"limit_ranges": [{"limits": [{"type": "PersistentVolumeClaim", "max": {"cpu": 1}}]}]},
        "'cpu' is no resource that Kubernetes limits there; known are storage.",
    ),
    (
        {"limit_ranges": [{"limits": [{"type": "PersistentVolumeClaim", "default": {"storage": 1}}]}]},
        "LimitRange demo/one, type PersistentVolumeClaim has neither min nor max for storage; write one of them.",
    ),
    (
        {"limit_ranges": [{"limits": [{"type": "Pod", "default": {"cpu": 1}}]}]},
        "LimitRange demo/one, type Pod: only containers have defaults; move default and default_request to a limit of type Container.",
    ),
    # A limit below a request, written or following.
    (
        {"limit_ranges": [{"limits": [{"default": {"cpu": "900m"}, "default_request": {"cpu": 1}}]}]},
        "LimitRange demo/one, type Container: default_request 1 of cpu is more than default 900m; lower the one or raise the other.",
    ),
    (
        {"limit_ranges": [{"limits": [{"default_request": {"memory": "1Gi"}, "max": {"memory": "1000Mi"}}]}]},
        "default_request 1Gi of memory is more than default 1000Mi (default follows from the others)",
    ),
    (
        {"limit_ranges": [{"limits": [{"min": {"cpu": 2}, "default": {"cpu": 1}}]}]},
        "min 2 of cpu is more than defaultRequest 1".replace("defaultRequest", "default_request"),
    ),
    ({"limit_ranges": [{"limits": [{"min": {"cpu": 2}, "max": {"cpu": "1999m"}}]}]}, "min 2 of cpu is more than max 1999m"),
    ({"limit_ranges": [{"limits": [{"default": {"cpu": 2}, "max": {"cpu": 1}}]}]}, "default 2 of cpu is more than max 1; "),
    ({"limit_ranges": [{"limits": [{"max_limit_request_ratio": {"cpu": "500m"}}]}]}, "max_limit_request_ratio of cpu is less than 1"),
    (
        {"limit_ranges": [{"limits": [{"min": {"cpu": 1}, "max": {"cpu": 2}, "max_limit_request_ratio": {"cpu": 3}}]}]},
        "max_limit_request_ratio of cpu is more than max 2 by min 1; lower it.",
    ),
    (
        {"limit_ranges": [{"limits": [{"default": {"nvidia.com/gpu": 2}, "default_request": {"nvidia.com/gpu": 1}}]}]},
        "nvidia.com/gpu cannot be overcommitted, so default and default_request must be equal.",
    ),
    ({"priority_classes": [{"value": 1_000_000_001}]}, "PriorityClass high: the value 1000000001 is not between -2147483648 and 1000000000"),
    ({"priority_classes": [{"name": "system-x"}]}, "PriorityClass system-x: names that start with system- are Kubernetes' own; take another name."),
    ({"resource_quotas": [{"hard": {}}]}, "ResourceQuota demo/one limits nothing; write something in hard, or state: absent."),
    (
        {"resource_quotas": [{"hard": {"limit.cpu": 4}}]},
        "ResourceQuota demo/one, hard: 'limit.cpu' is no resource that Kubernetes limits there; did you mean limits.cpu?",
    ),
    ({"resource_quotas": [{"hard": {"pods": "1500m"}}]}, "ResourceQuota demo/one, hard: 1500m of pods is no whole number."),
    ({"resource_quotas": [{"hard": {"count/secrets": 0.5}}]}, "0.5 of count/secrets is no whole number"),
    ({"resource_quotas": [{"hard": {"pods": "ten"}}]}, "'ten' is not a quantity"),
    ({"resource_quotas": [{"hard": {"pods": -1}}]}, "-1 is negative"),
    ({"resource_quotas": [{"hard": {"count/services.loadbalancers": 1}}]}, "it would count nothing; write services.loadbalancers."),
    (
        {"resource_quotas": [{"hard": {"count/deployments.app": 1}}]},
        "'count/deployments.app' is not count/RESOURCE or count/RESOURCE.GROUP, such as count/deployments.apps.",
    ),
    ({"resource_quotas": [{"hard": {"count/": 1}}]}, "'count/' is not count/RESOURCE"),
    ({"resource_quotas": [{"hard": {"limits.nvidia.com/gpu": 1}}]}, "a quota limits an extended resource by its requests only; write requests.nvidia.com/gpu."),
    ({"resource_quotas": [{"hard": {"nvidia.com/gpu": 1}}]}, "write requests.nvidia.com/gpu."),
    ({"resource_quotas": [{"hard": {"fast.storageclass.storage.k8s.io/storage": 1}}]}, "did you mean requests.storage?"),
    (
        {"resource_quotas": [{"hard": {"pods": 1}, "scopes": ["BestEffort"], "scope_selector": [{"scope_name": "NotBestEffort", "operator": "Exists"}]}]},
        "ResourceQuota demo/one has the scopes BestEffort and NotBestEffort, which no pod meets; take one of them out.",
    ),
    (
        {"resource_quotas": [{"hard": {"cpu": 1}, "scopes": ["BestEffort"]}]},
        "the scope BestEffort, which limits pods only, but hard has cpu; move them to another quota.",
    ),
    (
        {"resource_quotas": [{"hard": {"pods": 1}, "scope_selector": [{"scope_name": "Terminating", "operator": "In", "values": ["x"]}]}]},
        "ResourceQuota demo/one, scope_selector: the scope Terminating knows the operator Exists only.",
    ),
    (
        {"resource_quotas": [{"hard": {"pods": 1}, "scope_selector": [{"scope_name": "PriorityClass", "operator": "NotIn"}]}]},
        "the operator NotIn of PriorityClass needs values.",
    ),
    (
        {"resource_quotas": [{"hard": {"pods": 1}, "scope_selector": [{"scope_name": "PriorityClass", "operator": "Exists", "values": ["x"]}]}]},
        "the operator Exists of PriorityClass needs no values.",
    ),
]


@pytest.mark.parametrize(("given", "message"), BAD, ids=[message[:60] for _given, message in BAD])
def test_bad_options(options: Options, given: dict[str, Any], message: str) -> None:
    assert message in " ".join(problems(options(**given)))


def test_all_that_is_wrong_is_told_at_once(options: Options) -> None:
    assert len(problems(options(namespaces=["A"], priority_classes=[{"value": 2**31}], resource_quotas=[{"hard": {"x": 1, "y": 1}}]))) == 4
