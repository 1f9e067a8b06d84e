# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.systemd import systemctl
from ansible_collections.nodewise.cluster.plugins.module_utils.systemd.systemctl import Systemd, UnitError, parse_timestamp

# As systemd 252 prints it.
RUNNING = """MainPID=1333
ExecMainStartTimestamp=Wed 2026-11-25 10:09:29.050123 UTC
LoadState=loaded
ActiveState=active
SubState=running
ActiveEnterTimestamp=Wed 2026-11-25 10:09:29.134664 UTC
NeedDaemonReload=no
"""
MISSING = """MainPID=0
ExecMainStartTimestamp=
LoadState=not-found
ActiveState=inactive
SubState=dead
ActiveEnterTimestamp=
NeedDaemonReload=no
"""


class Programs:
    """Stands in for process.run: gives the answer whose key is in the command line."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answers: dict[str, tuple[int, str, str]]) -> None:
        self.answers = answers
        self.calls: list[str] = []
        monkeypatch.setattr(systemctl, "run", self)

    def __call__(self, argv: Sequence[str], **_options: Any) -> subprocess.CompletedProcess[str]:
        line = " ".join(argv)
        self.calls.append(line)
        code, out, err = next((answer for key, answer in self.answers.items() if key in line), (0, "", ""))
        return subprocess.CompletedProcess(argv, code, out, err)


def test_a_running_unit_started_when_its_process_did(monkeypatch: pytest.MonkeyPatch) -> None:
    Programs(monkeypatch, {"show": (0, RUNNING, "")})
    status = Systemd().status("containerd.service")
    assert (status.running, status.main_pid, status.needs_reload) == (True, 1333, False)
    assert status.started == pytest.approx(1795601369.050123, abs=1e-5)


def test_a_unit_without_a_process_started_when_it_became_active(monkeypatch: pytest.MonkeyPatch) -> None:
    Programs(monkeypatch, {"show": (0, RUNNING.replace("ExecMainStartTimestamp=Wed 2026-11-25 10:09:29.050123 UTC\n", ""), "")})
    assert Systemd().status("x.timer").started == pytest.approx(1795601369.134664, abs=1e-5)


def test_a_unit_that_crashed_has_no_start(monkeypatch: pytest.MonkeyPatch) -> None:
    Programs(monkeypatch, {"show": (0, RUNNING.replace("ActiveState=active", "ActiveState=activating"), "")})
    status = Systemd().status("x.service")
    assert (status.running, status.started) == (False, None)


def test_a_unit_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    Programs(monkeypatch, {"show": (0, MISSING, "")})
    status = Systemd().status("x.service")
    assert (status.load, status.running, status.started, status.main_pid) == ("not-found", False, None, 0)


def test_enablement_is_read_whatever_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    Programs(monkeypatch, {"is-enabled": (1, "masked\n", "")})
    assert Systemd().enablement("x.service") == "masked"
    Programs(monkeypatch, {"is-enabled": (1, "", "Failed to get unit file state for x.service: No such file or directory")})
    assert Systemd().enablement("x.service") == "not-found"


def test_a_failed_start_shows_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = RUNNING.replace("ActiveState=active", "ActiveState=failed").replace("SubState=running", "SubState=failed")
    programs = Programs(monkeypatch, {"start": (1, "", "Job failed.\nSee it."), "show": (0, failed, ""), "journalctl": (0, "cannot open port\n", "")})
    with pytest.raises(UnitError) as caught:
        Systemd().run_until_active("start", "x.service")
    assert str(caught.value) == "x.service did not start: it is failed (failed). systemctl: Job failed. See it.\nIts last log lines:\ncannot open port"
    assert programs.calls[0] == "systemctl reset-failed x.service"


def test_a_start_that_systemctl_calls_good_but_ends_at_once_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    Programs(monkeypatch, {"show": (0, RUNNING.replace("ActiveState=active", "ActiveState=failed"), "")})
    with pytest.raises(UnitError, match="did not restart"):
        Systemd().run_until_active("restart", "x.service")


def test_a_host_without_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(NodewiseError, match="does not run systemd"):
        Systemd().status("x.service")


@pytest.mark.parametrize("text", ["", "n/a"])
def test_no_time(text: str) -> None:
    assert parse_timestamp(text) is None
