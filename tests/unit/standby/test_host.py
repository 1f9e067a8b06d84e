# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Joins and leaves of a host in a folder; kubeadm and the API server only note what they are asked for."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.kubeadm import join as join_module
from ansible_collections.nodewise.cluster.plugins.module_utils.kubeadm.host import HostPaths
from ansible_collections.nodewise.cluster.plugins.module_utils.kubeadm.state import HostState, load_state, save_state
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter.unit import NAME as REPORTER
from ansible_collections.nodewise.cluster.plugins.module_utils.standby import host as host_module
from ansible_collections.nodewise.cluster.plugins.module_utils.standby import main
from ansible_collections.nodewise.cluster.plugins.module_utils.standby.host import NOTE, StandbyHost
from ansible_collections.nodewise.cluster.plugins.module_utils.standby.request import Join
from ansible_collections.nodewise.cluster.plugins.module_utils.standby.settings import Settings
from ansible_collections.nodewise.cluster.plugins.module_utils.systemd.systemctl import UnitStatus

TOKEN = "abcdef.0123456789abcdef"
WANTED = Join(TOKEN, "192.0.2.11:6443", [f"sha256:{'a' * 64}"], {"example.com/pool": "burst"}, [])


class World:
    """What is around the host's files."""

    def __init__(self, paths: HostPaths) -> None:
        self.paths = paths
        self.calls: list[str] = []
        self.documents: list[dict[str, Any]] = []
        self.join_effect: Callable[[], None] = self.register
        self.nodes: dict[str, dict[str, Any]] = {}
        self.api_down = ""
        self.programs = {"kubeadm", "kubelet", "kubectl", "crictl"}
        self.enabled, self.runtime = "disabled", "active"
        self.reporter, self.reporter_load = "inactive", "loaded"
        self.start: Callable[[], None] = lambda: None

    def register(self) -> None:
        Path(self.paths.kubelet_conf).parent.mkdir(exist_ok=True)
        Path(self.paths.kubelet_conf).write_text("x")
        self.nodes["s1"] = {
            "metadata": {"name": "s1"},
            "spec": {"providerID": "nodewise://c/s1"},
            "status": {"conditions": [], "nodeInfo": {"machineID": "machine-s1"}},
        }

    # kubeadm
    def under(self, _lock: int) -> World:
        return self

    def installed(self) -> bool:
        return "kubeadm" in self.programs

    def validate(self, _documents: Any) -> None:
        self.calls.append("validate")

    def join(self, document: dict[str, Any]) -> None:
        self.calls.append("join")
        self.documents.append(document)
        self.join_effect()

    def reset(self, _cri_socket: str) -> None:
        self.calls.append("reset")
        Path(self.paths.kubelet_conf).unlink(missing_ok=True)

    # kubectl, with the kubelet's credentials
    def get(self, *args: str) -> dict[str, Any] | None:
        if self.api_down:
            raise NodewiseError(self.api_down)
        return self.nodes.get(args[1])

    # commands
    def there(self, program: str) -> bool:
        return program in self.programs

    def run(self, *_argv: str, **_options: Any) -> str:
        return ""

    # systemd
    def status(self, unit: str) -> UnitStatus:
        if unit == REPORTER:
            return UnitStatus(self.reporter_load, self.reporter, "", False, None, 0)
        return UnitStatus("loaded", self.runtime if unit == "containerd" else "inactive", "", False, None, 0)

    def run_until_active(self, verb: str, unit: str) -> None:
        assert (verb, unit) == ("start", REPORTER)
        self.start()
        # Its unit does not start before the host is a node.
        assert Path(self.paths.kubelet_conf).exists()
        self.calls.append("start reporter")
        self.reporter = "active"

    def stop(self, unit: str) -> None:
        assert unit == REPORTER
        self.calls.append("stop reporter")
        self.reporter = "inactive"

    def enablement(self, _unit: str) -> str:
        return self.enabled

    def set_enabled(self, _unit: str, enabled: bool) -> None:
        self.enabled = "enabled" if enabled else "disabled"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    root = tmp_path / "root"
    (root / "etc/kubernetes").mkdir(parents=True)
    (root / "etc/machine-id").write_text("machine-s1\n")
    made = World(HostPaths(str(root)))
    for module in (join_module, host_module):
        monkeypatch.setattr(module, "Kubectl", lambda **_options: made)
    monkeypatch.setattr(join_module, "_REGISTER_WAIT", 0.0)
    return made


@pytest.fixture
def host(world: World, tmp_path: Path) -> StandbyHost:
    settings = Settings("c", "s1", "192.0.2.31", f"unix://{tmp_path}/no.sock", "10.244.0.0/16", WANTED.endpoint, list(WANTED.ca_cert_hashes), join_seconds=10)
    fake: Any = world
    return StandbyHost(settings, world.paths, fake, fake, fake, str(tmp_path / "lock"))


def note(world: World) -> Path:
    return Path(world.paths.at(NOTE))


def joined(world: World, phase: str = "joined") -> None:
    world.register()
    save_state(HostState(phase, "s1", "c"), world.paths.state)


def test_a_prepared_host_joins_with_its_provider_id_labels_and_taints(host: StandbyHost, world: World) -> None:
    assert host.status().state == "prepared"
    assert host.join(WANTED).to_text() == '{"ok": true, "state": "joined", "reason": ""}\n'
    flags = {item["name"]: item["value"] for item in world.documents[0]["nodeRegistration"]["kubeletExtraArgs"]}
    assert flags == {"node-ip": "192.0.2.31", "provider-id": "nodewise://c/s1", "node-labels": "example.com/pool=burst"}
    assert host.status().state == "joined"
    assert world.enabled == "enabled"


def test_a_second_join_changes_nothing(host: StandbyHost, world: World) -> None:
    host.join(WANTED)
    world.calls.clear()
    assert host.join(WANTED).ok
    assert world.calls == ["start reporter"]  # which changes nothing of a unit that runs


def test_a_join_that_was_killed_is_undone_and_done_again(host: StandbyHost, world: World) -> None:
    save_state(HostState("joining", "s1", "c"), world.paths.state)
    assert host.status() == host_module.Answer(True, "failed", "a join has begun and not ended")
    assert host.join(WANTED).ok
    assert world.calls == ["validate", "reset", "join", "start reporter"]


def test_a_join_that_was_killed_after_the_kubelet_had_registered_is_only_recorded(host: StandbyHost, world: World) -> None:
    joined(world, "joining")
    assert host.join(WANTED).ok
    assert world.calls == ["start reporter"]
    assert load_state(world.paths.state).phase == "joined"


def test_a_node_that_was_deleted_by_hand_is_joined_anew(host: StandbyHost, world: World) -> None:
    joined(world)
    world.nodes.clear()
    assert host.join(WANTED).ok
    assert world.calls == ["validate", "reset", "join", "start reporter"]


def test_a_membership_is_not_undone_while_the_api_server_is_away(host: StandbyHost, world: World) -> None:
    joined(world)
    world.api_down = "connection refused"
    answer = host.join(WANTED)
    assert (answer.ok, answer.reason) == (False, "connection refused")
    assert world.calls == []
    assert load_state(world.paths.state).phase == "joined"
    assert host.status().state == "joined"


def test_a_join_that_fails_is_undone_and_says_why(host: StandbyHost, world: World) -> None:
    def fail() -> None:
        Path(world.paths.at("/etc/kubernetes/bootstrap-kubelet.conf")).write_text(TOKEN)
        raise NodewiseError(f"kubeadm join failed (1): token {TOKEN} is not known")

    world.join_effect = fail
    answer = host.join(WANTED)
    assert (answer.ok, answer.state, answer.reason) == (False, "failed", "kubeadm join failed (1): token <token> is not known")
    assert world.calls == ["validate", "join", "reset"]
    assert [path for path in Path(world.paths.root).rglob("*") if path.is_file() and TOKEN in path.read_text()] == []
    assert load_state(world.paths.state).phase == ""
    assert host.status().reason == answer.reason
    world.join_effect = world.register
    assert host.join(WANTED).ok
    assert not note(world).exists()


def test_a_join_that_hangs_is_given_up_and_undone(host: StandbyHost, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_module.signal, "setitimer", lambda which, seconds, real=host_module.signal.setitimer: real(which, seconds / 100))
    world.join_effect = lambda: time.sleep(5)
    answer = host.join(WANTED)
    assert (answer.ok, answer.reason.split(" Remedy")[0]) == (False, "The join did not end within 10 s.")
    assert world.calls[-1] == "reset"
    assert load_state(world.paths.state).phase == ""


def test_a_host_that_leaves_is_prepared_and_can_join_again(host: StandbyHost, world: World) -> None:
    host.join(WANTED)
    world.nodes.clear()
    assert host.leave() == host_module.Answer(True, "prepared")
    assert not Path(world.paths.kubelet_conf).exists()
    assert world.enabled == "enabled"
    assert host.status().state == "prepared"
    assert host.join(WANTED).ok


def test_a_second_leave_changes_nothing(host: StandbyHost, world: World) -> None:
    assert host.leave().ok
    assert world.calls == []


def test_leaving_clears_a_failure(host: StandbyHost, world: World) -> None:
    note(world).parent.mkdir(parents=True, exist_ok=True)
    note(world).write_text('{"reason": "because"}')
    assert host.status().reason == "because"
    assert host.leave().ok
    assert host.status().state == "prepared"


@pytest.mark.parametrize(("path", "reason"), [("admin_conf", "it is a control plane"), ("kubelet_conf", "that this collection did not make")])
def test_what_is_not_ours_is_never_undone(host: StandbyHost, world: World, path: str, reason: str) -> None:
    Path(getattr(world.paths, path)).write_text("x")
    assert reason in host.status().reason
    assert not host.leave().ok
    assert not host.join(WANTED).ok
    assert world.calls == []
    assert Path(getattr(world.paths, path)).exists()


def test_a_node_reports_until_it_leaves(host: StandbyHost, world: World) -> None:
    assert host.join(WANTED) == host_module.Answer(True, "joined")
    assert world.reporter == "active"
    world.nodes.clear()
    world.calls.clear()
    assert host.leave().ok
    # First: it must not write as the node that is about to go.
    assert world.calls == ["stop reporter", "reset"]
    assert world.reporter == "inactive"


@pytest.mark.parametrize("reporter", ["active", "activating"])
def test_a_reporter_that_others_have_started_on_a_prepared_host_is_stopped(host: StandbyHost, world: World, reporter: str) -> None:
    world.reporter = reporter
    assert host.leave() == host_module.Answer(True, "prepared")
    assert world.calls == ["stop reporter"]


def test_a_reporter_that_cannot_be_stopped_is_told(host: StandbyHost, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    host.join(WANTED)
    world.calls.clear()

    def refuse(_unit: str) -> None:
        raise NodewiseError("systemctl stop failed")

    monkeypatch.setattr(world, "stop", refuse)
    answer = host.leave()
    assert (answer.ok, answer.state, answer.reason) == (False, "failed", "systemctl stop failed")
    assert world.calls == []


def test_a_join_that_is_undone_leaves_no_reporter_behind(host: StandbyHost, world: World) -> None:
    def fail() -> None:
        raise NodewiseError("kubeadm join failed")

    world.reporter, world.join_effect = "active", fail
    assert not host.join(WANTED).ok
    assert world.calls[-2:] == ["stop reporter", "reset"]


@pytest.mark.parametrize("load", ["not-found", "masked"])
def test_a_host_without_a_reporter_joins(host: StandbyHost, world: World, load: str) -> None:
    world.reporter_load = load
    assert host.join(WANTED) == host_module.Answer(True, "joined")
    assert "start reporter" not in world.calls


def test_a_reporter_that_does_not_start_is_told_and_the_host_has_joined(host: StandbyHost, world: World) -> None:
    def fail() -> None:
        raise NodewiseError("nodewise-reporter.service did not start")

    world.start = fail
    assert host.join(WANTED) == host_module.Answer(True, "joined", "The node does not report what it uses: nodewise-reporter.service did not start")
    assert host.status() == host_module.Answer(True, "joined")


def test_a_reporter_that_hangs_is_not_waited_for(host: StandbyHost, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_module.signal, "setitimer", lambda which, seconds, real=host_module.signal.setitimer: real(which, seconds / 100))
    world.start = lambda: time.sleep(5)
    assert host.join(WANTED) == host_module.Answer(True, "joined", "The node does not report what it uses: It is not up within 15 s")
    assert "reset" not in world.calls


def test_a_host_without_its_programs_or_runtime_is_not_prepared(host: StandbyHost, world: World) -> None:
    world.runtime = "failed"
    assert host.status().reason == "containerd is failed"
    world.programs.remove("kubelet")
    assert host.status().reason == "kubelet not installed; run site.yml for this host"


@pytest.mark.parametrize("command", ["", "sh", "join --help"])
def test_the_entry_point_answers_what_it_does_not_allow(command: str, tmp_path: Path) -> None:
    answer = main.answer(command, io.StringIO(""), str(tmp_path / "none"))
    assert (answer.ok, answer.state) == (False, "failed")
    assert "is not allowed here" in answer.reason


def test_the_entry_point_says_that_a_host_is_not_set_up(tmp_path: Path) -> None:
    answer = main.answer("status", io.StringIO(""), str(tmp_path / "none"))
    assert "is missing" in answer.reason


def test_the_entry_point_changes_nothing_for_another_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings("c", "s1", "192.0.2.31", "unix:///x", "10.244.0.0/16", WANTED.endpoint, list(WANTED.ca_cert_hashes))
    (tmp_path / "standby.json").write_text(settings.to_text())
    monkeypatch.setattr(StandbyHost, "join", lambda *_args: pytest.fail("it joins"))
    document = {"token": TOKEN, "node_name": "s1", "provider_id": "nodewise://c/s1", "ca_cert_hashes": settings.ca_cert_hashes, "endpoint": "192.0.2.66:6443"}
    answer = main.answer("join", io.StringIO(json.dumps(document)), str(tmp_path / "standby.json"))
    assert (answer.ok, answer.state) == (False, "failed")
    assert "but this host may join '192.0.2.11:6443' only" in answer.reason


def test_the_last_line_is_the_answer(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[str] = []
    monkeypatch.setattr(main.syslog, "syslog", lambda _level, text: logged.append(text))
    monkeypatch.setattr(main.os, "environ", {})
    monkeypatch.setattr(main, "answer", lambda _command, _stdin: host_module.Answer(False, "failed", "two\nlines"))
    assert main.main({"SSH_ORIGINAL_COMMAND": "join", "SSH_CLIENT": "192.0.2.11 40000 22"}) == 1
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"ok": False, "state": "failed", "reason": "two\nlines"}
    assert logged == ["192.0.2.11 asks for 'join'", "'join' for 192.0.2.11: not ok, failed: two lines"]
