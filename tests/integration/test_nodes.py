# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator does to the nodes of a running cluster: another kubelet setting, one that no kubelet returns with, a worker out and in again.

On the lab's cluster; kubectl, systemd and the files themselves are asked. Everything is as before at the end.
"""

from __future__ import annotations

from pathlib import Path

from lab import ansible, changed, kubectl, on, sh

NODES = ("cp1", "w1", "w2")
CONFIG = "/var/lib/kubelet/config.yaml"


def site(*arguments: str, ok: bool = True) -> str:
    return ansible("ansible-playbook", "playbooks/site.yml", "--skip-tags", "verify", *arguments, timeout=600, ok=ok)


def began() -> dict[str, float]:
    """Return when each node's kubelet was started, which all hosts' clocks tell alike: they are one machine's."""
    return {host: int(sh(host, "systemctl show kubelet -p ActiveEnterTimestampMonotonic --value")) / 1e6 for host in NODES}


def max_pods(host: str) -> str:
    return sh(host, f"grep ^maxPods: {CONFIG}", check=False)


def ready() -> dict[str, str]:
    shown = '{range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Ready")].status} {end}'
    return dict(pair.split("=") for pair in kubectl("get", "nodes", f"--output=jsonpath={shown}").split())


def test_a_changed_setting_goes_through_the_nodes_one_at_a_time() -> None:
    before, was = began(), {host: max_pods(host) for host in NODES}
    try:
        assert changed(site("-e", "kubelet_max_pods=97", "--check"))["w1"] == 1
        assert began() == before
        out = site("-e", "kubelet_max_pods=97")
        assert all(changed(out)[host] for host in NODES)
        after = began()
        # A worker is the first to prove it.
        assert after["w2"] < min(after["cp1"], after["w1"])
        # The next one is restarted only when the one before is Ready again, which a kubelet is not at once.
        times = sorted(after.values())
        assert min(later - earlier for earlier, later in zip(times, times[1:], strict=False)) > 1
        assert {host: max_pods(host) for host in NODES} == dict.fromkeys(NODES, "maxPods: 97")
        assert "maxPods: 97" in kubectl("get", "configmap", "kubelet-config", "-n", "kube-system", "-o", "jsonpath={.data.kubelet}")
        assert set(ready().values()) == {"True"}
        assert changed(site("-e", "kubelet_max_pods=97"))["w1"] == 0
        assert began() == after
    finally:
        site()
    assert {host: max_pods(host) for host in NODES} == was


def test_a_setting_with_which_no_kubelet_returns_stays_on_no_node() -> None:
    before, files = began(), {host: sh(host, f"sha256sum {CONFIG}") for host in NODES}
    cluster = kubectl("get", "configmap", "kubelet-config", "-n", "kube-system", "-o", "jsonpath={.data.kubelet}")
    # Of the right form, and there is no such file, which the kubelet itself finds out only when it starts.
    broken = '{"kubelet_config_extra": {"authentication": {"x509": {"clientCAFile": "/none/ca.crt"}}}, "kubelet_restart_timeout": 40}'
    out = site("-e", broken, ok=False)
    assert "the old file is back and the kubelet runs with it again" in " ".join(out.split())
    assert {host: sh(host, f"sha256sum {CONFIG}") for host in NODES} == files
    assert kubectl("get", "configmap", "kubelet-config", "-n", "kube-system", "-o", "jsonpath={.data.kubelet}") == cluster
    # The first node alone was tried.
    after = began()
    assert {host: after[host] for host in ("cp1", "w1")} == {host: before[host] for host in ("cp1", "w1")}
    kubectl("wait", "--for=condition=Ready", "node/w2", "--timeout=60s")
    assert set(changed(site()).values()) == {0}


def test_reset_asks_first() -> None:
    # Nobody is there to answer.
    out = ansible("ansible-playbook", "playbooks/reset.yml", "--limit", "w2", ok=False)
    assert "Nothing was changed" in out
    assert on("w2", "systemctl", "is-active", "kubelet") == "active"


def test_a_worker_is_drained_taken_out_and_joins_again(tmp_path: Path) -> None:
    site("-e", "kubelet_max_pods=97")
    others = {host: began()[host] for host in ("cp1", "w1")}
    kubectl("create", "deployment", "moves", "--image=registry.k8s.io/pause:3.10.2", "--replicas=4")
    try:
        kubectl("rollout", "status", "deployment/moves", "--timeout=90s")
        ansible("ansible-playbook", "playbooks/reset.yml", "--limit", "w2", "-e", "reset_confirm=true", "-e", "reset_drain=true", timeout=600)
        assert set(ready()) == {"cp1", "w1"}
        assert sh("w2", "ls /etc/kubernetes/kubelet.conf", check=False) == ""
        where = kubectl("get", "pods", "-l", "app=moves", "-o", "jsonpath={.items[*].spec.nodeName}").split()
        assert "w2" not in where
        kubectl("rollout", "status", "deployment/moves", "--timeout=90s")
        # A worker that is not there yet, though a rule of node labels names it, is no matter to a run for the others.
        assert changed(site("--limit", "cp1,w1", "-e", "kubelet_max_pods=97")) == {"cp1": 0, "w1": 0}
        out = site("--limit", "w2")
        assert changed(out).keys() == {"w2"}
        assert ready() == dict.fromkeys(NODES, "True")
        # Nobody else was touched, and the token is gone.
        assert {host: began()[host] for host in others} == others
        assert kubectl("get", "secrets", "-n", "kube-system", "--field-selector=type=bootstrap.kubernetes.io/token", "-o", "name") == ""
    finally:
        kubectl("delete", "deployment", "moves", "--wait=true")
        out = site()
    # It has joined with what the cluster was still asked for, and nobody wants any more.
    assert changed(out)["w2"] == 1
    assert {host: max_pods(host) for host in NODES} == dict.fromkeys(NODES, "")
    ansible("ansible-playbook", "playbooks/verify.yml", "-e", f"verify_json={tmp_path}/verify.json", timeout=300)
