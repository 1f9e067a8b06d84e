# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.kubeadm.names import (
    check_cluster_name,
    check_endpoint,
    check_node_name,
    check_registration_labels,
    check_taints,
    provider_id,
)


def test_provider_id() -> None:
    assert provider_id("prod", "w1") == "nodewise://prod/w1"


@pytest.mark.parametrize("name", ["w1", "w1.example.com", "a", "0", "a-b", "x" * 63])
def test_good_node_names(name: str) -> None:
    check_node_name(name)


@pytest.mark.parametrize("name", ["", "W1", "w_1", "-w1", "w1-", "w1.", "w 1", "x" * 64, ".".join(["x" * 60] * 5), "w1\n"])
def test_bad_node_names(name: str) -> None:
    with pytest.raises(NodewiseError, match=r"not an RFC 1123 name.*nodewise_node_name"):
        check_node_name(name)


def test_bad_cluster_name() -> None:
    check_cluster_name("nodewise")
    with pytest.raises(NodewiseError, match=r"cluster name 'My Cluster'.*providerID.*nodewise_cluster_name"):
        check_cluster_name("My Cluster")


@pytest.mark.parametrize("endpoint", ["192.0.2.1:6443", "api.example.com:443", "cp1:65535"])
def test_good_endpoints(endpoint: str) -> None:
    check_endpoint(endpoint)


@pytest.mark.parametrize("endpoint", ["", "192.0.2.1", ":6443", "https://cp1:6443", "cp1:0", "cp1:65536", "cp1:x", "cp1:", "[::1]:6443", "cp1:6443/"])
def test_bad_endpoints(endpoint: str) -> None:
    with pytest.raises(NodewiseError, match=r"is not HOST:PORT.*nodewise_control_plane_endpoint"):
        check_endpoint(endpoint)


@pytest.mark.parametrize(
    "key",
    [
        "rack",
        "example.com/rack",
        "topology.kubernetes.io/zone",
        "node.kubernetes.io/anything",
        "kubelet.kubernetes.io/anything",
        "sub.node.kubernetes.io/x",
        "notkubernetes.io/x",
    ],
)
def test_labels_that_a_kubelet_may_set(key: str) -> None:
    check_registration_labels({key: "v"})


@pytest.mark.parametrize(
    "key",
    [
        "node-role.kubernetes.io/worker",
        "node-restriction.kubernetes.io/x",
        "kubernetes.io/x",
        "foo.kubernetes.io/x",
        "k8s.io/x",
        "foo.k8s.io/x",
        "topology.kubernetes.io/rack",
        "xnode.kubernetes.io/x",
    ],
)
def test_labels_that_a_kubelet_may_not_set(key: str) -> None:
    with pytest.raises(NodewiseError, match=rf"The label {key} cannot be set when a node registers.*through the API"):
        check_registration_labels({key: "v"})


@pytest.mark.parametrize("key", ["", "/", "a/", "/a", "a b", "-a", "A_B/x", "x" * 64, "a/b/c"])
def test_malformed_label_keys(key: str) -> None:
    with pytest.raises(NodewiseError, match="label key .* is malformed"):
        check_registration_labels({key: "v"})


@pytest.mark.parametrize("value", [True, 5, None, "a b", "a,b", "-a", "x" * 64])
def test_malformed_label_values(value: Any) -> None:
    with pytest.raises(NodewiseError, match=r"of the label rack is not one\. Remedy: write text in quotes"):
        check_registration_labels({"rack": value})


def test_an_empty_label_value_is_fine() -> None:
    check_registration_labels({"rack": ""})


def test_good_taints() -> None:
    check_taints([{"key": "example.com/x", "value": "y", "effect": "NoSchedule"}, {"key": "x", "effect": "NoExecute"}])


@pytest.mark.parametrize(
    ("taint", "message"),
    [
        ({"key": "a b", "effect": "NoSchedule"}, "taint key 'a b' is malformed"),
        ({"effect": "NoSchedule"}, "taint key '' is malformed"),
        ({"key": "a", "value": "b c", "effect": "NoSchedule"}, "value 'b c' of the taint a"),
        ({"key": "a", "effect": "noschedule"}, "effect 'noschedule' of the taint a does not exist.*NoSchedule, PreferNoSchedule, NoExecute"),
    ],
)
def test_bad_taints(taint: dict[str, str], message: str) -> None:
    with pytest.raises(NodewiseError, match=message):
        check_taints([taint])
