# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules, sets, links and routes that Kubernetes and Calico made on a host: find them, and remove just those.

Nothing is ever flushed as a whole: whatever is not recognised here stays as it is. What is recognised was
read off a node that ran kube-proxy 1.37.2 (nftables) and Calico 3.28.5 (iptables, VXLAN), and from the names in their sources.
"""

from __future__ import annotations

import ipaddress
import json
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from .commands import Commands

# Both of iptables' back ends: a host may carry rules in either, whichever its own command uses.
_IPTABLES = ("iptables-nft", "iptables-legacy", "ip6tables-nft", "ip6tables-legacy")
_OUR_CHAINS = ("KUBE-", "cali-")
# The chains of the CNI plugin portmap. Other users of CNI, podman for one, have them too.
_PORTMAP_CHAINS = ("CNI-HOSTPORT-", "CNI-DN-", "CNI-SN-")
_NFT_TABLES = ("kube-proxy", "calico")
_SETS = re.compile(r"cali[46]0.+|KUBE-.+")
_LINKS = re.compile(r"cali[0-9a-f]{11}|vxlan(-v6)?\.calico|wireguard\.cali|wg-v6\.cali|kube-ipvs0")
# Felix marks its routes with protocol 80 (3.28.5, felix/dataplane/linux/dataplanedefs); BIRD's have a name of their own.
_FELIX_PROTOCOL = "80"
_BIRD_PROTOCOL = "bird"
_TUNNEL = "tunl0"


@dataclass(frozen=True)
class Finding:
    """Something that is on the host and goes.

    Attributes
    ----------
    text : str
        What it is, for a person.
    remove : callable
        Removes it; raises NodewiseError or OSError if it cannot.
    """

    text: str
    remove: Callable[[], object]


class NetworkCleaner:
    """What Kubernetes and Calico left in a host's network.

    Parameters
    ----------
    commands : Commands
        The host's programs.
    pod_cidr : str
        Address range of the pods; BIRD's routes and tunnel addresses are ours if they are inside.
    portmap : bool
        Whether the chains of the CNI plugin portmap are ours: no other CNI network is configured on this host.
    """

    def __init__(self, commands: Commands, pod_cidr: str, portmap: bool) -> None:
        self._commands = commands
        self._pods = ipaddress.ip_network(pod_cidr)
        self._chains = _OUR_CHAINS + (_PORTMAP_CHAINS if portmap else ())

    def find(self) -> list[Finding]:
        """Return what is there, in the order in which it can be removed (rules before the sets they use).

        Raises
        ------
        NodewiseError
            The host's network cannot be read.
        """
        return [*self._rules(), *self._nft_tables(), *self._sets(), *self._routes(), *self._links(), *self._tunnel()]

    def missing_programs(self) -> list[str]:
        """Return the programs without which something could be there unseen."""
        wanted = ("iptables-nft-save", "nft", "ipset")
        return [program for program in wanted if not self._commands.there(program)]

    def _rules(self) -> Iterator[Finding]:
        for backend in _IPTABLES:
            if not self._commands.there(f"{backend}-save"):
                continue
            for table, commands in owned_rules(self._commands.run(f"{backend}-save"), self._chains):
                text = f"*{table}\n" + "".join(f"{command}\n" for command in commands) + "COMMIT\n"
                yield Finding(
                    f"{len(commands)} changes in {backend} table {table}",
                    partial(self._commands.run, f"{backend}-restore", "--noflush", "--wait", stdin=text),
                )

    def _nft_tables(self) -> Iterator[Finding]:
        if not self._commands.there("nft"):
            return
        for line in self._commands.run("nft", "list", "tables").splitlines():
            _word, family, name = line.split()
            if family in ("ip", "ip6") and name in _NFT_TABLES:
                yield Finding(f"nft table {family} {name}", partial(self._commands.run, "nft", "delete", "table", family, name))

    def _sets(self) -> Iterator[Finding]:
        if not self._commands.there("ipset"):
            return
        for name in self._commands.run("ipset", "list", "-name").split():
            if _SETS.fullmatch(name):
                yield Finding(f"ipset {name}", partial(self._commands.run, "ipset", "destroy", name))

    def _routes(self) -> Iterator[Finding]:
        for family in ("-4", "-6"):
            for route in _json(self._commands.run("ip", "-json", family, "route", "show")):
                if self._owned_route(route):
                    words = _route_words(route)
                    yield Finding(f"route {' '.join(words)}", partial(self._commands.run, "ip", family, "route", "delete", *words))

    def _owned_route(self, route: dict[str, Any]) -> bool:
        protocol = route.get("protocol")
        return protocol == _FELIX_PROTOCOL or (protocol == _BIRD_PROTOCOL and self._inside(route["dst"]))

    def _links(self) -> Iterator[Finding]:
        for link in _json(self._commands.run("ip", "-json", "link", "show")):
            name = link["ifname"]
            if _LINKS.fullmatch(name):
                yield Finding(f"link {name}", partial(self._commands.run, "ip", "link", "delete", name))

    def _tunnel(self) -> Iterator[Finding]:
        """The kernel's own IPIP device cannot be deleted, and is another's if its address is not a pod's."""
        for link in _json(self._commands.run("ip", "-json", "-4", "address", "show")):
            if link.get("ifname") != _TUNNEL:
                continue
            for address in link.get("addr_info", []):
                if self._inside(address["local"]):
                    text = f"{address['local']}/{address['prefixlen']}"
                    yield Finding(f"address {text} of {_TUNNEL}", partial(self._commands.run, "ip", "address", "delete", text, "dev", _TUNNEL))

    def _inside(self, text: str) -> bool:
        try:
            network = ipaddress.ip_network(text)
        except ValueError:  # "default"
            return False
        return network.version == self._pods.version and network.subnet_of(self._pods)  # type: ignore[arg-type]


def owned_rules(saved: str, prefixes: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Return, for each table of what C(iptables-save) printed, the lines for C(iptables-restore --noflush) that remove what is ours.

    Ours is a chain whose name starts with one of the prefixes, a rule elsewhere that leads to such a chain, and a rule that
    Felix wrote into a built-in chain (its comment is C(cali:) and a hash).

    Parameters
    ----------
    saved : str
        The text.
    prefixes : Sequence[str]
        Names of our chains start with one of them.
    """
    found = []
    for table, lines in _tables(saved):
        chains = [line[1:].split()[0] for line in lines if line.startswith(":")]
        owned = [chain for chain in chains if chain.startswith(tuple(prefixes))]
        foreign_rules = [line for line in lines if line.startswith("-A ") and line.split()[1] not in owned]
        commands = [f"-D {line[3:]}" for line in foreign_rules if _is_ours(line, owned)]
        commands += [f"-F {chain}" for chain in owned] + [f"-X {chain}" for chain in owned]
        if commands:
            found.append((table, commands))
    return found


def _is_ours(rule: str, owned: Sequence[str]) -> bool:
    words = shlex.split(rule)
    following = list(zip(words, words[1:], strict=False))
    leads = any(word in ("-j", "-g") and target in owned for word, target in following)
    return leads or any(word == "--comment" and re.fullmatch(r"cali:[-\w]{16}", text) for word, text in following)


def _tables(saved: str) -> Iterator[tuple[str, list[str]]]:
    name = ""
    lines: list[str] = []
    for line in saved.splitlines():
        if line.startswith("*"):
            name, lines = line[1:].strip(), []
        elif line.strip() == "COMMIT":
            yield name, lines
        else:
            lines.append(line)


def _route_words(route: dict[str, Any]) -> list[str]:
    words = [route["type"]] if "type" in route else []
    words.append(route["dst"])
    for key, word in (("gateway", "via"), ("dev", "dev"), ("protocol", "proto")):
        if key in route:
            words += [word, route[key]]
    return words


def _json(text: str) -> list[dict[str, Any]]:
    found = json.loads(text or "[]")
    return [item for item in found if item]
