# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real guards against a real kube-apiserver and etcd: whatever happens to them, the same taints come out.

Needs what a bring-up has left in the cache (make cluster); the lab itself is not touched.
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

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks" / "guard"))

from ansible_collections.nodewise.cluster.plugins.module_utils.api.client import MERGE_PATCH, STRATEGIC_MERGE_PATCH, ApiClient  # noqa: E402
from ansible_collections.nodewise.cluster.plugins.module_utils.api.clock import ServerClock  # noqa: E402
from ansible_collections.nodewise.cluster.plugins.module_utils.api.lease import LEASES  # noqa: E402
from ansible_collections.nodewise.cluster.plugins.module_utils.api.token import TokenKeeper, claims  # noqa: E402
from ansible_collections.nodewise.cluster.plugins.module_utils.guard.manifests import NAME  # noqa: E402
from ansible_collections.nodewise.cluster.plugins.module_utils.guard.model import CONDITION_TYPE, TAINT_KEY  # noqa: E402
from world import Guard, World  # noqa: E402

FOREIGN = {"key": "example.com/pool", "effect": "PreferNoSchedule", "value": "a"}
NODES = tuple(f"n{number}" for number in range(8))
CPU, DISK = "cpu:PreferNoSchedule", "disk:NoSchedule"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("world") / "w")
    try:
        world.start()
        for name in NODES:
            world.add_node(name, [FOREIGN])
        yield world
    finally:
        world.stop()


@pytest.fixture(autouse=True)
def rested(world: World) -> Iterator[None]:
    """Begin with nodes that are well and bear nothing of ours, and end all guards."""
    for name in NODES:
        world.report(name)
        wipe(world, name)
    yield
    for guard in world.guards:
        guard.stop(signal.SIGKILL)
        print(guard.log.read_text())
        guard.log.unlink()
    world.guards.clear()


def wipe(world: World, name: str) -> None:
    world.admin.request("PATCH", f"/api/v1/nodes/{name}", {"spec": {"taints": [FOREIGN], "unschedulable": None}}, MERGE_PATCH)
    nothing = {"status": {"conditions": [{"$patch": "delete", "type": CONDITION_TYPE}]}}
    world.admin.request("PATCH", f"/api/v1/nodes/{name}/status", nothing, STRATEGIC_MERGE_PATCH)


def quick(world: World, identity: str = "cp1", **settings: Any) -> Guard:
    """Start a guard that neither holds nor waits."""
    return world.guard(identity, **{"hold_seconds": 0, "gap_seconds": 0, "grace_seconds": 60, **settings})


def tainted(world: World) -> dict[str, str]:
    return {name: taint for name in NODES if (taint := world.taint(name))}


def until(question: Any, seconds: float = 15) -> float:
    begin = time.monotonic()
    while not question():
        assert time.monotonic() - begin < seconds, "not in time"
        time.sleep(0.1)
    return time.monotonic() - begin


def leading(guard: Guard) -> bool:
    return guard.metrics().get("nodewise_guard_leading") == 1


def test_taint_condition_and_event_come_and_go(world: World) -> None:
    quick(world)
    world.report("n0", "cpu")
    world.report("n1", "disk", "cpu")
    until(lambda: tainted(world) == {"n0": CPU, "n1": DISK})
    until(lambda: world.condition("n0") == ("True", "CPUOverloaded") and world.condition("n2") == ("False", "NotOverloaded"))
    world.report("n0")
    until(lambda: tainted(world) == {"n1": DISK})
    until(lambda: world.condition("n0") == ("False", "Recovered"))
    assert all(FOREIGN in world.node(name)["spec"]["taints"] for name in NODES)

    def told() -> list[tuple[str, str]]:
        found = world.admin.get("/apis/events.k8s.io/v1/namespaces/default/events").value()["items"]
        return [(event["reason"], event["regarding"]["name"]) for event in found if event["regarding"]["uid"] == world.node("n0")["metadata"]["uid"]]

    until(lambda: {("OverloadTaintSet", "n0"), ("OverloadTaintRemoved", "n0")} <= set(told()))


def test_changes_of_others_at_the_same_time_are_never_lost(world: World) -> None:
    """Somebody else adds and removes a taint of the same node as fast as they can, without ever looking at ours."""
    guard = quick(world)
    until(lambda: leading(guard))
    lost: list[int] = []
    over = threading.Event()

    def other() -> None:
        with closing(ApiClient(str(world.plane.admin))) as client:
            write(client)

    def write(client: ApiClient) -> None:
        number = 0
        while not over.is_set():
            node = client.get("/api/v1/nodes/n0").value()
            # What was written last must still be there.
            seen = [taint["value"] for taint in node["spec"]["taints"] if taint["key"] == "example.com/other"]
            if number and seen != [str(number)]:
                lost.append(number)
            taints = [taint for taint in node["spec"]["taints"] if taint["key"] != "example.com/other"]
            taints.append({"key": "example.com/other", "effect": "PreferNoSchedule", "value": str(number + 1)})
            patch = {"metadata": {"resourceVersion": node["metadata"]["resourceVersion"]}, "spec": {"taints": taints}}
            if client.request("PATCH", "/api/v1/nodes/n0", patch, MERGE_PATCH).ok:
                number += 1

    thread = threading.Thread(target=other)
    thread.start()
    try:
        for _round in range(8):
            world.report("n0", "cpu")
            until(lambda: world.taint("n0") == CPU, 30)
            world.report("n0")
            until(lambda: world.taint("n0") == "", 30)
    finally:
        over.set()
        thread.join()
    assert lost == []
    conflicts = guard.metrics().get('nodewise_guard_writes_total{kind="taint",status="409"}', 0)
    print(f"{conflicts:.0f} conflicts")
    assert conflicts > 0, "there was none, so nothing was tried"


def test_a_restart_changes_nothing(world: World) -> None:
    guard = quick(world, hold_seconds=3600)
    world.report("n0", "cpu")
    until(lambda: tainted(world) == {"n0": CPU})
    # Of every node, so that nothing is left for the second one to write.
    until(lambda: {name: world.condition(name)[0] for name in NODES} == {**dict.fromkeys(NODES, "False"), "n0": "True"})
    before = world.node("n0")["spec"]["taints"]
    guard.stop(signal.SIGKILL)
    world.report("n0")
    guard.start()
    until(lambda: leading(guard))
    time.sleep(3)
    assert world.node("n0")["spec"]["taints"] == before, "the hold is the one of before"
    assert guard.total("nodewise_guard_writes_total") == 0


def test_another_guard_takes_over_and_the_first_one_keeps_still(world: World) -> None:
    first = quick(world, "cp1")
    until(lambda: leading(first))
    second = quick(world, "cp2")
    world.report("n0", "cpu")
    until(lambda: tainted(world) == {"n0": CPU})
    first.process.send_signal(signal.SIGSTOP)  # it hangs: it neither renews nor knows
    world.report("n1", "cpu")
    world.report("n0")
    took = until(lambda: tainted(world) == {"n1": CPU}, 30)
    print(f"taken over within {took:.1f} s")
    first.process.send_signal(signal.SIGCONT)
    until(lambda: first.metrics() and not leading(first))
    writes = first.total("nodewise_guard_writes_total")
    world.report("n2", "cpu")
    until(lambda: "n2" in tainted(world))
    assert first.total("nodewise_guard_writes_total") == writes
    assert leading(second)
    second.stop()  # in peace: it gives the Lease back
    took = until(lambda: leading(first), 10)
    print(f"given back, taken after {took:.1f} s")


def test_an_outage_of_the_api_server_clears_nothing(world: World) -> None:
    """The watches' versions are too old afterwards (410), and the reports may have expired meanwhile."""
    guard = quick(world)
    world.report("n0", "cpu", age=170)
    world.report("n1", "disk")
    until(lambda: tainted(world) == {"n0": CPU, "n1": DISK})
    world.outage(12)  # longer than the Lease, and until the report of n0 has expired
    until(lambda: leading(guard), 60)
    time.sleep(5)
    assert tainted(world) == {"n0": CPU, "n1": DISK}
    world.report("n1")
    world.report("n2", "memory")
    until(lambda: tainted(world) == {"n0": CPU, "n2": "memory:PreferNoSchedule"}, 30)
    until(lambda: world.condition("n0") == ("Unknown", "ReportStale") and "n0" not in tainted(world), 90)
    print({name: value for name, value in guard.metrics().items() if "watch_ends" in name})


def test_a_watch_that_has_expired_lists_again(world: World) -> None:
    guard = quick(world)
    until(lambda: leading(guard))
    world.add_node("n9", [])
    world.report("n9", "cpu")
    until(lambda: world.taint("n9") == CPU)
    assert world.admin.request("DELETE", "/api/v1/nodes/n9").ok
    assert world.admin.request("DELETE", "/apis/nodewise.dev/v1alpha1/nodereports/n9").ok
    until(lambda: guard.metrics()["nodewise_guard_nodes"] == len(NODES))


@pytest.mark.parametrize("hours", [-3, 3])
def test_a_node_whose_clock_is_wrong_is_acted_on(world: World, hours: int) -> None:
    guard = quick(world)
    until(lambda: leading(guard) and guard.metrics().get("nodewise_guard_node_reports") == len(NODES))
    world.report("n0", "cpu", age=hours * 3600)
    until(lambda: tainted(world) == {"n0": CPU})
    world.report("n0", age=hours * 3600)
    until(lambda: tainted(world) == {})


def test_no_more_than_the_share_is_tainted_at_any_moment(world: World) -> None:
    guard = quick(world, max_tainted_percent=25)
    for name in NODES:
        world.report(name, "cpu")
    until(lambda: len(tainted(world)) == 2)
    most = 0
    for name in NODES[4:7]:
        world.report(name, "disk")
        for _look in range(8):
            most = max(most, len(tainted(world)))
            time.sleep(0.2)
    until(lambda: set(tainted(world).values()) == {DISK})
    assert most <= 2
    assert guard.metrics()['nodewise_guard_untainted_nodes{why="cap"}'] == len(NODES) - 2


def test_a_dry_run_writes_nothing_and_tells_each_decision_once(world: World) -> None:
    guard = quick(world, dry_run=True)
    world.report("n0", "cpu")
    until(lambda: guard.metrics().get('nodewise_guard_decisions_total{reason="OverloadTaintSet"}') == 1)
    time.sleep(3)
    assert tainted(world) == {} and world.condition("n0") == ("", "")
    assert guard.total("nodewise_guard_writes_total") == 0
    assert guard.log.read_text().count("dry run: n0: OverloadTaintSet") == 1


def test_writes_are_bounded(world: World) -> None:
    guard = quick(world, writes_per_second=2, max_tainted_percent=100)
    until(lambda: leading(guard))
    begin, before = time.monotonic(), guard.total("nodewise_guard_writes_total")
    for name in NODES:
        world.report(name, "cpu")
    until(lambda: len(tainted(world)) == len(NODES), 30)
    until(lambda: all(world.condition(name)[0] == "True" for name in NODES), 30)
    rate = (guard.total("nodewise_guard_writes_total") - before) / (time.monotonic() - begin)
    assert rate <= 3, "two a second, and those of the first second"


def test_a_node_that_refuses_does_not_hold_up_the_others(world: World) -> None:
    """An admission policy of somebody else forbids any change of n0."""
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "test-refuse"},
        "spec": {
            "matchConstraints": {
                "resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["nodes", "nodes/status"]}]
            },
            "validations": [{"expression": "object.metadata.name != 'n0' || !request.userInfo.username.contains('guard')"}],
        },
    }
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "test-refuse"},
        "spec": {"policyName": "test-refuse", "validationActions": ["Deny"]},
    }
    world.apply([policy, binding])
    time.sleep(3)
    try:
        guard = quick(world)
        world.report("n0", "cpu")
        world.report("n1", "cpu")
        until(lambda: tainted(world) == {"n1": CPU})
        time.sleep(3)
        assert guard.total("nodewise_guard_writes_total") < 30, "it does not try again each second"
    finally:
        for kind in ("validatingadmissionpolicybindings", "validatingadmissionpolicies"):
            world.admin.request("DELETE", f"/apis/admissionregistration.k8s.io/v1/{kind}/test-refuse")
        time.sleep(3)


def test_the_token_renews_itself_and_only_itself(world: World) -> None:
    path, token = world.kubeconfig("keeper")
    clock = ServerClock(lambda: time.time() + 43200)  # half of its day is over
    before = token.read_text()
    with closing(ApiClient(str(path))) as client:
        TokenKeeper(client, NAME, str(token), clock).look(0.0)
        assert token.read_text() != before
        assert claims(token.read_text()).expires > claims(before).expires
        assert client.get(f"{LEASES}/{NAME}").status in (200, 404), "the new one is used, and works"
        other = "/api/v1/namespaces/nodewise-system/serviceaccounts/default/token"
        assert client.request("POST", other, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}).status == 403


@pytest.mark.parametrize(
    ("path", "patch", "content_type"),
    [
        ("", {"spec": {"taints": []}}, MERGE_PATCH),
        ("", {"spec": {"taints": [FOREIGN, {"key": TAINT_KEY, "effect": "NoExecute"}]}}, MERGE_PATCH),
        ("", {"spec": {"unschedulable": True}}, MERGE_PATCH),
        ("", {"metadata": {"labels": {"a": "b"}}}, MERGE_PATCH),
        ("", {"metadata": {"annotations": {"a": "b"}}}, MERGE_PATCH),
        ("/status", {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}, STRATEGIC_MERGE_PATCH),
        ("/status", {"status": {"capacity": {"example.com/gpu": "8"}}}, MERGE_PATCH),
    ],
)
def test_the_guards_credentials_can_do_nothing_else_to_a_node(world: World, path: str, patch: dict[str, Any], content_type: str) -> None:
    config, _token = world.kubeconfig("confined")
    with closing(ApiClient(str(config))) as client:
        answer = client.request("PATCH", f"/api/v1/nodes/n0{path}?dryRun=All", patch, content_type)
    assert answer.status == 422 and "the guard may not" in answer.message, answer.message
