# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.calico.settings import Settings, find_problems

GOOD: dict[str, Any] = {"version": "3.33.0", "kubernetes_version": "1.37.2", "pod_cidr": "10.244.0.0/16"}
BIRD: dict[str, Any] = {"backend": "bird", "encapsulation": "None"}
PEER: dict[str, Any] = {"name": "rack1", "peerIP": "192.0.2.1", "asNumber": 64601}


def problems(**changes: Any) -> list[str]:
    return find_problems(Settings(**{**GOOD, **changes}))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"encapsulation": "VXLANCrossSubnet", "mtu": 1450, "block_size": 24},
        {
            **BIRD,
            "bgp_configuration": {"asNumber": 64600},
            "bgp_peers": [PEER, {"name": "r2", "peerIP": "192.0.2.2:1790", "asNumber": 1}, {"name": "r3", "peerSelector": "all()"}],
        },
        {"backend": "bird", "encapsulation": "IPIPCrossSubnet"},
        {"backend": "bird", "encapsulation": "VXLAN"},
        {"version": "3.28.5", "allow_unsupported_pair": True},
        {"image_prefix": "registry.example:5000/mirror/calico"},
        {"ip_pools": [{"name": "extra", "cidr": "10.9.0.0/16"}, {"name": "default-ipv4-ippool", "nodeSelector": "has(x)"}]},
        {"felix_env": {"FELIX_LOGSEVERITYSCREEN": "Warning", "FELIX_BPFENABLED": False, "FELIX_X": 3}},
        *(
            {"ip_autodetection_method": method}
            for method in (
                "first-found",
                "kubernetes-internal-ip",
                "can-reach=192.0.2.1",
                "interface=eth.*",
                "skip-interface=docker.*,br-.*",
                "cidr=10.0.0.0/8,192.168.0.0/16",
            )
        ),
    ],
)
def test_good_settings_have_no_problem(changes: dict[str, Any]) -> None:
    assert problems(**changes) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"version": "3.28.5"},
            "not with 1.37.2; Kubernetes 1.37 is tested with Calico 3.33. Remedy: choose another calico_version, or set calico_allow_unsupported_pair",
        ),
        ({"version": "latest"}, "calico_version is 'latest', which is not a version"),
        ({"kubernetes_version": "1.37"}, "calico_kubernetes_version is '1.37', which is not a version"),
        ({"backend": "none"}, "calico_backend is 'none'. Remedy: choose one of vxlan, bird"),
        ({"encapsulation": "Always"}, "calico_encapsulation is 'Always'. Remedy: choose one of VXLAN, VXLANCrossSubnet"),
        ({"encapsulation": "IPIP"}, "calico_encapsulation is IPIP, but with calico_backend vxlan nothing programs such routes"),
        ({"encapsulation": "None"}, "calico_encapsulation is None, but with calico_backend vxlan"),
        ({"iptables_backend": "nft"}, "calico_iptables_backend is 'nft'. Remedy: choose one of Auto, NFT, Legacy"),
        ({"mtu": 100}, "calico_mtu is 100. Remedy: choose 0 to detect it, or 1280 to 9216 bytes"),
        ({"image_prefix": "registry.example/"}, "calico_image_prefix is 'registry.example/'"),
        ({"image_prefix": "https://registry.example/calico"}, "calico_image_prefix"),
        ({"pod_cidr": "10.244.1.1/16"}, "calico_pod_cidr has the CIDR '10.244.1.1/16'"),
        ({"pod_cidr": "10.244.0.0"}, "calico_pod_cidr has the CIDR '10.244.0.0'"),
        ({"pod_cidr": "fd00::/48"}, "calico_pod_cidr has the CIDR 'fd00::/48'. Remedy: write an IPv4 network"),
        ({"block_size": 15}, "calico_pod_cidr has 10.244.0.0/16 and block size 15. Remedy: choose 20 to 32"),
        ({"pod_cidr": "10.244.0.0/24", "block_size": 23}, "choose 24 to 32"),
        (
            {"ip_autodetection_method": "eth1"},
            "calico_ip_autodetection_method is 'eth1'. Remedy: write interface=eth1, if it is an interface, or one of first-found",
        ),
        ({"ip_autodetection_method": "interface="}, "calico_ip_autodetection_method is 'interface='. Remedy: write one of"),
        ({"ip_autodetection_method": "cidr=10.0.0.0/33"}, "calico_ip_autodetection_method is 'cidr=10.0.0.0/33'"),
        ({"ip_autodetection_method": "can-reach=a b"}, "calico_ip_autodetection_method is 'can-reach=a b'"),
        ({"ip_autodetection_method": "first-found=1"}, "calico_ip_autodetection_method is 'first-found=1'"),
        ({"ip_autodetection_method": ""}, "calico_ip_autodetection_method is ''"),
        ({"felix_env": {"LOGLEVEL": "x"}}, "calico_felix_env has the name 'LOGLEVEL'"),
        ({"felix_env": {"FELIX_X": [1]}}, "calico_felix_env.FELIX_X is a list"),
        ({"felix_env": {"FELIX_IPTABLESBACKEND": "NFT"}}, "Remedy: use calico_iptables_backend"),
        ({"ip_pools": [{"name": "a", "cidr": "10.244.8.0/24"}]}, "calico_ip_pools[a] (10.244.8.0/24) overlaps calico_pod_cidr (10.244.0.0/16)"),
        ({"ip_pools": [{"name": "a", "cidr": "10.9.0.0/16"}, {"name": "a", "cidr": "10.8.0.0/16"}]}, "calico_ip_pools has the name 'a' 2 times"),
        ({"ip_pools": [{"cidr": "10.9.0.0/16"}]}, "calico_ip_pools has an entry with the name ''"),
        ({"ip_pools": [{"name": "A b", "cidr": "10.9.0.0/16"}]}, "calico_ip_pools has an entry with the name 'A b'"),
        ({"ip_pools": [{"name": "a"}]}, "calico_ip_pools[a] has the CIDR None"),
        ({"ip_pools": [{"name": "a", "cidr": "10.9.0.0/16", "blockSize": "26"}]}, "calico_ip_pools[a] has 10.9.0.0/16 and block size '26'"),
        ({"ip_pools": [{"name": "a", "cidr": "10.9.0.0/16", "vxlanMode": "always"}]}, "calico_ip_pools[a] has vxlanMode 'always'"),
        ({"ip_pools": [{"name": "a", "cidr": "10.9.0.0/16", "ipipMode": "Always"}]}, "calico_ip_pools[a] has ipipMode Always, whose routes BIRD programs"),
        (
            {**BIRD, "ip_pools": [{"name": "a", "cidr": "10.9.0.0/16", "ipipMode": "Always", "vxlanMode": "Always"}]},
            "calico_ip_pools[a] has both ipipMode and vxlanMode",
        ),
        (
            {"ip_pools": [{"name": "default-ipv4-ippool", "cidr": "10.9.0.0/16"}]},
            "calico_ip_pools[default-ipv4-ippool].cidr cannot be set here. Remedy: use calico_pod_cidr",
        ),
        ({"bgp_peers": [PEER]}, "calico_bgp_peers is set, but calico_backend vxlan runs no BGP daemon"),
        ({"bgp_configuration": {"asNumber": 64600}}, "calico_bgp_configuration is set, but calico_backend vxlan runs no BGP daemon"),
        ({**BIRD, "bgp_configuration": {"asNumber": 0}}, "calico_bgp_configuration.asNumber is 0. Remedy: write a plain number from 1 to 2147483647"),
        ({**BIRD, "bgp_peers": [{**PEER, "asNumber": 4200000000}]}, "calico_bgp_peers[rack1].asNumber is 4200000000"),
        ({**BIRD, "bgp_peers": [{**PEER, "asNumber": "64600"}]}, "calico_bgp_peers[rack1].asNumber is '64600'"),
        ({**BIRD, "bgp_peers": [{"name": "rack1", "peerIP": "192.0.2.1"}]}, "calico_bgp_peers[rack1].asNumber is None"),
        ({**BIRD, "bgp_peers": [{**PEER, "peerIP": "192.0.2.300"}]}, "calico_bgp_peers[rack1] has the peerIP '192.0.2.300'"),
        ({**BIRD, "bgp_peers": [{**PEER, "peerIP": "192.0.2.1:99999"}]}, "calico_bgp_peers[rack1] has the peerIP '192.0.2.1:99999'"),
        ({**BIRD, "bgp_peers": [{"name": "rack1", "asNumber": 1}]}, "calico_bgp_peers[rack1] has neither peerIP and peerSelector"),
        ({**BIRD, "bgp_peers": [{**PEER, "peerSelector": "all()"}]}, "calico_bgp_peers[rack1] has both peerIP and peerSelector"),
        ({**BIRD, "bgp_peers": [PEER, PEER]}, "calico_bgp_peers has the name 'rack1' 2 times"),
    ],
)
def test_a_bad_value_is_named_with_its_remedy(changes: dict[str, Any], message: str) -> None:
    found = problems(**changes)
    assert [problem for problem in found if message in problem], found
    assert all(" Remedy: " in problem for problem in found)


def test_all_problems_are_reported_at_once() -> None:
    assert len(problems(mtu=1, pod_cidr="x", ip_autodetection_method="eth1", bgp_peers=[{"name": "p"}])) == 5
