# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.policies.cluster import actions, carry_out, compare, difference, read_live
from ansible_collections.nodewise.cluster.plugins.module_utils.policies.desired import desired

Options = Callable[..., dict[str, Any]]
COMPUTE = {"requests.cpu": 4, "limits.memory": "8Gi"}


def plan(kubectl: Any, given: dict[str, Any]) -> Any:
    return compare(kubectl, desired(given))[0]


def refusal(kubectl: Any, given: dict[str, Any]) -> str:
    with pytest.raises(NodewiseError) as caught:
        compare(kubectl, desired(given))
    assert all("--dry-run=server" in args or args[0] == "get" for args, _items in kubectl.ran)
    return str(caught.value)


def quota(kubectl: Any, namespace: str = "demo", used: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    item: dict[str, Any] = kubectl.add("ResourceQuota", "one", namespace, spec=spec, status={"hard": spec["hard"], "used": used or {}})
    return item


def pod(name: str, namespace: str = "kube-system", **resources: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"containers": [{"name": "c", "resources": resources}]}, "status": {"phase": "Running"}}


# -- what differs ------------------------------------------------------------------------------------------------------------


def test_equal_meanings_are_no_difference(kubectl: Any, options: Options) -> None:
    kubectl.add("PriorityClass", "high", value=5)
    live = {"type": "Container", "default": {"memory": "500Mi"}, "defaultRequest": {"memory": "500Mi"}, "max": {}}
    kubectl.add("LimitRange", "one", "demo", spec={"limits": [live]})
    quota(kubectl, hard={"requests.cpu": "4", "limits.memory": "8Gi"}, scopes=["NotBestEffort", "Terminating"])
    given = options(
        namespaces=["demo"],
        priority_classes=[{}],
        limit_ranges=[{"limits": [{"default": {"memory": "0.48828125Gi"}}]}],
        resource_quotas=[{"hard": {"requests.cpu": "4000m", "limits.memory": "8192Mi"}, "scopes": ["Terminating", "NotBestEffort"]}],
    )
    assert not plan(kubectl, given).changed
    assert kubectl.ran == []


def test_what_is_not_listed_is_left_alone(kubectl: Any, options: Options) -> None:
    quota(kubectl, hard={"pods": "1"})
    kubectl.add("LimitRange", "other", "demo", spec={"limits": []})
    assert not plan(kubectl, options()).changed


def test_new_objects_are_applied_in_order_with_one_call(kubectl: Any, options: Options) -> None:
    given = options(
        namespaces=["new"],
        limit_ranges=[{"name": f"l{number}", "namespace": "new", "limits": [{"max": {"cpu": 1}}]} for number in range(100)],
        resource_quotas=[{"name": f"q{number}", "namespace": "new", "hard": {"pods": 1}} for number in range(100)],
    )
    made = plan(kubectl, given)
    carry_out(kubectl, made)
    assert kubectl.verbs == ["apply"]
    assert "--server-side" in kubectl.ran[-1][0]
    kinds = [item["kind"] for item in kubectl.ran[-1][1]]
    assert kinds == ["Namespace", *["LimitRange"] * 100, *["ResourceQuota"] * 100]
    assert actions(made)[:2] == ["create Namespace new", "create LimitRange new/l0"]


@pytest.mark.parametrize("conflicts", [2, 100])
def test_a_quota_that_is_counted_meanwhile_is_read_again(kubectl: Any, options: Options, monkeypatch: pytest.MonkeyPatch, conflicts: int) -> None:
    """Each pod that comes or goes in a namespace writes its quotas' status."""
    there = quota(kubectl, hard={"pods": "1"}, used={"pods": "0"})
    there["metadata"]["resourceVersion"] = "1"
    run, sent = kubectl.run, list[str]()

    def outdated(args: list[str], stdin: str) -> Any:
        sent.append(json.loads(stdin)["items"][0]["metadata"]["resourceVersion"])
        if len(sent) <= conflicts:
            there["metadata"]["resourceVersion"] = str(len(sent) + 1)
            raise NodewiseError("Operation cannot be fulfilled on resourcequotas: the object has been modified; please apply your changes")
        return run(args, stdin)

    monkeypatch.setattr(kubectl, "run", outdated)
    if conflicts == 100:
        with pytest.raises(NodewiseError, match="the object has been modified"):
            plan(kubectl, options(resource_quotas=[{"hard": {"pods": 2}}]))
        return
    carry_out(kubectl, plan(kubectl, options(resource_quotas=[{"hard": {"pods": 2}}])))
    # Two conflicts in the dry run, and no more when it is carried out.
    assert sent == ["1", "2", "3", "3"]
    assert kubectl.ran[-1][1][0]["spec"] == {"hard": {"pods": "2"}}


def test_a_changed_quota_is_replaced_whole(kubectl: Any, options: Options) -> None:
    """Somebody added a limit by hand; server-side apply would leave it."""
    item = quota(kubectl, hard={"requests.cpu": "4", "pods": "1"}, used={"requests.cpu": "1", "pods": "1"})
    item["metadata"].update(labels={"team": "a"}, resourceVersion="7")
    made = plan(kubectl, options(resource_quotas=[{"hard": {"requests.cpu": 4}}]))
    carry_out(kubectl, made)
    assert kubectl.verbs == ["replace"]
    (sent,) = kubectl.ran[-1][1]
    assert sent["spec"] == {"hard": {"requests.cpu": "4"}}
    assert sent["metadata"] == {"name": "one", "namespace": "demo", "labels": {"team": "a"}, "resourceVersion": "7"}
    assert "status" not in sent
    (shown,) = difference(made)
    assert (shown["before_header"], '"pods"' in shown["before"], '"pods"' in shown["after"]) == ("ResourceQuota demo/one", True, False)


def test_a_limit_range_differs_by_what_the_server_does_not_fill_in(kubectl: Any, options: Options) -> None:
    kubectl.add("LimitRange", "one", "demo", spec={"limits": [{"type": "Container", "default": {"cpu": "1"}, "defaultRequest": {"cpu": "500m"}}]})
    made = plan(kubectl, options(limit_ranges=[{"limits": [{"default": {"cpu": 1}}]}]))
    assert actions(made) == ["change LimitRange demo/one"]


@pytest.mark.parametrize("change", [{"description": "new"}, {"global_default": True}])
def test_a_priority_class_can_change_in_part(kubectl: Any, options: Options, change: dict[str, Any]) -> None:
    kubectl.add("PriorityClass", "high", value=5, preemptionPolicy="PreemptLowerPriority")
    assert actions(plan(kubectl, options(priority_classes=[change]))) == ["change PriorityClass high"]


def test_removal(kubectl: Any, options: Options) -> None:
    quota(kubectl, hard={"pods": "1"})
    kubectl.add("LimitRange", "one", "demo", spec={"limits": []})
    kubectl.add("PriorityClass", "high", value=9, globalDefault=True)
    given = options(
        limit_ranges=[{"state": "absent"}],
        resource_quotas=[{"state": "absent"}, {"name": "never", "namespace": "nowhere", "state": "absent"}],
        priority_classes=[{"state": "absent", "value": None}, {"name": "next", "global_default": True}],
    )
    made = plan(kubectl, given)
    assert actions(made) == ["create PriorityClass next", "delete ResourceQuota demo/one", "delete LimitRange demo/one", "delete PriorityClass high"]
    carry_out(kubectl, made)
    # The default goes before the next one comes; a quota goes before the LimitRange it may depend on.
    assert kubectl.verbs == ["delete", "apply", "delete"]
    assert [[item["metadata"]["name"] for item in items] for args, items in kubectl.ran if args[0] == "delete"] == [["high"], ["one", "one"]]
    assert [item["kind"] for item in kubectl.ran[-1][1]] == ["ResourceQuota", "LimitRange"]
    kubectl.items = [item for item in kubectl.items if item["kind"] == "Namespace"]
    assert not plan(kubectl, options(resource_quotas=[{"state": "absent"}])).changed


# -- what is refused before anything is changed --------------------------------------------------------------------------


def test_a_namespace_that_does_not_exist(kubectl: Any, options: Options) -> None:
    message = refusal(kubectl, options(resource_quotas=[{"namespace": "dmeo", "hard": {"pods": 1}}]))
    assert message == (
        "Nothing was changed, for the policies are wrong: ResourceQuota dmeo/one: there is no namespace 'dmeo'; "
        "list it in namespaces to have it made, or correct the name."
    )


def test_a_namespace_that_is_being_deleted(kubectl: Any, options: Options) -> None:
    kubectl.add("Namespace", "old", status={"phase": "Terminating"})
    assert "the namespace old is being deleted; wait until it is gone." in refusal(kubectl, options(namespaces=["old"]))


def test_what_kubernetes_does_not_change(kubectl: Any, options: Options) -> None:
    kubectl.add("PriorityClass", "high", value=9, preemptionPolicy="Never")
    quota(kubectl, hard={"pods": "1"}, scopes=["BestEffort"])
    message = refusal(kubectl, options(priority_classes=[{"value": 5}], resource_quotas=[{"hard": {"pods": 1}}]))
    assert "PriorityClass high has value 9 and 5 is wanted, which Kubernetes does not change; take another name, or run once with state: absent" in message
    assert "PriorityClass high has preemptionPolicy Never and PreemptLowerPriority is wanted" in message
    assert "ResourceQuota demo/one has BestEffort and none are wanted, which Kubernetes does not change" in message


@pytest.mark.parametrize(
    ("listed", "refused"),
    [
        ([{"global_default": True}], True),
        ([{"global_default": True}, {"name": "old", "value": 9}], False),
        ([{"global_default": True}, {"name": "old", "state": "absent"}], False),
        ([{"name": "old", "value": 9, "global_default": True}], False),
    ],
)
def test_two_global_defaults(kubectl: Any, options: Options, listed: list[dict[str, Any]], refused: bool) -> None:
    kubectl.add("PriorityClass", "old", value=9, globalDefault=True)
    given = options(priority_classes=listed)
    if refused:
        assert "The PriorityClasses high, old would all be the global default, and only one can be" in refusal(kubectl, given)
    else:
        plan(kubectl, given)


def test_two_global_defaults_that_are_both_listed(kubectl: Any, options: Options) -> None:
    assert "a, b would all be the global default" in refusal(
        kubectl, options(priority_classes=[{"name": "a", "global_default": True}, {"name": "b", "global_default": True}])
    )


def test_a_quota_that_is_exceeded_as_the_server_counts(kubectl: Any, options: Options) -> None:
    quota(kubectl, hard={"requests.cpu": "4"}, used={"requests.cpu": "2500m"})
    message = refusal(kubectl, options(resource_quotas=[{"hard": {"requests.cpu": 2}}]))
    assert "ResourceQuota demo/one allows 2 of requests.cpu, but 2.5 are used; raise it, or remove objects first." in message
    assert plan(kubectl, options(resource_quotas=[{"hard": {"requests.cpu": "2500m"}}])).changed
    assert [args for args, _items in kubectl.ran if args[0] == "get"] == []


def test_a_quota_that_is_exceeded_by_objects(kubectl: Any, options: Options) -> None:
    kubectl.rows = {"secrets": "s1 Opaque 1 5m\ns2 Opaque 1 5m\n", "deployments.apps": ""}
    kubectl.pods = [pod("a", "demo", requests={"cpu": "3"}), pod("b", "demo", requests={"cpu": "2"}), pod("c", "default", requests={"cpu": "9"})]
    message = refusal(kubectl, options(resource_quotas=[{"hard": {"secrets": 1, "count/deployments.apps": 0, "requests.cpu": 4}}]))
    assert "allows 1 of secrets, but 2 are used" in message
    assert "allows 4 of requests.cpu, but 5 are used" in message
    assert "deployments" not in message


def test_objects_of_several_namespaces_are_counted_with_one_call(kubectl: Any, options: Options) -> None:
    kubectl.rows = {"secrets": "default s1 Opaque 1 5m\ndemo s1 Opaque 1 5m\ndemo s2 Opaque 1 5m\nother s3 Opaque 0 1m\n"}
    given = options(resource_quotas=[{"hard": {"secrets": 1}}, {"namespace": "default", "hard": {"secrets": 1}}])
    message = refusal(kubectl, given)
    assert "ResourceQuota demo/one allows 1 of secrets, but 2 are used" in message
    assert "default/one" not in message
    assert len([args for args, _items in kubectl.ran if args[0] == "get"]) == 1


def test_the_use_in_other_scopes_is_counted_anew(kubectl: Any, options: Options) -> None:
    selector = {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["low"]}]}
    quota(kubectl, hard={"pods": "9"}, scopeSelector=selector, used={"pods": "9"})
    kubectl.pods = [pod("a", "demo")]
    kubectl.pods[0]["spec"]["priorityClassName"] = "high"
    given = options(resource_quotas=[{"hard": {"pods": 1}, "scope_selector": [{"scope_name": "PriorityClass", "operator": "In", "values": ["high"]}]}])
    assert plan(kubectl, given).changed


def test_a_quota_that_would_block_pods_of_the_system(kubectl: Any, options: Options) -> None:
    kubectl.pods = [pod("kube-proxy-1"), pod("kube-proxy-2"), pod("coredns", requests={"cpu": "1"}, limits={"memory": "1Mi"})]
    given = {"resource_quotas": [{"namespace": "kube-system", "hard": COMPUTE}]}
    message = refusal(kubectl, options(**given))
    assert (
        "ResourceQuota kube-system/one would block pods of the system: kube-proxy-1 and 1 more do not state limits.memory, requests.cpu, "
        "so they could not start again; leave it out, or give defaults by a LimitRange."
    ) in message
    half = {"limit_ranges": [{"namespace": "kube-system", "limits": [{"default": {"memory": "1Gi"}}]}]}
    assert "do not state requests.cpu," in refusal(kubectl, options(**given, **half))
    whole = {"limit_ranges": [{"namespace": "kube-system", "limits": [{"max": {"memory": "1Gi"}, "default_request": {"cpu": "1m"}}]}]}
    assert plan(kubectl, options(**given, **whole)).changed


def test_a_limit_range_that_goes_gives_no_defaults(kubectl: Any, options: Options) -> None:
    kubectl.pods = [pod("kube-proxy")]
    kubectl.add("LimitRange", "one", "kube-system", spec={"limits": [{"type": "Container", "default": {"cpu": "1"}}]})
    given = {"resource_quotas": [{"namespace": "kube-system", "hard": {"limits.cpu": 4}}]}
    assert plan(kubectl, options(**given)).changed
    assert "would block" in refusal(kubectl, options(**given, limit_ranges=[{"namespace": "kube-system", "state": "absent"}]))


@pytest.mark.parametrize("spec", [{"hard": {"pods": 99}}, {"hard": {"requests.cpu": 9}, "scopes": ["PriorityClass"]}])
def test_a_quota_that_blocks_no_pods_of_the_system(kubectl: Any, options: Options, spec: dict[str, Any]) -> None:
    kubectl.pods = [pod("kube-proxy")]
    assert plan(kubectl, options(resource_quotas=[{"namespace": "kube-system", **spec}])).changed


def test_pods_of_others_that_would_be_refused_are_a_warning(kubectl: Any, options: Options) -> None:
    _plan, warnings = compare(kubectl, desired(options(resource_quotas=[{"hard": COMPUTE}], limit_ranges=[{"limits": [{"default": {"memory": 1}}]}])))
    assert warnings == ["ResourceQuota demo/one: new pods that do not state requests.cpu are refused; a LimitRange of demo could give defaults."]


def test_the_api_server_judges_all_before_anything_is_changed(kubectl: Any, options: Options) -> None:
    quota(kubectl, hard={"pods": "1"}, used={"pods": "0"})
    given = options(
        namespaces=["new"],
        priority_classes=[{"name": "low"}, {"global_default": True}],
        limit_ranges=[{"limits": [{"max": {"cpu": 1}}]}, {"namespace": "new", "limits": [{"max": {"cpu": 1}}]}],
        resource_quotas=[{"hard": {"pods": 2}}],
    )
    plan(kubectl, given)
    judged = [(args[0], f"{item['kind']} {item['metadata']['name']}") for args, items in kubectl.ran for item in items if "--dry-run=server" in args]
    # Not what depends on an earlier step: the new namespace's objects, and the class that becomes the default.
    assert judged == [("apply", "Namespace new"), ("apply", "PriorityClass low"), ("apply", "LimitRange one"), ("replace", "ResourceQuota one")]
    kubectl.refusing = "admission webhook x denied the request"
    assert refusal(kubectl, given) == "Nothing was changed, for the API server refuses the policies: admission webhook x denied the request"


def test_one_read_tells_all(kubectl: Any) -> None:
    assert [str(key) for key in read_live(kubectl)] == ["Namespace default", "Namespace demo", "Namespace kube-system"]
