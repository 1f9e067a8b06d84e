# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Readings of a lab's worker against what crictl, df, the kernel's files and the shell say of it at the same time.

Needs a lab with a cluster (`make cluster`); changes nothing in it but a folder in /tmp, which it removes.
"""

from __future__ import annotations

import importlib.metadata
import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from lab import LAB, ROOT

HOST = f"nodewise-{LAB}-w1"
FOLDER = "/tmp/nodewise-test-readings"

pytestmark = pytest.mark.skipif(not (ROOT / ".lab" / LAB).exists(), reason=f"there is no lab {LAB}; make cluster makes one")

SCRIPT = f"""
import dataclasses, json, resource, sys, time
sys.path.insert(0, {FOLDER!r})
from nodewise.cri.client import CriClient
from nodewise.cri.readings import read_runtime
from nodewise.node.filesystems import filesystem_paths
from nodewise.node.readings import HostReader

client, reader = CriClient(), HostReader()
runtime = read_runtime(client)
paths = filesystem_paths("/var/lib/kubelet", "/var/lib/containerd", runtime.image_filesystems, runtime.container_filesystems)
host = reader.read(paths)
begin, samples = time.process_time(), 20
for _sample in range(samples):
    read_runtime(client), reader.read(paths)
cost = (time.process_time() - begin) / samples
rss = int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
print(json.dumps({{"runtime": dataclasses.asdict(runtime), "host": dataclasses.asdict(host), "cpu_seconds": cost, "rss": rss}}))
"""


def on_host(*command: str, stdin: bytes = b"") -> str:
    done = subprocess.run(["podman", "exec", "--interactive", HOST, *command], input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def shell(command: str) -> str:
    return on_host("sh", "-euc", command).strip()


def crictl(*args: str) -> Any:
    return json.loads(on_host("crictl", *args, "--output=json"))


def counters() -> dict[str, int]:
    """What only grows, from the kernel's own files: of the host's root group, and of each container's."""
    found = {"host": int(shell("cat /sys/fs/cgroup/cpuacct/cpuacct.usage"))}
    for container in crictl("ps")["containers"]:
        found[container["id"]] = int(shell(f"cat /sys/fs/cgroup/cpuacct{group(container['id'], 'cpuacct')}/cpuacct.usage"))
    return found


def group(container: str, controller: str) -> str:
    pid = json.loads(on_host("crictl", "inspect", container))["info"]["pid"]
    return shell(f"sed -n 's/^[0-9]*:{controller}://p' /proc/{pid}/cgroup")


def working_set(folder: str) -> int:
    used, inactive = shell(f"cat {folder}/memory.usage_in_bytes; sed -n 's/^total_inactive_file //p' {folder}/memory.stat").split()
    return int(used) - int(inactive)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The library as the package C(nodewise), and the wheels it needs, on the host."""
    python = shell("python3 -c 'import sys; print(\"%d.%d\" % sys.version_info[:2])'")
    wheels = tmp_path_factory.mktemp("wheels")
    pinned = [f"{name}=={importlib.metadata.version(name)}" for name in ("grpcio", "protobuf", "typing_extensions")]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", f"--python-version={python}"]
    subprocess.run([*pip, f"--target={wheels}", *pinned], check=True)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(wheels, ".")
        tar.add(ROOT / "plugins" / "module_utils", "nodewise", filter=lambda member: None if "__pycache__" in member.name else member)
    on_host("mkdir", "-p", FOLDER)
    on_host("tar", "--extract", "--no-same-owner", f"--directory={FOLDER}", stdin=packed.getvalue())
    yield
    on_host("rm", "-rf", FOLDER)


@dataclass(frozen=True)
class Taken:
    """A reading, and what others said right before and after it; between the two no pod and no container came or went."""

    reading: dict[str, Any]
    pods: dict[str, Any]
    containers: dict[str, Any]
    before: dict[str, int]
    after: dict[str, int]


@pytest.fixture(scope="module")
def taken(installed: None) -> Taken:
    for _attempt in range(10):
        pods, containers = listed()
        before = counters()
        reading: dict[str, Any] = json.loads(on_host("python3", "-c", SCRIPT))
        after = counters()
        if listed() == (pods, containers):
            print(f"one sample: {reading['cpu_seconds'] * 1000:.1f} ms CPU; {reading['rss'] / 2**20:.1f} MiB resident")
            return Taken(reading, pods, containers, before, after)
    raise AssertionError("pods come and go too fast on this node")


@pytest.fixture(scope="module")
def reading(taken: Taken) -> dict[str, Any]:
    return taken.reading


def listed() -> tuple[dict[str, Any], dict[str, Any]]:
    """Pods and containers by their identifiers, in crictl's words."""
    pods = {pod["id"]: (pod["metadata"]["namespace"], pod["metadata"]["name"], pod["state"]) for pod in crictl("pods")["items"]}
    containers = {
        container["id"]: (container["metadata"]["name"], container["metadata"].get("attempt", 0), int(container["createdAt"]))
        for container in crictl("ps", "--all")["containers"]
    }
    return pods, containers


def running(reading: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {container["key"]["id"]: container for container in reading["runtime"]["containers"] if container["state"] == "running"}


def test_nothing_is_missing(reading: dict[str, Any]) -> None:
    assert (reading["runtime"]["errors"], reading["host"]["errors"], reading["runtime"]["unread_containers"]) == ([], [], 0)


def test_the_runtime(reading: dict[str, Any]) -> None:
    status = reading["runtime"]["status"]
    said = dict(line.split(":", 1) for line in on_host("crictl", "version").splitlines())
    assert (status["name"], status["version"]) == (said["RuntimeName"].strip(), said["RuntimeVersion"].strip())
    assert (status["ready"], status["network_ready"], status["message"]) == (True, True, "")
    assert status["cgroup_driver"] == ("systemd" if "cri-containerd-" in group(next(iter(running(reading))), "memory") else "cgroupfs")


def test_counts(taken: Taken) -> None:
    runtime = taken.reading["runtime"]
    states = [state for _namespace, _name, state in taken.pods.values()]
    assert (runtime["pods_ready"], runtime["pods_not_ready"]) == (states.count("SANDBOX_READY"), states.count("SANDBOX_NOTREADY"))
    read = {container["key"]["id"]: (container["name"], container["key"]["attempt"], container["key"]["created_at"]) for container in runtime["containers"]}
    assert read == taken.containers
    assert {(container["namespace"], container["pod"]) for container in runtime["containers"]} <= {pod[:2] for pod in taken.pods.values()}


def test_cpu_lies_between_the_kernels_figures(taken: Taken) -> None:
    assert taken.before["host"] <= taken.reading["host"]["cpu"]["core_nanoseconds"] <= taken.after["host"]
    containers = running(taken.reading)
    assert set(containers) == set(taken.before) - {"host"}
    for container, entry in containers.items():
        assert taken.before[container] <= entry["cpu"]["value"] <= taken.after[container], entry["name"]


def test_memory(reading: dict[str, Any]) -> None:
    memory = reading["host"]["memory"]
    assert memory["total"] == int(shell("sed -n 's/^MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo")) * 1024
    # The test's own Python has ended since.
    assert memory["working_set"] == pytest.approx(working_set("/sys/fs/cgroup/memory"), rel=0.05, abs=64 * 2**20)
    stats = {entry["attributes"]["id"]: int(entry["memory"]["workingSetBytes"]["value"]) for entry in crictl("stats")["stats"] if "memory" in entry}
    for container, entry in running(reading).items():
        kernel = working_set(f"/sys/fs/cgroup/memory{group(container, 'memory')}")
        assert entry["working_set_bytes"] == pytest.approx(kernel, rel=0.05, abs=16 * 2**20), entry["name"]
        assert entry["working_set_bytes"] == pytest.approx(stats[container], rel=0.05, abs=16 * 2**20), entry["name"]


def test_filesystems(reading: dict[str, Any]) -> None:
    found = {role: filesystem for filesystem in reading["host"]["filesystems"] for role in filesystem["roles"]}
    assert set(found) == {"node", "image", "container"}
    for role, path in (("node", "/var/lib/kubelet"), ("image", "/var/lib/containerd"), ("container", "/var/lib/containerd")):
        capacity, used, available, inodes, inodes_used = map(int, shell(f"df -B1 --output=size,used,avail,itotal,iused {path} | tail -1").split())
        assert (found[role]["capacity"], found[role]["inodes"]) == (capacity, inodes)
        assert found[role]["device"] == int(shell(f"stat --format=%d {path}"))
        for name, value in (("used", used), ("available", available)):
            # Others write to the machine's disk meanwhile.
            assert found[role][name] == pytest.approx(value, abs=max(256 * 2**20, capacity // 100)), (role, name)
        assert found[role]["inodes_used"] == pytest.approx(inodes_used, rel=0.05, abs=5000)


def test_a_host_that_is_a_container_says_so(reading: dict[str, Any]) -> None:
    host = reading["host"]
    assert (host["view"], host["load1"], host["pressure"]) == ("cgroup", None, {"cpu": None, "memory": None, "io": None})
    kind = shell("stat --file-system --format=%T /sys/fs/cgroup")
    assert (host["cgroup"] == "v2") == (kind == "cgroup2fs")
    assert host["boot_id"] == shell("cat /proc/sys/kernel/random/boot_id") + "+" + shell("cut -d' ' -f22 /proc/1/stat")
    assert host["cpus"] == float(shell("nproc"))


def test_a_sample_is_cheap(reading: dict[str, Any]) -> None:
    """At one in 10 s, 40 ms would be 4 millicores."""
    assert reading["cpu_seconds"] < 0.04
    assert reading["rss"] < 50 * 2**20
