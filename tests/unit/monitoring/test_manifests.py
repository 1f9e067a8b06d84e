# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is applied: rights, hardening, bounds. That the API server takes it is tests/integration's."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.monitoring.manifests import (
    NAMESPACE,
    Settings,
    cluster_objects,
    kubernetes_jobs,
    make_settings,
    namespace,
    operator,
    outside,
    prometheus,
    scrape_configs,
)
from ansible_collections.nodewise.cluster.plugins.module_utils.report.settings import Settings as ReportSettings

SETTINGS = Settings("0.85.0", "3.16.0")


def of_kind(kind: str, settings: Settings = SETTINGS) -> list[dict[str, Any]]:
    return [one for one in cluster_objects(settings) if one["kind"] == kind]


def granted(kind: str, name: str) -> set[tuple[str, str]]:
    found = [one for one in of_kind(kind) if one["metadata"]["name"] == name]
    return {(resource, verb) for one in found for rule in one["rules"] for resource in rule.get("resources", []) for verb in rule["verbs"]}


def test_prometheus_can_read_and_nothing_else() -> None:
    assert granted("ClusterRole", "nodewise-prometheus") == {("nodes", "get"), ("nodes", "list"), ("nodes", "watch"), ("nodes/metrics", "get")}
    role = granted("Role", "nodewise-prometheus")
    assert {verb for _resource, verb in role} == {"get", "list", "watch"}
    assert "secrets" not in {resource for resource, _verb in role}


def test_the_operators_rights_end_at_its_namespace() -> None:
    assert not granted("ClusterRole", "nodewise-prometheus-operator")
    roles = [one for one in of_kind("Role") if one["metadata"]["name"] == "nodewise-prometheus-operator"]
    assert [one["metadata"]["namespace"] for one in roles] == [NAMESPACE]
    assert not [rule for one in roles for rule in one["rules"] if "*" in (*rule["verbs"], *rule["resources"])]


def test_what_outlives_the_namespace_is_known() -> None:
    assert {(one["kind"], one["metadata"].get("namespace")) for one in outside()} == {
        ("ClusterRole", None),
        ("ClusterRoleBinding", None),
        ("Role", "default"),
        ("RoleBinding", "default"),
    }
    within = [one for one in cluster_objects(SETTINGS) if one not in outside()]
    assert {one["metadata"]["namespace"] for one in within} == {NAMESPACE}


def test_pods_are_restricted() -> None:
    assert namespace()["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    pod = operator(SETTINGS)["spec"]["template"]["spec"]
    for security in (pod["securityContext"], prometheus(SETTINGS)["spec"]["securityContext"]):
        assert security["runAsNonRoot"] is True
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["containers"][0]["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}


def test_nobody_but_labelled_namespaces_reaches_prometheus() -> None:
    deny, allow = of_kind("NetworkPolicy")
    assert deny["spec"] == {"podSelector": {}, "policyTypes": ["Ingress"]}
    assert allow["spec"]["ingress"][0]["from"][1] == {"namespaceSelector": {"matchLabels": {"nodewise.dev/reads-prometheus": "true"}}}


def test_samples_are_bounded_by_days_and_size() -> None:
    spec = prometheus(Settings("0.85.0", "3.16.0", retention_days=3, storage_gib=10))["spec"]
    assert (spec["retention"], spec["retentionSize"], spec["storage"]) == ("3d", "8192MiB", {"emptyDir": {"sizeLimit": "10Gi"}})
    claim = prometheus(Settings("0.85.0", "3.16.0", storage_class="local"))["spec"]["storage"]["volumeClaimTemplate"]["spec"]
    assert claim == {"storageClassName": "local", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5Gi"}}}


def test_daemons_are_scraped_over_mutual_tls() -> None:
    reporter, guard = (one["spec"] for one in scrape_configs(Settings("0.85.0", "3.16.0", reporter_port=1, guard_port=2)))
    for spec, port in ((reporter, 1), (guard, 2)):
        assert spec["scheme"] == "HTTPS"
        assert spec["tlsConfig"].keys() == {"ca", "cert", "keySecret", "minVersion"}
        assert f"$1:{port}" in [one.get("replacement") for one in spec["relabelings"]]
    assert [one["action"] for one in guard["relabelings"]][0] == "Keep"
    assert len(scrape_configs(Settings("0.85.0", "3.16.0", guard=False))) == 1


def test_the_rules_know_how_long_reports_are_valid() -> None:
    (rule,) = of_kind("PrometheusRule", Settings("0.85.0", "3.16.0", reporter_valid_seconds=1500.0))
    assert "node:nodewise_report_age:seconds > 1500 or" in json.dumps(rule)


def test_reports_are_valid_for_as_long_as_the_reporter_says_by_default() -> None:
    assert SETTINGS.reporter_valid_seconds == ReportSettings().valid_seconds


def test_certificates_are_always_verified() -> None:
    text = json.dumps([cluster_objects(SETTINGS), kubernetes_jobs()])
    assert "insecure" not in text.lower()
    for job in kubernetes_jobs():
        assert job["tls_config"]["ca_file"] == "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"


def test_the_jobs_of_kubernetes_are_what_prometheus_gets() -> None:
    (found,) = of_kind("Secret")
    assert json.loads(base64.b64decode(found["data"]["scrape.yaml"])) == kubernetes_jobs()


def test_images_can_come_from_elsewhere() -> None:
    settings = Settings("0.85.0", "3.16.0", image_prefix="registry.example.org/mirror/")
    container = operator(settings)["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "registry.example.org/mirror/prometheus-operator:v0.85.0"
    assert "--prometheus-config-reloader=registry.example.org/mirror/prometheus-config-reloader:v0.85.0" in container["args"]
    assert prometheus(settings)["spec"]["image"] == "registry.example.org/mirror/prometheus:v3.16.0"
    assert prometheus(SETTINGS)["spec"]["image"] == "quay.io/prometheus/prometheus:v3.16.0"


def test_alertmanagers() -> None:
    values = {"operator_version": "0.85.0", "prometheus_version": "3.16.0", "alertmanagers": [{"namespace": "a", "name": "b", "port": "9093"}]}
    spec = prometheus(make_settings(values))["spec"]
    assert spec["alerting"] == {"alertmanagers": [{"namespace": "a", "name": "b", "port": 9093}]}
    assert "alerting" not in prometheus(SETTINGS)["spec"]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("operator_version", "v0.85.0", "operator_version is 'v0.85.0', which is not a version"),
        ("prometheus_version", "3.16", "prometheus_version is '3.16', which is not a version"),
        ("missing_minutes", 0, "missing_minutes is 0. Remedy: set it between 1 and 1440"),
        ("storage_gib", 0, "storage_gib is 0"),
        ("memory_mib", 100, "memory_mib is 100"),
        ("reporter_valid_seconds", 0.5, "reporter_valid_seconds is 0.5"),
        ("reporter_port", 0, "reporter_port is 0"),
        ("retention_days", 4000, "retention_days is 4000"),
    ],
)
def test_wrong_settings_are_refused(name: str, value: Any, message: str) -> None:
    with pytest.raises(NodewiseError) as caught:
        make_settings({"operator_version": "0.85.0", "prometheus_version": "3.16.0", name: value})
    assert message in str(caught.value)
