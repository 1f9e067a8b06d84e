# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Metrics over mutual TLS: real certificates made by openssl, real connections over loopback."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.monitoring import pki
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter.metrics import Collector, Server, serve
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter.state import State
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter.tls import Files, ServerTls, check_addresses

FILES = Files("/a", "/b")


def make(folder: Path, authority: pki.Authority, usage: str, name: str = "server") -> str:
    """Return a PEM file with a key and a certificate of an authority."""
    key = pki.new_key()
    path = folder / f"{name}.pem"
    path.write_text(key + authority.sign(pki.public_key(key), pki.Wanted(name, ("127.0.0.1",), usage), 30))
    return str(path)


@pytest.fixture(scope="module")
def authority() -> pki.Authority:
    return pki.new_authority("ours")


@pytest.fixture(scope="module")
def stranger() -> pki.Authority:
    return pki.new_authority("theirs")


@pytest.fixture
def files(tmp_path: Path, authority: pki.Authority) -> Files:
    (tmp_path / "ca.crt").write_text(authority.certificate)
    return Files(make(tmp_path, authority, pki.SERVER), str(tmp_path / "ca.crt"))


@pytest.fixture
def server(files: Files) -> Iterator[Server]:
    state = State()
    server = Server(Collector(state), lambda _now: [], "127.0.0.1", 0, ServerTls(files))
    yield server
    server.close()


def ask(server: Server, authority: pki.Authority, certificate: str = "") -> int:
    context = ssl.create_default_context(cadata=authority.certificate)
    if certificate:
        context.load_cert_chain(certificate)
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=context, timeout=5)
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


@pytest.fixture
def refused(server: Server) -> Callable[[pki.Authority, str], bool]:
    def tried(authority: pki.Authority, certificate: str = "") -> bool:
        try:
            ask(server, authority, certificate)
        except (ssl.SSLError, ConnectionError, http.client.BadStatusLine):
            return True
        return False

    return tried


def test_a_client_of_our_authority_is_served(server: Server, authority: pki.Authority, tmp_path: Path) -> None:
    assert ask(server, authority, make(tmp_path, authority, pki.CLIENT, "client")) == 200


def test_others_are_refused(refused: Callable[..., bool], authority: pki.Authority, stranger: pki.Authority, tmp_path: Path) -> None:
    assert refused(authority)
    assert refused(authority, make(tmp_path, stranger, pki.CLIENT, "stranger"))
    # Another node's certificate is no client's.
    assert refused(authority, make(tmp_path, authority, pki.SERVER, "node"))
    assert not refused(authority, make(tmp_path, authority, pki.CLIENT, "client"))


def test_plain_http_is_refused(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    with pytest.raises((ConnectionError, http.client.BadStatusLine)):
        connection.request("GET", "/metrics")
        connection.getresponse()
    connection.close()


def test_silent_clients_do_not_keep_others_waiting(server: Server, authority: pki.Authority, tmp_path: Path) -> None:
    silent = [socket.create_connection(("127.0.0.1", server.port)) for _count in range(4)]
    try:
        assert ask(server, authority, make(tmp_path, authority, pki.CLIENT, "client")) == 200
    finally:
        for one in silent:
            one.close()


def test_no_more_than_a_few_connections_at_once(server: Server) -> None:
    silent = [socket.create_connection(("127.0.0.1", server.port)) for _count in range(9)]
    try:
        silent[-1].settimeout(4)
        assert silent[-1].recv(1) == b""
    finally:
        for one in silent:
            one.close()


def test_a_rotation_needs_no_restart(server: Server, files: Files, authority: pki.Authority, stranger: pki.Authority, tmp_path: Path) -> None:
    client = make(tmp_path, authority, pki.CLIENT, "client")
    assert ask(server, authority, client) == 200
    new = tmp_path / "new"
    new.mkdir()
    os.replace(make(new, stranger, pki.SERVER), files.certificate)
    (new / "ca.crt").write_text(stranger.certificate)
    os.replace(new / "ca.crt", files.authority)
    assert ask(server, stranger, make(tmp_path, stranger, pki.CLIENT, "other")) == 200
    with pytest.raises(ssl.SSLError):
        ask(server, authority, client)


def test_a_broken_file_leaves_what_was_before(server: Server, files: Files, authority: pki.Authority, tmp_path: Path) -> None:
    client = make(tmp_path, authority, pki.CLIENT, "client")
    Path(files.certificate).write_text("half a certif")
    assert ask(server, authority, client) == 200


@pytest.mark.parametrize("broken", ["certificate", "authority"])
def test_what_cannot_be_used_is_told(files: Files, broken: str) -> None:
    path = getattr(files, broken)
    os.unlink(path)
    with pytest.raises(NodewiseError, match=f"{path} cannot be used for the metrics: No such file"):
        ServerTls(files)


def test_a_certificate_without_its_key_is_told(files: Files, authority: pki.Authority) -> None:
    shutil.copyfile(files.authority, files.certificate)
    with pytest.raises(NodewiseError, match="cannot be used for the metrics"):
        ServerTls(files)


def test_both_addresses_are_served(files: Files) -> None:
    state = State()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    servers = list(serve(Collector(state), state.health, "127.0.0.1", "127.0.0.2", files, port))
    assert [one.port for one in servers] == [port, port]
    for one in servers:
        one.close()
    assert not list(serve(Collector(state), state.health, "127.0.0.1", "127.0.0.2", files, 0))


@pytest.mark.parametrize(
    ("plain", "secure", "files", "message"),
    [
        ("10.0.0.1", "", FILES, "plain HTTP is for loopback alone"),
        ("0.0.0.0", "", FILES, "plain HTTP is for loopback alone"),
        ("::", "", FILES, "plain HTTP is for loopback alone"),
        ("localhost", "", FILES, "metrics_address is 'localhost', which is no IP address"),
        ("127.0.0.1", "node", FILES, "metrics_tls_address is 'node', which is no IP address"),
        ("127.0.0.1", "0.0.0.0", FILES, "give the host's own address"),
        ("127.0.0.1", "127.0.0.1", FILES, "where plain HTTP is served"),
        ("127.0.0.1", "10.0.0.1", Files("", "/b"), "metrics_certificate is ''"),
        ("127.0.0.1", "10.0.0.1", Files("/a", "b"), "metrics_client_authority is 'b'"),
    ],
)
def test_wrong_addresses_are_refused(plain: str, secure: str, files: Files, message: str) -> None:
    with pytest.raises(NodewiseError, match=message):
        check_addresses(plain, secure, files)


@pytest.mark.parametrize("plain", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("secure", ["", "10.0.0.1"])
def test_right_addresses(plain: str, secure: str) -> None:
    check_addresses(plain, secure, FILES)
