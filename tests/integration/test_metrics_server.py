# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""metrics-server and the kubelets' serving certificates on a real cluster, judged by kubectl top, openssl and the signer.

Needs the lab NODEWISE_LAB with a cluster, reporters and the guard, and leaves it as it was, with metrics-server.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from lab import KUBECTL, ansible, changed, execute, kubectl, module, on, until

API_SERVICE = "v1beta1.metrics.k8s.io"
MINE = "app.kubernetes.io/name=metrics-server"
SERVING = "kubernetes.io/kubelet-serving"
# Two rounds over the kubelets, and what the machine's other work takes.
FIGURES = 120


def get(*arguments: str) -> Any:
    return json.loads(kubectl("get", *arguments, "-o", "json"))


def addresses() -> dict[str, str]:
    """Return each node's address."""
    return {
        item["metadata"]["name"]: next(one["address"] for one in item["status"]["addresses"] if one["type"] == "InternalIP") for item in get("nodes")["items"]
    }


def play(tmp_path: Path, *arguments: str) -> int:
    """Run the role and return how many of its tasks changed something."""
    path = tmp_path / "metrics.yml"
    path.write_text("- hosts: control_plane\n  gather_facts: false\n  become: true\n  roles: [nodewise.cluster.metrics_server]\n")
    return changed(ansible("ansible-playbook", str(path), *arguments))["cp1"]


@pytest.fixture(scope="module", autouse=True)
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("metrics")
    play(folder)
    yield
    play(folder)


# -- figures -------------------------------------------------------------------------------------------------------------


def top(what: str, *more: str) -> list[list[str]]:
    return [line.split() for line in kubectl("top", what, "--no-headers", *more, check=False).splitlines()]


def test_top_has_figures_of_every_node_and_pod() -> None:
    until("figures of every node", FIGURES, lambda: len(top("nodes")) == len(addresses()))
    nodes = top("nodes")
    assert {line[0] for line in nodes} == set(addresses())
    for _name, cpu, _share, memory, _percent in nodes:
        assert int(cpu.removesuffix("m")) > 0 and int(memory.removesuffix("Mi")) > 100

    def lacking() -> set[str]:
        # A pod that has just started has no figures yet, one whose node has just left is listed for a while.
        running = {item["metadata"]["name"] for item in get("pods", "-A", "--field-selector=status.phase=Running")["items"]}
        return running - {line[1] for line in top("pods", "-A")}

    until("figures of every pod", FIGURES, lambda: not lacking())
    assert any(line[1].startswith("metrics-server-") for line in top("pods", "-A"))


@pytest.mark.parametrize("host", ["cp1", "w1", "w2"])
def test_verification_finds_them_right(host: str) -> None:
    admin = kubectl("config", "view", "--raw", "--minify", "--flatten")
    on(host, "sh", "-c", "umask 077; cat > /run/metrics-test.conf", stdin=admin)
    try:
        wanted = {"kubeconfig": "/run/metrics-test.conf", "checks": ["metrics", "certificate", "memory", "cpu"], "window": 5, "fail_on": []}
        checks = {one["check"].removeprefix("resources."): one for one in module(host, "verify_node_resources", **wanted)["checks"]}
    finally:
        on(host, "rm", "/run/metrics-test.conf")
    assert {checks[name]["status"] for name in ("metrics.available", "metrics.node", "certificate")} == {"ok"}
    # Measured at another time, so these may warn on a machine that is busy; a figure of another thing would be far away.
    assert {checks[f"{what}.metrics-api"]["status"] for what in ("memory", "cpu") if f"{what}.metrics-api" in checks} <= {"ok", "warn"}
    assert checks["memory.node"]["status"] == "ok"


def test_they_stand_in_where_there_is_no_report() -> None:
    on("w2", "systemctl", "stop", "nodewise-reporter.service")
    try:
        kubectl("delete", "nodereport", "w2")
        (node,) = [one for one in module("cp1", "cluster_resources_info")["nodes"] if one["name"] == "w2"]
        assert {node["used"][what]["source"] for what in ("cpu", "memory")} == {"metrics API"}
        mebibytes = next(int(line[3].removesuffix("Mi")) for line in top("nodes") if line[0] == "w2")
        assert abs(node["used"]["memory"]["value"] / 2**20 - mebibytes) <= 0.2 * mebibytes
    finally:
        on("w2", "systemctl", "start", "nodewise-reporter.service")
    until("w2 reports again", 90, lambda: kubectl("get", "nodereport", "w2", "--ignore-not-found"))


# -- certificates --------------------------------------------------------------------------------------------------------


def shake(address: str, port: int, *verify: str) -> str:
    """Return what openssl says of a server's certificate, from the control plane."""
    done = execute("cp1", "openssl", "s_client", "-connect", f"{address}:{port}", "-verify_return_error", *verify)
    out = done.stdout + done.stderr
    found = re.findall(r"Verif\w+(?: return code)?: (?:\d+ \()?([\w ]+)\)?|verify error:num=\d+:(.*)", out)
    return next((one or other for one, other in found if one or other), out)


def test_openssl_trusts_every_kubelet_by_the_clusters_authority() -> None:
    found = addresses()
    for address in found.values():
        assert shake(address, 10250, "-CAfile", "/etc/kubernetes/pki/ca.crt", "-verify_ip", address).upper() == "OK"
    # And would notice another's.
    assert "mismatch" in shake(found["w1"], 10250, "-CAfile", "/etc/kubernetes/pki/ca.crt", "-verify_ip", found["w2"])


def test_openssl_trusts_metrics_server_by_its_api_services_bundle() -> None:
    spec = get("apiservice", API_SERVICE)["spec"]
    assert not spec.get("insecureSkipTLSVerify")
    on("cp1", "sh", "-c", "cat > /run/metrics-test.crt", stdin=base64.b64decode(spec["caBundle"]).decode())
    try:
        address = get("service", "metrics-server", "--namespace=kube-system")["spec"]["clusterIP"]
        trusted = ("-partial_chain", "-CAfile", "/run/metrics-test.crt")
        assert shake(address, 443, *trusted, "-verify_hostname", "metrics-server.kube-system.svc").upper() == "OK"
        assert "mismatch" in shake(address, 443, *trusted, "-verify_hostname", "kubernetes.default.svc")
    finally:
        on("cp1", "rm", "/run/metrics-test.crt")


def test_logs_and_exec_work_on_every_node() -> None:
    listed = get("pods", "-n", "kube-system", "-l", "k8s-app=calico-node")["items"]
    # One whose node has just left is listed for a while.
    pods = {item["spec"]["nodeName"]: item["metadata"]["name"] for item in listed if item["spec"]["nodeName"] in addresses()}
    assert len(pods) == len(addresses())
    for pod in pods.values():
        assert kubectl("-n", "kube-system", "logs", pod, "-c", "calico-node", "--tail=1")
        assert kubectl("-n", "kube-system", "exec", pod, "-c", "calico-node", "--", "echo", "here") == "here"


@contextmanager
def requested(name: str, subject: str, names: str, usages: tuple[str, ...] = ("digital signature", "server auth")) -> Iterator[None]:
    """Ask for a certificate with w1's own credentials, as whoever holds that host could."""
    make = f"openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /dev/null -subj '{subject}' -addext 'subjectAltName={names}'"
    body = {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": name},
        "spec": {"signerName": SERVING, "usages": list(usages), "request": base64.b64encode(on("w1", "sh", "-c", make).encode() + b"\n").decode()},
    }
    on("w1", "kubectl", "--kubeconfig=/etc/kubernetes/kubelet.conf", "create", "-f", "-", stdin=json.dumps(body))
    try:
        yield
    finally:
        kubectl("delete", "csr", name)


def conditions(name: str) -> list[str]:
    return [one["type"] for one in get("csr", name).get("status", {}).get("conditions", [])]


def guard_says(text: str) -> bool:
    return text in on("cp1", "journalctl", "-u", "nodewise-guard", "--since=-5min", "--no-pager")


def test_a_foreign_address_or_name_is_not_approved_and_the_right_one_is() -> None:
    found = addresses()
    own = "/O=system:nodes/CN=system:node:w1"
    wrong = {
        "test-address": (own, f"DNS:w1,IP:{found['cp1']}", f"{found['cp1']} is not w1's"),
        "test-extra": (own, f"DNS:w1,IP:{found['w1']},IP:10.96.0.1", "10.96.0.1 is not w1's"),
        "test-name": (own, f"DNS:w1,DNS:kubernetes.default.svc,IP:{found['w1']}", "kubernetes.default.svc is not w1's"),
        # Another node's common name is refused by the API server itself, another organization is not.
        "test-organization": ("/O=system:masters/CN=system:node:w1", f"DNS:w1,IP:{found['w1']}", "its organization is system:masters"),
    }
    for name, (subject, names, why) in wrong.items():
        with requested(name, subject, names):
            until(f"the guard refuses {name}", 30, lambda name=name, why=why: guard_says(f"{name} is not approved: w1: {why}"))
            assert conditions(name) == []
            assert "certificate" not in get("csr", name).get("status", {})
    with requested("test-right", own, f"DNS:w1,IP:{found['w1']}"):
        until("the guard approves the right one", 30, lambda: conditions("test-right") == ["Approved"])
        # The signer, who has rules of his own, agrees.
        until("the signer signs", 30, lambda: "certificate" in get("csr", "test-right")["status"])


def test_a_kubelet_that_lost_its_certificate_gets_one_without_ansible() -> None:
    address = addresses()["w1"]
    on("w1", "sh", "-c", "rm /var/lib/kubelet/pki/kubelet-server-*; systemctl restart kubelet")
    verify = ("-CAfile", "/etc/kubernetes/pki/ca.crt", "-verify_ip", address)
    until("w1's kubelet serves with a certificate again", 60, lambda: shake(address, 10250, *verify).upper() == "OK")


# -- the role ------------------------------------------------------------------------------------------------------------


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    play(tmp_path)
    assert play(tmp_path) == 0
    assert play(tmp_path, "--check", "--diff") == 0


def test_an_api_service_that_trusts_another_certificate_fails_and_is_mended(tmp_path: Path) -> None:
    other = base64.b64encode(on("cp1", "cat", "/etc/kubernetes/pki/ca.crt").encode() + b"\n").decode()
    kubectl("patch", "apiservice", API_SERVICE, "--type=merge", f'--patch={{"spec": {{"caBundle": "{other}"}}}}')

    def condition() -> str:
        return next(one["status"] for one in get("apiservice", API_SERVICE)["status"]["conditions"] if one["type"] == "Available")

    until("the API server does not trust it", 60, lambda: condition() == "False")
    checks = {
        one["check"]: one for one in module("cp1", "verify_node_resources", kubeconfig="/etc/kubernetes/admin.conf", checks=["metrics"], fail_on=[])["checks"]
    }
    found = checks["resources.metrics.available"]
    assert found["status"] == "fail" and found["observed"].startswith("FailedDiscoveryCheck: ") and "x509" in found["observed"]
    assert play(tmp_path, "--check") == 1
    assert condition() == "False"
    assert play(tmp_path) == 1
    assert condition() == "True" and play(tmp_path) == 0


def left() -> str:
    kinds = "serviceaccount,secret,service,deployment,replicaset,pod,poddisruptionbudget,rolebinding"
    namespaced = kubectl("get", kinds, "--namespace=kube-system", f"--selector={MINE}", "-o", "name")
    return namespaced + kubectl("get", "clusterrole,clusterrolebinding,apiservice", f"--selector={MINE}", "-o", "name")


def test_removal_leaves_nothing(tmp_path: Path) -> None:
    before = kubectl("get", "apiservice,clusterrole,clusterrolebinding", "-o", "name").splitlines()
    mine = kubectl("get", "apiservice,clusterrole,clusterrolebinding", f"--selector={MINE}", "-o", "name").splitlines()
    assert len(mine) == 5
    assert play(tmp_path, "-e", "metrics_server_state=absent") == 1
    until("its pods end", 60, lambda: not left())
    assert sorted(set(before) - set(mine)) == sorted(kubectl("get", "apiservice,clusterrole,clusterrolebinding", "-o", "name").splitlines())
    assert play(tmp_path, "-e", "metrics_server_state=absent") == 0
    assert "Metrics API not available" in execute("cp1", *KUBECTL, "top", "nodes").stderr
    assert play(tmp_path, "--check") == 1
    assert play(tmp_path) == 1
    assert len(top("nodes")) == len(addresses())
