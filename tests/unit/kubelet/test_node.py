# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.kubelet import node
from ansible_collections.nodewise.cluster.plugins.module_utils.kubelet.health import Health
from ansible_collections.nodewise.cluster.plugins.module_utils.kubelet.node import Paths, apply_node, overriding_flags, plan_node, record
from ansible_collections.nodewise.cluster.plugins.module_utils.systemd.systemctl import Systemd, UnitStatus

LIVE = {"apiVersion": "kubelet.config.k8s.io/v1beta1", "clusterDNS": ["10.96.0.10"], "containerRuntimeEndpoint": "unix:///run/a.sock"}


class FakeSystemd(Systemd):
    """A service manager whose kubelet started at a given time; a restart takes the configuration's word for whether it comes up."""

    def __init__(self) -> None:
        self.started: float | None = time.time() + 1
        self.restarts = 0
        self.load = "loaded"

    def status(self, unit: str) -> UnitStatus:
        return UnitStatus(self.load, "active" if self.started else "failed", "running", False, self.started, 7)

    def run_until_active(self, verb: str, unit: str) -> UnitStatus:
        assert (verb, unit) == ("restart", "kubelet.service")
        self.restarts += 1
        self.started = time.time() + 1
        return self.status(unit)

    def journal(self, unit: str, lines: int = 15) -> str:
        return "I1125 10:00:00.1 fine\nE1125 10:00:00.2 run.go:72] why it failed\nkubelet.service: Failed with result 'exit-code'."


class FakeHealth(Health):
    """Says which configurations come back; remembers what it was asked to wait for."""

    def __init__(self, bad: Any = None, ready: bool | None = True) -> None:
        super().__init__("w1")
        self.bad = bad
        self.ready = ready
        self.waited: list[tuple[int, bool, bool]] = []

    def node_ready(self, since: float | None = None) -> bool | None:
        return self.ready

    def next_second(self) -> float:
        return time.time()

    def wait(self, configuration: Any, since: float | None, must_be_ready: bool, timeout: float) -> None:
        self.waited.append((configuration.get("maxPods", 0), since is not None, must_be_ready))
        if self.bad is not None and configuration.get("maxPods", 0) in self.bad:
            raise NodewiseError("it ended by itself 2 times")


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Paths]:
    paths = Paths(
        config=str(tmp_path / "config.yaml"),
        instance=str(tmp_path / "instance-config.yaml"),
        kubelet=str(tmp_path / "kubelet"),
        environment=(str(tmp_path / "kubeadm-flags.env"),),
        unit_files=(str(tmp_path / "kubelet.service"),),
        state=str(tmp_path / "state" / "kubelet.json"),
        backup=str(tmp_path / "backup"),
    )
    Path(paths.config).write_text(yaml.safe_dump(LIVE))
    Path(paths.instance).write_text('containerRuntimeEndpoint: "unix:///run/a.sock"\n')
    for path in (paths.kubelet, *paths.environment, *paths.unit_files):
        Path(path).write_text("")
    monkeypatch.setattr(node, "rehearse", lambda *_args: None)
    yield paths


def config(paths: Paths) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(Path(paths.config).read_text())
    return found


def state(paths: Paths) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(paths.state).read_text())
    return found


def test_a_node_that_is_right_needs_only_the_record(paths: Paths) -> None:
    plan = plan_node({"containerRuntimeEndpoint": "unix:///run/a.sock"}, {}, FakeSystemd(), paths)
    assert (plan.differs, plan.recorded, plan.actions(), plan.diff()) == (False, False, ["record which fields are ours"], [])
    record(plan, paths)
    plan = plan_node({"containerRuntimeEndpoint": "unix:///run/a.sock"}, {}, FakeSystemd(), paths)
    assert (plan.differs, plan.recorded, plan.actions()) == (False, True, [])


def test_a_change_is_written_restarted_and_recorded(paths: Paths) -> None:
    systemd, health = FakeSystemd(), FakeHealth()
    plan = plan_node({"maxPods": 50}, {}, systemd, paths)
    assert plan.actions() == [f"write {paths.config}", "restart kubelet.service"]
    assert plan.reasons == [f"{paths.config} changes"]
    before = Path(paths.config).read_text()
    apply_node(plan, systemd, health, paths, 60)
    assert config(paths) == {**LIVE, "maxPods": 50}
    assert systemd.restarts == 1
    assert health.waited == [(50, True, True)]
    assert state(paths) == {"applied": {"maxPods": 50}}
    assert Path(paths.backup, "config.yaml").read_text() == before
    assert not plan_node({"maxPods": 50}, {}, systemd, paths).differs


def test_a_kubelet_that_does_not_return_gets_its_old_file_back(paths: Paths) -> None:
    systemd, health = FakeSystemd(), FakeHealth(bad=[50])
    before = Path(paths.config).read_text()
    plan = plan_node({"maxPods": 50}, {}, systemd, paths)
    with pytest.raises(NodewiseError) as caught:
        apply_node(plan, systemd, health, paths, 60)
    text = str(caught.value)
    assert f"did not return with the new {paths.config} (it ended by itself 2 times); the old file is back and the kubelet runs with it again." in text
    assert text.endswith("Its last log lines with the new one:\nE1125 10:00:00.2 run.go:72] why it failed")
    assert Path(paths.config).read_text() == before
    assert systemd.restarts == 2
    assert state(paths) == {"applied": {}}


def test_a_kubelet_that_returns_with_neither_is_told(paths: Paths) -> None:
    systemd = FakeSystemd()
    plan = plan_node({"maxPods": 50}, {}, systemd, paths)
    with pytest.raises(NodewiseError, match="the old file is back, but the kubelet does not return with that either"):
        apply_node(plan, systemd, FakeHealth(bad=[0, 50]), paths, 60)


def test_a_node_that_was_not_ready_need_not_be_ready_afterwards(paths: Paths) -> None:
    systemd, health = FakeSystemd(), FakeHealth(ready=None)
    apply_node(plan_node({"maxPods": 50}, {}, systemd, paths), systemd, health, paths, 60)
    assert health.waited == [(50, True, False)]


class Killed(BaseException):
    """The run ends here."""


@pytest.mark.parametrize("bad", [False, True])
@pytest.mark.parametrize("moment", ["before the file", "after the file", "after the restart"])
def test_a_run_that_was_killed_is_finished_or_undone_by_the_next(paths: Paths, monkeypatch: pytest.MonkeyPatch, moment: str, bad: bool) -> None:
    record(plan_node({"port": 1}, {}, FakeSystemd(), paths), paths)
    systemd, health = FakeSystemd(), FakeHealth()
    before = Path(paths.config).read_text()

    def kill(*_args: Any) -> Any:
        raise Killed

    with monkeypatch.context() as patch:
        if moment == "before the file":
            write = node.write_atomic
            patch.setattr(node, "write_atomic", lambda path, *args: kill() if path == paths.config else write(path, *args))
        patch.setattr(systemd, "run_until_active", kill) if moment == "after the file" else patch.setattr(health, "wait", kill)
        with pytest.raises(Killed):
            apply_node(plan_node({"maxPods": 50}, {}, systemd, paths), systemd, health, paths, 60)
    if moment == "after the file":
        systemd.started = time.time() - 5

    plan = plan_node({"maxPods": 50}, {}, systemd, paths)
    assert plan.differs
    if bad:
        with pytest.raises(NodewiseError, match="the old file is back and the kubelet runs with it again"):
            apply_node(plan, systemd, FakeHealth(bad=[50]), paths, 60)
        assert Path(paths.config).read_text() == before
        assert state(paths) == {"applied": {"port": 1}}
    else:
        apply_node(plan, systemd, health, paths, 60)
        assert config(paths) == {**LIVE, "maxPods": 50}
        assert state(paths) == {"applied": {"maxPods": 50}}
        assert not plan_node({"maxPods": 50}, {}, systemd, paths).differs


def test_another_wish_after_a_killed_run_still_goes_back_to_the_good_file(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    systemd = FakeSystemd()
    before = Path(paths.config).read_text()
    with monkeypatch.context() as patch, pytest.raises(Killed):

        def kill(*_args: Any) -> Any:
            raise Killed

        patch.setattr(systemd, "run_until_active", kill)
        apply_node(plan_node({"maxPods": 50}, {}, systemd, paths), systemd, FakeHealth(), paths, 60)
    with pytest.raises(NodewiseError, match="the old file is back"):
        apply_node(plan_node({"maxPods": 60}, {}, systemd, paths), systemd, FakeHealth(bad=[50, 60]), paths, 60)
    assert Path(paths.config).read_text() == before


def test_fields_of_a_killed_run_are_still_ours(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    systemd = FakeSystemd()
    with monkeypatch.context() as patch, pytest.raises(Killed):

        def kill(*_args: Any) -> Any:
            raise Killed

        patch.setattr(systemd, "run_until_active", kill)
        apply_node(plan_node({"maxPods": 50}, {}, systemd, paths), systemd, FakeHealth(), paths, 60)
    apply_node(plan_node({}, {}, systemd, paths), systemd, FakeHealth(), paths, 60)
    assert config(paths) == LIVE


def test_a_field_with_which_a_node_joined_goes_when_the_cluster_no_longer_wants_it(paths: Paths) -> None:
    systemd = FakeSystemd()
    # As a join writes it, and the first run on this node does not want it.
    Path(paths.config).write_text(yaml.safe_dump({**LIVE, "maxPods": 50}))
    record(plan_node({}, {}, systemd, paths), paths)
    assert not plan_node({}, LIVE, systemd, paths).differs
    apply_node(plan_node({}, LIVE, systemd, paths, {"maxPods": 50}), systemd, FakeHealth(), paths, 60)
    assert config(paths) == LIVE


@pytest.mark.parametrize("which", range(4), ids=["config", "program", "flags", "unit"])
def test_a_kubelet_that_is_older_than_what_it_reads_is_restarted(paths: Paths, which: int) -> None:
    systemd = FakeSystemd()
    record(plan_node({}, {}, systemd, paths), paths)
    time.sleep(0.02)
    systemd.started = time.time()
    time.sleep(0.02)
    path = paths.read_at_start[which]
    # Even an old time of modification does not hide it.
    os.utime(path, (0, 0))
    plan = plan_node({}, {}, systemd, paths)
    assert plan.actions() == ["restart kubelet.service"]
    assert plan.reasons[0].startswith(f"{path} changed ")
    apply_node(plan, systemd, FakeHealth(), paths, 60)
    assert systemd.restarts == 1
    assert not plan_node({}, {}, systemd, paths).differs


def test_a_kubelet_that_is_down_is_started(paths: Paths) -> None:
    systemd = FakeSystemd()
    systemd.started = None
    plan = plan_node({}, {}, systemd, paths)
    assert plan.reasons == ["it is failed"]
    with pytest.raises(NodewiseError, match="The kubelet did not return after its restart: it ended by itself 2 times.\nIts last log lines:\nE1125"):
        apply_node(plan, systemd, FakeHealth(bad=[0]), paths, 60)


def test_the_instance_file_follows_the_endpoint_and_is_put_back(paths: Paths) -> None:
    systemd = FakeSystemd()
    wanted = {"containerRuntimeEndpoint": "unix:///run/b.sock", "maxPods": 50}
    plan = plan_node(wanted, {}, systemd, paths)
    assert list(plan.files) == [paths.config, paths.instance]
    with pytest.raises(NodewiseError):
        apply_node(plan, systemd, FakeHealth(bad=[50]), paths, 60)
    assert yaml.safe_load(Path(paths.instance).read_text()) == {"containerRuntimeEndpoint": "unix:///run/a.sock"}
    apply_node(plan_node(wanted, {}, systemd, paths), systemd, FakeHealth(), paths, 60)
    assert yaml.safe_load(Path(paths.instance).read_text()) == {"containerRuntimeEndpoint": "unix:///run/b.sock"}


def test_a_host_that_has_not_joined_is_told(paths: Paths) -> None:
    os.unlink(paths.config)
    with pytest.raises(NodewiseError, match="config.yaml is missing: this host has not joined a cluster"):
        plan_node({}, {}, FakeSystemd(), paths)


def test_a_host_without_the_unit_is_told(paths: Paths) -> None:
    systemd = FakeSystemd()
    systemd.load = "not-found"
    with pytest.raises(NodewiseError, match="kubelet.service is not-found on this host. Remedy: run role kubelet first"):
        plan_node({}, {}, systemd, paths)


def test_a_damaged_state_is_told(paths: Paths) -> None:
    Path(paths.state).parent.mkdir()
    Path(paths.state).write_text("[]")
    with pytest.raises(NodewiseError, match="kubelet.json is damaged: .* Remedy: remove it"):
        plan_node({}, {}, FakeSystemd(), paths)


def test_a_cgroup_that_does_not_exist_is_refused_before_anything_is_changed(paths: Paths) -> None:
    wanted = {"enforceNodeAllocatable": ["pods", "kube-reserved"], "kubeReservedCgroup": "/no-such-slice", "kubeReserved": {"cpu": "100m"}}
    with pytest.raises(
        NodewiseError, match="kubeReservedCgroup '/no-such-slice' does not exist on this host.*leave kube-reserved out of enforceNodeAllocatable"
    ):
        plan_node(wanted, {}, FakeSystemd(), paths)
    assert config(paths) == LIVE


def test_a_flag_that_is_gone_is_refused_before_a_restart(paths: Paths) -> None:
    Path(paths.environment[0]).write_text('KUBELET_KUBEADM_ARGS="--pod-infra-container-image=pause:3.9"\n')
    with pytest.raises(NodewiseError, match="--pod-infra-container-image is gone since Kubernetes 1.35; instead: .* Remedy: remove it from"):
        plan_node({"maxPods": 50}, {}, FakeSystemd(), paths)


def test_a_flag_that_wins_over_a_field_is_told(paths: Paths) -> None:
    Path(paths.environment[0]).write_text('KUBELET_KUBEADM_ARGS="--max-pods=10 --node-ip=10.0.0.1"\n')
    assert overriding_flags({"maxPods": 10}, paths) == []
    (line,) = overriding_flags({"maxPods": 50}, paths)
    assert line.startswith("maxPods: a flag in ")
    assert line.endswith("sets it as well, and wins")


def test_the_installed_kubelet_has_the_last_word(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def refuse(program: str, text: str, environment: Any) -> None:
        seen.append((program, yaml.safe_load(text), environment))
        raise NodewiseError("refused")

    monkeypatch.setattr(node, "rehearse", refuse)
    assert not plan_node({}, {}, FakeSystemd(), paths).differs
    with pytest.raises(NodewiseError, match="refused"):
        plan_node({"maxPods": 50}, {}, FakeSystemd(), paths)
    assert seen == [(paths.kubelet, {**LIVE, "maxPods": 50}, paths.environment)]
