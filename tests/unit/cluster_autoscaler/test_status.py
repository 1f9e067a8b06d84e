# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.cluster_autoscaler.status import Seen, checks, describe, parse_status, read
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.kubeadm.nodes import Node

STATUS = """\
time: "2026-11-25 20:00:00 +0000 UTC"
autoscalerStatus: Running
clusterWide:
  health:
    status: Healthy
    lastProbeTime: "2026-11-25T20:00:00Z"
  scaleUp:
    status: InProgress
    lastTransitionTime: 2026-11-25T19:59:00Z
  scaleDown:
    status: NoCandidates
nodeGroups:
- name: standby
  health:
    status: Healthy
    cloudProviderTarget: 2
"""
GROUPS = {"standby": {"min": 0, "max": 3, "hosts": {name: {"provider_id": f"nodewise://c/{name}"} for name in ("s1", "s2", "s3", "s4")}}}
RECORDS = {"s1": {"state": "joined"}, "s2": {"state": "joining"}, "s3": {"state": "failed", "reason": "no answer"}}
DEPLOYMENT = {"spec": {"template": {"spec": {"containers": [{"image": "ca:v1"}]}}}, "status": {"availableReplicas": 1}}


def seen(**changes: Any) -> Seen:
    whole = {
        "status": parse_status(STATUS),
        "deployment": DEPLOYMENT,
        "records": RECORDS,
        "leader": "cp1",
        "nodes": {"s1": Node("s1", True, "nodewise://c/s1", "m")},
    }
    return Seen(**{**whole, **changes})


def test_a_group_is_told_with_its_hosts() -> None:
    group = describe(seen(), GROUPS)["groups"]["standby"]
    assert (group["min"], group["max"], group["target"], group["ready"]) == (0, 3, 2, 1)
    assert group["standby"] == ["s4"]
    assert group["failed"] == {"s3": "no answer"}
    assert (group["autoscaler_health"], group["autoscaler_target"]) == ("Healthy", 2)


def test_health_and_the_last_scale_activity_are_told() -> None:
    autoscaler = describe(seen(), GROUPS)["autoscaler"]
    assert (autoscaler["deployed"], autoscaler["available"], autoscaler["health"], autoscaler["image"]) == (True, True, "Healthy", "ca:v1")
    assert autoscaler["scale_up"] == {"status": "InProgress", "since": "2026-11-25T19:59:00+00:00"}
    assert json.dumps(autoscaler)


def test_without_cluster_autoscaler_its_part_is_unknown_and_not_zero() -> None:
    found = describe(seen(status=None, deployment=None), GROUPS)
    assert found["autoscaler"]["deployed"] is False
    assert found["autoscaler"]["health"] is None
    assert found["groups"]["standby"]["autoscaler_target"] is None


@pytest.mark.parametrize(
    ("changes", "status", "observed"),
    [
        ({}, "ok", "cluster-autoscaler Healthy (scale-up InProgress, scale-down NoCandidates), provider cp1"),
        ({"leader": ""}, "fail", "cluster-autoscaler Healthy (scale-up InProgress, scale-down NoCandidates), provider of nobody"),
        ({"deployment": {**DEPLOYMENT, "status": {}}}, "fail", "cluster-autoscaler Healthy (scale-up InProgress, scale-down NoCandidates), provider cp1"),
        ({"status": {"clusterWide": {"health": {"status": "Unhealthy"}}}}, "fail", "cluster-autoscaler Unhealthy, provider cp1"),
        ({"status": {"autoscalerStatus": "Initializing"}}, "unknown", "cluster-autoscaler Initializing, provider cp1"),
        ({"status": None, "deployment": None}, "warn", "cluster-autoscaler not deployed, provider cp1"),
    ],
)
def test_health_is_judged(changes: dict[str, Any], status: str, observed: str) -> None:
    result = checks(describe(seen(**changes), GROUPS))[0]
    assert (result.check, result.status, result.observed) == ("autoscaler.health", status, observed)


@pytest.mark.parametrize(
    ("changes", "least", "status", "hint"),
    [
        ({"records": {}}, 0, "ok", ""),
        ({}, 0, "warn", "s3 has failed: no answer"),
        ({}, 3, "fail", "the target is below the minimum; s3 has failed: no answer"),
        ({"records": {}, "nodes": {"s1": Node("s1", True, "", "m")}}, 0, "fail", "s1 has the providerID ''"),
    ],
)
def test_a_group_is_judged(changes: dict[str, Any], least: int, status: str, hint: str) -> None:
    result = checks(describe(seen(**changes), {"standby": {**GROUPS["standby"], "min": least}}))[1]
    assert (result.check, result.status, result.hint) == ("autoscaler.group.standby", status, hint)
    assert result.observed.startswith("ready 1, target ")


@pytest.mark.parametrize("text", ["Cluster-autoscaler status at 2020: ", "{", "[]", ""])
def test_a_status_of_another_age_is_an_error(text: str) -> None:
    with pytest.raises(NodewiseError, match="cluster-autoscaler-status is not"):
        parse_status(text)


class FakeKubectl:
    def __init__(self, **found: Any) -> None:
        self.found = found

    def get(self, *args: str) -> Any:
        return {"items": []} if args[0] == "nodes" else self.found.get(f"{args[0]}_{args[1]}".replace("-", "_"))


def test_what_is_not_there_reads_as_none() -> None:
    kubectl: Any = FakeKubectl()
    assert read(kubectl) == Seen(None, None, {}, "", {})


def test_everything_is_read_from_where_its_writer_writes_it() -> None:
    kubectl: Any = FakeKubectl(
        configmap_cluster_autoscaler_status={"data": {"status": STATUS}},
        configmap_nodewise_autoscaler={"data": {"hosts.json": json.dumps(RECORDS)}},
        lease_nodewise_autoscaler={"spec": {"holderIdentity": "cp1"}},
        deployment_cluster_autoscaler=DEPLOYMENT,
    )
    found = read(kubectl)
    assert (found.records, found.leader, found.deployment) == (RECORDS, "cp1", DEPLOYMENT)
    broken: Any = FakeKubectl(configmap_nodewise_autoscaler={"data": {"hosts.json": "{"}})
    with pytest.raises(NodewiseError, match="is not JSON"):
        read(broken)
