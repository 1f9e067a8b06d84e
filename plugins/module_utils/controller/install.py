# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring a daemon with an identity of its own in the cluster onto a control-plane host, or off it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ..kube.kubectl import Kubectl
from ..kube.objects import ensure_objects
from ..report.manifests import namespace
from ..reporter import daemon
from ..reporter.account import Account, ensure_credentials, look, wait_for_health
from ..reporter.daemon import Daemon, Delivery, Outcome
from ..systemd.systemctl import Systemd
from ..systemd.unit import ManagedFile, apply_changes, file_changes


@dataclass(frozen=True)
class Wanted:
    """A daemon as it shall be.

    Parameters
    ----------
    account : Account
        Its identity.
    objects : sequence of dict
        What it needs in the cluster; empty if another host applies that.
    config : Any
        Its configuration, with C(identity), C(metrics_address), C(metrics_port) and C(to_text()).
    unit_text : callable
        Given the interpreter, the configuration's path, C(timeout) and the host's version of systemd, returns the unit's text.
    python : str
        The Python of the host that runs it.
    timeout : int
        Seconds in which it has to watch the cluster.
    """

    account: Account
    objects: Sequence[dict[str, Any]]
    config: Any
    unit_text: Callable[[str, str, int, int], str]
    python: str
    timeout: int


def ensure_present(wanted: Wanted, kubectl: Kubectl, delivery: Delivery, check_mode: bool, systemd: Systemd) -> Outcome:
    """Install, upgrade or configure a daemon, and see that it watches.

    Parameters
    ----------
    wanted : Wanted
        What is wanted.
    kubectl : Kubectl
        With admin rights.
    delivery : Delivery
        What the control machine has.
    check_mode : bool
        Change nothing.
    systemd : Systemd
        The service manager.

    Raises
    ------
    NodewiseError
        The API server cannot be reached or refuses something, something is wrong with the host or the wheels, or the new daemon does not
        watch (the one that ran before runs again, if there was one).
    OSError
        A disk is full, or a path is not what it should be.
    """
    account, config, before = wanted.account, wanted.config, Outcome()
    applied = f"apply the {account.daemon}'s objects"
    if check_mode and not os.path.exists(kubectl.kubeconfig):
        # A cluster that is not there yet.
        before.actions += [applied] * bool(wanted.objects) + [f"write {account.kubeconfig}", f"write {account.token}"]
    else:
        with ThreadPoolExecutor() as pool:
            found = pool.submit(look, account, kubectl)
            difference = ensure_objects(kubectl, namespace(), wanted.objects, check_mode) if wanted.objects else ""
        if difference:
            before.actions.append(applied)
            before.diff.append({"before_header": "cluster", "after_header": "cluster", "before": "", "after": difference})
        ensure_credentials(account, found.result(), config.identity, kubectl, check_mode, before)
    path = daemon.config_path(account.daemon)
    installed = Daemon(
        account.daemon,
        config.to_text(),
        reloads=False,
        unit_text=lambda python, _version, systemd_version: wanted.unit_text(python, path, wanted.timeout, systemd_version),
        works=lambda _release, _version: wait_for_health(account.daemon, config.metrics_address, config.metrics_port, wanted.timeout),
    )
    outcome = daemon.ensure_present(installed, wanted.python, delivery, check_mode, systemd)
    outcome.actions[:0] = before.actions
    outcome.diff[:0] = before.diff
    return outcome


def ensure_absent(account: Account, check_mode: bool, systemd: Systemd) -> Outcome:
    """Stop a daemon and remove all of it from the host, with its credentials.

    Raises
    ------
    NodewiseError
        It cannot be stopped, or a file cannot be removed.
    OSError
        A folder cannot be removed.
    """
    outcome = daemon.ensure_absent(account.daemon, check_mode, systemd)
    changes = file_changes([ManagedFile(account.kubeconfig, None)])
    outcome.actions += [change.action() for change in changes]
    if not check_mode:
        apply_changes(changes)
    # With DynamicUser=, systemd keeps the folder in /var/lib/private and puts a link to it into /var/lib.
    for path in dict.fromkeys((account.folder, account.folder.replace("/private/", "/"))):
        if os.path.lexists(path):
            outcome.actions.append(f"remove {path}")
            if not check_mode and os.path.islink(path):
                os.unlink(path)
            elif not check_mode:
                shutil.rmtree(path)
    return outcome
