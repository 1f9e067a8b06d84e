# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring a host to what containerd, the kubelet and Calico stand on: packages, kernel, swap, network managers."""

from __future__ import annotations

import glob
import importlib
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

from ..errors import NodewiseError
from ..files import read_text, write_atomic
from ..process import TimeoutExpired, run
from . import facts, kernel, swap
from .model import STATE_FOLDER, Service

# The links Calico makes on a host. A manager that takes hold of them removes their addresses and routes.
_LINKS = ("cali*", "tunl*", "vxlan.calico", "vxlan-v6.calico", "wireguard.cali", "wg-v6.cali")

Run = Callable[[Sequence[str]], None]


def run_command(command: Sequence[str]) -> None:
    """Run a program of the host.

    Raises
    ------
    NodewiseError
        It is not there, fails, or takes longer than ten minutes.
    """
    environment = {**os.environ, "PATH": facts.PROGRAM_PATH, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    text = " ".join(command)
    try:
        done = run(command, timeout=600, env=environment)
    except (OSError, TimeoutExpired) as error:
        raise NodewiseError(f"{text} failed: {error}.") from error
    if done.returncode != 0:
        raise NodewiseError(f"{text} failed ({done.returncode}): {(done.stderr or done.stdout).strip()}")


@dataclass(frozen=True)
class Wish:
    """What the host shall be like; the fields are the options of the module C(host_prepare)."""

    kernel_modules: Sequence[str]
    kernel_modules_optional: Sequence[str]
    sysctls: Mapping[str, str]
    swap: str
    install_packages: bool


def wish_of(options: Mapping[str, Any]) -> Wish:
    """Return a wish from the values of these options."""
    return Wish(
        kernel_modules=options["kernel_modules"],
        kernel_modules_optional=options["kernel_modules_optional"],
        sysctls={name: str(value) for name, value in options["sysctls"].items()},
        swap=options["swap"],
        install_packages=options["install_packages"],
    )


@dataclass(frozen=True)
class Change:
    """One thing that is not as wished, and how to mend it."""

    action: str
    before: str
    after: str
    mend: Callable[[], None]


@dataclass(frozen=True)
class NetworkManager:
    """A network manager, the file that keeps it off Calico's links, and how it reads that file again."""

    service: str
    path: str
    content: str
    reload: Sequence[str]


NETWORK_MANAGERS = (
    NetworkManager(
        service="NetworkManager",
        path="/etc/NetworkManager/conf.d/nodewise-calico.conf",
        # += leaves what the operator's own files exclude.
        content="# Written by nodewise.cluster.host_prepare\n[keyfile]\nunmanaged-devices+=" + ";".join(f"interface-name:{link}" for link in _LINKS) + "\n",
        reload=("systemctl", "reload", "NetworkManager.service"),
    ),
    NetworkManager(
        service="systemd-networkd",
        # The first file that matches a link decides: it must sort before the operator's.
        path="/etc/systemd/network/00-nodewise-calico.network",
        content=f"# Written by nodewise.cluster.host_prepare\n[Match]\nName={' '.join(_LINKS)}\n\n[Link]\nUnmanaged=yes\n",
        reload=("networkctl", "reload"),
    ),
)


class Preparation:
    """Compares one host with a wish, step by step.

    Parameters
    ----------
    wish : Wish
        What the host shall be like.
    root : str
        Folder that stands for C(/) where files are concerned.
    run : callable
        Runs a program; see C(run_command).
    """

    def __init__(self, wish: Wish, root: str = "", run: Run = run_command) -> None:
        self._wish = wish
        self._root = root
        self._run = run

    def carry_out(self, check: bool, missing: Sequence[str], services: Mapping[str, Service]) -> list[Change]:
        """Mend what differs, and return it.

        Each step is compared only after the one before was mended, because a step may need it
        (a kernel module brings parameters).

        Parameters
        ----------
        check : bool
            Only compare.
        missing : sequence of str
            Debian packages to install (C(facts.missing_packages)).
        services : mapping
            State of the network managers (C(facts.services)).

        Raises
        ------
        NodewiseError
            Something cannot be had on this host.
        """
        done = []
        # Each of these goes on comparing only when the change before was taken off it.
        for change in chain(self._packages(missing), self._folders(), self._modules(), self._sysctls(), self._swap(), self._network_managers(services)):
            if not check:
                change.mend()
            done.append(change)
        return done

    def is_done(self, missing: Sequence[str], services: Mapping[str, Service]) -> bool:
        """Return whether all is as wished already; parameters as for C(carry_out). What cannot be had is not."""
        try:
            return not self.carry_out(True, missing, services)
        except NodewiseError:
            return False

    def _file(self, path: str, content: str) -> Iterator[Change]:
        before = read_text(self._root + path, "replace")
        if before != content:
            yield Change(f"write {path}", before or "", content, partial(write_atomic, self._root + path, content))

    def _packages(self, missing: Sequence[str]) -> Iterator[Change]:
        if missing and not self._wish.install_packages:
            raise NodewiseError(
                f"Missing on this host: the programs of the Debian packages {', '.join(missing)}.", "install them, or set host_install_packages to true"
            )
        if missing:
            yield Change(f"install {', '.join(missing)}", "", "".join(f"{package}\n" for package in missing), partial(self._install, missing))

    def _install(self, packages: Sequence[str]) -> None:
        if glob.glob(f"{self._root}/var/lib/dpkg/updates/[0-9]*"):  # dpkg was killed, perhaps by a killed run of ours
            self._run(["dpkg", "--configure", "-a"])
        apt = ["apt-get", "--quiet", "-o", "DPkg::Lock::Timeout=300"]
        install = [*apt, "--yes", "--no-install-recommends", "install", *packages]
        try:
            self._run(install)
        except NodewiseError:  # no package lists yet, or they are so old that the files they name are gone
            self._run([*apt, "update"])
            self._run(install)
        importlib.invalidate_caches()
        still = [package for package in facts.missing_packages() if package in packages]
        if still:
            raise NodewiseError(
                f"After installing {', '.join(still)} their programs, or Python modules, are still not found.",
                "set ansible_python_interpreter to the distribution's own Python, /usr/bin/python3",
            )

    def _folders(self) -> Iterator[Change]:
        for path in (STATE_FOLDER, f"{STATE_FOLDER}/state"):
            if not os.path.isdir(self._root + path):
                yield Change(f"make {path}", "", f"{path}\n", partial(os.makedirs, self._root + path, mode=0o755, exist_ok=True))

    def _modules(self) -> Iterator[Change]:
        release = platform.release()
        states = kernel.module_states(self._wish.kernel_modules, release, self._root)
        for name, state in states.items():
            if state == "available":
                yield Change(f"load {name}", "", f"{name}\n", partial(self._run, ["modprobe", name]))
            elif state == "missing" and name not in self._wish.kernel_modules_optional:
                raise NodewiseError(
                    f"The kernel {release} has no module {name}: neither loaded, built in, nor under /lib/modules.",
                    "reboot if the kernel was upgraded; on a container host load it on the machine below; or list it in host_kernel_modules_optional",
                )
        yield from self._file(kernel.MODULES_FILE, kernel.modules_file_content(self._wish.kernel_modules, release, self._root))

    def _sysctls(self) -> Iterator[Change]:
        yield from self._file(kernel.SYSCTL_FILE, kernel.sysctl_file_content(self._wish.sysctls))
        for name, value in self._wish.sysctls.items():
            before = kernel.read_sysctl(name, self._root)
            # net.bridge comes with br_netfilter, which may be optional here, or not be loaded yet in check mode.
            if before == value or (before is None and name.startswith("net.bridge.")):
                continue
            old = "" if before is None else f"{name} = {before}\n"
            yield Change(f"set {name}", old, f"{name} = {value}\n", partial(kernel.write_sysctl, name, value, self._root))

    def _swap(self) -> Iterator[Change]:
        if self._wish.swap != "disable":
            return
        fstab = read_text(self._root + swap.FSTAB, "surrogateescape") or ""
        without = swap.fstab_without_swap(fstab)
        if without != fstab:
            # Of a link its file is written, and a mode that hides a share's password stays.
            path = os.path.realpath(self._root + swap.FSTAB)
            mode = os.stat(path).st_mode & 0o7777
            yield Change(f"comment swap out in {swap.FSTAB}", fstab, without, partial(write_atomic, path, without, mode))
        units, from_fstab = swap.swap_units(self._root)
        for unit in units:
            # An enabled unit is disabled; one that a generator (zram, GPT) makes at each boot can only be masked.
            verb = "disable" if unit.folder == "/etc/systemd/system" else "mask"
            yield Change(f"{verb} {unit.name}", f"{unit.name}\n", "", partial(self._run, ["systemctl", verb, unit.name]))
        if from_fstab:
            text = "".join(f"{name}\n" for name in from_fstab)
            yield Change("reload systemd, which still has swap from fstab", text, "", partial(self._run, ["systemctl", "daemon-reload"]))
        areas = swap.parse_swaps(read_text(f"{self._root}/proc/swaps", "surrogateescape") or "")
        if areas and os.path.exists(f"{self._root}/run/systemd/container"):
            raise NodewiseError(
                f"Swap is on ({', '.join(area.path for area in areas)}), but it belongs to the machine that carries this container.",
                "turn it off there, or set host_swap to allow",
            )
        for area in areas:
            yield Change(f"swapoff {area.path}", f"{area.path}\n", "", partial(self._run, ["swapoff", area.path]))

    def _network_managers(self, services: Mapping[str, Service]) -> Iterator[Change]:
        for manager in NETWORK_MANAGERS:
            service = services.get(manager.service, Service(active=False, enabled=False))
            if not (service["active"] or service["enabled"]):
                continue
            # The mark outlives a run that is killed between writing and reloading; the next one reloads.
            mark = f"{self._root}{STATE_FOLDER}/state/reload-{manager.service}"
            before = read_text(self._root + manager.path, "replace")
            if before != manager.content:
                yield Change(f"write {manager.path}", before or "", manager.content, partial(self._write_marked, manager, mark))
            if service["active"] and (before != manager.content or os.path.exists(mark)):
                yield Change(f"reload {manager.service}", "", "", partial(self._reload, manager, mark))

    def _write_marked(self, manager: NetworkManager, mark: str) -> None:
        write_atomic(mark, "")
        write_atomic(self._root + manager.path, manager.content)

    def _reload(self, manager: NetworkManager, mark: str) -> None:
        self._run(manager.reload)
        os.unlink(mark)
