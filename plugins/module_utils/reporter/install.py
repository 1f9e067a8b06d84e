# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring the reporter onto a host, or off it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ..errors import NodewiseError
from ..systemd.systemctl import Systemd
from . import daemon
from .config import PATH as CONFIG
from .config import Config
from .daemon import Daemon, Outcome, run
from .release import ENTRIES, Release
from .unit import unit_text

NAME = "reporter"


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

    def text(python: str, version: str, systemd_version: int) -> str:
        return unit_text(python, CONFIG, version, request.report_timeout, systemd_version)

    def works(release: Release, version: str) -> dict[str, Any]:
        return _wait_for_report(release, version, request.report_timeout)

    wanted = Daemon(NAME, ENTRIES, request.config.to_text(), reloads=True, unit_text=text, works=works)
    return daemon.ensure_present(wanted, request.python, bundle, check_mode, systemd)


def ensure_absent(check_mode: bool, systemd: Systemd) -> Outcome:
    """Stop the reporter and remove all of it from the host.

    Raises
    ------
    NodewiseError
        It cannot be stopped, or a file cannot be removed.
    OSError
        A folder cannot be removed.
    """
    return daemon.ensure_absent(NAME, check_mode, systemd)


def _wait_for_report(release: Release, version: str, timeout: int) -> dict[str, Any]:
    """Return what the API server has of the reporter, asked with the node's own credentials by the release's own code.

    Raises
    ------
    NodewiseError
        There is no report of this version in time.
    """
    command = [release.python, "-I", "-m", "nodewise.reporter.probe", "--config", CONFIG, "--agent-version", version]
    done = run([*command, "--timeout", str(timeout)], timeout + 60)
    if done.returncode != 0:
        raise NodewiseError(f"The new reporter does not report: {(done.stdout or done.stderr).strip()[-600:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found
