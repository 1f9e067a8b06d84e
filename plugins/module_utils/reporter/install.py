# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring the reporter onto a host, or off it: what differs, and putting it right.

Everything is read from the host, so a run that was killed at any point is mended by the next one. The unit names the folder of
its release; so the unit's file alone says which release runs, and putting that file back is the way back.
"""

from __future__ import annotations

import glob
import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ..artifacts.host import Files, HostFile
from ..artifacts.wheels import Wheel, locked
from ..errors import NodewiseError
from ..systemd.systemctl import Systemd
from ..systemd.unit import ManagedFile, UnitPlan, UnitSpec, apply_changes, apply_unit, file_changes, plan_unit
from .config import PATH as CONFIG
from .config import Config
from .release import ROOT, Release, ask_python, code_files, release_digest
from .unit import NAME, UNIT, unit_text
from .version import agent_version

_PARENTS = (os.path.dirname(ROOT), os.path.dirname(CONFIG))
_WHEELS = os.path.join(ROOT, "wheels")
_LOG_LINES = 15


@dataclass(frozen=True)
class Request:
    """What is wanted.

    Parameters
    ----------
    config : Config
        The daemon's configuration.
    python : str
        The Python of the host that runs it.
    report_timeout : int
        Seconds in which the API server has to have a report of the new one.
    """

    config: Config
    python: str
    report_timeout: int


@dataclass
class Outcome:
    """What was, or in check mode would be, done.

    Parameters
    ----------
    actions : list of str
        Everything that was done, a short phrase each; empty if nothing.
    diff : list of dict
        The differences in the form that Ansible shows.
    missing : list of str
        File names of wheels that must be sent first; nothing was done then.
    reasons : list of str
        Why the reporter was restarted.
    version, python, arch : str
        The release's version, the host's Python and architecture.
    report : dict, optional
        What the API server has of it.
    """

    actions: list[str] = field(default_factory=list)
    diff: list[dict[str, str]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    version: str = ""
    python: str = ""
    arch: str = ""
    report: dict[str, Any] | None = None


def ensure_present(request: Request, bundle: str | None, check_mode: bool, systemd: Systemd) -> Outcome:
    """Install, upgrade or configure the reporter, and see that it reports.

    Parameters
    ----------
    request : Request
        What is wanted.
    bundle : str, optional
        The wheels that were sent.
    check_mode : bool
        Change nothing.
    systemd : Systemd
        The service manager.

    Raises
    ------
    NodewiseError
        Something is wrong with the host or the wheels (what runs goes on), or the new one does not report (the one that ran
        before runs again, if there was one).
    OSError
        A disk is full, or a path is not what it should be.
    """
    python = ask_python(request.python)
    wheels = locked(python.version, python.arch)
    code = code_files()
    release = Release(release_digest(code, wheels, python))
    outcome = Outcome(version=agent_version(release.digest), python=python.version, arch=python.arch)
    spec = _spec(release, request, outcome.version, _systemd_version())
    build = not release.whole()
    if build:
        # Of what was taken down half-way nothing but whole wheels is used again.
        files = _wheel_files(wheels)
        missing = files.missing()
        outcome.missing = [os.path.basename(one.dest) for one in missing]
        if missing and bundle and not check_mode:
            files.install(missing, bundle)
            files.save()
            outcome.missing = []
        outcome.actions.append(f"build {release.path}")
        outcome.diff.append({"before_header": ROOT, "after_header": ROOT, "before": "", "after": f"{release.digest} ({outcome.version})\n"})
        if outcome.missing and not check_mode:
            return outcome
        if not check_mode:
            release.build(python, code, [one.dest for one in files.files])
    plan = plan_unit(spec, systemd)
    if build and check_mode and plan.status.running and "restart" not in plan.steps:
        # The release is there, but damaged.
        plan.steps.append("restart")
    outcome.actions += plan.actions()
    outcome.diff += plan.diff()
    outcome.reasons = plan.reasons
    reload = any(change.path == CONFIG for change in plan.changes) and plan.status.running and "restart" not in plan.steps
    if reload:
        outcome.actions.append(f"reload {NAME}")
    if not release.current() or release.others():
        outcome.actions.append(f"make {release.digest} current")
    if not check_mode:
        outcome.report = _switch(request, release, plan, reload, outcome.version, systemd)
        if not release.current() or release.others():
            release.make_current()
            _remove_other_wheels(wheels)
    return outcome


def _switch(request: Request, release: Release, plan: UnitPlan, reload: bool, version: str, systemd: Systemd) -> dict[str, Any]:
    """Carry the plan out and return the new one's report; if it does not report, go back."""
    try:
        if plan.changed:
            apply_unit(plan, systemd)
        if reload:
            _run(["systemctl", "reload", NAME], 60)
        return _wait_for_report(release, version, request.report_timeout)
    except NodewiseError as error:
        logged = "" if "last log lines" in str(error) else f"\nIts last log lines:\n{systemd.journal(NAME, _LOG_LINES)}"
        if not plan.status.running or not plan.changes:
            raise NodewiseError(f"{error}{logged}") from error
        try:
            apply_unit(plan.undone(), systemd)
        except NodewiseError as second:
            raise NodewiseError(f"{error}{logged}\nThe version from before is back, but it does not start either: {second}") from second
        raise NodewiseError(f"{error}{logged}\nThe version from before is back, and runs again.") from error


def _wait_for_report(release: Release, version: str, timeout: int) -> dict[str, Any]:
    """Return what the API server has of the reporter, asked with the node's own credentials by the release's own code.

    Raises
    ------
    NodewiseError
        There is no report of this version in time.
    """
    command = [release.python, "-I", "-m", "nodewise.reporter.probe", "--config", CONFIG, "--agent-version", version]
    done = _run([*command, "--timeout", str(timeout)], timeout + 60)
    if done.returncode != 0:
        raise NodewiseError(f"The new reporter does not report: {(done.stdout or done.stderr).strip()[-600:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def ensure_absent(check_mode: bool, systemd: Systemd) -> Outcome:
    """Stop the reporter and remove all of it from the host.

    Raises
    ------
    NodewiseError
        It cannot be stopped, or a file cannot be removed.
    OSError
        A folder cannot be removed.
    """
    status = systemd.status(NAME)
    enabled = systemd.enablement(NAME).startswith("enabled")
    changes = file_changes([ManagedFile(UNIT, None), ManagedFile(CONFIG, None)])
    note = os.path.join(systemd.notes, NAME)
    outcome = Outcome(diff=[change.as_diff() for change in changes])
    stop = status.active not in ("inactive", "failed")
    outcome.actions += [f"stop {NAME}"] * stop + [f"disable {NAME}"] * enabled + [change.action() for change in changes]
    if os.path.lexists(ROOT):
        outcome.actions.append(f"remove {ROOT}")
        outcome.diff.append(
            {"before_header": ROOT, "after_header": f"{ROOT} (absent)", "before": "".join(f"{n}\n" for n in sorted(os.listdir(ROOT))), "after": ""}
        )
    if check_mode or not (outcome.actions or status.active == "failed" or os.path.exists(note)):
        return outcome
    if stop:
        systemd.stop(NAME)
    if enabled:
        systemd.set_enabled(NAME, False)
    apply_changes(changes)
    systemd.daemon_reload()
    # A unit that failed is remembered, even without its file.
    _run(["systemctl", "reset-failed", NAME], 60)
    if os.path.lexists(ROOT):
        shutil.rmtree(ROOT)
    with suppress(FileNotFoundError):
        os.unlink(note)
    for folder in _PARENTS:
        with suppress(OSError):  # others have something there, or nobody had
            os.rmdir(folder)
    return outcome


def _spec(release: Release, request: Request, version: str, systemd: int) -> UnitSpec:
    return UnitSpec(
        NAME,
        files=[
            ManagedFile(UNIT, unit_text(release.python, CONFIG, version, request.report_timeout, systemd)),
            # The daemon looks at it every two seconds.
            ManagedFile(CONFIG, request.config.to_text(), restart=False),
        ],
        # One that was built anew in the place of a damaged one.
        restart_paths=[release.manifest],
    )


def _wheel_files(wheels: Sequence[Wheel]) -> Files:
    # Their digest says all of their size.
    return Files([HostFile(os.path.join(_WHEELS, wheel.filename), wheel.sha256, 0, 0o644) for wheel in wheels], os.path.join(_WHEELS, "stamps.json"))


def _remove_other_wheels(wheels: Sequence[Wheel]) -> None:
    for path in glob.glob(os.path.join(_WHEELS, "*.whl")):
        if os.path.basename(path) not in {wheel.filename for wheel in wheels}:
            os.unlink(path)


def _systemd_version() -> int:
    found = re.match(r"systemd (\d+)", _run(["systemctl", "--version"], 60).stdout)
    return int(found[1]) if found else 0


def _run(argv: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(argv, capture_output=True, text=True, errors="replace", timeout=timeout, check=False)
    except FileNotFoundError as error:
        raise NodewiseError(f"{argv[0]} is not there.", "this host does not run systemd" if argv[0] == "systemctl" else "") from error
    except subprocess.TimeoutExpired as error:
        raise NodewiseError(f"{' '.join(argv)} did not end within {timeout:.0f} s.") from error
