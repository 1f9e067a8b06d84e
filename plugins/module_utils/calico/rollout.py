# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait until Calico and the cluster's DNS are rolled out, and say why if they are not."""

from __future__ import annotations

import time
from typing import Any

from ..errors import NodewiseError
from ..kube.kubectl import Kubectl

NAMESPACE = "kube-system"
# In the order in which one needs the other.
WORKLOADS = ("daemonset/calico-node", "deployment/coredns", "deployment/calico-kube-controllers")
_PODS = "k8s-app in (calico-node, calico-kube-controllers, kube-dns)"
_SHOWN_PODS = 4
_LOG_LINES = 5


def unsettled(kubectl: Kubectl) -> list[str]:
    """Return, with one request, one line for each workload that is not rolled out; empty if all are.

    Raises
    ------
    NodewiseError
        The API server cannot be reached.
    """
    answer = kubectl.get("-n", NAMESPACE, *WORKLOADS) or {"items": []}
    found = {f"{item['kind'].lower()}/{item['metadata']['name']}": item for item in answer["items"]}
    lines = [f"{name}: {_missing_part(found[name]) if name in found else 'does not exist'}" for name in WORKLOADS]
    return [line for line in lines if not line.endswith(": ")]


def wait_settled(kubectl: Kubectl, timeout: int) -> None:
    """Wait, by watching, until all workloads are rolled out.

    Parameters
    ----------
    kubectl : Kubectl
        The client.
    timeout : int
        Seconds for all of them together.

    Raises
    ------
    NodewiseError
        Time is up. The message names the pods that are not ready, why, and their last log lines.
    """
    end = time.monotonic() + timeout
    if not unsettled(kubectl):
        return
    for workload in WORKLOADS:
        left = max(1, int(end - time.monotonic()))
        code, _out, err = kubectl.run(["-n", NAMESPACE, "rollout", "status", workload, f"--timeout={left}s"], ok=(0, 1), timeout=left + 30)
        if code != 0:
            pods = "; ".join(_explain(kubectl)) or "all its pods are ready"
            raise NodewiseError(
                f"{workload} was not rolled out within {timeout} s ({' '.join(err.split())}). Not ready: {pods}.",
                f"look at kubectl -n {NAMESPACE} describe pods, mend the cause and run again (calico_wait_timeout gives more time)",
            )


def _missing_part(workload: dict[str, Any]) -> str:
    """Say what a DaemonSet or Deployment still lacks, by the same rules as C(kubectl rollout status)."""
    status = workload.get("status", {})
    if status.get("observedGeneration", 0) < workload["metadata"]["generation"]:
        return "its controller has not seen the last change yet"
    if workload["kind"] == "DaemonSet":
        want, updated, available = (status.get(name, 0) for name in ("desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable"))
        if want == 0:
            return "no node asks for it yet"
    else:
        want, updated, available = workload["spec"].get("replicas", 1), status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
        if status.get("replicas", 0) > updated:
            return "old pods are still there"
    if updated < want or available < want:
        return f"{updated} of {want} updated, {available} of {want} available"
    return ""


def _explain(kubectl: Kubectl) -> list[str]:
    answer = kubectl.get("-n", NAMESPACE, "pods", "-l", _PODS) or {"items": []}
    waiting = [pod for pod in answer["items"] if not _is_ready(pod)]
    lines = [_explain_pod(kubectl, pod) for pod in waiting[:_SHOWN_PODS]]
    return lines + ([f"and {len(waiting) - _SHOWN_PODS} more"] if len(waiting) > _SHOWN_PODS else [])


def _is_ready(pod: dict[str, Any]) -> bool:
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in pod.get("status", {}).get("conditions", []))


def _explain_pod(kubectl: Kubectl, pod: dict[str, Any]) -> str:
    name, status = pod["metadata"]["name"], pod.get("status", {})
    where = f"{name} on {pod['spec'].get('nodeName') or 'no node'}"
    for container in status.get("initContainerStatuses", []) + status.get("containerStatuses", []):
        state = container.get("state", {})
        finished = state.get("terminated", {}).get("exitCode") == 0
        if container.get("ready") or finished or state.get("waiting", {}).get("reason") == "PodInitializing":
            continue
        detail = state.get("waiting") or state.get("terminated") or {"reason": "running, but not ready", "message": _last_warning(kubectl, name)}
        reason = ": ".join(part for part in (detail.get("reason", ""), " ".join(detail.get("message", "").split())) if part)
        return f"{where}, container {container['name']}: {reason}{_last_lines(kubectl, name, container)}"
    conditions = [condition for condition in status.get("conditions", []) if condition["status"] == "False" and condition.get("message")]
    return f"{where}: {status.get('phase', 'unknown')}" + (f", {conditions[0]['message']}" if conditions else "")


def _last_warning(kubectl: Kubectl, pod: str) -> str:
    """Return what the kubelet last warned of, such as the output of a failed probe."""
    answer = kubectl.get("-n", NAMESPACE, "events", f"--field-selector=involvedObject.name={pod},type=Warning") or {"items": []}
    events = sorted(answer["items"], key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")
    return str(events[-1].get("message", "")) if events else ""


def _last_lines(kubectl: Kubectl, pod: str, container: dict[str, Any]) -> str:
    # A container that is being restarted has nothing to say yet; its last run has.
    previous = ["--previous"] if container.get("restartCount") and "waiting" in container.get("state", {}) else []
    args = ["-n", NAMESPACE, "logs", pod, "-c", container["name"], f"--tail={_LOG_LINES}", *previous]
    code, out, _err = kubectl.run(args, ok=(0, 1), timeout=30)
    text = " | ".join(line.strip() for line in out.splitlines() if line.strip())
    return f"; last log lines: {text}" if code == 0 and text else ""
