# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab: hosts in containers on the control machine, reached by SSH as real ones are.

What is wanted is compared with the containers that bear the lab's label, so a run that was
killed at any point is repaired by the next: nothing is remembered outside podman but the lab's folder
(key, known_hosts, disks), and a host whose key, disk or description no longer fits is made anew.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...module_utils.errors import NodewiseError
from . import image
from .podman import Podman, run

LABEL_LAB = "nodewise.lab"
LABEL_HOST = "nodewise.host"
LABEL_SPEC = "nodewise.spec"

# A host opens one inotify instance for each systemd, kubelet and containerd part, and all hosts share the machine's limit.
INOTIFY_INSTANCES = ("/proc/sys/fs/inotify/max_user_instances", 1024)

# podman's CNI plugin host-local keeps one file for each address in use, and a killed podman or a machine's reboot leaves it there.
_CNI_LEASES = Path("/var/lib/cni/networks")

_SSH_TIMEOUT = 60.0


@dataclass(frozen=True)
class Host:
    """One wanted host.

    Parameters
    ----------
    name : str
        Host name.
    address : str
        IPv4 address in the lab's subnet.
    distribution : str
        A key of C(image.SUITES).
    disk_gib : int
        Size in GiB of the host's own filesystem under /var/lib/containerd (a sparse file on the control machine).
    """

    name: str
    address: str
    distribution: str
    disk_gib: int


@dataclass(frozen=True)
class Found:
    """One container that bears the lab's label."""

    container: str
    host: str
    spec: str
    running: bool


@dataclass(frozen=True)
class Plan:
    """What must be done, by host name; a host to make anew is in both C(remove) and C(create)."""

    remove: list[str] = field(default_factory=list)
    create: list[str] = field(default_factory=list)
    start: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Say whether there is anything to do."""
        return bool(self.remove or self.create or self.start)


def make_plan(specs: dict[str, str], found: Sequence[Found]) -> Plan:
    """Compare the wanted hosts with the containers found.

    Parameters
    ----------
    specs : dict
        Specification hash of each wanted host, by host name.
    found : sequence of Found
        The lab's containers as they are.
    """
    fits = {item.host: item for item in found if item.spec and item.spec == specs.get(item.host)}
    return Plan(
        remove=sorted({item.host for item in found} - fits.keys()),
        create=sorted(specs.keys() - fits.keys()),
        start=sorted(host for host, item in fits.items() if not item.running),
    )


class Lab:
    """The hosts of one lab.

    Parameters
    ----------
    name : str
        The lab's name; everything made bears it.
    directory : str
        Folder of the lab's key, known_hosts, SSH control sockets and disks.
    subnet : str
        IPv4 network of the lab, in CIDR notation.
    cache : str
        Folder of the images' tarballs, shared by all labs.
    report : callable
        Called with one line for each long step.
    podman : Podman, optional
        The podman to use.
    """

    def __init__(self, name: str, directory: str, subnet: str, cache: str, report: Callable[[str], None], podman: Podman | None = None) -> None:
        self.name = name
        self.directory = Path(directory)
        self.subnet = subnet
        self.cache = cache
        self._report = report
        self._podman = podman or Podman()
        self._label = f"{LABEL_LAB}={name}"
        self._network = f"nodewise-{name}"
        self._key = self.directory / "id_ed25519"

    # -- what is there ---------------------------------------------------------------------------------------------

    def found(self) -> list[Found]:
        """Return the lab's containers as they are."""
        return [
            Found(
                container=item["Names"][0],
                host=item["Labels"].get(LABEL_HOST, item["Names"][0]),
                spec=item["Labels"].get(LABEL_SPEC, ""),
                running=item["State"] == "running",
            )
            for item in self._podman.containers(self._label)
        ]

    def plan(self, hosts: Sequence[Host]) -> Plan:
        """Return what C(up) would do."""
        return make_plan({host.name: self._spec(host) for host in hosts}, self.found())

    def _spec(self, host: Host) -> str:
        """Hash everything that makes a running host fit: its description, the key it admits, its disk and its network."""
        public_key = self._key.with_suffix(".pub")
        facts = [
            self._run_args(host),
            public_key.read_text() if public_key.exists() else None,
            self._disk_fits(host),
            self._podman_subnets() == [self.subnet],
        ]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16] if all(facts) else ""

    def _disk_fits(self, host: Host) -> bool:
        disk = self._disk(host.name)
        return disk.exists() and disk.stat().st_size == host.disk_gib << 30

    def _podman_subnets(self) -> list[str] | None:
        return self._podman.network_subnets(self._network)

    # -- names -----------------------------------------------------------------------------------------------------

    def _container(self, host: str) -> str:
        return f"nodewise-{self.name}-{host}"

    def _volume(self, host: str, what: str) -> str:
        return f"{self._container(host)}-{what}"

    def _disk(self, host: str) -> Path:
        return self.directory / "disks" / f"{host}.ext4"

    def _run_args(self, host: Host) -> list[str]:
        """Return the arguments of C(podman run), less the label that holds their hash.

        Sources: kind's node entrypoint for the volumes and shared propagation; the rest was found by trying on a
        machine with hybrid cgroups and without CAP_SYS_RESOURCE (crun refuses hybrid cgroups; rlimits cannot be
        raised; systemd >= 256 refuses cgroup v1 unless told otherwise).
        """
        volumes = {"containerd": "/var/lib/containerd", "kubelet": "/var/lib/kubelet", "etcd": "/var/lib/etcd"}
        return [
            f"--name={self._container(host.name)}",
            f"--hostname={host.name}",
            f"--label={self._label}",
            f"--label={LABEL_HOST}={host.name}",
            "--runtime=runc",
            "--privileged",
            # Not --systemd=always: on cgroup v1 podman then lays the machine's own name=systemd hierarchy over the container's,
            # and the systemds of all hosts remove each other's cgroups. Its other effects are given here one by one.
            "--systemd=false",
            "--env=container=podman",
            "--stop-signal=SIGRTMIN+3",
            "--cgroupns=private",
            "--restart=always",
            "--tmpfs=/run",
            "--tmpfs=/tmp",
            "--ulimit=nofile=20000:20000",
            "--ulimit=nproc=32768:32768",
            "--env=SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1",
            f"--network={self._network}",
            f"--ip={host.address}",
            f"--volume={self._key}.pub:/root/.ssh/authorized_keys:ro",
            *(f"--volume={self._volume(host.name, what)}:{path}" for what, path in volumes.items()),
            image.reference(host.distribution),
        ]

    # -- up --------------------------------------------------------------------------------------------------------

    def up(self, hosts: Sequence[Host]) -> Plan:
        """Bring the hosts up and wait until each answers on SSH.

        Returns
        -------
        Plan
            What was done.

        Raises
        ------
        NodewiseError
            podman or mmdebstrap is missing or failed, the subnet is taken, or a host does not answer.
        """
        with self._locked():
            plan = self.plan(hosts)
            if plan:
                self._report(f"lab {self.name}: remove {plan.remove or 'none'}, create {plan.create or 'none'}, start {plan.start or 'none'}")
                self._apply(plan, {host.name: host for host in hosts})
            for host in hosts:
                _wait_for_ssh(host)
        return plan

    def _apply(self, plan: Plan, hosts: dict[str, Host]) -> None:
        _raise_inotify_limit()
        with ThreadPoolExecutor(max_workers=2) as pool:
            list(pool.map(self._remove_host, plan.remove))
            self._ensure_network()
            self._ensure_key()
            distributions = sorted({hosts[name].distribution for name in plan.create})
            list(pool.map(lambda distribution: image.ensure(self._podman, distribution, self.cache, self._report), distributions))
            self._forget_ssh([hosts[name].address for name in plan.create])
            list(pool.map(lambda name: self._create_host(hosts[name]), plan.create))
            list(pool.map(lambda name: self._start_host(hosts[name]), plan.start))

    def _ensure_network(self) -> None:
        subnets = self._podman_subnets()
        if subnets == [self.subnet]:
            return
        if subnets is not None:
            self._podman.remove_network(self._network)
        try:
            self._podman.create_network(self._network, self.subnet, self._label)
        except NodewiseError as error:
            raise NodewiseError(
                f"The subnet {self.subnet} of lab {self.name} cannot be had: {error.message}", "choose another name for the lab (LAB=...)"
            ) from error

    def _ensure_key(self) -> None:
        if not (self._key.exists() and self._key.with_suffix(".pub").exists()):
            self._key.unlink(missing_ok=True)
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"nodewise-lab-{self.name}", "-f", str(self._key))

    def _create_host(self, host: Host) -> None:
        self._remove_host(host.name)
        disk = self._disk(host.name)
        disk.parent.mkdir(parents=True, exist_ok=True)
        with disk.open("wb") as file:
            file.truncate(host.disk_gib << 30)
        # One inode for 64 KiB, set up lazily and never in the background: a sparse file of 20 GiB stays at a few MiB.
        run("mkfs.ext4", "-q", "-F", "-i", "65536", "-E", "lazy_itable_init=1,nodiscard", str(disk))
        self._podman.create_volume(self._volume(host.name, "containerd"), self._label, "type=ext4", f"device={disk}", "o=loop,noinit_itable")
        for what in ("kubelet", "etcd"):
            self._podman.create_volume(self._volume(host.name, what), self._label)
        self._free_address(host)
        self._podman.run_container(f"--label={LABEL_SPEC}={self._spec(host)}", *self._run_args(host))

    def _start_host(self, host: Host) -> None:
        self._free_address(host)
        if not self._podman.start(self._container(host.name)):
            self._report(f"{host.name}: cannot be started, is made anew")
            self._forget_ssh([host.address])
            self._create_host(host)

    def _free_address(self, host: Host) -> None:
        (_CNI_LEASES / self._network / host.address).unlink(missing_ok=True)

    def _remove_host(self, host: str) -> None:
        self._podman.remove_container(self._container(host))
        for what in ("containerd", "kubelet", "etcd"):
            self._podman.remove_volume(self._volume(host, what))
        self._disk(host).unlink(missing_ok=True)

    def _forget_ssh(self, addresses: Sequence[str]) -> None:
        """Drop the host keys of hosts that are made anew, and all multiplexed connections."""
        known_hosts = self.directory / "known_hosts"
        if known_hosts.exists():
            for address in addresses:
                run("ssh-keygen", "-q", "-R", address, "-f", str(known_hosts))
        shutil.rmtree(self.directory / "cp", ignore_errors=True)

    # -- down ------------------------------------------------------------------------------------------------------

    def leftovers(self) -> bool:
        """Say whether anything of the lab is there."""
        return bool(self.directory.exists() or self.found() or self._podman.volumes(self._label) or self._podman_subnets() is not None)

    def down(self) -> None:
        """Remove the lab's containers, volumes, network and folder; images and their tarballs stay."""
        with self._locked():
            for item in self.found():
                self._podman.remove_container(item.container)
            for volume in self._podman.volumes(self._label):
                self._podman.remove_volume(volume)
            if self._podman_subnets() is not None:
                self._podman.remove_network(self._network)
            shutil.rmtree(_CNI_LEASES / self._network, ignore_errors=True)
            shutil.rmtree(self.directory)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep a second run on the same lab waiting."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.directory / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _raise_inotify_limit() -> None:
    path, wanted = INOTIFY_INSTANCES
    limit = Path(path)
    if int(limit.read_text()) < wanted:
        limit.write_text(f"{wanted}\n")


def _wait_for_ssh(host: Host) -> None:
    """Wait until the host's sshd sends its greeting."""
    deadline = time.monotonic() + _SSH_TIMEOUT
    while True:
        with suppress(OSError), socket.create_connection((host.address, 22), timeout=2) as connection:
            if connection.recv(4) == b"SSH-":
                return
        if time.monotonic() > deadline:
            raise NodewiseError(f"{host.name} ({host.address}) does not answer on SSH after {_SSH_TIMEOUT:.0f} s.", "see `podman logs` of the container")
        time.sleep(0.1)


def parse_hosts(entries: dict[str, dict[str, Any]]) -> list[Host]:
    """Turn the inventory's description of the hosts into L(Host) objects.

    Raises
    ------
    NodewiseError
        A distribution is unknown, or two hosts have one address.
    """
    hosts = [Host(name=name, address=entry["address"], distribution=entry["distribution"], disk_gib=int(entry["disk_gib"])) for name, entry in entries.items()]
    for host in hosts:
        if host.distribution not in image.SUITES:
            raise NodewiseError(f"{host.name}: there is no lab image for distribution {host.distribution!r}.", f"use one of {', '.join(image.SUITES)}")
    taken: dict[str, str] = {}
    for host in hosts:
        if host.address in taken:
            raise NodewiseError(f"{taken[host.address]} and {host.name} both have address {host.address}.", "give each its own lab_number")
        taken[host.address] = host.name
    return hosts
