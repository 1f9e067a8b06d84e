# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real labs: killed at any point, left half made, side by side, rebooted, removed."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import BIN, ROOT, changed, environment, start

LAB = "pytest"
HOSTS = {"cp1", "w1", "w2", "s1"}


def play(playbook: str, lab: str = LAB) -> int:
    """Run a playbook to its end and return how many changes it reports."""
    process = start(playbook, lab)
    out = process.communicate(timeout=900)[0]
    assert process.returncode == 0, out
    return changed(out)["cp1"]


def on_all(command: str, lab: str = LAB) -> dict[str, str]:
    """Run a command on all hosts, by SSH, and return what each says."""
    ansible = [str(BIN / "ansible"), "-i", "inventories/lab", "lab", "-m", "ansible.builtin.command", "-a", command]
    done = subprocess.run(ansible, cwd=ROOT, env=environment(lab), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(re.findall(r"^(\w+) \| CHANGED \| rc=0 >>\n(.*)$", done.stdout, re.MULTILINE))


def podman(*args: str) -> str:
    return subprocess.run(["podman", *args], check=True, capture_output=True, text=True).stdout.strip()


def children(process: int) -> list[int]:
    """Return a process and all that came of it."""
    found = subprocess.run(["pgrep", "-P", str(process)], capture_output=True, text=True, check=False).stdout.split()
    return [process, *(grandchild for child in found for grandchild in children(int(child)))]


@pytest.fixture(scope="module", autouse=True)
def removed() -> Iterator[None]:
    play("lab_down")
    yield
    play("lab_down")


@pytest.fixture
def lab() -> None:
    play("lab_up")


def test_a_second_run_changes_nothing_and_is_quick(lab: None) -> None:
    begin = time.monotonic()
    assert play("lab_up") == 0
    assert time.monotonic() - begin < 10
    assert set(on_all("true")) == HOSTS


def test_hosts_share_nothing(lab: None) -> None:
    for command in ("cat /etc/machine-id", "cat /etc/ssh/ssh_host_ed25519_key.pub", "findmnt --noheadings --output=SOURCE /var/lib/containerd"):
        assert len(set(on_all(command).values())) == len(HOSTS), command
    assert {value.split(":", 2)[2] for value in on_all("grep name=systemd: /proc/1/cgroup").values()} == {"/init.scope"}
    roots = {Path(f"/proc/{podman('inspect', '--format={{.State.Pid}}', f'nodewise-{LAB}-{host}')}/cgroup").read_text() for host in HOSTS}
    assert len(roots) == len(HOSTS), "hosts share a cgroup, so their systemds remove each other's"


def test_hosts_are_healthy(lab: None) -> None:
    assert set(on_all("systemctl is-system-running --wait").values()) == {"running"}


@pytest.mark.parametrize("seconds", [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0])
def test_a_killed_run_is_repaired_by_the_next(seconds: float) -> None:
    play("lab_down")
    process = start("lab_up", LAB)
    time.sleep(seconds)
    for child in children(process.pid):
        subprocess.run(["kill", "-KILL", str(child)], capture_output=True, check=False)
    process.communicate()
    play("lab_up")
    assert set(on_all("true")) == HOSTS
    assert play("lab_up") == 0


def test_a_host_left_half_made_is_repaired(lab: None) -> None:
    """As podman leaves it that is killed between creating and starting, or when the machine goes down."""
    podman("stop", "--time=0", f"nodewise-{LAB}-w1")
    lease = Path(f"/var/lib/cni/networks/nodewise-{LAB}")
    if lease.exists():
        (address,) = re.findall(r"--ip=(\S+)", podman("inspect", "--format={{.Config.CreateCommand}}", f"nodewise-{LAB}-w1"))
        (lease / address).write_text("a container that is no more\r\neth0")
    assert play("lab_up") == 1
    assert set(on_all("true")) == HOSTS


def test_a_host_removed_by_hand_is_made_anew(lab: None) -> None:
    podman("rm", "--force", "--time=0", f"nodewise-{LAB}-w2")
    assert play("lab_up") == 1
    assert set(on_all("true")) == HOSTS


def test_a_reboot_keeps_address_key_and_disk(lab: None) -> None:
    on_all("touch /root/kept /var/lib/containerd/kept")
    before = on_all("cat /etc/ssh/ssh_host_ed25519_key.pub")
    reboot = [str(BIN / "ansible"), "-i", "inventories/lab", "lab", "-m", "ansible.builtin.reboot", "-a", "boot_time_command='stat --format=%Z /proc/1'"]
    subprocess.run(reboot, cwd=ROOT, env=environment(LAB), check=True, capture_output=True)
    assert on_all("cat /etc/ssh/ssh_host_ed25519_key.pub") == before
    on_all("ls /root/kept /var/lib/containerd/kept")
    assert play("lab_up") == 0


def test_two_labs_live_side_by_side(lab: None) -> None:
    other = f"{LAB}-2"
    try:
        play("lab_up", other)
        assert set(on_all("true", other)) == set(on_all("true")) == HOSTS
        assert set(on_all("hostname -I", other).values()) & set(on_all("hostname -I").values()) == set()
    finally:
        play("lab_down", other)
    assert set(on_all("true")) == HOSTS


def test_down_leaves_nothing(lab: None) -> None:
    assert play("lab_down") == 1
    assert play("lab_down") == 0
    label = f"--filter=label=nodewise.lab={LAB}"
    assert (podman("ps", "--all", "--quiet", label), podman("volume", "ls", "--quiet", label), podman("network", "ls", "--quiet", label)) == ("", "", "")
    assert not (ROOT / ".lab" / LAB).exists()
    assert f".lab/{LAB}/" not in subprocess.run(["losetup", "--all"], check=True, capture_output=True, text=True).stdout
