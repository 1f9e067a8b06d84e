# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The provider and standby hosts of a lab, with real pods and real kubeadm joins.

A client of ours plays cluster-autoscaler: its calls in its own order every 10 s, each with its 5 s, over mutual TLS with its own certificate; it finds
pods that are unschedulable, and before it lets a node go it taints, drains and cordons it. Where the real one is deployed, the same is asked of it.

Needs the lab NODEWISE_LAB with a cluster made with autoscaler_state=present, and leaves it so, but for the last test.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import grpc
import lab
import pytest
from lab import ROOT, ansible, changed, execute, kubectl, on

sys.path.insert(0, str(ROOT / "benchmarks" / "autoscaler"))

from ansible_collections.nodewise.cluster.plugins.module_utils.api.client import ApiClient  # noqa: E402
from ansible_collections.nodewise.cluster.plugins.module_utils.autoscaler.contract import RUNNING  # noqa: E402
from client import Autoscaler, refused  # noqa: E402

GROUP, HOST, PROVIDER_ID = "standby", "s1", "nodewise://nodewise/s1"
PKI = "/etc/nodewise/autoscaler"
PAUSE = "registry.k8s.io/pause:3.10.2"
BURST = "autoscaler-burst"
REPORTER = "nodewise-reporter"
SCAN = 10.0
RUNS = int(os.environ.get("NODEWISE_RUNS", "2"))
# What issue 7 asks for, as the median; scanning takes up to 10 s of it.
TARGET = 30.0


def ask_host(command: str, *, key: str = f"{PKI}/id_ed25519", options: tuple[str, ...] = (), stdin: str = "") -> CompletedProcess[str]:
    """Ask the standby host something over SSH, from the control plane."""
    config = json.loads(on("cp1", "cat", "/etc/nodewise/autoscaler.json"))
    address = config["groups"][GROUP]["hosts"][HOST]["address"]
    ssh = ["ssh", "-F", "none", "-i", key, "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=yes"]
    ssh += ["-o", f"UserKnownHostsFile={PKI}/known_hosts", *options, f"root@{address}", command]
    return execute("cp1", *ssh, stdin=stdin, timeout=60)


def host_state() -> str:
    return str(json.loads(ask_host("status").stdout)["state"])


def said() -> str:
    """Return what the provider and the host have logged last."""
    provider = on("cp1", "journalctl", "-u", "nodewise-autoscaler", "-n", "30", "--no-pager")
    return f"\n{provider}\n{on(HOST, 'journalctl', '-t', 'nodewise-standby', '-n', '15', '--no-pager')}"


until = partial(lab.until, pause=0.2, state=said)


class Cluster:
    """The API server, asked with the administrator's rights from this machine."""

    def __init__(self, kubeconfig: Path) -> None:
        kubeconfig.write_text(on("cp1", "cat", "/etc/kubernetes/admin.conf"))
        self._client = ApiClient(str(kubeconfig))
        # The player asks from a thread of its own.
        self._lock = threading.Lock()

    def close(self) -> None:
        self._client.close()

    def get(self, path: str) -> Any:
        with self._lock:
            answer = self._client.get(path)
        return answer.value() if answer.ok else None

    def nodes(self) -> dict[str, Any]:
        return {item["metadata"]["name"]: item for item in self.get("/api/v1/nodes")["items"]}

    def pods(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get(f"/api/v1/namespaces/default/pods?labelSelector=app%3D{BURST}")["items"]
        return [pod for pod in found if not pod["metadata"].get("deletionTimestamp")]

    def report(self) -> Any:
        return self.get(f"/apis/nodewise.dev/v1alpha1/nodereports/{HOST}")

    def is_reported(self) -> bool:
        """Whether the host's NodeReport is that of the Node that it is now, and has not expired."""
        report, node = self.report(), self.nodes().get(HOST)
        if not (report and node and report.get("status")):
            return False
        owners = [owner["uid"] for owner in report["metadata"]["ownerReferences"]]
        moments = [datetime.fromisoformat(report["status"][name]).timestamp() for name in ("observedAt", "expiresAt")]
        made = datetime.fromisoformat(node["metadata"]["creationTimestamp"]).timestamp()
        return owners == [node["metadata"]["uid"]] and made <= moments[0] <= time.time() < moments[1]

    def is_ready(self, name: str) -> bool:
        node = self.get(f"/api/v1/nodes/{name}")
        return bool(node) and any(one["type"] == "Ready" and one["status"] == "True" for one in node["status"].get("conditions", []))


def unschedulable(pods: list[dict[str, Any]]) -> int:
    """Return for how many pods the autoscaler would want a node."""
    return sum(any(one["type"] == "PodScheduled" and one.get("reason") == "Unschedulable" for one in pod["status"].get("conditions", [])) for pod in pods)


@dataclass
class Player:
    """Plays cluster-autoscaler: a scan every 10 s, one host for pods that fit nowhere, as long as the group has one."""

    scaler: Autoscaler
    cluster: Cluster
    decided: list[float] = field(default_factory=list)
    failure: str = ""
    _stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(20)
        assert not self.failure, self.failure

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self.scan()
                self._stop.wait(SCAN)
        except Exception as error:
            self.failure = f"{type(error).__name__}: {error}"

    def scan(self) -> None:
        nodes = [(node["spec"].get("providerID", ""), name) for name, node in self.cluster.nodes().items()]
        self.scaler.round(nodes)
        ready = sum(self.cluster.is_ready(name) for _provider, name in nodes)
        # What is coming is counted as if it were there.
        if unschedulable(self.cluster.pods()) and self.scaler.target(GROUP) == 0 and ready:
            self.scaler.increase(GROUP, 1)
            assert self.scaler.target(GROUP) == 1
            self.decided.append(time.monotonic())


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("cluster") / "admin.conf")
    yield cluster
    cluster.close()


def connect(certificate: str = "client") -> Autoscaler:
    listen = json.loads(on("cp1", "cat", "/etc/nodewise/autoscaler.json"))["listen"]
    authority, *pair = (on("cp1", "cat", f"{PKI}/{name}").encode() for name in ("ca.crt", f"{certificate}.key", f"{certificate}.crt"))
    return Autoscaler(listen, grpc.ssl_channel_credentials(authority, *pair))


@pytest.fixture
def scaler() -> Iterator[Autoscaler]:
    scaler = connect()
    until("the provider answers", 60, lambda: refused(scaler.call, "Refresh") == "")
    yield scaler
    scaler.close()


@pytest.fixture(scope="module")
def real() -> bool:
    """Return whether the real cluster-autoscaler runs here: it would decide beside the client that plays it."""
    return bool(kubectl("get", "deployment", "cluster-autoscaler", "-n", "kube-system", "--ignore-not-found"))


@pytest.fixture(autouse=True)
def rested(cluster: Cluster, real: bool, request: pytest.FixtureRequest) -> Iterator[None]:
    """Begin and end with a prepared host, whatever a test that failed has left."""
    if real != request.node.name.startswith("test_the_real"):
        pytest.skip(f"the real cluster-autoscaler {'runs' if real else 'does not run'} here")
    yield
    if real:
        return
    kubectl("delete", "deployment", BURST, "--ignore-not-found", "--wait=true")
    if on("cp1", "systemctl", "is-active", "nodewise-autoscaler", check=False) != "active":
        return
    scaler = connect()
    until("the provider answers", 60, lambda: refused(scaler.call, "Refresh") == "")
    if scaler.target(GROUP):
        scaler.delete(GROUP, PROVIDER_ID)
    until("the host is prepared again", 120, lambda: HOST not in cluster.nodes() and not scaler.instances(GROUP) and host_state() == "prepared", pause=1)
    scaler.close()


def reporter_runs() -> bool:
    state = on(HOST, "systemctl", "is-active", REPORTER, check=False)
    assert state in ("active", "inactive", "activating"), state
    return state != "inactive" or bool(on(HOST, "pgrep", "-f", "nodewise.reporter.main", check=False))


def burst(replicas: int = 2) -> None:
    """Make pods that fit on no node there is."""
    names = [node["metadata"]["name"] for node in json.loads(kubectl("get", "nodes", "-o", "json"))["items"]]
    term = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "NotIn", "values": names}]}
    pod = {
        "containers": [{"name": "pause", "image": PAUSE, "resources": {"requests": {"cpu": "10m", "memory": "10Mi"}}}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}},
        "terminationGracePeriodSeconds": 1,
    }
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": BURST}}, "template": {"metadata": {"labels": {"app": BURST}}, "spec": pod}}
    kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": BURST}, "spec": spec}))


def scale_down(scaler: Autoscaler, cluster: Cluster) -> float:
    """Let the node go as the autoscaler does; return how long it took until the host was prepared again."""
    kubectl("delete", "deployment", BURST, "--wait=true")
    kubectl("taint", "node", HOST, "ToBeDeletedByClusterAutoscaler=1:NoSchedule", "--overwrite")
    kubectl("drain", HOST, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=60s")
    begin = time.monotonic()
    scaler.delete(GROUP, PROVIDER_ID)
    assert scaler.target(GROUP) == 0
    # Asked again, it must not count twice.
    assert refused(scaler.delete, GROUP, PROVIDER_ID) == ""
    assert scaler.target(GROUP) == 0
    until("the Node is gone", 60, lambda: HOST not in cluster.nodes())
    until("the group has no instance", 60, lambda: scaler.instances(GROUP) == {})
    took = time.monotonic() - begin
    assert host_state() == "prepared"
    assert not reporter_runs()
    until("its report is gone", 60, lambda: cluster.report() is None)
    return took


def test_the_real_cluster_autoscaler_has_a_host_join_and_leave(cluster: Cluster) -> None:
    """Only where a mirror or the official registry has given its image."""
    arguments = f"active=true image={PAUSE} timeout=90 leave_timeout=300"
    asked = ("cp1", "-b", "-m", "nodewise.cluster.cluster_autoscaler_info", "-a", arguments)
    out = ansible("ansible", *asked, timeout=600)
    trial = {name: float(value) for name, value in re.findall(r"^ +(running|left): ([0-9.]+)$", out, re.MULTILINE)}
    print(f"\nthe real one: pending to running {trial['running']} s, from idle to gone {trial['left']} s")
    assert trial["running"] <= TARGET + SCAN
    until("the host is prepared again", 60, lambda: HOST not in cluster.nodes() and host_state() == "prepared", pause=1)


def test_pods_that_fit_nowhere_run_on_a_host_that_joins_and_the_host_leaves_when_it_is_idle(scaler: Autoscaler, cluster: Cluster) -> None:
    before = {name: node["metadata"]["uid"] for name, node in cluster.nodes().items()}
    totals = []
    for run in range(1, RUNS + 1):
        # As the operator's luck has it: the pods come at any moment between two scans.
        player = Player(scaler, cluster)
        time.sleep(1 + (run * 3.7) % SCAN)
        begin = time.monotonic()
        burst()
        until("a decision", 30, lambda player=player: player.decided or player.failure)
        marks = {"scan and decision": player.decided[0]} if player.decided else {}
        until("the Node is registered", 60, lambda: HOST in cluster.nodes())
        marks["join"] = time.monotonic()
        until("the Node is Ready", 60, lambda: cluster.is_ready(HOST))
        marks["kubelet Ready, CNI"] = time.monotonic()
        until("a pod runs", 60, lambda: any(pod["status"]["phase"] == "Running" for pod in cluster.pods()))
        marks["pod"] = time.monotonic()
        until("the instance runs", 30, lambda: scaler.instances(GROUP).get(PROVIDER_ID) == (RUNNING, ""))
        player.stop()
        until("all pods run", 30, lambda: [pod["status"]["phase"] for pod in cluster.pods()] == ["Running"] * 2)
        assert {pod["spec"]["nodeName"] for pod in cluster.pods()} == {HOST}
        steps, last = [], begin
        for name, moment in marks.items():
            steps.append(f"{name} {moment - last:.1f} s")
            last = moment
        totals.append(last - begin)
        node = cluster.nodes()[HOST]
        config = json.loads(on("cp1", "cat", "/etc/nodewise/autoscaler.json"))["groups"][GROUP]["hosts"][HOST]
        assert node["spec"]["providerID"] == config["provider_id"] == PROVIDER_ID
        # What the template promised is what has come.
        assert {name: node["status"]["allocatable"][name] for name in ("cpu", "memory", "ephemeral-storage", "pods")} == {
            name: config["allocatable"][name] for name in ("cpu", "memory", "ephemeral-storage", "pods")
        }
        assert not [taint for taint in node["spec"].get("taints", []) if taint["key"].startswith("nodewise.dev/")]
        until("it reports what it uses", 60, cluster.is_reported)
        registered, first = (
            datetime.fromisoformat(text) for text in (node["metadata"]["creationTimestamp"], cluster.report()["metadata"]["creationTimestamp"])
        )
        left = scale_down(scaler, cluster)
        print(f"\nrun {run}: pending to running {totals[-1]:.1f} s ({', '.join(steps)}); from DeleteNodes to prepared {left:.1f} s")
        print(f"run {run}: from the Node to its first report {(first - registered).total_seconds():.0f} s")
    print(f"median of {RUNS}: {statistics.median(totals):.1f} s; calls took at most {max(max(times) for times in scaler.seconds.values()) * 1000:.0f} ms")
    assert statistics.median(totals) <= TARGET
    # No node but the host has come, gone or been replaced.
    assert {name: node["metadata"]["uid"] for name, node in cluster.nodes().items()} == before


def test_a_reporter_that_does_not_start_is_told_and_does_not_keep_the_host_from_joining(scaler: Autoscaler, cluster: Cluster) -> None:
    folder = f"/run/systemd/system/{REPORTER}.service.d"
    on(HOST, "sh", "-c", f"mkdir -p {folder} && cat > {folder}/broken.conf", stdin="[Service]\nExecStart=\nExecStart=/bin/false\n")
    try:
        on(HOST, "systemctl", "daemon-reload")
        scaler.increase(GROUP, 1)
        until("the instance runs", 120, lambda: scaler.instances(GROUP).get(PROVIDER_ID) == (RUNNING, ""))
        assert cluster.report() is None
        for host, unit in (("cp1", "--unit=nodewise-autoscaler"), (HOST, "--identifier=nodewise-standby")):
            assert f"The node does not report what it uses: {REPORTER}.service did not start" in on(host, "journalctl", unit, "--since=-2min", "--no-pager")
        scaler.delete(GROUP, PROVIDER_ID)
        until("the host has left", 120, lambda: scaler.instances(GROUP) == {} and host_state() == "prepared", pause=1)
        assert not reporter_runs()
    finally:
        on(HOST, "rm", "-r", folder)
        on(HOST, "systemctl", "daemon-reload")


def test_a_host_that_has_joined_is_configured_and_verified_as_a_worker_is(scaler: Autoscaler, cluster: Cluster, tmp_path: Path) -> None:
    scaler.increase(GROUP, 1)
    until("the instance runs", 120, lambda: scaler.instances(GROUP).get(PROVIDER_ID) == (RUNNING, ""))
    until("it reports what it uses", 60, cluster.is_reported)
    site = ["ansible-playbook", "playbooks/site.yml", f"--limit={HOST}", "--skip-tags=verify", "-e", '{"kubelet_max_pods": 107}']
    assert changed(ansible(*site, "--check"))[HOST] > 0
    assert cluster.get(f"/api/v1/nodes/{HOST}/proxy/configz")["kubeletconfig"]["maxPods"] == 110
    assert changed(ansible(*site))[HOST] > 0
    assert cluster.get(f"/api/v1/nodes/{HOST}/proxy/configz")["kubeletconfig"]["maxPods"] == 107
    assert changed(ansible(*site)) == {HOST: 0}
    kept = tmp_path / "verify.json"
    ansible("ansible-playbook", "playbooks/verify.yml", f"--limit={HOST}", "-e", f"verify_json={kept}")
    found = json.loads(kept.read_text())
    assert (found["verdict"], found["scope"]) == ("pass", [HOST])
    checks = {check["check"] for check in found["checks"] if check["node"] == HOST and check["status"] == "ok"}
    assert checks >= {"node.registered", "kubelet.healthy", "resources.report.age"}


def test_a_provider_that_is_killed_in_the_middle_of_a_join_loses_nothing(scaler: Autoscaler, cluster: Cluster) -> None:
    scaler.increase(GROUP, 1)
    until("kubeadm runs", 30, lambda: on(HOST, "pgrep", "-f", "kubeadm join", check=False), pause=0.05)
    on("cp1", "systemctl", "kill", "--signal=KILL", "nodewise-autoscaler")
    until("the provider answers again", 90, lambda: refused(scaler.call, "Refresh") == "")
    assert scaler.target(GROUP) == 1
    until("the instance runs", 120, lambda: refused(scaler.instances, GROUP) == "" and scaler.instances(GROUP).get(PROVIDER_ID) == (RUNNING, ""))
    assert cluster.is_ready(HOST)
    assert host_state() == "joined"


def test_a_join_that_is_killed_on_the_host_is_done_again(scaler: Autoscaler, cluster: Cluster) -> None:
    scaler.increase(GROUP, 1)
    until("kubeadm runs", 30, lambda: on(HOST, "pgrep", "-f", "kubeadm join", check=False), pause=0.05)
    on(HOST, "pkill", "-KILL", "-f", "nodewise.standby.main|kubeadm join")
    # It is told, and the host is clean for the next attempt.
    until("the failure is told or mended", 120, lambda: scaler.instances(GROUP).get(PROVIDER_ID) != (2, ""), pause=1)
    if scaler.target(GROUP) == 0:
        until("it may be tried again", 200, lambda: refused(scaler.increase, GROUP, 1) == "", pause=2)
    until("the instance runs", 120, lambda: scaler.instances(GROUP).get(PROVIDER_ID) == (RUNNING, ""))
    assert cluster.is_ready(HOST)


def test_a_node_that_was_deleted_by_hand_does_not_keep_its_host(scaler: Autoscaler, cluster: Cluster) -> None:
    scaler.increase(GROUP, 1)
    until("the instance runs", 120, lambda: scaler.instances(GROUP).get(PROVIDER_ID) == (RUNNING, ""))
    kubectl("delete", "node", HOST)
    until("the host has left", 120, lambda: scaler.instances(GROUP) == {} and host_state() == "prepared", pause=1)
    assert scaler.target(GROUP) == 0


def test_a_template_and_foreign_nodes_are_answered(scaler: Autoscaler, cluster: Cluster) -> None:
    for name, node in cluster.nodes().items():
        assert scaler.group_of(node["spec"]["providerID"], name) == ""
    assert scaler.group_of(PROVIDER_ID, fake=True) == GROUP
    assert scaler.group_of("aws:///eu-1/i-1", "x") == ""
    assert refused(scaler.call, "NodeGroupGetOptions") == "UNIMPLEMENTED"
    assert scaler.call("NodeGroupTemplateNodeInfo", id=GROUP).nodeBytes


def test_only_the_autoscalers_certificate_gets_in() -> None:
    # A server's certificate of the same authority is no client's.
    wrong = connect("server")
    assert refused(wrong.call, "Refresh") == "UNAVAILABLE"
    wrong.close()
    plain = Autoscaler(json.loads(on("cp1", "cat", "/etc/nodewise/autoscaler.json"))["listen"], None)
    assert refused(plain.call, "Refresh") == "UNAVAILABLE"
    plain.close()


@pytest.mark.parametrize("command", ["", "sh", "join; id", "status extra", "scp -t /tmp"])
def test_the_key_opens_nothing_else(command: str) -> None:
    assert "is not allowed here" in ask_host(command).stdout


def test_the_key_gives_neither_terminal_nor_forwarding() -> None:
    assert "PTY allocation request failed" in ask_host("status", options=("-tt",)).stderr
    assert "administratively prohibited" in ask_host("status", options=("-W", "127.0.0.1:22")).stderr
    assert json.loads(ask_host("status").stdout)["ok"]


def test_the_key_works_from_the_control_plane_alone() -> None:
    key = on("cp1", "cat", f"{PKI}/id_ed25519")
    known = on("cp1", "cat", f"{PKI}/known_hosts")
    on("w1", "sh", "-c", "mkdir -p -m 700 /root/stolen && cat > /root/stolen/key && chmod 600 /root/stolen/key", stdin=key + "\n")
    try:
        address = known.split(" ")[0]
        on("w1", "sh", "-c", "cat > /root/stolen/known_hosts", stdin=known + "\n")
        ssh = [
            "ssh",
            "-F",
            "none",
            "-i",
            "/root/stolen/key",
            "-o",
            "BatchMode=yes",
            "-o",
            "UserKnownHostsFile=/root/stolen/known_hosts",
            f"root@{address}",
            "status",
        ]
        done = execute("w1", *ssh, timeout=60)
        assert done.returncode == 255
        assert "Permission denied" in done.stderr
    finally:
        on("w1", "rm", "-rf", "/root/stolen")


def test_a_wrong_document_changes_nothing_and_says_why() -> None:
    own = json.loads(on(HOST, "cat", "/etc/nodewise/standby.json"))
    # Right but for its token, which is nobody's, and for what is changed below.
    right = {"token": f"abcdef.{'0' * 16}", "node_name": HOST, "provider_id": PROVIDER_ID, "endpoint": own["endpoint"], "ca_cert_hashes": own["ca_cert_hashes"]}
    for stdin, message in (
        ("{", "is not JSON"),
        ('{"node_name": "w1"}', "but this host is 's1'"),
        ("{}", "lacks token"),
        (json.dumps({**right, "endpoint": "192.0.2.66:6443"}), "but this host may join"),
        (json.dumps({**right, "ca_cert_hashes": [f"sha256:{'0' * 64}"]}), "which is no CA of the cluster"),
    ):
        answer = json.loads(ask_host("join", stdin=stdin).stdout)
        assert (answer["ok"], message in answer["reason"]) == (False, True)
    assert host_state() == "prepared"


def play(state: str, folder: Path) -> str:
    path = folder / "autoscaler.yml"
    tasks = "  tasks:\n    - nodewise.cluster.host_facts:\n    - ansible.builtin.import_role: {name: nodewise.cluster.autoscaler}\n"
    path.write_text(f"- hosts: control_plane:workers:standby\n  gather_facts: false\n  become: true\n{tasks}")
    return ansible("ansible-playbook", str(path), "-e", f"autoscaler_state={state}")


def test_a_host_that_is_in_no_group_any_more_loses_the_key(tmp_path: Path) -> None:
    line = on(HOST, "sh", "-c", "grep -h nodewise-autoscaler@ /root/.ssh/*")
    try:
        # What it kept as a standby host, sshd being set otherwise then.
        on("w1", "sh", "-c", "cat > /root/former_keys", stdin=line + "\n")
        on("w1", "sh", "-c", "cat > /etc/nodewise/standby.json", stdin='{"keys_file": "/root/former_keys"}')
        play("present", tmp_path)
        assert on("w1", "ls", "/root/former_keys", "/etc/nodewise/standby.json", check=False) == ""
        assert "nodewise-autoscaler@" in on(HOST, "sh", "-c", "cat /root/.ssh/*")
    finally:
        on("w1", "rm", "-f", "/root/former_keys", "/etc/nodewise/standby.json")


def test_all_of_it_can_be_removed_and_brought_back(tmp_path: Path) -> None:
    play("absent", tmp_path)
    for path in ("/etc/nodewise/autoscaler", "/etc/nodewise/autoscaler.json", "/opt/nodewise/autoscaler", "/etc/systemd/system/nodewise-autoscaler.service"):
        assert on("cp1", "ls", path, check=False) == "", path
    assert "nodewise-autoscaler" not in on(HOST, "sh", "-c", "cat /root/.ssh/*")
    assert on(HOST, "ls", "/opt/nodewise/standby", "/etc/nodewise/standby.json", check=False) == ""
    for kind in ("secret,configmap,lease,serviceaccount,deployment,pdb", "clusterrole,clusterrolebinding,validatingadmissionpolicy"):
        assert "autoscaler" not in kubectl("get", kind, "--all-namespaces", "-o", "name").replace("horizontal-pod-autoscaler", "")
    assert set(changed(play("absent", tmp_path)).values()) == {0}
    play("present", tmp_path)
    assert set(changed(play("present", tmp_path)).values()) == {0}
