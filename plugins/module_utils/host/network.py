# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""IPv4 addresses, routes and sockets of a host, read from the kernel without any program of the host."""

from __future__ import annotations

import array
import fcntl
import glob
import os
import re
import socket
import struct
from collections.abc import Collection

from ..files import read_text
from .model import Listener, Route

_SIOCGIFCONF = 0x8912  # linux/sockios.h
_IFREQ_SIZE = 40  # struct ifreq on 64-bit Linux
_RTF_UP = 0x1  # linux/route.h
_TCP_LISTEN = "0A"  # net/tcp_states.h
_UDP_UNCONNECTED = "07"
# TEST-NET-1 (RFC 5737): never anybody's address, so the route to it is the default route. Nothing is sent.
_ELSEWHERE = ("192.0.2.1", 9)


def parse_ifconf(data: bytes) -> list[str]:
    """Take the IPv4 addresses, without those of the loopback network, out of what SIOCGIFCONF returned."""
    found = [socket.inet_ntoa(data[at + 20 : at + 24]) for at in range(0, len(data), _IFREQ_SIZE)]
    return [address for address in dict.fromkeys(found) if not address.startswith("127.")]


def addresses() -> list[str]:
    """Return the host's IPv4 addresses (ioctl SIOCGIFCONF), without those of the loopback network."""
    room = array.array("B", bytes(_IFREQ_SIZE * 4096))
    request = struct.pack("iL", len(room), room.buffer_info()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        length = struct.unpack("iL", fcntl.ioctl(control.fileno(), _SIOCGIFCONF, request))[0]
    return parse_ifconf(room.tobytes()[:length])


def default_address() -> str:
    """Return the address this host uses towards the rest of the world; empty if it has no default route."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_ELSEWHERE)
        except OSError:
            return ""
        address: str = probe.getsockname()[0]
        return address


def interfaces(root: str = "") -> list[str]:
    """Return the names of the network interfaces (/proc/net/dev)."""
    lines = (read_text(f"{root}/proc/net/dev") or "").splitlines()[2:]
    return [line.split(":")[0].strip() for line in lines]


def parse_routes(text: str) -> list[Route]:
    """Parse /proc/net/route: the IPv4 routes of the main table, without the default routes."""
    routes = []
    for row in (line.split() for line in text.splitlines()[1:]):
        if len(row) < 8 or not int(row[3], 16) & _RTF_UP or int(row[7], 16) == 0:
            continue
        gateway = _dotted(row[2])
        destination = f"{_dotted(row[1])}/{bin(int(row[7], 16)).count('1')}"
        routes.append(Route(destination=destination, gateway="" if gateway == "0.0.0.0" else gateway, interface=row[0]))
    return routes


def _dotted(word: str) -> str:
    """Write a 32-bit word in the host's byte order, in hexadecimal, as an address."""
    return socket.inet_ntoa(struct.pack("=I", int(word, 16)))


def parse_sockets(text: str, protocol: str, ports: Collection[tuple[int, str]]) -> list[tuple[int, str]]:
    """Find the sockets that wait on one of the ports.

    Parameters
    ----------
    text : str
        /proc/net/tcp, tcp6, udp or udp6.
    protocol : str
        V(tcp) or V(udp).
    ports : collection of (int, str)
        Port and protocol of interest.

    Returns
    -------
    list of (int, str)
        Port, and inode of the socket.
    """
    waiting = _TCP_LISTEN if protocol == "tcp" else _UDP_UNCONNECTED
    rows = [line.split() for line in text.splitlines()[1:]]
    found = [(int(row[1].rpartition(":")[2], 16), row[9]) for row in rows if row[3] == waiting]
    return [(port, inode) for port, inode in found if (port, protocol) in ports]


def listeners(ports: Collection[tuple[int, str]], root: str = "") -> list[Listener]:
    """Return who waits on one of the ports, with the program that holds it (empty for the kernel itself)."""
    sockets: list[tuple[int, str, str]] = []
    for table in ("tcp", "tcp6", "udp", "udp6"):
        protocol = table[:3]
        text = read_text(f"{root}/proc/net/{table}") or ""
        sockets += [(port, protocol, inode) for port, inode in parse_sockets(text, protocol, ports)]
    programs = _programs({inode for _port, _protocol, inode in sockets}, root) if sockets else {}
    rows = {(port, protocol, programs.get(inode, "")) for port, protocol, inode in sockets}
    return [Listener(port=port, protocol=protocol, program=program) for port, protocol, program in sorted(rows)]


def _programs(inodes: set[str], root: str) -> dict[str, str]:
    """Map sockets' inodes to the base name of the program that has them open."""
    programs: dict[str, str] = {}
    for descriptor in glob.iglob(f"{root}/proc/[0-9]*/fd/*"):
        try:
            match = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(descriptor))
            if match and match[1] in inodes:
                program = os.path.basename(os.readlink(f"{os.path.dirname(os.path.dirname(descriptor))}/exe"))
                # The kernel adds this once the file was replaced by a newer version.
                programs[match[1]] = program.removesuffix(" (deleted)")
        except OSError:
            continue  # the process or its descriptor is gone meanwhile
        if len(programs) == len(inodes):
            break
    return programs


def resolve(name: str) -> list[str]:
    """Return the IPv4 addresses this host's resolver gives for a name; empty if it gives none."""
    try:
        return sorted({str(entry[4][0]) for entry in socket.getaddrinfo(name, None, socket.AF_INET, socket.SOCK_STREAM)})
    except (OSError, UnicodeError):
        return []
