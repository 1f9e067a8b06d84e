# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host says of itself, as plain data.

A figure that could not be read is None, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field

HOST = "host"
"""The figures are those of the whole machine."""

CGROUP = "cgroup"
"""The host is a container that shares a kernel: CPU, memory and PSI are those of its own cgroup root; load, and with cgroup v1 PSI, are unknown."""


@dataclass(frozen=True)
class CpuCounter:
    """CPU time used by the node since an arbitrary start.

    Parameters
    ----------
    timestamp : int
        Nanoseconds, C(time.time_ns) when it was read.
    monotonic : int
        Nanoseconds, C(time.monotonic_ns) when it was read; rates are taken over this.
    core_nanoseconds : int
        Source: /proc/stat (user+nice+system+irq+softirq+steal, no idle, no iowait, no guest) for the view C(host),
        cpu.stat C(usage_usec) (cgroup v2) or cpuacct.usage (v1) for the view C(cgroup).
    stolen_nanoseconds : int
        Steal in it: what the hypervisor of a virtual machine gave to others. Of the root of cgroup2 it is a part or not, as the kernel's age has it.
    """

    timestamp: int
    monotonic: int
    core_nanoseconds: int
    stolen_nanoseconds: int = 0


@dataclass(frozen=True)
class Memory:
    """Memory in bytes.

    Parameters
    ----------
    total : int or None
        MemTotal, or the cgroup's limit if that is smaller.
    used : int or None
        MemTotal - Hugetlb - MemAvailable for the view C(host), since allocatable is without hugepages; the working set for the view C(cgroup).
    working_set : int or None
        As the kubelet counts: usage - inactive_file of the root cgroup; with cgroup v2, whose root has no memory.current, its usage is anon + file
        (opencontainers/cgroups 0.0.7, which Kubernetes 1.37.2 uses). The kernel's own memory is in neither.
    swap_total, swap_used : int or None
        SwapTotal and SwapTotal - SwapFree; for the view C(cgroup), what its own control group has swapped out, None if the kernel does not count it.
    """

    total: int | None = None
    used: int | None = None
    working_set: int | None = None
    swap_total: int | None = None
    swap_used: int | None = None


@dataclass(frozen=True)
class Filesystem:
    """One filesystem (one st_dev).

    Parameters
    ----------
    roles : tuple of str
        Of C(node), C(image), C(container): what lies on it, in this order.
    mountpoint : str
        The path that was asked (the first role's).
    device : int
        st_dev.
    capacity, used, available : int or None
        Bytes, by statvfs: f_blocks, f_blocks - f_bfree, f_bavail. None if statvfs failed.
    inodes, inodes_used : int or None
        f_files and f_files - f_ffree; None as well where the filesystem has no fixed number (f_files = 0).
    error : str
        Why the figures are None.
    """

    roles: tuple[str, ...]
    mountpoint: str
    device: int | None = None
    capacity: int | None = None
    used: int | None = None
    available: int | None = None
    inodes: int | None = None
    inodes_used: int | None = None
    error: str = ""


@dataclass(frozen=True)
class Pressure:
    """PSI of the whole host (/proc/pressure), or with the view C(cgroup) of its cgroup: percent of the last 60 s in which some task waited (C(some avg60)).

    None: no PSI in the kernel, or the view is C(cgroup) and the cgroup has none of its own, as with cgroup v1.
    """

    cpu: float | None = None
    memory: float | None = None
    io: float | None = None


@dataclass(frozen=True)
class HostReading:
    """All that one sample takes from the host.

    Parameters
    ----------
    view : str
        :data:`HOST` or :data:`CGROUP`.
    cgroup : str
        C(v2), C(hybrid) or C(v1).
    boot_id : str or None
        /proc/sys/kernel/random/boot_id; for the view C(cgroup), which shares it with other hosts, with C(+) and the start time of PID 1 in
        clock ticks (/proc/1/stat field 22) appended.
    cpu : CpuCounter or None
        CPU time used.
    cpus : float or None
        CPUs that the host may use: those online for the view C(host), min of sched_getaffinity and the cgroup's quota for the view C(cgroup).
    memory : Memory
        Memory.
    load1 : float or None
        1-minute load average; None for the view C(cgroup).
    pressure : Pressure
        PSI.
    filesystems : tuple of Filesystem
        One for each st_dev.
    errors : tuple of str
        One line for each figure that could not be read.
    """

    view: str
    cgroup: str
    boot_id: str | None = None
    cpu: CpuCounter | None = None
    cpus: float | None = None
    memory: Memory = Memory()
    load1: float | None = None
    pressure: Pressure = Pressure()
    filesystems: tuple[Filesystem, ...] = ()
    errors: tuple[str, ...] = field(default=())
