# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab's decisions, with a podman that only keeps names."""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.plugin_utils.lab import image, lab
from ansible_collections.nodewise.cluster.plugins.plugin_utils.lab.lab import Found, Host, Lab, Plan, make_plan, parse_hosts
from ansible_collections.nodewise.cluster.plugins.plugin_utils.lab.podman import Podman


def found(host: str, spec: str = "fits", running: bool = True) -> Found:
    return Found(container=f"nodewise-x-{host}", host=host, spec=spec, running=running)


@pytest.mark.parametrize(
    ("there", "plan"),
    [
        pytest.param([], Plan(create=["a", "b"]), id="nothing there"),
        pytest.param([found("a"), found("b")], Plan(), id="all there"),
        pytest.param([found("a"), found("b", running=False)], Plan(start=["b"]), id="one stopped"),
        pytest.param([found("a"), found("b", spec="other")], Plan(remove=["b"], create=["b"]), id="one does not fit"),
        pytest.param([found("a"), found("b", spec="other", running=False)], Plan(remove=["b"], create=["b"]), id="one neither fits nor runs"),
        pytest.param([found("a"), found("b"), found("c")], Plan(remove=["c"]), id="one too many"),
        pytest.param([found("a"), found("b", spec="")], Plan(remove=["b"], create=["b"]), id="one without a label"),
    ],
)
def test_plan(there: list[Found], plan: Plan) -> None:
    assert make_plan({"a": "fits", "b": "fits"}, there) == plan
    assert bool(plan) == bool(plan.remove or plan.create or plan.start)


def test_an_unknown_specification_never_fits() -> None:
    assert make_plan({"a": ""}, [found("a", spec="")]) == Plan(remove=["a"], create=["a"])


class FakePodman:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.made: dict[str, dict[str, Any]] = {}
        self.made_volumes: set[str] = set()
        self.subnets: dict[str, list[str]] = {}
        self.taken: set[str] = set()
        self.startable = True

    def containers(self, label: str) -> list[dict[str, Any]]:
        key, value = label.split("=")
        return [item for item in self.made.values() if item["Labels"].get(key) == value]

    def volumes(self, label: str) -> list[str]:
        return sorted(self.made_volumes)

    def network_subnets(self, name: str) -> list[str] | None:
        return self.subnets.get(name)

    def create_network(self, name: str, subnet: str, label: str) -> None:
        if subnet in self.taken:
            raise NodewiseError(f"subnet {subnet} is already used")
        self.subnets[name] = [subnet]

    def remove_network(self, name: str) -> None:
        self.subnets.pop(name, None)

    def create_volume(self, name: str, label: str, *options: str) -> None:
        assert name not in self.made_volumes
        self.made_volumes.add(name)

    def remove_volume(self, name: str) -> None:
        self.made_volumes.discard(name)

    def start(self, name: str) -> bool:
        if self.startable:
            self.made[name]["State"] = "running"
        return self.startable

    def run_container(self, *args: str) -> None:
        name = next(arg.removeprefix("--name=") for arg in args if arg.startswith("--name="))
        labels = dict(arg.removeprefix("--label=").split("=", 1) for arg in args if arg.startswith("--label="))
        self.made[name] = {"Names": [name], "Labels": labels, "State": "running"}

    def remove_container(self, name: str) -> None:
        self.made.pop(name, None)

    def image_exists(self, reference: str) -> bool:
        return True


HOSTS = [Host("cp1", "10.70.1.11", "debian12", 1), Host("w1", "10.70.1.21", "debian13", 1)]


@pytest.fixture
def podman() -> FakePodman:
    return FakePodman()


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def this_lab(tmp_path: Path, podman: FakePodman, lines: list[str], monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setattr(lab, "_wait_for_ssh", lambda host: None)
    monkeypatch.setattr(lab, "_raise_inotify_limit", lambda: None)
    monkeypatch.setattr(lab, "_CNI_LEASES", tmp_path / "leases")
    return Lab("x", str(tmp_path / "x"), "10.70.1.0/24", str(tmp_path / "cache"), lines.append, podman)  # type: ignore[arg-type]


def test_a_second_run_does_nothing(this_lab: Lab) -> None:
    assert this_lab.up(HOSTS) == Plan(create=["cp1", "w1"])
    assert this_lab.up(HOSTS) == Plan()


def test_a_host_no_longer_wanted_is_removed_with_its_disk_and_volumes(this_lab: Lab, podman: FakePodman) -> None:
    this_lab.up(HOSTS)
    assert this_lab.up(HOSTS[:1]) == Plan(remove=["w1"])
    assert sorted(path.name for path in (this_lab.directory / "disks").iterdir()) == ["cp1.ext4"]
    assert sorted(podman.made_volumes) == ["nodewise-x-cp1-containerd", "nodewise-x-cp1-etcd", "nodewise-x-cp1-kubelet"]


@pytest.mark.parametrize("lost", ["disks/w1.ext4", "id_ed25519.pub"])
def test_a_host_whose_disk_or_key_is_lost_is_made_anew(this_lab: Lab, lost: str) -> None:
    this_lab.up(HOSTS)
    (this_lab.directory / lost).unlink()
    plan = this_lab.plan(HOSTS)
    assert "w1" in plan.remove and "w1" in plan.create
    this_lab.up(HOSTS)
    assert this_lab.plan(HOSTS) == Plan()


def test_a_changed_distribution_makes_the_host_anew(this_lab: Lab) -> None:
    this_lab.up(HOSTS)
    assert this_lab.plan([HOSTS[0], Host("w1", "10.70.1.21", "debian12", 1)]) == Plan(remove=["w1"], create=["w1"])


def test_a_changed_size_of_the_disk_makes_the_host_anew(this_lab: Lab) -> None:
    this_lab.up(HOSTS)
    larger = [HOSTS[0], Host("w1", "10.70.1.21", "debian13", 2)]
    assert this_lab.up(larger) == Plan(remove=["w1"], create=["w1"])
    assert (this_lab.directory / "disks" / "w1.ext4").stat().st_size == 2 << 30
    assert this_lab.up(larger) == Plan()


def test_a_lost_network_makes_all_hosts_anew(this_lab: Lab, podman: FakePodman) -> None:
    this_lab.up(HOSTS)
    podman.subnets.clear()
    assert this_lab.plan(HOSTS) == Plan(remove=["cp1", "w1"], create=["cp1", "w1"])


def test_a_stopped_host_is_started_and_its_stale_address_freed(this_lab: Lab, podman: FakePodman, tmp_path: Path) -> None:
    this_lab.up(HOSTS)
    podman.made["nodewise-x-w1"]["State"] = "exited"
    lease = tmp_path / "leases" / "nodewise-x" / "10.70.1.21"
    lease.parent.mkdir(parents=True)
    lease.touch()
    assert this_lab.up(HOSTS) == Plan(start=["w1"])
    assert not lease.exists()


def test_a_host_that_cannot_be_started_is_made_anew(this_lab: Lab, podman: FakePodman, lines: list[str]) -> None:
    this_lab.up(HOSTS)
    podman.made["nodewise-x-w1"]["State"] = "created"
    podman.startable = False
    this_lab.up(HOSTS)
    assert podman.made["nodewise-x-w1"]["State"] == "running"
    assert "w1: cannot be started, is made anew" in lines


def test_a_host_made_anew_is_forgotten_by_ssh(this_lab: Lab) -> None:
    this_lab.up(HOSTS)
    known = this_lab.directory / "known_hosts"
    key = this_lab._key.with_suffix(".pub").read_text().split()[1]
    known.write_text(f"10.70.1.11 ssh-ed25519 {key}\n10.70.1.21 ssh-ed25519 {key}\n")
    (this_lab.directory / "cp").mkdir()
    (this_lab.directory / "disks" / "w1.ext4").unlink()
    this_lab.up(HOSTS)
    assert known.read_text() == f"10.70.1.11 ssh-ed25519 {key}\n"
    assert not (this_lab.directory / "cp").exists()


def test_a_taken_subnet_is_named_with_a_remedy(this_lab: Lab, podman: FakePodman) -> None:
    podman.taken.add("10.70.1.0/24")
    with pytest.raises(NodewiseError, match=r"The subnet 10\.70\.1\.0/24 of lab x cannot be had: .*already used.* Remedy: choose another name for the lab"):
        this_lab.up(HOSTS)


@pytest.fixture
def answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int, str, str], None]:
    """Make a podman that answers whatever it is asked in one way."""

    def prepare(code: int, out: str, error: str) -> None:
        program = tmp_path / "bin" / "podman"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\necho {shlex.quote(out)}\necho {shlex.quote(error)} >&2\nexit {code}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)

    return prepare


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (125, "Error: inspecting object: network nodewise-x: unable to find network with name or ID nodewise-x: network not found"),
        (1, "Error: error inspecting object: no such network nodewise-x"),
    ],
)
def test_a_network_that_podman_does_not_know_is_none(answers: Callable[[int, str, str], None], code: int, error: str) -> None:
    answers(code, "[]", error)
    assert Podman().network_subnets("nodewise-x") is None


@pytest.mark.parametrize("code", [1, 125])
def test_a_podman_that_cannot_tell_is_not_taken_for_one_without_the_network(answers: Callable[[int, str, str], None], code: int) -> None:
    answers(code, "[]", "Error: database is locked")
    with pytest.raises(NodewiseError, match=rf"`podman network inspect nodewise-x` failed \({code}\): Error: database is locked"):
        Podman().network_subnets("nodewise-x")


def test_the_subnets_of_a_network_are_read(answers: Callable[[int, str, str], None]) -> None:
    answers(0, '[{"subnets": [{"subnet": "10.70.1.0/24"}]}]', "")
    assert Podman().network_subnets("nodewise-x") == ["10.70.1.0/24"]


@pytest.mark.parametrize("playbook", ["lab_up", "lab_down"])
def test_a_playbook_of_the_lab_takes_no_part_of_it(collection_root: Path, playbook: str) -> None:
    loader = DataLoader()
    (play,) = loader.load_from_file(str(collection_root / "playbooks" / f"{playbook}.yml"), trusted_as_template=True)
    refusal = play["tasks"][0]["ansible.builtin.assert"]

    def template(hosts: list[str], text: str) -> Any:
        return Templar(loader, variables={"groups": {"lab": ["cp1", "w1", "w2"]}, "ansible_play_hosts_all": hosts}).template(trust_as_template(text))

    condition = f"{{{{ {refusal['that']} }}}}"
    assert template(["cp1", "w1", "w2"], condition) is True
    assert template(["w2"], condition) is False
    assert "--limit leaves out cp1, w1. Remedy: run it without --limit." in template(["w2"], refusal["fail_msg"])


def test_down_leaves_nothing(this_lab: Lab, podman: FakePodman) -> None:
    assert not this_lab.leftovers()
    this_lab.up(HOSTS)
    assert this_lab.leftovers()
    this_lab.down()
    assert not this_lab.leftovers()
    assert not (podman.made or podman.made_volumes or podman.subnets)


def test_parse_hosts_refuses_an_unknown_distribution() -> None:
    with pytest.raises(NodewiseError, match=r"w1: there is no lab image for distribution 'debian11'. Remedy: use one of debian12, debian13"):
        parse_hosts({"w1": {"address": "10.70.1.21", "distribution": "debian11", "disk_gib": 20}})


def test_parse_hosts_refuses_an_address_used_twice() -> None:
    entry = {"address": "10.70.1.21", "distribution": "debian12", "disk_gib": "20"}
    with pytest.raises(NodewiseError, match=r"w1 and w2 both have address 10.70.1.21. Remedy: give each its own lab_number"):
        parse_hosts({"w1": entry, "w2": entry})


def test_the_recipe_names_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    before = image.reference("debian12")
    assert before != image.reference("debian13")
    monkeypatch.setattr(image, "_MMDEBSTRAP_OPTIONS", (*image._MMDEBSTRAP_OPTIONS, "--include=less"))
    assert image.reference("debian12") != before


def test_waiting_for_ssh_takes_the_greeting_for_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A listening port alone is no answer: systemd may hold it for an sshd that cannot start."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        real = socket.create_connection
        monkeypatch.setattr(socket, "create_connection", lambda address, timeout: real((address[0], port), timeout=timeout))

        def answer() -> None:
            for greeting in (b"", b"SSH-2.0-x\r\n"):
                connection, _address = server.accept()
                with contextlib.closing(connection):
                    connection.sendall(greeting)

        thread = threading.Thread(target=answer)
        thread.start()
        lab._wait_for_ssh(Host("x", "127.0.0.1", "debian12", 1))
        thread.join(timeout=5)
        assert not thread.is_alive()


def test_a_host_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "_SSH_TIMEOUT", 0.0)
    monkeypatch.setattr(socket, "create_connection", lambda address, timeout: (never for never in ()).throw(ConnectionRefusedError()))
    with pytest.raises(NodewiseError, match=r"w1 \(10\.70\.1\.21\) does not answer on SSH"):
        lab._wait_for_ssh(HOSTS[1])
