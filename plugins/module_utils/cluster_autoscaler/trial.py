# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The autoscaler tried: a pod that fits on no node there is must make a standby host join and run there."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..kube.kubectl import Kubectl
from ..kubeadm.nodes import list_nodes
from ..verify.result import CLUSTER, FAIL, OK, UNKNOWN, Result

NAMESPACE = "nodewise-verify-autoscaler"
_NAME = "does-not-fit"
_PAUSE = 1.0


@dataclass(frozen=True)
class Trial:
    """What came of it; seconds since the pod was made, None for what did not happen in time.

    Parameters
    ----------
    node : str
        The Node on which the pod ran; empty if on none.
    scheduled, running : float, optional
        When the pod had a Node, and when it ran.
    left : float, optional
        When, after the pod was removed, the Node was gone; None also if that was not waited for.
    said : str
        What the scheduler or the autoscaler said last, if the pod did not run.
    """

    node: str = ""
    scheduled: float | None = None
    running: float | None = None
    left: float | None = None
    said: str = ""


def objects(image: str, nodes: list[str], group: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a namespace and a Deployment of one pod that fits on none of the nodes, but on a new one of the group.

    It asks for next to nothing, so that not the size of a node decides, and is told apart by the nodes' names: a template has another one.
    """
    other = [{"key": "kubernetes.io/hostname", "operator": "NotIn", "values": sorted(nodes)}] if nodes else []
    mine = [{"key": key, "operator": "In", "values": [value]} for key, value in sorted(group["labels"].items())]
    tolerations = [{"key": taint["key"], "operator": "Exists", "effect": taint["effect"]} for taint in group["taints"]]
    pod = {
        "containers": [{"name": "pause", "image": image, "resources": {"requests": {"cpu": "1m", "memory": "1Mi"}}}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [*other, *mine]}]}}},
        "tolerations": tolerations,
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
    }
    labels = {"app.kubernetes.io/name": _NAME}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": {"app.kubernetes.io/part-of": "nodewise"}}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": _NAME, "namespace": NAMESPACE},
            "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
        },
    ]


def attempt(kubectl: Kubectl, image: str, group: Mapping[str, Any], timeout: int, leave_timeout: int) -> Trial:
    """Try it, and remove all of it whatever happens.

    Parameters
    ----------
    kubectl : Kubectl
        With admin rights.
    image : str
        The pause image of this cluster.
    group : Mapping
        The group whose hosts shall be tried: C(labels), C(taints) and C(hosts).
    timeout : int
        Seconds until the pod has to run.
    leave_timeout : int
        Seconds until the Node has to be gone after that; 0 does not wait.

    Raises
    ------
    NodewiseError
        The API server does not answer, or refuses.
    """
    before = list_nodes(kubectl)
    wanted = objects(image, list(before), group)
    try:
        kubectl.apply(wanted[:1])
        kubectl.apply(wanted[1:])
        trial = _watch(lambda: _pod(kubectl), timeout)
    finally:
        kubectl.run(["delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=true", "--timeout=120s"], timeout=180)
    if not trial.node or trial.node in before or not leave_timeout:
        return trial
    begin = time.monotonic()
    while trial.node in list_nodes(kubectl):
        if time.monotonic() - begin > leave_timeout:
            return trial
        time.sleep(_PAUSE)
    return Trial(trial.node, trial.scheduled, trial.running, round(time.monotonic() - begin, 1))


def check_trial(trial: Trial | None, timeout: int, leave_timeout: int) -> Result:
    """Return what is to be said of it; without a trial, since nobody would have asked for a host, that is unknown."""
    name, expected = "autoscaler.trial", f"a pod that fits nowhere runs on a new node within {timeout} s"
    if trial is None:
        return Result(
            name, CLUSTER, UNKNOWN, expected, "cluster-autoscaler is not deployed", "its image is to be had from a mirror or the official registry only"
        )
    if trial.running is None:
        return Result(name, CLUSTER, FAIL, expected, "it did not run", trial.said)
    observed = f"{trial.node} ran it after {trial.running:g} s"
    if leave_timeout and trial.left is None:
        hint = "kubectl -n kube-system get configmap cluster-autoscaler-status -o yaml"
        return Result(name, CLUSTER, FAIL, f"the host leaves within {leave_timeout} s", f"{observed}, and has not left", hint)
    return Result(name, CLUSTER, OK, expected, observed + (f", and left after {trial.left:g} s" if trial.left is not None else ""))


def _watch(look: Callable[[], Mapping[str, Any]], timeout: float) -> Trial:
    begin, scheduled = time.monotonic(), None
    pod: dict[str, Any] = {}
    while time.monotonic() - begin <= timeout:
        pod = dict(look())
        passed = round(time.monotonic() - begin, 1)
        node = (pod.get("spec") or {}).get("nodeName") or ""
        scheduled = passed if node and scheduled is None else scheduled
        if (pod.get("status") or {}).get("phase") == "Running":
            return Trial(node, scheduled, passed)
        time.sleep(_PAUSE)
    conditions = (pod.get("status") or {}).get("conditions") or []
    said = next((one.get("message", "") for one in conditions if one.get("status") == "False"), "there is no such pod")
    return Trial((pod.get("spec") or {}).get("nodeName") or "", scheduled, said=said)


def _pod(kubectl: Kubectl) -> Mapping[str, Any]:
    found = (kubectl.get("pods", f"--namespace={NAMESPACE}") or {}).get("items") or []
    return found[0] if found else {}
