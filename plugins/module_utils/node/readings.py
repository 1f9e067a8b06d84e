# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One sample of what a host uses, from /proc, its control groups and its filesystems.

Every figure stands on its own: a file that is missing, unreadable or malformed takes only its figure away and leaves a line in C(errors).
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

from .filesystems import Filesystems, filesystem_paths
from .layout import V2, read_layout
from .model import HOST, CpuCounter, HostReading, Memory, Pressure

DEFAULT_PATHS: Mapping[str, str] = filesystem_paths("/var/lib/kubelet", "/var/lib/containerd")

_Figure = TypeVar("_Figure")


class HostReader:
    """Reads the same host again and again; what does not change while it runs is read once.

    Parameters
    ----------
    root : str
        Where /proc, /run and /sys are; for tests.
    filesystems : Filesystems, optional
        Who asks the filesystems.

    Raises
    ------
    NodewiseError
        /proc or the control groups are not mounted.
    """

    def __init__(self, root: str = "/", filesystems: Filesystems | None = None) -> None:
        self._root = root
        self._filesystems = filesystems or Filesystems()
        self._layout = read_layout(root)

    def read(self, paths: Mapping[str, str] | None = None) -> HostReading:
        """Take a sample; it needs no more than the filesystems' deadline.

        Parameters
        ----------
        paths : Mapping
            {role: path} of the filesystems, from C(filesystem_paths); without them, containerd's and the kubelet's usual folders.
        """
        sample = _Sample(self._root, self._layout.folders, self._layout.cgroup == V2)
        host = self._layout.view == HOST
        cpu = sample.take("CPU time", sample.cpu_of_host if host else sample.cpu_of_cgroup)
        filesystems = self._filesystems.read(DEFAULT_PATHS if paths is None else paths)
        return HostReading(
            view=self._layout.view,
            cgroup=self._layout.cgroup,
            boot_id=sample.take("boot id", sample.boot_id if host else sample.boot_id_of_container),
            cpu=cpu,
            cpus=sample.take("CPUs", sample.cpus_of_host if host else sample.cpus_of_cgroup),
            memory=sample.memory_of_host() if host else sample.memory_of_cgroup(),
            load1=sample.take("load", sample.load1) if host else None,
            pressure=Pressure(**{name: sample.take(f"PSI of {name}", partial(sample.pressure, name, host)) for name in ("cpu", "memory", "io")}),
            filesystems=filesystems,
            errors=(*sample.errors, *(f"{filesystem.mountpoint}: {filesystem.error}" for filesystem in filesystems if filesystem.error)),
        )

    def close(self) -> None:
        """End what waits for the next sample."""
        self._filesystems.close()


def read_host(paths: Mapping[str, str] | None = None, root: str = "/") -> HostReading:
    """Take one sample; see :class:`HostReader` for more than one.

    Raises
    ------
    NodewiseError
        /proc or the control groups are not mounted.
    """
    reader = HostReader(root)
    try:
        return reader.read(paths)
    finally:
        reader.close()


class _Sample:
    """The figures of one sample, each with its source, and what went wrong."""

    def __init__(self, root: str, folders: Mapping[str, str], v2: bool) -> None:
        self.errors: list[str] = []
        self._root = root
        self._folders = folders
        self._v2 = v2

    def take(self, what: str, read: Callable[[], _Figure]) -> _Figure | None:
        """Return a figure, or None and a line in C(errors)."""
        try:
            return read()
        except OSError as error:
            self.errors.append(f"{what}: cannot read {error.filename}: {error.strerror}")
        except (ValueError, LookupError) as error:
            self.errors.append(f"{what}: not understood: {error}")
        return None

    def cpu_of_host(self) -> CpuCounter:
        """The first line of /proc/stat: user (guest included), nice, system, idle, iowait, irq, softirq, steal, in ticks (proc_stat(5))."""
        line = self._proc("stat").partition("\n")[0]
        name, user, nice, system, _idle, _iowait, irq, softirq, steal = line.split()[:9]
        if name != "cpu":
            raise ValueError(f"/proc/stat begins with '{line}'")
        ticks, second = sum(int(value) for value in (user, nice, system, irq, softirq, steal)), os.sysconf("SC_CLK_TCK")
        return _counter(ticks * 1_000_000_000 // second, int(steal) * 1_000_000_000 // second)

    def cpu_of_cgroup(self) -> CpuCounter:
        """cpu.stat's usage_usec (v2), cpuacct.usage in nanoseconds (v1)."""
        if self._v2:
            return _counter(_keyed(self._group("cpu", "cpu.stat"), "usage_usec") * 1000)
        return _counter(int(self._group("cpuacct", "cpuacct.usage")))

    def cpus_of_host(self) -> float:
        """Those that are online, a line of /proc/stat each. Not our own affinity: system services may be pinned to a few, and pods run on the others."""
        count = sum(line.startswith("cpu") and line[3:4].isdigit() for line in self._proc("stat").splitlines())
        if not count:
            raise ValueError("/proc/stat names no CPU")
        return float(count)

    def cpus_of_cgroup(self) -> float:
        """The CPUs that a process of this host may run on, or the quota if that is less: cpu.max (v2), cpu.cfs_quota_us (v1, -1 without)."""
        own = float(len(os.sched_getaffinity(0)))
        try:
            if self._v2:
                quota, period = self._group("cpu", "cpu.max").split()
            else:
                quota, period = self._group("cpu", "cpu.cfs_quota_us").strip(), self._group("cpu", "cpu.cfs_period_us").strip()
        except FileNotFoundError:
            # The kernel has no CPU quotas, or the controller is not enabled for this group.
            return own
        return own if quota in ("max", "-1") else min(own, int(quota) / int(period))

    def memory_of_host(self) -> Memory:
        """/proc/meminfo; the working set as the kubelet reckons it."""

        def working_set() -> int:
            if self._v2:
                # The root of cgroup2 has no memory.current. Its stand-in in the kubelet is anon + file, as v1 counts (opencontainers/cgroups, fs2).
                stat = self._group("memory", "memory.stat")
                return _difference("anon + file", _keyed(stat, "anon") + _keyed(stat, "file"), _keyed(stat, "inactive_file"))
            return _difference("memory.usage_in_bytes", int(self._group("memory", "memory.usage_in_bytes")), self._inactive_file())

        info = self.take("memory", partial(self._proc, "meminfo"))
        working = self.take("working set", working_set)
        if info is None:
            return Memory(working_set=working)

        def used() -> int:
            # Allocatable is without hugepages. Kernels that have none do not have the line.
            hugepages = _bytes(info, "Hugetlb") if "\nHugetlb:" in info else 0
            return _bytes(info, "MemTotal") - hugepages - _bytes(info, "MemAvailable")

        return Memory(
            total=self.take("memory", lambda: _bytes(info, "MemTotal")),
            used=self.take("memory", used),
            working_set=working,
            swap_total=self.take("swap", lambda: _bytes(info, "SwapTotal")),
            swap_used=self.take("swap", lambda: _bytes(info, "SwapTotal") - _bytes(info, "SwapFree")),
        )

    def memory_of_cgroup(self) -> Memory:
        """The control group's own memory; what it uses is its working set. Its swap is only known where the kernel accounts for it."""

        def working_set() -> int:
            name = "memory.current" if self._v2 else "memory.usage_in_bytes"
            return _difference(name, int(self._group("memory", name)), self._inactive_file())

        def total() -> int:
            machine = _bytes(self._proc("meminfo"), "MemTotal")
            if self._v2:
                limit = self._group("memory", "memory.max").strip()
                return machine if limit == "max" else min(machine, int(limit))
            # hierarchical_memory_limit: the least limit of this group and all that it is in.
            return min(machine, _keyed(self._group("memory", "memory.stat"), "hierarchical_memory_limit"))

        used = self.take("working set", working_set)
        return Memory(
            total=self.take("memory", total),
            used=used,
            working_set=used,
            swap_total=self.take("swap", lambda: _bytes(self._proc("meminfo"), "SwapTotal")),
            swap_used=self.take("swap", self._swap_of_cgroup),
        )

    def _swap_of_cgroup(self) -> int | None:
        """memory.swap.current (v2), total_swap of memory.stat (v1)."""
        try:
            if self._v2:
                return int(self._group("memory", "memory.swap.current"))
            return _keyed(self._group("memory", "memory.stat"), "total_swap")
        except (FileNotFoundError, LookupError):
            return None

    def load1(self) -> float:
        """The first of /proc/loadavg."""
        return float(self._proc("loadavg").split()[0])

    def pressure(self, name: str, host: bool) -> float | None:
        """C(some avg60) of /proc/pressure, or of the control group's own file, which only v2 has."""
        if not host and not self._v2:
            return None
        try:
            text = self._proc(f"pressure/{name}") if host else self._group("memory", f"{name}.pressure")
        except FileNotFoundError:
            return None
        except OSError as error:
            # So the kernel says that PSI was switched off.
            if error.errno == errno.EOPNOTSUPP:
                return None
            raise
        values = dict(item.split("=") for line in text.splitlines() if line.startswith("some ") for item in line.split()[1:])
        return float(values["avg60"])

    def boot_id(self) -> str:
        """/proc/sys/kernel/random/boot_id."""
        text = self._proc("sys/kernel/random/boot_id").strip()
        if not text:
            raise ValueError("/proc/sys/kernel/random/boot_id is empty")
        return text

    def boot_id_of_container(self) -> str:
        """The same, which is the machine's, and when PID 1 was started: field 22 of /proc/1/stat, after a name that may hold anything."""
        return f"{self.boot_id()}+{int(self._proc('1/stat').rpartition(')')[2].split()[19])}"

    def _inactive_file(self) -> int:
        return _keyed(self._group("memory", "memory.stat"), "inactive_file" if self._v2 else "total_inactive_file")

    def _proc(self, name: str) -> str:
        return _text(os.path.join(self._root, "proc", name))

    def _group(self, controller: str, name: str) -> str:
        if controller not in self._folders:
            raise LookupError(f"the control group controller {controller} is not mounted")
        return _text(os.path.join(self._folders[controller], name))


def _counter(core_nanoseconds: int, stolen_nanoseconds: int = 0) -> CpuCounter:
    return CpuCounter(time.time_ns(), time.monotonic_ns(), core_nanoseconds, stolen_nanoseconds)


def _keyed(text: str, key: str) -> int:
    """Return a value of lines C(key value).

    Raises
    ------
    LookupError
        There is no such line.
    """
    for line in text.splitlines():
        name, _space, value = line.partition(" ")
        if name == key:
            return int(value)
    raise LookupError(f"{key} is missing")


def _bytes(meminfo: str, key: str) -> int:
    """Return a value of /proc/meminfo, which counts in KiB and says kB."""
    return _keyed(meminfo.replace(" kB", "").replace(":", ""), key) * 1024


def _difference(name: str, whole: int, inactive_file: int) -> int:
    if inactive_file > whole:
        raise ValueError(f"inactive_file ({inactive_file}) is more than {name} ({whole})")
    return whole - inactive_file


def _text(path: str) -> str:
    # Bytes that are no ASCII make a number unreadable, not the whole sample.
    with open(path, encoding="ascii", errors="replace") as handle:
        return handle.read()
