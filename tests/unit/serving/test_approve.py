# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Approving, waiting and the guard's part, against an API server that answers as told and kubelets that really shake hands."""

from __future__ import annotations

import json
import logging
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.api.client import Answer, NoAnswer
from ansible_collections.nodewise.cluster.plugins.module_utils.api.clock import ServerClock
from ansible_collections.nodewise.cluster.plugins.module_utils.api.store import Store
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.guard.certificates import Certificates, Waiting, waiting
from ansible_collections.nodewise.cluster.plugins.module_utils.serving import ensure, probe
from ansible_collections.nodewise.cluster.plugins.module_utils.serving.approve import PATH, Approver
from ansible_collections.nodewise.cluster.plugins.module_utils.serving.judge import CONFIG_MAP, config_map

Make = Callable[..., dict[str, Any]]
MAP = f"/api/v1/namespaces/nodewise-system/configmaps/{CONFIG_MAP}"
KNOWN = {"w1": ["10.0.0.21"]}


class Server:
    """Keeps requests, Nodes and the ConfigMap; an approval decides about its request."""

    def __init__(self, *requests: dict[str, Any], nodes: tuple[str, ...] = ("w1",), known: dict[str, list[str]] | None = None) -> None:
        self.requests = {one["metadata"]["name"]: one for one in requests}
        self.nodes = {name: {"metadata": {"name": name}, "status": {}} for name in nodes}
        self.config_map = config_map(KNOWN if known is None else known)
        self.failing: dict[str, int] = {}
        self.silent = False
        self.puts: list[dict[str, Any]] = []

    def get(self, path: str) -> Answer:
        if self.silent:
            raise NoAnswer("cp1:6443 did not answer within 5 s.")
        for start, status in self.failing.items():
            if path.startswith(start):
                return self._answer(status, {"message": "no"})
        if path == f"{PATH}?fieldSelector=spec.signerName%3Dkubernetes.io/kubelet-serving":
            return self._answer(200, {"items": list(self.requests.values())})
        if path == "/api/v1/nodes":
            return self._answer(200, {"items": list(self.nodes.values())})
        if path == MAP and self.config_map:
            return self._answer(200, self.config_map)
        node = self.nodes.get(path.removeprefix("/api/v1/nodes/"))
        return self._answer(200, node) if node else self._answer(404, {"message": "not found"})

    def request(self, method: str, path: str, body: Any) -> Answer:
        assert method == "PUT"
        self.puts.append(body)
        name = path.removeprefix(f"{PATH}/").removesuffix("/approval")
        if "approval" in self.failing:
            return self._answer(self.failing["approval"], {"message": "the object has been modified"})
        self.requests[name] = body
        return self._answer(200, body)

    def close(self) -> None:
        pass

    def _answer(self, status: int, body: Any) -> Answer:
        return Answer(status, json.dumps(body).encode(), "application/json", 0.001, None, 0.0)


def approver(server: Server) -> Approver:
    return Approver(server)  # type: ignore[arg-type]


# -- approving -----------------------------------------------------------------------------------------------------------


def test_only_the_right_one_of_three_is_approved(make_request: Make, make_pem: Callable[..., str]) -> None:
    foreign = make_request(make_pem(extensions="subjectAltName = DNS:w1,IP:10.0.0.11"), name="csr-2")
    server = Server(make_request(), foreign, make_request(username="system:node:w9", name="csr-3"))
    approved, refused = approver(server).decide(approver(server).pending(), KNOWN, 0.0)
    assert approved == ["w1"]
    assert refused == {
        "csr-2": "w1: 10.0.0.11 is not w1's: the inventory knows w1, 10.0.0.21",
        "csr-3": "w9: w9 is not in the inventory that the ConfigMap nodewise-system/nodewise-kubelet-addresses was made of",
    }
    (put,) = server.puts
    assert put["metadata"]["resourceVersion"] == "7"
    assert [(one["type"], one["status"], one["reason"]) for one in put["status"]["conditions"]] == [("Approved", "True", "NodewiseApproved")]
    assert [one["metadata"]["name"] for one in approver(server).pending()] == ["csr-2", "csr-3"]


def test_a_kubelet_without_its_node_has_to_wait(make_request: Make) -> None:
    server = Server(make_request(), nodes=())
    assert approver(server).decide(server.requests.values(), KNOWN, 0.0) == ([], {"csr-1": "w1: there is no Node w1"})
    assert server.puts == []


def test_a_request_that_has_changed_is_not_approved(make_request: Make) -> None:
    server = Server(make_request())
    server.failing = {"approval": 409}
    assert approver(server).decide(server.requests.values(), KNOWN, 0.0)[1] == {"csr-1": "w1: it cannot be approved: HTTP 409 the object has been modified"}


def test_what_the_api_server_refuses_is_an_error(make_request: Make) -> None:
    server = Server(make_request())
    server.failing = {PATH: 403, MAP: 403}
    with pytest.raises(NodewiseError, match="HTTP 403 no"):
        approver(server).pending()
    with pytest.raises(NodewiseError, match="nodewise-kubelet-addresses: HTTP 403 no"):
        approver(server).known()


# -- the guard -----------------------------------------------------------------------------------------------------------


class Guarded:
    """The guard's part with a clock of its own."""

    def __init__(self, server: Server) -> None:
        self.server, self.now, self.count = server, 0.0, 0
        self.store: Store[Waiting] = Store()
        self.watch()
        self.part = Certificates(server, self.store, ServerClock(lambda: 0.0), self.add, lambda: self.now)  # type: ignore[arg-type]

    def add(self, number: int) -> None:
        self.count += number

    def watch(self) -> None:
        found = {name: waiting(one, 0.0, True) for name, one in self.server.requests.items()}
        self.store.replace({name: one for name, one in found.items() if one is not None})

    def look(self, seconds: float = 0.0) -> None:
        self.now += seconds
        self.part.look()
        self.watch()


def test_the_guard_approves_at_once_and_tells_a_refusal_once(make_request: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "nodewise.guard")
    guard = Guarded(Server(make_request(), make_request(name="csr-2", usages=["client auth"])))
    guard.look()
    assert guard.count == 1 and list(guard.store.all()) == ["csr-2"]
    for _round in range(5):
        guard.look(10)
    assert [record.message for record in caplog.records] == [
        "w1: its serving certificate is approved",
        "the certificate signing request csr-2 is not approved: w1: it asks for the usages client auth",
    ]


def test_a_node_that_comes_later_gets_its_certificate(make_request: Make) -> None:
    guard = Guarded(Server(make_request(), nodes=()))
    guard.look()
    guard.server.nodes = {"w1": {"metadata": {"name": "w1"}}}
    guard.look(1)
    assert guard.count == 0
    guard.look(5)
    assert guard.count == 1


def test_nothing_is_approved_where_nobody_said_which_addresses_are_whose(make_request: Make, caplog: pytest.LogCaptureFixture) -> None:
    guard = Guarded(Server(make_request()))
    guard.server.config_map = {}
    guard.look()
    assert (guard.count, guard.server.puts, caplog.records) == (0, [], [])


def test_an_outage_ends_nothing(make_request: Make, caplog: pytest.LogCaptureFixture) -> None:
    guard = Guarded(Server(make_request()))
    guard.server.silent = True
    guard.look()
    assert "certificates of kubelets are not approved: cp1:6443 did not answer within 5 s." in caplog.text
    guard.server.silent = False
    guard.look(5)
    assert guard.count == 1


def test_a_damaged_config_map_approves_nothing(make_request: Make, caplog: pytest.LogCaptureFixture) -> None:
    guard = Guarded(Server(make_request()))
    guard.server.config_map = {"data": {"w1": "10.0.0.21"}}
    guard.look()
    assert guard.server.puts == [] and "which is no list" in caplog.text


# -- handshakes ----------------------------------------------------------------------------------------------------------


class Authority:
    """A cluster's authority, and kubelets that serve with what it signed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=kubernetes", "-keyout", "ca.key", "-out", "ca.crt"
        )

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)

    def certificate(self, name: str, address: str, own: bool = True) -> ssl.SSLContext:
        signed = ["-CA", "ca.crt", "-CAkey", "ca.key"] if own else []
        names = ["-subj", f"/O=system:nodes/CN={name}", "-addext", f"subjectAltName=IP:{address}"]
        key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "k.key", "-out", "k.crt"]
        self._openssl("req", "-x509", *key, *names, *signed, "-addext", "basicConstraints=critical,CA:FALSE")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "k.crt", self.folder / "k.key")
        return context

    @property
    def text(self) -> str:
        return (self.folder / "ca.crt").read_text()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def serve() -> Iterator[Callable[[ssl.SSLContext], int]]:
    """Serve with a context, handshake after handshake; return the port."""
    sockets = []

    def listen(context: ssl.SSLContext) -> int:
        server = socket.create_server(("127.0.0.1", 0))
        sockets.append(server)

        def accept() -> None:
            while True:
                try:
                    channel, _peer = server.accept()
                except OSError:
                    return
                try:
                    context.wrap_socket(channel, server_side=True).close()
                except OSError:
                    channel.close()

        threading.Thread(target=accept, daemon=True).start()
        return int(server.getsockname()[1])

    yield listen
    for one in sockets:
        one.shutdown(socket.SHUT_RDWR)
        one.close()


def test_a_kubelet_with_a_certificate_of_the_cluster(authority: Authority, serve: Callable[[ssl.SSLContext], int]) -> None:
    port = serve(authority.certificate("system:node:w1", "127.0.0.1"))
    assert probe.flaw("w1", "127.0.0.1", port, probe.trust(authority.text)) == ""
    assert probe.flaw("w2", "127.0.0.1", port, probe.trust(authority.text)) == "its certificate is that of system:node:w1"


def test_kubelets_without(authority: Authority, serve: Callable[[ssl.SSLContext], int]) -> None:
    context = probe.trust(authority.text)
    self_signed = serve(authority.certificate("system:node:w1", "127.0.0.1", own=False))
    assert probe.flaw("w1", "127.0.0.1", self_signed, context).startswith("its certificate is not trusted (self")
    elsewhere = serve(authority.certificate("system:node:w1", "10.0.0.21"))
    assert "127.0.0.1" in probe.flaw("w1", "127.0.0.1", elsewhere, context)
    # No certificate at all, as a kubelet that waits for its approval.
    nothing = serve(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    assert probe.flaw("w1", "127.0.0.1", nothing, context).startswith("it has no certificate yet")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = int(closed.getsockname()[1])
    assert probe.flaw("w1", "127.0.0.1", port, context) == f"127.0.0.1:{port}: Connection refused"


def test_where_a_kubelet_is() -> None:
    node = {"status": {"addresses": [{"type": "Hostname", "address": "w1"}, {"type": "InternalIP", "address": "10.0.0.21"}]}}
    assert probe.endpoint(node) == ("10.0.0.21", 10250)
    node["status"]["daemonEndpoints"] = {"kubeletEndpoint": {"Port": 10255}}  # type: ignore[assignment]
    assert probe.endpoint(node) == ("10.0.0.21", 10255)
    assert probe.endpoint({"status": {}}) is None


# -- the module ----------------------------------------------------------------------------------------------------------


class Kubectl:
    kubeconfig = "/etc/kubernetes/admin.conf"

    def __init__(self, server: Server) -> None:
        self.server = server

    def get(self, *args: str) -> dict[str, Any]:
        return {"metadata": {"name": args[-1]}}

    def diff(self, objects: list[dict[str, Any]]) -> str:
        return "a difference"

    def apply(self, objects: list[dict[str, Any]]) -> str:
        self.server.config_map = objects[0]
        return ""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, authority: Authority) -> Callable[..., ensure.Outcome]:
    """Run what the module does against a server."""

    def go(server: Server, given: dict[str, list[str]], inventory: list[str], check_mode: bool = False, timeout: float = 0) -> ensure.Outcome:
        monkeypatch.setattr(ensure, "ApiClient", lambda _path: server)
        monkeypatch.setattr(ensure, "read_kubeconfig", lambda _path: type("Credentials", (), {"authority": authority.text}))
        return ensure.ensure(Kubectl(server), given, inventory, timeout, check_mode)  # type: ignore[arg-type]

    return go


def alive(name: str, port: int, ready: str = "True") -> dict[str, Any]:
    status = {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        "conditions": [{"type": "Ready", "status": ready}],
    }
    return {"metadata": {"name": name}, "status": status}


def test_all_at_once_and_then_nothing(
    run: Callable[..., ensure.Outcome], make_request: Make, authority: Authority, serve: Callable[[ssl.SSLContext], int]
) -> None:
    server = Server(make_request(), known={"gone": ["10.0.0.9"], "s1": ["10.0.0.31"]})
    server.nodes["w1"] = alive("w1", serve(authority.certificate("system:node:w1", "127.0.0.1")))
    outcome = run(server, KNOWN, ["w1", "s1"])
    assert outcome.actions == [f"write ConfigMap {CONFIG_MAP}", "approve w1's request"]
    assert (outcome.serving, outcome.unseen, outcome.refused) == (["w1"], [], {})
    # With --limit the others stay known, and who has left the inventory does not.
    assert Approver(server).known() == {"s1": ["10.0.0.31"], "w1": ["10.0.0.21"]}  # type: ignore[arg-type]
    again = run(server, KNOWN, ["w1", "s1"])
    assert (again.actions, again.diff, again.serving) == ([], "", ["w1"])


def test_check_mode_only_predicts(run: Callable[..., ensure.Outcome], make_request: Make) -> None:
    server = Server(make_request(), make_request(name="csr-2", usages=[]), known={})
    outcome = run(server, KNOWN, ["w1"], check_mode=True)
    assert outcome.actions == [f"write ConfigMap {CONFIG_MAP}", "approve w1's request"]
    assert outcome.refused == {"csr-2": "w1: it asks for the usages "} and server.puts == [] and server.config_map["data"] == {}


def test_a_kubelet_that_does_not_get_there_is_named_with_its_request(
    run: Callable[..., ensure.Outcome], make_request: Make, serve: Callable[[ssl.SSLContext], int]
) -> None:
    server = Server(make_request(usages=["client auth"]))
    server.nodes["w1"] = alive("w1", serve(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)), "False")
    outcome = run(server, KNOWN, ["w1"])
    assert list(outcome.flaws) == ["w1"] and outcome.flaws["w1"].startswith("it has no certificate yet")
    assert outcome.refused == {"csr-1": "w1: it asks for the usages client auth"}


def test_an_api_server_that_stays_away_is_an_error(run: Callable[..., ensure.Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    monkeypatch.setattr(Approver, "pending", lambda _self: Server.get(silent, ""))
    silent = Server()
    silent.silent = True
    with pytest.raises(NoAnswer, match="cp1:6443 did not answer"):
        run(server, KNOWN, ["w1"])


def test_a_node_that_is_away_is_left_out(run: Callable[..., ensure.Outcome]) -> None:
    server = Server()
    server.nodes["w1"] = alive("w1", 1, "Unknown")
    outcome = run(server, KNOWN, ["w1"])
    assert (outcome.actions, outcome.serving, outcome.unseen) == ([], [], ["w1"])


def test_two_hosts_with_one_address_are_refused_before_anything_changes(run: Callable[..., ensure.Outcome]) -> None:
    server = Server()
    with pytest.raises(NodewiseError, match=r"10\.0\.0\.21 is the address of both w1 and w2"):
        run(server, {"w2": ["10.0.0.21"]}, ["w1", "w2"])
    assert server.puts == []
