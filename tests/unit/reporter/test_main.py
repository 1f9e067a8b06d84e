# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The thread that takes signals; the others stand still here."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter import main
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter.code import ENTRIES, code_files
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter.config import Config
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter.notify import Notifier

NUMBERS = (None, 0, signal.SIGHUP, 0, signal.SIGTERM)


class Idle:
    def __init__(self, *_arguments: object) -> None:
        pass

    def run(self) -> None:
        pass


class Recorder(Notifier):
    def __init__(self) -> None:
        super().__init__("")
        self.told: list[str] = []

    def send(self, **state: str) -> None:
        self.told += state

    def reloading(self) -> None:
        self.told.append("RELOADING")


def test_a_wait_that_was_interrupted_is_neither_an_end_nor_a_reload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopping and continuing a process makes sigtimedwait return the number 0, once its time is over (CPython)."""
    path = tmp_path / "reporter.json"
    path.write_text(Config("w1", metrics_port=0).to_text())
    received = iter([None if number is None else SimpleNamespace(si_signo=number) for number in NUMBERS])
    monkeypatch.setattr(main.signal, "sigtimedwait", lambda _signals, _seconds: next(received))
    monkeypatch.setattr(main.signal, "pthread_sigmask", lambda _how, _signals: None)
    monkeypatch.setattr(main, "SampleLoop", Idle)
    monkeypatch.setattr(main, "PublishLoop", Idle)
    notifier = Recorder()
    assert main.Reporter(str(path), "1", 3600, notifier).run() == 0
    assert notifier.told == ["RELOADING", "READY", "STOPPING"]
    assert next(received, "all were taken") == "all were taken"


def test_it_loads_nothing_large_that_it_never_uses(tmp_path: Path) -> None:
    """Every node pays for it: asyncio's half of grpc is a MiB, fractions with decimal most of another."""
    for name, text in code_files(ENTRIES["reporter"]).items():
        path = tmp_path / "nodewise" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    script = "import sys; sys.path.insert(0, sys.argv[1]); import nodewise.reporter.main as main; main.import_all(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-I", "-c", script, str(tmp_path)], capture_output=True, text=True, check=True).stdout.split()
    assert {"grpc", "nodewise.report.build", "prometheus_client.exposition"} <= set(loaded)
    assert not {"fractions", "decimal", "grpc.aio._channel", "kubernetes"} & set(loaded)
