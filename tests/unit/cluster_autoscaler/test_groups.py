# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.cluster_autoscaler.groups import check_groups
from ansible_collections.nodewise.cluster.plugins.module_utils.cluster_autoscaler.hosts import build_groups, check_nodes
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.kubeadm.nodes import Node

INVENTORY = {"control_plane": ["cp1"], "workers": ["w1"], "standby": ["s1", "s2", "s3"], "big": ["s2"], "small": ["s1", "s3"], "empty": []}
NAMES = {"cp1": "cp1", "w1": "w1", "s1": "s1", "s2": "s2", "s3": "s3"}


def check(groups: Any, **changes: Any) -> dict[str, Any]:
    return check_groups(groups, **{"inventory": INVENTORY, "node_names": NAMES, "cluster_name": "c", **changes})


def test_what_is_left_out_is_nothing_at_least_and_all_hosts_at_most() -> None:
    assert check({"big": None}) == {
        "big": {"min": 0, "max": 1, "labels": {}, "taints": [], "hosts": {"s2": {"node_name": "s2", "provider_id": "nodewise://c/s2"}}}
    }
    assert check({"small": {"min": 1, "max": 2, "labels": {"a": "b"}}})["small"]["min"] == 1


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({}, "give groups of the inventory"),
        (None, "give groups of the inventory"),
        (["standby"], "give groups of the inventory"),
        ({"smal": {}}, r"smal: there is no such group in the inventory \(did you mean small\?\)\."),
        ({"empty": {}}, "empty: the group has no hosts"),
        ({"big": {"mn": 0}}, r"big: mn is not known \(did you mean min\?\)\."),
        ({"big": 3}, "big: it is 3, not a mapping"),
        ({"big": {"max": 2}}, "big: min is 0, max is 2 and there are 1 hosts"),
        ({"small": {"min": 2, "max": 1}}, "small: min is 2, max is 1"),
        ({"small": {"min": -1}}, "small: min is -1"),
        ({"small": {"min": True}}, "small: min is True and max is 2; both are whole numbers"),
        ({"small": {"max": "2"}}, "both are whole numbers"),
        ({"small": {"labels": {"kubernetes.io/role": "x"}}}, "small: The label kubernetes.io/role cannot be set when a node registers"),
        ({"small": {"labels": ["x"]}}, "small: labels is"),
        ({"small": {"taints": [{"key": "a", "effect": "No"}]}}, "small: The effect 'No' of the taint a does not exist"),
        ({"small": {"taints": "a"}}, "small: taints is 'a', not a list"),
        ({"big": {}, "standby": {}}, "standby: s2 is in big already"),
        ({"workers": {}}, "workers: w1 is not in the inventory's group standby.*workers: w1 is in workers, too"),
    ],
)
def test_mistakes_are_named_with_their_place(groups: Any, message: str) -> None:
    with pytest.raises(NodewiseError, match=f"Nothing was changed.*{message}"):
        check(groups)


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(NodewiseError) as caught:
        check({"bigg": {}, "small": {"min": 5, "lables": {}}})
    assert all(text in str(caught.value) for text in ("bigg: there is no such group", "small: lables is not known", "small: min is 5"))


def test_a_host_that_can_have_no_provider_id_is_refused() -> None:
    with pytest.raises(NodewiseError, match="big: s2 can have no providerID: The node name 'S 2'"):
        check({"big": {}}, node_names={**NAMES, "s2": "S 2"})
    with pytest.raises(NodewiseError, match="The cluster name 'C!'"):
        check({"big": {}}, cluster_name="C!")


def test_two_hosts_cannot_be_one_node() -> None:
    with pytest.raises(NodewiseError, match="s3 and s1 would both be the Node x"):
        check({"small": {}}, node_names={**NAMES, "s1": "x", "s3": "x"})


SHOWN: dict[str, dict[str, Any]] = {
    name: {
        "address": f"192.0.2.3{name[1]}",
        "arch": "amd64",
        "capacity": {"cpu": "4", "memory": "8000000Ki", "ephemeral-storage": "20000000Ki"},
        "host_key": f"ssh-ed25519 {name}",
        "power_on": None,
        "power_off": [],
        "power_timeout_seconds": 300.0,
    }
    for name in ("s1", "s2", "s3")
}


def test_what_a_host_gives_away_comes_from_its_capacity_and_the_kubelets_configuration() -> None:
    result = build_groups(check({"big": {"labels": {"a": "b"}}}), SHOWN, {}, {"maxPods": 50, "systemReserved": {"cpu": "1"}})
    host = result.groups["big"]["hosts"]["s2"]
    assert (host["capacity"]["pods"], host["allocatable"]["cpu"], host["provider_id"]) == ("50", "3", "nodewise://c/s2")
    assert "power_on" not in host
    assert result.host_keys == {"192.0.2.32": "ssh-ed25519 s2"}
    assert result.groups["big"]["labels"] == {"a": "b"}


def test_a_host_that_was_not_reached_keeps_what_was_known_of_it() -> None:
    groups = check({"small": {}})
    before = build_groups(groups, SHOWN, {}, {}).groups
    result = build_groups(groups, {"s1": SHOWN["s1"]}, before, {})
    assert result.groups == before
    assert result.host_keys == {"192.0.2.31": "ssh-ed25519 s1", "192.0.2.33": None}
    assert result.left_out == []


def test_a_host_that_was_never_reached_is_left_out_and_the_group_is_smaller() -> None:
    result = build_groups(check({"small": {"min": 2}}), {"s1": SHOWN["s1"]}, {}, {})
    assert (result.groups["small"]["min"], result.groups["small"]["max"], result.left_out) == (1, 1, ["s3"])


def test_a_node_with_another_provider_id_is_refused() -> None:
    groups = build_groups(check({"big": {}}), SHOWN, {}, {}).groups
    check_nodes(groups, {"s2": Node("s2", True, "nodewise://c/s2", "m")})
    check_nodes(groups, {})
    for provider, said in (("", "none"), ("aws:///i-1", "aws:///i-1")):
        with pytest.raises(NodewiseError, match=f"s2 has {said}, wanted nodewise://c/s2"):
            check_nodes(groups, {"s2": Node("s2", True, provider, "m")})
