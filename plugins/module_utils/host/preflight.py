# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The preflight: from what all hosts say about themselves to everything that must be put right first.

Every check is a function from the whole site to its problems, so that one run names them all.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .model import CONTAINERD_SOCKET, CONTROL_PLANE_PORTS, CRI_SOCKETS, WORKER_PORTS, Facts, Problem, Route, canonical_socket
from .versions import kubelet_problem, parse_version

GROUPS = ("control_plane", "workers", "standby")
EVERY_HOST = "all hosts"

_SUPPORTED = {"debian": ("12", "13")}

# RFC 1123. The node's name is also the value of its label kubernetes.io/hostname, and those end at 63 characters.
_NODE_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_NAME_LENGTH = 63

# kubeadm 1.37: the controller manager cuts /24 per node out of the pod network, at most 2^16 of them
# (PodSubnetNodeMaskMaxDiff); a service network has at least 10 addresses and at most 2^20.
_POD_PREFIXES = (8, 24)
_SERVICE_PREFIXES = (12, 28)
# kube-controller-manager 1.37 gives each node a network of this size (defaultNodeMaskCIDRIPv4 of its nodeipamcontroller), whatever Calico
# makes of the addresses; kubeadm leaves it at that. The first of its flags wins.
NODE_PREFIX = 24
_NODE_PREFIX_FLAGS = ("node-cidr-mask-size", "node-cidr-mask-size-ipv4")

# Links that Calico, kube-proxy or a CNI plugin make on a host that is part of a cluster.
_CLUSTER_LINKS = ("cali", "tunl", "vxlan.calico", "vxlan-v6.calico", "wireguard.cali", "wg-v6.cali", "cni", "kube-ipvs", "nodelocaldns")


@dataclass(frozen=True)
class Site:
    """What the checks look at.

    Parameters
    ----------
    hosts : mapping
        The play's hosts and the facts of each.
    groups : mapping
        Members of C(control_plane), C(workers) and C(standby) in the whole inventory, whatever C(--limit) says.
    silent : sequence of str
        Hosts of the play that gave no facts.
    node_prefix : int
        Prefix length of the part of the pod network that each node gets.
    """

    hosts: Mapping[str, Facts]
    groups: Mapping[str, Sequence[str]]
    silent: Sequence[str] = field(default=())
    node_prefix: int = NODE_PREFIX

    def members(self, group: str) -> Sequence[str]:
        """Return the hosts of a group in the whole inventory."""
        return self.groups.get(group, ())

    def is_control_plane(self, host: str) -> bool:
        """Tell whether a host is in the group C(control_plane)."""
        return host in self.members("control_plane")

    def ports(self, host: str) -> dict[tuple[int, str], str]:
        """Return the ports a host will need, each with the program that may hold it."""
        return CONTROL_PLANE_PORTS if self.is_control_plane(host) else WORKER_PORTS


def describe(problem: Problem) -> str:
    """Write a problem as one line."""
    return f"{problem['host']}: {problem['what']}: found {problem['found']}, needed {problem['needed']}. Remedy: {problem['remedy']}."


def check_silent(site: Site) -> Iterator[Problem]:
    """Report hosts that could not be asked."""
    for host in site.silent:
        yield Problem(
            host=host,
            what="no facts",
            found="a host that cannot be reached, or on which gathering facts failed",
            needed="an answer from every host of the run",
            remedy=f"see the error above; or leave the host out with --limit 'all:!{host}'",
        )


def check_groups(site: Site) -> Iterator[Problem]:
    """Report groups that do not make a cluster."""
    control_planes = site.members("control_plane")
    if not control_planes:
        yield Problem(
            host=EVERY_HOST,
            what="no control plane",
            found="an empty group control_plane",
            needed="one host in it",
            remedy="put the first control-plane host into the group control_plane",
        )
    if len(control_planes) > 1:
        yield Problem(
            host=", ".join(control_planes),
            what="more than one control-plane host",
            found=f"{len(control_planes)} hosts in the group control_plane",
            needed="1, because several are not built yet",
            remedy="leave one host in the group control_plane",
        )
    for host in sorted({host for group in GROUPS for host in site.members(group)}):
        groups = [group for group in GROUPS if host in site.members(group)]
        if len(groups) > 1:
            yield Problem(
                host=host,
                what="host in several groups",
                found=" and ".join(groups),
                needed="one of control_plane, workers, standby",
                remedy="leave it in one of them",
            )


def check_distribution(site: Site) -> Iterator[Problem]:
    """Report distributions on which the collection was not run, and hosts without systemd."""
    for host, facts in site.hosts.items():
        identity, version = facts["distribution"], facts["distribution_version"]
        if version not in _SUPPORTED.get(identity, ()) and not facts["wanted"]["allow_untested"]:
            yield Problem(
                host=host,
                what="untested distribution",
                found=f"{identity} {version}".strip() or "no /etc/os-release",
                needed="debian 12 or 13",
                remedy="use a supported distribution, or set host_allow_untested to true",
            )
        if not facts["systemd"]:
            yield Problem(
                host=host,
                what="no systemd",
                found="no /run/systemd/system",
                needed="systemd as process 1",
                remedy="boot the host with systemd",
            )


def check_cgroup(site: Site) -> Iterator[Problem]:
    """Report hosts without the unified cgroup hierarchy: the kubelet refuses them since 1.35 (failCgroupV1)."""
    for host, facts in site.hosts.items():
        if facts["cgroup"] != "v2" and not facts["wanted"]["allow_cgroup_v1"]:
            yield Problem(
                host=host,
                what="cgroup version",
                found=f"{facts['cgroup']} at /sys/fs/cgroup",
                needed="v2 (cgroup2fs)",
                remedy="boot with systemd.unified_cgroup_hierarchy=1, or set host_allow_cgroup_v1 to true",
            )


def check_architecture(site: Site) -> Iterator[Problem]:
    """Report hosts for which no artifacts are built or fetched."""
    for host, facts in site.hosts.items():
        wanted = facts["wanted"]["architectures"]
        if facts["architecture"] not in wanted:
            yield Problem(
                host=host,
                what="architecture",
                found=facts["architecture"],
                needed=" or ".join(wanted),
                remedy="use other hosts, or correct host_architectures if there are artifacts for it",
            )


def check_swap(site: Site) -> Iterator[Problem]:
    """Report swap where host_swap refuses it, or where it cannot be turned off."""
    for host, facts in site.hosts.items():
        active, persistent, mode = facts["swap"]["active"], facts["swap"]["persistent"], facts["wanted"]["swap"]
        if mode == "refuse" and (active or persistent):
            yield Problem(
                host=host,
                what="swap",
                found="; ".join([*(f"in use: {area}" for area in active), *(f"at boot: {line}" for line in persistent)]),
                needed="no swap now and none at boot",
                remedy="turn it off, or set host_swap to disable (turns it off) or allow (the kubelet then runs with failSwapOn: false)",
            )
        if mode == "disable" and active and facts["container"]:
            yield Problem(
                host=host,
                what="swap of the machine below",
                found=f"{'; '.join(active)}, seen from a container ({facts['container']})",
                needed="no swap",
                remedy="turn it off on the machine that carries this container, or set host_swap to allow",
            )


def check_kernel(site: Site) -> Iterator[Problem]:
    """Report kernel modules and parameters that cannot be had."""
    for host, facts in site.hosts.items():
        wanted = facts["wanted"]
        for module, state in facts["kernel_modules"].items():
            if state == "missing" and module not in wanted["kernel_modules_optional"]:
                where = "the machine that carries this container" if facts["container"] else "the host"
                yield Problem(
                    host=host,
                    what=f"kernel module {module}",
                    found=f"neither loaded, built in, nor under /lib/modules/{facts['kernel']}",
                    needed="loaded, built in or loadable",
                    remedy=f"load it on {where} (reboot it if its kernel was upgraded), or list {module} in host_kernel_modules_optional",
                )
        for name, value in wanted["sysctls"].items():
            state_of = facts["sysctls"][name]
            # The parameters of a bridge come with br_netfilter, of which the loop above speaks.
            if state_of["value"] == value or (state_of["value"] is None and name.startswith("net.bridge.")):
                continue
            if not state_of["writable"]:
                found = "no such parameter" if state_of["value"] is None else f"{state_of['value']}, read-only"
                yield Problem(
                    host=host,
                    what=f"kernel parameter {name}",
                    found=found,
                    needed=value,
                    remedy="set it on the machine that carries this container, or correct host_sysctls",
                )
        for name, place in facts["sysctl_overrides"].items():
            yield Problem(
                host=host,
                what=f"kernel parameter {name} at boot",
                found=place,
                needed=wanted["sysctls"][name],
                remedy="remove that line: the file is read after /etc/sysctl.d/99-nodewise.conf and wins",
            )


def check_ports(site: Site) -> Iterator[Problem]:
    """Report ports that a stranger holds."""
    for host, facts in site.hosts.items():
        ports = site.ports(host)
        for listener in facts["listeners"]:
            key = (listener["port"], listener["protocol"])
            if key not in ports:
                continue
            owner, program = ports[key], listener["program"]
            if program == owner and (owner or "vxlan.calico" in facts["interfaces"]):
                continue
            yield Problem(
                host=host,
                what=f"port {listener['port']}/{listener['protocol']}",
                found=f"taken by {program or 'the kernel (a VXLAN device of another network?)'}",
                needed=f"free, or held by {owner or 'vxlan.calico'}",
                remedy=f"stop {program}" if program else "remove that device",
            )


def check_duplicates(site: Site) -> Iterator[Problem]:
    """Report names and identities that two hosts share."""
    kinds = {
        "hostname": ({host: facts["hostname"] for host, facts in site.hosts.items()}, "hostnamectl set-hostname (hosts are never renamed by this collection)"),
        "machine-id": (
            {host: facts["machine_id"] for host, facts in site.hosts.items()},
            "on all but one: rm /etc/machine-id && systemd-machine-id-setup, then reboot; on container hosts give each its own",
        ),
        "node name": ({host: facts["wanted"]["node_name"] for host, facts in site.hosts.items()}, "give each host its own nodewise_node_name"),
        "node IP": ({host: _node_ip(facts) for host, facts in site.hosts.items()}, "give each host its own nodewise_node_ip, and list no host twice"),
    }
    for what, (values, remedy) in kinds.items():
        for value in sorted({value for value in values.values() if value}):
            hosts = [host for host, other in values.items() if other == value]
            if len(hosts) > 1:
                yield Problem(host=", ".join(hosts), what=f"duplicate {what}", found=value, needed="one per host", remedy=remedy)


def check_identity(site: Site) -> Iterator[Problem]:
    """Report node names that Kubernetes refuses, and hosts without a machine-id."""
    for host, facts in site.hosts.items():
        name = facts["wanted"]["node_name"]
        if not _NODE_NAME.fullmatch(name) or len(name) > _NAME_LENGTH:
            yield Problem(
                host=host,
                what="node name",
                found=f"{name!r} ({len(name)} characters)",
                needed=f"RFC 1123: lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit, at most {_NAME_LENGTH} characters",
                remedy="set nodewise_node_name for this host",
            )
        if not re.fullmatch(r"[0-9a-f]{32}", facts["machine_id"]):
            yield Problem(
                host=host,
                what="machine-id",
                found=f"{facts['machine_id']!r} in /etc/machine-id",
                needed="32 hexadecimal digits",
                remedy="systemd-machine-id-setup, then reboot",
            )


def _node_ip(facts: Facts) -> str:
    return facts["wanted"]["node_ip"] or facts["default_ipv4"]


def check_node_ip(site: Site) -> Iterator[Problem]:
    """Report node addresses that the kubelet or Calico could not use."""
    for host, facts in site.hosts.items():
        address = _node_ip(facts)
        if not address:
            yield Problem(
                host=host,
                what="node IP",
                found="no IPv4 address but those of the loopback network",
                needed="an IPv4 address",
                remedy="give the host an address",
            )
        elif ":" in address:
            yield Problem(
                host=host,
                what="node IP",
                found=f"{address} (IPv6)",
                needed="IPv4, because IPv6 is not built yet",
                remedy="set nodewise_node_ip to an IPv4 address",
            )
        elif address not in facts["addresses"]:
            yield Problem(
                host=host,
                what="node IP",
                found=address,
                needed=f"an address of the host: {', '.join(facts['addresses'])}",
                remedy="correct nodewise_node_ip",
            )


def check_clock(site: Site) -> Iterator[Problem]:
    """Report clocks that certainly differ by more than is allowed.

    Each offset is known up to half the time the host took to answer. Only what exceeds that doubt counts.
    The host in the middle is the reference, so that one wrong clock among three is named alone.
    """
    clocks = {host: facts["clock"] for host, facts in site.hosts.items()}
    if not clocks:
        return
    ordered = sorted(clocks, key=lambda host: clocks[host]["offset"])
    reference = ordered[(len(ordered) - 1) // 2]
    for host, clock in clocks.items():
        difference = clock["offset"] - clocks[reference]["offset"]
        certain = abs(difference) - clock["uncertainty"] - clocks[reference]["uncertainty"]
        allowed = site.hosts[host]["wanted"]["max_clock_difference"]
        if certain > allowed:
            yield Problem(
                host=host,
                what="clock",
                found=f"{abs(difference):.1f} s {'ahead of' if difference > 0 else 'behind'} {reference}",
                needed=f"at most {allowed:g} s between hosts",
                remedy="run a time service (systemd-timesyncd, chrony) on every host, or raise host_max_clock_difference",
            )


def check_resources(site: Site) -> Iterator[Problem]:
    """Report hosts that are too small. Free disk counts only before a host joins: later the kubelet guards it."""
    for host, facts in site.hosts.items():
        wanted, control_plane = facts["wanted"], site.is_control_plane(host)
        memory = wanted["control_plane_min_memory_mb"] if control_plane else wanted["worker_min_memory_mb"]
        if facts["memory_mb"] < memory:
            yield Problem(
                host=host,
                what="memory",
                found=f"{facts['memory_mb']} MiB",
                needed=f"{memory} MiB",
                remedy=f"add memory, or lower host_{'control_plane' if control_plane else 'worker'}_min_memory_mb",
            )
        if control_plane and facts["cpus"] < wanted["control_plane_min_cpus"]:
            yield Problem(
                host=host,
                what="CPUs",
                found=str(facts["cpus"]),
                needed=str(wanted["control_plane_min_cpus"]),
                remedy="add CPUs, or lower host_control_plane_min_cpus",
            )
        for disk in facts["disks"] if not facts["kubelet_conf"] else []:
            if disk["free_mb"] < wanted["min_disk_mb"]:
                yield Problem(
                    host=host,
                    what=f"free disk space for {disk['path']}",
                    found=f"{disk['free_mb']} MiB",
                    needed=f"{wanted['min_disk_mb']} MiB",
                    remedy="make room, or lower host_min_disk_mb",
                )


def _network(text: str) -> ipaddress.IPv4Network | str:
    """Return an IPv4 network, or what is wrong with the text."""
    if "," in text or ":" in text:
        return "IPv6 and dual stack are not built yet"
    try:
        return ipaddress.IPv4Network(text)
    except ValueError as error:
        return str(error)


def node_prefix(cluster_configuration: Mapping[str, Any]) -> int:
    """Return the prefix length of a node's part of the pod network, by what is laid over kubeadm's ClusterConfiguration.

    A value that is no number is left for the controller manager to refuse, and what is no list of arguments for kubeadm.
    """
    manager = cluster_configuration.get("controllerManager")
    arguments = manager.get("extraArgs") if isinstance(manager, Mapping) else None
    values = {one.get("name"): str(one.get("value")) for one in arguments if isinstance(one, Mapping)} if isinstance(arguments, list) else {}
    given = [values[flag] for flag in _NODE_PREFIX_FLAGS if values.get(flag, "").isdecimal()]
    return int(given[0]) if given else NODE_PREFIX


def _is_clusters_own(route: Route, pods: ipaddress.IPv4Network) -> bool:
    """Tell whether a running cluster made a route: by its link, or because it leads to another node's pods."""
    if route["interface"].startswith(_CLUSTER_LINKS):
        return True
    within = ipaddress.IPv4Network(route["destination"]).subnet_of(pods)
    return within and (bool(route["gateway"]) or route["interface"] == "*")


def check_networks(site: Site) -> Iterator[Problem]:
    """Report pod and service networks that are invalid, too small, or in use by something else."""
    for pod_cidr, service_cidr, block_size in sorted(
        {(facts["wanted"]["pod_cidr"], facts["wanted"]["service_cidr"], facts["wanted"]["pod_block_size"]) for facts in site.hosts.values()}
    ):
        pods, services = _network(pod_cidr), _network(service_cidr)
        for variable, text, network, (shortest, longest) in (
            ("nodewise_pod_cidr", pod_cidr, pods, _POD_PREFIXES),
            ("nodewise_service_cidr", service_cidr, services, _SERVICE_PREFIXES),
        ):
            if isinstance(network, str):
                yield Problem(host=EVERY_HOST, what=variable, found=f"{text!r} ({network})", needed="an IPv4 network", remedy=f"correct {variable}")
            elif not shortest <= network.prefixlen <= longest:
                yield Problem(
                    host=EVERY_HOST,
                    what=f"size of {variable}",
                    found=text,
                    needed=f"/{shortest} to /{longest}, which is what kubeadm takes",
                    remedy=f"choose another {variable}",
                )
        if isinstance(pods, str) or isinstance(services, str):
            continue
        if pods.overlaps(services):
            yield Problem(
                host=EVERY_HOST,
                what="networks overlap",
                found=f"nodewise_pod_cidr {pods} and nodewise_service_cidr {services}",
                needed="two networks that share no address",
                remedy="move one of them",
            )
        nodes = len({host for group in GROUPS for host in site.members(group)})
        # A node needs a network of the controller manager's and a block of Calico's: the larger of the two decides.
        piece, kind = min((site.node_prefix, "node networks (node-cidr-mask-size)"), (block_size, "blocks (calico_block_size)"))
        pieces = 2 ** (piece - pods.prefixlen) if piece >= pods.prefixlen else 0
        if pods.prefixlen <= _POD_PREFIXES[1] and pieces < nodes:  # of a smaller one the loop above speaks
            yield Problem(
                host=EVERY_HOST,
                what="nodewise_pod_cidr is too small",
                found=f"{pods} holds {pieces} {kind} of /{piece}",
                needed=f"{nodes}, one for each host of the inventory",
                remedy=f"choose a nodewise_pod_cidr of /{piece - (nodes - 1).bit_length()} or larger, or list fewer hosts: a running cluster's cannot change",
            )


def check_overlap(site: Site) -> Iterator[Problem]:
    """Report pod and service networks that a host already uses for something else."""
    for host, facts in site.hosts.items():
        networks = {"nodewise_pod_cidr": _network(facts["wanted"]["pod_cidr"]), "nodewise_service_cidr": _network(facts["wanted"]["service_cidr"])}
        pods = networks["nodewise_pod_cidr"]
        for variable, network in networks.items():
            if isinstance(network, str) or isinstance(pods, str):
                continue  # check_networks speaks of it
            taken: dict[ipaddress.IPv4Network, str] = {}
            for route in facts["routes"]:
                destination = ipaddress.IPv4Network(route["destination"])
                if destination.overlaps(network) and not (facts["kubelet_conf"] and _is_clusters_own(route, pods)):
                    taken[destination] = f"route {destination} on {route['interface']}"
            if not facts["kubelet_conf"]:  # later the tunnel's own address lies in the pod network
                for address in facts["addresses"]:
                    single = ipaddress.IPv4Network(address)
                    if single.overlaps(network) and not any(single.subnet_of(other) for other in taken):
                        taken[single] = f"address {address}"
            for description in taken.values():
                yield Problem(
                    host=host,
                    what=f"{variable} overlaps a network of the host",
                    found=f"{description}, in {network}",
                    needed="a network the host does not use",
                    remedy=f"choose another {variable}, or remove what uses it",
                )


def check_agreement(site: Site) -> Iterator[Problem]:
    """Report variables of the whole cluster that differ between hosts."""
    wanted = {host: facts["wanted"] for host, facts in site.hosts.items()}
    for variable, values in {
        "nodewise_cluster_name": {host: its["cluster_name"] for host, its in wanted.items()},
        "nodewise_kubernetes_version": {host: its["kubernetes_version"] for host, its in wanted.items()},
        "nodewise_control_plane_endpoint": {host: its["control_plane_endpoint"] for host, its in wanted.items()},
        "nodewise_pod_cidr": {host: its["pod_cidr"] for host, its in wanted.items()},
        "nodewise_service_cidr": {host: its["service_cidr"] for host, its in wanted.items()},
    }.items():
        holders: dict[str, list[str]] = {}
        for host, value in values.items():
            holders.setdefault(value, []).append(host)
        if len(holders) > 1:
            yield Problem(
                host=EVERY_HOST,
                what=f"{variable} differs between hosts",
                found="; ".join(f"{value!r} on {', '.join(hosts)}" for value, hosts in holders.items()),
                needed="one value for the cluster",
                remedy="set it once, in the inventory's group all",
            )
    for name in sorted({facts["wanted"]["cluster_name"] for facts in site.hosts.values()}):
        if not _NODE_NAME.fullmatch(name) or len(name) > _NAME_LENGTH:
            yield Problem(
                host=EVERY_HOST,
                what="nodewise_cluster_name",
                found=repr(name),
                needed="RFC 1123, because it is part of every node's providerID",
                remedy="correct nodewise_cluster_name",
            )


def check_versions(site: Site) -> Iterator[Problem]:
    """Report version steps that Kubernetes forbids or that are not built yet."""
    for host, facts in site.hosts.items():
        wanted = facts["wanted"]["kubernetes_version"]
        target = parse_version(wanted)
        if target is None or not re.fullmatch(r"[0-9.]+", wanted):
            yield Problem(
                host=host,
                what="nodewise_kubernetes_version",
                found=repr(wanted),
                needed="three numbers, as in 1.37.2",
                remedy="correct nodewise_kubernetes_version",
            )
            continue
        server, kubelet = parse_version(facts["apiserver_version"]), parse_version(facts["kubelet_version"])
        if server is not None and server != target:
            if target < server:
                needed = "the same version: a control plane cannot be downgraded"
            elif target[:2] > (server[0], server[1] + 1):
                needed = "the same version: Kubernetes forbids skipping a minor version"
            else:
                needed = "the same version, because upgrading is not built yet"
            yield Problem(
                host=host,
                what="version of the control plane",
                found=f"API server {facts['apiserver_version']}, nodewise_kubernetes_version {wanted}",
                needed=needed,
                remedy=f"set nodewise_kubernetes_version to {facts['apiserver_version']}",
            )
        elif facts["kubelet_conf"] and kubelet is not None and kubelet != target:
            yield Problem(
                host=host,
                what="version of a node",
                found=f"kubelet {facts['kubelet_version']}, nodewise_kubernetes_version {wanted}",
                needed=kubelet_problem(kubelet, target) or "the same version, because upgrading is not built yet",
                remedy="set nodewise_kubernetes_version to the cluster's version, or reset the host and join it anew",
            )


def check_endpoint(site: Site) -> Iterator[Problem]:
    """Report a control-plane endpoint that is malformed or that a host cannot resolve."""
    for host, facts in site.hosts.items():
        endpoint = facts["wanted"]["control_plane_endpoint"]
        if not endpoint:
            continue  # the first control plane's node IP
        name, _colon, port = endpoint.rpartition(":")
        if not name or not port.isdigit() or not 0 < int(port) < 65536 or ":" in name:
            yield Problem(
                host=host,
                what="nodewise_control_plane_endpoint",
                found=repr(endpoint),
                needed="a name or an IPv4 address, a colon and a port, as in api.example.org:6443",
                remedy="correct nodewise_control_plane_endpoint",
            )
            continue
        found = facts["resolved"].get(name, [])
        if not found:
            yield Problem(
                host=host,
                what="nodewise_control_plane_endpoint does not resolve",
                found=f"no IPv4 address for {name}",
                needed="an address on every host",
                remedy="add the name to the DNS or to the host's /etc/hosts",
            )
        elif not site.is_control_plane(host) and all(address.startswith("127.") for address in found):
            yield Problem(
                host=host,
                what="nodewise_control_plane_endpoint resolves to this host itself",
                found=f"{name} = {', '.join(found)}",
                needed="an address of the control plane",
                remedy="correct the host's /etc/hosts",
            )


def check_firewalls(site: Site) -> Iterator[Problem]:
    """Report active host firewalls, which Calico's rules do not get along with."""
    for host, facts in site.hosts.items():
        ports = ", ".join(f"{port}/{protocol}" for port, protocol in sorted(site.ports(host)))
        for name in ("firewalld", "ufw"):
            # ufw's unit is active on any host that has it installed; its own switch decides.
            active = name in facts["services"] and facts["services"][name]["active"] and (name != "ufw" or facts["ufw_enabled"])
            if active:
                yield Problem(
                    host=host,
                    what=f"firewall {name}",
                    found="active",
                    needed="off",
                    remedy=f"turn {name} off and guard these ports outside the host or by Calico's host endpoints: {ports}",
                )


def check_cri(site: Site) -> Iterator[Problem]:
    """Report container runtimes between which the operator must choose, and a chosen one that is not there."""
    for host, facts in site.hosts.items():
        chosen, sockets = facts["wanted"]["cri_socket"], facts["cri_sockets"]
        strangers = [socket for socket in sockets if socket != CONTAINERD_SOCKET]
        if not chosen and strangers:
            yield Problem(
                host=host,
                what="container runtimes",
                found=", ".join(sockets),
                needed=f"one, or a choice between them and {CONTAINERD_SOCKET}",
                remedy="set nodewise_cri_socket to one of them",
            )
        elif chosen and not chosen.startswith("unix:///"):
            yield Problem(
                host=host,
                what="nodewise_cri_socket",
                found=repr(chosen),
                needed="a CRI v1 endpoint as unix:///path",
                remedy=f"correct nodewise_cri_socket, for instance {' or '.join(CRI_SOCKETS)}",
            )
        elif chosen and canonical_socket(chosen) not in (CONTAINERD_SOCKET, *sockets):
            yield Problem(
                host=host,
                what="nodewise_cri_socket",
                found=f"no socket {chosen}",
                needed="a runtime that serves it",
                remedy="install and start that runtime, or leave nodewise_cri_socket unset: containerd is then installed",
            )


def check_containerd(site: Site) -> Iterator[Problem]:
    """Report a containerd that is not this collection's, where ours would take its place, and its containers and settings with it."""
    for host, facts in site.hosts.items():
        wanted, found = facts["wanted"], facts["foreign_containerd"]
        ours = canonical_socket(wanted["cri_socket"]) in ("", CONTAINERD_SOCKET)
        if ours and found and not wanted["allow_foreign_containerd"]:
            yield Problem(
                host=host,
                what="containerd of somebody else",
                found=", ".join(found),
                needed="no containerd but the one that this collection installs",
                remedy="remove it (on Debian: apt-get purge containerd containerd.io), or set host_allow_foreign_containerd to true: "
                "its configuration and unit are then replaced",
            )


def check_packages(site: Site) -> Iterator[Problem]:
    """Report programs that are missing and may not, or cannot, be installed."""
    for host, facts in site.hosts.items():
        missing = facts["missing_packages"]
        if missing and not (facts["wanted"]["install_packages"] and facts["apt"]):
            reason = "host_install_packages is false" if facts["apt"] else "the host has no apt-get"
            yield Problem(
                host=host,
                what="missing programs",
                found=f"nothing of the Debian packages {', '.join(missing)}; {reason}",
                needed="their programs",
                remedy="install them" + (", or set host_install_packages to true" if facts["apt"] else ""),
            )


CHECKS = (
    check_silent,
    check_groups,
    check_agreement,
    check_distribution,
    check_architecture,
    check_cgroup,
    check_identity,
    check_duplicates,
    check_node_ip,
    check_clock,
    check_resources,
    check_swap,
    check_kernel,
    check_packages,
    check_ports,
    check_firewalls,
    check_cri,
    check_containerd,
    check_networks,
    check_overlap,
    check_endpoint,
    check_versions,
)


def merge(site: Site, found: Iterable[Problem]) -> list[Problem]:
    """Make one problem of those that differ in nothing but the host, so that a hundred alike hosts take one line."""
    hosts: dict[tuple[str, str, str, str], list[str]] = {}
    for one in found:
        hosts.setdefault((one["what"], one["found"], one["needed"], one["remedy"]), []).append(one["host"])
    return [
        Problem(host=EVERY_HOST if 1 < len(site.hosts) == len(names) else ", ".join(names), what=what, found=value, needed=needed, remedy=remedy)
        for (what, value, needed, remedy), names in hosts.items()
    ]


def problems(site: Site) -> list[Problem]:
    """Return every problem of the site, in the order of the checks."""
    return merge(site, (problem for check in CHECKS for problem in check(site)))
