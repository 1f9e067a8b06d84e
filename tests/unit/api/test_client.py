# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client against a real HTTPS server: kept connections, rotation, deadlines, errors without secrets."""

from __future__ import annotations

import base64
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.api import client as client_module
from ansible_collections.nodewise.cluster.plugins.module_utils.api.client import JSON_PATCH, Answer, ApiClient, NoAnswer, tls_context
from ansible_collections.nodewise.cluster.plugins.module_utils.api.kubeconfig import read_kubeconfig
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError

from .conftest import Site


@pytest.fixture
def kubelet(site: Site, tmp_path: Path) -> Path:
    """Return a kubelet.conf whose certificate is a link, as the kubelet rotates it."""
    (tmp_path / "w1.pem").write_text(site.issue("w1"))
    (tmp_path / "current.pem").symlink_to("w1.pem")
    path = tmp_path / "kubelet.conf"
    path.write_text(site.config({"client-certificate": "current.pem", "client-key": "current.pem"}))
    return path


@pytest.fixture
def client(kubelet: Path) -> Iterator[ApiClient]:
    made = ApiClient(str(kubelet), timeout=3)
    yield made
    made.close()


def test_the_connection_is_kept(client: ApiClient, seen: list[dict[str, Any]]) -> None:
    for number in range(3):
        assert client.request("PUT", f"/object/{number}", {"a": 1}).ok
    assert client.get("/status/404").status == 404
    assert client.get("/x").ok
    assert len({record["connection"] for record in seen}) == 1
    assert {record["peer"] for record in seen} == {"w1"}
    assert seen[0]["body"] == b'{"a":1}'


def test_an_answer_says_all(client: ApiClient) -> None:
    answer = client.get("/x")
    assert (answer.status, answer.ok, answer.content_type, answer.value()) == (200, True, "application/json", {"metadata": {}})
    assert 0 < answer.seconds < 3
    assert answer.date is not None
    assert abs(answer.date - time.time()) < 3
    assert answer.skew is not None
    assert abs(answer.skew) < 2
    refused = client.request("PATCH", "/status/429", [], JSON_PATCH)
    assert (refused.status, refused.ok, refused.message, refused.retry_after) == (429, False, "said so", 7)


def test_the_skew_is_that_of_the_middle_of_a_second() -> None:
    assert Answer(200, b"", "", 1.0, 1000.0, 1005.0).skew == 5.0
    assert Answer(200, b"", "", 1.0, None, 1005.0).skew is None


def test_a_connection_that_was_closed_meanwhile_is_made_anew(client: ApiClient, seen: list[dict[str, Any]]) -> None:
    assert client.get("/drop").ok
    assert client.get("/x").ok
    assert len({record["connection"] for record in seen}) == 2
    assert [record["path"] for record in seen] == ["/drop", "/x"]


def test_half_an_answer_is_none(client: ApiClient, seen: list[dict[str, Any]]) -> None:
    with pytest.raises(NoAnswer, match=r"127\.0\.0\.1"):
        client.get("/short")
    assert client.get("/x").ok


@pytest.mark.parametrize(("path", "status", "lines"), [("/close/x", 200, [b'{"metadata": {}}']), ("/close/status/503", 503, [])])
def test_a_watch_whose_answer_says_that_the_connection_closes(client: ApiClient, path: str, status: int, lines: list[bytes]) -> None:
    answer, found = client.stream(path, 3)
    assert (answer.status, list(found)) == (status, lines)
    assert answer.message == ("said so" if status == 503 else "")
    assert client.get("/x").ok


def test_a_watch_that_falls_silent_is_dead_though_its_connection_would_close_anyway(client: ApiClient) -> None:
    answer, lines = client.stream("/close/later", 0.2)
    assert answer.ok
    with pytest.raises(NoAnswer, match=r"sent nothing for 0\.2 s"):
        next(lines)


@pytest.mark.parametrize("ask", [lambda client: client.get("/x"), lambda client: client.stream("/x", 3)])
def test_after_any_exception_the_connection_is_made_anew(client: ApiClient, monkeypatch: pytest.MonkeyPatch, ask: Callable[[ApiClient], Any]) -> None:
    """Half an answer would be taken for the next one's beginning."""
    with monkeypatch.context() as patched:
        patched.setattr(client_module.http.client.HTTPSConnection, "getresponse", lambda _connection: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            ask(client)
    assert client._connection is None
    assert client.get("/x").ok


def test_a_rotated_certificate_needs_no_restart(client: ApiClient, kubelet: Path, site: Site, seen: list[dict[str, Any]]) -> None:
    assert client.get("/before").ok
    (kubelet.parent / "next.pem").write_text(site.issue("w1-rotated"))
    (kubelet.parent / "new-link").symlink_to("next.pem")
    (kubelet.parent / "new-link").rename(kubelet.parent / "current.pem")
    assert client.get("/after").ok
    assert [record["peer"] for record in seen] == ["w1", "w1-rotated"]
    assert client.generation == 2


def test_a_rotation_to_nonsense_is_an_error_and_the_next_is_tried(client: ApiClient, kubelet: Path, site: Site) -> None:
    good = (kubelet.parent / "w1.pem").read_text()
    (kubelet.parent / "w1.pem").write_text("half a certifi")
    with pytest.raises(NodewiseError, match="kubelet.conf cannot be used"):
        client.get("/x")
    (kubelet.parent / "w1.pem").unlink()
    with pytest.raises(NodewiseError, match="current.pem, which .*kubelet.conf names, is not on this host"):
        client.get("/x")
    (kubelet.parent / "w1.pem").write_text(good)
    assert client.get("/x").ok


def test_after_a_401_the_identity_is_shown_again(client: ApiClient, seen: list[dict[str, Any]]) -> None:
    assert client.get("/status/401").status == 401
    assert client.get("/x").ok
    assert len({record["connection"] for record in seen}) == 2


@pytest.mark.parametrize("path", ["/silent", "/many-parts"])
def test_a_deadline(kubelet: Path, path: str) -> None:
    client = ApiClient(str(kubelet), timeout=0.2)
    with pytest.raises(NoAnswer, match=r"did not answer within 0\.2 s"):
        client.get(path)


def test_nobody_listens(kubelet: Path, site: Site) -> None:
    kubelet.write_text(kubelet.read_text().replace(f":{site.port}", ":1"))
    with pytest.raises(NoAnswer, match=r"127\.0\.0\.1:1: Connection refused"):
        ApiClient(str(kubelet)).get("/x")


def test_a_server_of_another_authority_is_not_trusted(site: Site, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_text(site.issue("other"))
    config = site.config({"token": "secret-token"}, **{"certificate-authority-data": "", "certificate-authority": "other.pem"})
    (tmp_path / "admin.conf").write_text(config)
    with pytest.raises(NoAnswer, match="its certificate is not trusted") as caught:
        ApiClient(str(tmp_path / "admin.conf")).get("/x")
    assert "secret-token" not in str(caught.value)


def test_an_authority_is_judged_as_the_kubelet_judges_it(kubelet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make = ssl.create_default_context

    def strict(**given: Any) -> ssl.SSLContext:
        context = make(**given)
        context.verify_flags |= ssl.VERIFY_X509_STRICT  # as from Python 3.13 on
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)
    context = tls_context(read_kubeconfig(str(kubelet)), "")
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_a_token(site: Site, tmp_path: Path, seen: list[dict[str, Any]]) -> None:
    (tmp_path / "token").write_text("first\n")
    (tmp_path / "admin.conf").write_text(site.config({"tokenFile": "token"}))
    client = ApiClient(str(tmp_path / "admin.conf"))
    assert client.get("/x").ok
    (tmp_path / "token").write_text("second one\n")
    assert client.get("/x").ok
    client.close()
    assert [record["headers"]["Authorization"] for record in seen] == ["Bearer first", "Bearer second one"]
    assert "second" not in repr(client._credentials)


def test_a_certificate_in_the_kubeconfig_itself_touches_no_disk(site: Site, tmp_path: Path, seen: list[dict[str, Any]]) -> None:
    pair = base64.b64encode(site.issue("admin").encode()).decode()
    path = tmp_path / "admin.conf"
    path.write_text(site.config({"client-certificate-data": pair, "client-key-data": pair}))
    client = ApiClient(str(path))
    assert client.get("/x").ok
    client.close()
    assert seen[0]["peer"] == "admin"
    assert list(tmp_path.iterdir()) == [path]
