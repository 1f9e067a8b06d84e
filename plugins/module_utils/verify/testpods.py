# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control plane's part of an active verification: start the test pods, set policies, remove it all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import NodewiseError
from ..kube.kubectl import Kubectl
from .api import Reading
from .checks import pod_state, within
from .dns import Asker
from .reading import CALICO_API, PATHS, Getter
from .result import FAIL, OK, UNKNOWN, Result
from .traffic import POD_CHECK, not_run
from .workload import LABEL, Pod, Session, members, namespace_object, objects, policies


def start(kubectl: Kubectl, api: Getter, ask: Asker, name: str, images: Mapping[str, str], timeout: float) -> tuple[Session | None, list[Result]]:
    """Start a session's pods and wait until they run.

    Parameters
    ----------
    name : str
        The session's name and namespace.
    images : mapping
        By Node: the pause image that is on it.
    timeout : float
        Seconds to wait for the pods.

    Returns
    -------
    tuple
        The session, and a result for each node's pods. Without an answer from the DNS there
        is no session and every active check of every node is unknown.

    Raises
    ------
    NodewiseError
        The API server refuses something, or cannot be reached.
    """
    remove(kubectl, timeout)
    service = _value(api.get(PATHS["dns_service"]))["spec"]["clusterIP"]
    configz = _value(api.get(f"/api/v1/nodes/{min(images)}/proxy/configz"))["kubeletconfig"]
    domain = configz.get("clusterDomain", "cluster.local")
    try:
        ask(service, f"kubernetes.default.svc.{domain}")
    except NodewiseError as error:
        hint = "the DNS must answer before the pod network is judged: kubectl -n kube-system get pods -l k8s-app=kube-dns"
        return None, [result for node in images for result in not_run(node, error.message, hint)]
    kubectl.apply([namespace_object(name), *objects(name, images)])
    pods = members(list(images))
    # kubectl wait watches; what did not become ready is told apart below.
    kubectl.run(
        ["wait", "pods", f"--namespace={name}", f"--selector={LABEL}", "--for=condition=Ready", f"--timeout={timeout:.0f}s"],
        ok=(0, 1),
        timeout=timeout + 30,
    )
    found = {item["metadata"]["name"]: item for item in _value(api.get(f"/api/v1/namespaces/{name}/pods"))["items"]}
    placed = tuple(Pod(pod.node, pod.role, pod.name, found.get(pod.name, {}).get("status", {}).get("podIP", "")) for pod in pods)
    pools = [pool["spec"]["cidr"] for pool in _value(api.get(f"{CALICO_API}/ippools"))["items"]]
    probe = _value(api.get(f"/api/v1/namespaces/{name}/services/probe"))["spec"]["clusterIP"]
    nodes = len(_value(api.get(PATHS["nodes"]))["items"])
    checks = [pod_check(node, [(pod, found.get(pod.name)) for pod in placed if pod.node == node], pools) for node in images]
    return Session(name, probe, service, domain, nodes, placed), checks


def _value(reading: Reading) -> Any:
    if reading.error:
        raise NodewiseError(f"The API server could not be read: {reading.error}.")
    return reading.value


def pod_check(node: str, pods: Sequence[tuple[Pod, Mapping[str, Any] | None]], pools: Sequence[str]) -> Result:
    """Return whether a node's test pods run with addresses of the IP pools.

    Parameters
    ----------
    pods : sequence
        Each pod of the node, and the object that the API server has of it.
    """
    expected = f"{len(pods)} pods with addresses of {', '.join(pools) or 'an IP pool'}"
    hint = f"the calico-node pod and the kubelet of {node}"
    down = [f"{pod.name}: {pod_state(item) if item else 'was not made'}" for pod, item in pods if not pod.address]
    if down:
        return Result(POD_CHECK, node, FAIL, expected, "; ".join(down), hint)
    addresses = ", ".join(pod.address for pod, _item in pods)
    if not pools:
        return Result(POD_CHECK, node, UNKNOWN, expected, f"{addresses}; there is no IP pool to compare with", hint)
    foreign = [pod.address for pod, _item in pods if not within(pod.address, pools)]
    if foreign:
        return Result(POD_CHECK, node, FAIL, expected, f"{', '.join(foreign)} is of no pool", "another CNI plugin gave it: ls /etc/cni/net.d")
    return Result(POD_CHECK, node, OK, expected, addresses)


def restrict(kubectl: Kubectl, session: Session) -> None:
    """Set the policies of phase C(restricted)."""
    kubectl.apply(policies(session.name))


def reopen(kubectl: Kubectl, session: Session) -> None:
    """Delete the policies."""
    kubectl.run(["delete", "networkpolicies", f"--namespace={session.name}", f"--selector={LABEL}", "--ignore-not-found"])


def remove(kubectl: Kubectl, timeout: float) -> bool:
    """Delete the namespaces of every session and wait until they are gone; return whether there was one.

    Raises
    ------
    NodewiseError
        They are not gone after C(timeout) seconds.
    """
    found = kubectl.get("namespaces", f"--selector={LABEL}")
    names = [item["metadata"]["name"] for item in (found or {}).get("items", [])]
    if names:
        # The namespace controller waits 5 s before it begins, and comes back seconds later for pods; deleted meanwhile, they hold nothing up.
        kubectl.run(["delete", "namespaces", *names, "--ignore-not-found", "--wait=false"])
        for name in names:
            kubectl.run(["delete", "pods", f"--namespace={name}", "--all", "--wait", f"--timeout={timeout:.0f}s"], timeout=timeout + 30)
        kubectl.run(["wait", "--for=delete", f"--timeout={timeout:.0f}s", *(f"namespace/{name}" for name in names)], timeout=timeout + 30)
    return bool(names)
