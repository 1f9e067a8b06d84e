# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.kubeadm.config import (
    ClusterSettings,
    NodeSettings,
    Overrides,
    as_text,
    init_documents,
    join_document,
    merge,
    reset_document,
)

TOKEN = "abcdef.0123456789abcdef"
HASHES = ["sha256:" + "a" * 64]

Settings = Callable[..., NodeSettings]
Cluster = Callable[..., ClusterSettings]


def by_kind(documents: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {document["kind"]: document for document in documents}


def flags(document: dict[str, Any]) -> dict[str, str]:
    return {item["name"]: item["value"] for item in document["nodeRegistration"]["kubeletExtraArgs"]}


def test_init_says_who_the_node_is(node_settings: Settings, cluster_settings: Cluster) -> None:
    documents = by_kind(init_documents(node_settings(labels={"rack": "7", "a": "b"}), cluster_settings(), Overrides()))
    init = documents["InitConfiguration"]
    assert init["nodeRegistration"]["name"] == "n1"
    assert init["nodeRegistration"]["criSocket"] == "unix:///run/containerd/containerd.sock"
    assert init["localAPIEndpoint"] == {"advertiseAddress": "192.0.2.11", "bindPort": 6443}
    assert flags(init) == {"node-ip": "192.0.2.11", "provider-id": "nodewise://c/n1", "node-labels": "a=b,rack=7"}


def test_the_provider_id_is_not_in_the_configuration_of_all_kubelets(node_settings: Settings, cluster_settings: Cluster) -> None:
    documents = by_kind(init_documents(node_settings(), cluster_settings(), Overrides(kubelet={"maxPods": 50})))
    assert documents["KubeletConfiguration"] == {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration", "maxPods": 50}


def test_init_says_what_the_cluster_is(node_settings: Settings, cluster_settings: Cluster) -> None:
    cluster = by_kind(init_documents(node_settings(), cluster_settings(), Overrides()))["ClusterConfiguration"]
    assert cluster == {
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "ClusterConfiguration",
        "kubernetesVersion": "v1.37.2",
        "clusterName": "c",
        "controlPlaneEndpoint": "192.0.2.11:6443",
        "networking": {"podSubnet": "10.244.0.0/16", "serviceSubnet": "10.96.0.0/12"},
    }


def test_the_token_that_init_always_makes_lives_a_second(node_settings: Settings, cluster_settings: Cluster) -> None:
    (token,) = by_kind(init_documents(node_settings(), cluster_settings(), Overrides()))["InitConfiguration"]["bootstrapTokens"]
    assert token["ttl"] == "1s"
    assert "token" not in token


def test_what_is_only_written_if_set(node_settings: Settings, cluster_settings: Cluster) -> None:
    cluster = by_kind(init_documents(node_settings(), cluster_settings(image_repository="r.example", cert_sans=["a"]), Overrides()))["ClusterConfiguration"]
    assert (cluster["imageRepository"], cluster["apiServer"]) == ("r.example", {"certSANs": ["a"]})


def test_no_taint_and_kubeadms_own_taint_are_different_things(node_settings: Settings, cluster_settings: Cluster) -> None:
    def registration(**changes: Any) -> dict[str, Any]:
        found: dict[str, Any] = by_kind(init_documents(node_settings(**changes), cluster_settings(), Overrides()))["InitConfiguration"]["nodeRegistration"]
        return found

    assert registration(taints=[])["taints"] == []
    assert "taints" not in registration(taints=None)


def test_kube_proxy_uses_nftables_unless_told_otherwise(node_settings: Settings, cluster_settings: Cluster) -> None:
    def proxy(over: dict[str, Any]) -> dict[str, Any]:
        return by_kind(init_documents(node_settings(), cluster_settings(), Overrides(kube_proxy=over)))["KubeProxyConfiguration"]

    assert proxy({})["mode"] == "nftables"
    assert proxy({"conntrack": {"min": 0}}) == {**proxy({}), "conntrack": {"min": 0}}
    assert proxy({"mode": "iptables"})["mode"] == "iptables"


def test_an_added_kubelet_flag_does_not_drop_ours(node_settings: Settings, cluster_settings: Cluster) -> None:
    over = {"nodeRegistration": {"kubeletExtraArgs": [{"name": "v", "value": "4"}]}}
    init = by_kind(init_documents(node_settings(), cluster_settings(), Overrides(init=over)))["InitConfiguration"]
    assert flags(init) == {"node-ip": "192.0.2.11", "provider-id": "nodewise://c/n1", "v": "4"}


@pytest.mark.parametrize(
    ("registration", "message"),
    [
        ({"kubeletExtraArgs": [{"name": "provider-id", "value": "x"}]}, "flag provider-id cannot be set.*nodewise_cluster_name"),
        ({"kubeletExtraArgs": [{"name": "hostname-override", "value": "x"}]}, "flag hostname-override cannot be set.*nodewise_node_name"),
        ({"kubeletExtraArgs": [{"name": "node-labels", "value": "x=y"}]}, "flag node-labels cannot be set.*kubeadm_worker_labels"),
        ({"name": "x"}, "nodeRegistration.name cannot be set.*nodewise_node_name"),
        ({"criSocket": "x"}, "nodeRegistration.criSocket cannot be set"),
    ],
)
def test_what_an_override_may_not_set(node_settings: Settings, cluster_settings: Cluster, registration: dict[str, Any], message: str) -> None:
    over = {"nodeRegistration": registration}
    with pytest.raises(NodewiseError, match=message):
        init_documents(node_settings(), cluster_settings(), Overrides(init=over))
    with pytest.raises(NodewiseError, match=message):
        join_document(node_settings(), "192.0.2.11:6443", TOKEN, HASHES, over)


@pytest.mark.parametrize(
    ("node", "cluster", "message"),
    [
        ({"node_name": "N1"}, {}, "node name 'N1'"),
        ({"cluster_name": "C"}, {}, "cluster name 'C'"),
        ({"labels": {"node-role.kubernetes.io/worker": ""}}, {}, "label node-role.kubernetes.io/worker"),
        ({"taints": [{"key": "a", "effect": "x"}]}, {}, "effect 'x'"),
        ({}, {"endpoint": "https://a:1"}, "endpoint 'https://a:1'"),
    ],
)
def test_bad_settings_are_refused(node_settings: Settings, cluster_settings: Cluster, node: dict[str, Any], cluster: dict[str, Any], message: str) -> None:
    with pytest.raises(NodewiseError, match=message):
        init_documents(node_settings(**node), cluster_settings(**cluster), Overrides())


def test_join_pins_the_authority_and_names_the_socket(node_settings: Settings) -> None:
    document = join_document(node_settings(taints=[{"key": "a", "effect": "NoSchedule"}]), "192.0.2.11:6443", TOKEN, HASHES, {})
    assert document["discovery"] == {"bootstrapToken": {"apiServerEndpoint": "192.0.2.11:6443", "token": TOKEN, "caCertHashes": HASHES}}
    assert document["nodeRegistration"]["criSocket"] == "unix:///run/containerd/containerd.sock"
    assert document["nodeRegistration"]["taints"] == [{"key": "a", "effect": "NoSchedule"}]
    assert flags(document)["provider-id"] == "nodewise://c/n1"


def test_join_takes_overrides(node_settings: Settings) -> None:
    document = join_document(node_settings(), "192.0.2.11:6443", TOKEN, HASHES, {"timeouts": {"discovery": "9s"}})
    assert document["timeouts"]["discovery"] == "9s"
    assert document["timeouts"]["tlsBootstrap"] == "2m0s"


def test_reset_leaves_etcd_to_us() -> None:
    document = reset_document("unix:///x")
    assert (document["criSocket"], document["skipPhases"]) == ("unix:///x", ["remove-etcd-member"])


@pytest.mark.parametrize(
    ("base", "over", "result"),
    [
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}, {"a": {"b": 3, "c": 2}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": [{"name": "x", "value": "1"}]}, {"a": [{"name": "y", "value": "2"}]}, {"a": [{"name": "x", "value": "1"}, {"name": "y", "value": "2"}]}),
        (
            {"a": [{"name": "x", "value": "1"}]},
            {"a": [{"name": "x", "value": "2"}, {"name": "x", "value": "3"}]},
            {"a": [{"name": "x", "value": "2"}, {"name": "x", "value": "3"}]},
        ),
        ({"a": {"b": 1}}, {"a": "text"}, {"a": "text"}),
    ],
)
def test_merge(base: dict[str, Any], over: dict[str, Any], result: dict[str, Any]) -> None:
    before = json.dumps(base)
    assert merge(base, over) == result
    assert json.dumps(base) == before


def test_text_is_one_stream_of_documents() -> None:
    first, second = as_text([{"a": 1}, {"b": 2}]).split("\n---\n")
    assert (json.loads(first), json.loads(second)) == ({"a": 1}, {"b": 2})
