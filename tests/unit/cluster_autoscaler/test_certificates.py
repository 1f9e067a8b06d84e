# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import socket
import ssl
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.cluster_autoscaler import certificates
from ansible_collections.nodewise.cluster.plugins.module_utils.cluster_autoscaler.certificates import CA, CLIENT, SERVER, Wanted, ends, make, plan
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError


@pytest.fixture
def wanted(tmp_path: Path) -> Wanted:
    return Wanted(str(tmp_path / "pki"), ["127.0.0.1", "provider.example"], 365, 30)


@pytest.fixture
def made(wanted: Wanted) -> Wanted:
    make(wanted, list(plan(wanted)))
    return wanted


def test_everything_is_made_once(wanted: Wanted) -> None:
    assert plan(wanted) == {"ca": "ca.crt is missing", "server": "its authority is new", "client": "its authority is new"}
    make(wanted, list(plan(wanted)))
    assert plan(wanted) == {}
    assert ends(wanted, SERVER).endswith("GMT")
    folder = Path(wanted.folder)
    assert sorted(path.name for path in folder.iterdir()) == ["ca.crt", "ca.key", "client.crt", "client.key", "server.crt", "server.key"]
    assert {(folder / f"{kind}.key").stat().st_mode & 0o777 for kind in (CA, SERVER, CLIENT)} == {0o600}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"names": ["127.0.0.1"]}, {"server": "it is to be for 127.0.0.1"}),
        ({"names": ["provider.example", "127.0.0.1"]}, {}),
        ({"days": 400, "renew_days": 366}, {"server": "it ends within 366 days", "client": "it ends within 366 days"}),
    ],
)
def test_what_is_not_as_wanted_is_made_anew(made: Wanted, changes: dict[str, Any], expected: dict[str, str]) -> None:
    other = replace(made, **changes)
    assert plan(other) == expected
    make(other, list(expected))
    assert plan(replace(other, days=400, renew_days=30)) == {}


def test_a_certificate_of_another_authority_or_an_open_key_is_made_anew(made: Wanted, tmp_path: Path) -> None:
    other = replace(made, folder=str(tmp_path / "other"))
    make(other, list(plan(other)))
    Path(made.path(CLIENT, "crt")).write_text(Path(other.path(CLIENT, "crt")).read_text())
    Path(made.path(SERVER, "key")).chmod(0o644)
    assert plan(made) == {"server": "its key could be read by others", "client": "it is not of this authority"}


def test_an_authority_that_ends_before_what_it_would_sign_is_replaced(made: Wanted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificates, "_CA_DAYS", 380)
    make(made, [CA])
    assert plan(replace(made, days=189)) == {"server": "it is not of this authority", "client": "it is not of this authority"}
    monkeypatch.setattr(certificates, "_CA_DAYS", 3650)
    assert plan(made)["ca"] == "it ends within 395 days"


def handshake(wanted: Wanted, client_kind: str | None, name: str) -> str:
    """Return what becomes of a handshake with the server's certificate; empty if it succeeds."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(wanted.path(SERVER, "crt"), wanted.path(SERVER, "key"))
    server.load_verify_locations(wanted.path(CA, "crt"))
    server.verify_mode = ssl.CERT_REQUIRED
    client = ssl.create_default_context(cafile=wanted.path(CA, "crt"))
    if client_kind:
        client.load_cert_chain(wanted.path(client_kind, "crt"), wanted.path(client_kind, "key"))
    ours, theirs = socket.socketpair()

    def serve() -> None:
        try:
            with server.wrap_socket(theirs, server_side=True) as conversation:
                conversation.send(b"x")
        except OSError:
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(ours, server_hostname=name) as conversation:
            return "" if conversation.recv(1) == b"x" else "closed"
    except OSError as error:
        return str(error)
    finally:
        ours.close()
        thread.join()


def test_the_server_is_known_by_its_names_and_the_client_by_its_certificate(made: Wanted) -> None:
    assert handshake(made, CLIENT, "127.0.0.1") == ""
    assert handshake(made, CLIENT, "provider.example") == ""
    assert "certificate verify failed" in handshake(made, CLIENT, "127.0.0.2")
    assert handshake(made, None, "127.0.0.1") != ""
    # A server's certificate is no client's.
    assert handshake(made, SERVER, "127.0.0.1") != ""


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"names": []}, "has no name"), ({"days": 10, "renew_days": 10}, "renewed with 10 left"), ({"days": 4000}, "live for 4000 days")],
)
def test_what_makes_no_sense_is_refused(wanted: Wanted, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(NodewiseError, match=message):
        replace(wanted, **changes)


def test_a_host_without_openssl_is_told_what_to_install(made: Wanted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(NodewiseError, match="install the package openssl"):
        plan(made)
