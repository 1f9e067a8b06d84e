from __future__ import annotations

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.host.preflight import Site, describe, node_prefix, problems


def lines(site) -> list[str]:
    return [describe(problem) for problem in problems(site)]


@pytest.mark.parametrize("finished", [False, True])
def test_good_site_has_no_problems(site, finished):
    assert lines(site(finished=finished)) == []


# Every bad input: the facts that differ from a good site's, and the one line an operator gets to read.
BAD = {
    "distribution": (
        {"w1": {"distribution": "ubuntu", "distribution_version": "24.04"}},
        "w1: untested distribution: found ubuntu 24.04, needed debian 12 or 13. Remedy: use a supported distribution, or set host_allow_untested to true.",
    ),
    "distribution version": (
        {"w1": {"distribution_version": "11"}},
        "w1: untested distribution: found debian 11, needed debian 12 or 13. Remedy: use a supported distribution, or set host_allow_untested to true.",
    ),
    "systemd": (
        {"w1": {"systemd": False}},
        "w1: no systemd: found no /run/systemd/system, needed systemd as process 1. Remedy: boot the host with systemd.",
    ),
    "cgroup": (
        {"w1": {"cgroup": "hybrid"}},
        "w1: cgroup version: found hybrid at /sys/fs/cgroup, needed v2 (cgroup2fs). Remedy: boot with systemd.unified_cgroup_hierarchy=1, "
        "or set host_allow_cgroup_v1 to true.",
    ),
    "architecture": (
        {"w1": {"architecture": "riscv64"}},
        "w1: architecture: found riscv64, needed amd64 or arm64. Remedy: use other hosts, or correct host_architectures if there are artifacts for it.",
    ),
    "swap refused": (
        {"w1": {"swap": {"active": ["/dev/zram0 (partition, 512 MiB)"], "persistent": ["unit dev-zram0.swap"]}, "wanted": {"swap": "refuse"}}},
        "w1: swap: found in use: /dev/zram0 (partition, 512 MiB); at boot: unit dev-zram0.swap, needed no swap now and none at boot. "
        "Remedy: turn it off, or set host_swap to disable (turns it off) or allow (the kubelet then runs with failSwapOn: false).",
    ),
    "swap refused though only at boot": (
        {"w1": {"swap": {"persistent": ["/etc/fstab: /dev/sda2 none swap sw 0 0"]}, "wanted": {"swap": "refuse"}}},
        "w1: swap: found at boot: /etc/fstab: /dev/sda2 none swap sw 0 0, needed no swap now and none at boot. "
        "Remedy: turn it off, or set host_swap to disable (turns it off) or allow (the kubelet then runs with failSwapOn: false).",
    ),
    "swap of the machine below": (
        {"w1": {"swap": {"active": ["/dev/sda2 (partition, 512 MiB)"]}, "container": "lxc"}},
        "w1: swap of the machine below: found /dev/sda2 (partition, 512 MiB), seen from a container (lxc), needed no swap. "
        "Remedy: turn it off on the machine that carries this container, or set host_swap to allow.",
    ),
    "kernel module": (
        {"w1": {"kernel_modules": {"overlay": "missing"}}},
        "w1: kernel module overlay: found neither loaded, built in, nor under /lib/modules/6.1.0-37-amd64, needed loaded, built in or loadable. "
        "Remedy: load it on the host (reboot it if its kernel was upgraded), or list overlay in host_kernel_modules_optional.",
    ),
    "kernel parameter that cannot be set": (
        {"w1": {"sysctls": {"net.ipv4.ip_forward": {"value": "0", "writable": False}}}},
        "w1: kernel parameter net.ipv4.ip_forward: found 0, read-only, needed 1. "
        "Remedy: set it on the machine that carries this container, or correct host_sysctls.",
    ),
    "kernel parameter that does not exist": (
        {"w1": {"sysctls": {"vm.nonsense": {"value": None, "writable": False}}, "wanted": {"sysctls": {"vm.nonsense": "1"}}}},
        "w1: kernel parameter vm.nonsense: found no such parameter, needed 1. "
        "Remedy: set it on the machine that carries this container, or correct host_sysctls.",
    ),
    "kernel parameter undone at boot": (
        {"w1": {"sysctl_overrides": {"net.ipv4.ip_forward": "0 in /etc/sysctl.d/99-sysctl.conf"}}},
        "w1: kernel parameter net.ipv4.ip_forward at boot: found 0 in /etc/sysctl.d/99-sysctl.conf, needed 1. "
        "Remedy: remove that line: the file is read after /etc/sysctl.d/99-nodewise.conf and wins.",
    ),
    "port of the control plane": (
        {"cp1": {"listeners": [{"port": 6443, "protocol": "tcp", "program": "k3s"}]}},
        "cp1: port 6443/tcp: found taken by k3s, needed free, or held by kube-apiserver. Remedy: stop k3s.",
    ),
    "port of a worker": (
        {"w1": {"listeners": [{"port": 10250, "protocol": "tcp", "program": "k3s"}]}},
        "w1: port 10250/tcp: found taken by k3s, needed free, or held by kubelet. Remedy: stop k3s.",
    ),
    "port of another VXLAN": (
        {"w1": {"listeners": [{"port": 4789, "protocol": "udp", "program": ""}]}},
        "w1: port 4789/udp: found taken by the kernel (a VXLAN device of another network?), needed free, or held by vxlan.calico. Remedy: remove that device.",
    ),
    "hostname": (
        {"w1": {"hostname": "debian"}, "w2": {"hostname": "debian"}},
        "w1, w2: duplicate hostname: found debian, needed one per host. Remedy: hostnamectl set-hostname (hosts are never renamed by this collection).",
    ),
    "machine-id": (
        {"w1": {"machine_id": "a" * 32}, "w2": {"machine_id": "a" * 32}},
        f"w1, w2: duplicate machine-id: found {'a' * 32}, needed one per host. "
        "Remedy: on all but one: rm /etc/machine-id && systemd-machine-id-setup, then reboot; on container hosts give each its own.",
    ),
    "node name twice": (
        {"w1": {"wanted": {"node_name": "node"}}, "w2": {"wanted": {"node_name": "node"}}},
        "w1, w2: duplicate node name: found node, needed one per host. Remedy: give each host its own nodewise_node_name.",
    ),
    "host twice": (
        {"w2": {"default_ipv4": "192.168.7.21", "addresses": ["192.168.7.21"]}},
        "w1, w2: duplicate node IP: found 192.168.7.21, needed one per host. Remedy: give each host its own nodewise_node_ip, and list no host twice.",
    ),
    "no machine-id": (
        {"w1": {"machine_id": "uninitialized"}},
        "w1: machine-id: found 'uninitialized' in /etc/machine-id, needed 32 hexadecimal digits. Remedy: systemd-machine-id-setup, then reboot.",
    ),
    "node IP elsewhere": (
        {"w1": {"wanted": {"node_ip": "192.168.7.99"}}},
        "w1: node IP: found 192.168.7.99, needed an address of the host: 192.168.7.21. Remedy: correct nodewise_node_ip.",
    ),
    "node IP of version 6": (
        {"w1": {"wanted": {"node_ip": "2001:db8::1"}}},
        "w1: node IP: found 2001:db8::1 (IPv6), needed IPv4, because IPv6 is not built yet. Remedy: set nodewise_node_ip to an IPv4 address.",
    ),
    "no address": (
        {"w1": {"default_ipv4": "", "addresses": []}},
        "w1: node IP: found no IPv4 address but those of the loopback network, needed an IPv4 address. Remedy: give the host an address.",
    ),
    "clock ahead": (
        {"w1": {"clock": {"offset": 60.1, "uncertainty": 1.5}}},
        "w1: clock: found 60.0 s ahead of w2, needed at most 5 s between hosts. "
        "Remedy: run a time service (systemd-timesyncd, chrony) on every host, or raise host_max_clock_difference.",
    ),
    "clock behind": (
        {"w1": {"clock": {"offset": -59.9, "uncertainty": 1.5}}},
        "w1: clock: found 60.0 s behind cp1, needed at most 5 s between hosts. "
        "Remedy: run a time service (systemd-timesyncd, chrony) on every host, or raise host_max_clock_difference.",
    ),
    "memory of a control plane": (
        {"cp1": {"memory_mb": 1699}},
        "cp1: memory: found 1699 MiB, needed 1700 MiB. Remedy: add memory, or lower host_control_plane_min_memory_mb.",
    ),
    "memory of a worker": (
        {"w1": {"memory_mb": 512}},
        "w1: memory: found 512 MiB, needed 900 MiB. Remedy: add memory, or lower host_worker_min_memory_mb.",
    ),
    "CPUs": (
        {"cp1": {"cpus": 1}},
        "cp1: CPUs: found 1, needed 2. Remedy: add CPUs, or lower host_control_plane_min_cpus.",
    ),
    "disk": (
        {"w1": {"disks": [{"path": "/var/lib/kubelet", "device": 1, "free_mb": 4095}]}},
        "w1: free disk space for /var/lib/kubelet: found 4095 MiB, needed 4096 MiB. Remedy: make room, or lower host_min_disk_mb.",
    ),
    "pod network malformed": (
        {"*": {"wanted": {"pod_cidr": "10.244.0.1/16"}}},
        "all hosts: nodewise_pod_cidr: found '10.244.0.1/16' (10.244.0.1/16 has host bits set), needed an IPv4 network. Remedy: correct nodewise_pod_cidr.",
    ),
    "service network malformed": (
        {"*": {"wanted": {"service_cidr": "10.96.0.0/33"}}},
        "all hosts: nodewise_service_cidr: found '10.96.0.0/33' ('33' is not a valid netmask), needed an IPv4 network. Remedy: correct nodewise_service_cidr.",
    ),
    "dual stack": (
        {"*": {"wanted": {"pod_cidr": "10.244.0.0/16,fd00::/56"}}},
        "all hosts: nodewise_pod_cidr: found '10.244.0.0/16,fd00::/56' (IPv6 and dual stack are not built yet), needed an IPv4 network. "
        "Remedy: correct nodewise_pod_cidr.",
    ),
    "service network of version 6": (
        {"*": {"wanted": {"service_cidr": "fd00::/112"}}},
        "all hosts: nodewise_service_cidr: found 'fd00::/112' (IPv6 and dual stack are not built yet), needed an IPv4 network. "
        "Remedy: correct nodewise_service_cidr.",
    ),
    "pod network smaller than kubeadm takes": (
        {"*": {"wanted": {"pod_cidr": "10.244.0.0/25", "pod_block_size": 28}}},
        "all hosts: size of nodewise_pod_cidr: found 10.244.0.0/25, needed /8 to /24, which is what kubeadm takes. Remedy: choose another nodewise_pod_cidr.",
    ),
    "service network larger than kubeadm takes": (
        {"*": {"wanted": {"service_cidr": "10.96.0.0/11", "pod_cidr": "10.224.0.0/16"}}},
        "all hosts: size of nodewise_service_cidr: found 10.96.0.0/11, needed /12 to /28, which is what kubeadm takes. "
        "Remedy: choose another nodewise_service_cidr.",
    ),
    "service network too small": (
        {"*": {"wanted": {"service_cidr": "10.96.0.0/29"}}},
        "all hosts: size of nodewise_service_cidr: found 10.96.0.0/29, needed /12 to /28, which is what kubeadm takes. "
        "Remedy: choose another nodewise_service_cidr.",
    ),
    "pod network too small for the nodes": (
        {"*": {"wanted": {"pod_cidr": "10.244.0.0/23"}}},
        "all hosts: nodewise_pod_cidr is too small: found 10.244.0.0/23 holds 2 node networks (node-cidr-mask-size) of /24, "
        "needed 4, one for each host of the inventory. "
        "Remedy: choose a nodewise_pod_cidr of /22 or larger, or list fewer hosts: a running cluster's cannot change.",
    ),
    "pod network with too few blocks": (
        {"*": {"wanted": {"pod_cidr": "10.244.0.0/20", "pod_block_size": 21}}},
        "all hosts: nodewise_pod_cidr is too small: found 10.244.0.0/20 holds 2 blocks (calico_block_size) of /21, "
        "needed 4, one for each host of the inventory. "
        "Remedy: choose a nodewise_pod_cidr of /19 or larger, or list fewer hosts: a running cluster's cannot change.",
    ),
    "pod and service network overlap": (
        {"*": {"wanted": {"pod_cidr": "10.100.0.0/16"}}},
        "all hosts: networks overlap: found nodewise_pod_cidr 10.100.0.0/16 and nodewise_service_cidr 10.96.0.0/12, needed two networks that share no address. "
        "Remedy: move one of them.",
    ),
    "pod network and host route": (
        {"w1": {"routes": [{"destination": "10.244.7.0/24", "gateway": "", "interface": "docker0"}]}},
        "w1: nodewise_pod_cidr overlaps a network of the host: found route 10.244.7.0/24 on docker0, in 10.244.0.0/16, needed a network the host does not use. "
        "Remedy: choose another nodewise_pod_cidr, or remove what uses it.",
    ),
    "service network and host address": (
        {"w1": {"addresses": ["192.168.7.21", "10.97.0.1"]}},
        "w1: nodewise_service_cidr overlaps a network of the host: found address 10.97.0.1, in 10.96.0.0/12, needed a network the host does not use. "
        "Remedy: choose another nodewise_service_cidr, or remove what uses it.",
    ),
    "remains of another cluster": (
        {"w1": {"routes": [{"destination": "10.244.7.0/24", "gateway": "", "interface": "cni0"}]}},
        "w1: nodewise_pod_cidr overlaps a network of the host: found route 10.244.7.0/24 on cni0, in 10.244.0.0/16, needed a network the host does not use. "
        "Remedy: choose another nodewise_pod_cidr, or remove what uses it.",
    ),
    "cluster-wide variable that differs": (
        {"w1": {"wanted": {"pod_cidr": "10.245.0.0/16"}}},
        "all hosts: nodewise_pod_cidr differs between hosts: found '10.244.0.0/16' on cp1, w2, s1; '10.245.0.0/16' on w1, needed one value for the cluster. "
        "Remedy: set it once, in the inventory's group all.",
    ),
    "cluster name": (
        {"*": {"wanted": {"cluster_name": "My_Cluster"}}},
        "all hosts: nodewise_cluster_name: found 'My_Cluster', needed RFC 1123, because it is part of every node's providerID. "
        "Remedy: correct nodewise_cluster_name.",
    ),
    "endpoint that does not resolve": (
        {
            "*": {"wanted": {"control_plane_endpoint": "api.example.org:6443"}, "resolved": {"api.example.org": ["192.168.7.11"]}},
            "w1": {"resolved": {"api.example.org": []}},
        },
        "w1: nodewise_control_plane_endpoint does not resolve: found no IPv4 address for api.example.org, needed an address on every host. "
        "Remedy: add the name to the DNS or to the host's /etc/hosts.",
    ),
    "endpoint that is the worker itself": (
        {
            "*": {"wanted": {"control_plane_endpoint": "api.example.org:6443"}, "resolved": {"api.example.org": ["192.168.7.11"]}},
            "w1": {"resolved": {"api.example.org": ["127.0.1.1"]}},
        },
        "w1: nodewise_control_plane_endpoint resolves to this host itself: found api.example.org = 127.0.1.1, needed an address of the control plane. "
        "Remedy: correct the host's /etc/hosts.",
    ),
    "firewalld": (
        {"cp1": {"services": {"firewalld": {"active": True, "enabled": True}}}},
        "cp1: firewall firewalld: found active, needed off. Remedy: turn firewalld off and guard these ports outside the host or by Calico's host endpoints: "
        "2379/tcp, 2380/tcp, 4789/udp, 6443/tcp, 10250/tcp, 10256/tcp, 10257/tcp, 10259/tcp.",
    ),
    "ufw": (
        {"w1": {"services": {"ufw": {"active": True, "enabled": True}}, "ufw_enabled": True}},
        "w1: firewall ufw: found active, needed off. Remedy: turn ufw off and guard these ports outside the host or by Calico's host endpoints: "
        "4789/udp, 10250/tcp, 10256/tcp.",
    ),
    "several runtimes": (
        {"w1": {"cri_sockets": ["unix:///run/containerd/containerd.sock", "unix:///run/cri-dockerd.sock"]}},
        "w1: container runtimes: found unix:///run/containerd/containerd.sock, unix:///run/cri-dockerd.sock, "
        "needed one, or a choice between them and unix:///run/containerd/containerd.sock. Remedy: set nodewise_cri_socket to one of them.",
    ),
    "runtime by TCP": (
        {"w1": {"wanted": {"cri_socket": "tcp://127.0.0.1:3735"}}},
        "w1: nodewise_cri_socket: found 'tcp://127.0.0.1:3735', needed a CRI v1 endpoint as unix:///path. Remedy: correct nodewise_cri_socket, for instance "
        "unix:///run/containerd/containerd.sock or unix:///run/crio/crio.sock or unix:///run/cri-dockerd.sock.",
    ),
    "chosen runtime that is not there": (
        {"w1": {"wanted": {"cri_socket": "unix:///var/run/crio/crio.sock"}}},
        "w1: nodewise_cri_socket: found no socket unix:///var/run/crio/crio.sock, needed a runtime that serves it. "
        "Remedy: install and start that runtime, or leave nodewise_cri_socket unset: containerd is then installed.",
    ),
    "foreign containerd": (
        {"w1": {"cri_sockets": ["unix:///run/containerd/containerd.sock"], "foreign_containerd": ["/etc/containerd/config.toml", "/usr/bin/containerd"]}},
        "w1: containerd of somebody else: found /etc/containerd/config.toml, /usr/bin/containerd, "
        "needed no containerd but the one that this collection installs. Remedy: remove it (on Debian: apt-get purge containerd containerd.io), "
        "or set host_allow_foreign_containerd to true: its configuration and unit are then replaced.",
    ),
    "foreign containerd at the chosen socket": (
        {"w1": {"foreign_containerd": ["/usr/bin/containerd"], "wanted": {"cri_socket": "unix:///var/run/containerd/containerd.sock"}}},
        "w1: containerd of somebody else: found /usr/bin/containerd, "
        "needed no containerd but the one that this collection installs. Remedy: remove it (on Debian: apt-get purge containerd containerd.io), "
        "or set host_allow_foreign_containerd to true: its configuration and unit are then replaced.",
    ),
    "missing programs that may not be installed": (
        {"w1": {"missing_packages": ["iptables"], "wanted": {"install_packages": False}}},
        "w1: missing programs: found nothing of the Debian packages iptables; host_install_packages is false, needed their programs. "
        "Remedy: install them, or set host_install_packages to true.",
    ),
    "missing programs that cannot be installed": (
        {"w1": {"missing_packages": ["iptables"], "apt": False}},
        "w1: missing programs: found nothing of the Debian packages iptables; the host has no apt-get, needed their programs. Remedy: install them.",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_problem_with_its_message(site, case):
    changes, line = BAD[case]
    assert lines(site(changes)) == [line]


# What looks like one of the above and is allowed.
ALLOWED = {
    "untested distribution by choice": {"w1": {"distribution": "ubuntu", "wanted": {"allow_untested": True}}},
    "Debian 13": {"w1": {"distribution_version": "13"}},
    "cgroup v1 by choice": {"w1": {"cgroup": "v1", "wanted": {"allow_cgroup_v1": True}}},
    "swap that will be turned off": {"w1": {"swap": {"active": ["/dev/sda2 (partition, 512 MiB)"]}}},
    "swap by choice": {"w1": {"swap": {"active": ["/dev/sda2 (partition, 512 MiB)"]}, "container": "lxc", "wanted": {"swap": "allow"}}},
    "optional kernel module": {"w1": {"kernel_modules": {"br_netfilter": "missing"}, "wanted": {"kernel_modules_optional": ["br_netfilter"]}}},
    "read-only kernel parameter at its value": {"w1": {"sysctls": {"net.ipv4.ip_forward": {"value": "1", "writable": False}}}},
    "port of a control plane on a worker": {"w1": {"listeners": [{"port": 6443, "protocol": "tcp", "program": "haproxy"}]}},
    "clock that differs by no more than the doubt": {"w1": {"clock": {"offset": 7.0, "uncertainty": 2.0}}},
    "clock by choice": {"*": {"wanted": {"max_clock_difference": 90.0}}, "w1": {"clock": {"offset": 60.0, "uncertainty": 0.2}}},
    "one CPU on a worker": {"w1": {"cpus": 1}},
    "network beside the pods'": {"w1": {"routes": [{"destination": "10.245.0.0/16", "gateway": "192.168.7.1", "interface": "eth0"}]}},
    "kubelet left over on a host that has not joined": {"w1": {"kubelet_version": "1.30.0"}},
    "endpoint that is the control plane itself": {
        "*": {"wanted": {"control_plane_endpoint": "cp1:6443"}, "resolved": {"cp1": ["192.168.7.11"]}},
        "cp1": {"resolved": {"cp1": ["127.0.1.1"]}},
    },
    "firewalld that is not active": {"w1": {"services": {"firewalld": {"active": False, "enabled": False}}}},
    "ufw's unit with ufw off": {"w1": {"services": {"ufw": {"active": True, "enabled": True}}, "ufw_enabled": False}},
    "no answer from systemctl": {"w1": {"services": {}}},
    "runtime by choice": {
        "w1": {
            "cri_sockets": ["unix:///run/containerd/containerd.sock", "unix:///run/cri-dockerd.sock"],
            "wanted": {"cri_socket": "unix:///var/run/cri-dockerd.sock"},
        }
    },
    "containerd chosen before it is installed": {"w1": {"wanted": {"cri_socket": "unix:///run/containerd/containerd.sock"}}},
    "foreign containerd by choice": {"w1": {"foreign_containerd": ["/usr/bin/containerd"], "wanted": {"allow_foreign_containerd": True}}},
    "foreign containerd beside the chosen runtime": {
        "w1": {
            "foreign_containerd": ["/usr/bin/containerd"],
            "cri_sockets": ["unix:///run/crio/crio.sock"],
            "wanted": {"cri_socket": "unix:///run/crio/crio.sock"},
        }
    },
    "missing programs that will be installed": {"w1": {"missing_packages": ["iptables"]}},
    "dots and digits in a node name": {"w1": {"wanted": {"node_name": "0w-1.rack7.example.org"}}},
    "longest node name": {"w1": {"wanted": {"node_name": "n" * 63}}},
    "longest cluster name": {"*": {"wanted": {"cluster_name": "n" * 63}}},
    "just enough of everything": {"*": {"memory_mb": 1700, "cpus": 2, "disks": [{"path": "/var/lib/etcd", "device": 1, "free_mb": 4096}]}},
    "clock that differs by just what is allowed": {"*": {"clock": {"offset": 0.0, "uncertainty": 0.0}}, "w1": {"clock": {"offset": 5.0}}},
    "smallest service network": {"*": {"wanted": {"service_cidr": "10.96.0.0/28"}}},
    "smallest pod network": {"*": {"wanted": {"pod_cidr": "10.244.0.0/22"}}},
}


@pytest.mark.parametrize("case", ALLOWED)
def test_allowed_input_is_no_problem(site, case):
    assert lines(site(ALLOWED[case])) == []


@pytest.mark.parametrize("name", ["W1", "node_1", "-w1", "w1-", "w1.", "n" * 64, "", "ä1"])
def test_node_name_that_is_not_rfc_1123(site, name):
    [line] = lines(site({"w1": {"wanted": {"node_name": name}}}))
    assert line.startswith(f"w1: node name: found {name!r} ({len(name)} characters), needed RFC 1123")
    assert line.endswith("Remedy: set nodewise_node_name for this host.")


@pytest.mark.parametrize("endpoint", ["api.example.org", ":6443", "api.example.org:", "api.example.org:https", "api:0", "api:65536", "[fd00::1]:6443"])
def test_endpoint_that_is_no_host_and_port(site, endpoint):
    assert lines(site({"*": {"wanted": {"control_plane_endpoint": endpoint}}})) == [
        f"all hosts: nodewise_control_plane_endpoint: found {endpoint!r}, "
        "needed a name or an IPv4 address, a colon and a port, as in api.example.org:6443. Remedy: correct nodewise_control_plane_endpoint."
    ]


@pytest.mark.parametrize("port", ["1", "65535"])
def test_endpoint_with_the_first_and_last_port(site, port):
    changes = {"*": {"wanted": {"control_plane_endpoint": f"192.168.7.11:{port}"}, "resolved": {"192.168.7.11": ["192.168.7.11"]}}}
    assert lines(site(changes)) == []


@pytest.mark.parametrize(
    ("target", "needed"),
    [
        ("1.36.3", "a control plane cannot be downgraded"),
        ("1.37.1", "a control plane cannot be downgraded"),
        ("1.37.3", "upgrading is not built yet"),
        ("1.38.0", "upgrading is not built yet"),
        ("1.39.0", "Kubernetes forbids skipping a minor version"),
    ],
)
def test_cluster_of_another_version(site, target, needed):
    whole = site({"*": {"wanted": {"kubernetes_version": target}}}, finished=True)
    [line] = lines(Site(hosts={"cp1": whole.hosts["cp1"]}, groups=whole.groups))
    assert line.startswith(f"cp1: version of the control plane: found API server 1.37.2, nodewise_kubernetes_version {target}, needed the same version")
    assert needed in line
    assert line.endswith("Remedy: set nodewise_kubernetes_version to 1.37.2.")


@pytest.mark.parametrize(
    ("kubelet", "needed"),
    [
        ("1.38.0", "a kubelet not newer than the API server"),
        ("1.33.9", "a kubelet at most 3 minor versions older than the API server"),
        ("1.34.1", "the same version, because upgrading is not built yet"),
    ],
)
def test_kubelet_of_another_version(site, kubelet, needed):
    [line] = lines(site({"w1": {"kubelet_version": kubelet}}, finished=True))
    assert line == (
        f"w1: version of a node: found kubelet {kubelet}, nodewise_kubernetes_version 1.37.2, needed {needed}. "
        "Remedy: set nodewise_kubernetes_version to the cluster's version, or reset the host and join it anew."
    )


@pytest.mark.parametrize("version", ["v1.37.2", "1.37", "1.37.2-rc.1", "latest"])
@pytest.mark.parametrize("finished", [False, True])
def test_malformed_version_is_told_once_and_compared_with_nothing(site, version, finished):
    assert lines(site({"*": {"wanted": {"kubernetes_version": version}}}, finished=finished)) == [
        f"all hosts: nodewise_kubernetes_version: found {version!r}, needed three numbers, as in 1.37.2. Remedy: correct nodewise_kubernetes_version."
    ]


def test_several_control_planes(site):
    groups = {"control_plane": ["cp1", "cp2"], "workers": ["w1"]}
    assert lines(site(groups=groups)) == [
        "cp1, cp2: more than one control-plane host: found 2 hosts in the group control_plane, needed 1, because several are not built yet. "
        "Remedy: leave one host in the group control_plane."
    ]


def test_no_control_plane(site):
    assert lines(site(groups={"workers": ["w1"]})) == [
        "all hosts: no control plane: found an empty group control_plane, needed one host in it. "
        "Remedy: put the first control-plane host into the group control_plane."
    ]


def test_host_in_two_groups(site):
    groups = {"control_plane": ["cp1"], "workers": ["w1", "cp1"]}
    assert lines(site(groups=groups)) == [
        "cp1: host in several groups: found control_plane and workers, needed one of control_plane, workers, standby. Remedy: leave it in one of them."
    ]


def test_silent_host(site):
    good = site()
    [line] = lines(Site(hosts=good.hosts, groups=good.groups, silent=["w9"]))
    assert line.startswith("w9: no facts: found a host that cannot be reached")
    assert "--limit 'all:!w9'" in line


def test_hosts_left_out_by_limit_still_count_as_nodes(site):
    whole = site({"*": {"wanted": {"pod_cidr": "10.244.0.0/23"}}})
    [line] = lines(Site(hosts={"w1": whole.hosts["w1"]}, groups=whole.groups))
    assert "of /24, needed 4" in line


@pytest.mark.parametrize(("hosts", "pod_cidr", "needed"), [(5, "10.244.0.0/22", "/21"), (3, "10.244.0.0/24", "/22"), (4, "10.244.0.0/22", None)])
def test_every_node_needs_a_network_of_its_own(site, hosts, pod_cidr, needed):
    groups = {"control_plane": ["cp1"], "workers": [f"w{number}" for number in range(1, hosts)]}
    found = lines(site({"*": {"wanted": {"pod_cidr": pod_cidr}}}, groups=groups))
    assert [f"nodewise_pod_cidr of {needed} or larger" in line for line in found] == ([True] if needed else [])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], 24),
        ([{"name": "node-cidr-mask-size", "value": "26"}], 26),
        ([{"name": "node-cidr-mask-size-ipv4", "value": 25}], 25),
        ([{"name": "node-cidr-mask-size-ipv4", "value": "25"}, {"name": "node-cidr-mask-size", "value": "26"}], 26),
        ([{"name": "node-cidr-mask-size", "value": "25"}, {"name": "node-cidr-mask-size", "value": "27"}], 27),
        ([{"name": "node-cidr-mask-size", "value": "large"}], 24),
    ],
)
def test_size_of_a_nodes_network_is_the_controller_managers(arguments, expected):
    assert node_prefix({"controllerManager": {"extraArgs": arguments}}) == expected


OLD = {"controllerManager": {"extraArgs": {"node-cidr-mask-size": "26"}}}  # the mapping of v1beta3


@pytest.mark.parametrize(
    "configuration", [{}, {"controllerManager": None}, {"controllerManager": {"extraArgs": None}}, {"apiServer": {}}, {"controllerManager": "x"}, OLD]
)
def test_nodes_network_is_the_default_where_nothing_is_laid_over(configuration):
    assert node_prefix(configuration) == 24


def test_all_problems_are_told_at_once_and_alike_hosts_share_a_line(site):
    found = lines(site({"*": {"cgroup": "v1"}, "w1": {"memory_mb": 1, "systemd": False}, "w2": {"memory_mb": 1}}))
    assert [line.split(": found")[0] for line in found] == ["w1: no systemd", "all hosts: cgroup version", "w1, w2: memory"]


def test_strangers_route_on_a_finished_host_is_still_a_problem(site):
    stranger = {"destination": "10.244.200.0/24", "gateway": "", "interface": "docker0"}
    whole = site(finished=True)
    whole.hosts["w1"]["routes"].append(stranger)
    [line] = lines(whole)
    assert "route 10.244.200.0/24 on docker0" in line
