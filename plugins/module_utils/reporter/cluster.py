# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects that a cluster needs for its nodes' reports: bring them up to date, or remove them."""

from __future__ import annotations

import os
from typing import Any

from ..kube.kubectl import Kubectl
from ..kube.objects import describe, remove_objects
from ..report.manifests import CRD_NAME, cluster_objects


def wanted() -> list[dict[str, Any]]:
    """Return the objects; without the namespace of the collection, in which the reporter has nothing."""
    return [one for one in cluster_objects() if one["kind"] != "Namespace"]


def ensure_present(kubectl: Kubectl, kubeconfig: str, timeout: int, check_mode: bool) -> str:
    """Apply the objects server-side and wait until the API serves reports, if anything differs; return the differences, empty if there were none.

    Parameters
    ----------
    kubectl : Kubectl
        With admin rights.
    kubeconfig : str
        Its kubeconfig. In check mode one that is not there yet is a cluster that is not there yet.
    timeout : int
        Seconds until the API has to serve reports.
    check_mode : bool
        Change nothing.

    Raises
    ------
    NodewiseError
        The API server refuses an object, cannot be reached, or does not serve reports in time.
    """
    if check_mode and not os.path.exists(kubeconfig):
        return "".join(f"+ {describe(one)}\n" for one in wanted())
    difference = kubectl.diff(wanted())
    if difference and not check_mode:
        kubectl.apply(wanted())
        kubectl.run(["wait", "--for=condition=Established", f"--timeout={timeout}s", f"customresourcedefinition/{CRD_NAME}"], timeout=timeout + 60)
    return difference


def ensure_absent(kubectl: Kubectl, kubeconfig: str, check_mode: bool) -> list[str]:
    """Remove the objects, and with the kind all reports; return what was there.

    Raises
    ------
    NodewiseError
        The API server cannot be reached, or an object does not go.
    """
    if not os.path.exists(kubeconfig):
        # After a reset there is no cluster any more.
        return []
    return remove_objects(kubectl, wanted(), check_mode)
