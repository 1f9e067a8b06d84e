# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring the reporter onto a host, or off it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

from ..errors import NodewiseError
from ..systemd.systemctl import Systemd
from . import daemon
from .config import PATH as CONFIG
from .config import Config
from .daemon import Daemon, Delivery, Outcome, run
from .release import Release
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
    need_node : bool
        Whether the host has to be a node. If it need not, the reporter runs on it if it is one, and is only laid down if it is none.
    """

    config: Config
    python: str
    report_timeout: int
    need_node: bool = True


def ensure_present(request: Request, delivery: Delivery, check_mode: bool, systemd: Systemd) -> Outcome:
    """Install, upgrade or configure the reporter, and see that it reports.

    Parameters
    ----------
    request : Request
        What is wanted.
    delivery : Delivery
        What the control machine has.
    check_mode : bool
        Change nothing.
    systemd : Systemd
        The service manager.

    Raises
    ------
    NodewiseError
        The host is no node, something is wrong with it or the wheels (what runs goes on), or the new one does not report (the one
        that ran before runs again, if there was one).
    OSError
        A disk is full, or a path is not what it should be.
    """
    kubeconfig = request.config.kubeconfig
    is_node = os.path.exists(kubeconfig)
    if request.need_node and not is_node and not check_mode:
        raise NodewiseError(f"{kubeconfig} is not on this host, so it is no node.", "let it join first; state=prepared is for hosts that join later")

    def text(python: str, version: str, systemd_version: int) -> str:
        return unit_text(python, CONFIG, version, request.report_timeout, systemd_version, kubeconfig)

    def works(release: Release, version: str) -> dict[str, Any]:
        return _wait_for_report(release, version, request.report_timeout)

    # A check of a host that has yet to join predicts what comes after the join.
    runs = is_node or request.need_node
    wanted = Daemon(NAME, request.config.to_text(), reloads=True, unit_text=text, works=works, runs=runs)
    return daemon.ensure_present(wanted, request.python, delivery, check_mode, systemd)


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
