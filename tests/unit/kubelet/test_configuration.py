# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.kubelet.configuration import build_configuration, check_configuration

HEAD = {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration"}


def build(**variables: Any) -> dict[str, Any]:
    return build_configuration(variables).configuration


def test_unset_variables_write_nothing() -> None:
    assert build(max_pods=None, eviction_hard=None, config_extra={}, extra_args=[]) == HEAD


def test_every_variable_sets_its_field() -> None:
    found = build(
        kubernetes_version="1.37.2",
        cgroup_driver="systemd",
        container_runtime_endpoint="unix:///run/containerd/containerd.sock",
        image_service_endpoint="unix:///run/images.sock",
        runtime_request_timeout="3m",
        serialize_image_pulls=False,
        max_parallel_image_pulls=4,
        max_pods=150,
        kube_reserved={"cpu": "100m", "memory": "300Mi", "pid": "1000"},
        system_reserved={"ephemeral-storage": "1Gi"},
        eviction_soft={"memory.available": "500Mi"},
        eviction_soft_grace_period={"memory.available": "90s"},
        fail_cgroup_v1=True,
        fail_swap_on=True,
        node_status_update_frequency="20s",
        node_status_report_frequency="10m",
        node_lease_duration_seconds=60,
        feature_gates={"KubeletInUserNamespace": True},
        server_tls_bootstrap=False,
    )
    assert found == {
        **HEAD,
        "cgroupDriver": "systemd",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "imageServiceEndpoint": "unix:///run/images.sock",
        "runtimeRequestTimeout": "3m0s",
        "serializeImagePulls": False,
        "maxParallelImagePulls": 4,
        "maxPods": 150,
        "kubeReserved": {"cpu": "100m", "memory": "300Mi", "pid": "1000"},
        "systemReserved": {"ephemeral-storage": "1Gi"},
        "evictionSoft": {"memory.available": "500Mi"},
        "evictionSoftGracePeriod": {"memory.available": "90s"},
        "failCgroupV1": True,
        "failSwapOn": True,
        "nodeStatusUpdateFrequency": "20s",
        "nodeStatusReportFrequency": "10m0s",
        "nodeLeaseDurationSeconds": 60,
        "featureGates": {"KubeletInUserNamespace": True},
        "serverTLSBootstrap": False,
    }


def test_a_lone_hard_threshold_keeps_the_other_defaults() -> None:
    assert build(eviction_hard={"memory.available": "500Mi"})["evictionHard"] == {
        "memory.available": "500Mi",
        "nodefs.available": "10%",
        "nodefs.inodesFree": "5%",
        "imagefs.available": "15%",
        "imagefs.inodesFree": "5%",
    }


@pytest.mark.parametrize("choice", [True, False])
def test_the_kubelets_own_merging_of_thresholds_can_be_chosen(choice: bool) -> None:
    found = build(eviction_hard={"memory.available": "500Mi"}, config_extra={"mergeDefaultEvictionSettings": choice})
    assert found["evictionHard"] == {"memory.available": "500Mi"}


def test_the_report_frequency_does_not_follow_the_update_frequency() -> None:
    assert build(node_status_update_frequency="10s")["nodeStatusReportFrequency"] == "5m0s"
    assert "nodeStatusReportFrequency" not in build()


def test_texts_from_the_command_line_and_numbers_in_mappings_are_taken() -> None:
    found = build(max_pods="50", serialize_image_pulls="no", kube_reserved={"cpu": 1})
    assert (found["maxPods"], found["serializeImagePulls"], found["kubeReserved"]) == (50, False, {"cpu": "1"})


def test_overrides_are_laid_over_for_the_node_only() -> None:
    variables = {
        "max_pods": 110,
        "kube_reserved": {"cpu": "100m", "memory": "1Gi"},
        "config_overrides": {"maxPods": 20, "kubeReserved": {"memory": "2Gi"}, "evictionHard": {"memory.available": "1Gi"}},
    }
    assert build_configuration(variables).configuration == {**HEAD, "maxPods": 110, "kubeReserved": {"cpu": "100m", "memory": "1Gi"}}
    node = build_configuration(variables, with_overrides=True).configuration
    assert (node["maxPods"], node["kubeReserved"]) == (20, {"cpu": "100m", "memory": "2Gi"})
    assert node["evictionHard"]["imagefs.available"] == "15%"


def test_old_ways_are_carried_over_with_warnings() -> None:
    built = build_configuration(
        {
            "container_runtime_endpoint": "unix:///run/containerd/containerd.sock",
            "extra_args": ["--container-runtime=remote", "--container-runtime-endpoint=/run/containerd/containerd.sock", "--cert-dir=/x", "--max-pods=30"],
            "config_extra": {"plugins": {"cri": {"timeoutSeconds": 60, "networkPluginName": "cni"}}},
        }
    )
    assert built.configuration == {
        **HEAD,
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "runtimeRequestTimeout": "1m0s",
        "maxPods": 30,
    }
    assert built.flags == ["--cert-dir=/x"]
    assert len(built.warnings) == 5


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (
            {"cgroup_driver": "systemd", "config_extra": {"cgroupDriver": "cgroupfs"}},
            "kubelet_config_extra sets cgroupDriver to 'cgroupfs', but kubelet_cgroup_driver sets it to 'systemd': say it in one place.",
        ),
        (
            {"max_pods": 5, "extra_args": ["--max-pods=6"]},
            "kubelet_extra_args sets maxPods to 6, but kubelet_max_pods sets it to 5: say it in one place.",
        ),
        (
            {"feature_gates": {"A": True}, "config_extra": {"featureGates": {"A": False}}},
            "kubelet_config_extra sets featureGates to {'A': False}, but kubelet_feature_gates sets it to {'A': True}: say it in one place.",
        ),
        ({"max_pods": -1}, "kubelet_max_pods: maxPods: -1 is not 1 or more."),
        ({"max_pods": "lots"}, "kubelet_max_pods: maxPods: 'lots' is not a whole number."),
        ({"serialize_image_pulls": "maybe"}, "kubelet_serialize_image_pulls: serializeImagePulls: 'maybe' is not true or false."),
        ({"runtime_request_timeout": "2"}, "kubelet_runtime_request_timeout: runtimeRequestTimeout: '2' is not a duration such as '30s', '2m' or '1h30m'."),
        ({"runtime_request_timeout": "-2m"}, "kubelet_runtime_request_timeout: runtimeRequestTimeout: '-2m' is negative."),
        ({"cgroup_driver": "system"}, "kubelet_cgroup_driver: cgroupDriver: 'system' is not one of systemd, cgroupfs."),
        (
            {"container_runtime_endpoint": "/run/containerd/containerd.sock"},
            "containerRuntimeEndpoint: '/run/containerd/containerd.sock' is not a socket of the form unix:///run/containerd/containerd.sock.",
        ),
        (
            {"container_runtime_endpoint": "unix:///var/run/dockershim.sock"},
            "dockershim is gone since Kubernetes 1.24; use containerd, or cri-dockerd's socket.",
        ),
        ({"config_extra": ["maxPods"]}, "kubelet_config_extra: ['maxPods'] is not a mapping of fields."),
        ({"extra_args": "--v=2"}, "kubelet_extra_args: '--v=2' is not a list of flags."),
        ({"config_extra": {"maxpodz": 3}}, "kubelet_config_extra.maxpodz is not a field of a KubeletConfiguration (did you mean maxPods?)."),
        ({"config_overrides": {"maxPods": 0}}, "kubelet_config_overrides: maxPods: 0 is not 1 or more."),
        ({"kubernetes_version": "1.36.3", "config_extra": {"defaultPodSysctls": {}}}, "Kubernetes 1.36 has no such field, it came with 1.37."),
        ({"kubernetes_version": "latest"}, "kubelet_kubernetes_version 'latest' is not a version such as 1.37.2."),
        (
            {"eviction_hard": {"memory.available": "500Mi"}, "kube_reserved": {"cpus": "1"}},
            "kubeReserved.cpus: only cpu, memory, ephemeral-storage, pid can be",
        ),
        ({"node_lease_duration_seconds": 400}, "kubelet_node_lease_duration_seconds: nodeLeaseDurationSeconds: the lease would be renewed every 100 s"),
    ],
)
def test_bad_variables_are_refused_with_their_place(variables: dict[str, Any], said: str) -> None:
    with pytest.raises(NodewiseError) as caught:
        build_configuration(variables, with_overrides=True)
    assert said in str(caught.value)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(NodewiseError) as caught:
        build(max_pods=-1, extra_args=["--network-plugin=kubenet"], config_extra={"nonsense": 1, "podsPerCore": -2})
    assert str(caught.value).count("\n- ") == 4


def test_a_variable_that_is_not_the_roles_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="not variables of role kubelet: max_podz"):
        build(max_podz=1)


def test_a_whole_configuration_is_checked_and_normalised() -> None:
    assert check_configuration({**HEAD, "syncFrequency": "60s"}, "1.37.2") == {"syncFrequency": "1m0s"}
    with pytest.raises(NodewiseError, match="configuration.kind is 'Pod'"):
        check_configuration({**HEAD, "kind": "Pod"})
    with pytest.raises(NodewiseError, match="Kubernetes 1.35 has no such field, it came with 1.36"):
        check_configuration({"memoryReservationPolicy": "None"}, "v1.35.4")
