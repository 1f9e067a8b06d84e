# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring the provider onto a control-plane host, or off it, with its credentials and what it needs in the cluster."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace

from ..kube.kubectl import Kubectl
from ..kube.objects import ensure_objects, remove_objects
from ..report.manifests import NAMESPACE, namespace
from ..reporter import daemon
from ..reporter.account import Account, ensure_credentials, wait_for_health
from ..reporter.daemon import Daemon, Outcome
from ..systemd.systemctl import Systemd
from ..systemd.unit import ManagedFile, apply_changes, file_changes
from . import main
from .book import NAME as OBJECTS
from .manifests import cluster_objects
from .settings import PATH as CONFIG
from .settings import Config
from .unit import STATE, unit_text

NAME = "autoscaler"
KUBECONFIG = "/etc/nodewise/autoscaler.conf"
STATE_FOLDER = f"/var/lib/{STATE}"
_ACCOUNT = Account(OBJECTS, NAME, KUBECONFIG, STATE_FOLDER)
_ENTRIES = (f"autoscaler.{main.__name__.rpartition('.')[2]}",)


@dataclass(frozen=True)
class Request:
    """What is wanted.

    Parameters
    ----------
    config : Config
        The daemon's configuration; the paths of its credentials are filled in.
    python : str
        The Python of the host that runs it.
    timeout : int
        Seconds in which it has to watch the cluster.
    """

    config: Config
    python: str
    timeout: int


def ensure_present(request: Request, kubectl: Kubectl, with_objects: bool, bundle: str | None, check_mode: bool, systemd: Systemd) -> Outcome:
    """Install, upgrade or configure the provider, and see that it watches.

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
        The API server cannot be reached or refuses something, something is wrong with the host or the wheels, or the new provider does not
        watch (the one that ran before runs again, if there was one).
    OSError
        A disk is full, or a path is not what it should be.
    """
    config = replace(request.config, kubeconfig=KUBECONFIG, token_file=_ACCOUNT.token)
    before = Outcome()
    if check_mode and not os.path.exists(kubectl.kubeconfig):
        # A cluster that is not there yet.
        before.actions += ["apply the autoscaler's objects"] * with_objects + [f"write {KUBECONFIG}", f"write {_ACCOUNT.token}"]
    else:
        difference = ensure_objects(kubectl, namespace(), cluster_objects(config.groups), check_mode) if with_objects else ""
        if difference:
            before.actions.append("apply the autoscaler's objects")
            before.diff.append({"before_header": "cluster", "after_header": "cluster", "before": "", "after": difference})
        ensure_credentials(_ACCOUNT, config.identity, kubectl, check_mode, before)
    wanted = Daemon(
        NAME,
        _ENTRIES,
        config.to_text(),
        reloads=False,
        unit_text=lambda python, _version, systemd_version: unit_text(python, CONFIG, request.timeout, systemd_version),
        works=lambda _release, _version: wait_for_health(NAME, config.metrics_address, config.metrics_port, request.timeout),
    )
    outcome = daemon.ensure_present(wanted, request.python, bundle, check_mode, systemd)
    outcome.actions[:0] = before.actions
    outcome.diff[:0] = before.diff
    return outcome


def ensure_absent(kubectl: Kubectl, with_objects: bool, check_mode: bool, systemd: Systemd) -> Outcome:
    """Stop the provider and remove all of it from the host, and if wanted from the cluster. Hosts that have joined stay as they are.

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
    if os.path.lexists(STATE_FOLDER):
        outcome.actions.append(f"remove {STATE_FOLDER}")
        if not check_mode:
            shutil.rmtree(STATE_FOLDER)
    # After a reset there is no cluster any more.
    if with_objects and os.path.exists(kubectl.kubeconfig):
        made_by_itself = [{"kind": kind, "metadata": {"name": OBJECTS, "namespace": NAMESPACE}} for kind in ("ConfigMap", "Lease")]
        removed = remove_objects(kubectl, [*cluster_objects({}), *made_by_itself], check_mode)
        outcome.actions += [f"remove {one}" for one in removed]
    return outcome
