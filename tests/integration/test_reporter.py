# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reporter on real nodes: it shows what loads a node, gets over faults without a false word, upgrades or goes back, and leaves nothing.

Needs the lab NODEWISE_LAB with a cluster, and leaves it as it was. NODEWISE_LONG=1 keeps the API server down for 3 minutes.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import lab
import pytest
from lab import LAB, ROOT, ansible, changed, kubectl, on, pod, sh

NODES = ("cp1", "w1", "w2")
UNIT = "nodewise-reporter"
# A condition's change is in the API this long after its cause.
VISIBLE = 40
# Two good samples' worth of doubt, the 60 s for which a node must be well, the gap between two reports, and the pod's end.
CLEARED = 130
# The longest time between two regular reports: 60 s + 20 %, and the gap.
INTERVAL = 87
# One share of the API server's 600 seats is three or four.
SEATS = 5
API_DOWN = 180 if os.environ.get("NODEWISE_LONG") else 40


def reports() -> dict[str, dict[str, Any]]:
    """Return {node: status} of all reports; empty if the API server does not answer."""
    out = kubectl("--request-timeout=5s", "get", "nodereports", "-o", "json", check=False)
    return {item["metadata"]["name"]: item.get("status", {}) for item in json.loads(out)["items"]} if out else {}


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


until = partial(lab.until, pause=0.5, state=lambda: f"\n{json.dumps(reports(), indent=1)}")


def pressures() -> dict[str, str]:
    return {node: status.get("pressure", "") for node, status in reports().items()}


def play(playbook: str | Path, *arguments: str, inventory: str | Path = lab.INVENTORY, ok: bool = True, collections: Path | None = None) -> str:
    more = {"ANSIBLE_COLLECTIONS_PATH": str(collections)} if collections else {}
    return ansible("ansible-playbook", str(playbook), *arguments, inventory=inventory, timeout=500, ok=ok, **more)


ROLE = """
- hosts: {hosts}
  gather_facts: false
  become: true
  tasks:
    - ansible.builtin.import_role:
        name: nodewise.cluster.reporter
        tasks_from: {entry}
"""


def role(folder: Path, entry: str = "main", hosts: str = "control_plane:workers") -> Path:
    path = folder / f"{entry}-{hosts.replace(':', '-')}.yml"
    path.write_text(ROLE.format(entry=entry, hosts=hosts))
    return path


class Watch(threading.Thread):
    """Reads all reports again and again, and keeps what no report may ever say."""

    def __init__(self) -> None:
        super().__init__()
        self.false: list[str] = []
        self.read = 0
        self.over = threading.Event()

    def run(self) -> None:
        before: dict[str, dict[str, Any]] = {}
        while not self.over.wait(1):
            try:
                found = reports()
            except ValueError as error:
                self.false.append(f"not JSON: {error}")
                continue
            for node, status in found.items():
                self.read += 1
                self.false += [f"{node}: {wrong}: {json.dumps(status)}" for wrong in self.judge(status, before.get(node))]
            before.update(found)

    @staticmethod
    def judge(status: dict[str, Any], before: dict[str, Any] | None) -> Iterator[str]:
        if before and (status["sequence"], status["observedAt"]) < (before["sequence"], before["observedAt"]):
            yield "went back"
        for condition in status["conditions"]:
            # Not CPU: whoever recovers is busy.
            if condition["status"] == "True" and condition["type"] in ("MemoryOverloaded", "DiskNearlyFull"):
                yield "a condition without a cause"
        # What is not known is left out; a zero would be a lie on a node that runs.
        memory, cpu = status["memoryBytes"], status["cpuMillicores"]
        if memory.get("now", 1) < 50 << 20 or memory["allocatable"] <= 0 or cpu["allocatable"] <= 0:
            yield "no memory in use, or nothing allocatable"
        if not 0 < cpu.get("now", 1) <= cpu["allocatable"] * 1.2:
            yield "CPU that cannot be"
        if status.get("containers", {}).get("running", 1) == 0:
            yield "no container runs"
        for filesystem in status["filesystems"]:
            if filesystem.get("capacityBytes", 1) <= 0 or filesystem.get("usedBytes", 1) <= 0:
                yield "an empty filesystem"


@contextmanager
def nothing_false() -> Iterator[None]:
    watch = Watch()
    watch.start()
    try:
        yield
    finally:
        watch.over.set()
        watch.join()
    assert watch.read > 0
    assert watch.false == []


def current_again(node: str, since: float) -> float:
    """Wait for a report of a sample that is younger than the fault's end and in which the runtime is well."""

    def question() -> bool:
        status = reports().get(node, {})
        return bool(status) and seconds(status["observedAt"]) > since and status["runtime"].get("ready") is True

    return until(f"{node} is current again", INTERVAL + 15, question)


@pytest.fixture(scope="module", autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("installed")
    play(role(folder))
    until("no node is under pressure", CLEARED, lambda: set(pressures().values()) == {"none"})


def test_a_second_run_changes_and_restarts_nothing(tmp_path: Path) -> None:
    before = [on(node, "systemctl", "show", UNIT, "-p", "MainPID") for node in NODES]
    assert set(changed(play(role(tmp_path))).values()) == {0}
    assert [on(node, "systemctl", "show", UNIT, "-p", "MainPID") for node in NODES] == before


# -- what loads a node is shown, on that node and on no other ----------------------------------------------------------


@contextmanager
def full_disk(leave: str) -> Iterator[None]:
    # Else the kubelet would evict pods, remove images that nobody uses, and have DiskPressure for 5 minutes.
    on("w1", "systemctl", "stop", "kubelet")
    sh("w1", f"fallocate -l $(( $(df --output=avail -B1 /var/lib/containerd | tail -1) - {leave} )) /var/lib/containerd/fill")
    try:
        yield
    finally:
        sh("w1", "rm -f /var/lib/containerd/fill; systemctl start kubelet")


@pytest.mark.parametrize(
    ("word", "cause"),
    [
        ("cpu", lambda: pod("burns-cpu", "w1", "while :; do :; done & while :; do :; done")),
        # Into a file of memory: what fills a process' own takes enough CPU to be seen as well.
        ("memory", lambda: pod("eats-memory", "w1", "head -c 3500M /dev/zero > /memory/fill; exec sleep 600")),
        ("disk", lambda: full_disk("1073741824")),
    ],
)
def test_what_loads_a_node_is_seen_there_and_nowhere_else(word: str, cause: Callable[[], Any]) -> None:
    with cause():
        begin = time.monotonic()
        seen: set[str] = set()

        def question() -> bool:
            found = pressures()
            seen.update(value for node, value in found.items() if node != "w1")
            return word in found["w1"].split(",")

        until(f"w1 is under pressure of {word}", VISIBLE, question)
        print(f"{word}: seen after {time.monotonic() - begin:.1f} s")
    took = until("w1 has recovered", CLEARED, lambda: pressures()["w1"] == "none")
    print(f"{word}: cleared after {took:.1f} s")
    assert seen == {"none"}


# -- faults ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("node", "script"),
    [
        ("w1", "systemctl restart containerd"),
        ("w1", "systemctl kill --signal=KILL containerd; sleep 3; systemctl is-active containerd || systemctl restart containerd"),
        ("w2", "systemctl restart kubelet"),
        ("w2", "systemctl stop kubelet; sleep 15; systemctl start kubelet"),
        ("w1", f"systemctl kill --signal=KILL {UNIT}; sleep 1"),
        ("w1", "for i in 1 2 3 4 5 6; do crictl ps -q --name kube-proxy | xargs -r crictl rm -f; sleep 4; done"),
    ],
    ids=["containerd-restarted", "containerd-killed", "kubelet-restarted", "kubelet-down", "reporter-killed", "containers-deleted"],
)
def test_a_fault_is_got_over(node: str, script: str) -> None:
    with nothing_false():
        sh(node, script)
        print(f"current {current_again(node, time.time()):.1f} s after the fault's end")
    assert on(node, "systemctl", "is-active", UNIT) == "active"


def test_a_rotated_certificate_is_taken_up() -> None:
    """As the kubelet rotates: another file, and the link to it replaced. One that cannot be used first, so that the new one must be seen."""
    pki = "cd /var/lib/kubelet/pki && "
    link = pki + "ln -s {} link && mv -T link kubelet-client-current.pem"
    before = sh("w1", pki + "readlink kubelet-client-current.pem")
    try:
        with nothing_false():
            sh("w1", pki + "echo none > kubelet-client-broken.pem && " + link.format("$PWD/kubelet-client-broken.pem"))
            until("the reporter cannot use the certificate", INTERVAL, lambda: "cannot be used" in sh("w1", f"systemctl show {UNIT} -p StatusText"))
            sh("w1", pki + f"cp -p {before} kubelet-client-test.pem && " + link.format("$PWD/kubelet-client-test.pem"))
            print(f"current {current_again('w1', time.time()):.1f} s after the rotation")
    finally:
        sh("w1", link.format(before) + " && rm -f kubelet-client-broken.pem kubelet-client-test.pem")


def test_a_runtime_that_is_down_is_said_and_forgotten() -> None:
    with nothing_false():
        sh("w2", "systemctl stop containerd")
        try:
            until("w2's runtime is unhealthy", VISIBLE, lambda: pressures()["w2"] == "runtime")
        finally:
            sh("w2", "systemctl start containerd")
        current_again("w2", time.time())
        until("w2 has recovered", CLEARED, lambda: pressures()["w2"] == "none")


def test_an_api_server_that_is_down_stops_no_sampling() -> None:
    manifest, aside = "/etc/kubernetes/manifests/kube-apiserver.yaml", "/root/kube-apiserver.yaml"
    count = "re.search('duration_seconds_count (.*)', u.urlopen('http://127.0.0.1:10270/metrics').read().decode())[1]"
    samples = f'python3 -c "import urllib.request as u, re; print({count})"'
    with nothing_false():
        sh("cp1", f"mv {manifest} {aside}")
        try:
            until("the API server is down", 60, lambda: not reports())
            before = float(sh("w1", samples))
            time.sleep(API_DOWN)
            assert float(sh("w1", samples)) - before >= API_DOWN / 10 - 2
        finally:
            sh("cp1", f"mv {aside} {manifest}")
        until("the API server is back", 120, reports)
        since = time.time()
        for node in NODES:
            print(f"{node}: current {current_again(node, since):.1f} s after the fault's end")


def attempts(node: str) -> dict[str, float]:
    """Return how often the node's reporter has tried to write, by the result."""
    text = sh(node, "python3 -c \"import urllib.request as u; print(u.urlopen('http://127.0.0.1:10270/metrics').read().decode())\"")
    return {result: float(count) for result, count in re.findall(r'nodewise_reporter_publishes_total{result="(\w+)"} (\S+)', text)}


# A request has its seat before its body is read: one whose body never comes holds it, for the minute that the API server waits.
HOLD = """
import re, socket, ssl
host, port = re.search(r"server: https://(.*):(\\d+)", open("/etc/kubernetes/kubelet.conf").read()).groups()
context = ssl._create_unverified_context()
context.load_cert_chain("/var/lib/kubelet/pki/kubelet-client-current.pem")
while True:
    with context.wrap_socket(socket.create_connection((host, int(port)))) as channel:
        path = "/apis/nodewise.dev/v1alpha1/nodereports/w1/status"
        channel.sendall(f"PUT {path} HTTP/1.1\\r\\nHost: x\\r\\nContent-Type: application/json\\r\\nContent-Length: 9999\\r\\n\\r\\n".encode())
        channel.recv(1)
"""


def test_a_storm_of_429_is_sat_out() -> None:
    """API priority and fairness refuses the writes of reports, as on an API server that is overloaded: their only seat is taken."""
    level = "prioritylevelconfiguration/nodewise-reporter"
    before = json.loads(kubectl("get", level, "-o", "json"))["spec"]
    one_seat = {"nominalConcurrencyShares": 1, "lendablePercent": 0, "borrowingLimitPercent": 0, "limitResponse": {"type": "Reject"}}

    def patch(spec: dict[str, Any]) -> None:
        replaced = json.dumps([{"op": "replace", "path": "/spec", "value": spec}])
        kubectl("patch", level, "--type=json", "-p", replaced)

    with nothing_false():
        patch({"type": "Limited", "limited": one_seat})
        for holder in range(SEATS):
            on("w1", "systemd-run", f"--unit=nodewise-test-hold-{holder}", "python3", "-c", HOLD)
        try:
            until("all are refused", INTERVAL, lambda: all("429" in sh(node, f"systemctl show {UNIT} -p StatusText") for node in NODES))
            first = {node: attempts(node) for node in NODES}
            time.sleep(60)
            tries = {node: sum(attempts(node).values()) - sum(first[node].values()) for node in NODES}
            print(f"attempts in 60 s of refusal: {tries}")
            # "Retry-After: 1" comes with each 429: without a growing pause that were 30 attempts or more.
            assert max(tries.values()) <= 15
        finally:
            sh("w1", "systemctl stop 'nodewise-test-hold-*'")
            patch(before)
        since = time.time()
        for node in NODES:
            print(f"{node}: current {current_again(node, since):.1f} s after the storm")


def test_a_full_disk_stops_nothing() -> None:
    with full_disk("0"):
        until("w1's disk is full", VISIBLE, lambda: pressures()["w1"] == "disk")
        since = time.time()
        on("w1", "systemctl", "restart", UNIT)
        until("w1 reports", INTERVAL + 15, lambda: seconds(reports()["w1"]["observedAt"]) > since)
        assert pressures()["w1"] == "disk"
    until("w1 has recovered", CLEARED, lambda: pressures()["w1"] == "none")


# -- upgrades and removal ----------------------------------------------------------------------------------------------


def release(node: str) -> str:
    return sh(node, f"systemctl show {UNIT} -p ExecStart | grep -o '/opt/nodewise/reporter/[0-9a-f]*'")


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("        return Reporter(", '        raise SystemExit("broken at its start")\n        return Reporter(', "broken at its start"),
        ("PublishLoop(self._shared, self._state, notifier).run", "self._shared.wait, args=(3600,)", "is of version"),
    ],
    ids=["ends", "never-reports"],
)
def test_a_broken_version_is_not_kept(tmp_path: Path, right: str, wrong: str, said: str) -> None:
    copy = tmp_path / "ansible_collections" / "nodewise" / "cluster"
    for name in ("plugins", "roles", "meta", "galaxy.yml"):
        source = ROOT / name
        shutil.copytree(source, copy / name) if source.is_dir() else shutil.copy(source, copy / name)
    main = copy / "plugins" / "module_utils" / "reporter" / "main.py"
    text = main.read_text().replace(right, wrong)
    assert text != main.read_text()
    main.write_text(text)
    before = release("w1")
    with nothing_false():
        out = play(role(tmp_path, hosts="w1"), "-e", "reporter_report_timeout=8", ok=False, collections=tmp_path)
        since = time.time()
        assert said in out
        assert "The version from before is back, and runs again." in out
        assert release("w1") == before
        current_again("w1", since)


def test_a_configuration_that_does_not_report_is_not_kept(tmp_path: Path) -> None:
    before = on("w1", "cat", "/etc/nodewise/reporter.json")
    out = play(role(tmp_path, hosts="w1"), "-e", "reporter_kubeconfig=/etc/kubernetes/none.conf", "-e", "reporter_report_timeout=5", ok=False)
    assert "/etc/kubernetes/none.conf is not on this host" in out
    assert on("w1", "cat", "/etc/nodewise/reporter.json") == before
    assert on("w1", "systemctl", "is-active", UNIT) == "active"


def test_a_changed_configuration_restarts_nothing_and_is_proved_by_a_report(tmp_path: Path) -> None:
    before = on("w1", "systemctl", "show", UNIT, "-p", "MainPID")
    digests = []
    for arguments in (("-e", "reporter_log_level=debug"), ()):
        assert changed(play(role(tmp_path, hosts="w1"), *arguments))["w1"] == 1
        digests.append(reports()["w1"]["configDigest"])
        assert digests[-1] == sh("w1", "sha256sum /etc/nodewise/reporter.json | cut -c1-8")
    assert digests[0] != digests[1]
    assert on("w1", "systemctl", "show", UNIT, "-p", "MainPID") == before


def test_a_configuration_that_is_not_taken_over_is_not_kept(tmp_path: Path) -> None:
    """The reporter does not see the change: it is stopped (SIGSTOP) for longer than the report may take."""
    before = on("w1", "cat", "/etc/nodewise/reporter.json")
    on("w1", "systemctl", "kill", "--signal=STOP", UNIT)
    out = play(role(tmp_path, hosts="w1"), "-e", "reporter_log_level=debug", ok=False)
    assert "of the configuration" in out
    assert "The version from before is back, and runs again." in out
    assert on("w1", "cat", "/etc/nodewise/reporter.json") == before
    current_again("w1", time.time())


def test_it_ends_within_two_seconds() -> None:
    begin = time.monotonic()
    on("w1", "systemctl", "stop", UNIT)
    assert time.monotonic() - begin < 2
    on("w1", "systemctl", "start", UNIT)


def test_removal_leaves_nothing_and_a_cluster_of_others_can_be_given_it(tmp_path: Path) -> None:
    on_hosts = (
        "ls -d /opt/nodewise/reporter /etc/nodewise/reporter* /etc/systemd/system/*nodewise-reporter* /etc/systemd/system/*/*nodewise-reporter*"
        f" /run/nodewise/restart/*reporter* {{}} 2>/dev/null;"
        f" systemctl list-units --all --plain --no-legend '{UNIT}*'; pgrep -f '[n]odewise.reporter.main'; true"
    )
    # The guard has its place beside the reporter's on a control plane.
    common = {node: "" if node == "cp1" else "/opt/nodewise /etc/nodewise" for node in NODES}
    in_cluster = (
        "kubectl --kubeconfig /etc/kubernetes/admin.conf get crd,clusterrole,clusterrolebinding,validatingadmissionpolicy,validatingadmissionpolicybinding,"
        "flowschema,prioritylevelconfiguration -o name | grep -e nodereports -e nodewise-reporter || true"
    )
    assert sh("cp1", in_cluster).count("\n") >= 6
    predicted = changed(play(role(tmp_path, "remove"), "--check"))
    assert min(predicted.values()) >= 1
    play(role(tmp_path, "remove"))
    try:
        assert {node: sh(node, on_hosts.format(common[node])) for node in NODES} == dict.fromkeys(NODES, "")
        assert on("cp1", "systemctl", "is-active", "nodewise-guard") == "active"
        assert sh("cp1", in_cluster) == ""
        assert set(changed(play(role(tmp_path, "remove"))).values()) == {0}
    finally:
        # No group, variable or fact of this collection's: only the nodes, and admin rights on the control machine.
        play("playbooks/lab_access.yml")
        lines = [f"{node} ansible_host={address(node)} ansible_user=root ansible_ssh_private_key_file={ROOT}/.lab/{LAB}/id_ed25519" for node in NODES]
        options = f"ansible_ssh_common_args='-o UserKnownHostsFile={ROOT}/.lab/{LAB}/known_hosts'"
        inventory = tmp_path / "foreign.ini"
        admin = [f"reporter_admin_kubeconfig={ROOT}/.lab/{LAB}/kubeconfig", f"reporter_kubectl={ROOT}/.lab/{LAB}/kubectl", "reporter_api_host=localhost"]
        inventory.write_text("\n".join(["localhost ansible_connection=local", "[nodes]", *lines, "[nodes:vars]", options, *admin]) + "\n")
        out = play(role(tmp_path, hosts="nodes"), inventory=inventory)
        assert set(changed(out).values()) == {1, 2}
        assert set(changed(play(role(tmp_path, hosts="nodes"), inventory=inventory)).values()) == {0}
        play(role(tmp_path))
    until("all nodes report", 30, lambda: set(reports()) == set(NODES) and all(reports().values()))


def address(node: str) -> str:
    return kubectl("get", "node", node, "-o", "jsonpath={.status.addresses[?(@.type=='InternalIP')].address}")
