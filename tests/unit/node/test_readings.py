# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One sample of a host: trees of files as hosts of every kind have them, whole, unreadable and malformed."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.node.layout import read_layout
from ansible_collections.nodewise.cluster.plugins.module_utils.node.model import CGROUP, HOST, HostReading, Memory, Pressure
from ansible_collections.nodewise.cluster.plugins.module_utils.node.readings import HostReader, read_host

KIB = 1024
CPUS = float(len(os.sched_getaffinity(0)))
TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
PSI = "some avg10=1.00 avg60={} avg300=3.00 total=4\nfull avg10=9.00 avg60=9.00 avg300=9.00 total=9\n"

PROC = {
    "proc/stat": "cpu  100 20 30 4000 500 6 7 8 90 10\n" + "".join(f"cpu{cpu} 1 2 3 4 5 6 7 8 9 10\n" for cpu in range(96)) + "intr 5\n",
    "proc/meminfo": (
        "MemTotal:       1000 kB\nMemFree:         300 kB\nMemAvailable:    600 kB\nCached: 5 kB\n"
        "SwapTotal:       200 kB\nSwapFree:        150 kB\nHugePages_Total:       0\n"
    ),
    "proc/loadavg": "1.25 2.00 3.00 1/234 5678\n",
    "proc/sys/kernel/random/boot_id": "the-boot\n",
    "proc/1/stat": "1 (a b) c) S 0 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 170000 3000\n",
}
HOST_PSI = {f"proc/pressure/{name}": PSI.format(value) for name, value in (("cpu", "2.50"), ("memory", "0.00"), ("io", "7.00"))}

V2_MOUNTS = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V1_MOUNTS = "".join(
    f"{number} 24 0:{number} / /sys/fs/cgroup/{name.replace(',', '-')} rw shared:9 - cgroup cgroup rw,{name}\n"
    for number, name in ((31, "cpu,cpuacct"), (32, "memory"), (33, "name=systemd"))
)
HYBRID_MOUNTS = V1_MOUNTS + "40 24 0:40 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
OTHER_MOUNTS = "23 1 8:1 / / rw - ext4 /dev/sda1 rw\n24 23 0:25 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n"

V1_OF_INIT = "3:memory:/\n2:cpu,cpuacct:/\n1:name=systemd:/init.scope\n"
V1_FILES = {
    "sys/fs/cgroup/cpu-cpuacct/cpuacct.usage": "123456789\n",
    "sys/fs/cgroup/cpu-cpuacct/cpu.cfs_quota_us": "-1\n",
    "sys/fs/cgroup/cpu-cpuacct/cpu.cfs_period_us": "100000\n",
    "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{500 * KIB}\n",
    "sys/fs/cgroup/memory/memory.stat": f"inactive_file 1\nhierarchical_memory_limit 9223372036854771712\ntotal_swap 4096\ntotal_inactive_file {100 * KIB}\n",
}
V2_FILES = {
    "sys/fs/cgroup/cpu.stat": "usage_usec 7000\nuser_usec 1\nsystem_usec 2\n",
    "sys/fs/cgroup/memory.stat": f"anon {300 * KIB}\nfile {150 * KIB}\nkernel {90 * KIB}\ninactive_file {50 * KIB}\n",
}
V2_GROUP_FILES = {
    **V2_FILES,
    "sys/fs/cgroup/cpu.max": "max 100000\n",
    "sys/fs/cgroup/memory.current": f"{400 * KIB}\n",
    "sys/fs/cgroup/memory.max": "max\n",
    "sys/fs/cgroup/memory.swap.current": "8192\n",
    **{f"sys/fs/cgroup/{name}.pressure": PSI.format(value) for name, value in (("cpu", "4.00"), ("memory", "5.00"), ("io", "6.00"))},
}


def mounted(mounts: str, of_init: str) -> dict[str, str]:
    return {"proc/self/mountinfo": OTHER_MOUNTS + mounts, "proc/1/cgroup": of_init}


V2_HOST = {**PROC, **HOST_PSI, **mounted(V2_MOUNTS, "0::/init.scope\n"), **V2_FILES}
V1_HOST = {**PROC, **HOST_PSI, **mounted(V1_MOUNTS, V1_OF_INIT), **V1_FILES}
HYBRID_HOST = {**V1_HOST, **mounted(HYBRID_MOUNTS, V1_OF_INIT + "0::/init.scope\n")}
CONTAINER = {"run/systemd/container": "lxc\n"}
V2_CONTAINER = {**V2_HOST, **V2_GROUP_FILES, **CONTAINER}
V1_CONTAINER = {**V1_HOST, **CONTAINER}

Tree = dict[str, str | None]


@dataclass
class Fixture:
    """Makes a tree of files below a folder and reads it."""

    root: Path

    def make(self, *trees: Tree | dict[str, str], namespace: str = "cgroup:[4026531835]") -> str:
        merged: Tree = {}
        for tree in trees:
            merged.update(tree)
        for name, text in merged.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if text is not None:
                path.write_text(text)
        (self.root / "proc/self/ns").mkdir(parents=True, exist_ok=True)
        (self.root / "proc/self/ns/cgroup").symlink_to(namespace)
        return str(self.root)

    def read(self, *trees: Tree | dict[str, str]) -> HostReading:
        return read_host({"node": str(self.root)}, self.make(*trees))


@pytest.fixture
def host(tmp_path: Path) -> Fixture:
    return Fixture(tmp_path)


class TestWhole:
    @pytest.mark.parametrize(
        ("tree", "cgroup", "working_set"),
        [(V2_HOST, "v2", 400), (V1_HOST, "v1", 400), (HYBRID_HOST, "hybrid", 400)],
        ids=["v2", "v1", "hybrid"],
    )
    def test_a_machine(self, host: Fixture, tree: Tree, cgroup: str, working_set: int) -> None:
        reading = host.read(tree)
        assert (reading.view, reading.cgroup, reading.boot_id, reading.errors) == (HOST, cgroup, "the-boot", ())
        assert reading.cpu is not None
        assert (reading.cpu.core_nanoseconds, reading.cpu.stolen_nanoseconds) == ((100 + 20 + 30 + 6 + 7 + 8) * TICK, 8 * TICK)
        assert reading.memory == Memory(1000 * KIB, 400 * KIB, working_set * KIB, 200 * KIB, 50 * KIB)
        # All that are online, however few of them this process may use.
        assert (reading.cpus, reading.load1, reading.pressure) == (96, 1.25, Pressure(2.5, 0.0, 7.0))

    def test_a_container_on_v2(self, host: Fixture) -> None:
        reading = host.read(V2_CONTAINER)
        assert (reading.view, reading.cgroup, reading.boot_id, reading.errors) == (CGROUP, "v2", "the-boot+4242", ())
        assert reading.cpu is not None
        assert reading.cpu.core_nanoseconds == 7_000_000
        assert reading.memory == Memory(1000 * KIB, 350 * KIB, 350 * KIB, 200 * KIB, 8192)
        assert (reading.cpus, reading.load1, reading.pressure) == (CPUS, None, Pressure(4.0, 5.0, 6.0))

    def test_a_container_on_v1(self, host: Fixture) -> None:
        reading = host.read(V1_CONTAINER)
        assert (reading.view, reading.cgroup, reading.boot_id, reading.errors) == (CGROUP, "v1", "the-boot+4242", ())
        assert reading.cpu is not None
        assert reading.cpu.core_nanoseconds == 123456789
        assert reading.memory == Memory(1000 * KIB, 400 * KIB, 400 * KIB, 200 * KIB, 4096)
        assert (reading.cpus, reading.load1, reading.pressure) == (CPUS, None, Pressure())

    def test_times_of_the_cpu_counter_rise(self, host: Fixture) -> None:
        reader = HostReader(host.make(V2_HOST))
        first, second = reader.read({}).cpu, reader.read({}).cpu
        assert first is not None
        assert second is not None
        assert (second.monotonic > first.monotonic, second.timestamp >= first.timestamp) == (True, True)


class TestLayout:
    def test_a_cgroup_namespace_of_its_own_makes_a_container(self, host: Fixture) -> None:
        assert read_layout(host.make(V2_HOST, namespace="cgroup:[4026532512]")).view == CGROUP

    def test_an_empty_mark_makes_none(self, host: Fixture) -> None:
        assert read_layout(host.make(V2_HOST, {"run/systemd/container": ""})).view == HOST

    @pytest.mark.parametrize(
        ("top", "of_init", "folder"),
        [
            ("/", "/", ""),
            ("/", "/init.scope", ""),
            ("/", "/lxc/one/init.scope", "/lxc/one"),
            ("/lxc/one", "/lxc/one/init.scope", ""),
            ("/lxc/one", "/init.scope", ""),
            ("/lxc", "/lxc/one", "/one"),
        ],
    )
    def test_the_hosts_root_group(self, host: Fixture, top: str, of_init: str, folder: str) -> None:
        root = host.make({**PROC, **mounted(f"30 23 0:26 {top} /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", f"0::{of_init}\n")})
        assert set(read_layout(root).folders.values()) == {f"{root}/sys/fs/cgroup{folder}"}

    def test_controllers_of_hybrid_are_those_of_v1_in_any_order(self, host: Fixture) -> None:
        mounts = "".join(reversed(HYBRID_MOUNTS.splitlines(keepends=True)))
        root = host.make({**HYBRID_HOST, "proc/self/mountinfo": mounts})
        folder = f"{root}/sys/fs/cgroup"
        assert read_layout(root).folders == {"cpu": f"{folder}/cpu-cpuacct", "cpuacct": f"{folder}/cpu-cpuacct", "memory": f"{folder}/memory"}

    def test_a_mount_point_with_a_blank(self, host: Fixture) -> None:
        root = host.make({**PROC, **mounted("30 23 0:26 / /sys/fs/c\\040group rw - cgroup2 cgroup2 rw\n", "0::/\n")})
        assert read_layout(root).folders["cpu"] == f"{root}/sys/fs/c group"

    def test_a_hierarchy_of_v1_beside_a_unified_one_makes_no_hybrid(self, host: Fixture) -> None:
        stray = "41 30 0:41 / /sys/fs/cgroup/net_cls rw - cgroup cgroup rw,net_cls\n"
        reading = host.read(V2_HOST, mounted(V2_MOUNTS + stray, "1:net_cls:/\n0::/init.scope\n"))
        assert (reading.cgroup, reading.memory.working_set, reading.errors) == ("v2", 400 * KIB, ())

    def test_a_machine_that_hides_pid_1(self, host: Fixture) -> None:
        root = host.make(V2_HOST)
        os.unlink(f"{root}/proc/1/cgroup")
        assert set(read_layout(root).folders.values()) == {f"{root}/sys/fs/cgroup"}

    def test_a_container_that_hides_pid_1(self, host: Fixture) -> None:
        root = host.make(V2_CONTAINER)
        os.unlink(f"{root}/proc/1/cgroup")
        with pytest.raises(NodewiseError, match=r"Cannot read .*/proc/1/cgroup"):
            read_layout(root)

    def test_no_control_groups(self, host: Fixture) -> None:
        with pytest.raises(NodewiseError, match=r"No control groups are mounted according to .*/proc/self/mountinfo\. Remedy: mount /sys/fs/cgroup"):
            read_layout(host.make({**PROC, **mounted("", "0::/\n")}))

    def test_no_proc(self, tmp_path: Path) -> None:
        with pytest.raises(NodewiseError, match=r"Cannot read .*/proc/self/mountinfo: No such file or directory\. Remedy"):
            read_layout(str(tmp_path))


class TestHugepages:
    """The Node's allocatable memory is without them, and so must be what is compared with it."""

    def test_a_pool_is_not_in_use(self, host: Fixture) -> None:
        memory = host.read(V2_HOST, {"proc/meminfo": PROC["proc/meminfo"] + "Hugetlb:        250 kB\n"}).memory
        assert (memory.total, memory.used) == (1000 * KIB, 150 * KIB)

    def test_one_that_is_not_understood_makes_the_use_unknown(self, host: Fixture) -> None:
        reading = host.read(V2_HOST, {"proc/meminfo": PROC["proc/meminfo"] + "Hugetlb: x kB\n"})
        assert (reading.memory.total, reading.memory.used) == (1000 * KIB, None)
        assert len(reading.errors) == 1


class TestLimits:
    @pytest.mark.parametrize(("quota", "cpus"), [("50000 100000", 0.5), ("max 100000", CPUS), ("100000000 100000", CPUS)])
    def test_cpu_quota_of_v2(self, host: Fixture, quota: str, cpus: float) -> None:
        assert host.read(V2_CONTAINER, {"sys/fs/cgroup/cpu.max": quota}).cpus == cpus

    def test_cpu_quota_of_v1(self, host: Fixture) -> None:
        assert host.read(V1_CONTAINER, {"sys/fs/cgroup/cpu-cpuacct/cpu.cfs_quota_us": "25000\n"}).cpus == 0.25

    def test_a_kernel_without_quotas(self, host: Fixture) -> None:
        root = host.make(V2_CONTAINER)
        os.unlink(f"{root}/sys/fs/cgroup/cpu.max")
        reading = read_host({}, root)
        assert (reading.cpus, reading.errors) == (CPUS, ())

    def test_memory_limit_of_v2(self, host: Fixture) -> None:
        assert host.read(V2_CONTAINER, {"sys/fs/cgroup/memory.max": "2048\n"}).memory.total == 2048

    def test_memory_limit_of_v1(self, host: Fixture) -> None:
        stat = "hierarchical_memory_limit 4096\ntotal_inactive_file 0\n"
        memory = host.read(V1_CONTAINER, {"sys/fs/cgroup/memory/memory.stat": stat}).memory
        assert (memory.total, memory.swap_used) == (4096, None)

    def test_swap_that_the_kernel_does_not_count(self, host: Fixture) -> None:
        root = host.make(V2_CONTAINER)
        os.unlink(f"{root}/sys/fs/cgroup/memory.swap.current")
        reading = read_host({}, root)
        assert (reading.memory.swap_used, reading.memory.swap_total, reading.errors) == (None, 200 * KIB, ())


class TestUnknown:
    """Each file in turn: what it tells becomes None, with a line that says why, and nothing else is lost."""

    FIGURES: dict[str, Callable[[HostReading], object]] = {
        "cpu": lambda reading: reading.cpu,
        "cpus": lambda reading: reading.cpus,
        "memory": lambda reading: reading.memory.used,
        "total": lambda reading: reading.memory.total,
        "working set": lambda reading: reading.memory.working_set,
        "swap": lambda reading: reading.memory.swap_used,
        "load": lambda reading: reading.load1,
        "boot": lambda reading: reading.boot_id,
        "psi": lambda reading: reading.pressure.memory,
    }

    @pytest.mark.parametrize(
        ("name", "lost"),
        [
            ("proc/stat", {"cpu", "cpus"}),
            ("proc/meminfo", {"memory", "total", "swap"}),
            ("proc/loadavg", {"load"}),
            ("proc/sys/kernel/random/boot_id", {"boot"}),
            ("proc/pressure/memory", {"psi"}),
            ("sys/fs/cgroup/memory.stat", {"working set"}),
        ],
    )
    @pytest.mark.parametrize("content", ["folder", "", "cpu x x x x x x x x\nMemTotal: x kB\nsome avg60=x\ninactive_file x\nx", "\udcff"])
    def test_a_file_of_a_machine(self, host: Fixture, name: str, lost: set[str], content: str) -> None:
        root = host.make(V2_HOST)
        os.unlink(f"{root}/{name}")
        if content == "folder":
            # Not to be read even by root.
            os.mkdir(f"{root}/{name}")
        else:
            Path(root, name).write_bytes(content.encode("utf-8", "surrogateescape"))
        if name.endswith("boot_id") and content not in ("folder", ""):
            # Any text is a boot id.
            lost = set()
        reading = read_host({}, root)
        assert {figure for figure, get in self.FIGURES.items() if get(reading) is None} == lost
        assert bool(reading.errors) == bool(lost)

    def test_what_a_line_says(self, host: Fixture) -> None:
        root = host.make(V2_HOST)
        os.unlink(f"{root}/proc/stat")
        Path(root, "proc/loadavg").write_text("x\n")
        Path(root, "proc/meminfo").write_text(PROC["proc/meminfo"].replace("MemAvailable", "Other"))
        assert read_host({}, root).errors == (
            f"CPU time: cannot read {root}/proc/stat: No such file or directory",
            f"CPUs: cannot read {root}/proc/stat: No such file or directory",
            "memory: not understood: MemAvailable is missing",
            "load: not understood: could not convert string to float: 'x'",
        )

    @pytest.mark.parametrize("field", ["MemTotal", "MemAvailable", "SwapFree"])
    def test_a_missing_line_of_meminfo(self, host: Fixture, field: str) -> None:
        reading = host.read(V2_HOST, {"proc/meminfo": PROC["proc/meminfo"].replace(f"{field}:", "Other:")})
        lost = {"MemTotal": {"total", "memory"}, "MemAvailable": {"memory"}, "SwapFree": {"swap"}}[field]
        assert {figure for figure, get in self.FIGURES.items() if get(reading) is None} == lost

    @pytest.mark.parametrize(
        ("tree", "name", "lost"),
        [
            (V2_CONTAINER, "sys/fs/cgroup/cpu.stat", {"cpu"}),
            (V2_CONTAINER, "sys/fs/cgroup/memory.current", {"memory", "working set"}),
            (V2_CONTAINER, "sys/fs/cgroup/memory.max", {"total"}),
            (V1_CONTAINER, "sys/fs/cgroup/cpu-cpuacct/cpuacct.usage", {"cpu"}),
            (V1_CONTAINER, "sys/fs/cgroup/memory/memory.usage_in_bytes", {"memory", "working set"}),
            (V1_CONTAINER, "proc/1/stat", {"boot"}),
        ],
    )
    def test_a_file_of_a_container(self, host: Fixture, tree: Tree, name: str, lost: set[str]) -> None:
        root = host.make(tree)
        os.unlink(f"{root}/{name}")
        reading = read_host({}, root)
        unknown_anyway = {"load", "psi"} if tree is V1_CONTAINER else {"load"}
        assert {figure for figure, get in self.FIGURES.items() if get(reading) is None} == lost | unknown_anyway
        assert reading.errors

    def test_an_inactive_file_beyond_all_use_is_no_zero(self, host: Fixture) -> None:
        reading = host.read(V1_HOST, {"sys/fs/cgroup/memory/memory.stat": "total_inactive_file 999999999\n"})
        assert (reading.memory.working_set, reading.memory.used) == (None, 400 * KIB)
        assert reading.errors == (f"working set: not understood: inactive_file (999999999) is more than memory.usage_in_bytes ({500 * KIB})",)

    def test_a_kernel_without_psi_is_no_error(self, host: Fixture) -> None:
        reading = host.read({name: text for name, text in V2_HOST.items() if "pressure" not in name})
        assert (reading.pressure, reading.errors) == (Pressure(), ())

    def test_a_controller_that_is_not_mounted(self, host: Fixture) -> None:
        mounts = "".join(line for line in V1_MOUNTS.splitlines(keepends=True) if "memory" not in line)
        reading = host.read(V1_HOST, mounted(mounts, V1_OF_INIT))
        assert reading.memory.working_set is None
        assert reading.errors == ("working set: not understood: the control group controller memory is not mounted",)

    def test_a_filesystem(self, host: Fixture) -> None:
        reading = read_host({"node": f"{host.root}/none"}, host.make(V2_HOST))
        assert reading.filesystems[0].capacity is None
        assert reading.errors == (f"{host.root}/none: No such file or directory",)
