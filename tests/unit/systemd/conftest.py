# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service manager of which the tests say what it holds."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.systemd.systemctl import Systemd, UnitError, UnitStatus


class FakeSystemd(Systemd):
    """One unit; keeps what was asked of it in C(calls)."""

    def __init__(self, notes: str) -> None:
        super().__init__(notes)
        self.load = "not-found"
        self.active = "inactive"
        self.enabled = "not-found"
        self.needs_reload = False
        self.started: float | None = None
        self.breaks_at = ""
        self.calls: list[str] = []

    def run(self, started: float) -> None:
        """Pretend that the unit is loaded, enabled and up since C(started)."""
        self.load, self.active, self.enabled, self.started = "loaded", "active", "enabled", started

    def status(self, unit: str) -> UnitStatus:
        return UnitStatus(self.load, self.active, "running", self.needs_reload, self.started if self.active == "active" else None, 42)

    def enablement(self, unit: str) -> str:
        return self.enabled

    def daemon_reload(self) -> None:
        self._call("daemon-reload")
        self.load, self.needs_reload = "loaded", False
        self.enabled = "disabled" if self.enabled == "not-found" else self.enabled

    def set_enabled(self, unit: str, enabled: bool) -> None:
        self._call("enable" if enabled else "disable")
        self.enabled = "enabled" if enabled else "disabled"

    def stop(self, unit: str) -> None:
        self._call("stop")
        self.active = "inactive"

    def run_until_active(self, verb: str, unit: str) -> UnitStatus:
        self._call(verb)
        self.active, self.started = "active", time.time()
        return self.status(unit)

    def _call(self, verb: str) -> None:
        if verb == self.breaks_at:
            self.active = "failed"
            raise UnitError(f"{verb} broke")
        self.calls.append(verb)


@pytest.fixture
def systemd(tmp_path: Path) -> FakeSystemd:
    """Return a service manager that does not know the unit yet."""
    return FakeSystemd(str(tmp_path / "notes"))
