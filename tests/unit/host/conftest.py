"""A site on which nothing is wrong, for the tests to spoil."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.host.model import Facts
from ansible_collections.nodewise.cluster.plugins.module_utils.host.preflight import Site
from ansible_collections.nodewise.cluster.plugins.plugin_utils.run import this_run

SYSCTLS = {"net.ipv4.ip_forward": "1", "net.bridge.bridge-nf-call-iptables": "1"}
GROUPS = {"control_plane": ["cp1"], "workers": ["w1", "w2"], "standby": ["s1"]}
ADDRESSES = {"cp1": "192.168.7.11", "w1": "192.168.7.21", "w2": "192.168.7.22", "s1": "192.168.7.31"}


def good_facts(host: str) -> Facts:
    """Return the facts of a host that has everything and is part of no cluster."""
    return Facts(
        hostname=host,
        machine_id=f"{list(ADDRESSES).index(host) + 1:032x}",
        architecture="amd64",
        kernel="6.1.0-37-amd64",
        container="",
        systemd=True,
        distribution="debian",
        distribution_version="12",
        default_ipv4=ADDRESSES[host],
        addresses=[ADDRESSES[host]],
        interfaces=["lo", "eth0"],
        routes=[{"destination": "192.168.7.0/24", "gateway": "", "interface": "eth0"}],
        resolved={},
        listeners=[],
        cgroup="v2",
        swap={"active": [], "persistent": []},
        kernel_modules={"overlay": "loaded", "br_netfilter": "available"},
        sysctls={"net.ipv4.ip_forward": {"value": "0", "writable": True}, "net.bridge.bridge-nf-call-iptables": {"value": None, "writable": False}},
        sysctl_overrides={},
        services={name: {"active": False, "enabled": False} for name in ("firewalld", "ufw", "NetworkManager", "systemd-networkd")},
        ufw_enabled=False,
        missing_packages=[],
        apt=True,
        memory_mb=4096,
        cpus=4,
        disks=[{"path": "/var/lib/containerd", "device": 1, "free_mb": 20000}],
        cri_sockets=[],
        foreign_containerd=[],
        kubelet_conf=False,
        admin_conf=False,
        calico_cni_config=False,
        kubelet_version="",
        apiserver_version="",
        kubeadm_state={},
        python="3.11.2",
        time=1_800_000_000.0,
        clock={"offset": 0.1, "uncertainty": 0.4},
        run=this_run(),
        wanted={
            "node_name": host,
            "node_ip": "",
            "cluster_name": "nodewise",
            "kubernetes_version": "1.37.2",
            "control_plane_endpoint": "",
            "pod_cidr": "10.244.0.0/16",
            "pod_block_size": 26,
            "service_cidr": "10.96.0.0/12",
            "cri_socket": "",
            "architectures": ["amd64", "arm64"],
            "swap": "disable",
            "allow_untested": False,
            "allow_cgroup_v1": False,
            "allow_foreign_containerd": False,
            "install_packages": True,
            "kernel_modules_optional": [],
            "sysctls": dict(SYSCTLS),
            "control_plane_min_memory_mb": 1700,
            "control_plane_min_cpus": 2,
            "worker_min_memory_mb": 900,
            "min_disk_mb": 4096,
            "max_clock_difference": 5.0,
            "foreign_variables": [],
        },
    )


def finished_facts(host: str) -> Facts:
    """Return the facts of a host that runs as part of a cluster of this collection."""
    facts = good_facts(host)
    programs = {10250: "kubelet", 10256: "kube-proxy"}
    if host == "cp1":
        programs.update({6443: "kube-apiserver", 2379: "etcd", 2380: "etcd", 10257: "kube-controller-manager", 10259: "kube-scheduler"})
        facts.update(admin_conf=True, apiserver_version="1.37.2")
    facts.update(
        kubelet_conf=True,
        calico_cni_config=True,
        kubelet_version="1.37.2",
        cri_sockets=["unix:///run/containerd/containerd.sock"],
        interfaces=["lo", "eth0", "vxlan.calico", "cali0123456789a"],
        addresses=[ADDRESSES[host], "10.244.5.64"],
        listeners=[
            *({"port": port, "protocol": "tcp", "program": program} for port, program in programs.items()),
            {"port": 4789, "protocol": "udp", "program": ""},
        ],
        routes=[
            *facts["routes"],
            {"destination": "10.244.5.64/26", "gateway": "", "interface": "*"},
            {"destination": "10.244.5.65/32", "gateway": "", "interface": "cali0123456789a"},
            {"destination": "10.244.9.0/26", "gateway": "10.244.9.0", "interface": "vxlan.calico"},
            {"destination": "10.244.8.0/26", "gateway": "192.168.7.22", "interface": "eth0"},
        ],
        disks=[{"path": "/var/lib/containerd", "device": 1, "free_mb": 1000}],
        kernel_modules={"overlay": "loaded", "br_netfilter": "loaded"},
        sysctls={name: {"value": value, "writable": False} for name, value in SYSCTLS.items()},
    )
    return facts


def make_site(changes: dict[str, dict[str, Any]] | None = None, groups: dict[str, list[str]] | None = None, finished: bool = False) -> Site:
    """Return a site of four good hosts with some facts replaced.

    Parameters
    ----------
    changes : dict
        For a host, or V(*) for all of them, the facts to replace; dictionaries are merged one level deep.
    groups : dict
        The inventory's groups, if not the usual ones.
    finished : bool
        Whether the hosts already make a cluster.
    """
    hosts: dict[str, Any] = {host: (finished_facts if finished else good_facts)(host) for host in ADDRESSES}
    for target, values in (changes or {}).items():
        for host in hosts if target == "*" else [target]:
            for key, value in copy.deepcopy(values).items():
                old = hosts[host][key]
                hosts[host][key] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
    return Site(hosts=hosts, groups=GROUPS if groups is None else groups)


@pytest.fixture
def site() -> Callable[..., Site]:
    """Return the function that makes a site."""
    return make_site
