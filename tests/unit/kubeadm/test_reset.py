# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.kubeadm import reset
from ansible_collections.nodewise.cluster.plugins.module_utils.kubeadm.commands import Commands
from ansible_collections.nodewise.cluster.plugins.module_utils.kubeadm.host import HostPaths
from ansible_collections.nodewise.cluster.plugins.module_utils.kubeadm.reset import HostReset, ResetResult, ResetSettings
from ansible_collections.nodewise.cluster.plugins.module_utils.kubeadm.state import HostState, save_state
from ansible_collections.nodewise.cluster.plugins.module_utils.systemd.systemctl import UnitStatus

MARKED = "# Written by nodewise.cluster.\n"
Put = Callable[..., Path]


class FakeSystemd:
    """Units that run or not, and are enabled or not."""

    def __init__(self) -> None:
        self.active = {"kubelet": "active", "containerd": "active"}
        self.enabled = {"kubelet", "containerd"}
        self.calls: list[str] = []

    def status(self, unit: str) -> UnitStatus:
        return UnitStatus("loaded", self.active[unit], "", False, None, 0)

    def enablement(self, unit: str) -> str:
        return "enabled" if unit in self.enabled else "disabled"

    def stop(self, unit: str) -> None:
        self.calls.append(f"stop {unit}")
        self.active[unit] = "inactive"

    def set_enabled(self, unit: str, enabled: bool) -> None:
        self.calls.append(f"disable {unit}")
        self.enabled.discard(unit)

    def run_until_active(self, verb: str, unit: str) -> UnitStatus:
        self.calls.append(f"{verb} {unit}")
        self.active[unit] = "active"
        return self.status(unit)

    def daemon_reload(self) -> None:
        self.calls.append("daemon-reload")


class FakeCommands(Commands):
    """A runtime with pods, mounts of them, and a network without anything of ours."""

    def __init__(self, paths: HostPaths) -> None:
        super().__init__()
        self.paths = paths
        self.pods: list[str] = []
        self.ran: list[str] = []

    def there(self, program: str) -> bool:
        return program != "iptables-legacy-save"

    def run(self, *argv: str, stdin: str = "") -> str:
        text = " ".join(argv)
        self.ran.append(text)
        if text.endswith("pods --quiet"):
            return "\n".join(self.pods)
        if "rmp --force" in text:
            self.pods.remove(argv[-1])
        if argv[0] == "umount":
            mounts = Path(self.paths.at("/proc/mounts"))
            mounts.write_text("".join(f"{line}\n" for line in mounts.read_text().splitlines() if line.split()[1] != argv[1].replace(" ", "\\040")))
        return ""


class Bench:
    """A host with everything a worker has."""

    def __init__(self, kubeadm: Any, paths: HostPaths, lock_path: str, put: Put) -> None:
        self.kubeadm, self.paths, self.lock_path, self.put = kubeadm, paths, lock_path, put
        self.systemd, self.commands = FakeSystemd(), FakeCommands(paths)
        put("/proc/mounts", "proc /proc proc rw 0 0\n")
        put("/run/containerd/containerd.sock")

    def worker(self) -> None:
        self.commands.pods = ["0123456789abcdef"]
        for path in ("/etc/kubernetes/kubelet.conf", "/etc/kubernetes/pki/ca.crt", "/var/lib/kubelet/config.yaml", "/var/lib/calico/nodename"):
            self.put(path)
        self.put("/etc/cni/net.d/10-calico.conflist")
        self.put("/var/lib/cni/results/k8s-pod-network-1-eth0")
        save_state(HostState("joined", "n1", "c"), self.paths.state)

    def run(self, check_mode: bool = False, purge: bool = False) -> ResetResult:
        settings = ResetSettings("unix://" + self.paths.at("/run/containerd/containerd.sock"), "10.244.0.0/16", purge)
        host = HostReset(settings, self.paths, self.commands, self.systemd, self.kubeadm)  # type: ignore[arg-type]
        return host.run(check_mode, self.lock_path)

    def files(self) -> set[str]:
        return {os.path.join(folder, name).removeprefix(self.paths.root) for folder, _names, files in os.walk(self.paths.root) for name in files}


@pytest.fixture
def bench(kubeadm: Any, paths: HostPaths, lock_path: str, put: Put) -> Bench:
    return Bench(kubeadm, paths, lock_path, put)


def test_a_worker_is_taken_back(bench: Bench) -> None:
    bench.worker()
    result = bench.run()
    assert {"running kubelet", "enabled kubelet", "pod 0123456789abc"} <= set(result.removed)
    assert bench.kubeadm.calls == ["reset"]
    assert bench.files() == {"/etc/machine-id", "/proc/mounts", "/run/containerd/containerd.sock"}
    assert not os.path.exists(bench.paths.at("/etc/kubernetes"))
    assert bench.systemd.active == {"kubelet": "inactive", "containerd": "active"}


def test_the_second_run_finds_nothing(bench: Bench) -> None:
    bench.worker()
    bench.run()
    bench.kubeadm.calls.clear()
    assert bench.run().removed == []
    assert bench.kubeadm.calls == []


def test_check_mode_predicts_what_is_removed_and_removes_nothing(bench: Bench) -> None:
    bench.worker()
    before = bench.files()
    predicted = bench.run(check_mode=True).removed
    assert bench.files() == before
    assert bench.systemd.calls == bench.kubeadm.calls == []
    assert bench.run().removed == predicted


def test_a_bare_host_has_nothing(bench: Bench) -> None:
    bench.systemd.active["kubelet"] = "inactive"
    bench.systemd.enabled.clear()
    os.rmdir(bench.paths.at("/etc/kubernetes/manifests"))
    os.rmdir(bench.paths.at("/etc/kubernetes"))
    assert bench.run().removed == []


def test_a_prepared_host_only_stops_its_kubelet(bench: Bench) -> None:
    bench.systemd.active["kubelet"] = "activating"
    bench.run()
    assert bench.systemd.calls == ["stop kubelet", "disable kubelet"]
    assert bench.kubeadm.calls == []


def test_what_others_put_beside_ours_stays(bench: Bench) -> None:
    bench.worker()
    foreign = ["/etc/kubernetes/mine/x", "/etc/cni/net.d/87-podman.conflist", "/var/lib/cni/results/podman-1", "/var/lib/etcd/default/db", "/root/.kube/config"]
    for path in foreign:
        bench.put(path)
    bench.run()
    assert set(foreign) <= bench.files()
    assert not os.path.exists(bench.paths.at("/etc/kubernetes/manifests"))


def test_a_control_plane_loses_its_etcd_and_roots_link(bench: Bench) -> None:
    bench.put("/etc/kubernetes/manifests/etcd.yaml", "spec: {volumes: [{name: etcd-data, hostPath: {path: /srv/etcd}}]}")
    bench.put("/etc/kubernetes/admin.conf")
    bench.put("/srv/etcd/member/db")
    os.makedirs(bench.paths.at("/root/.kube"))
    os.symlink(bench.paths.admin_conf, bench.paths.at("/root/.kube/config"))
    bench.run()
    assert os.listdir(bench.paths.at("/srv/etcd")) == []
    assert not os.path.lexists(bench.paths.at("/root/.kube/config"))


def test_roots_link_to_elsewhere_stays(bench: Bench) -> None:
    os.makedirs(bench.paths.at("/root/.kube"))
    os.symlink("/srv/config", bench.paths.at("/root/.kube/config"))
    bench.run()
    assert os.path.lexists(bench.paths.at("/root/.kube/config"))


def test_mounts_below_the_kubelet_go_deepest_first_and_its_own_stays(bench: Bench) -> None:
    bench.worker()
    volumes = "/var/lib/kubelet/pods/1/volumes"
    bench.put(
        "/proc/mounts", f"/dev/vda /var/lib/kubelet ext4 rw 0 0\ntmpfs {volumes} tmpfs rw 0 0\ntmpfs {volumes}/a\\040b tmpfs rw 0 0\ntmpfs /srv tmpfs rw 0 0\n"
    )
    bench.run()
    assert [text for text in bench.commands.ran if text.startswith("umount")] == [f"umount {volumes}/a b", f"umount {volumes}"]


def test_a_stopped_runtime_is_started_so_that_pods_can_be_removed(bench: Bench) -> None:
    bench.worker()
    bench.systemd.active["containerd"] = "inactive"
    bench.run()
    assert "start containerd" in bench.systemd.calls


def test_pods_go_without_asking_calicos_plugin(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks the API server, which may be down; the runtime needs a moment to see the other configuration."""
    monkeypatch.setattr(reset.time, "sleep", lambda _seconds: None)
    bench.worker()
    seen, plain = [], bench.commands.run

    def run(*argv: str, stdin: str = "") -> str:
        if "rmp" in argv:
            seen.append(json.loads(Path(bench.paths.at("/etc/cni/net.d/10-calico.conflist")).read_text()))
            if len(seen) < 3:
                raise NodewiseError("connection refused")
        return plain(*argv, stdin=stdin)

    bench.commands.run = run  # type: ignore[method-assign]
    bench.run()
    assert [item["plugins"] for item in seen] == [[{"type": "loopback"}]] * 3


def test_a_pod_that_will_not_go_is_told_of(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reset.time, "sleep", lambda _seconds: None)
    bench.worker()
    plain = bench.commands.run

    def run(*argv: str, stdin: str = "") -> str:
        if "rmp" in argv:
            raise NodewiseError("device busy")
        return plain(*argv, stdin=stdin)

    bench.commands.run = run  # type: ignore[method-assign]
    with pytest.raises(NodewiseError, match="device busy"):
        bench.run()


def test_a_host_whose_kubeadm_is_gone_is_reset_all_the_same(bench: Bench) -> None:
    bench.worker()
    bench.kubeadm.there = False
    bench.run()
    assert bench.kubeadm.calls == []
    assert bench.files() == {"/etc/machine-id", "/proc/mounts", "/run/containerd/containerd.sock"}


def test_a_reset_that_was_killed_is_finished(bench: Bench) -> None:
    bench.worker()

    def killed(_unit: str, _enabled: bool) -> None:
        raise KeyboardInterrupt

    original, bench.systemd.set_enabled = bench.systemd.set_enabled, killed  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        bench.run()
    bench.systemd.set_enabled = original  # type: ignore[method-assign]
    bench.run()
    assert bench.files() == {"/etc/machine-id", "/proc/mounts", "/run/containerd/containerd.sock"}
    assert bench.systemd.enabled == {"containerd"}


def test_a_damaged_record_does_not_stand_in_the_way(bench: Bench) -> None:
    bench.worker()
    bench.put("/var/lib/nodewise/state/kubeadm.json", "{")
    bench.run()
    assert bench.files() == {"/etc/machine-id", "/proc/mounts", "/run/containerd/containerd.sock"}


def test_what_will_not_go_is_named(bench: Bench) -> None:
    bench.worker()
    bench.systemd.set_enabled = lambda unit, enabled: None  # type: ignore[method-assign]
    with pytest.raises(NodewiseError, match=r"Still there after the reset: enabled kubelet\. Remedy: reboot"):
        bench.run()


def test_programs_and_marked_files_stay_without_purge(bench: Bench) -> None:
    installed(bench)
    before = bench.files()
    bench.run()
    assert bench.files() == before


def installed(bench: Bench) -> None:
    stamps = {}
    for path in ("/usr/local/bin/kubelet", "/usr/local/bin/replaced"):
        bench.put(path, "program")
        stamps[path] = {"sha256": hashlib.sha256(b"program").hexdigest()}
    bench.put("/usr/local/bin/replaced", "another")
    stamps["/usr/local/bin/gone"] = {"sha256": "0"}
    stamps["/opt/cni/bin/portmap"] = {"sha256": "0"}
    for path in ("/opt/cni/bin/portmap", "/opt/cni/bin/calico", "/opt/cni/bin/calico-ipam"):
        bench.put(path, "Calico's own")
    bench.put("/opt/cni/bin/mine")
    bench.put("/var/lib/nodewise/artifacts.json", json.dumps(stamps))
    bench.put("/etc/systemd/system/kubelet.service", MARKED)
    bench.put("/etc/systemd/system/containerd.service", MARKED)
    bench.put("/etc/containerd/config.toml", MARKED)
    bench.put("/etc/crictl.yaml", "mine: true\n")
    bench.put("/var/lib/containerd/io.containerd/x")


def test_purge_removes_what_is_still_ours(bench: Bench) -> None:
    installed(bench)
    bench.run(purge=True)
    assert bench.files() == {"/etc/machine-id", "/proc/mounts", "/usr/local/bin/replaced", "/etc/crictl.yaml", "/opt/cni/bin/mine"}
    assert not os.path.exists(bench.paths.at("/var/lib/nodewise"))
    assert bench.systemd.calls[-1] == "daemon-reload"
    assert bench.run(purge=True).removed == []


def test_purge_leaves_a_runtime_that_is_not_ours(bench: Bench) -> None:
    installed(bench)
    bench.put("/etc/systemd/system/containerd.service", "[Service]\n")
    bench.put("/etc/containerd/config.toml", "version = 3\n")
    bench.run(purge=True)
    assert {"/etc/systemd/system/containerd.service", "/etc/containerd/config.toml", "/var/lib/containerd/io.containerd/x"} <= bench.files()
    assert "stop containerd" not in bench.systemd.calls


def test_purge_leaves_the_data_of_a_containerd_that_was_taken_over(bench: Bench) -> None:
    installed(bench)
    bench.put("/usr/bin/containerd")
    result = bench.run(purge=True)
    assert "/var/lib/containerd/io.containerd/x" in bench.files()
    assert "/etc/systemd/system/containerd.service" not in bench.files()
    assert [warning for warning in result.warnings if "/usr/bin/containerd" in warning]
    assert bench.run(purge=True).removed == []
