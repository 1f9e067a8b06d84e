# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.policies.cluster import read_live
from ansible_collections.nodewise.cluster.plugins.module_utils.policies.desired import Key, desired
from ansible_collections.nodewise.cluster.plugins.module_utils.policies.prove import pod_beyond, prove
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.result import FAIL, OK, UNKNOWN, WARN, Result

Options = Callable[..., dict[str, Any]]
QUOTA = Key("ResourceQuota", "demo", "one")
PLAIN, BEYOND = "nodewise-verify-0", "nodewise-verify-1"
HARD = {"requests.cpu": "4"}


@pytest.fixture
def wanted(kubectl: Any, options: Options) -> Any:
    """A LimitRange and a quota, which the cluster has."""
    kubectl.add("LimitRange", "one", "demo", spec={"limits": [{"type": "Container", "default": {"cpu": "1"}, "defaultRequest": {"cpu": "1"}}]})
    kubectl.add("ResourceQuota", "one", "demo", spec={"hard": HARD}, status={"hard": HARD, "used": {"requests.cpu": "1500m"}})
    return desired(options(limit_ranges=[{"limits": [{"default": {"cpu": 1}}]}], resource_quotas=[{"hard": HARD}]))


def admitted(name: str, **resources: Any) -> str:
    return json.dumps({"kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [{"resources": resources}]}}, indent=4) + "\n"


def forbidden(name: str, why: str) -> str:
    return f'Error from server (Forbidden): error when creating "STDIN": pods "{name}" is forbidden: {why}\n'


GIVEN = admitted(PLAIN, limits={"cpu": "1000m"}, requests={"cpu": "1"})
EXCEEDED = forbidden(BEYOND, "exceeded quota: one, requested: requests.cpu=4001m, used: requests.cpu=0, limited: requests.cpu=4")


def results(kubectl: Any, wanted: Any, out: str, err: str) -> dict[str, Result]:
    kubectl.created = (out, err)
    return {result.check.removesuffix(".demo/one"): result for result in prove(kubectl, wanted, 0)}


def test_policies_that_work(kubectl: Any, wanted: Any) -> None:
    found = results(kubectl, wanted, GIVEN, EXCEEDED)
    assert {name: result.status for name, result in found.items()} == {
        "policies.listed": OK,
        "policies.quota": OK,
        "policies.defaults": OK,
        "policies.refusal": OK,
    }
    assert found["policies.quota"].observed == "requests.cpu 1500m of 4"
    assert found["policies.defaults"].observed == "a pod without got limits.cpu 1000m, requests.cpu 1"
    assert found["policies.refusal"].observed.startswith("refused: exceeded quota: one, requested: requests.cpu=4001m")
    # One call for all pods, and none of them is started.
    assert [args[:2] for args, _items in kubectl.ran] == [["create", "--dry-run=server"]]


@pytest.mark.parametrize(
    ("check", "out", "err", "status", "observed"),
    [
        ("defaults", admitted(PLAIN, requests={"cpu": "1"}), EXCEEDED, FAIL, "a pod without got requests.cpu 1"),
        ("defaults", admitted(PLAIN, limits={"cpu": "2"}, requests={"cpu": "1"}), EXCEEDED, FAIL, "a pod without got limits.cpu 2, requests.cpu 1"),
        (
            "defaults",
            "",
            EXCEEDED + forbidden(PLAIN, "failed quota: one: must specify limits.memory for: probe-0"),
            FAIL,
            "a pod without is refused: failed quota",
        ),
        ("defaults", "", EXCEEDED + forbidden(PLAIN, "exceeded quota: one, requested: x"), WARN, "not seen, for no pod is admitted now: exceeded quota: one"),
        (
            "defaults",
            "",
            EXCEEDED + forbidden(PLAIN, 'error looking up service account demo/default: serviceaccount "default" not found'),
            UNKNOWN,
            "a pod was refused: error",
        ),
        ("defaults", "", "The connection to the server was refused", UNKNOWN, "no pod was judged: The connection to the server was refused"),
        ("refusal", GIVEN + admitted(BEYOND), "", FAIL, "a pod beyond it was admitted"),
        ("refusal", GIVEN, forbidden(BEYOND, "exceeded quota: one-more, requested: x"), WARN, "refused before the quota was asked: exceeded quota: one-more"),
        ("refusal", GIVEN, forbidden(BEYOND, "maximum cpu usage per Pod is 1"), WARN, "refused before the quota was asked: maximum cpu"),
        ("refusal", GIVEN, "The connection to the server was refused", UNKNOWN, "no pod was judged: The connection to the server was refused"),
    ],
)
def test_policies_that_do_not_work(kubectl: Any, wanted: Any, check: str, out: str, err: str, status: str, observed: str) -> None:
    result = results(kubectl, wanted, out, err)[f"policies.{check}"]
    assert result.status == status
    assert result.observed.startswith(observed)
    assert result.hint


def test_policies_of_one_name_in_two_namespaces_are_proved_each(kubectl: Any, options: Options) -> None:
    for namespace in ("default", "demo"):
        kubectl.add("ResourceQuota", "one", namespace, spec={"hard": HARD}, status={"hard": HARD, "used": {"requests.cpu": "0"}})
    wanted = desired(options(resource_quotas=[{"hard": HARD, "namespace": "default"}, {"hard": HARD}]))
    kubectl.created = (admitted("nodewise-verify-0"), forbidden("nodewise-verify-1", "exceeded quota: one, requested: x"))
    found = {result.check: result.status for result in prove(kubectl, wanted, 0)}
    assert (found["policies.refusal.default/one"], found["policies.refusal.demo/one"]) == (FAIL, OK)
    assert [(pod["metadata"]["namespace"], pod["metadata"]["name"]) for pod in kubectl.ran[-1][1]] == [
        ("default", "nodewise-verify-0"),
        ("demo", "nodewise-verify-1"),
    ]


def test_what_is_not_as_listed(kubectl: Any, wanted: Any) -> None:
    kubectl.items.pop()
    found = results(kubectl, wanted, GIVEN, "")
    assert (found["policies.listed"].status, found["policies.listed"].observed) == (FAIL, "a run of role policies would: create ResourceQuota demo/one")
    assert "policies.quota" not in found


@pytest.mark.parametrize(("used", "status"), [({"requests.cpu": "4"}, WARN), ({"requests.cpu": "4.5"}, WARN), ({"requests.cpu": "3999m"}, OK), ({}, UNKNOWN)])
def test_use_of_a_quota(kubectl: Any, wanted: Any, used: dict[str, str], status: str) -> None:
    kubectl.items[-1]["status"]["used"] = used
    assert results(kubectl, wanted, GIVEN, EXCEEDED)["policies.quota"].status == status


def test_a_limit_of_nothing_is_not_used_up(kubectl: Any, wanted: Any) -> None:
    kubectl.items[-1].update(spec={"hard": {"pods": "0"}}, status={"hard": {"pods": "0"}, "used": {"pods": "0"}})
    assert results(kubectl, wanted, GIVEN, EXCEEDED)["policies.quota"].status == OK


def test_an_old_count_is_unknown(kubectl: Any, wanted: Any) -> None:
    kubectl.items[-1]["status"]["hard"] = {"requests.cpu": "3"}
    assert results(kubectl, wanted, GIVEN, EXCEEDED)["policies.quota"].status == UNKNOWN


# -- the pod that asks for too much --------------------------------------------------------------------------------------


def beyond(kubectl: Any, hard: dict[str, str], **spec: Any) -> dict[str, Any] | None:
    kubectl.add("ResourceQuota", "one", "demo", spec={"hard": hard, **spec})
    return pod_beyond(QUOTA, read_live(kubectl))


def test_it_states_everything_and_one_resource_too_much(kubectl: Any) -> None:
    pod = beyond(kubectl, {"limits.memory": "8Gi", "requests.memory": "9Gi"})
    assert pod is not None
    (container,) = pod["spec"]["containers"]
    assert container["resources"] == {"requests": {"cpu": "1m", "memory": "8193Mi"}, "limits": {"cpu": "1m", "memory": "8193Mi"}}


def test_it_is_split_where_a_limit_range_caps_containers(kubectl: Any) -> None:
    kubectl.add("LimitRange", "one", "demo", spec={"limits": [{"type": "Container", "max": {"cpu": "3"}, "min": {"memory": "2Mi"}}]})
    pod = beyond(kubectl, {"requests.cpu": "4"})
    assert pod is not None
    assert [container["resources"]["requests"] for container in pod["spec"]["containers"]] == [{"cpu": "3", "memory": "2Mi"}] * 2


@pytest.mark.parametrize("limit", [{"type": "Pod", "max": {"cpu": "2"}}, {"type": "Container", "max": {"cpu": "1m"}}])
def test_no_pod_can_exceed_what_limit_ranges_cap(kubectl: Any, limit: dict[str, Any]) -> None:
    kubectl.add("LimitRange", "one", "demo", spec={"limits": [limit]})
    assert beyond(kubectl, {"requests.cpu": "4"}) is None


def test_another_resource_is_taken_where_the_first_is_capped(kubectl: Any) -> None:
    kubectl.add("LimitRange", "one", "demo", spec={"limits": [{"type": "Pod", "max": {"cpu": "2"}}]})
    pod = beyond(kubectl, {"cpu": "4", "memory": "1Mi"})
    assert pod is not None
    assert pod["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "1m", "memory": "2Mi"}


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        ({"scopes": ["Terminating"]}, {"activeDeadlineSeconds": 60}),
        ({"scopes": ["NotBestEffort", "NotTerminating"]}, {}),
        ({"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]}}, {"priorityClassName": "high"}),
    ],
)
def test_it_is_in_the_quotas_scopes(kubectl: Any, spec: dict[str, Any], fields: dict[str, Any]) -> None:
    pod = beyond(kubectl, {"cpu": "4"}, **spec)
    assert pod is not None
    assert {name: value for name, value in pod["spec"].items() if name not in ("containers", "securityContext")} == fields


@pytest.mark.parametrize(("hard", "scopes"), [({"secrets": "1"}, []), ({"pods": "1"}, ["BestEffort"]), ({"cpu": "1"}, ["CrossNamespacePodAffinity"])])
def test_quotas_that_no_single_pod_exceeds(kubectl: Any, hard: dict[str, str], scopes: list[str]) -> None:
    assert beyond(kubectl, hard, scopes=scopes) is None
