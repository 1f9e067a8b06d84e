# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter.unit import unit_text
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter.version import VERSION, agent_version


def unit(systemd: int, kubeconfig: str = "/etc/kubernetes/kubelet.conf") -> str:
    return unit_text("/opt/nodewise/reporter/d/venv/bin/python", "/etc/nodewise/reporter.json", "1.0.0+abc", 30, systemd, kubeconfig)


@pytest.mark.parametrize(("systemd", "delay"), [(252, "RestartSec=5s\n"), (254, "RestartMaxDelaySec=60s\n")])
def test_the_delay_of_a_restart_grows_where_systemd_knows_how(systemd: int, delay: str) -> None:
    assert delay in unit(systemd)
    assert ("RestartSteps=" in unit(systemd)) == (systemd >= 254)


def test_a_start_is_given_longer_than_the_daemon_waits_for_its_first_report() -> None:
    assert "--ready-seconds 30\n" in unit(252)
    assert "TimeoutStartSec=45s\n" in unit(252)


def test_it_starts_on_a_node_alone() -> None:
    assert "ConditionPathExists=/etc/kubernetes/kubelet.conf\n" in unit(252).partition("[Service]")[0]
    assert "ConditionPathExists=/etc/50%%/kubelet.conf\n" in unit(252, "/etc/50%/kubelet.conf")


def test_nothing_makes_a_folder_on_a_full_disk() -> None:
    text = unit(257)
    for setting in ("PrivateTmp=", "StateDirectory=", "CacheDirectory=", "RuntimeDirectory=", "LogsDirectory="):
        assert f"\n{setting}" not in text


def test_it_may_do_no_more_than_it_has_to() -> None:
    service = unit(252).partition("[Service]\n")[2].partition("\n[Install]")[0].splitlines()
    for setting in (
        "CapabilityBoundingSet=",
        "AmbientCapabilities=",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "ProtectHome=yes",
        "PrivateDevices=yes",
        "ProtectKernelModules=yes",
        "RestrictNamespaces=yes",
        "MemoryDenyWriteExecute=yes",
        "SystemCallFilter=@system-service",
        "SystemCallFilter=~@privileged @resources",
        "MemoryMax=128M",
        "CPUQuota=50%",
        "TasksMax=64",
    ):
        assert setting in service
    # Nothing takes any of it back.
    assert not [line for line in service if line.startswith(("ReadWritePaths=", "BindPaths=", "CapabilityBoundingSet=C", "AmbientCapabilities=C"))]


def test_one_that_hangs_is_killed_and_started_anew() -> None:
    service = unit(252).splitlines()
    for setting in ("Type=notify", "WatchdogSec=180s", "WatchdogSignal=SIGKILL", "Restart=always", "StartLimitIntervalSec=0"):
        assert setting in service


def test_the_version_is_the_collections(collection_root: Path) -> None:
    assert yaml.safe_load((collection_root / "galaxy.yml").read_text())["version"] == VERSION
    assert agent_version("[Unit]\n") == f"{VERSION}+ae6c63cff33b"


def test_systemd_knows_every_setting(tmp_path: Path) -> None:
    path = tmp_path / "nodewise-reporter.service"
    path.write_text(unit(252).replace("/opt/nodewise/reporter/d/venv/bin/python", "/bin/sh"))
    try:
        done = subprocess.run(["systemd-analyze", "verify", str(path)], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("systemd-analyze is not here")
    assert "Unknown key" not in done.stderr and "Failed to parse" not in done.stderr, done.stderr
