# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.artifacts.catalogue import catalogue, kubeadm_images, validate
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError


def test_every_part_for_every_architecture(kit: Any) -> None:
    items = catalogue(kit.VERSIONS, ["amd64", "arm64"], kit.PLUGINS, "calico-vxlan")
    paths = [item.path for item in items]
    assert len(paths) == len(set(paths))
    for arch in ("amd64", "arm64"):
        assert f"bin/kubelet-1.37.2-{arch}" in paths
        assert f"images/etcd-3.7.0-0-{arch}.tar" in paths
        assert f"bin/portmap-1.9.1-{arch}" in paths
    assert paths.count("manifests/calico-vxlan-3.28.5.yaml") == 1


def test_images_bear_the_names_kubeadm_and_calico_use(kit: Any) -> None:
    images = {item.image: item.nodes for item in kit.items() if item.kind == "image"}
    assert images == {
        "registry.k8s.io/kube-apiserver:v1.37.2": "control_plane",
        "registry.k8s.io/kube-controller-manager:v1.37.2": "control_plane",
        "registry.k8s.io/kube-scheduler:v1.37.2": "control_plane",
        "registry.k8s.io/kube-proxy:v1.37.2": "all",
        "registry.k8s.io/etcd:3.7.0-0": "control_plane",
        "registry.k8s.io/coredns/coredns:v1.14.6": "all",
        "registry.k8s.io/pause:3.10.2": "all",
        "docker.io/calico/cni:v3.28.5": "all",
        "docker.io/calico/node:v3.28.5": "all",
        "docker.io/calico/kube-controllers:v3.28.5": "all",
        "registry.k8s.io/metrics-server/metrics-server:v0.8.0": "all",
    }


def test_where_files_land(kit: Any) -> None:
    landed = {item.name: (item.dest, item.mode) for item in kit.items() if item.dest}
    assert landed["runc"] == ("/usr/local/sbin/runc", "0755")
    assert landed["kubelet"] == ("/usr/local/bin/kubelet", "0755")
    assert landed["portmap"] == ("/opt/cni/bin/portmap", "0755")
    assert landed["calico-vxlan"] == ("/var/lib/nodewise/manifests/calico.yaml", "0644")


def test_the_table_knows_the_minor_not_the_patch() -> None:
    assert kubeadm_images("1.36.3") == ("3.6.8-0", "1.14.2", "3.10.2")


def test_an_unknown_minor_is_an_error_with_a_remedy() -> None:
    with pytest.raises(NodewiseError, match=r"kubeadm 1\.99\.0 wants are not known.*Remedy: set artifacts_etcd_version"):
        kubeadm_images("1.99.0")


@pytest.mark.parametrize("value", ["v1.37.2", "", "1", "latest", "1.37.2/../x"])
def test_a_version_that_is_none_is_refused(kit: Any, value: str) -> None:
    with pytest.raises(NodewiseError, match=r"artifacts_kubernetes_version is '.*', which is not a version"):
        validate(replace(kit.VERSIONS, kubernetes=value), ["amd64"], [], "calico")


def test_an_empty_tag_means_kubeadms(kit: Any) -> None:
    validate(replace(kit.VERSIONS, etcd="", coredns="", pause=""), ["amd64"], [], "calico")


@pytest.mark.parametrize(
    ("architectures", "plugins", "manifest", "message"),
    [
        (["riscv64"], [], "calico", "Architecture 'riscv64' is not supported. Remedy: artifacts_architectures takes amd64 and arm64."),
        (["amd64"], ["../x"], "calico", "artifacts_cni_plugins names '../x'"),
        (["amd64"], [], "canal", "artifacts_calico_manifest is 'canal'. Remedy: choose calico-vxlan or calico."),
    ],
)
def test_other_wrong_values_are_refused(kit: Any, architectures: list[str], plugins: list[str], manifest: str, message: str) -> None:
    with pytest.raises(NodewiseError) as caught:
        validate(kit.VERSIONS, architectures, plugins, manifest)
    assert message in str(caught.value)


def test_no_metrics_server_without_a_version(kit: Any) -> None:
    items = catalogue(replace(kit.VERSIONS, metrics_server=""), ["amd64"], kit.PLUGINS, "calico-vxlan")
    assert "metrics-server" not in {item.name for item in items}


def test_monitoring_only_where_it_is_wanted(kit: Any) -> None:
    assert not [item for item in kit.items() if "prometheus" in item.name]
    versions = replace(kit.VERSIONS, prometheus_operator="0.85.0", prometheus="3.16.0")
    found = {item.image or item.dest for item in catalogue(versions, ["amd64"], kit.PLUGINS, "calico-vxlan") if "prometheus" in item.name}
    assert found == {
        "quay.io/prometheus-operator/prometheus-operator:v0.85.0",
        "quay.io/prometheus-operator/prometheus-config-reloader:v0.85.0",
        "quay.io/prometheus/prometheus:v3.16.0",
        "/var/lib/nodewise/manifests/prometheus-operator-crds.yaml",
    }


def test_cluster_autoscaler_only_where_it_is_wanted_and_only_on_the_control_plane(kit: Any) -> None:
    assert not [item for item in kit.items() if item.name == "cluster-autoscaler"]
    items = catalogue(replace(kit.VERSIONS, cluster_autoscaler="1.36.1"), ["amd64"], kit.PLUGINS, "calico-vxlan")
    found = [(item.image, item.nodes) for item in items if item.name == "cluster-autoscaler"]
    assert found == [("registry.k8s.io/autoscaling/cluster-autoscaler:v1.36.1", "control_plane")]
