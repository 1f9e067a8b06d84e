# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real providers over mutual TLS against a real kube-apiserver, etcd and controller manager; only hosts are played, by an ssh of our own.

The client makes cluster-autoscaler's calls in its order, each with its deadline of 5 s. Needs what a bring-up has left in the cache
(make cluster); the lab itself is not touched.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks" / "autoscaler"))

from ansible_collections.nodewise.cluster.plugins.module_utils.api.client import ApiClient  # noqa: E402
from ansible_collections.nodewise.cluster.plugins.module_utils.autoscaler.contract import CREATING, DELETING, RUNNING  # noqa: E402
from ansible_collections.nodewise.cluster.plugins.module_utils.autoscaler.tokens import DESCRIPTION  # noqa: E402
from ansible_collections.nodewise.cluster.plugins.module_utils.kubeadm.tokens import secret_object  # noqa: E402
from client import Autoscaler, refused  # noqa: E402
from rig import GROUP, Authority, Provider, Rig, address, provider_id  # noqa: E402

SECRETS = "/api/v1/namespaces/kube-system/secrets"


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("rig") / "r")
    try:
        rig.start()
        rig.config(6)
        # Roles and policies reach the request's path within a second or two.
        time.sleep(3)
        yield rig
    finally:
        rig.stop()


@pytest.fixture(autouse=True)
def rested(rig: Rig) -> Iterator[None]:
    yield
    for provider in rig.providers:
        print(provider.log.read_text())
        provider.log.unlink()
    rig.wipe()


def until(question: Any, seconds: float = 40) -> float:
    begin = time.monotonic()
    while not question():
        assert time.monotonic() - begin < seconds, "not in time"
        time.sleep(0.1)
    return time.monotonic() - begin


def leading(provider: Provider) -> bool:
    return provider.metrics().get("nodewise_autoscaler_leading") == 1


def start(rig: Rig, hosts: int = 3, **changes: Any) -> tuple[Provider, Autoscaler]:
    provider = rig.provider(rig.config(hosts, **changes))
    until(lambda: leading(provider), 30)
    return provider, rig.autoscaler(provider)


def is_running(scaler: Autoscaler, *names: str) -> bool:
    found = scaler.instances(GROUP)
    return all(found.get(provider_id(name)) == (RUNNING, "") for name in names)


def registered(rig: Rig) -> list[tuple[str, str]]:
    return [(provider, name) for name, provider in rig.nodes().items()]


def test_from_a_burst_to_an_idle_cluster_in_the_autoscalers_own_order(rig: Rig) -> None:
    provider, scaler = start(rig)
    rig.add_node("cp1", "nodewise://lab/cp1")
    rig.add_node("w1")
    assert scaler.round(registered(rig)) == {GROUP: {}}
    assert scaler.group_of("nodewise://lab/cp1", "cp1") == "" == scaler.group_of("", "w1"), "foreign Nodes have no group, which is no error"
    rig.behave(address(1), delay=2)

    begin = time.monotonic()
    scaler.increase(GROUP, 1)
    assert time.monotonic() - begin < 1, "it does not wait for the host"
    assert scaler.target(GROUP) == 1
    assert scaler.round(registered(rig)) == {GROUP: {provider_id("s1"): (CREATING, "")}}
    assert scaler.group_of(provider_id("s1"), fake=True) == GROUP, "the Node that the autoscaler makes up for it, by its id"
    until(lambda: is_running(scaler, "s1"))
    assert rig.nodes()["s1"] == provider_id("s1")
    assert scaler.group_of(provider_id("s1"), "s1") == GROUP
    assert rig.admin.get("/api/v1/nodes/s1").value()["metadata"]["labels"] == {"pool": "standby"}
    until(lambda: rig.tokens() == [])

    for _round in range(2):
        assert scaler.round(registered(rig)) == {GROUP: {provider_id("s1"): (RUNNING, "")}}, "nothing goes by itself"

    rig.behave(address(1), delay=1)
    scaler.delete(GROUP, provider_id("s1"))
    assert scaler.target(GROUP) == 0
    assert scaler.instances(GROUP) == {provider_id("s1"): (DELETING, "")}
    scaler.delete(GROUP, provider_id("s1"))
    assert scaler.target(GROUP) == 0, "a repeated request changes nothing"
    until(lambda: scaler.instances(GROUP) == {})
    assert set(rig.nodes()) == {"cp1", "w1"}, "the Node is deleted by us: nobody else does it"
    assert rig.host_state(address(1)) == "prepared"
    scaler.delete(GROUP, provider_id("s1"))

    scaler.increase(GROUP, 1)
    until(lambda: is_running(scaler, "s1"))
    assert [call["command"] for call in rig.calls()] == ["join", "leave", "join"], "the host is used again"
    tokens = [call["token"] for call in rig.calls() if call["command"] == "join"]
    assert len(set(tokens)) == 2
    assert not any(token in provider.log.read_text() for token in tokens)
    assert max(max(seconds) for seconds in scaler.seconds.values()) < 1


def test_events_tell_of_it(rig: Rig) -> None:
    _provider, scaler = start(rig)
    rig.behave(address(1), "refuse")
    scaler.increase(GROUP, 1)
    until(lambda: is_running(scaler, "s2"))

    def told() -> set[tuple[str, str]]:
        found = rig.admin.get("/apis/events.k8s.io/v1/namespaces/default/events").value()["items"]
        return {(event["reason"], event["regarding"]["name"]) for event in found if event["reportingController"] == "nodewise.dev/autoscaler"}

    until(lambda: {("HostJoining", "s1"), ("HostFailed", "s1"), ("HostJoined", "s2")} <= told())


@pytest.mark.parametrize("who", ["plain", "none", "other"])
def test_nobody_without_a_certificate_of_its_authority_gets_an_answer(rig: Rig, who: str) -> None:
    provider, scaler = start(rig)
    stranger = rig.autoscaler(provider, who)
    assert refused(stranger.call, "NodeGroups") == "UNAVAILABLE"
    assert refused(scaler.call, "NodeGroups") == ""
    stranger.close()


def test_prices_and_options_are_not_implemented(rig: Rig) -> None:
    _provider, scaler = start(rig)
    for method in ("PricingNodePrice", "PricingPodPrice", "NodeGroupGetOptions"):
        assert refused(scaler.call, method) == "UNIMPLEMENTED", method
    assert scaler.call("GPULabel").label == "" and dict(scaler.call("GetAvailableGPUTypes").gpuTypes) == {}
    assert refused(scaler.target, "nonsense") == "NOT_FOUND"


def test_a_provider_that_is_killed_in_the_middle_of_a_join_goes_on(rig: Rig) -> None:
    provider, scaler = start(rig)
    rig.behave(address(1), delay=3)
    scaler.increase(GROUP, 1)
    until(lambda: len(rig.calls()) == 1)
    provider.stop(signal.SIGKILL)
    assert rig.records()["s1"]["state"] == "joining"
    provider.start()
    until(lambda: leading(provider), 30)
    scaler = rig.autoscaler(provider)
    assert scaler.target(GROUP) == 1 and list(scaler.instances(GROUP)) == [provider_id("s1")]
    until(lambda: is_running(scaler, "s1"))
    assert rig.nodes() == {"s1": provider_id("s1")}
    until(lambda: rig.tokens() == [])


def test_a_provider_that_is_killed_in_the_middle_of_a_leave_goes_on(rig: Rig) -> None:
    provider, scaler = start(rig)
    scaler.increase(GROUP, 1)
    until(lambda: is_running(scaler, "s1"))
    rig.behave(address(1), delay=3)
    scaler.delete(GROUP, provider_id("s1"))
    until(lambda: rig.calls()[-1]["command"] == "leave")
    provider.stop(signal.SIGKILL)
    provider.start()
    until(lambda: leading(provider), 30)
    scaler = rig.autoscaler(provider)
    assert scaler.target(GROUP) == 0
    until(lambda: rig.records() == {} and rig.nodes() == {})
    assert rig.host_state(address(1)) == "prepared"


def test_an_increase_that_cannot_be_written_down_is_not_promised(rig: Rig) -> None:
    provider, scaler = start(rig)
    process = rig.plane.processes["kube-apiserver"]
    process.send_signal(signal.SIGSTOP)  # it takes connections and does not answer
    try:
        begin = time.monotonic()
        assert refused(scaler.increase, GROUP, 1) == "UNAVAILABLE"
        assert time.monotonic() - begin < 5, "before the autoscaler's deadline"
        assert scaler.target(GROUP) == 0
    finally:
        process.send_signal(signal.SIGCONT)
    until(lambda: leading(provider), 60)
    with closing(rig.autoscaler(provider)) as again:
        # Whether it was written down after all, the ConfigMap says; it and the answers agree.
        until(lambda: again.target(GROUP) == sum(one["state"] in ("joining", "joined") for one in rig.records().values()))
        before = again.target(GROUP)
        again.increase(GROUP, 1)
        until(lambda: list(again.instances(GROUP).values()) == [(RUNNING, "")] * (before + 1))


def test_an_outage_of_the_api_server_in_the_middle_of_a_join(rig: Rig) -> None:
    """Longer than the Lease: the provider ends and is started anew, as systemd does."""
    provider, scaler = start(rig)
    rig.behave(address(1), delay=4)
    scaler.increase(GROUP, 1)
    until(lambda: len(rig.calls()) == 1)
    rig.outage(14)
    assert provider.process.wait(30) == 1
    provider.stop()
    provider.start()
    until(lambda: leading(provider), 60)
    scaler = rig.autoscaler(provider)
    until(lambda: is_running(scaler, "s1"), 30)
    assert rig.nodes() == {"s1": provider_id("s1")}
    assert rig.records()["s1"].get("failures", 0) == 0, "it was not the host's fault"


def test_two_bursts_at_once_take_different_hosts(rig: Rig) -> None:
    provider, scaler = start(rig, 6)
    second = rig.autoscaler(provider)
    refusals: list[str] = []
    threads = [threading.Thread(target=lambda one=one: refusals.append(refused(one.increase, GROUP, 2))) for one in (scaler, second, scaler, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(refusals) == ["", "", "", "FAILED_PRECONDITION"], "the fourth would exceed the max"
    assert scaler.target(GROUP) == 6
    until(lambda: is_running(scaler, *(f"s{number}" for number in range(1, 7))))
    assert sorted(call["address"] for call in rig.calls()) == sorted(address(number) for number in range(1, 7))
    assert refused(scaler.increase, GROUP, 1) == "FAILED_PRECONDITION"
    second.close()


def test_in_the_place_of_a_host_that_hangs_another_one_is_taken(rig: Rig) -> None:
    _provider, scaler = start(rig, 2, join_timeout_seconds=10)
    rig.behave(address(1), "hang")
    scaler.increase(GROUP, 1)
    assert list(scaler.instances(GROUP)) == [provider_id("s1")]
    until(lambda: rig.records()["s1"]["state"] == "failed", 20)
    assert "join did not end within" in rig.records()["s1"]["reason"]
    assert scaler.target(GROUP) == 1 and list(scaler.instances(GROUP)) == [provider_id("s2")], "the autoscaler need not know"
    until(lambda: is_running(scaler, "s2"))
    # It is cleaned before it is used again, and that is tried until it answers.
    rig.behave(address(1))
    until(lambda: rig.records().get("s1", {}).get("state") == "prepared", 60)
    assert [call["command"] for call in rig.calls() if call["address"] == address(1)][-1] == "leave"
    scaler.increase(GROUP, 1)
    until(lambda: is_running(scaler, "s1", "s2"))
    assert "failures" not in rig.records()["s1"]


def test_without_another_host_the_target_is_given_up_and_the_autoscaler_told(rig: Rig) -> None:
    _provider, scaler = start(rig, 1)
    rig.behave(address(1), "unreachable")
    scaler.increase(GROUP, 1)
    until(lambda: scaler.target(GROUP) == 0)
    state, error = scaler.instances(GROUP)[provider_id("s1")]
    assert state == CREATING and "cannot be reached by SSH" in error and "No route to host" in error
    assert refused(scaler.increase, GROUP, 1) == "RESOURCE_EXHAUSTED"
    scaler.delete(GROUP, provider_id("s1"))  # so the autoscaler takes note
    assert scaler.instances(GROUP) == {} and scaler.target(GROUP) == 0
    rig.behave(address(1))
    until(lambda: rig.records()["s1"]["state"] == "prepared", 60)
    scaler.increase(GROUP, 1)
    until(lambda: is_running(scaler, "s1"))


@pytest.mark.parametrize(("mode", "reason"), [("refuse", "no disk space; its token was <token>"), ("garbage", "does not answer join as a standby host does")])
def test_a_host_that_refuses_fails_with_its_reason(rig: Rig, mode: str, reason: str) -> None:
    provider, scaler = start(rig, 1)
    rig.behave(address(1), mode)
    scaler.increase(GROUP, 1)
    until(lambda: rig.records()["s1"]["state"] == "failed")
    assert reason in rig.records()["s1"]["reason"]
    assert rig.calls()[0]["token"] not in provider.log.read_text()


def test_a_host_whose_node_does_not_get_ready_is_taken_back(rig: Rig) -> None:
    _provider, scaler = start(rig, 2, join_timeout_seconds=10)
    rig.behave(address(1), "never-ready")
    scaler.increase(GROUP, 1)
    until(lambda: is_running(scaler, "s2"), 30)
    assert "its Node is not Ready within 10 s" in rig.records()["s1"]["reason"]
    assert set(rig.nodes()) == {"s2"}
    until(lambda: rig.host_state(address(1)) == "prepared")


def test_a_token_that_has_gone_fails_the_join_and_the_next_one_has_its_own(rig: Rig) -> None:
    _provider, scaler = start(rig, 1)
    rig.behave(address(1), delay=2)
    scaler.increase(GROUP, 1)
    until(lambda: len(rig.calls()) == 1)
    for name in rig.tokens():
        assert rig.admin.request("DELETE", f"{SECRETS}/{name}").ok
    until(lambda: rig.records()["s1"]["state"] == "failed")
    assert "the token is not accepted: Unauthorized" in rig.records()["s1"]["reason"]
    until(lambda: rig.records()["s1"]["state"] == "prepared", 30)
    scaler.increase(GROUP, 1)
    until(lambda: is_running(scaler, "s1"))


def test_a_node_that_is_deleted_by_hand_returns_to_the_prepared(rig: Rig) -> None:
    _provider, scaler = start(rig)
    scaler.increase(GROUP, 2)
    until(lambda: is_running(scaler, "s1", "s2"))
    assert rig.admin.request("DELETE", "/api/v1/nodes/s1").ok
    until(lambda: scaler.target(GROUP) == 1)
    until(lambda: set(rig.records()) == {"s2"})
    assert rig.host_state(address(1)) == "prepared" and set(rig.nodes()) == {"s2"}


def test_a_host_that_is_removed_from_the_inventory_is_a_foreign_node(rig: Rig) -> None:
    provider, scaler = start(rig)
    scaler.increase(GROUP, 2)
    until(lambda: is_running(scaler, "s1", "s2"))
    provider.stop(signal.SIGTERM)
    config = provider.config
    group = config["groups"][GROUP]
    config = {**config, "groups": {GROUP: {**group, "max": 2, "hosts": {name: host for name, host in group["hosts"].items() if name != "s1"}}}}
    rig.accept(config)
    provider.configure(config)
    provider.start()
    until(lambda: leading(provider), 30)
    scaler = rig.autoscaler(provider)
    assert scaler.group_of(provider_id("s1"), "s1") == "" and scaler.target(GROUP) == 1
    assert refused(scaler.delete, GROUP, provider_id("s1"), provider_id("s2")) == "INVALID_ARGUMENT"
    time.sleep(3)
    assert set(rig.nodes()) == {"s1", "s2"} and is_running(scaler, "s2")
    assert rig.host_state(address(1)) == "joined"
    with closing(ApiClient(str(rig.kubeconfig()))) as client:
        until(lambda: client.request("DELETE", "/api/v1/nodes/s1?dryRun=All").status == 422)


def test_hosts_that_are_nodes_already_are_taken_on(rig: Rig) -> None:
    """As after the loss of the ConfigMap; and a host of the group that was joined by the operator."""
    rig.add_node("s2", provider_id("s2"))
    _provider, scaler = start(rig)
    assert scaler.target(GROUP) == 1 and is_running(scaler, "s2")
    assert rig.calls() == []


def test_a_host_that_others_have_joined_is_neither_joined_nor_reset(rig: Rig) -> None:
    rig.add_node("s1")
    _provider, scaler = start(rig, 2)
    assert scaler.group_of("", "s1") == ""
    scaler.increase(GROUP, 1)
    until(lambda: is_running(scaler, "s2"))
    assert "with the provider id '' instead of" in rig.records()["s1"]["reason"]
    time.sleep(5)  # longer than it rests
    assert {call["address"] for call in rig.calls()} == {address(2)}
    assert rig.nodes()["s1"] == ""


def test_the_min_is_kept(rig: Rig) -> None:
    _provider, scaler = start(rig, 3, min=1)
    until(lambda: is_running(scaler, "s1"))
    assert refused(scaler.delete, GROUP, provider_id("s1")) == "FAILED_PRECONDITION"
    scaler.increase(GROUP, 1)
    scaler.delete(GROUP, provider_id("s1"))
    assert scaler.target(GROUP) == 1


def test_a_join_that_is_not_wanted_any_more_is_undone(rig: Rig) -> None:
    _provider, scaler = start(rig)
    rig.behave(address(1), delay=2)
    scaler.increase(GROUP, 1)
    until(lambda: len(rig.calls()) == 1)
    scaler.call("NodeGroupDecreaseTargetSize", id=GROUP, delta=-1)
    assert scaler.target(GROUP) == 0
    assert refused(scaler.call, "NodeGroupDecreaseTargetSize", id=GROUP, delta=-1) == "FAILED_PRECONDITION"
    assert refused(scaler.call, "NodeGroupDecreaseTargetSize", id=GROUP, delta=1) == "INVALID_ARGUMENT"
    until(lambda: rig.records() == {} and rig.nodes() == {})
    assert rig.host_state(address(1)) == "prepared"


def test_a_host_that_leaves_can_be_asked_for_again(rig: Rig) -> None:
    _provider, scaler = start(rig, 1)
    scaler.increase(GROUP, 1)
    until(lambda: is_running(scaler, "s1"))
    rig.behave(address(1), delay=2)
    scaler.delete(GROUP, provider_id("s1"))
    scaler.increase(GROUP, 1)
    assert scaler.target(GROUP) == 1 and scaler.instances(GROUP) == {provider_id("s1"): (CREATING, "")}
    until(lambda: [call["command"] for call in rig.calls()] == ["join", "leave", "join"])
    until(lambda: is_running(scaler, "s1"))


def test_of_two_providers_one_listens_and_the_other_takes_over(rig: Rig) -> None:
    config = rig.config(3)
    first = rig.provider(config, "cp1")
    until(lambda: leading(first), 30)
    second = rig.provider(config, "cp2")
    scaler = rig.autoscaler(first)
    rig.behave(address(1), delay=1)
    scaler.increase(GROUP, 1)
    until(lambda: is_running(scaler, "s1"))
    other = rig.autoscaler(second)
    assert refused(other.call, "NodeGroups") == "UNAVAILABLE", "only the leader listens"
    other.close()
    first.process.send_signal(signal.SIGSTOP)  # it hangs: it neither renews nor knows
    took = until(lambda: leading(second), 40)
    print(f"taken over within {took:.1f} s")
    other = rig.autoscaler(second)
    assert other.target(GROUP) == 1 and is_running(other, "s1")
    other.increase(GROUP, 1)
    # Awake again, the first one must neither promise nor do anything.
    first.process.send_signal(signal.SIGCONT)
    assert refused(scaler.increase, GROUP, 1) == "UNAVAILABLE"
    assert first.process.wait(20) == 1
    until(lambda: is_running(other, "s1", "s2"))
    assert other.target(GROUP) == 2 and len(rig.calls()) == 2
    second.stop(signal.SIGTERM)  # in peace: it gives the Lease back
    first.start()
    print(f"given back, taken after {until(lambda: leading(first), 10):.1f} s")
    with closing(rig.autoscaler(first)) as again:
        assert again.target(GROUP) == 2


def test_renewed_certificates_are_used_without_a_restart(rig: Rig) -> None:
    provider, scaler = start(rig)
    assert refused(scaler.call, "NodeGroups") == ""
    before = {name: (rig.tls / name).read_bytes() for name in ("ca.pem", "server.crt", "server.key")}
    authority = Authority()
    certificate, key = authority.issue("autoscaler", server=True)
    try:
        for name, text in {"ca.pem": authority.pem, "server.crt": certificate, "server.key": key}.items():
            (rig.tls / name).write_text(text)
        pair = [part.encode() for part in reversed(authority.issue("cluster-autoscaler"))]
        renewed = Autoscaler(provider.listen, grpc.ssl_channel_credentials(authority.pem.encode(), *pair))
        assert refused(renewed.call, "NodeGroups") == ""
        renewed.close()
    finally:
        for name, content in before.items():
            (rig.tls / name).write_bytes(content)


def test_its_credentials_can_do_nothing_else(rig: Rig) -> None:
    rig.config(3)
    rig.add_node("w1", "nodewise://lab/w1")
    rig.add_node("s1", "nodewise://other/s1")
    rig.add_node("s2", provider_id("s2"))
    good = secret_object("abcdef", "0123456789abcdef", "2100-01-01T00:00:00Z", DESCRIPTION)
    foreign = secret_object("fedcba", "0123456789abcdef", "2100-01-01T00:00:00Z", "made by an admin")
    assert rig.admin.request("POST", SECRETS, foreign).ok

    def changed(**data: str | None) -> dict[str, Any]:
        found = {key: value for key, value in {**good["stringData"], **{key.replace("_", "-"): value for key, value in data.items()}}.items() if value}
        return {**good, "stringData": found}

    try:
        with closing(ApiClient(str(rig.kubeconfig()))) as client:
            # Who could be root of the cluster with it, or could join for ever.
            for body in (
                {**good, "type": "Opaque"},
                changed(auth_extra_groups="system:bootstrappers:admins"),
                changed(expiration=None),
                foreign | {"metadata": good["metadata"]},
            ):
                answer = client.request("POST", f"{SECRETS}?dryRun=All", body)
                assert answer.status == 422 and "the provider may" in answer.message, answer.message
            assert client.request("POST", f"{SECRETS}?dryRun=All", good).ok
            answer = client.request("DELETE", f"{SECRETS}/bootstrap-token-fedcba")
            assert answer.status == 422 and "but its own bootstrap tokens" in answer.message
            for name in ("w1", "s1"):
                answer = client.request("DELETE", f"/api/v1/nodes/{name}?dryRun=All")
                assert answer.status == 422 and "those of its groups" in answer.message, answer.message
            assert client.request("DELETE", "/api/v1/nodes/s2?dryRun=All").ok
            # The guard trusts the ConfigMap of this name.
            foreign = {"metadata": {"name": "nodewise-kubelet-addresses"}}
            for path in ("/api/v1/namespaces/nodewise-system/configmaps", "/apis/coordination.k8s.io/v1/namespaces/nodewise-system/leases"):
                answer = client.request("POST", f"{path}?dryRun=All", foreign)
                assert answer.status == 422 and "no ConfigMap and no Lease but" in answer.message, answer.message
            for method, path in (
                ("GET", SECRETS),
                ("GET", f"{SECRETS}/bootstrap-token-fedcba"),
                ("DELETE", "/api/v1/nodes"),
                ("PATCH", "/api/v1/nodes/w1"),
                ("PUT", "/api/v1/namespaces/nodewise-system/configmaps/nodewise-autoscaler-hosts"),
                ("GET", "/api/v1/pods"),
            ):
                assert client.request(method, path, {} if method != "GET" else None).status == 403, (method, path)
    finally:
        rig.admin.request("DELETE", f"{SECRETS}/bootstrap-token-fedcba")
