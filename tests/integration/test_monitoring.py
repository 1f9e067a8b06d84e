# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Prometheus Operator and Prometheus on the lab: targets, mutual TLS, an alert, rotation, removal.

Needs the lab NODEWISE_LAB with a cluster, reporters and the guard, and leaves it as it was, without monitoring.
"""

from __future__ import annotations

import json
import re
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import lab
import pytest
from lab import ansible, changed

NAMESPACE = "nodewise-monitoring"
HOSTS = ("cp1", "w1", "w2")
# Asks Prometheus on cp1 through the API server and the kubelet, as an operator would.
ASK = """
import re, subprocess, sys, urllib.request
forward = subprocess.Popen(sys.argv[2:], stdout=subprocess.PIPE, text=True)
try:
    port = re.search(r"127.0.0.1:(\\d+)", forward.stdout.readline()).group(1)
    print(urllib.request.urlopen(f"http://127.0.0.1:{port}{sys.argv[1]}", timeout=20).read().decode())
finally:
    forward.terminate()
"""
# Asks a daemon for its metrics over TLS without looking at its certificate, and shows one itself if there is an argument.
SCRAPE = """
import http.client, ssl, sys
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
if len(sys.argv) > 3:
    context.load_cert_chain(sys.argv[3])
connection = http.client.HTTPSConnection(sys.argv[1], int(sys.argv[2]), context=context, timeout=10)
try:
    connection.request("GET", "/metrics")
    print(connection.getresponse().status)
except (OSError, http.client.HTTPException) as error:
    print(type(error).__name__, error)
"""


CERTIFICATES = """
- hosts: control_plane:workers
  gather_facts: false
  become: true
  tasks:
    - nodewise.cluster.host_facts:
    - ansible.builtin.import_role: {name: nodewise.cluster.monitoring, tasks_from: certificates}
"""


on = partial(lab.on, timeout=120)
kubectl = partial(lab.kubectl, timeout=120)


def ask(path: str) -> Any:
    forward = (*lab.KUBECTL, f"--namespace={NAMESPACE}", "port-forward", "pod/prometheus-nodewise-0", ":9090")
    return json.loads(on("cp1", "python3", "-c", ASK, path, *forward))["data"]


def targets() -> dict[tuple[str, str], str]:
    """Return what is wrong with each target; empty for one that is up."""
    found = ask("/api/v1/targets?state=active")["activeTargets"]
    return {
        (one["labels"]["job"], one["labels"].get("node", "")): one["lastError"] if one["health"] == "up" else one["lastError"] or "not yet" for one in found
    }


def firing(node: str) -> set[str]:
    query = urllib.parse.quote(f'ALERTS{{alertstate="firing", node="{node}"}}')
    return {one["metric"]["alertname"] for one in ask(f"/api/v1/query?query={query}")["result"]}


until = partial(lab.until, pause=3, state=lambda: f"; targets: {targets()}")


def play(state: str, *arguments: str, playbook: str = "playbooks/monitoring.yml") -> str:
    values = ("-e", f"monitoring_state={state}", "-e", "monitoring_missing_minutes=1")
    out = ansible("ansible-playbook", playbook, *arguments, *values, timeout=550)
    assert "PRIVATE KEY" not in out
    return out


def changes(output: str) -> int:
    return sum(changed(output).values())


def address(host: str) -> str:
    return kubectl("get", "node", host, "-o", 'jsonpath={.status.addresses[?(@.type=="InternalIP")].address}')


def main_pid(host: str, unit: str = "nodewise-reporter") -> str:
    return on(host, "systemctl", "show", "--value", "--property=MainPID", unit)


@pytest.fixture(scope="module", autouse=True)
def watched() -> Iterator[None]:
    play("present", "--check")
    play("present")
    yield
    on("w2", "systemctl", "start", "nodewise-reporter", check=False)
    play("absent")


def test_a_second_run_changes_nothing() -> None:
    assert changes(play("present")) == 0


def test_every_target_is_up() -> None:
    expected = {("kube-apiserver", ""), ("nodewise-guard", "cp1"), *((job, host) for job in ("nodewise-reporter", "kubelet") for host in HOSTS)}
    until("every target is up", 120, lambda: targets() == dict.fromkeys(expected, ""))


def test_rules_are_evaluated_on_real_samples() -> None:
    until(
        "use is recorded",
        120,
        lambda: {one["metric"]["node"] for one in ask("/api/v1/query?query=node:nodewise_cpu_used:ratio")["result"]} == set(HOSTS),
    )
    rules = [rule for group in ask("/api/v1/rules")["groups"] for rule in group["rules"]]
    assert Counter(rule["health"] for rule in rules) == {"ok": len(rules)}
    assert len(rules) > 20


def test_only_prometheus_is_let_in() -> None:
    for port in ("10270", "10271"):
        where = address("cp1"), port
        # Each of these completes TLS 1.3's handshake on its side and is refused then.
        for certificate in ((), ("/var/lib/kubelet/pki/kubelet-client-current.pem",), ("/etc/nodewise/pki/metrics.pem",)):
            assert "Error" in on("w1", "python3", "-c", SCRAPE, *where, *certificate), (port, certificate)
    plain = on("w1", "python3", "-c", f"import urllib.request; urllib.request.urlopen('http://{address('w2')}:10270/metrics', timeout=5)", check=False)
    assert plain == ""


def test_prometheus_is_not_open_to_everyone() -> None:
    pod = json.loads(kubectl("get", "pod", "prometheus-nodewise-0", f"--namespace={NAMESPACE}", "-o", "json"))
    other = next(host for host in HOSTS if host != pod["spec"]["nodeName"])
    where = f"('{pod['status']['podIP']}', 9090)"
    said = on(other, "python3", "-c", f"import socket\ntry: socket.create_connection({where}, 5)\nexcept TimeoutError: print('no answer')")
    assert said == "no answer"


def test_an_alert_fires_for_a_reporter_that_is_stopped() -> None:
    on("w2", "systemctl", "stop", "nodewise-reporter")
    # 30 s to the next scrape, one minute's patience, 30 s to the next evaluation.
    took = until("the alert fires", 180, lambda: "NodewiseReporterDown" in firing("w2"))
    assert firing("w1") == set()
    on("w2", "systemctl", "start", "nodewise-reporter")
    until("it is resolved", 120, lambda: "NodewiseReporterDown" not in firing("w2"))
    print(f"the alert fired after {took:.0f} s")


def test_certificates_rotate_without_a_restart(tmp_path: Path) -> None:
    # Without the roles reporter and guard, so that nothing but the daemons themselves can take the new ones over.
    playbook = tmp_path / "certificates.yml"
    playbook.write_text(CERTIFICATES)

    def serial(host: str, port: int) -> str:
        script = f"openssl s_client -connect {address(host)}:{port} </dev/null 2>/dev/null | openssl x509 -noout -serial"
        return on("cp1", "sh", "-c", script)

    places = (("w2", 10270, "nodewise-reporter"), ("cp1", 10270, "nodewise-reporter"), ("cp1", 10271, "nodewise-guard"))
    before = [(serial(host, port), main_pid(host, unit)) for host, port, unit in places]
    for host in ("w2", "cp1"):
        on(host, "rm", "/etc/nodewise/pki/metrics.pem")
    assert changes(play("present", playbook=str(playbook))) == 4  # on both hosts a key, then its certificate
    after = [(serial(host, port), main_pid(host, unit)) for host, port, unit in places]
    for (old, old_pid), (new, new_pid) in zip(before, after, strict=True):
        assert old != new
        assert old_pid == new_pid
    until("every target is up with the new ones", 120, lambda: not any(targets().values()))


def test_removal_leaves_nothing() -> None:
    assert changes(play("absent", "--check")) > 0
    assert changes(play("absent")) > 0
    assert kubectl("get", "namespace", NAMESPACE, "--ignore-not-found") == ""
    assert kubectl("get", "clusterroles,clusterrolebindings,roles,rolebindings", "-A", "-o", "name").count("prometheus") == 0
    assert "monitoring.coreos.com" not in kubectl("get", "crd", "-o", "name")
    for host in HOSTS:
        assert on(host, "sh", "-c", "ls -d /etc/nodewise/pki /var/lib/private/nodewise-guard/metrics.pem 2>/dev/null", check=False) == ""
        assert not re.search(rf"{re.escape(address(host))}:1027[01]", on(host, "ss", "-ltn")), host
        assert on(host, "python3", "-c", "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:10270/healthz').status)") == "200"
    assert changes(play("absent")) == 0
