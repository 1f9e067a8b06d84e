# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell the cluster which addresses are whose, approve what waits, and see every kubelet serve with a certificate of the cluster's authority."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from ..api.client import ApiClient, NoAnswer
from ..api.kubeconfig import read_kubeconfig
from ..errors import NodewiseError
from ..kube.kubectl import Kubectl
from ..report.manifests import NAMESPACE, namespace
from . import judge
from .approve import Approver
from .probe import endpoint, flaw, trust

# Seconds between two looks: the signer and the kubelet take about one.
_PAUSE = 0.5
_AT_ONCE = 16


@dataclass
class Outcome:
    """What was done.

    Parameters
    ----------
    actions : list of str
        In order; in check mode what would be.
    refused : dict
        For each request that stays undecided, why.
    serving : list of str
        Nodes whose kubelets' certificates were verified.
    unseen : list of str
        Nodes that were left out, because their kubelets do not speak to the API server.
    flaws : dict
        For each other node what is wrong with its certificate after all the time there was.
    diff : str
        Change of the ConfigMap.
    """

    actions: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    serving: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    flaws: dict[str, str] = field(default_factory=dict)
    diff: str = ""


def merged(found: Mapping[str, Sequence[str]], given: Mapping[str, Sequence[str]], inventory: Collection[str]) -> dict[str, list[str]]:
    """Return the addresses that hold: those given, of other nodes those that were known; of nodes outside the inventory none."""
    return {node: list(addresses) for node, addresses in {**found, **given}.items() if node in inventory or node in given}


def ensure(
    kubectl: Kubectl,
    given: Mapping[str, Sequence[str]],
    inventory: Collection[str],
    timeout: float,
    check_mode: bool,
    clock: Callable[[], float] = time.monotonic,
    declared: Collection[str] = (),
    networks: Collection[str] = (),
) -> Outcome:
    """Do what the module says.

    Parameters
    ----------
    kubectl : Kubectl
        With admin rights.
    given : Mapping
        For each node that this run knows its IP addresses.
    inventory : Collection
        Names of all nodes of the inventory; others lose their entry.
    timeout : float
        Seconds in which every kubelet has to serve with a certificate.
    check_mode : bool
        Change nothing, and do not wait.
    clock : Callable
        Monotonic, seconds.
    declared, networks : Collection
        As :func:`.judge.check_given` takes them.

    Raises
    ------
    NodewiseError
        The API server cannot be reached or refuses something, or an address is wrong.
    """
    client = ApiClient(kubectl.kubeconfig)
    try:
        approver, outcome = Approver(client), Outcome()
        before = approver.known()
        judge.check_given(given, before or {}, declared, networks)
        wanted = judge.config_map(merged(before or {}, given, inventory))
        known = judge.parse_addresses(wanted)
        if before != known:
            _tell(kubectl, wanted, check_mode, outcome)
        if check_mode:
            waiting = {one["metadata"]["name"]: (judge.node_of(one), judge.refusal(one, known)) for one in approver.pending()}
            outcome.actions += [f"approve {node}'s request" for node, why in waiting.values() if not why]
            outcome.refused = {name: f"{node}: {why}" for name, (node, why) in waiting.items() if why}
            return outcome
        _wait(client, approver, known, trust(read_kubeconfig(kubectl.kubeconfig).authority), timeout, outcome, clock)
        return outcome
    except ssl.SSLError as error:
        raise NodewiseError(f"The authority in {kubectl.kubeconfig} cannot be used: {error.reason or error}.") from error
    finally:
        client.close()


def _tell(kubectl: Kubectl, wanted: dict[str, Any], check_mode: bool, outcome: Outcome) -> None:
    if kubectl.get("namespace", NAMESPACE) is None:
        outcome.actions.append(f"create namespace {NAMESPACE}")
        outcome.diff = f"+ Namespace {NAMESPACE}\n+ ConfigMap {judge.CONFIG_MAP}\n"
        if not check_mode:
            kubectl.apply([namespace()])
    else:
        outcome.diff = kubectl.diff([wanted])
    outcome.actions.append(f"write ConfigMap {judge.CONFIG_MAP}")
    if not check_mode:
        kubectl.apply([wanted])


def _wait(
    client: ApiClient,
    approver: Approver,
    known: Mapping[str, Sequence[str]],
    context: ssl.SSLContext,
    timeout: float,
    outcome: Outcome,
    clock: Callable[[], float],
) -> None:
    deadline = clock() + timeout
    while True:
        silent: NoAnswer | None = None
        try:
            approved, outcome.refused = approver.decide(approver.pending(), known, time.time())
            outcome.actions += [f"approve {node}'s request" for node in approved]
            outcome.flaws = _flaws(client, known, context, outcome)
        except NoAnswer as error:
            # The API server itself may be restarting.
            silent = error
        if silent is None and not outcome.flaws:
            return
        if clock() >= deadline:
            if silent is not None:
                raise silent
            return
        time.sleep(_PAUSE)


def _flaws(client: ApiClient, known: Mapping[str, Sequence[str]], context: ssl.SSLContext, outcome: Outcome) -> dict[str, str]:
    answer = client.get("/api/v1/nodes")
    if not answer.ok:
        raise NodewiseError(f"/api/v1/nodes: HTTP {answer.status} {answer.message}.")
    nodes = {item["metadata"]["name"]: item for item in answer.value()["items"] if item["metadata"]["name"] in known}
    # Of one that does not answer nothing can be expected; its request is approved once it makes one.
    alive = {name: place for name, node in nodes.items() if _reports(node) and (place := endpoint(node)) is not None}
    outcome.unseen = sorted(set(nodes) - set(alive))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = dict(zip(alive, pool.map(lambda name: flaw(name, *alive[name], context), alive), strict=True))
    outcome.serving = sorted(name for name, why in found.items() if not why)
    return {name: why for name, why in found.items() if why}


def _reports(node: Mapping[str, Any]) -> bool:
    """Whether its kubelet lives: it speaks for its Node even before the pod network makes it Ready."""
    ready: Mapping[str, Any] = next((one for one in node.get("status", {}).get("conditions") or () if one["type"] == "Ready"), {})
    return ready.get("status") in ("True", "False")
