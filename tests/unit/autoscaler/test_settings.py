# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration: what is right, and what is said of what is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.autoscaler.settings import make_config, read_config
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError

from .conftest import AMOUNTS, config_values, group_values, host_values, make


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    config = make(groups={"a": {**group_values(1), "hosts": {"s1": host_values(1, power_on=["/usr/bin/wake", "aa:bb"])}, "labels": {"pool": "a"}}})
    path = tmp_path / "autoscaler.json"
    path.write_text(config.to_text())
    assert read_config(str(path)) == config
    assert config.groups["a"].hosts["s1"].power_on == ["/usr/bin/wake", "aa:bb"]
    assert (config.metrics_port, config.join_timeout_seconds, config.retry_seconds) == (10272, 300.0, 60.0)


def one_host(**changes: Any) -> dict[str, Any]:
    return {"groups": {"a": {**group_values(1), "hosts": {"s1": host_values(1, **changes)}}}}


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown name": ({"listn": "x"}, "listn is not known. Remedy: did you mean listen?"),
    "a missing name": ({"identity": None}, "identity is None"),
    "no port": ({"listen": "10.0.0.1"}, "listen is '10.0.0.1'"),
    "a name as address": ({"listen": "cp1:8086"}, "listen is 'cp1', which is no IP address"),
    "a port that is none": ({"listen": "10.0.0.1:70000"}, "listen is '10.0.0.1:70000'"),
    "an endpoint with a scheme": ({"control_plane_endpoint": "https://cp1:6443"}, "'https://cp1:6443' is not HOST:PORT"),
    "no TLS": ({"tls": {"ca": "/a", "certificate": "", "key": "/c"}}, "tls.certificate is ''"),
    "half of TLS": ({"tls": {"ca": "/a"}}, "tls.certificate is missing"),
    "an option of ssh's": ({"ssh": {"key": "/a", "known_hosts": "/b", "user": "-oProxyCommand=x"}}, "ssh.user is '-oProxyCommand=x'"),
    "a text": ({"join_timeout_seconds": "300"}, "join_timeout_seconds is '300', which is not a number"),
    "a truth": ({"retry_seconds": True}, "retry_seconds is True"),
    "too short": ({"leave_timeout_seconds": 1}, "leave_timeout_seconds is 1. Remedy: set it between 10 and 3600"),
    "min above max": ({"groups": {"a": group_values(1, 2, min=2, max=1)}}, "groups.a.min is 2, max is 1, and there are 2 hosts"),
    "max above hosts": ({"groups": {"a": group_values(1, max=2)}}, "groups.a.min is 0, max is 2, and there are 1 hosts"),
    "a negative min": ({"groups": {"a": group_values(1, min=-1)}}, "groups.a.min is -1"),
    "a host in two groups": ({"groups": {"a": group_values(1), "b": group_values(1)}}, "groups.b.hosts.s1 has the same name as groups.a.hosts.s1"),
    "an address twice": (
        {"groups": {"a": {**group_values(1, 2), "hosts": {"s1": host_values(1), "s2": host_values(2, address="10.0.0.1")}}}},
        "groups.a.hosts.s2 has the same address as groups.a.hosts.s1: 10.0.0.1",
    ),
    "a provider id twice": (
        {"groups": {"a": {**group_values(1, 2), "hosts": {"s1": host_values(1), "s2": host_values(2, provider_id="nodewise://lab/s1")}}}},
        "has the same provider_id",
    ),
    "two architectures": (
        {"groups": {"a": {**group_values(1, 2), "hosts": {"s1": host_values(1), "s2": host_values(2, arch="arm64")}}}},
        "groups.a.Its hosts have several architectures",
    ),
    "no provider id": (one_host(provider_id=""), "groups.a.hosts.s1.provider_id is ''"),
    "somebody else's provider id": (one_host(provider_id="aws:///x/i-1"), "provider_id is 'aws:///x/i-1'"),
    "no memory": (one_host(capacity={"cpu": "2", "ephemeral-storage": "1Gi", "pods": "110"}), "groups.a.hosts.s1.capacity.memory is missing"),
    "a number as quantity": (one_host(allocatable={**AMOUNTS, "cpu": 2}), "allocatable.cpu: 2 is not a quantity's text"),
    "a shell's line": (one_host(power_on="ipmitool chassis power on"), "power_on is 'ipmitool chassis power on'"),
    "a program without a path": (one_host(power_off=["ipmitool"]), "power_off starts 'ipmitool'"),
    "a label that a kubelet may not set": ({"groups": {"a": group_values(1, labels={"kubernetes.io/x": "y"})}}, "kubernetes.io/x cannot be set"),
    "an effect that is none": ({"groups": {"a": group_values(1, taints=[{"key": "k", "effect": "No"}])}}, "effect 'No' of the taint k"),
    "a group's name": ({"groups": {"a/b": group_values(1)}}, "'a/b' is not allowed"),
    "a Node's name": ({"groups": {"a": {**group_values(1), "hosts": {"S1": host_values(1)}}}}, "'S1' is not an RFC 1123 name"),
    "groups as a list": ({"groups": []}, "groups is [], which is no mapping"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_refused_with_its_place(what: str) -> None:
    changes, message = WRONG[what]
    with pytest.raises(NodewiseError) as error:
        make_config({**config_values(), **changes})
    assert message in str(error.value)


@pytest.mark.parametrize("name", ["listen", "tls", "kubeconfig", "identity", "control_plane_endpoint", "ssh", "groups"])
def test_what_is_missing_is_named(name: str) -> None:
    values = config_values()
    del values[name]
    with pytest.raises(NodewiseError, match=f"^{name} is missing"):
        make_config(values)


def test_an_ipv6_address_may_be_listened_on() -> None:
    assert make(listen="[2001:db8::1]:8086").listen == "[2001:db8::1]:8086"


@pytest.mark.parametrize(("text", "message"), [("[]", "it is not a JSON object"), ("{", "cannot be read"), (json.dumps({"a": 1}), "a is not known")])
def test_a_file_that_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(NodewiseError) as error:
        read_config(str(path))
    assert str(path) in str(error.value) and message in str(error.value)
    with pytest.raises(NodewiseError, match="it is missing"):
        read_config(str(tmp_path / "none.json"))
