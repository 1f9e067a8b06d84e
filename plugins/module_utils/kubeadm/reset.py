# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host taken back to before it was a node: what Kubernetes, Calico and this collection left, found and removed."""

from __future__ import annotations

import glob
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from ..containerd.foreign import UNIT, is_marked, packaged
from ..errors import NodewiseError
from ..files import read_text, sha256_file, write_atomic
from ..systemd.systemctl import Systemd
from .commands import Commands
from .host import HostPaths, clear_folder, etcd_data_folder, undo_kubeadm
from .network import Finding, NetworkCleaner
from .run import Kubeadm
from .state import exclusive

_CNI_FOLDER = "/etc/cni/net.d"
_OUR_CNI_FILES = ("10-calico.conflist", "calico-kubeconfig", "calico-tls")
_NETWORK = "k8s-pod-network"
_POD_ATTEMPTS = 5

# Files and folders of kubeadm, the kubelet and Calico; * as in a shell.
_FILES = (
    "/etc/kubernetes/admin.conf",
    "/etc/kubernetes/super-admin.conf",
    "/etc/kubernetes/kubelet.conf",
    "/etc/kubernetes/bootstrap-kubelet.conf",
    "/etc/kubernetes/controller-manager.conf",
    "/etc/kubernetes/scheduler.conf",
    "/etc/kubernetes/nodewise-admission",
    "/etc/kubernetes/manifests/etcd.yaml",
    "/etc/kubernetes/manifests/kube-apiserver.yaml",
    "/etc/kubernetes/manifests/kube-controller-manager.yaml",
    "/etc/kubernetes/manifests/kube-scheduler.yaml",
    "/etc/kubernetes/pki",
    "/etc/kubernetes/tmp",
    *(f"{_CNI_FOLDER}/{name}" for name in _OUR_CNI_FILES),
    f"/var/lib/cni/networks/{_NETWORK}",
    f"/var/lib/cni/results/{_NETWORK}-*",
    "/var/lib/cni/results/cni-loopback-*",
    "/var/lib/calico",
    "/var/log/calico",
    "/var/log/pods",
    "/var/log/containers",
    "/run/calico",
)
# Folders that kubeadm made and that may hold others' files.
_EMPTY_FOLDERS = ("/etc/kubernetes/manifests", "/etc/kubernetes")
_MOUNTS = ("/var/lib/kubelet/", "/run/calico/", "/var/run/calico/")

# What site.yml put on the host beside the artifacts; removed only if it says that this collection wrote it.
_MARKED_FILES = (
    "/etc/systemd/system/kubelet.service",
    "/etc/systemd/system/kubelet.service.d/10-kubeadm.conf",
    "/etc/default/kubelet",
    UNIT,
    "/etc/containerd/config.toml",
    "/etc/containerd/proxy.env",
    "/etc/containerd/certs.d/*/hosts.toml",
    "/etc/crictl.yaml",
    "/etc/modules-load.d/nodewise.conf",
    "/etc/sysctl.d/99-nodewise.conf",
    "/etc/NetworkManager/conf.d/nodewise-calico.conf",
    "/etc/systemd/network/00-nodewise-calico.network",
)
_CONTAINERD_DATA = ("/var/lib/containerd", "/run/containerd")
_STAMPS = "/var/lib/nodewise/artifacts.json"
# Calico installs its plugins there, and its own copies of the other ones over ours.
_CNI_PROGRAMS = "/opt/cni/bin/"
_CALICO_PROGRAMS = tuple(f"{_CNI_PROGRAMS}{name}" for name in ("calico", "calico-ipam"))
_OUR_FOLDER = "/var/lib/nodewise"


@dataclass(frozen=True)
class ResetSettings:
    """How far a host is taken back.

    Attributes
    ----------
    cri_socket : str
        The container runtime's endpoint.
    pod_cidr : str
        Address range of the pods.
    purge : bool
        Whether programs, images and the container runtime go too, as far as this collection brought them.
    """

    cri_socket: str
    pod_cidr: str
    purge: bool


@dataclass
class ResetResult:
    """What was removed, or would be.

    Attributes
    ----------
    removed : list[str]
        In order; empty if nothing was there.
    warnings : list[str]
        What could not be looked at.
    """

    removed: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class HostReset:
    """Undoes one host.

    Parameters
    ----------
    settings : ResetSettings
        How far.
    paths : HostPaths
        Where things are.
    commands : Commands
        The host's programs.
    systemd : Systemd
        Its service manager.
    kubeadm : Kubeadm
        Its kubeadm.
    """

    def __init__(self, settings: ResetSettings, paths: HostPaths, commands: Commands, systemd: Systemd, kubeadm: Kubeadm) -> None:
        self._settings = settings
        self._paths = paths
        self._commands = commands
        self._systemd = systemd
        self._kubeadm = kubeadm

    def run(self, check_mode: bool, lock_path: str) -> ResetResult:
        """Remove everything that is ours, and look again whether it is gone.

        Raises
        ------
        NodewiseError
            Something cannot be removed; the next run goes on from there.
        """
        result = ResetResult([finding.text for finding in self.find()])
        missing = self._network().missing_programs()
        if missing:
            result.warnings.append(f"{', '.join(missing)} not installed: rules or sets of Kubernetes or Calico may be left without being seen.")
        others = packaged(self._paths.root)
        if self._settings.purge and others and is_marked(self._paths.at(UNIT)):
            result.warnings.append(f"{' and '.join(_CONTAINERD_DATA)} stay, since a containerd of somebody else is there ({', '.join(others)}); it is stopped.")
        if check_mode or not result.removed:
            return result
        with exclusive(lock_path) as lock:
            # One stage after the other, each looking anew: removing a pod, for one, removes files and rules of its network.
            _remove_all(self._services())
            self._start_runtime()
            self._disarm_network()
            _remove_all(self._pods())
            self._undo(self._kubeadm.under(lock))
            _remove_all(self._rest())
        left = [finding.text for finding in self.find()]
        if left:
            raise NodewiseError(f"Still there after the reset: {', '.join(left)}.", "reboot the host and run playbooks/reset.yml again")
        return result

    def find(self) -> list[Finding]:
        """Return what there is to remove, in the order in which it can be."""
        return [*self._services(), *self._pods(), *self._rest()]

    def _rest(self) -> Iterator[Finding]:
        yield from self._mounts()
        yield from self._files()
        yield from self._network().find()
        if self._settings.purge:
            yield from self._programs()
        # Our own record comes last: as long as it is there, a run that was killed is known to be unfinished.
        yield from self._records()

    def _start_runtime(self) -> None:
        """Pods are removed through the runtime; without it they would stay, and their network with them."""
        status = self._systemd.status("containerd")
        if status.load == "loaded" and not status.running and any(self._kubernetes_files()):
            self._systemd.run_until_active("start", "containerd")

    def _disarm_network(self) -> None:
        """Keep the runtime from calling Calico's plugin when pods are removed.

        The plugin asks the API server, and no pod can be removed while that is down, as it soon is on a control plane.
        The pods' links go with their network namespaces; addresses are given back when the Node is deleted.
        """
        path = self._paths.at(f"{_CNI_FOLDER}/{_OUR_CNI_FILES[0]}")
        if os.path.exists(path):
            harmless = {"name": _NETWORK, "cniVersion": "0.3.1", "plugins": [{"type": "loopback"}]}
            write_atomic(path, json.dumps(harmless), mode=0o600)

    def _undo(self, kubeadm: Kubeadm) -> None:
        """Let kubeadm undo what it did; what it leaves, and everything on a host without kubeadm, is found afterwards."""
        if kubeadm.installed() and any(self._kubernetes_files()):
            undo_kubeadm(kubeadm, self._settings.cri_socket, self._paths)

    def _kubernetes_files(self) -> Iterator[str]:
        yield from (path for path in _FILES if path.startswith("/etc/kubernetes/") and os.path.lexists(self._paths.at(path)))
        yield from _entries(self._paths.at("/var/lib/kubelet"))
        if os.path.exists(self._paths.state):
            yield self._paths.state

    def _services(self) -> Iterator[Finding]:
        status, enablement = self._systemd.status("kubelet"), self._systemd.enablement("kubelet")
        if status.active not in ("inactive", "failed"):
            yield Finding("running kubelet", partial(self._systemd.stop, "kubelet"))
        if enablement == "enabled":
            yield Finding("enabled kubelet", partial(self._systemd.set_enabled, "kubelet", False))

    def _pods(self) -> Iterator[Finding]:
        socket = self._settings.cri_socket
        if not os.path.exists(socket.removeprefix("unix://")) or not self._commands.there("crictl"):
            return
        crictl = ["crictl", f"--runtime-endpoint={socket}", f"--image-endpoint={socket}", "--timeout=60s"]
        for pod in self._commands.run(*crictl, "pods", "--quiet").split():
            yield Finding(f"pod {pod[:13]}", partial(self._remove_pod, [*crictl, "rmp", "--force", pod]))

    def _remove_pod(self, command: Sequence[str]) -> None:
        # The runtime notices the changed network configuration a moment after it was written.
        for _attempt in range(_POD_ATTEMPTS - 1):
            try:
                self._commands.run(*command)
                return
            except NodewiseError:
                time.sleep(1)
        self._commands.run(*command)

    def _mounts(self) -> Iterator[Finding]:
        mounted = [line.split()[1] for line in (read_text(self._paths.at("/proc/mounts"), "replace") or "").splitlines()]
        # Longest first: a mount below another one must go before it.
        for path in sorted({path.encode().decode("unicode_escape") for path in mounted if path.startswith(_MOUNTS)}, key=len, reverse=True):
            yield Finding(f"mount {path}", partial(self._commands.run, "umount", path))

    def _files(self) -> Iterator[Finding]:
        for pattern in _FILES:
            for path in sorted(glob.glob(self._paths.at(pattern))):
                yield Finding(path, partial(_remove, path))
        folders = [self._paths.at("/var/lib/kubelet"), etcd_data_folder(self._paths)]
        for folder in folders:
            if folder is not None and any(_entries(folder)):
                yield Finding(f"content of {folder}", partial(clear_folder, folder))
        for path in _EMPTY_FOLDERS:
            if os.path.isdir(self._paths.at(path)) and not any(self._foreign(path)):
                yield Finding(self._paths.at(path), partial(os.rmdir, self._paths.at(path)))
        link = self._paths.at("/root/.kube/config")
        if os.path.islink(link) and os.readlink(link) == self._paths.admin_conf:
            yield Finding(link, partial(os.unlink, link))

    def _foreign(self, folder: str) -> Iterator[str]:
        """Return what is in a folder and not removed before it."""
        ours = {self._paths.at(path) for path in (*_FILES, *_EMPTY_FOLDERS)}
        for path in _entries(self._paths.at(folder)):
            if path not in ours or (path == self._paths.at(_EMPTY_FOLDERS[0]) and any(self._foreign(_EMPTY_FOLDERS[0]))):
                yield path

    def _network(self) -> NetworkCleaner:
        others = [path for path in _entries(self._paths.at(_CNI_FOLDER)) if os.path.basename(path) not in _OUR_CNI_FILES]
        return NetworkCleaner(self._commands, self._settings.pod_cidr, portmap=not others)

    def _programs(self) -> Iterator[Finding]:
        if is_marked(self._paths.at(UNIT)):
            status, enablement = self._systemd.status("containerd"), self._systemd.enablement("containerd")
            if status.active not in ("inactive", "failed"):
                yield Finding("running containerd", partial(self._systemd.stop, "containerd"))
            if enablement == "enabled":
                yield Finding("enabled containerd", partial(self._systemd.set_enabled, "containerd", False))
            # Of a containerd that was taken over, images and containers may be somebody else's.
            for folder in map(self._paths.at, _CONTAINERD_DATA):
                if not packaged(self._paths.root) and any(_entries(folder)):
                    yield Finding(f"content of {folder}", partial(clear_folder, folder))
        units = False
        for pattern in _MARKED_FILES:
            for path in filter(is_marked, sorted(glob.glob(self._paths.at(pattern)))):
                units = units or "/systemd/system/" in path
                yield Finding(path, partial(os.unlink, path))
        if units:
            yield Finding("systemd's knowledge of these units", self._systemd.daemon_reload)
        for path in self._installed():
            yield Finding(path, partial(os.unlink, path))

    def _records(self) -> Iterator[Finding]:
        folder, record = self._paths.at(_OUR_FOLDER), self._paths.state
        others = sorted(glob.glob(os.path.join(os.path.dirname(record), "*.json")), key=lambda path: path == record)
        for path in (os.path.join(folder, "backup"), *others):
            if os.path.exists(path):
                yield Finding(path, partial(_remove, path))
        if self._settings.purge and os.path.exists(folder):
            yield Finding(folder, partial(_remove, folder))

    def _installed(self) -> list[str]:
        """Return the artifacts that are still what this collection, or Calico, installed."""
        text = read_text(self._paths.at(_STAMPS))
        stamps = json.loads(text) if text else {}
        found = []
        for dest in sorted({*stamps, *(_CALICO_PROGRAMS if stamps else ())}):
            path = self._paths.at(dest)
            if os.path.isfile(path) and (dest.startswith(_CNI_PROGRAMS) or sha256_file(path) == stamps[dest].get("sha256")):
                found.append(path)
        return found


def _remove_all(findings: Iterable[Finding]) -> None:
    for finding in list(findings):
        finding.remove()


def _entries(folder: str) -> Sequence[str]:
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder))] if os.path.isdir(folder) else []


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)
