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


@pytest.mark.parametrize(
    ("samples", "told"),
    [
        ([1, 1, 1], 3),
        ([0, 1, 0, 0, 0, 1, 0], 2),
        # The sampling hangs from the second look on: whatever else goes on, systemd starts it anew.
        ([1, 0, 0, 0, 0, 0], 1),
        ([0, 0, 0], 0),
        # Two samples between two looks.
        ([2, 0], 1),
    ],
)
def test_the_watchdog_is_fed_by_samples_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, samples: list[int], told: int) -> None:
    path = tmp_path / "reporter.json"
    path.write_text(Config("w1", metrics_port=0).to_text())
    monkeypatch.setattr(main.signal, "pthread_sigmask", lambda _how, _signals: None)
    monkeypatch.setattr(main, "SampleLoop", Idle)
    monkeypatch.setattr(main, "PublishLoop", Idle)
    notifier = Recorder()
    reporter = main.Reporter(str(path), "1", 3600, notifier)
    looks = iter(samples)

    def wait(_signals: object, _seconds: float) -> SimpleNamespace | None:
        for _number in range(taken := next(looks, -1)):
            reporter._state.sample_taken({}, 0.1, {})
        # Writing goes on all the time.
        reporter._state.publish_tried("accepted", True, "", 0.0)
        return None if taken >= 0 else SimpleNamespace(si_signo=signal.SIGTERM)

    monkeypatch.setattr(main.signal, "sigtimedwait", wait)
    assert reporter.run() == 0
    assert notifier.told == ["WATCHDOG"] * told + ["STOPPING"]


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
