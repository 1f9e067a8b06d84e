# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd says of a unit, and the few verbs we ask of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ..errors import NodewiseError
from ..process import TimeoutExpired, run

_RUNNING = ("active", "reloading", "refreshing")


class UnitError(NodewiseError):
    """A unit did not come up."""


@dataclass(frozen=True)
class UnitStatus:
    """One reading of a unit.

    Attributes
    ----------
    load : str
        C(LoadState): loaded, not-found, masked, bad-setting, error.
    active : str
        C(ActiveState): active, inactive, failed, activating, ...
    sub : str
        C(SubState), finer.
    needs_reload : bool
        C(NeedDaemonReload): the unit's files differ from what systemd has loaded.
    started : float, optional
        When its main process (or, without one, the unit) started, in seconds of the wall clock
        as it was then; None if it is not running.
    main_pid : int
        Main process; 0 if there is none.
    """

    load: str
    active: str
    sub: str
    needs_reload: bool
    started: float | None
    main_pid: int

    @property
    def running(self) -> bool:
        """Whether the unit is up."""
        return self.active in _RUNNING


class Systemd:
    """The system's service manager, through C(systemctl) and C(journalctl).

    Parameters
    ----------
    notes : str
        Folder in which we note that a unit owes a restart.
    """

    def __init__(self, notes: str = "/run/nodewise/restart") -> None:
        self.notes = notes

    def status(self, unit: str) -> UnitStatus:
        """Read the state of a unit; a unit that does not exist reads as C(not-found), inactive.

        Raises
        ------
        NodewiseError
            The host does not run systemd.
        """
        names = "LoadState,ActiveState,SubState,NeedDaemonReload,ExecMainStartTimestamp,ActiveEnterTimestamp,MainPID"
        # us+utc: since systemd 247. The plain form has whole seconds only, in a zone that need not be ours.
        text = self._checked(["systemctl", "show", unit, f"--property={names}", "--timestamp=us+utc"])
        found = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        active = found.get("ActiveState", "inactive")
        # The main process reads its files when it starts; a notify unit becomes active only later. Timers and the like have no process.
        stamp = found.get("ExecMainStartTimestamp") or found.get("ActiveEnterTimestamp") or ""
        return UnitStatus(
            load=found.get("LoadState", "not-found"),
            active=active,
            sub=found.get("SubState", "dead"),
            needs_reload=found.get("NeedDaemonReload") == "yes",
            started=parse_timestamp(stamp) if active in _RUNNING else None,
            main_pid=int(found.get("MainPID") or 0),
        )

    def enablement(self, unit: str) -> str:
        """Return what C(systemctl is-enabled) says: enabled, disabled, static, masked, not-found, ..."""
        # Its exit code is non-zero for every answer but "enabled"; asked afresh because the UnitFileState property may be a cached one.
        _code, out, _err = self._run(["systemctl", "is-enabled", unit])
        return out.strip() or "not-found"

    def daemon_reload(self) -> None:
        """Make systemd read the unit files again."""
        self._checked(["systemctl", "daemon-reload"])

    def set_enabled(self, unit: str, enabled: bool) -> None:
        """Start, or don't start, the unit at boot."""
        self._checked(["systemctl", "enable" if enabled else "disable", "--quiet", unit])

    def stop(self, unit: str) -> None:
        """Stop the unit and wait for it."""
        self._checked(["systemctl", "stop", unit])

    def run_until_active(self, verb: str, unit: str) -> UnitStatus:
        """Start or restart a unit, wait as long as its type lets us, and read its state.

        Parameters
        ----------
        verb : str
            C(start) or C(restart).
        unit : str
            The unit.

        Raises
        ------
        UnitError
            The unit is not up afterwards; the text ends with its last log lines.
        """
        # A unit that failed too often refuses even a corrected start ("start request repeated too quickly").
        self._run(["systemctl", "reset-failed", unit])
        code, out, err = self._run(["systemctl", verb, unit])
        status = self.status(unit)
        if code != 0 or not status.running:
            said = " ".join((err or out).split())
            raise UnitError(
                f"{unit} did not {verb}: it is {status.active} ({status.sub}). systemctl: {said or 'nothing'}\nIts last log lines:\n{self.journal(unit)}"
            )
        return status

    def journal(self, unit: str, lines: int = 15) -> str:
        """Return the last lines that a unit, and systemd about it, logged."""
        _code, out, err = self._run(["journalctl", f"--unit={unit}", f"--lines={lines}", "--no-pager", "--output=cat"])
        return out.strip() or err.strip() or "(none)"

    def _checked(self, argv: Sequence[str]) -> str:
        code, out, err = self._run(argv)
        if code != 0:
            raise NodewiseError(f"{' '.join(argv)} failed ({code}): {(err or out).strip()}")
        return out

    def _run(self, argv: Sequence[str]) -> tuple[int, str, str]:
        environment = {**os.environ, "LC_ALL": "C", "SYSTEMD_COLORS": "0"}
        try:
            done = run(argv, env=environment, timeout=600)
        except FileNotFoundError as error:
            raise NodewiseError(f"{argv[0]} is not there: this host does not run systemd.", "use a distribution whose init is systemd") from error
        except TimeoutExpired as error:
            raise NodewiseError(f"{' '.join(argv)} did not end within 600 s.") from error
        return done.returncode, done.stdout, done.stderr


def parse_timestamp(text: str) -> float | None:
    """Return the seconds since 1970 of systemd's C(us+utc) form, e.g. C(Wed 2026-11-25 09:44:12.345678 UTC); None for no time."""
    if not text or text == "n/a":
        return None
    moment = datetime.strptime(text.split(" ", 1)[1], "%Y-%m-%d %H:%M:%S.%f UTC")
    return (moment - datetime(1970, 1, 1)).total_seconds()
