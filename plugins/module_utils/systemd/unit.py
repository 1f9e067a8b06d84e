# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A systemd unit together with the files it reads: what differs, and putting it right.

Whether a running unit owes a restart is read from the host, never from "this run wrote
a file", so a run that was killed half-way is repaired by the next one. Three things say so:

* a file that changed after the unit's process started, whoever changed it;
* a note in C(/run/nodewise/restart), touched before the first change, that is younger than the
  unit's process (a removed file has no time of its own to compare);
* C(NeedDaemonReload): the unit's own files differ from what systemd has loaded.
"""

from __future__ import annotations

import os
import stat
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..errors import NodewiseError
from ..files import printable, read_text, write_atomic
from ..process import run
from .systemctl import Systemd, UnitStatus

_UNIT_FOLDERS = ("/etc/systemd/", "/run/systemd/", "/usr/local/lib/systemd/", "/usr/lib/systemd/", "/lib/systemd/")
_UNIT_SUFFIXES = (".service", ".socket", ".timer", ".path", ".mount", ".target", ".slice")
# `systemctl enable` has nothing to do for these: the unit is pulled in by other means.
_AS_GOOD_AS_ENABLED = ("enabled", "static", "alias", "indirect", "generated", "transient")


@dataclass(frozen=True)
class ManagedFile:
    """A file and what it shall hold, or that it shall not be there.

    Attributes
    ----------
    path : str
        Absolute path.
    content : str, optional
        Its whole text; None if there shall be no such file.
    mode : int
        Its permission bits.
    restart : bool
        Whether the unit reads it only at its start.
    validate : Sequence[str]
        A command that must succeed on the new text before it is put in place;
        C(%s) stands for the path of a copy that has the same base name.
    """

    path: str
    content: str | None
    mode: int = 0o644
    restart: bool = True
    validate: Sequence[str] = ()


@dataclass(frozen=True)
class UnitSpec:
    """A unit as it shall be.

    Attributes
    ----------
    name : str
        The unit; C(.service) is added to a bare name.
    files : Sequence[ManagedFile]
        The files it reads.
    enabled : bool
        Whether it starts at boot.
    state : str
        C(started), C(stopped), or C(unchanged): not started, but restarted if it runs and owes it.
    restart_paths : Sequence[str]
        Files of others (a binary) that the unit must have been started after.
    """

    name: str
    files: Sequence[ManagedFile] = ()
    enabled: bool = True
    state: str = "started"
    restart_paths: Sequence[str] = ()

    @property
    def unit(self) -> str:
        """The full name of the unit."""
        return self.name if self.name.endswith(_UNIT_SUFFIXES) else f"{self.name}.service"


@dataclass(frozen=True)
class FileChange:
    """One file that differs; C(after) is None if it has to go, C(before) if it is not there."""

    path: str
    before: str | None
    after: str | None
    mode_before: int | None
    mode_after: int | None
    restart: bool

    def action(self) -> str:
        """Return what has to be done, in a few words."""
        return f"{'remove' if self.after is None else 'write'} {self.path}"

    def undone(self) -> FileChange:
        """Return the change that puts the file back."""
        return FileChange(self.path, self.after, self.before, self.mode_after, self.mode_before, self.restart)

    def as_diff(self) -> dict[str, str]:
        """Return the difference in the form that Ansible shows."""
        return {
            "before_header": _header(self.path, self.mode_before),
            "after_header": _header(self.path, self.mode_after),
            "before": printable(self.before or ""),
            "after": printable(self.after or ""),
        }


@dataclass
class UnitPlan:
    """What separates a host from a C(UnitSpec).

    Attributes
    ----------
    spec : UnitSpec
        What is wanted.
    status : UnitStatus
        The unit as it was found.
    changes : list of FileChange
        Files to write or remove.
    steps : list of str
        What happens to the unit after that, in order: C(daemon-reload), C(enable), C(disable), C(start), C(restart), C(stop).
    reasons : list of str
        Why the unit owes a restart; empty if it is not restarted.
    """

    spec: UnitSpec
    status: UnitStatus
    changes: list[FileChange] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether anything has to be done."""
        return bool(self.changes or self.steps)

    def undone(self) -> UnitPlan:
        """Return the plan that puts the files back and restarts the unit; whether the unit is enabled stays as it is."""
        reload = ["daemon-reload"] if "daemon-reload" in self.steps else []
        return UnitPlan(self.spec, self.status, [change.undone() for change in self.changes], [*reload, "restart"])

    def actions(self) -> list[str]:
        """Return everything that has to be done, a short phrase each."""
        return [change.action() for change in self.changes] + [f"{step} {self.spec.unit}" if step != "daemon-reload" else step for step in self.steps]

    def diff(self) -> list[dict[str, str]]:
        """Return the differences, files first, in the form that Ansible shows."""
        found = [change.as_diff() for change in self.changes]
        if self.steps:
            lines = "".join(f"{step}\n" for step in self.steps) + "".join(f"because {reason}\n" for reason in self.reasons)
            found.append({"before_header": self.spec.unit, "after_header": self.spec.unit, "before": "", "after": lines})
        return found


def file_changes(files: Sequence[ManagedFile]) -> list[FileChange]:
    """Return what differs between files and what they shall be; changes nothing.

    Raises
    ------
    NodewiseError
        A file is there but cannot be read.
    """
    found = []
    for managed in files:
        before, mode = _current(managed.path)
        wanted = None if managed.content is None else managed.mode
        if before != managed.content or mode != wanted:
            found.append(FileChange(managed.path, before, managed.content, mode, wanted, managed.restart))
    return found


def apply_changes(changes: Sequence[FileChange]) -> None:
    """Write or remove files, each atomically.

    Raises
    ------
    NodewiseError
        A file cannot be written; what is left to do is left to the next run.
    """
    for change in changes:
        try:
            if change.after is None:
                os.unlink(change.path)
            elif change.mode_after is not None:
                write_atomic(change.path, change.after, change.mode_after)
        except OSError as error:
            raise NodewiseError(f"Cannot change {change.path}: {error}.") from error


def plan_unit(spec: UnitSpec, systemd: Systemd) -> UnitPlan:
    """Compare a host with a spec; changes nothing.

    Parameters
    ----------
    spec : UnitSpec
        What is wanted.
    systemd : Systemd
        The service manager.

    Raises
    ------
    NodewiseError
        The unit is masked, a file cannot be read, or the host has no systemd.
    """
    status = systemd.status(spec.unit)
    plan = UnitPlan(spec, status, changes=file_changes(spec.files))
    enablement = systemd.enablement(spec.unit)
    if enablement.startswith("masked") and (spec.enabled or spec.state == "started"):
        raise NodewiseError(f"{spec.unit} is masked on this host.", f"systemctl unmask {spec.unit}, if it was not masked on purpose")

    if spec.enabled and enablement not in _AS_GOOD_AS_ENABLED:
        plan.steps.append("enable")
    elif not spec.enabled and enablement.startswith("enabled"):
        plan.steps.append("disable")

    reasons = _restart_reasons(spec, plan.changes, status, os.path.join(systemd.notes, spec.unit))
    if spec.state == "stopped":
        if status.active not in ("inactive", "failed"):
            plan.steps.append("stop")
    elif status.running and reasons:
        plan.steps.append("restart")
        plan.reasons = reasons
    elif not status.running and spec.state == "started":
        plan.steps.append("start")
    # NeedDaemonReload does not see a drop-in in a folder that is new: a run that ended before its reload left nothing to read. So
    # reload before every start as well.
    comes_up = any(step in ("start", "restart") for step in plan.steps) and any(_is_unit_file(managed.path) for managed in spec.files)
    if status.needs_reload or comes_up or any(_is_unit_file(change.path) for change in plan.changes):
        plan.steps.insert(0, "daemon-reload")
    return plan


def apply_unit(plan: UnitPlan, systemd: Systemd) -> UnitStatus:
    """Carry out a plan and return the unit's state afterwards.

    Parameters
    ----------
    plan : UnitPlan
        From C(plan_unit), of the same run.
    systemd : Systemd
        The service manager.

    Raises
    ------
    NodewiseError
        A file cannot be written, or the unit did not start; what is left to do is left to the next run.
    """
    unit = plan.spec.unit
    if any(change.restart for change in plan.changes):
        write_atomic(os.path.join(systemd.notes, unit), "touched when nodewise changes a file for which this unit must be restarted\n")
    apply_changes(plan.changes)
    for step in plan.steps:
        if step == "daemon-reload":
            systemd.daemon_reload()
        elif step in ("enable", "disable"):
            systemd.set_enabled(unit, step == "enable")
        elif step == "stop":
            systemd.stop(unit)
        else:
            systemd.run_until_active(step, unit)
    return systemd.status(unit)


def validate_files(files: Sequence[ManagedFile], paths: Sequence[str], check_mode: bool) -> None:
    """Run the C(validate) command of those files whose path is listed, each on a copy of its new text.

    Parameters
    ----------
    files : Sequence[ManagedFile]
        All files.
    paths : Sequence[str]
        The ones that will be written.
    check_mode : bool
        A command that is not installed yet is passed over.

    Raises
    ------
    NodewiseError
        A command failed, or is not installed; nothing was put in place.
    """
    for managed in files:
        if managed.content is None or not managed.validate or managed.path not in paths:
            continue
        with tempfile.TemporaryDirectory(prefix="nodewise-validate-") as folder:
            copy = os.path.join(folder, os.path.basename(managed.path))
            write_atomic(copy, managed.content, managed.mode)
            argv = [argument.replace("%s", copy) for argument in managed.validate]
            try:
                done = run(argv, timeout=60)
            except FileNotFoundError as error:
                if check_mode:
                    continue
                raise NodewiseError(f"{argv[0]}, which has to check {managed.path}, is not installed on this host.") from error
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip()
            raise NodewiseError(f"The new text of {managed.path} is refused by {' '.join(managed.validate)} ({done.returncode}): {said}")


def _current(path: str) -> tuple[str | None, int | None]:
    try:
        mode = stat.S_IMODE(os.stat(path).st_mode)
        return read_text(path, "surrogateescape"), mode
    except FileNotFoundError:
        # A dangling link is there all the same: it has to be replaced, or removed.
        return None, (0 if os.path.islink(path) else None)
    except OSError as error:
        raise NodewiseError(f"Cannot read {path}: {error}.") from error


def _restart_reasons(spec: UnitSpec, changes: Sequence[FileChange], status: UnitStatus, note: str) -> list[str]:
    reasons = [f"{change.path} changes" for change in changes if change.restart]
    unit_files = [managed for managed in spec.files if _is_unit_file(managed.path)]
    if status.needs_reload and (not unit_files or any(managed.restart for managed in unit_files)):
        reasons.append("its unit files differ from what systemd has loaded")
    if status.started is None:
        return reasons
    changing = {change.path for change in changes}
    kept = [managed.path for managed in spec.files if managed.restart and managed.path not in changing]
    now = time.time()
    for path in [*kept, *spec.restart_paths, note]:
        moment = _changed_at(path)
        # A time in the future means that the clock was set back: restarting would not make the unit younger than the file.
        if moment is not None and status.started < moment <= now:
            reasons.append(f"{path} changed {moment - status.started:.1f} s after the unit's start")
    return reasons


def _changed_at(path: str) -> float | None:
    try:
        # ctime, not mtime: it also moves when a file that kept its old mtime is renamed into place, and no tool can set it.
        return os.stat(path).st_ctime
    except FileNotFoundError:
        return None


def _is_unit_file(path: str) -> bool:
    return path.startswith(_UNIT_FOLDERS)


def _header(path: str, mode: int | None) -> str:
    return f"{path} (absent)" if mode is None else f"{path} (mode {mode:04o})"
