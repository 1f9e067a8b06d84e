# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator can say about Calico, and everything that can be wrong with it before a cluster is asked."""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import NodewiseError
from .support import minor_version, pair_problem

BACKENDS = ("vxlan", "bird")
IPTABLES_BACKENDS = ("Auto", "NFT", "Legacy")
# Encapsulation -> ipipMode and vxlanMode of an IPPool. One word, so that both at once cannot be said.
ENCAPSULATIONS: dict[str, tuple[str, str]] = {
    "VXLAN": ("Never", "Always"),
    "VXLANCrossSubnet": ("Never", "CrossSubnet"),
    "IPIP": ("Always", "Never"),
    "IPIPCrossSubnet": ("CrossSubnet", "Never"),
    "None": ("Never", "Never"),
}
DEFAULT_POOL = "default-ipv4-ippool"
# The custom resource keeps the number as int32, so the API server refuses the upper half of RFC 6793's range.
MAX_AS_NUMBER = 2**31 - 1
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


@dataclass(frozen=True)
class Settings:
    """The operator's settings; each is the role's variable of that name with the prefix C(calico_)."""

    version: str
    kubernetes_version: str
    pod_cidr: str
    allow_unsupported_pair: bool = False
    backend: str = "vxlan"
    encapsulation: str = "VXLAN"
    block_size: int = 26
    nat_outgoing: bool = True
    mtu: int = 0
    ip_autodetection_method: str = "kubernetes-internal-ip"
    iptables_backend: str = "NFT"
    image_prefix: str = ""
    felix_env: dict[str, Any] = field(default_factory=dict)
    felix_configuration: dict[str, Any] = field(default_factory=dict)
    ip_pools: list[dict[str, Any]] = field(default_factory=list)
    bgp_configuration: dict[str, Any] = field(default_factory=dict)
    bgp_peers: list[dict[str, Any]] = field(default_factory=list)

    @property
    def ipip_mode(self) -> str:
        """ipipMode of the default pool."""
        return ENCAPSULATIONS[self.encapsulation][0]

    @property
    def vxlan_mode(self) -> str:
        """vxlanMode of the default pool."""
        return ENCAPSULATIONS[self.encapsulation][1]


def settings_of(options: Mapping[str, Any]) -> Settings:
    """Return the settings among the module's options.

    Raises
    ------
    NodewiseError
        With all that is wrong with them.
    """
    settings = Settings(**{name: options[name] for name in Settings.__dataclass_fields__})
    problems = find_problems(settings)
    if problems:
        raise NodewiseError("Calico's settings are wrong: " + " ".join(problems))
    return settings


def find_problems(settings: Settings) -> list[str]:
    """Return every contradiction or bad value, each as one sentence with the remedy; empty if there is none."""
    return [
        *_version_problems(settings),
        *_network_problems(settings),
        *_autodetection_problems(settings.ip_autodetection_method),
        *_felix_problems(settings.felix_env),
        *_pool_problems(settings),
        *_bgp_problems(settings),
    ]


def _version_problems(settings: Settings) -> list[str]:
    problems = [
        f"calico_{name} is {value!r}, which is not a version. Remedy: write three numbers, such as 3.33.0."
        for name, value in (("version", settings.version), ("kubernetes_version", settings.kubernetes_version))
        if not minor_version(value)
    ]
    if problems or settings.allow_unsupported_pair:
        return problems
    unsupported = pair_problem(settings.version, settings.kubernetes_version)
    remedy = "choose another calico_version, or set calico_allow_unsupported_pair to run the pair at your own risk"
    return [f"{unsupported}. Remedy: {remedy}."] if unsupported else []


def _network_problems(settings: Settings) -> list[str]:
    problems = [
        f"calico_{name} is {value!r}. Remedy: choose one of {', '.join(choices)}."
        for name, value, choices in (
            ("backend", settings.backend, BACKENDS),
            ("encapsulation", settings.encapsulation, tuple(ENCAPSULATIONS)),
            ("iptables_backend", settings.iptables_backend, IPTABLES_BACKENDS),
        )
        if value not in choices
    ]
    if settings.backend == "vxlan" and settings.encapsulation in ENCAPSULATIONS and settings.vxlan_mode == "Never":
        problems.append(
            f"calico_encapsulation is {settings.encapsulation}, but with calico_backend vxlan nothing programs such routes, so pods of two nodes "
            "cannot reach each other. Remedy: choose VXLAN or VXLANCrossSubnet, or calico_backend bird."
        )
    if settings.mtu != 0 and not 1280 <= settings.mtu <= 9216:
        problems.append(f"calico_mtu is {settings.mtu}. Remedy: choose 0 to detect it, or 1280 to 9216 bytes.")
    if settings.image_prefix and not re.fullmatch(r"[a-z0-9.-]+(:\d+)?(/[a-z0-9._-]+)*", settings.image_prefix):
        problems.append(
            f"calico_image_prefix is {settings.image_prefix!r}. Remedy: write host and folder without a slash at the end, such as registry.example:5000/calico."
        )
    return problems


def _autodetection_problems(method: str) -> list[str]:
    word, equals, argument = method.partition("=")
    good = (not equals and word in ("first-found", "kubernetes-internal-ip")) or (
        bool(argument) and not re.search(r"\s", argument) and word in ("can-reach", "interface", "skip-interface", "cidr")
    )
    if good and word == "cidr":
        good = all(_network(part) is not None for part in argument.split(","))
    if good:
        return []
    hint = f"interface={method}, if it is an interface, or " if method and not equals else ""
    return [
        f"calico_ip_autodetection_method is {method!r}. Remedy: write {hint}one of first-found, kubernetes-internal-ip, can-reach=ADDRESS, "
        "interface=REGEX, skip-interface=REGEX, cidr=CIDR."
    ]


def _felix_problems(felix_env: dict[str, Any]) -> list[str]:
    problems = [
        f"calico_felix_env has the name {name!r}. Remedy: write FELIX_ and capitals, such as FELIX_LOGSEVERITYSCREEN."
        for name in felix_env
        if not re.fullmatch(r"FELIX_[A-Z0-9]+", name)
    ]
    problems += [
        f"calico_felix_env.{name} is a {type(value).__name__}. Remedy: an environment variable is a string, a number or a boolean."
        for name, value in felix_env.items()
        if not isinstance(value, (str, int, float))
    ]
    if "FELIX_IPTABLESBACKEND" in felix_env:
        problems.append("calico_felix_env sets FELIX_IPTABLESBACKEND. Remedy: use calico_iptables_backend.")
    return problems


def _pool_problems(settings: Settings) -> list[str]:
    problems = _name_problems("calico_ip_pools", settings.ip_pools)
    networks: list[tuple[str, ipaddress.IPv4Network]] = []
    entries: list[tuple[str, dict[str, Any]]] = [("calico_pod_cidr", {"cidr": settings.pod_cidr})]
    for entry in settings.ip_pools:
        place = f"calico_ip_pools[{entry.get('name')}]"
        if entry.get("name") == DEFAULT_POOL:
            problems += [
                f"{place}.{name} cannot be set here. Remedy: use {variable}."
                for name, variable in (
                    ("cidr", "calico_pod_cidr"),
                    ("blockSize", "calico_block_size"),
                    ("ipipMode", "calico_encapsulation"),
                    ("vxlanMode", "calico_encapsulation"),
                    ("natOutgoing", "calico_nat_outgoing"),
                )
                if name in entry
            ]
            continue
        entries.append((place, entry))
    for place, entry in entries:
        network = _network(entry.get("cidr"))
        block_size = entry.get("blockSize", settings.block_size)
        if network is None:
            problems.append(f"{place} has the CIDR {entry.get('cidr')!r}. Remedy: write an IPv4 network without host bits, such as 10.244.0.0/16.")
            continue
        if not _is_int(block_size) or not max(20, network.prefixlen) <= block_size <= 32:
            low = max(20, network.prefixlen)
            problems.append(f"{place} has {network} and block size {block_size!r}. Remedy: choose {low} to 32 (calico_block_size, or blockSize of the pool).")
        problems += [
            f"{place} ({network}) overlaps {other_place} ({other}). Remedy: give each pool its own range."
            for other_place, other in networks
            if network.overlaps(other)
        ]
        networks.append((place, network))
        problems += _pool_mode_problems(place, entry, settings.backend)
    return problems


def _pool_mode_problems(place: str, entry: dict[str, Any], backend: str) -> list[str]:
    ipip, vxlan = entry.get("ipipMode", "Never"), entry.get("vxlanMode", "Never")
    problems = [
        f"{place} has {name} {value!r}. Remedy: choose Always, CrossSubnet or Never."
        for name, value in (("ipipMode", ipip), ("vxlanMode", vxlan))
        if value not in ("Always", "CrossSubnet", "Never")
    ]
    if ipip != "Never" and vxlan != "Never":
        problems.append(f"{place} has both ipipMode and vxlanMode. Remedy: set one of them to Never.")
    if ipip != "Never" and backend == "vxlan":
        problems.append(
            f"{place} has ipipMode {ipip}, whose routes BIRD programs, which calico_backend vxlan does not run. Remedy: use vxlanMode, or calico_backend bird."
        )
    return problems


def _bgp_problems(settings: Settings) -> list[str]:
    problems = _name_problems("calico_bgp_peers", settings.bgp_peers)
    if settings.backend == "vxlan":
        problems += [
            f"calico_{name} is set, but calico_backend vxlan runs no BGP daemon, so it would have no effect. Remedy: empty it, or choose calico_backend bird."
            for name, value in (("bgp_peers", settings.bgp_peers), ("bgp_configuration", settings.bgp_configuration))
            if value
        ]
    problems += _as_number_problems("calico_bgp_configuration.asNumber", settings.bgp_configuration.get("asNumber", 64512))
    for entry in settings.bgp_peers:
        place = f"calico_bgp_peers[{entry.get('name')}]"
        if ("peerIP" in entry) == ("peerSelector" in entry):
            problems.append(f"{place} has {'both' if 'peerIP' in entry else 'neither'} peerIP and peerSelector. Remedy: give exactly one.")
        elif "peerIP" in entry:
            if not _is_peer_address(entry["peerIP"]):
                problems.append(f"{place} has the peerIP {entry['peerIP']!r}. Remedy: write an IPv4 address, with :port if it is not 179.")
            problems += _as_number_problems(f"{place}.asNumber", entry.get("asNumber"))
    return problems


def _as_number_problems(place: str, value: Any) -> list[str]:
    if _is_int(value) and 1 <= value <= MAX_AS_NUMBER:
        return []
    return [f"{place} is {value!r}. Remedy: write a plain number from 1 to {MAX_AS_NUMBER} (what Calico's custom resources can hold)."]


def _name_problems(variable: str, entries: list[dict[str, Any]]) -> list[str]:
    names = [str(entry.get("name", "")) for entry in entries]
    problems = [
        f"{variable} has an entry with the name {name!r}. Remedy: give it a name of lower-case letters, digits, '-' and '.'."
        for name in names
        if not _NAME.fullmatch(name)
    ]
    problems += [f"{variable} has the name {name!r} {count} times. Remedy: names must differ." for name, count in Counter(names).items() if count > 1]
    return problems


def _network(text: Any) -> ipaddress.IPv4Network | None:
    if not isinstance(text, str) or "/" not in text:
        return None
    try:
        return ipaddress.IPv4Network(text)
    except ValueError:
        return None


def _is_peer_address(text: Any) -> bool:
    address, colon, port = str(text).partition(":")
    try:
        ipaddress.IPv4Address(address)
    except ValueError:
        return False
    return not colon or (port.isdigit() and 1 <= int(port) <= 65535)


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
