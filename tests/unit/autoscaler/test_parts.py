# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts, tokens, records, Nodes and work, with an API server and hosts that answer as they are told."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.api.client import Answer, NoAnswer
from ansible_collections.nodewise.cluster.plugins.module_utils.api.clock import ServerClock
from ansible_collections.nodewise.cluster.plugins.module_utils.autoscaler import tokens
from ansible_collections.nodewise.cluster.plugins.module_utils.autoscaler.book import Book, decode, encode
from ansible_collections.nodewise.cluster.plugins.module_utils.autoscaler.changes import changes
from ansible_collections.nodewise.cluster.plugins.module_utils.autoscaler.decide import Node, Record, Refused
from ansible_collections.nodewise.cluster.plugins.module_utils.autoscaler.hosts import Hosts
from ansible_collections.nodewise.cluster.plugins.module_utils.autoscaler.manifests import USER, cluster_objects
from ansible_collections.nodewise.cluster.plugins.module_utils.autoscaler.metrics import Collector
from ansible_collections.nodewise.cluster.plugins.module_utils.autoscaler.nodes import Nodes, node_of
from ansible_collections.nodewise.cluster.plugins.module_utils.autoscaler.settings import Host, Ssh
from ansible_collections.nodewise.cluster.plugins.module_utils.autoscaler.state import Histogram, State
from ansible_collections.nodewise.cluster.plugins.module_utils.autoscaler.unit import unit_text
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError

from .conftest import AMOUNTS, decider, make, pid

HOST = Host("198.18.0.1", pid("s1"), "amd64", AMOUNTS, AMOUNTS)
HASH = f"sha256:{'0' * 64}"


def answer(status: int = 200, body: Any = None) -> Answer:
    return Answer(status, json.dumps(body or {}).encode(), "application/json", 0.0, None, time.time())


class Api:
    """Keeps one ConfigMap as the API server does, and answers what it is told for other paths."""

    def __init__(self) -> None:
        self.stored: dict[str, Any] | None = None
        self.away = False
        self.lost = False
        self.asked: list[tuple[str, str, Any]] = []
        self.others: dict[tuple[str, str], list[Answer]] = {}

    def get(self, path: str) -> Answer:
        return self.request("GET", path)

    def request(self, method: str, path: str, body: Any = None) -> Answer:
        self.asked.append((method, path, body))
        if self.away:
            raise NoAnswer("api:6443 did not answer within 3 s.")
        for (what, part), answers in self.others.items():
            if what == method and part in path:
                return answers.pop(0) if len(answers) > 1 else answers[0]
        found = self._config_map(method, body)
        if self.lost and method == "PUT":
            self.lost = False
            raise NoAnswer("api:6443 did not answer within 3 s.")
        return found

    def _config_map(self, method: str, body: Any) -> Answer:
        if method == "GET":
            return answer(200, self.stored) if self.stored else answer(404)
        version = int(self.stored["metadata"]["resourceVersion"]) if self.stored else 0
        if method == "POST" and self.stored:
            return answer(409)
        if method == "PUT" and (not self.stored or body["metadata"]["resourceVersion"] != str(version)):
            return answer(409)
        if self.stored and body["data"] == self.stored["data"]:
            return answer(200, self.stored)  # as the API server, which does not write what is the same
        self.stored = copy.deepcopy(body)
        self.stored["metadata"]["resourceVersion"] = str(version + 1)
        return answer(201, self.stored)


def book(api: Api, leads: Callable[[], bool] = lambda: True, identity: str = "cp1") -> Book:
    return Book(api, identity, leads, lambda before, after: None)  # type: ignore[arg-type]


def put(name: str, record: Record) -> Callable[[Any], Any]:
    return lambda records: {**records, name: record}


# Records


def test_records_are_read_as_they_were_written() -> None:
    records = {"s1": Record("failed", 1.5, 'no "disk"', 3, 2.0, dirty=True, untold=True, token_id="abcdef"), "s2": Record("joined", 1.0)}
    assert decode(encode(records)) == records
    assert json.loads(encode(records))["s2"] == {"state": "joined", "since": 1.0}


@pytest.mark.parametrize(
    "text", ["[]", "{", '{"s1": []}', '{"s1": {"state": "dancing"}}', '{"s1": {"nonsense": 1}}', '{"s1": {"failures": "3"}}', '{"s1": {"dirty": 1}}']
)
def test_records_that_are_not_understood_are_not_guessed(text: str) -> None:
    with pytest.raises(NodewiseError, match="delete the ConfigMap"):
        decode(text)


def test_a_promise_is_written_before_it_is_given() -> None:
    api = Api()
    one = book(api)
    one.take_over()
    one.change(put("s1", Record("joining")))
    assert api.stored is not None and json.loads(api.stored["data"]["hosts.json"]) == {"s1": {"state": "joining"}}
    assert one.records == {"s1": Record("joining")}
    again = book(api)
    again.take_over()
    assert again.records == one.records


def test_what_cannot_be_written_is_not_promised() -> None:
    api = Api()
    one = book(api)
    one.take_over()
    api.away = True
    with pytest.raises(NoAnswer):
        one.change(put("s1", Record("joining")))
    assert one.records == {}
    api.away = False
    one.change(put("s2", Record("joining")))
    assert set(one.records) == {"s2"}


def test_what_was_written_without_an_answer_is_found_by_the_next_change() -> None:
    api = Api()
    one = book(api)
    one.take_over()
    api.lost = True
    with pytest.raises(NoAnswer):
        one.change(put("s1", Record("joining")))
    one.change(lambda records: records)
    assert set(one.records) == {"s1"}, "it was carried out all the same, and now is known"


def test_a_write_that_comes_later_than_its_answer_was_waited_for_is_refused() -> None:
    """The API server hangs, and carries the write out when it is well again, after it has been read that nothing was written."""
    api = Api()
    one = book(api)
    one.take_over()
    late: list[Any] = []
    real = api.request

    def hang(method: str, path: str, body: Any = None) -> Answer:
        if method == "PUT":
            late.append(body)
            raise NoAnswer("api:6443 did not answer within 3 s.")
        return real(method, path, body)

    api.request = hang  # type: ignore[method-assign]
    with pytest.raises(NoAnswer):
        one.change(put("s1", Record("joining")))
    api.request = real  # type: ignore[method-assign]
    one.change(lambda records: records)
    assert real("PUT", "/late", late[0]).status == 409
    assert one.records == {} and api.stored is not None and json.loads(api.stored["data"]["hosts.json"]) == {}


def test_one_who_was_followed_cannot_write() -> None:
    api = Api()
    leads = {"cp1": True, "cp2": True}
    first, second = book(api, lambda: leads["cp1"]), book(api, lambda: leads["cp2"], "cp2")
    first.take_over()
    second.take_over()
    assert api.stored is not None and api.stored["data"]["leader"] == "cp2"
    # It writes with the version of before, is refused, reads, and does not lead any more by then.
    leads["cp1"] = False
    with pytest.raises(NodewiseError, match="does not lead"):
        first.change(put("s1", Record("joining")))
    assert second.records == {} and json.loads(api.stored["data"]["hosts.json"]) == {}


def test_a_decision_is_made_again_on_what_another_has_written() -> None:
    api = Api()
    first, second = book(api), book(api)
    first.take_over()
    second.take_over()
    seen: list[set[str]] = []

    def decide(records: Any) -> Any:
        seen.append(set(records))
        if "s1" in records:
            raise Refused("FAILED_PRECONDITION", "no")
        return {**records, "s1": Record("joining")}

    second.change(put("s1", Record("joined")))
    with pytest.raises(Refused):
        first.change(decide)
    assert seen == [set(), {"s1"}] and first.records == {"s1": Record("joined")}


def test_nothing_is_written_without_a_change() -> None:
    api = Api()
    one = book(api)
    one.take_over()
    writes = len(api.asked)
    one.change(dict)
    assert len(api.asked) == writes


# Hosts


def fake_ssh(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Hosts:
    program = folder / "ssh"
    program.write_text(f"#!/usr/bin/env bash\nprintf '%s\\n' \"$@\" > {folder}/argv\ncat > {folder}/stdin\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return Hosts(Ssh("/etc/nodewise/key", "/etc/nodewise/known_hosts"), "cp1:6443")


def join(hosts: Hosts, seconds: float = 20) -> None:
    taints = [{"key": "k", "value": "v", "effect": "NoSchedule"}]
    hosts.join("s1", HOST, "abcdef.0123456789abcdef", [HASH], {"pool": "a"}, taints, time.monotonic() + seconds)


def test_a_join_gives_its_document_on_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    join(fake_ssh(tmp_path, monkeypatch, 'echo banner; echo \'{"ok": true, "state": "joined", "reason": ""}\''))
    assert json.loads((tmp_path / "stdin").read_text()) == {
        "token": "abcdef.0123456789abcdef",
        "ca_cert_hashes": [HASH],
        "endpoint": "cp1:6443",
        "node_name": "s1",
        "provider_id": pid("s1"),
        "labels": {"pool": "a"},
        "taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}],
    }
    argv = (tmp_path / "argv").read_text().splitlines()
    assert argv[-2:] == ["root@198.18.0.1", "join"] and "abcdef" not in " ".join(argv)
    assert {"BatchMode=yes", "StrictHostKeyChecking=yes", "UserKnownHostsFile=/etc/nodewise/known_hosts", "IdentitiesOnly=yes"} <= set(argv)


def test_what_is_wrong_with_a_host_that_has_joined_is_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    said = r'{"ok": true, "state": "joined", "reason": "no report:\nabcdef.0123456789abcdef"}'
    join(fake_ssh(tmp_path, monkeypatch, f"echo '{said}'"))
    assert caplog.messages == ["s1 has joined, but: no report: <token>"]


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ('echo \'{"ok": false, "state": "failed", "reason": "no disk"}\'; exit 1', "^no disk$"),
        ('echo \'{"ok": false, "state": "failed", "reason": "bad token abcdef.0123456789abcdef"}\'', "^bad token <token>$"),
        ("echo 'Permission denied (publickey).' >&2; exit 255", r"198.18.0.1 cannot be reached by SSH: Permission denied \(publickey\)."),
        ("echo hello", "does not answer join as a standby host does"),
        ("echo '[1]'", "does not answer join as a standby host does"),
        ('echo \'{"ok": "yes"}\'', "does not answer join as a standby host does"),
        ("exit 3", r"exit code 3"),
    ],
)
def test_a_host_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, message: str) -> None:
    with pytest.raises(NodewiseError, match=message):
        join(fake_ssh(tmp_path, monkeypatch, script))


def test_a_host_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = fake_ssh(tmp_path, monkeypatch, "exec sleep 60")
    with pytest.raises(NodewiseError, match="join did not end within"):
        join(hosts, 0.5)
    with pytest.raises(NodewiseError, match="no time is left for leave"):
        hosts.leave("s1", HOST, time.monotonic() - 1)


def test_a_host_says_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = fake_ssh(tmp_path, monkeypatch, 'echo \'{"ok": true, "state": "prepared", "reason": ""}\'')
    assert hosts.status("s1", HOST, time.monotonic() + 20) == "prepared"
    assert json.loads((tmp_path / "stdin").read_text()) == {"node_name": "s1", "provider_id": pid("s1")}


# Tokens


def test_a_token_expires_and_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api()
    api.others = {("POST", "/secrets"): [answer(201)], ("DELETE", "/secrets/"): [answer(200)], ("GET", "cluster-info"): [answer(404), answer(200)]}
    monkeypatch.setattr(tokens, "_hashes", lambda _client, _token_id: [HASH])
    clock = ServerClock(lambda: 1_800_000_000.0)
    with tokens.bootstrap_token(api, "abcdef", clock) as token:  # type: ignore[arg-type]
        assert token.token.startswith("abcdef.") and len(token.token) == 23 and token.ca_cert_hashes == [HASH]
        assert token.token not in repr(token)
    made = api.asked[0][2]
    assert made["type"] == "bootstrap.kubernetes.io/token" and made["stringData"]["expiration"] == "2027-01-15T08:10:00Z"
    assert api.asked[-1][:2] == ("DELETE", "/api/v1/namespaces/kube-system/secrets/bootstrap-token-abcdef")


def test_a_token_of_one_who_has_died_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api()
    api.others = {("POST", "/secrets"): [answer(409), answer(201)], ("DELETE", "/secrets/"): [answer(200)]}
    monkeypatch.setattr(tokens, "_hashes", lambda _client, _token_id: [HASH])
    with tokens.bootstrap_token(api, "abcdef", ServerClock()):  # type: ignore[arg-type]
        pass
    assert [method for method, _path, _body in api.asked] == ["POST", "DELETE", "POST", "DELETE"]


def test_a_token_is_removed_if_the_join_fails_and_if_that_fails_the_reason_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api()
    api.others = {("POST", "/secrets"): [answer(201)], ("DELETE", "/secrets/"): [answer(500, {"message": "no"})]}
    monkeypatch.setattr(tokens, "_hashes", lambda _client, _token_id: [HASH])
    with pytest.raises(NodewiseError, match="^the host is broken$"), tokens.bootstrap_token(api, "abcdef", ServerClock()):  # type: ignore[arg-type]
        raise NodewiseError("the host is broken")
    assert api.asked[-1][0] == "DELETE"


def test_without_a_signature_there_is_no_join(monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api()
    api.others = {("POST", "/secrets"): [answer(201)], ("DELETE", "/secrets/"): [answer(200)], ("GET", "cluster-info"): [answer(200, {"data": {}})]}
    monkeypatch.setattr(tokens.tokens, "SIGN_WAIT", 0.0)
    with pytest.raises(tokens.NoToken, match="kube-controller-manager"), tokens.bootstrap_token(api, "abcdef", ServerClock()):  # type: ignore[arg-type]
        pytest.fail("it must not get here")


# Nodes


def node(name: str = "s1", uid: str = "u1", ready: str = "True", provider: str = "") -> dict[str, Any]:
    return {
        "metadata": {"name": name, "uid": uid, "resourceVersion": "7"},
        "spec": {"providerID": provider or pid(name)},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }


def test_of_a_node_little_is_kept() -> None:
    assert node_of(node()) == Node("s1", "u1", "7", pid("s1"), True)
    assert not node_of(node(ready="Unknown")).ready
    assert node_of({"metadata": node()["metadata"], "spec": {}}) == Node("s1", "u1", "7", "", False)


def known(*items: dict[str, Any]) -> Nodes:
    nodes = Nodes()
    nodes.store.replace({item["metadata"]["name"]: node_of(item) for item in items})
    return nodes


def test_a_deleted_node_is_gone_whatever_the_watch_says_and_its_successor_is_not() -> None:
    api, nodes = Api(), known(node())
    api.others = {("GET", "/nodes/s1"): [answer(200, node())], ("DELETE", "/nodes/s1"): [answer(200)]}
    nodes.delete(api, "s1", pid("s1"))  # type: ignore[arg-type]
    assert api.asked[-1][2]["preconditions"] == {"uid": "u1"}
    assert nodes.by_provider_id() == {} and nodes.named("s1") is None
    nodes.store.replace({"s1": node_of(node(uid="u2") | {"metadata": {"name": "s1", "uid": "u2", "resourceVersion": "8"}})})
    assert pid("s1") in nodes.by_provider_id()


@pytest.mark.parametrize(("found", "only_unready"), [(node(provider="nodewise://other/s1"), False), (node(provider="x"), True), (node(), True)])
def test_a_node_of_others_or_one_that_came_after_all_is_not_deleted(found: dict[str, Any], only_unready: bool) -> None:
    api, nodes = Api(), known(found)
    api.others = {("GET", "/nodes/s1"): [answer(200, found)]}
    nodes.delete(api, "s1", pid("s1"), only_unready)  # type: ignore[arg-type]
    assert [method for method, _path, _body in api.asked] == ["GET"]


def test_a_node_that_is_not_ready_is_deleted_only_as_it_was_seen() -> None:
    api, nodes = Api(), known(node(ready="False"))
    api.others = {("GET", "/nodes/s1"): [answer(200, node(ready="False"))], ("DELETE", "/nodes/s1"): [answer(409)]}
    nodes.delete(api, "s1", pid("s1"), only_unready=True)  # type: ignore[arg-type]
    assert api.asked[-1][2]["preconditions"] == {"uid": "u1", "resourceVersion": "7"}
    assert pid("s1") in nodes.by_provider_id(), "it has changed meanwhile: it stays"


def test_a_deletion_that_is_refused_is_told() -> None:
    api = Api()
    api.others = {("GET", "/nodes/s1"): [answer(200, node())], ("DELETE", "/nodes/s1"): [answer(422, {"message": "denied"})]}
    with pytest.raises(NodewiseError, match="422 denied"):
        known(node()).delete(api, "s1", pid("s1"))  # type: ignore[arg-type]


# What is told


def test_changes_are_told_once_each() -> None:
    before = {"s1": Record("joining"), "s2": Record("joined"), "s3": Record("leaving"), "s4": Record("leaving", failures=1)}
    after = {"s1": Record("failed", reason="why", failures=1), "s2": Record("joined", since=3.0), "s4": Record("leaving", failures=2, reason="it hangs")}
    told = [(one.host, one.reason, one.warning, one.note) for one in changes(before, after, {"s1", "s2", "s3", "s4"})]
    assert told == [("s1", "HostFailed", True, "why"), ("s3", "HostPrepared", False, "it is prepared"), ("s4", "HostLeaveFailed", True, "it hangs")]


def test_a_host_that_left_the_inventory_is_told_of() -> None:
    told = list(changes({"s1": Record("leaving"), "s2": Record("prepared", failures=1)}, {}, set()))
    assert [(one.reason, one.warning) for one in told] == [("HostForgotten", True), ("HostForgotten", False)]
    assert "it was leaving, and stays as it is" in told[0].note


def test_metrics_show_groups_only_while_it_leads() -> None:
    state, records = State(), {"s1": Record("joined"), "s2": Record("failed")}
    collector = Collector(state, decider(), lambda: records)
    names = {family.name for family in collector.collect()}
    assert "nodewise_autoscaler_leading" in names and "nodewise_autoscaler_hosts" not in names
    state.leading = True
    state.called("Refresh", "OK", 0.02)
    state.ended("joined", 3.0)
    found = {(sample.name, *sample.labels.values()): sample.value for family in collector.collect() for sample in family.samples}
    assert found["nodewise_autoscaler_hosts", "a", "joined"] == 1 and found["nodewise_autoscaler_hosts", "a", "prepared"] == 1
    assert found["nodewise_autoscaler_group_size", "a", "target"] == 1 and found["nodewise_autoscaler_group_size", "a", "max"] == 3
    assert found["nodewise_autoscaler_calls_total", "Refresh", "OK"] == 1
    assert found["nodewise_autoscaler_call_duration_seconds_bucket", "Refresh", "0.01"] == 0
    assert found["nodewise_autoscaler_call_duration_seconds_bucket", "Refresh", "0.025"] == 1


def test_a_histogram_cumulates() -> None:
    one = Histogram((1.0, 2.0))
    for seconds in (0.5, 1.0, 1.5, 9.0):
        one.add(seconds)
    assert one.buckets() == [("1.0", 2.0), ("2.0", 3.0), ("+Inf", 4.0)] and one.sum == 12.0


# What it may do


def test_the_rights_are_narrow() -> None:
    objects = cluster_objects(make().groups)
    rules = {one["metadata"].get("namespace", ""): one["rules"] for one in objects if one["kind"] in ("Role", "ClusterRole")}
    assert rules[""] == [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch", "delete"]}]
    assert rules["kube-system"] == [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["create", "delete"]}]
    assert all("*" not in str(rule) for found in rules.values() for rule in found)
    hosts = next(one for one in objects if one["metadata"]["name"] == "nodewise-autoscaler-hosts")
    assert hosts["data"] == {f"s{number}": pid(f"s{number}") for number in range(1, 5)}
    policies = [one for one in objects if one["kind"] == "ValidatingAdmissionPolicy"]
    assert {one["spec"]["matchConditions"][0]["expression"] for one in policies} == {f"request.userInfo.username == '{USER}'"}
    assert all(one["spec"]["failurePolicy"] == "Fail" for one in policies)
    bindings = {one["spec"]["policyName"]: one["spec"] for one in objects if one["kind"] == "ValidatingAdmissionPolicyBinding"}
    assert bindings["nodewise-autoscaler-nodes"]["paramRef"]["parameterNotFoundAction"] == "Deny"
    assert bindings.keys() == {one["metadata"]["name"] for one in policies}


def test_every_creation_that_rbac_allows_by_kind_alone_is_confined_by_a_policy() -> None:
    objects = cluster_objects(make().groups)
    allowed = {
        resource
        for one in objects
        if one["kind"] in ("Role", "ClusterRole")
        for rule in one["rules"]
        if "create" in rule["verbs"] and "resourceNames" not in rule
        for resource in rule["resources"]
    }
    specs = [one["spec"] for one in objects if one["kind"] == "ValidatingAdmissionPolicy"]
    rules = [(rule, spec["validations"]) for spec in specs for rule in spec["matchConstraints"]["resourceRules"] if "CREATE" in rule["operations"]]
    assert allowed - {resource for rule, _validations in rules for resource in rule["resources"]} == {"events"}
    # Or it could write those of others that are trusted by their name.
    rule, validations = next((rule, validations) for rule, validations in rules if "configmaps" in rule["resources"])
    assert (rule["apiGroups"], rule["resources"]) == (["", "coordination.k8s.io"], ["configmaps", "leases"])
    assert [one["expression"] for one in validations] == ["object.metadata.name == 'nodewise-autoscaler'"]


def test_the_unit_is_hardened() -> None:
    text = unit_text("/opt/x/python", "/etc/nodewise/autoscaler.json", 30, 252)
    for line in ("CapabilityBoundingSet=", "NoNewPrivileges=yes", "ProtectSystem=strict", "KillMode=control-group", "WatchdogSec=120s", "RestartSec=5s"):
        assert f"\n{line}\n" in text
    assert "RestartSteps=6" in unit_text("p", "c", 30, 257)
