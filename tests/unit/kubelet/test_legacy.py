# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.kubelet.legacy import gone_flags, translate_flags, translate_mapping


@pytest.mark.parametrize(
    ("block", "fields"),
    [
        ({"timeoutSeconds": 120}, {"runtimeRequestTimeout": "120s"}),
        ({"containerRuntimeEndpoint": "/run/containerd/containerd.sock"}, {"containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock"}),
        ({"runtimeEndpoint": "unix:///run/crio/crio.sock"}, {"containerRuntimeEndpoint": "unix:///run/crio/crio.sock"}),
        ({"containerRuntimeExecutable": "unix:///run/containerd/containerd.sock"}, {"containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock"}),
        ({"imageServiceEndpoint": "unix:///run/images.sock"}, {"imageServiceEndpoint": "unix:///run/images.sock"}),
        ({"cgroupDriver": "systemd"}, {"cgroupDriver": "systemd"}),
        ({"maxPods": 7}, {"maxPods": 7}),
        ({"networkPluginName": "cni"}, {}),
        ({"cniConfDir": "/etc/cni/net.d/"}, {}),
        ({"cniBinDir": "/opt/cni/bin"}, {}),
    ],
)
def test_a_plugins_cri_block_is_carried_over_with_a_warning(block: dict[str, Any], fields: dict[str, Any]) -> None:
    found = translate_mapping({"plugins": {"cri": block}}, "kubelet_config_extra")
    assert found.problems == []
    assert found.fields == fields
    (warning,) = found.warnings
    assert warning.startswith(f"kubelet_config_extra.plugins.cri.{next(iter(block))} is ")


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (
            {"containerRuntimeExecutable": "/usr/bin/containerd"},
            "the kubelet starts no runtime, it connects to the socket of one (since 1.24 always): containerRuntimeEndpoint",
        ),
        ({"networkPluginName": "kubenet"}, "--network-plugin is gone since Kubernetes 1.24. Instead: CNI, which the container runtime uses without being told"),
        ({"cniConfDir": "/etc/my-cni"}, "--cni-conf-dir is gone since Kubernetes 1.24. Instead: the container runtime runs the CNI plugins: conf_dir in"),
        ({"networkPluginBinDir": "/opt/bin"}, "--cni-bin-dir is gone since Kubernetes 1.24"),
        ({"networkPluginMTU": 1450}, "Instead: the MTU of the network plugin (variable calico_mtu)"),
        ({"sandboxImage": "pause:3.6"}, "--pod-infra-container-image is gone since Kubernetes 1.35. Instead: the container runtime's sandbox image"),
        ({"timeoutSeconds": "2m"}, "'2m' is not a whole number of seconds; today's field is runtimeRequestTimeout"),
        ({"snapshotter": "native"}, "a KubeletConfiguration has no plugins.cri block, and this key has no successor"),
    ],
)
def test_what_has_no_field_in_a_plugins_cri_block_is_refused_with_its_successor(block: dict[str, Any], said: str) -> None:
    found = translate_mapping({"plugins": {"cri": block}}, "kubelet_config_extra")
    (problem,) = found.problems
    assert problem.startswith(f"kubelet_config_extra.plugins.cri.{next(iter(block))}")
    assert said in problem
    assert (found.fields, found.warnings) == ({}, [])


def test_another_plugins_block_is_refused() -> None:
    found = translate_mapping({"plugins": {"cni": {"name": "calico"}}}, "kubelet_config_extra")
    assert found.problems == [
        "kubelet_config_extra.plugins.cni: a KubeletConfiguration has no plugins; "
        "the container runtime is named by containerRuntimeEndpoint (variable nodewise_cri_socket)."
    ]


@pytest.mark.parametrize(
    ("flag", "since", "instead"),
    [
        ("--network-plugin=kubenet", "1.24", "CNI"),
        ("--cni-conf-dir=/etc/elsewhere", "1.24", "conf_dir"),
        ("--cni-bin-dir=/usr/lib/cni", "1.24", "bin_dirs"),
        ("--cni-cache-dir=/tmp/cni", "1.24", "the container runtime's own cache"),
        ("--network-plugin-mtu=1400", "1.24", "calico_mtu"),
        ("--docker-endpoint=unix:///var/run/docker.sock", "1.24", "cri-dockerd"),
        ("--image-pull-progress-deadline=5m", "1.24", "image_pull_progress_timeout"),
        ("--container-runtime=docker", "1.27", "nodewise_cri_socket"),
        ("--keep-terminated-pod-volumes=true", "1.31", "always unmounted"),
        ("--pod-infra-container-image=registry.k8s.io/pause:3.9", "1.35", "sandbox image"),
        ("--pod_infra_container_image=pause:3.9", "1.35", "sandbox image"),
    ],
)
def test_a_flag_that_is_gone_is_refused_with_its_version_and_successor(flag: str, since: str, instead: str) -> None:
    found = translate_flags([flag], "kubelet_extra_args")
    (problem,) = found.problems
    assert f"gone since Kubernetes {since}. Instead: " in problem
    assert instead in problem
    assert (found.fields, found.flags, found.warnings) == ({}, [], [])


@pytest.mark.parametrize("flag", ["--network-plugin=cni", "--container-runtime=remote", "--cni-bin-dir=/opt/cni/bin/", "--cni-conf-dir=/etc/cni/net.d"])
def test_a_gone_flag_that_asks_for_what_happens_anyway_is_dropped_with_a_warning(flag: str) -> None:
    found = translate_flags([flag], "kubelet_extra_args")
    assert (found.fields, found.flags, found.problems) == ({}, [], [])
    assert found.warnings[0].startswith(f"kubelet_extra_args: {flag.split('=')[0]} is dropped: ")


@pytest.mark.parametrize(
    ("flag", "fields"),
    [
        ("--container-runtime-endpoint=unix:///run/crio/crio.sock", {"containerRuntimeEndpoint": "unix:///run/crio/crio.sock"}),
        ("--container-runtime-endpoint=/run/crio/crio.sock", {"containerRuntimeEndpoint": "unix:///run/crio/crio.sock"}),
        ("--image-service-endpoint=unix:///run/i.sock", {"imageServiceEndpoint": "unix:///run/i.sock"}),
        ("--max-pods=50", {"maxPods": 50}),
        ("--runtime-request-timeout=4m", {"runtimeRequestTimeout": "4m"}),
        ("--serialize-image-pulls=false", {"serializeImagePulls": False}),
        ("--protect-kernel-defaults", {"protectKernelDefaults": True}),
        ("--eviction-hard=memory.available<200Mi,nodefs.available<5%", {"evictionHard": {"memory.available": "200Mi", "nodefs.available": "5%"}}),
        ("--kube-reserved=cpu=100m,memory=200Mi", {"kubeReserved": {"cpu": "100m", "memory": "200Mi"}}),
        ("--feature-gates=A=true,B=false", {"featureGates": {"A": True, "B": False}}),
        ("--cluster-dns=10.96.0.10,169.254.20.10", {"clusterDNS": ["10.96.0.10", "169.254.20.10"]}),
        ("--fail-cgroupv1=false", {"failCgroupV1": False}),
        ("--rotate-server-certificates=true", {"serverTLSBootstrap": True}),
        ("--anonymous-auth=false", {"authentication": {"anonymous": {"enabled": False}}}),
        ("--pod-manifest-path=/etc/kubernetes/manifests", {"staticPodPath": "/etc/kubernetes/manifests"}),
        ("--v=4", {"logging": {"verbosity": 4}}),
    ],
)
def test_a_flag_with_a_field_is_carried_over_with_a_warning(flag: str, fields: dict[str, Any]) -> None:
    found = translate_flags([flag], "kubelet_extra_args")
    assert (found.fields, found.flags, found.problems) == (fields, [], [])
    assert "is carried over to the field" in found.warnings[0]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    ("given", "fields"),
    [
        (
            {"anonymous-auth": False, "authentication": {"webhook": {"enabled": True}}},
            {"authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": True}}},
        ),
        (
            {"authorization-mode": "Webhook", "authorization": {"mode": "Webhook", "webhook": {"cacheAuthorizedTTL": "1m"}}},
            {"authorization": {"mode": "Webhook", "webhook": {"cacheAuthorizedTTL": "1m"}}},
        ),
        ({"authentication": {}, "anonymous-auth": False}, {"authentication": {"anonymous": {"enabled": False}}}),
        ({"eviction-hard": {"memory.available": "1Gi"}, "evictionHard": {"nodefs.available": "5%"}}, None),
    ],
)
def test_old_and_new_ways_of_one_field_are_merged(given: dict[str, Any], fields: dict[str, Any] | None, reverse: bool) -> None:
    ordered = dict(reversed(given.items())) if reverse else dict(given)
    before = json.dumps(ordered)
    found = translate_mapping(ordered, "kubelet_config_extra")
    assert found.problems == []
    assert found.fields == (fields or {"evictionHard": {"memory.available": "1Gi", "nodefs.available": "5%"}})
    assert json.dumps(ordered) == before, "what the operator wrote is not changed"


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"runtimeRequestTimeout": "2m", "plugins": {"cri": {"timeoutSeconds": 60}}}, "runtimeRequestTimeout"),
        ({"anonymous-auth": False, "authentication": {"anonymous": {"enabled": True}}}, "authentication.anonymous.enabled"),
        ({"max_pods": 5, "maxPods": 6}, "maxPods"),
        ({"cluster_dns": ["10.96.0.10"], "clusterDNS": ["10.96.0.11"]}, "clusterDNS"),
        ({"anonymous-auth": False, "authentication": "none"}, "authentication"),
    ],
)
def test_old_and_new_ways_that_contradict_each_other_are_refused(given: dict[str, Any], path: str, reverse: bool) -> None:
    (problem,) = translate_mapping(dict(reversed(given.items())) if reverse else given, "kubelet_config_extra").problems
    assert problem.startswith("kubelet_config_extra.")
    assert f" sets {path}" in problem
    assert "but kubelet_config_extra." in problem
    assert problem.endswith(" sets it otherwise: say it in one place.")


def test_old_and_new_ways_may_say_the_same_in_different_words() -> None:
    found = translate_mapping({"runtimeRequestTimeout": "2m", "plugins": {"cri": {"timeoutSeconds": 120}}}, "kubelet_config_extra")
    assert (found.fields, found.problems) == ({"runtimeRequestTimeout": "2m"}, [])


def test_a_flag_given_twice_adds_to_a_mapping_and_contradicts_itself_else() -> None:
    found = translate_flags(["--feature-gates=A=true", "--feature-gates=B=false"], "kubelet_extra_args")
    assert (found.fields, found.problems) == ({"featureGates": {"A": True, "B": False}}, [])
    (problem,) = translate_flags(["--max-pods=5", "--max-pods=6"], "kubelet_extra_args").problems
    assert problem == "kubelet_extra_args: --max-pods sets maxPods to 6, but kubelet_extra_args: --max-pods sets it otherwise: say it in one place."


def test_a_flag_without_a_field_stays_a_flag() -> None:
    found = translate_flags(["--cert-dir=/srv/pki", "--image-credential-provider-config=/etc/icp.yaml"], "kubelet_extra_args")
    assert found.flags == ["--cert-dir=/srv/pki", "--image-credential-provider-config=/etc/icp.yaml"]
    assert (found.fields, found.warnings, found.problems) == ({}, [], [])


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--node-ip=10.0.0.1", "--node-ip belongs to variable nodewise_node_ip."),
        ("--hostname-override=x", "--hostname-override belongs to variable nodewise_node_name."),
        ("--provider-id=aws:///x", "--provider-id belongs to variable nodewise_cluster_name"),
        ("--config=/etc/kubelet.yaml", "--config belongs to role kubelet's unit."),
        ("--node-labels=a=b", "--node-labels belongs to role node_labels"),
        ("--reserved-memory=0:memory=1Gi", "--reserved-memory belongs to reservedMemory in kubelet_config_extra."),
        ("--cert-dri=/x", "--cert-dri is not a flag of the kubelet (did you mean cert-dir?)."),
        ("--max-pods=many", "--max-pods=many: invalid literal for int() with base 10: 'many'."),
        ("--fail-swap-on=perhaps", "--fail-swap-on=perhaps: needs true or false."),
        ("--eviction-hard=memory.available=1Gi", "--eviction-hard=memory.available=1Gi: needs name<value pairs."),
        ("--feature-gates=A=on", "--feature-gates=A=on: needs true or false behind each name."),
        ("max-pods=5", "'max-pods=5' is not a flag of the form --name=value without blanks."),
        ("--max-pods 5", "'--max-pods 5' is not a flag of the form --name=value without blanks."),
    ],
)
def test_other_flags_are_refused(flag: str, said: str) -> None:
    (problem,) = translate_flags([flag], "kubelet_extra_args").problems
    assert said in problem


@pytest.mark.parametrize(
    ("key", "value", "fields"),
    [
        ("container-runtime-endpoint", "unix:///run/x.sock", {"containerRuntimeEndpoint": "unix:///run/x.sock"}),
        ("max_pods", 9, {"maxPods": 9}),
        ("pod-manifest-path", "/m", {"staticPodPath": "/m"}),
    ],
)
def test_flag_names_as_keys_are_carried_over(key: str, value: Any, fields: dict[str, Any]) -> None:
    found = translate_mapping({key: value}, "kubelet_config_extra")
    assert (found.fields, found.problems) == (fields, [])
    assert found.warnings[0].startswith(f"kubelet_config_extra.{key} is ")


@pytest.mark.parametrize("key", ["networkPlugin", "network-plugin", "cniConfDir", "cni_bin_dir", "containerRuntime", "podInfraContainerImage"])
def test_gone_flags_as_keys_are_refused_in_every_spelling(key: str) -> None:
    (problem,) = translate_mapping({key: "something"}, "kubelet_config_extra").problems
    assert problem.startswith(f"kubelet_config_extra.{key} is refused: ")
    assert "is gone since Kubernetes 1." in problem


def test_a_misspelt_field_is_refused_with_the_nearest() -> None:
    (problem,) = translate_mapping({"evictionHardd": {}}, "kubelet_config_extra").problems
    assert problem == "kubelet_config_extra.evictionHardd is not a field of a KubeletConfiguration (did you mean evictionHard?)."


def test_another_api_version_is_refused() -> None:
    found = translate_mapping({"apiVersion": "kubelet.config.k8s.io/v1alpha1", "kind": "KubeletConfiguration"}, "kubelet_config_extra")
    assert found.problems == ["kubelet_config_extra.apiVersion is 'kubelet.config.k8s.io/v1alpha1'; the kubelet reads kubelet.config.k8s.io/v1beta1 only."]


def test_gone_flags_are_found_in_an_environment_file() -> None:
    text = 'KUBELET_KUBEADM_ARGS="--node-ip=10.0.0.1 --pod-infra-container-image=registry.k8s.io/pause:3.9"\nX=--network-plugin=cni\n'
    found = gone_flags(text)
    assert [line.split(" ", 1)[0] for line in found] == ["--pod-infra-container-image", "--network-plugin"]
    assert gone_flags('KUBELET_KUBEADM_ARGS="--node-ip=10.0.0.1"') == []
