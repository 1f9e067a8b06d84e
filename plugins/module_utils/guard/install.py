# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring the guard onto a control-plane host, or off it, with its credentials."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace

from ..kube.kubectl import Kubectl
from ..reporter import account, daemon
from ..reporter.account import Account
from ..reporter.daemon import Daemon, Outcome
from ..systemd.systemctl import Systemd
from ..systemd.unit import ManagedFile, apply_changes, file_changes
from . import cluster, main
from .config import PATH as CONFIG
from .config import Config
from .manifests import NAME as SERVICE_ACCOUNT
from .unit import STATE, unit_text

NAME = "guard"
KUBECONFIG = "/etc/nodewise/guard.conf"
# With DynamicUser=, systemd keeps the folder here and puts a link to it into /var/lib.
STATE_FOLDER = f"/var/lib/private/{STATE}"
_ACCOUNT = Account(SERVICE_ACCOUNT, NAME, KUBECONFIG, STATE_FOLDER)
TOKEN = _ACCOUNT.token
_ENTRIES = (f"guard.{main.__name__.rpartition('.')[2]}",)


@dataclass(frozen=True)
class Request:
    """What is wanted.

    Parameters
    ----------
    config : Config
        The daemon's configuration; kubeconfig and token are filled in.
    python : str
        The Python of the host that runs it.
    timeout : int
        Seconds in which it has to watch the cluster.
    """

    config: Config
    python: str
    timeout: int


def ensure_present(request: Request, kubectl: Kubectl, with_objects: bool, bundle: str | None, check_mode: bool, systemd: Systemd) -> Outcome:
    """Install, upgrade or configure the guard, and see that it watches.

    Parameters
    ----------
    request : Request
        What is wanted.
    kubectl : Kubectl
        With admin rights.
    with_objects : bool
        Whether the cluster's objects are applied as well; one host does that.
    bundle : str, optional
        The wheels that were sent.
    check_mode : bool
        Change nothing.
    systemd : Systemd
        The service manager.

    Raises
    ------
    NodewiseError
        The API server cannot be reached or refuses something, something is wrong with the host or the wheels, or the new guard does not
        watch (the one that ran before runs again, if there was one).
    OSError
        A disk is full, or a path is not what it should be.
    """
    config = replace(request.config, kubeconfig=KUBECONFIG, token_file=TOKEN)
    before = Outcome()
    if check_mode and not os.path.exists(kubectl.kubeconfig):
        # A cluster that is not there yet.
        before.actions += ["apply the guard's objects", f"write {KUBECONFIG}", f"write {TOKEN}"]
    else:
        _objects(kubectl, with_objects, check_mode, before)
        account.ensure_credentials(_ACCOUNT, config.identity, kubectl, check_mode, before)
    wanted = Daemon(
        NAME,
        _ENTRIES,
        config.to_text(),
        reloads=False,
        unit_text=lambda python, _version, systemd_version: unit_text(python, CONFIG, request.timeout, systemd_version),
        works=lambda _release, _version: account.wait_for_health(NAME, config.metrics_address, config.metrics_port, request.timeout),
    )
    outcome = daemon.ensure_present(wanted, request.python, bundle, check_mode, systemd)
    outcome.actions[:0] = before.actions
    outcome.diff[:0] = before.diff
    return outcome


def ensure_absent(kubectl: Kubectl, with_objects: bool, check_mode: bool, systemd: Systemd) -> Outcome:
    """Stop the guard and remove all of it from the host, and if wanted from the cluster, its taints and conditions included.

    Raises
    ------
    NodewiseError
        It cannot be stopped, a file cannot be removed, or the API server does not let something go.
    OSError
        A folder cannot be removed.
    """
    outcome = daemon.ensure_absent(NAME, check_mode, systemd)
    changes = file_changes([ManagedFile(KUBECONFIG, None)])
    outcome.actions += [change.action() for change in changes]
    if not check_mode:
        apply_changes(changes)
    link = f"/var/lib/{STATE}"
    for path in (STATE_FOLDER, link):
        if os.path.lexists(path):
            outcome.actions.append(f"remove {path}")
            if not check_mode and os.path.islink(path):
                os.unlink(path)
            elif not check_mode:
                shutil.rmtree(path)
    # After a reset there is no cluster any more.
    if with_objects and os.path.exists(kubectl.kubeconfig):
        outcome.actions += [f"remove {one}" for one in cluster.ensure_absent(kubectl, check_mode)]
    return outcome


def _objects(kubectl: Kubectl, with_objects: bool, check_mode: bool, outcome: Outcome) -> None:
    difference = cluster.ensure_present(kubectl, check_mode) if with_objects else ""
    if difference:
        outcome.actions.append("apply the guard's objects")
        outcome.diff.append({"before_header": "cluster", "after_header": "cluster", "before": "", "after": difference})


def write_secret(path: str, text: str) -> None:
    """Write a file into the guard's state folder that the guard alone can read.

    Raises
    ------
    OSError
        The disk is full, or the path is not what it should be.
    """
    account.write_secret(STATE_FOLDER, path, text)
