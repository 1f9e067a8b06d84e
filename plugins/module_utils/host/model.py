# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shape of what one host says about itself, of what is wanted of it, and of a problem.

These dictionaries travel as JSON from the module C(host_facts) to the action C(preflight).
"""

from __future__ import annotations

from typing import Any, TypedDict

STATE_FOLDER = "/var/lib/nodewise"

CONTAINERD_SOCKET = "unix:///run/containerd/containerd.sock"
# The sockets kubeadm itself looks for when criSocket is not set.
CRI_SOCKETS = (CONTAINERD_SOCKET, "unix:///run/crio/crio.sock", "unix:///run/cri-dockerd.sock")

# A port, the protocol, and the program that may already hold it because it is Kubernetes' own.
# The empty program is the kernel: Calico's VXLAN device has no process.
WORKER_PORTS = {
    (10250, "tcp"): "kubelet",
    (10256, "tcp"): "kube-proxy",
    (4789, "udp"): "",
}
CONTROL_PLANE_PORTS = {
    (6443, "tcp"): "kube-apiserver",
    (2379, "tcp"): "etcd",
    (2380, "tcp"): "etcd",
    (10257, "tcp"): "kube-controller-manager",
    (10259, "tcp"): "kube-scheduler",
    **WORKER_PORTS,
}


class Problem(TypedDict):
    """One thing an operator must put right before a run can go on."""

    host: str
    what: str
    found: str
    needed: str
    remedy: str


class Sysctl(TypedDict):
    """A kernel parameter: its value (None if the kernel has no such parameter) and whether it can be set."""

    value: str | None
    writable: bool


class Listener(TypedDict):
    """A socket on one of the cluster's ports; C(program) is empty if it belongs to no process."""

    port: int
    protocol: str
    program: str


class Route(TypedDict):
    """An IPv4 route of the main table; C(interface) is V(*) for a blackhole, C(gateway) empty for a connected network."""

    destination: str
    gateway: str
    interface: str


class Disk(TypedDict):
    """Free space where one of the cluster's folders lies or will lie; C(device) tells filesystems apart."""

    path: str
    device: int
    free_mb: int


class Swap(TypedDict):
    """Swap in use now (rows of /proc/swaps) and what would bring it back at the next boot."""

    active: list[str]
    persistent: list[str]


class Service(TypedDict):
    """State of a systemd unit; both are false if it is not installed."""

    active: bool
    enabled: bool


class Clock(TypedDict):
    """The host's clock minus the controller's, in seconds, give or take C(uncertainty)."""

    offset: float
    uncertainty: float


class Wanted(TypedDict):
    """The values of the role's variables on one host."""

    node_name: str
    node_ip: str
    cluster_name: str
    kubernetes_version: str
    control_plane_endpoint: str
    pod_cidr: str
    pod_block_size: int
    service_cidr: str
    cri_socket: str
    architectures: list[str]
    swap: str
    allow_untested: bool
    allow_cgroup_v1: bool
    allow_foreign_containerd: bool
    install_packages: bool
    kernel_modules_optional: list[str]
    sysctls: dict[str, str]
    control_plane_min_memory_mb: int
    control_plane_min_cpus: int
    worker_min_memory_mb: int
    min_disk_mb: int
    max_clock_difference: float
    foreign_variables: list[str]


class Facts(TypedDict):
    """Everything the module C(host_facts) returns; the action plugin of that name adds C(clock) and C(run)."""

    hostname: str
    machine_id: str
    architecture: str
    kernel: str
    container: str
    systemd: bool
    distribution: str
    distribution_version: str
    default_ipv4: str
    addresses: list[str]
    interfaces: list[str]
    routes: list[Route]
    resolved: dict[str, list[str]]
    listeners: list[Listener]
    cgroup: str
    swap: Swap
    kernel_modules: dict[str, str]
    sysctls: dict[str, Sysctl]
    sysctl_overrides: dict[str, str]
    services: dict[str, Service]
    ufw_enabled: bool
    missing_packages: list[str]
    apt: bool
    memory_mb: int
    cpus: int
    disks: list[Disk]
    cri_sockets: list[str]
    foreign_containerd: list[str]
    kubelet_conf: bool
    admin_conf: bool
    calico_cni_config: bool
    kubelet_version: str
    apiserver_version: str
    kubeadm_state: dict[str, Any]
    python: str
    time: float
    clock: Clock
    run: str
    wanted: Wanted


def canonical_socket(url: str) -> str:
    """Write an endpoint with /run where it says /var/run, which is a link to it, and a path as a URL, so that two of them can be compared."""
    if url.startswith("/"):
        url = f"unix://{url}"
    return url.replace("unix:///var/run/", "unix:///run/")
