# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host says about itself before anything is changed on it.

One pass over /proc, /sys, /etc and /run; at most two programs are started (systemctl, kubelet --version).
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import re
import shutil
import stat
import time
from collections.abc import Iterable
from typing import Any

from ..containerd.foreign import foreign_containerd
from ..errors import NodewiseError
from ..files import read_text
from ..process import TimeoutExpired, run
from . import kernel, network, swap
from .model import CONTAINERD_SOCKET, CONTROL_PLANE_PORTS, CRI_SOCKETS, STATE_FOLDER, Disk, Service, Swap, canonical_socket

# A login over SSH without a login shell lacks the sbin folders, where half of these programs live.
PROGRAM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Debian package and the programs of which it brings one that is needed:
# kubeadm and kubelet call losetup, mount and nsenter, the CNI plugin portmap iptables or nft, the modules of this collection the rest.
_PACKAGES_BY_PROGRAM = {
    "mount": ("losetup",),
    "util-linux": ("nsenter",),
    "iproute2": ("ip",),
    "iptables": ("iptables", "nft"),
    "kmod": ("modprobe",),
    "openssl": ("openssl",),
}
# Debian package and the Python module it brings, which modules of this collection import on the host.
_PACKAGES_BY_PYTHON_MODULE = {"python3-yaml": "yaml"}

_DISK_PATHS = ("/var/lib/containerd", "/var/lib/kubelet", "/var/lib/etcd")
SERVICES = ("firewalld", "ufw", "NetworkManager", "systemd-networkd")

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def parse_os_release(text: str) -> tuple[str, str]:
    """Return C(ID) and C(VERSION_ID) of os-release(5); empty where a system does not say."""
    values = dict(re.findall(r"^([A-Z_]+)=[\"']?(.*?)[\"']?$", text, re.MULTILINE))
    return values.get("ID", ""), values.get("VERSION_ID", "")


def parse_cgroup(mounts: str) -> str:
    """Return V(v2), V(v1) or V(hybrid) from /proc/mounts.

    The kubelet asks for the filesystem of /sys/fs/cgroup itself, so a v2 tree mounted anywhere below does not count.
    """
    types = {fields[1]: fields[2] for fields in (line.split() for line in mounts.splitlines()) if len(fields) > 2}
    if types.get("/sys/fs/cgroup") == "cgroup2":
        return "v2"
    return "hybrid" if types.get("/sys/fs/cgroup/unified") == "cgroup2" else "v1"


def parse_services(text: str) -> dict[str, Service]:
    """Parse C(systemctl show -p Id,ActiveState,UnitFileState) of several units."""
    services = {}
    for block in text.strip().split("\n\n"):
        values = dict(line.partition("=")[::2] for line in block.splitlines())
        name = values.get("Id", "").removesuffix(".service")
        enabled = values.get("UnitFileState") in ("enabled", "enabled-runtime")
        services[name] = Service(active=values.get("ActiveState") in ("active", "activating", "reloading"), enabled=enabled)
    return services


def missing_packages(path: str = PROGRAM_PATH) -> list[str]:
    """Return the Debian packages of which no needed program, or Python module, is on this host."""
    by_program = [package for package, programs in _PACKAGES_BY_PROGRAM.items() if not any(shutil.which(name, path=path) for name in programs)]
    by_module = [package for package, module in _PACKAGES_BY_PYTHON_MODULE.items() if importlib.util.find_spec(module) is None]
    return by_program + by_module


def disks(root: str = "") -> list[Disk]:
    """Return the free space of the filesystems on which the cluster's folders lie, or will lie."""
    found: dict[int, Disk] = {}
    for path in _DISK_PATHS:
        place = root + path
        while not os.path.isdir(place):
            place = os.path.dirname(place)
        space = os.statvfs(place)
        device = os.stat(place).st_dev
        found.setdefault(device, Disk(path=path, device=device, free_mb=space.f_bavail * space.f_frsize >> 20))
    return list(found.values())


def cri_sockets(candidates: Iterable[str] = CRI_SOCKETS, root: str = "") -> list[str]:
    """Return those of the endpoints whose socket is there."""

    def is_socket(path: str) -> bool:
        try:
            return stat.S_ISSOCK(os.stat(path).st_mode)
        except OSError:
            return False

    return [url for url in candidates if is_socket(root + url.removeprefix("unix://"))]


def kubeadm_state(root: str = "") -> dict[str, Any]:
    """Return what the kubeadm modules noted about this host; empty if they never ran.

    Raises
    ------
    NodewiseError
        The file is not JSON.
    """
    path = f"{root}{STATE_FOLDER}/state/kubeadm.json"
    try:
        state: dict[str, Any] = json.loads(read_text(path) or "{}")
    except ValueError as error:
        raise NodewiseError(f"{path} is not JSON: {error}.", "remove the file; the next run writes it anew") from error
    return state


def kubelet_version() -> str:
    """Return the version of the kubelet that is found first in the path; empty if there is none."""
    program = shutil.which("kubelet", path=PROGRAM_PATH)
    if program is None:
        return ""
    try:
        done = run([program, "--version"], timeout=30)
    except (OSError, TimeoutExpired):
        return ""
    return done.stdout.strip().partition(" v")[2]


def apiserver_version(root: str = "") -> str:
    """Return the version of the API server that runs on this host as a static pod; empty if there is none."""
    match = re.search(r"image: *\S+/kube-apiserver:v(\S+)", read_text(f"{root}/etc/kubernetes/manifests/kube-apiserver.yaml", "replace") or "")
    return match[1] if match else ""


def services() -> dict[str, Service]:
    """Return the state of the services that get in the way of a cluster's network."""
    command = ["systemctl", "show", "-p", "Id,ActiveState,UnitFileState", *(f"{name}.service" for name in SERVICES)]
    try:
        done = run(command, timeout=30)
    except (OSError, TimeoutExpired):
        return {}
    return parse_services(done.stdout) if done.returncode == 0 else {}


def _first_number(text: str, key: str) -> int:
    match = re.search(rf"^{key}:\s+(\d+)", text, re.MULTILINE)
    return int(match[1]) if match else 0


def gather(modules: Iterable[str], wanted: dict[str, Any], root: str = "") -> dict[str, Any]:
    """Return the facts as described by C(model.Facts), without C(clock) and C(run).

    Parameters
    ----------
    modules : iterable of str
        Kernel modules to look for.
    wanted : dict
        The values of the role's variables on this host (C(model.Wanted)); passed on untouched. Without it
        no kernel parameter and no endpoint is looked at.
    root : str
        Folder that stands for C(/) where files are read.
    """
    identity, version = parse_os_release(read_text(f"{root}/etc/os-release", "replace") or read_text(f"{root}/usr/lib/os-release", "replace") or "")
    machine = platform.machine()
    release = platform.release()
    sysctls: dict[str, str] = wanted.get("sysctls", {})
    endpoint_host = wanted.get("control_plane_endpoint", "").rpartition(":")[0]
    chosen_socket = canonical_socket(wanted.get("cri_socket", ""))
    sockets = cri_sockets(dict.fromkeys([*CRI_SOCKETS, *([chosen_socket] if chosen_socket else [])]), root)
    return {
        "hostname": platform.node(),
        "machine_id": (read_text(f"{root}/etc/machine-id") or "").strip(),
        "architecture": _ARCHITECTURES.get(machine, machine),
        "kernel": release,
        "container": (read_text(f"{root}/run/systemd/container") or "").strip(),
        "systemd": os.path.isdir(f"{root}/run/systemd/system"),
        "distribution": identity,
        "distribution_version": version,
        "default_ipv4": network.default_address() or next(iter(network.addresses()), ""),
        "addresses": network.addresses(),
        "interfaces": network.interfaces(root),
        "routes": network.parse_routes(read_text(f"{root}/proc/net/route") or ""),
        "resolved": {endpoint_host: network.resolve(endpoint_host)} if endpoint_host else {},
        "listeners": network.listeners(CONTROL_PLANE_PORTS, root),
        "cgroup": parse_cgroup(read_text(f"{root}/proc/mounts", "replace") or ""),
        "swap": Swap(
            active=[f"{area.path} ({area.kind}, {area.size_mb} MiB)" for area in swap.parse_swaps(read_text(f"{root}/proc/swaps", "replace") or "")],
            persistent=swap.persistent_swap(root),
        ),
        "kernel_modules": kernel.module_states(modules, release, root),
        "sysctls": kernel.sysctl_states(sysctls, root),
        "sysctl_overrides": kernel.sysctl_overrides(sysctls, root),
        "services": services(),
        "ufw_enabled": bool(re.search(r"^ENABLED=yes\b", read_text(f"{root}/etc/ufw/ufw.conf", "replace") or "", re.MULTILINE)),
        "missing_packages": missing_packages(),
        "apt": shutil.which("apt-get", path=PROGRAM_PATH) is not None,
        "memory_mb": _first_number(read_text(f"{root}/proc/meminfo") or "", "MemTotal") >> 10,
        "cpus": len(os.sched_getaffinity(0)),
        "disks": disks(root),
        "cri_sockets": sockets,
        "foreign_containerd": foreign_containerd(CONTAINERD_SOCKET in sockets, root),
        "kubelet_conf": os.path.exists(f"{root}/etc/kubernetes/kubelet.conf"),
        "admin_conf": os.path.exists(f"{root}/etc/kubernetes/admin.conf"),
        "calico_cni_config": all(os.path.exists(f"{root}/etc/cni/net.d/{name}") for name in ("10-calico.conflist", "calico-kubeconfig")),
        "kubelet_version": kubelet_version(),
        "apiserver_version": apiserver_version(root),
        "kubeadm_state": kubeadm_state(root),
        "python": platform.python_version(),
        "wanted": wanted,
        "time": time.time(),
    }
