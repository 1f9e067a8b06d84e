# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring the guard onto a control-plane host, or off it, with its credentials."""

from __future__ import annotations

import os
from dataclasses import replace

from ..controller import install
from ..kube.kubectl import Kubectl
from ..reporter import account
from ..reporter.account import Account
from ..reporter.daemon import Outcome
from ..systemd.systemctl import Systemd
from . import cluster
from .config import Config
from .manifests import NAME, cluster_objects
from .unit import STATE, unit_text

# With DynamicUser=, systemd keeps the folder here.
STATE_FOLDER = f"/var/lib/private/{STATE}"
_ACCOUNT = Account(NAME, "guard", "/etc/nodewise/guard.conf", STATE_FOLDER)


def wanted(config: Config, with_objects: bool, python: str, timeout: int) -> install.Wanted:
    """Return the guard as it shall be: with its objects, which one host applies, and its own credentials."""
    own = replace(config, kubeconfig=_ACCOUNT.kubeconfig, token_file=_ACCOUNT.token)
    return install.Wanted(_ACCOUNT, cluster_objects() if with_objects else (), own, unit_text, python, timeout)


def ensure_absent(kubectl: Kubectl, with_objects: bool, check_mode: bool, systemd: Systemd) -> Outcome:
    """Stop the guard and remove all of it from the host, and if wanted from the cluster, its taints and conditions included.

    Raises
    ------
    NodewiseError
        It cannot be stopped, a file cannot be removed, or the API server does not let something go.
    OSError
        A folder cannot be removed.
    """
    outcome = install.ensure_absent(_ACCOUNT, check_mode, systemd)
    # After a reset there is no cluster any more.
    if with_objects and os.path.exists(kubectl.kubeconfig):
        outcome.actions += [f"remove {one}" for one in cluster.ensure_absent(kubectl, check_mode)]
    return outcome


def write_secret(path: str, text: str) -> None:
    """Write a file into the guard's state folder that the guard alone can read.

    Raises
    ------
    OSError
        The disk is full, or the path is not what it should be.
    """
    account.write_secret(STATE_FOLDER, path, text)
