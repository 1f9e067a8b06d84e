# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.kubeadm.commands import Commands
from ansible_collections.nodewise.cluster.plugins.module_utils.kubeadm.network import NetworkCleaner, owned_rules

FIXTURES = Path(__file__).parent / "fixtures"
# What a node of 1.37.2 with Calico 3.28.5 and a pod with a host port had: iptables-save, ip -json route show.
NODE_RULES = (FIXTURES / "iptables-save.txt").read_text()
NODE_ROUTES = json.loads((FIXTURES / "routes.json").read_text())
OURS = ("KUBE-", "cali-", "CNI-HOSTPORT-", "CNI-DN-", "CNI-SN-")
FOREIGN = {
    "filter": [
        '-A INPUT -p tcp -m tcp --dport 2222 -m comment --comment "mine: not -j KUBE-FIREWALL" -j ACCEPT',
        '-A INPUT -p tcp -m tcp --dport 2223 -m comment --comment "cali:mine" -j ACCEPT',
        "-A FORWARD -j MYCHAIN",
        "-A MYCHAIN -s 198.51.100.0/24 -j DROP",
        "-A MYCHAIN -j calico-of-mine",
    ],
    "nat": ["-A POSTROUTING -s 198.51.100.0/24 -j MASQUERADE"],
}
FOREIGN_CHAINS = {"filter": [":MYCHAIN - [0:0]", ":calico-of-mine - [0:0]"]}


def with_foreign(saved: str) -> str:
    """Put an operator's chains before, and his rules after, the node's own."""
    lines, table = [], ""
    for line in saved.splitlines():
        if line.startswith("*"):
            table = line[1:]
        if line == "COMMIT":
            lines += FOREIGN.get(table, [])
        lines.append(line)
        if line.startswith("*"):
            lines += FOREIGN_CHAINS.get(table, [])
    return "".join(f"{line}\n" for line in lines)


# -- recognising ------------------------------------------------------------------------------------------------------------


def test_everything_of_a_real_node_is_recognised() -> None:
    found = dict(owned_rules(NODE_RULES, OURS))
    assert set(found) == {"mangle", "raw", "filter", "nat"}
    chains = {line[1:].split()[0] for line in NODE_RULES.splitlines() if line.startswith((":KUBE", ":cali", ":CNI"))}
    assert {command[3:] for commands in found.values() for command in commands if command.startswith("-X ")} == chains
    built_in = [line for line in NODE_RULES.splitlines() if line.startswith("-A ") and line.split()[1].isupper() and "-" not in line.split()[1]]
    assert sorted(command[3:] for commands in found.values() for command in commands if command.startswith("-D ")) == sorted(line[3:] for line in built_in)


def test_nothing_of_an_operators_is_touched() -> None:
    commands = [command for _table, found in owned_rules(with_foreign(NODE_RULES), OURS) for command in found]
    assert commands == [command for _table, found in owned_rules(NODE_RULES, OURS) for command in found]
    assert not any("MYCHAIN" in command or "mine" in command or "198.51.100" in command for command in commands)


def test_a_host_without_kubernetes_has_nothing_of_ours() -> None:
    assert owned_rules("*filter\n:INPUT ACCEPT [0:0]\n:MYCHAIN - [0:0]\n-A INPUT -j MYCHAIN\nCOMMIT\n", OURS) == []
    assert owned_rules("", OURS) == []


def test_a_rule_of_an_operator_that_leads_to_our_chain_goes_with_it() -> None:
    saved = "*filter\n:INPUT ACCEPT [0:0]\n:KUBE-X - [0:0]\n-A INPUT -s 192.0.2.1/32 -g KUBE-X\nCOMMIT\n"
    assert owned_rules(saved, OURS) == [("filter", ["-D INPUT -s 192.0.2.1/32 -g KUBE-X", "-F KUBE-X", "-X KUBE-X"])]


def test_portmaps_chains_stay_for_another_cni_network() -> None:
    commands = [command for _table, found in owned_rules(NODE_RULES, ("KUBE-", "cali-")) for command in found]
    assert not any(command.startswith(("-X CNI-", "-F CNI-")) or "-j CNI-" in command for command in commands)


class FakeCommands(Commands):
    """Answers as the host's programs would."""

    def __init__(self, answers: dict[str, str], missing: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.answers = answers
        self.missing = missing
        self.ran: list[tuple[str, str]] = []

    def there(self, program: str) -> bool:
        return program not in self.missing

    def run(self, *argv: str, stdin: str = "") -> str:
        text = " ".join(argv)
        self.ran.append((text, stdin))
        return self.answers.get(text, "")


def cleaner(answers: dict[str, str], missing: tuple[str, ...] = (), portmap: bool = True) -> NetworkCleaner:
    return NetworkCleaner(FakeCommands(answers, missing), "10.244.0.0/16", portmap)


def texts(answers: dict[str, str]) -> list[str]:
    return [finding.text for finding in cleaner(answers).find()]


def test_nft_tables_by_name_and_family() -> None:
    listing = "table ip filter\ntable ip kube-proxy\ntable ip6 kube-proxy\ntable inet kube-proxy\ntable ip calico\ntable inet mine\n"
    assert texts({"nft list tables": listing}) == ["nft table ip kube-proxy", "nft table ip6 kube-proxy", "nft table ip calico"]


def test_sets_by_name() -> None:
    listing = "cali40all-vxlan-net\ncali60this-host\nKUBE-CLUSTER-IP\nmyset\ncalico-of-mine\nMYKUBE-X\n"
    assert texts({"ipset list -name": listing}) == ["ipset cali40all-vxlan-net", "ipset cali60this-host", "ipset KUBE-CLUSTER-IP"]


def test_links_by_name() -> None:
    names = ["lo", "eth0", "vxlan.calico", "cali69591fcc77a", "caligula0", "cali-mine", "vxlan0", "tunl0", "kube-ipvs0", "wireguard.cali", "vxlan-v6.calico"]
    listing = json.dumps([{"ifname": name} for name in names])
    assert texts({"ip -json link show": listing}) == [
        "link vxlan.calico",
        "link cali69591fcc77a",
        "link kube-ipvs0",
        "link wireguard.cali",
        "link vxlan-v6.calico",
    ]


def test_routes_of_felix_and_bird() -> None:
    routes = [
        *NODE_ROUTES,
        {"dst": "10.244.9.0/26", "gateway": "192.0.2.9", "dev": "eth0", "protocol": "bird", "flags": []},
        {"type": "blackhole", "dst": "10.244.8.0/26", "protocol": "bird", "flags": []},
        {"dst": "203.0.113.0/24", "gateway": "192.0.2.9", "dev": "eth0", "protocol": "bird", "flags": []},
        {"dst": "10.244.99.0/24", "gateway": "192.0.2.9", "dev": "eth0", "flags": []},
        {"type": "blackhole", "dst": "203.0.114.0/24", "protocol": "static", "flags": []},
        {"dst": "default", "gateway": "192.0.2.9", "dev": "eth0", "protocol": "bird", "flags": []},
    ]
    assert texts({"ip -json -4 route show": json.dumps(routes)}) == [
        "route blackhole 10.244.80.192/26 proto 80",
        "route 10.244.176.0/26 via 10.75.20.11 dev eth0 proto 80",
        "route 10.244.9.0/26 via 192.0.2.9 dev eth0 proto bird",
        "route blackhole 10.244.8.0/26 proto bird",
    ]


def test_the_ipip_device_keeps_what_is_not_a_pods() -> None:
    listing = json.dumps([{}, {"ifname": "tunl0", "addr_info": [{"local": "10.244.1.1", "prefixlen": 32}, {"local": "192.0.2.1", "prefixlen": 24}]}])
    assert texts({"ip -json -4 address show": listing}) == ["address 10.244.1.1/32 of tunl0"]


def test_sets_go_after_the_rules_that_use_them() -> None:
    answers = {"iptables-nft-save": NODE_RULES, "ipset list -name": "cali40x\n", "nft list tables": "table ip kube-proxy\n"}
    kinds = [text.split()[0] for text in texts(answers)]
    assert kinds.index("ipset") > max(index for index, kind in enumerate(kinds) if kind.isdigit())


def test_programs_that_are_missing_are_named() -> None:
    found = cleaner({}, missing=("nft", "ipset"))
    assert found.missing_programs() == ["nft", "ipset"]
    assert found.find() == []


# -- removing, in a network namespace of its own -----------------------------------------------------------------------------


@pytest.fixture
def namespace() -> Iterator[Commands]:
    name = f"nodewise-test-{os.getpid()}"
    if os.geteuid() != 0 or not shutil.which("iptables-nft-save") or subprocess.run(["ip", "netns", "add", name], check=False, capture_output=True).returncode:
        pytest.skip("needs root, iptables and network namespaces")
    try:
        yield Commands(["ip", "netns", "exec", name])
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


def state(commands: Commands) -> dict[str, list[str]]:
    """Return rules, links and routes. A table without rules and own chains does nothing, so it counts as none."""
    found = {"links": commands.run("ip", "-brief", "link").splitlines(), "routes": commands.run("ip", "route").splitlines()}
    for backend in ("iptables-nft", "iptables-legacy"):
        for table in commands.run(f"{backend}-save").split("COMMIT\n"):
            lines = [line.split(" [")[0] for line in table.splitlines() if not line.startswith("#")]
            if any(line.startswith("-A") or line.endswith(" -") for line in lines):
                found[f"{backend} {lines[0]}"] = lines
    return found


def test_a_real_nodes_rules_links_and_routes_go_and_an_operators_stay(namespace: Commands) -> None:
    # Calico's sets would need ipset(8), which need not be here.
    node_rules = "".join(f"{line}\n" for line in NODE_RULES.splitlines() if "--match-set" not in line)
    try:
        namespace.run("iptables-nft-restore", stdin=with_foreign("*raw\nCOMMIT\n*mangle\nCOMMIT\n*filter\nCOMMIT\n*nat\nCOMMIT\n"))
        namespace.run("iptables-legacy", "-A", "INPUT", "-p", "tcp", "--dport", "3333", "-j", "ACCEPT")
    except NodewiseError as error:
        pytest.skip(str(error))
    for command in (
        "ip link add caligula0 type bridge",
        "ip link set caligula0 up",
        "ip address add 198.51.100.1/24 dev caligula0",
        "ip route add 203.0.113.0/24 via 198.51.100.2",
        "ip route add blackhole 203.0.114.0/24 proto static",
        "ip route add 10.244.99.0/24 via 198.51.100.2",
    ):
        namespace.run(*command.split())
    before = state(namespace)

    namespace.run("iptables-nft-restore", "--noflush", stdin=node_rules)
    namespace.run("iptables-legacy-restore", "--noflush", stdin="*nat\n:KUBE-SERVICES - [0:0]\n-A PREROUTING -j KUBE-SERVICES\nCOMMIT\n")
    for command in (
        "ip link add cali69591fcc77a type veth peer name pod0",
        "ip route add blackhole 10.244.80.192/26 proto 80",
        "ip route add 10.244.176.0/26 via 198.51.100.3 dev caligula0 proto 80 onlink",
        "ip route add 10.244.177.0/26 via 198.51.100.3 dev caligula0 proto bird",
    ):
        namespace.run(*command.split())
    assert state(namespace) != before

    cleaner = NetworkCleaner(namespace, "10.244.0.0/16", portmap=True)
    for finding in cleaner.find():
        finding.remove()
    assert cleaner.find() == []
    assert state(namespace) == before
