# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guard on real nodes with the stock scheduler: what it changes, and that it does; install, removal.

Needs the lab NODEWISE_LAB with a cluster and reporters, and leaves it as it was, with the guard.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import lab
import pytest
from lab import ansible, execute, kubectl, on

UNIT = "nodewise-guard"
PAUSE = "registry.k8s.io/pause:3.10.2"
DEPLOYMENT = "guard-test"
# A condition is in the report 40 s after its cause at the latest, and the guard acts within seconds.
TAINTED = 50
# The reporter wants 60 s of rest; then comes its gap, and the guard's hold.
CLEARED = 240


def nodes() -> dict[str, dict[str, Any]]:
    return {item["metadata"]["name"]: item for item in json.loads(kubectl("get", "nodes", "-o", "json"))["items"]}


def taints() -> dict[str, str]:
    """Return C(cause:effect) of our taint by node."""
    return {
        name: f"{taint.get('value')}:{taint['effect']}"
        for name, node in nodes().items()
        for taint in node["spec"].get("taints", [])
        if taint["key"] == "nodewise.dev/overloaded"
    }


until = partial(lab.until, state=lambda: f"; taints: {taints()}; {on('cp1', 'journalctl', '-u', UNIT, '-n', '20', '--no-pager')}")


def play(state: str, *arguments: str, folder: Path) -> str:
    path = folder / "guard.yml"
    path.write_text("- hosts: control_plane\n  gather_facts: false\n  become: true\n  roles: [nodewise.cluster.guard]\n")
    return ansible("ansible-playbook", str(path), "-e", f"guard_state={state}", *arguments)


def changed(out: str) -> int:
    return lab.changed(out)["cp1"]


def scale(replicas: int) -> dict[str, int]:
    """Scale the deployment, wait until each pod has a node, and return how many of the new ones each node has got."""
    before = placed()
    kubectl("scale", f"deployment/{DEPLOYMENT}", f"--replicas={replicas}")
    until(f"{replicas} pods have a node", 60, lambda: sum(placed().values()) == replicas)
    return dict(placed() - before)


def placed() -> Counter[str]:
    pods = json.loads(kubectl("get", "pods", f"--selector=app={DEPLOYMENT}", "-o", "json"))["items"]
    return Counter(pod["spec"]["nodeName"] for pod in pods if pod["spec"].get("nodeName") and not pod["metadata"].get("deletionTimestamp"))


@pytest.fixture(scope="module", autouse=True)
def guard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("guard")
    play("present", folder=folder)
    until("no node is tainted", CLEARED, lambda: not taints())
    yield
    play("present", folder=folder)


@pytest.fixture
def deployment() -> Iterator[None]:
    labels = {"app": DEPLOYMENT}
    container = {"name": "pause", "image": PAUSE, "imagePullPolicy": "IfNotPresent", "resources": {"requests": {"cpu": "10m", "memory": "8Mi"}}}
    template = {"metadata": {"labels": labels}, "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]}}
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": DEPLOYMENT},
        "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": template},
    }
    kubectl("apply", "-f", "-", stdin=json.dumps(body))
    try:
        yield
    finally:
        kubectl("delete", "deployment", DEPLOYMENT, "--wait=true")
        until("the pods are gone", 60, lambda: not placed())


# Keeps a node's CPUs busy.
busy = partial(lab.pod, "guard-load", script="(while :; do :; done) & while :; do :; done")


@contextmanager
def reported_full(node: str) -> Iterator[None]:
    """Let a reporter call its disk nearly full, by its threshold: of a disk that is, the kubelet would keep pods away itself."""
    config = json.loads(on(node, "cat", "/etc/nodewise/reporter.json"))

    def threshold(percent: float, clear: float) -> None:
        changed = {**config, "settings": {**config["settings"], "disk_available_percent": percent, "clear_disk_percent": clear}}
        on(node, "sh", "-c", "cat > /etc/nodewise/reporter.json", stdin=json.dumps(changed))

    threshold(95.0, 1.0)
    try:
        yield
        # Far below what is free, whatever else fills the disk that all lab hosts share.
        threshold(2.0, 1.0)
        until("the disk is reported as well again", CLEARED, lambda: pressure(node) == "none")
    finally:
        on(node, "sh", "-c", "cat > /etc/nodewise/reporter.json", stdin=json.dumps(config, indent=2, sort_keys=True) + "\n")


def pressure(node: str) -> str:
    return kubectl("get", "nodereport", node, "-o", "jsonpath={.status.pressure}")


@contextmanager
def without_guard() -> Iterator[None]:
    on("cp1", "systemctl", "stop", UNIT)
    try:
        yield
    finally:
        on("cp1", "systemctl", "start", UNIT)


def test_a_second_run_changes_and_restarts_nothing(tmp_path: Path) -> None:
    before = on("cp1", "systemctl", "show", UNIT, "-p", "MainPID")
    assert changed(play("present", folder=tmp_path)) == 0
    assert on("cp1", "systemctl", "show", UNIT, "-p", "MainPID") == before


@pytest.mark.usefixtures("deployment")
def test_a_busy_node_gets_no_more_pods_until_it_has_rested() -> None:
    with busy("w1"):
        took = until("w1 is tainted", TAINTED, lambda: "w1" in taints())
        assert taints() == {"w1": "cpu:PreferNoSchedule"}, "it, and no other"
        while_busy = scale(10)
        assert taints() == {"w1": "cpu:PreferNoSchedule"}
    cleared = until("w1's taint is gone", CLEARED, lambda: not taints())
    after = scale(20)
    print(f"\nwith the guard: tainted {took:.0f} s after the load began, 10 pods while busy: {while_busy}")
    print(f"cleared {cleared:.0f} s after its end, 10 more: {after}")
    assert while_busy == {"w2": 10}
    assert after.get("w1", 0) >= 5, "it has room, so it gets its part"
    events = json.loads(kubectl("get", "events.events.k8s.io", "-o", "json"))["items"]
    told = [event["reason"] for event in events if event.get("reportingController") == "nodewise.dev/guard" and event["regarding"]["name"] == "w1"]
    assert {"OverloadTaintSet", "OverloadTaintRemoved"} <= set(told)


@pytest.mark.usefixtures("deployment")
def test_without_the_guard_a_busy_node_gets_its_share_of_pods() -> None:
    with without_guard(), busy("w1"):
        until("w1 reports its overload", TAINTED, lambda: pressure("w1") == "cpu")
        while_busy = scale(10)
        assert taints() == {}
    print(f"\nwithout the guard: 10 pods while busy: {while_busy}")
    assert while_busy.get("w1", 0) >= 4
    until("w1 has rested", CLEARED, lambda: pressure("w1") == "none" and not taints())


@pytest.mark.usefixtures("deployment")
def test_a_node_whose_disk_is_nearly_full_gets_none() -> None:
    with reported_full("w2"):
        took = until("w2 is tainted", TAINTED, lambda: taints().get("w2") == "disk:NoSchedule")
        assert set(taints()) == {"w2"}
        while_full = scale(10)
    cleared = until("w2's taint is gone", CLEARED, lambda: not taints())
    after = scale(20)
    print(f"\nwith the guard: tainted {took:.0f} s after the disk was nearly full, 10 pods: {while_full}; cleared {cleared:.0f} s after, 10 more: {after}")
    assert while_full == {"w1": 10}
    assert after.get("w2", 0) >= 5


@pytest.mark.usefixtures("deployment")
def test_without_the_guard_a_node_whose_disk_is_nearly_full_gets_its_share() -> None:
    with without_guard(), reported_full("w2"):
        until("w2 reports it", TAINTED, lambda: pressure("w2") == "disk")
        while_full = scale(10)
    print(f"\nwithout the guard: 10 pods while full: {while_full}")
    assert while_full.get("w2", 0) >= 4
    until("w2 has recovered", CLEARED, lambda: pressure("w2") == "none" and not taints())


def test_the_guard_survives_being_killed() -> None:
    on("cp1", "systemctl", "kill", "--signal=KILL", UNIT)
    until("it runs and leads again", 30, lambda: "this guard leads" in on("cp1", "journalctl", "-u", UNIT, "-n", "3", "--no-pager", "-o", "cat"))


def test_the_guard_may_do_nothing_else() -> None:
    """Asked with its own token; a dry run is judged by RBAC and the admission policy alike."""
    own = ("kubectl", "--kubeconfig=/etc/nodewise/guard.conf")
    for patch in ({"spec": {"unschedulable": True}}, {"metadata": {"labels": {"a": "b"}}}, {"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}}):
        refused = execute("cp1", *own, "patch", "node", "w1", "--type=merge", "--dry-run=server", f"--patch={json.dumps(patch)}")
        assert refused.returncode != 0 and "the guard may not touch" in refused.stderr, refused.stderr
    for verb, kind in (("list", "secrets"), ("create", "pods"), ("delete", "nodes"), ("update", "nodes"), ("get", "leases.coordination.k8s.io/kube-scheduler")):
        assert on("cp1", *own, "auth", "can-i", verb, kind, "--namespace=kube-system", check=False) == "no"


def test_removal_leaves_nothing(tmp_path: Path) -> None:
    with busy("w1"):
        until("w1 is tainted", TAINTED, lambda: "w1" in taints())
        play("absent", folder=tmp_path)
        assert taints() == {}
        found = nodes()
        assert not [name for name, node in found.items() for one in node["status"]["conditions"] if one["type"] == "NodewiseOverloaded"]
    left = "serviceaccounts,leases,roles,rolebindings --namespace=nodewise-system", "roles,rolebindings --namespace=default"
    for kinds in (*left, "clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings,flowschemas"):
        assert "nodewise-guard" not in kubectl("get", *kinds.split(), "-o", "name")
    script = (
        "ls -d /opt/nodewise/guard /etc/nodewise/guard* /var/lib/nodewise-guard /var/lib/private/nodewise-guard /etc/systemd/system/nodewise-guard* 2>/dev/null"
    )
    assert on("cp1", "sh", "-c", script, check=False) == ""
    assert changed(play("absent", folder=tmp_path)) == 0
