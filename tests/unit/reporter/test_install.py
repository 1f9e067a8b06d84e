# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done with the unit on a node, and on a host that may become one; its release is taken to be there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter import daemon, install
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter.config import Config
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter.daemon import Delivery
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter.install import Request
from ansible_collections.nodewise.cluster.plugins.module_utils.systemd.systemctl import UnitStatus

UNIT = "nodewise-reporter.service"


class Host:
    """A release that is there, and a service manager."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.notes = str(root / "notes")
        self.active, self.enabled, self.version = "inactive", "disabled", ""
        self.python, self.manifest, self.digest, self.path = "python", str(root / "manifest.json"), "d" * 32, str(root)

    @property
    def kubeconfig(self) -> Path:
        return self.root / "kubelet.conf"

    def request(self, need_node: bool, **config: Any) -> Request:
        return Request(Config("s1", str(self.kubeconfig), **config), sys.executable, 30, need_node)

    def ensure(self, need_node: bool, check_mode: bool = False, **config: Any) -> list[str]:
        """Return what was done, without paths."""
        fake: Any = self
        outcome = install.ensure_present(self.request(need_node, **config), Delivery("c0de"), check_mode, fake)
        self.version = outcome.version
        # Where it runs its report was waited for.
        assert (outcome.seen is not None) == (self.active == "active" and not check_mode)
        return [action.replace(f"{self.root}/", "") for action in outcome.actions]

    # the release
    def whole(self) -> bool:
        return True

    def current(self) -> bool:
        return True

    def others(self) -> list[str]:
        return []

    # systemd
    def status(self, _unit: str) -> UnitStatus:
        return UnitStatus("loaded", self.active, "", False, None, 0)

    def enablement(self, _unit: str) -> str:
        return self.enabled

    def set_enabled(self, _unit: str, enabled: bool) -> None:
        self.enabled = "enabled" if enabled else "disabled"

    def stop(self, _unit: str) -> None:
        self.active = "inactive"

    def run_until_active(self, _verb: str, _unit: str) -> None:
        assert self.kubeconfig.exists()
        self.active = "active"


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host(tmp_path)
    monkeypatch.setattr(daemon, "Release", lambda *_args: made)
    monkeypatch.setattr(daemon, "unit_path", lambda name: str(tmp_path / f"{name}.service"))
    monkeypatch.setattr(daemon, "config_path", lambda name: str(tmp_path / f"{name}.json"))
    monkeypatch.setattr(daemon, "_systemd_version", lambda: 252)
    monkeypatch.setattr(daemon, "locked", lambda _version, _arch: [])
    monkeypatch.setattr(daemon, "run", lambda *_args: None)
    monkeypatch.setattr(install, "_wait_for_report", lambda _release, version, _timeout: {"name": "s1", "agentVersion": version})
    return made


WRITTEN = ["write reporter.service", "write reporter.json"]


def test_a_host_that_is_no_node_is_prepared_and_no_more(host: Host) -> None:
    done = [*WRITTEN, f"enable {UNIT}"]
    assert host.ensure(False, check_mode=True) == done
    assert host.ensure(False) == done
    assert host.active == "inactive"
    assert f"ConditionPathExists={host.kubeconfig}\n" in (host.root / "reporter.service").read_text()
    assert host.ensure(False) == []


def test_a_prepared_host_that_has_joined_reports(host: Host) -> None:
    host.ensure(False)
    host.kubeconfig.touch()
    assert host.ensure(False, check_mode=True) == [f"start {UNIT}"]
    assert host.ensure(False) == [f"start {UNIT}"]
    assert host.ensure(False) == []
    assert host.ensure(False, log_level="debug") == ["write reporter.json", f"reload {UNIT}"]
    assert host.active == "active"


def test_a_changed_unit_is_another_version(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the report that its predecessor has just written would prove it."""
    host.kubeconfig.touch()
    host.ensure(True)
    first = host.version
    host.ensure(True, log_level="debug")
    assert host.version == first
    monkeypatch.setattr(daemon, "_systemd_version", lambda: 254)
    assert "write reporter.service" in host.ensure(True)
    assert host.version != first
    assert f"--agent-version {host.version} " in (host.root / "reporter.service").read_text()


def test_a_reporter_of_a_host_that_has_left_is_stopped(host: Host) -> None:
    host.ensure(False)
    host.active = "active"
    assert host.ensure(False, log_level="debug") == ["write reporter.json", f"stop {UNIT}"]
    assert host.active == "inactive"


def test_a_node_has_to_be_one(host: Host) -> None:
    with pytest.raises(NodewiseError, match="kubelet.conf is not on this host, so it is no node.*state=prepared"):
        host.ensure(True)
    assert list(host.root.iterdir()) == []
    # It will have joined when its turn comes.
    assert host.ensure(True, check_mode=True) == [*WRITTEN, f"enable {UNIT}", f"start {UNIT}"]
    host.kubeconfig.touch()
    assert host.ensure(True) == [*WRITTEN, f"enable {UNIT}", f"start {UNIT}"]
