# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A DNS client for one question: the A records of a name (RFC 1035).

It is here because a host need have neither dig nor a resolver that can be pointed at
the cluster's DNS, and because it must run in a pod's network namespace.
"""

from __future__ import annotations

import secrets
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import NodewiseError

_HEADER = struct.Struct("!6H")
_TYPE_A = 1
_CLASS_IN = 1
_RECURSION_DESIRED = 0x0100
_RESPONSE = 0x8000
_TRUNCATED = 0x0200
_RCODES = {1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}


class DnsError(NodewiseError):
    """The server did not answer, or its answer is none."""


@dataclass(frozen=True)
class Answer:
    """The addresses of a name and the seconds it took to get them."""

    addresses: tuple[str, ...]
    seconds: float


def encode_query(name: str, query_id: int) -> bytes:
    """Return the packet that asks for the A records of a name.

    Parameters
    ----------
    name : str
        A full name; a dot at its end is allowed.
    query_id : int
        0 to 65535; the answer bears it too.

    Raises
    ------
    ValueError
        A label is empty, longer than 63 bytes or not ASCII, or the name is longer than 253.
    """
    labels = name.rstrip(".").split(".")
    if len(name) > 253 or any(not 0 < len(label) <= 63 or not label.isascii() for label in labels):
        raise ValueError(f"{name!r} is not a DNS name")
    question = b"".join(bytes([len(label)]) + label.encode("ascii") for label in labels) + b"\0"
    return _HEADER.pack(query_id, _RECURSION_DESIRED, 1, 0, 0, 0) + question + struct.pack("!2H", _TYPE_A, _CLASS_IN)


def decode_answer(packet: bytes, query_id: int) -> tuple[str, ...]:
    """Return the IPv4 addresses of an answer, in its order.

    Raises
    ------
    DnsError
        It answers another question, reports an error, has no address, or is cut short.
    """
    try:
        answer_id, flags, questions, answers, _authorities, _additional = _HEADER.unpack_from(packet)
        if answer_id != query_id or not flags & _RESPONSE:
            raise DnsError("the packet is not the answer to the question asked")
        if flags & 0x000F:
            raise DnsError(f"the server answered {_RCODES.get(flags & 0x000F, flags & 0x000F)}")
        if flags & _TRUNCATED:
            raise DnsError("the answer is truncated")
        position = _HEADER.size
        for _question in range(questions):
            position = _skip_name(packet, position) + 4
        addresses = []
        for _record in range(answers):
            position = _skip_name(packet, position)
            kind, family, _ttl, length = struct.unpack_from("!2HIH", packet, position)
            position += 10
            if position + length > len(packet):
                raise DnsError("the answer is cut short")
            if (kind, family, length) == (_TYPE_A, _CLASS_IN, 4):
                addresses.append(socket.inet_ntoa(packet[position : position + 4]))
            position += length
    except (struct.error, IndexError) as error:
        raise DnsError("the answer is cut short") from error
    if not addresses:
        raise DnsError("the answer holds no address")
    return tuple(addresses)


def _skip_name(packet: bytes, position: int) -> int:
    """Return the position after a name, which ends in a zero byte or a two-byte pointer."""
    while length := packet[position]:
        if length >= 0xC0:
            return position + 2
        position += 1 + length
    return position + 1


def ask(server: str, name: str, timeout: float = 1.0, tries: int = 3, port: int = 53) -> Answer:
    """Ask a server for a name over UDP.

    Parameters
    ----------
    timeout : float
        Seconds to wait for one try's answer.
    tries : int
        UDP may lose a packet, so a silent server is asked again.

    Raises
    ------
    DnsError
        No usable answer came within C(timeout * tries) seconds; it names the server.
    """
    started = time.monotonic()
    for _try in range(tries):
        query_id = secrets.randbelow(65536)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(timeout)
            try:
                # A connected socket takes packets from this server only and hears its ICMP errors.
                client.connect((server, port))
                client.send(encode_query(name, query_id))
                return Answer(decode_answer(client.recv(4096), query_id), time.monotonic() - started)
            except TimeoutError:
                continue
            except OSError as error:
                raise DnsError(f"{server} cannot be asked for {name}: {error.strerror or error}") from error
            except DnsError as error:
                raise DnsError(f"{server} was asked for {name}: {error.message}") from error
    raise DnsError(f"{server} did not answer for {name} within {timeout * tries:.0f} s")


Asker = Callable[[str, str], Answer]
"""What the checks need of a DNS client: server and name in, answer out, or a :class:`DnsError`."""
