# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.calico.resources import Specs, differing, kinds_to_read, make_plan, wanted_resources
from ansible_collections.nodewise.cluster.plugins.module_utils.calico.settings import Settings
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError

DEFAULT = ("IPPool", "default-ipv4-ippool")
# As calicoctl 3.28.5 gives it back after calico-node made the pool.
LIVE_DEFAULT = {
    "allowedUses": ["Workload", "Tunnel"],
    "blockSize": 26,
    "cidr": "10.244.0.0/16",
    "ipipMode": "Never",
    "natOutgoing": True,
    "nodeSelector": "all()",
    "vxlanMode": "Always",
}
FELIX = ("FelixConfiguration", "default")


def settings(**changes: Any) -> Settings:
    return Settings(**{"version": "3.28.5", "kubernetes_version": "1.37.2", "pod_cidr": "10.244.0.0/16", **changes})


def test_the_default_pool_follows_the_settings() -> None:
    wanted = wanted_resources(settings(encapsulation="VXLANCrossSubnet", block_size=24, nat_outgoing=False))
    assert wanted == {DEFAULT: {"cidr": "10.244.0.0/16", "ipipMode": "Never", "vxlanMode": "CrossSubnet", "blockSize": 24, "natOutgoing": False}}


def test_further_pools_inherit_or_override() -> None:
    pools = [
        {"name": "plain", "cidr": "10.8.0.0/16"},
        {"name": "own", "cidr": "10.9.0.0/16", "ipipMode": "Always", "blockSize": 28},
        {"name": "default-ipv4-ippool", "nodeSelector": "has(x)"},
    ]
    wanted = wanted_resources(settings(backend="bird", ip_pools=pools))
    assert wanted["IPPool", "plain"] == {"cidr": "10.8.0.0/16", "ipipMode": "Never", "vxlanMode": "Always", "blockSize": 26, "natOutgoing": True}
    assert wanted["IPPool", "own"] == {"cidr": "10.9.0.0/16", "ipipMode": "Always", "vxlanMode": "Never", "blockSize": 28, "natOutgoing": True}
    assert wanted[DEFAULT]["nodeSelector"] == "has(x)"


def test_a_settled_cluster_needs_nothing() -> None:
    plan = make_plan(wanted_resources(settings()), {DEFAULT: LIVE_DEFAULT}, {})
    assert (plan.apply, plan.delete) == ({}, [])
    assert plan.record == {"IPPool/default-ipv4-ippool": ["blockSize", "cidr", "ipipMode", "natOutgoing", "vxlanMode"]}


def test_a_missing_resource_is_created_and_a_changed_one_keeps_the_rest() -> None:
    wanted = wanted_resources(settings(felix_configuration={"logSeverityScreen": "Warning"}))
    live: Specs = {FELIX: {"logSeverityScreen": "Info", "floatingIPs": "Disabled"}}
    plan = make_plan(wanted, live, {})
    assert plan.apply == {DEFAULT: wanted[DEFAULT], FELIX: {"logSeverityScreen": "Warning", "floatingIPs": "Disabled"}}
    assert plan.before == {FELIX: live[FELIX]}


def test_a_pools_encapsulation_and_nat_can_change() -> None:
    plan = make_plan(wanted_resources(settings(encapsulation="VXLANCrossSubnet", nat_outgoing=False)), {DEFAULT: LIVE_DEFAULT}, {})
    assert plan.apply == {DEFAULT: {**LIVE_DEFAULT, "vxlanMode": "CrossSubnet", "natOutgoing": False}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"pod_cidr": "10.10.0.0/16"},
            "live IPPool default-ipv4-ippool has cidr 10.244.0.0/16, but calico_pod_cidr is 10.10.0.0/16; Calico cannot change that",
        ),
        ({"block_size": 24}, "live IPPool default-ipv4-ippool has blockSize 26, but calico_block_size is 24"),
        ({"ip_pools": [{"name": "extra", "cidr": "10.9.0.0/16"}]}, r"live IPPool extra has cidr 10.8.0.0/16, but calico_ip_pools\[extra\].cidr is 10.9.0.0/16"),
    ],
)
def test_what_a_live_pool_cannot_change_is_refused(changes: dict[str, Any], message: str) -> None:
    live: Specs = {DEFAULT: LIVE_DEFAULT, ("IPPool", "extra"): {"cidr": "10.8.0.0/16", "blockSize": 26}}
    with pytest.raises(NodewiseError, match=message):
        make_plan(wanted_resources(settings(**changes)), live, {})


def test_what_we_made_and_no_longer_want_goes() -> None:
    live: Specs = {
        DEFAULT: {**LIVE_DEFAULT, "disableBGPExport": True},
        ("IPPool", "ours"): {"cidr": "10.8.0.0/16"},
        ("IPPool", "theirs"): {"cidr": "10.9.0.0/16"},
        ("BGPPeer", "ours"): {"peerIP": "192.0.2.1"},
        FELIX: {"logSeverityScreen": "Warning", "reportingInterval": "0s"},
        ("BGPConfiguration", "default"): {"asNumber": 64600},
    }
    record = {
        "IPPool/default-ipv4-ippool": ["cidr", "disableBGPExport"],
        "IPPool/ours": ["cidr"],
        "IPPool/gone": ["cidr"],
        "BGPPeer/ours": ["peerIP"],
        "FelixConfiguration/default": ["logSeverityScreen"],
        "BGPConfiguration/default": ["asNumber"],
    }
    plan = make_plan(wanted_resources(settings()), live, record)
    assert plan.delete == [("IPPool", "ours"), ("BGPPeer", "ours")]
    assert plan.apply == {DEFAULT: LIVE_DEFAULT, FELIX: {"reportingInterval": "0s"}, ("BGPConfiguration", "default"): {}}
    assert list(plan.record) == ["IPPool/default-ipv4-ippool"]


@pytest.mark.parametrize(
    ("kind", "wanted", "have", "different"),
    [
        ("FelixConfiguration", {"routeRefreshInterval": "60s"}, {"routeRefreshInterval": "1m0s"}, []),
        ("FelixConfiguration", {"routeRefreshInterval": "61s"}, {"routeRefreshInterval": "1m0s"}, ["routeRefreshInterval"]),
        ("FelixConfiguration", {"iptablesPostWriteCheckInterval": "1500ms"}, {"iptablesPostWriteCheckInterval": "1.5s"}, []),
        ("FelixConfiguration", {"reportingInterval": "0s"}, {}, ["reportingInterval"]),
        ("FelixConfiguration", {"ipv6Support": False}, {}, ["ipv6Support"]),
        ("FelixConfiguration", {"xdpEnabled": False}, {"xdpEnabled": True}, ["xdpEnabled"]),
        ("IPPool", {"disabled": False}, {}, []),
        ("IPPool", {"disabled": True}, {}, ["disabled"]),
        ("BGPPeer", {"keepOriginalNextHop": False}, {}, []),
        ("BGPConfiguration", {"nodeToNodeMeshEnabled": False}, {}, ["nodeToNodeMeshEnabled"]),
        ("BGPConfiguration", {"serviceClusterIPs": [{"cidr": "10.96.0.0/12"}]}, {"serviceClusterIPs": [{"cidr": "10.96.0.0/12"}]}, []),
    ],
)
def test_values_are_compared_by_meaning(kind: str, wanted: dict[str, Any], have: dict[str, Any], different: list[str]) -> None:
    assert differing(kind, wanted, have) == different


def test_only_needed_kinds_are_read() -> None:
    assert kinds_to_read(wanted_resources(settings()), {}) == ["IPPool"]
    assert kinds_to_read(wanted_resources(settings()), {"BGPPeer/ours": []}) == ["IPPool", "BGPPeer"]
