# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The active checks of one node: which paths each phase tries, and what their outcomes mean."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

from .crictl import Crictl
from .netns import Job, find_namespace, greeting_of, run_in_namespaces, start_server
from .probe import Outcome, Path, connect, resolve, settle
from .result import FAIL, OK, UNKNOWN, WARN, Result, counted
from .workload import HOST, OPEN, PORT, REOPENED, RESTRICTED, SERVE, Pod, Session, may_pass, peers

GREETING_SIZE = 32768
"""Bytes: twenty-odd full packets of any usual MTU."""

PHASE_CHECKS = {
    SERVE: (),
    OPEN: ("traffic.same-node", "traffic.cross-node", "traffic.host", "traffic.service", "dns.pod"),
    RESTRICTED: ("policy.blocks", "policy.allows"),
    REOPENED: ("policy.removed",),
}
POD_CHECK = "traffic.pod-address"
"""Given by the control plane: each test pod runs and has an address of the pool."""
ACTIVE_CHECKS = (POD_CHECK, *(check for checks in PHASE_CHECKS.values() for check in checks))
"""Every active check that a node of the session must have a result of."""

_HINTS = {
    "traffic.same-node": "the calico-node pod of this node; ip route; rp_filter and forwarding",
    "traffic.cross-node": "the encapsulation between the hosts (VXLAN is UDP 4789, IP-in-IP is protocol 4, BGP is TCP 179), firewalls, MTU",
    "traffic.host": "the tunnel address of this node; calico-node logs",
    "traffic.service": "the kube-proxy pod of this node",
    "dns.pod": "kube-proxy on this node, the CoreDNS pods, and the traffic to the node they run on",
    "policy.blocks": "Felix does not enforce policies: the calico-node pods of the two nodes",
    "policy.allows": "Felix: the calico-node pods of the two nodes",
    "policy.removed": "Felix: the calico-node pods of the two nodes",
}


@dataclass(frozen=True)
class Source:
    """Where paths begin: one of the node's pods, or the node itself (then without a pod)."""

    label: str
    role: str
    pod: Pod | None = None


def sources_of(session: Session, node: str) -> list[Source]:
    """Return the node's own pods and the node itself."""
    pods = [pod for pod in session.pods if pod.node == node]
    return [*(Source(pod.name, pod.role, pod) for pod in pods), Source(f"host {node}", HOST)]


def targets_of(session: Session, node: str, peer_limit: int) -> list[Pod]:
    """Return the pods a node probes: its own, and those of the nodes that are its peers."""
    nodes = {pod.node for pod in session.pods} | {node}
    near = {node, *peers(node, sorted(nodes), peer_limit)}
    return [pod for pod in session.pods if pod.node in near and pod.address]


def plan(phase: str, session: Session, node: str, source: Source, targets: Iterable[Pod]) -> list[tuple[str, Path]]:
    """Return the paths that one source tries in a phase, each with the check it belongs to."""
    planned = []
    for target in targets:
        if source.pod == target:
            continue
        passes = may_pass(phase, source.role, target, node)
        attempt = partial(connect, target.address, PORT, target.name, GREETING_SIZE)
        planned.append((_check_of(phase, source, target, node, passes), Path(f"{source.label} to {target.label}", passes, attempt)))
    if source.pod is None:
        return planned
    ask = partial(resolve, session.dns_address)
    names = {
        f"{source.label} asks {session.dns_address} for the test service": partial(ask, session.service_name, session.service_address),
        f"{source.label} asks {session.dns_address} for kubernetes.default": partial(ask, f"kubernetes.default.svc.{session.domain}", ""),
    }
    service = partial(connect, session.service_address, 80, "", GREETING_SIZE)
    if phase == OPEN:
        planned += [("dns.pod", Path(label, True, attempt)) for label, attempt in names.items()]
        planned.append(("traffic.service", Path(f"{source.label} to the service {session.service_address}:80", True, service)))
    elif phase == RESTRICTED:
        # Pods may reach no DNS now: that is the outgoing half of the policy, alone.
        planned += [("policy.blocks", Path(label, False, attempt)) for label, attempt in names.items()]
    return planned


def _check_of(phase: str, source: Source, target: Pod, node: str, passes: bool) -> str:
    if phase == RESTRICTED:
        return "policy.allows" if passes else "policy.blocks"
    if phase == REOPENED:
        return "policy.removed"
    if source.pod is None:
        return "traffic.host"
    return "traffic.same-node" if target.node == node else "traffic.cross-node"


def judge(phase: str, node: str, outcomes: Sequence[tuple[str, Outcome]], lone: bool, cluster_nodes: int) -> list[Result]:
    """Return a result for each check of the phase.

    Parameters
    ----------
    lone : bool
        No other node takes part in the session.
    """
    by_check: dict[str, list[Outcome]] = {check: [] for check in PHASE_CHECKS[phase]}
    for check, outcome in outcomes:
        by_check[check].append(outcome)
    return [_judge_one(check, node, found, lone, cluster_nodes) for check, found in by_check.items()]


def _judge_one(check: str, node: str, outcomes: Sequence[Outcome], lone: bool, cluster_nodes: int) -> Result:
    if check == "traffic.cross-node" and lone:
        if cluster_nodes == 1:
            return Result(check, node, OK, "traffic between nodes", "not applicable: the cluster has one node")
        return Result(check, node, WARN, "traffic between nodes", "no other node takes part in this run", "run it without --limit")
    expected = "all paths closed" if check == "policy.blocks" else "all paths open"
    if not outcomes:
        return Result(check, node, UNKNOWN, expected, "nothing was tried", "the test pods of this node did not start")
    bad = [outcome for outcome in outcomes if not outcome.as_wanted]
    good = f"{len(outcomes) - len(bad)} of {counted(len(outcomes), 'path')}"
    if not bad:
        return Result(check, node, OK, expected, good)
    shown = "; ".join(f"{outcome.label}: {outcome.detail}" for outcome in bad[:3])
    more = f"; and {len(bad) - 3} more" if len(bad) > 3 else ""
    return Result(check, node, FAIL, expected, f"{good} as wanted; {shown}{more}", _HINTS[check])


def not_run(node: str, reason: str, hint: str, checks: Iterable[str] = ACTIVE_CHECKS) -> list[Result]:
    """Return unknown for active checks that could not be made."""
    return [Result(check, node, UNKNOWN, "the active check", f"not run: {reason}", hint) for check in checks]


def run_phase(phase: str, session: Session, node: str, crictl: Crictl, timeout: float, life: float, peer_limit: int) -> list[Result]:
    """See that the node's test servers run, try the phase's paths and return its results.

    Parameters
    ----------
    timeout : float
        Seconds that paths may take to become as they must be.
    life : float
        Seconds after which a test server ends by itself.
    peer_limit : int
        How many other nodes are probed at most.

    Raises
    ------
    NodewiseError
        The node's pods cannot be found, or their namespaces not be entered.
    """
    sources = sources_of(session, node)
    namespaces = {source.label: find_namespace(crictl, session.name, source.pod.name) if source.pod else "" for source in sources}
    for source in sources:
        if source.pod is not None:
            start_server(namespaces[source.label], PORT, greeting_of(source.pod.name, GREETING_SIZE), life)
    if phase == SERVE:
        return []
    targets = targets_of(session, node, peer_limit)
    deadline = time.monotonic() + timeout
    jobs = [Job(namespaces[source.label], _work(plan(phase, session, node, source, targets), deadline)) for source in sources]
    # A path that is tried when the deadline comes still ends its attempts; twice DNS or connect are the longest.
    outcomes = [(check, Outcome(**data)) for answers in run_in_namespaces(jobs, timeout + 60) for check, data in answers]
    lone = {pod.node for pod in session.pods} <= {node}
    return judge(phase, node, outcomes, lone, session.cluster_nodes)


def _work(planned: Sequence[tuple[str, Path]], deadline: float) -> Callable[[], list[tuple[str, dict[str, object]]]]:
    def work() -> list[tuple[str, dict[str, object]]]:
        outcomes = settle([path for _check, path in planned], deadline)
        return [(check, asdict(outcome)) for (check, _path), outcome in zip(planned, outcomes, strict=True)]

    return work


def doubted(results: Sequence[Result]) -> list[Result]:
    """Return the results, but a policy that blocks what never was open proves nothing: then it is unknown."""
    good = {(result.node, result.check) for result in results if result.status in (OK, WARN)}
    proof = ("traffic.same-node", "traffic.cross-node", "traffic.host", "dns.pod", "policy.allows")
    return [
        replace(result, status=UNKNOWN, observed=f"{result.observed}, but not all were open before", hint="the other checks of this node")
        if (result.check, result.status) == ("policy.blocks", OK) and any((result.node, check) not in good for check in proof)
        else result
        for result in results
    ]


def missing_results(results: Iterable[Result], nodes: Iterable[str]) -> list[Result]:
    """Return unknown for each active check that a node should have a result of but has not."""
    there = {(result.node, result.check) for result in results}
    hint = "the host failed or was not reached in this run"
    return [result for node in nodes for result in not_run(node, "no result", hint) if (node, result.check) not in there]
