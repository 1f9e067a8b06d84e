# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The DNS client: packets by RFC 1035, and a server that answers, errs, or says nothing."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.dns import (
    DnsError,
    ask,
    decode_answer,
    encode_query,
)

NAME = "kubernetes.default.svc.cluster.local"


def answer(query: bytes, addresses: list[str], flags: int = 0x8180, alias: bool = False) -> bytes:
    """Return an answer as CoreDNS writes it: the question again, then records that point back at its name."""
    (query_id,) = struct.unpack_from("!H", query)
    records = b"".join(b"\xc0\x0c" + struct.pack("!2HIH", 1, 1, 30, 4) + socket.inet_aton(address) for address in addresses)
    if alias:
        target = b"\x01a\xc0\x0c"
        records = b"\xc0\x0c" + struct.pack("!2HIH", 5, 1, 30, len(target)) + target + records
    return struct.pack("!6H", query_id, flags, 1, len(addresses) + alias, 0, 0) + query[12:] + records


def test_a_query_is_as_the_rfc_has_it() -> None:
    packet = encode_query("ab.c.", 0x1234)
    assert packet == bytes.fromhex("1234 0100 0001 0000 0000 0000 02 6162 01 63 00 0001 0001")


@pytest.mark.parametrize("name", ["", "a..b", "x" * 64 + ".local", "é.local", "a." * 127 + "b"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not a DNS name"):
        encode_query(name, 1)


def test_addresses_are_found_behind_an_alias() -> None:
    query = encode_query(NAME, 7)
    assert decode_answer(answer(query, ["10.96.0.1", "10.96.0.2"], alias=True), 7) == ("10.96.0.1", "10.96.0.2")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda query: answer(query, ["10.96.0.1"])[:-1], "cut short"),
        (lambda query: answer(query, ["10.96.0.1"])[:8], "cut short"),
        (lambda query: answer(query, []), "no address"),
        (lambda query: answer(query, [], flags=0x8183), "NXDOMAIN"),
        (lambda query: answer(query, [], flags=0x8182), "SERVFAIL"),
        (lambda query: answer(query, ["10.96.0.1"], flags=0x8380), "truncated"),
        (lambda query: answer(b"\0\x08" + query[2:], ["10.96.0.1"]), "not the answer"),
        (lambda query: query, "not the answer"),
    ],
)
def test_an_answer_that_is_none(spoil: Callable[[bytes], bytes], message: str) -> None:
    with pytest.raises(DnsError, match=message):
        decode_answer(spoil(encode_query(NAME, 7)), 7)


@pytest.fixture
def server() -> Iterator[Callable[[Callable[[int, bytes], bytes | None]], int]]:
    """Return what starts a UDP server with a function from the number and bytes of a packet to its answer."""
    started: list[tuple[socket.socket, threading.Thread]] = []

    def start(reply: Callable[[int, bytes], bytes | None]) -> int:
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listener.bind(("127.0.0.1", 0))

        def serve() -> None:
            number = 0
            while True:
                packet, peer = listener.recvfrom(512)
                if not packet:
                    return
                number += 1
                said = reply(number, packet)
                if said is not None:
                    listener.sendto(said, peer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        started.append((listener, thread))
        return int(listener.getsockname()[1])

    yield start
    for listener, thread in started:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ender:
            ender.sendto(b"", listener.getsockname())
        thread.join()
        listener.close()


def test_a_lost_packet_is_asked_for_again(server: Callable[[Callable[[int, bytes], bytes | None]], int]) -> None:
    port = server(lambda number, packet: answer(packet, ["10.96.0.1"]) if number == 2 else None)
    assert ask("127.0.0.1", NAME, timeout=0.2, port=port).addresses == ("10.96.0.1",)


def test_a_silent_server_is_named(server: Callable[[Callable[[int, bytes], bytes | None]], int]) -> None:
    port = server(lambda _number, _packet: None)
    with pytest.raises(DnsError, match=rf"127.0.0.1 did not answer for {NAME}"):
        ask("127.0.0.1", NAME, timeout=0.05, tries=2, port=port)


def test_an_error_is_not_asked_again(server: Callable[[Callable[[int, bytes], bytes | None]], int]) -> None:
    seen = []
    port = server(lambda number, packet: seen.append(number) or answer(packet, [], flags=0x8183))  # type: ignore[func-returns-value]
    with pytest.raises(DnsError, match="127.0.0.1 was asked for .* NXDOMAIN"):
        ask("127.0.0.1", NAME, port=port)
    assert seen == [1]


def test_nobody_listens() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    with pytest.raises(DnsError, match="127.0.0.1 cannot be asked .* refused"):
        ask("127.0.0.1", NAME, timeout=0.5, port=port)
