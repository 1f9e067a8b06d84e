# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time
from pathlib import Path

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.containerd import runtime
from ansible_collections.nodewise.cluster.plugins.module_utils.containerd.config import Mirror, Settings, config_text
from ansible_collections.nodewise.cluster.plugins.module_utils.containerd.runtime import choose_socket, desired_unit, ensure_containerd, ensure_external
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.systemd.systemctl import Systemd, UnitError, UnitStatus

OURS = "unix:///run/containerd/containerd.sock"
PAUSE = "registry.k8s.io/pause:3.10.2"


class TestChooseSocket:
    @pytest.mark.parametrize("found", [[], [OURS], ["/run/containerd/containerd.sock"], ["/var/run/containerd/containerd.sock", OURS]])
    def test_none_chosen_and_no_other_there(self, found: list[str]) -> None:
        assert choose_socket("", found) == OURS

    def test_none_chosen_but_others_there(self) -> None:
        with pytest.raises(NodewiseError) as caught:
            choose_socket("", [OURS, "unix:///run/crio/crio.sock", "/var/run/cri-dockerd.sock"])
        assert str(caught.value) == (
            "This host has other container runtimes than our containerd (unix:///run/cri-dockerd.sock, unix:///run/crio/crio.sock), and none is chosen. "
            f"Remedy: set nodewise_cri_socket to the one to use, {OURS} for containerd"
        )

    @pytest.mark.parametrize(
        ("chosen", "socket"),
        [(OURS, OURS), ("unix:///var/run/containerd/containerd.sock", OURS), ("unix:///run/crio/crio.sock", "unix:///run/crio/crio.sock")],
    )
    def test_chosen(self, chosen: str, socket: str) -> None:
        assert choose_socket(chosen, [OURS, "unix:///run/crio/crio.sock"]) == socket

    @pytest.mark.parametrize("chosen", ["/run/crio/crio.sock", "tcp://127.0.0.1:1", "unix://run/x.sock"])
    def test_no_url_of_a_socket(self, chosen: str) -> None:
        with pytest.raises(NodewiseError, match="give it as a URL, like unix:///run/containerd/containerd.sock"):
            choose_socket(chosen, [])


def test_mirrors_of_ours_that_are_not_wanted_any_more_go_and_others_stay(tmp_path: Path) -> None:
    for name, text in {"old.example": "# Written by nodewise.cluster; changes are overwritten.\n", "own.example": "# mine\n"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "hosts.toml").write_text(text)
    spec = desired_unit(Settings(PAUSE, mirrors=[Mirror("quay.io:5000", server="https://m.example")]), str(tmp_path))
    found = {managed.path: managed.content is not None for managed in spec.files if managed.path.startswith(str(tmp_path))}
    assert found == {f"{tmp_path}/quay.io:5000/hosts.toml": True, f"{tmp_path}/old.example/hosts.toml": False}
    assert not any(managed.restart for managed in spec.files if managed.path in found)


class OneUnit(Systemd):
    """containerd.service; C(refuses) is a text in config.toml with which it does not come up."""

    def __init__(self, root: Path, refuses: str) -> None:
        super().__init__(str(root / "notes"))
        self.config, self.refuses = root / "etc/containerd/config.toml", refuses
        self.active = "inactive"
        self.started: float | None = None

    def status(self, unit: str) -> UnitStatus:
        return UnitStatus("loaded", self.active, "x", False, self.started if self.active == "active" else None, 1)

    def enablement(self, unit: str) -> str:
        return "enabled"

    def daemon_reload(self) -> None:
        pass

    def run_until_active(self, verb: str, unit: str) -> UnitStatus:
        if self.refuses in self.config.read_text():
            self.active = "failed"
            raise UnitError("it did not come up")
        self.active, self.started = "active", time.time()
        return self.status(unit)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the root under which containerd's files are, of a host that has containerd."""
    for name in ("CONFIG", "PROXY", "UNIT", "CRICTL_CONFIG", "CONTAINERD", "CRICTL"):
        monkeypatch.setattr(runtime, name, f"{tmp_path}{getattr(runtime, name)}")
    monkeypatch.setattr(runtime, "check_config", lambda text, settings: None)
    program = Path(runtime.CONTAINERD)
    program.parent.mkdir(parents=True)
    program.touch()
    return tmp_path


class TestEnsureContainerd:
    def test_from_nothing_to_a_second_run_that_changes_nothing(self, host: Path) -> None:
        systemd = OneUnit(host, "never")
        predicted = ensure_containerd(Settings(PAUSE), systemd, check_mode=True)
        assert not (host / "etc").exists()
        done = ensure_containerd(Settings(PAUSE), systemd, check_mode=False)
        assert done.actions == predicted.actions
        assert (host / "etc/containerd/config.toml").read_text() == config_text(Settings(PAUSE))
        assert ensure_containerd(Settings(PAUSE), systemd, check_mode=False).actions == []

    def test_a_wrong_config_never_replaces_a_good_one(self, host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        systemd = OneUnit(host, "never")
        ensure_containerd(Settings(PAUSE), systemd, check_mode=False)

        def refuse(text: str, settings: Settings) -> None:
            raise NodewiseError("no")

        monkeypatch.setattr(runtime, "check_config", refuse)
        with pytest.raises(NodewiseError, match="no"):
            ensure_containerd(Settings("bad:1"), systemd, check_mode=False)
        assert (host / "etc/containerd/config.toml").read_text() == config_text(Settings(PAUSE))

    def test_in_check_mode_containerd_may_be_missing_and_is_not_asked(self, host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        Path(runtime.CONTAINERD).unlink()
        monkeypatch.setattr(runtime, "check_config", lambda text, settings: pytest.fail("asked"))
        assert ensure_containerd(Settings(PAUSE), OneUnit(host, "x"), check_mode=True).actions

    def test_files_with_which_it_does_not_start_are_put_back(self, host: Path) -> None:
        systemd = OneUnit(host, "bad:1")
        ensure_containerd(Settings(PAUSE), systemd, check_mode=False)
        with pytest.raises(NodewiseError, match=r"it did not come up\nThe files from before are back, and it runs with them again\."):
            ensure_containerd(Settings("bad:1", http_proxy="http://x"), systemd, check_mode=False)
        assert systemd.active == "active"
        assert not (host / "etc/containerd/proxy.env").exists()
        assert ensure_containerd(Settings(PAUSE), systemd, check_mode=False).actions == []

    def test_the_first_config_has_nothing_to_go_back_to(self, host: Path) -> None:
        config = host / "etc/containerd/config.toml"
        with pytest.raises(NodewiseError, match=r"^it did not come up$"):
            ensure_containerd(Settings("bad:1"), OneUnit(host, "bad:1"), check_mode=False)
        assert "bad:1" in config.read_text()

    def test_neither_the_new_nor_the_old_files_work(self, host: Path) -> None:
        systemd = OneUnit(host, "never")
        ensure_containerd(Settings(PAUSE), systemd, check_mode=False)
        systemd.refuses = "version"
        with pytest.raises(NodewiseError, match="it does not start with them either"):
            ensure_containerd(Settings("other:1"), systemd, check_mode=False)

    def test_passwords_are_not_in_the_diff(self, host: Path) -> None:
        extra = {"plugins": {"io.containerd.cri.v1.images": {"registry": {"configs": {"r.example": {"auth": {"password": "hunter2"}}}}}}}
        settings = Settings(PAUSE, http_proxy="http://me:hunter2@proxy:1", extra=extra)
        shown = str(ensure_containerd(settings, OneUnit(host, "x"), check_mode=True).diff)
        assert "hunter2" not in shown
        assert "://***@proxy:1" in shown
        assert "password = ***" in shown


class TestEnsureExternal:
    SOCKET = "unix:///run/crio/crio.sock"

    def crictl(self, script: str) -> None:
        program = Path(runtime.CRICTL)
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    @pytest.fixture(autouse=True)
    def answers(self, host: Path) -> None:
        self.crictl('echo "Version:  0.1.0"; echo "RuntimeName:  cri-o"; echo "RuntimeVersion:  1.37.0"; echo "RuntimeApiVersion:  v1"')

    def test_only_crictl_is_pointed_at_it(self, host: Path) -> None:
        assert ensure_external(self.SOCKET, check_mode=True).actions == [f"write {host}/etc/crictl.yaml"]
        assert not (host / "etc").exists()
        ensure_external(self.SOCKET, check_mode=False)
        assert f"runtime-endpoint: {self.SOCKET}\n" in (host / "etc/crictl.yaml").read_text()
        assert not (host / "etc/containerd").exists()
        assert ensure_external(self.SOCKET, check_mode=False).actions == []

    def test_it_does_not_answer(self, host: Path) -> None:
        self.crictl("echo 'connection refused' >&2; exit 1")
        with pytest.raises(NodewiseError, match=rf"The container runtime at {self.SOCKET} does not answer: connection refused Remedy: start that runtime"):
            ensure_external(self.SOCKET, check_mode=False)
        assert not (host / "etc").exists()

    @pytest.mark.parametrize("answer", ["RuntimeApiVersion:  v1alpha2", "something else"])
    def test_it_speaks_something_else(self, answer: str) -> None:
        self.crictl(f"echo '{answer}'")
        with pytest.raises(NodewiseError, match="Kubernetes wants v1"):
            ensure_external(self.SOCKET, check_mode=False)

    def test_crictl_may_be_missing_in_check_mode_only(self) -> None:
        Path(runtime.CRICTL).unlink()
        assert ensure_external(self.SOCKET, check_mode=True).actions
        with pytest.raises(NodewiseError, match="crictl is not installed on this host"):
            ensure_external(self.SOCKET, check_mode=False)
