# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
import yaml
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.kube.kubectl import Kubectl
from ansible_collections.nodewise.cluster.plugins.module_utils.kubelet.cluster import ANNOTATION, apply_cluster, plan_cluster

KUBEADM = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    "cgroupDriver": "systemd",
    "clusterDNS": ["10.96.0.10"],
    "clusterDomain": "cluster.local",
    "nodeStatusReportFrequency": "0s",
}


class FakeKubectl(Kubectl):
    """A kubectl over two ConfigMaps."""

    def __init__(self, live: dict[str, Any] | None = None, last: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.applied: list[dict[str, Any]] = []
        self.config: dict[str, Any] | None = {
            "metadata": {"resourceVersion": "7", "annotations": {}},
            "data": {"kubelet": yaml.safe_dump({**KUBEADM, **(live or {})})},
        }
        if last is not None:
            self.config["metadata"]["annotations"][ANNOTATION] = json.dumps(last, sort_keys=True, separators=(",", ":"))

    def get(self, *args: str) -> dict[str, Any] | None:
        if args[1] == "kubeadm-config":
            cluster = {"networking": {"serviceSubnet": "10.32.0.0/16", "dnsDomain": "k8s.example"}, "certificatesDir": "/pki"}
            return {"data": {"ClusterConfiguration": yaml.safe_dump(cluster)}}
        assert args == ("configmap", "kubelet-config", "--namespace=kube-system")
        return self.config

    def apply(self, objects: Sequence[dict[str, Any]]) -> str:
        self.applied.extend(objects)
        return ""


def test_wanted_fields_are_written_with_a_note_of_them() -> None:
    kubectl = FakeKubectl()
    plan = plan_cluster(kubectl, {"maxPods": 50})
    assert (plan.differs, plan.actions()) == (True, ["update ConfigMap kube-system/kubelet-config"])
    assert "+maxPods: 50" not in plan.diff()[0]["before"]
    assert "maxPods: 50\n" in plan.diff()[0]["after"]
    apply_cluster(kubectl, plan)
    (applied,) = kubectl.applied
    assert yaml.safe_load(applied["data"]["kubelet"]) == {**KUBEADM, "maxPods": 50}
    assert json.loads(applied["metadata"]["annotations"][ANNOTATION]) == {"maxPods": 50}
    assert applied["metadata"]["resourceVersion"] == "7"


def test_nothing_to_do_is_no_change() -> None:
    plan = plan_cluster(FakeKubectl({"maxPods": 50}, {"maxPods": 50}), {"maxPods": 50})
    assert (plan.differs, plan.recorded, plan.actions(), plan.diff()) == (False, True, [], [])


def test_only_the_note_is_missing_after_kubeadm_init() -> None:
    plan = plan_cluster(FakeKubectl({"maxPods": 50}), {"maxPods": 50})
    assert (plan.differs, plan.recorded) == (False, False)
    assert plan.actions() == ["record in ConfigMap kube-system/kubelet-config which fields are ours"]
    assert plan.diff() == []


def test_a_field_that_kubeadm_sets_goes_back_to_kubeadms_value() -> None:
    kubectl = FakeKubectl({"clusterDNS": ["169.254.20.10"], "maxPods": 50}, {"clusterDNS": ["169.254.20.10"], "maxPods": 50})
    plan = plan_cluster(kubectl, {})
    assert plan.merged == {**KUBEADM, "clusterDNS": ["10.32.0.10"]}


def test_a_missing_config_map_is_told_with_the_remedy() -> None:
    kubectl = FakeKubectl()
    kubectl.config = None
    with pytest.raises(NodewiseError, match="ConfigMap kube-system/kubelet-config with the key 'kubelet' is missing. Remedy: kubeadm init phase upload-config"):
        plan_cluster(kubectl, {})


def test_a_damaged_note_is_told_with_the_remedy() -> None:
    kubectl = FakeKubectl()
    assert kubectl.config is not None
    kubectl.config["metadata"]["annotations"][ANNOTATION] = "{"
    with pytest.raises(NodewiseError, match="is not JSON: '{'. Remedy: remove the annotation"):
        plan_cluster(kubectl, {})
