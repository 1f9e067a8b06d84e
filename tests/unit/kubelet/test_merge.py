# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.kubelet import schema
from ansible_collections.nodewise.cluster.plugins.module_utils.kubelet.merge import differences, dump, load, merge, same, union

LIVE = {"apiVersion": "kubelet.config.k8s.io/v1beta1", "clusterDNS": ["10.96.0.10"], "maxPods": 110, "evictionHard": {"pid.available": "5%"}}


def test_wanted_fields_are_laid_over_and_the_others_stay() -> None:
    found = merge(LIVE, {}, {"maxPods": 50, "evictionHard": {"memory.available": "1Gi"}}, {})
    assert found == {**LIVE, "maxPods": 50, "evictionHard": {"pid.available": "5%", "memory.available": "1Gi"}}
    assert LIVE["maxPods"] == 110


def test_what_was_ours_and_is_no_longer_wanted_goes() -> None:
    live = {**LIVE, "evictionHard": {"pid.available": "5%", "memory.available": "1Gi"}, "kubeReserved": {"cpu": "1"}}
    last = {"maxPods": 110, "evictionHard": {"memory.available": "1Gi"}, "kubeReserved": {"cpu": "1"}}
    found = merge(live, last, {}, {})
    assert found == {"apiVersion": LIVE["apiVersion"], "clusterDNS": ["10.96.0.10"], "evictionHard": {"pid.available": "5%"}}


def test_a_field_goes_back_to_the_clusters_value() -> None:
    live = {"clusterDNS": ["169.254.20.10"], "authentication": {"webhook": {"enabled": False, "cacheTTL": "0s"}}}
    last = {"clusterDNS": ["169.254.20.10"], "authentication": {"webhook": {"enabled": False}}}
    base = {"clusterDNS": ["10.96.0.10"], "authentication": {"webhook": {"enabled": True, "cacheTTL": "9s"}}}
    assert merge(live, last, {}, base) == {"clusterDNS": ["10.96.0.10"], "authentication": {"webhook": {"enabled": True, "cacheTTL": "0s"}}}


def test_what_kubeadm_always_sets_stays_if_there_is_no_value_to_go_back_to() -> None:
    assert merge({"clusterDNS": ["169.254.20.10"]}, {"clusterDNS": ["169.254.20.10"]}, {}, {}) == {"clusterDNS": ["169.254.20.10"]}


def test_a_field_that_is_gone_already_is_no_difference() -> None:
    assert merge({"port": 1}, {"maxPods": 5, "featureGates": {"A": True}}, {}, {}) == {"port": 1}


@pytest.mark.parametrize(
    ("live", "wanted"),
    [
        ({"runtimeRequestTimeout": "2m0s"}, {"runtimeRequestTimeout": "120s"}),
        ({}, {"serverTLSBootstrap": False}),
        ({}, {"maxOpenFiles": 0}),
        ({}, {"imageServiceEndpoint": ""}),
        ({}, {"syncFrequency": "0s"}),
        ({"syncFrequency": "0s"}, {}),
        ({"logging": {"flushFrequency": 5000000000}}, {"logging": {"flushFrequency": "5s"}}),
        ({"reservedMemory": [{"numaNode": 0, "limits": {"memory": "1Gi"}}]}, {"reservedMemory": [{"numaNode": 0, "limits": {"memory": "1024Mi"}}]}),
        ({"evictionHard": {"memory.available": "1Gi"}}, {"evictionHard": {"memory.available": "1Gi"}}),
    ],
)
def test_the_same_said_otherwise_is_no_change(live: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert merge(live, {}, wanted, {}) == live
    assert differences(wanted, live) == []


@pytest.mark.parametrize(
    ("name", "live", "wanted"),
    [
        ("failSwapOn", None, False),
        ("serializeImagePulls", None, False),
        ("resolvConf", None, ""),
        ("maxPods", 110, 111),
        ("maxPods", 1, True),
        ("serverTLSBootstrap", True, False),
        ("clusterDNS", ["a", "b"], ["a"]),
        ("syncFrequency", "nonsense", "1m0s"),
        ("cpuCFSQuotaPeriod", "100ms", "50ms"),
    ],
)
def test_what_the_kubelet_would_take_for_something_else_is_a_change(name: str, live: Any, wanted: Any) -> None:
    assert not same(schema.FIELDS[name], name, live, wanted)
    assert merge({} if live is None else {name: live}, {}, {name: wanted}, {})[name] == wanted
    assert differences({name: wanted}, {} if live is None else {name: live}) == [f"{name} is {live!r}, wanted {wanted!r}"]


def test_what_is_unset_in_a_nodes_file_is_no_difference_to_the_kubelets_defaults() -> None:
    file = {"apiVersion": "v", "syncFrequency": "0s", "containerRuntimeEndpoint": "", "memorySwap": {}, "maxOpenFiles": 0, "logging": {"flushFrequency": 0}}
    effective = {
        "apiVersion": "v",
        "syncFrequency": "1m0s",
        "containerRuntimeEndpoint": "unix:///x",
        "maxOpenFiles": 1000000,
        "logging": {"flushFrequency": "5s"},
    }
    assert differences(file, effective) == []


def test_differences_have_their_path() -> None:
    wanted = {"evictionHard": {"memory.available": "1Gi"}, "logging": {"verbosity": 2}}
    assert differences(wanted, {"evictionHard": {"memory.available": "100Mi", "x": "y"}}) == [
        "evictionHard.memory.available is '100Mi', wanted '1Gi'",
        "logging is None, wanted {'verbosity': 2}",
    ]


def test_a_union_has_the_keys_of_both() -> None:
    assert union({"a": 1, "m": {"x": 1}}, {"b": 2, "m": {"y": 2}, "a": 3}) == {"a": 3, "b": 2, "m": {"x": 1, "y": 2}}


@pytest.mark.parametrize(
    "text", ["1e3", "y", "n", "yes", "0x10", "10%", "5", "null", "~", "", "-", "0o7", "1:30", ".5", "a: b", "#x", "100Mi", "unix:///run/x.sock", "on", "0s"]
)
def test_texts_survive_any_yaml_reader(text: str) -> None:
    written = dump({"field": text})
    assert yaml.safe_load(written) == {"field": text}
    bare = written.split(": ", 1)[1].strip()
    # Go's reader of YAML 1.1 takes the others for numbers, truth values, nothing or syntax: they must be quoted.
    assert (bare[0] not in "\"'") == (text in ("100Mi", "10%", "unix:///run/x.sock", "0s"))


def test_a_written_document_reads_back_the_same() -> None:
    document = {
        "clusterDNS": ["10.96.0.10"],
        "featureGates": {"Gate": True},
        "maxPods": 5,
        "evictionHard": {"memory.available": "100Mi"},
        "nested": {"empty": {}},
    }
    assert load(dump(document), "here") == document
    assert "featureGates:\n  Gate: true\n" in dump(document)


@pytest.mark.parametrize(
    ("text", "said"), [("a: [", "config.yaml is not YAML"), ("- a", "config.yaml holds no mapping but list"), ("", "holds no mapping but NoneType")]
)
def test_a_document_that_is_none_is_refused(text: str, said: str) -> None:
    with pytest.raises(NodewiseError, match=said):
        load(text, "config.yaml")
