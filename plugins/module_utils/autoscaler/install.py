# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring the provider onto a control-plane host, or off it, with its credentials and what it needs in the cluster."""

from __future__ import annotations

import os
from dataclasses import replace

from ..controller import install
from ..kube.kubectl import Kubectl
from ..kube.objects import remove_objects
from ..report.manifests import NAMESPACE
from ..reporter.account import Account
from ..reporter.daemon import Outcome
from ..systemd.systemctl import Systemd
from .book import NAME
from .manifests import cluster_objects
from .settings import Config
from .unit import STATE, unit_text

KUBECONFIG = "/etc/nodewise/autoscaler.conf"
_ACCOUNT = Account(NAME, "autoscaler", KUBECONFIG, f"/var/lib/{STATE}")


def wanted(config: Config, with_objects: bool, python: str, timeout: int) -> install.Wanted:
    """Return the provider as it shall be: with its objects, which one host applies, and its own credentials."""
    own = replace(config, kubeconfig=KUBECONFIG, token_file=_ACCOUNT.token)
    return install.Wanted(_ACCOUNT, cluster_objects(config.groups) if with_objects else (), own, unit_text, python, timeout)


def ensure_absent(kubectl: Kubectl, with_objects: bool, check_mode: bool, systemd: Systemd) -> Outcome:
    """Stop the provider and remove all of it from the host, and if wanted from the cluster. Hosts that have joined stay as they are.

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
        made_by_itself = [{"kind": kind, "metadata": {"name": NAME, "namespace": NAMESPACE}} for kind in ("ConfigMap", "Lease")]
        removed = remove_objects(kubectl, [*cluster_objects({}), *made_by_itself], check_mode)
        outcome.actions += [f"remove {one}" for one in removed]
    return outcome
