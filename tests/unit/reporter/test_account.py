# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A daemon's identity: its kubeconfig, its token, its health."""

from __future__ import annotations

import base64
import http.server
import json
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter import account as account_module
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter.account import Account, ensure_credentials, look, wait_for_health
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter.daemon import Outcome

CONFIG = {"clusters": [{"cluster": {"server": "https://cp1:6443", "certificate-authority-data": "Q0E="}}]}


def token(issued: float, lifetime: float) -> str:
    payload = base64.urlsafe_b64encode(json.dumps({"iat": issued, "exp": issued + lifetime}).encode()).decode().rstrip("=")
    return f"h.{payload}.s"


class Kubectl:
    """Answers as it is told, for the admin and for the daemon itself."""

    accepted = True
    node: dict[str, Any] | None = {"metadata": {"uid": "u1"}}
    ran: list[list[str]] = []
    config: Any = CONFIG

    def __init__(self, kubeconfig: str = "/admin.conf", program: str = "kubectl") -> None:
        self.kubeconfig, self.program = kubeconfig, program

    def run(self, args: list[str], ok: tuple[int, ...] = (0,)) -> tuple[int, str, str]:
        Kubectl.ran.append(args)
        if args[0] == "config":
            return 0, json.dumps(Kubectl.config), ""
        if args[0] == "auth":
            return (0, "", "") if Kubectl.accepted else (1, "", "error: You must be logged in to the server (Unauthorized)")
        return 0, token(time.time(), 3600), ""

    def get(self, *_args: str) -> dict[str, Any] | None:
        return Kubectl.node


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Account:
    monkeypatch.setattr(account_module, "Kubectl", Kubectl)
    monkeypatch.setattr(Kubectl, "ran", [])
    return Account("nodewise-guard", "guard", str(tmp_path / "guard.conf"), str(tmp_path / "state" / "guard"))


def ensure(account: Account, check_mode: bool = False) -> list[str]:
    outcome = Outcome()
    kubectl: Any = Kubectl()
    ensure_credentials(account, look(account, kubectl), "cp1", kubectl, check_mode, outcome)
    return outcome.actions


def test_kubeconfig_and_token_are_written_once(account: Account) -> None:
    assert [action.partition(" ")[2] for action in ensure(account, check_mode=True)] == [account.kubeconfig, account.token]
    assert not Path(account.kubeconfig).exists() and not Path(account.token).exists()
    assert len(ensure(account)) == 2
    written = json.loads(Path(account.kubeconfig).read_text())
    assert written["clusters"][0]["cluster"] == CONFIG["clusters"][0]["cluster"] and written["users"][0]["user"] == {"tokenFile": account.token}
    assert stat.S_IMODE(Path(account.token).stat().st_mode) == 0o600
    minted = next(args for args in Kubectl.ran if args[0] == "create")
    assert {"--bound-object-name=cp1", "--bound-object-uid=u1", "nodewise-guard"} <= set(minted)
    assert ensure(account) == []


@pytest.mark.parametrize("why", ["old", "refused", "nonsense"])
def test_a_token_that_is_no_good_is_written_anew(account: Account, monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    ensure(account)
    if why == "old":
        Path(account.token).write_text(token(time.time() - 3000, 3600))
    elif why == "nonsense":
        Path(account.token).write_text("x")
    monkeypatch.setattr(Kubectl, "accepted", why != "refused")
    assert ensure(account) == [f"write {account.token}"]


def test_without_a_node_there_is_no_token(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Kubectl, "node", None)
    with pytest.raises(NodewiseError, match="no Node cp1, to which the guard's token is bound. Remedy: set guard_node_name"):
        ensure(account)


def test_a_kubeconfig_without_an_authority_is_refused(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Kubectl, "config", {"clusters": [{"cluster": {"server": "https://cp1:6443"}}]})
    with pytest.raises(NodewiseError, match="/admin.conf names no server with an authority"):
        ensure(account)


@pytest.fixture
def answers() -> Iterator[tuple[int, list[int]]]:
    """Serve /healthz with the given statuses in order; the last one again and again."""
    statuses = [200]

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(statuses.pop(0) if len(statuses) > 1 else statuses[0])
            self.end_headers()
            self.wfile.write(b"the API server is away\n")

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing."""

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1], statuses
    server.shutdown()
    server.server_close()
    thread.join()


def test_health_is_waited_for(answers: tuple[int, list[int]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account_module, "_PAUSE", 0.0)
    port, statuses = answers
    statuses[:] = [503, 200]
    assert wait_for_health("guard", "127.0.0.1", port, 10) == {"health": "the API server is away"}
    statuses[:] = [503]
    with pytest.raises(NodewiseError, match="The new guard is not well within 0 s: the API server is away"):
        wait_for_health("guard", "127.0.0.1", port, 0)
    assert wait_for_health("guard", "127.0.0.1", 0, 10) == {}
