# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""cluster-autoscaler brought into the cluster, or out of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from ..errors import NodewiseError
from ..kube.kubectl import Kubectl
from ..kube.objects import delete, describe, existing, is_ours
from .flags import NAMESPACE
from .manifests import NAME, STATUS, Wanted, objects

# What has to go is known by its name alone.
_PLACEHOLDER = Wanted("none", [], "none:1", "", "", "")


@dataclass
class Outcome:
    """What was, or in check mode would be, done; C(diff) holds no secret."""

    actions: list[str] = field(default_factory=list)
    diff: str = ""


def ensure_present(kubectl: Kubectl, wanted: Wanted, check_mode: bool, timeout: int) -> Outcome:
    """Apply the objects and wait until the Deployment is available.

    Parameters
    ----------
    kubectl : Kubectl
        With admin rights.
    wanted : Wanted
        What is wanted.
    check_mode : bool
        Change nothing.
    timeout : int
        Seconds it may take to become available.

    Raises
    ------
    NodewiseError
        There is another cluster-autoscaler, the API server refuses an object or cannot be reached, or cluster-autoscaler does not become available; the
        message has its last log lines.
    """
    outcome = Outcome()
    wanted_objects = objects(wanted)
    foreign = [describe(one) for one in existing(kubectl, wanted_objects) if not is_ours(one)]
    if foreign:
        raise NodewiseError(
            f"There is another cluster-autoscaler in the cluster: {', '.join(foreign)}.",
            "remove it (with the tool that installed it), or set autoscaler_state to absent to keep it",
        )
    # kubectl masks a Secret's values in a diff.
    outcome.diff = kubectl.diff(wanted_objects)
    if outcome.diff:
        outcome.actions.append(f"apply {NAME}")
        if not check_mode:
            kubectl.apply(wanted_objects)
    if not check_mode:
        _wait(kubectl, timeout)
    return outcome


def ensure_absent(kubectl: Kubectl, check_mode: bool) -> Outcome:
    """Remove all of it, its status and its Lease included; what others made under the same names stays.

    Raises
    ------
    NodewiseError
        The API server cannot be reached, or something does not go.
    """
    outcome = Outcome()
    made_by_itself = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": STATUS, "namespace": NAMESPACE}},
        {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": NAME, "namespace": NAMESPACE}},
    ]
    found = existing(kubectl, [*reversed(objects(_PLACEHOLDER)), *made_by_itself])
    left = [one for one in found if is_ours(one)]
    unlabelled = [one for one in found if one["kind"] in ("ConfigMap", "Lease")]
    # They are ours if whatever else there is is: so they go before the last object by which that can be told, and a removal that was cut off is gone on with.
    if left and len(left) + len(unlabelled) == len(found):
        left[-1:-1] = unlabelled
    for one in left:
        outcome.actions.append(f"remove {describe(one)}")
        if not check_mode:
            delete(kubectl, one)
    outcome.diff = "".join(f"- {action.removeprefix('remove ')}\n" for action in outcome.actions)
    return outcome


def _wait(kubectl: Kubectl, timeout: int) -> None:
    deadline = time.monotonic() + timeout
    while True:
        found: dict[str, Any] = kubectl.get("deployment", NAME, f"--namespace={NAMESPACE}") or {}
        status, generation = found.get("status") or {}, (found.get("metadata") or {}).get("generation")
        if status.get("observedGeneration") == generation and status.get("updatedReplicas") == 1 and status.get("availableReplicas") == 1:
            return
        if time.monotonic() >= deadline:
            break
        time.sleep(1)
    selector = [f"--namespace={NAMESPACE}", f"--selector=app.kubernetes.io/name={NAME}"]
    _code, pods, _err = kubectl.run(["get", "pods", *selector, "--no-headers"], ok=(0, 1))
    _code, log, _err = kubectl.run(["logs", *selector, "--tail=15"], ok=(0, 1))
    raise NodewiseError(
        f"{NAME} is not available within {timeout} s: {' '.join(pods.split()) or 'it has no pod'}\nIts last log lines:\n{log.strip() or '(none)'}"
    )
