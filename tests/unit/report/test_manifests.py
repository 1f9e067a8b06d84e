# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cluster gets: no more rights than a report needs, and a place that starves nobody. The server's word is in tests/integration."""

from __future__ import annotations

from typing import Any

from ansible_collections.nodewise.cluster.plugins.module_utils.report import schema
from ansible_collections.nodewise.cluster.plugins.module_utils.report.manifests import NAME, NAMESPACE, NODE_GROUP, cluster_objects


def found(kind: str) -> dict[str, Any]:
    (one,) = [entry for entry in cluster_objects() if entry["kind"] == kind]
    return one


def test_the_order_is_that_of_applying() -> None:
    kinds = [entry["kind"] for entry in cluster_objects()]
    assert kinds[:2] == ["Namespace", "CustomResourceDefinition"]
    assert {entry["metadata"]["name"] for entry in cluster_objects()} == {NAMESPACE, "nodereports.nodewise.dev", NAME}


def test_each_call_gives_objects_of_its_own() -> None:
    cluster_objects()[2]["metadata"]["labels"]["x"] = "y"
    assert "x" not in cluster_objects()[2]["metadata"]["labels"]


def test_nodes_get_no_more_than_they_need() -> None:
    granted = {(resource, verb) for rule in found("ClusterRole")["rules"] for resource in rule["resources"] for verb in rule["verbs"]}
    assert granted == {("nodereports", "create"), ("nodereports", "get"), ("nodereports", "patch"), ("nodereports/status", "update")}
    assert found("ClusterRoleBinding")["subjects"] == [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": NODE_GROUP}]


def test_the_policy_covers_the_status_and_fails_closed() -> None:
    spec = found("ValidatingAdmissionPolicy")["spec"]
    (rule,) = spec["matchConstraints"]["resourceRules"]
    assert set(rule["resources"]) == {"nodereports", "nodereports/status"}
    assert spec["failurePolicy"] == "Fail"
    assert found("ValidatingAdmissionPolicyBinding")["spec"] == {"policyName": NAME, "validationActions": ["Deny"]}


def test_the_flow_comes_before_that_of_all_nodes_and_borrows_nothing() -> None:
    assert found("FlowSchema")["spec"]["matchingPrecedence"] < 500
    limited = found("PriorityLevelConfiguration")["spec"]["limited"]
    assert (limited["borrowingLimitPercent"], limited["limitResponse"]["type"]) == (0, "Queue")


def walk(declared: dict[str, Any], path: str) -> list[str]:
    """Return the parts of a schema that bound nothing."""
    loose = [] if "description" in declared or path.count(".") < 1 else [f"{path} has no description"]
    kind = declared["type"]
    if kind == "object":
        return loose + [fault for name, part in declared.get("properties", {}).items() for fault in walk(part, f"{path}.{name}")]
    if kind == "array":
        return loose + ([] if "maxItems" in declared else [f"{path} has no maxItems"]) + walk(declared["items"], f"{path}[]")
    bounds = {"string": {"maxLength", "enum", "format"}, "boolean": {"type"}}.get(kind, {"minimum"})
    return loose + ([] if declared.keys() & bounds else [f"{path} is not bounded"])


def test_everything_in_the_schema_is_bounded_and_described() -> None:
    (version,) = found("CustomResourceDefinition")["spec"]["versions"]
    status = version["schema"]["openAPIV3Schema"]["properties"]["status"]
    assert walk(status, "status") == []
    assert status["x-kubernetes-map-type"] == "atomic"
    assert version["name"] == schema.VERSION
    paths = [column["jsonPath"] for column in version["additionalPrinterColumns"]]
    for path in paths:
        part = status
        for name in path.split(".")[2:]:
            part = part["properties"][name]
