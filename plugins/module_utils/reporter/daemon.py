# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring a daemon of the collection onto a host, or off it: what differs, and putting it right.

Everything is read from the host, so a run that was killed at any point is mended by the next one. The unit names the folder of
its release; so the unit's file alone says which release runs, and putting that file back is the way back.
"""

from __future__ import annotations

import glob
import json
import os
import re
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ..artifacts.host import Files, HostFile
from ..artifacts.wheels import Wheel, locked
from ..errors import NodewiseError
from ..files import read_text
from ..process import Done, TimeoutExpired
from ..process import run as run_process
from ..systemd.systemctl import Systemd
from ..systemd.unit import ManagedFile, UnitPlan, UnitSpec, apply_changes, apply_unit, file_changes, plan_unit
from .code import ENTRIES, filename
from .release import Release, ask_python, release_digest
from .version import agent_version

_LOG_LINES = 15


@dataclass(frozen=True)
class Daemon:
    """A daemon as it shall be.

    Parameters
    ----------
    name : str
        Its name, C(reporter): it gives unit, folder and configuration their names.
    config : str
        Text of its configuration.
    reloads : bool
        Whether it reads a changed configuration by itself.
    unit_text : callable
        Given the interpreter, the version and the host's version of systemd, returns the unit's text.
    works : callable
        Given the release and its version, waits until it does its work and returns what was seen of it; raises NodewiseError if it does not.
    runs : bool
        Whether it runs. One that does not is laid down all the same; what keeps it from starting at boot is its unit's matter.
    """

    name: str
    config: str
    reloads: bool
    unit_text: Callable[[str, str, int], str]
    works: Callable[[Release, str], dict[str, Any]]
    runs: bool = True


@dataclass(frozen=True)
class Delivery:
    """What the control machine has for a daemon.

    Parameters
    ----------
    code : str
        Digest of its own code, see C(code.digest).
    bundle : str, optional
        Where what was missing lies, if it was sent.
    """

    code: str
    bundle: str | None = None


def unit_name(name: str) -> str:
    """Return a daemon's unit."""
    return f"nodewise-{name}.service"


def unit_path(name: str) -> str:
    """Return where its unit lies."""
    return f"/etc/systemd/system/{unit_name(name)}"


def config_path(name: str) -> str:
    """Return where its configuration lies."""
    return f"/etc/nodewise/{name}.json"


def root_path(name: str) -> str:
    """Return the folder of its releases."""
    return f"/opt/nodewise/{name}"


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
        Names of the wheels, and of the file with its own code, that must be sent first; nothing was built then.
    reasons : list of str
        Why it was restarted.
    version, python, arch : str
        The release's version, the host's Python and architecture.
    seen : dict, optional
        What was seen of its work.
    """

    actions: list[str] = field(default_factory=list)
    diff: list[dict[str, str]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    version: str = ""
    python: str = ""
    arch: str = ""
    seen: dict[str, Any] | None = None


def ensure_present(daemon: Daemon, host_python: str, delivery: Delivery, check_mode: bool, systemd: Systemd) -> Outcome:
    """Install, upgrade or configure a daemon, and see that it works.

    Parameters
    ----------
    daemon : Daemon
        What is wanted.
    host_python : str
        The Python of the host that runs it.
    delivery : Delivery
        What the control machine has.
    check_mode : bool
        Change nothing.
    systemd : Systemd
        The service manager.

    Raises
    ------
    NodewiseError
        Something is wrong with the host or the wheels (what runs goes on), or the new one does not work (the one that ran
        before runs again, if there was one).
    OSError
        A disk is full, or a path is not what it should be.
    """
    python = ask_python(host_python)
    wheels = locked(python.version, python.arch)
    root = root_path(daemon.name)
    release = Release(release_digest(delivery.code, wheels, python), root, ENTRIES[daemon.name])
    systemd_version = _systemd_version()
    version = agent_version(daemon.unit_text(release.python, "", systemd_version))
    outcome = Outcome(version=version, python=python.version, arch=python.arch)
    spec = _spec(daemon, release, outcome.version, systemd_version)
    build = not release.whole()
    if build:
        # Of what was taken down half-way nothing but whole files are used again.
        files = _files(wheels, delivery.code, root)
        missing = files.missing()
        outcome.missing = [os.path.basename(one.dest) for one in missing]
        if missing and delivery.bundle and not check_mode:
            files.install(missing, delivery.bundle)
            files.save()
            outcome.missing = []
        if outcome.missing and not check_mode:
            return outcome
        outcome.actions.append(f"build {release.path}")
        outcome.diff.append({"before_header": root, "after_header": root, "before": "", "after": f"{release.digest} ({outcome.version})\n"})
        if not check_mode:
            *unpacked, code = (one.dest for one in files.files)
            release.build(python, json.loads(read_text(code) or ""), unpacked)
    plan = plan_unit(spec, systemd)
    if build and check_mode and daemon.runs and plan.status.running and "restart" not in plan.steps:
        # The release is there, but damaged.
        plan.steps.append("restart")
    outcome.actions += plan.actions()
    outcome.diff += plan.diff()
    outcome.reasons = plan.reasons
    stays = daemon.runs and plan.status.running and "restart" not in plan.steps
    reload = stays and any(change.path == config_path(daemon.name) for change in plan.changes)
    if reload:
        outcome.actions.append(f"reload {unit_name(daemon.name)}")
    if not release.current() or release.others():
        outcome.actions.append(f"make {release.digest} current")
    if not check_mode:
        outcome.seen = _switch(daemon, release, plan, reload, outcome.version, systemd)
        if not release.current() or release.others():
            release.make_current()
            _remove_other_files(wheels, delivery.code, root)
    return outcome


def _switch(daemon: Daemon, release: Release, plan: UnitPlan, reload: bool, version: str, systemd: Systemd) -> dict[str, Any] | None:
    """Carry the plan out and return what was seen of the new one, if it runs; if it does not work, go back."""
    unit = unit_name(daemon.name)
    try:
        if plan.changed:
            apply_unit(plan, systemd)
        if reload:
            run(["systemctl", "reload", unit], 60)
        return daemon.works(release, version) if daemon.runs else None
    except NodewiseError as error:
        logged = "" if "last log lines" in str(error) else f"\nIts last log lines:\n{systemd.journal(unit, _LOG_LINES)}"
        if not plan.status.running or not plan.changes:
            raise NodewiseError(f"{error}{logged}") from error
        try:
            apply_unit(plan.undone(), systemd)
        except NodewiseError as second:
            raise NodewiseError(f"{error}{logged}\nThe version from before is back, but it does not start either: {second}") from second
        raise NodewiseError(f"{error}{logged}\nThe version from before is back, and runs again.") from error


def ensure_absent(name: str, check_mode: bool, systemd: Systemd) -> Outcome:
    """Stop a daemon and remove all of it from the host.

    Raises
    ------
    NodewiseError
        It cannot be stopped, or a file cannot be removed.
    OSError
        A folder cannot be removed.
    """
    unit, root = unit_name(name), root_path(name)
    status = systemd.status(unit)
    enabled = systemd.enablement(unit).startswith("enabled")
    changes = file_changes([ManagedFile(unit_path(name), None), ManagedFile(config_path(name), None)])
    note = os.path.join(systemd.notes, unit)
    outcome = Outcome(diff=[change.as_diff() for change in changes])
    stop = status.active not in ("inactive", "failed")
    outcome.actions += [f"stop {unit}"] * stop + [f"disable {unit}"] * enabled + [change.action() for change in changes]
    if os.path.lexists(root):
        outcome.actions.append(f"remove {root}")
        outcome.diff.append(
            {"before_header": root, "after_header": f"{root} (absent)", "before": "".join(f"{n}\n" for n in sorted(os.listdir(root))), "after": ""}
        )
    if check_mode or not (outcome.actions or status.active == "failed" or os.path.exists(note)):
        return outcome
    if stop:
        systemd.stop(unit)
    if enabled:
        systemd.set_enabled(unit, False)
    apply_changes(changes)
    systemd.daemon_reload()
    # A unit that failed is remembered, even without its file.
    run(["systemctl", "reset-failed", unit], 60)
    if os.path.lexists(root):
        shutil.rmtree(root)
    with suppress(FileNotFoundError):
        os.unlink(note)
    for folder in (os.path.dirname(root), os.path.dirname(config_path(name))):
        with suppress(OSError):  # others have something there, or nobody had
            os.rmdir(folder)
    return outcome


def _spec(daemon: Daemon, release: Release, version: str, systemd: int) -> UnitSpec:
    return UnitSpec(
        unit_name(daemon.name),
        files=[
            ManagedFile(unit_path(daemon.name), daemon.unit_text(release.python, version, systemd)),
            ManagedFile(config_path(daemon.name), daemon.config, restart=not daemon.reloads),
        ],
        state="started" if daemon.runs else "stopped",
        # One that was built anew in the place of a damaged one.
        restart_paths=[release.manifest],
    )


def _files(wheels: Sequence[Wheel], code: str, root: str) -> Files:
    """Return what a release is built of, its own code last."""
    folder = os.path.join(root, "wheels")
    named = [*((wheel.filename, wheel.sha256) for wheel in wheels), (filename(code), code)]
    # Their digest says all of their size.
    return Files([HostFile(os.path.join(folder, name), sha256, 0, 0o644) for name, sha256 in named], os.path.join(folder, "stamps.json"))


def _remove_other_files(wheels: Sequence[Wheel], code: str, root: str) -> None:
    stay = {one.dest for one in _files(wheels, code, root).files}
    for pattern in ("*.whl", filename("*")):
        for path in glob.glob(os.path.join(root, "wheels", pattern)):
            if path not in stay:
                os.unlink(path)


def _systemd_version() -> int:
    found = re.match(r"systemd (\d+)", run(["systemctl", "--version"], 60).stdout)
    return int(found[1]) if found else 0


def run(argv: Sequence[str], timeout: float) -> Done:
    """Run a command and return what it printed; its exit code is the caller's to judge.

    Raises
    ------
    NodewiseError
        There is no such command, or it does not end in time.
    """
    try:
        return run_process(argv, timeout=timeout)
    except FileNotFoundError as error:
        raise NodewiseError(f"{argv[0]} is not there.", "this host does not run systemd" if argv[0] == "systemctl" else "") from error
    except TimeoutExpired as error:
        raise NodewiseError(f"{' '.join(argv)} did not end within {timeout:.0f} s.") from error
