# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring metrics-server into the cluster and see that numbers come, or remove it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from ..errors import NodewiseError
from ..kube.kubectl import Kubectl
from ..kube.objects import delete, describe, existing, is_ours
from . import certificate
from .manifests import API_SERVICE, NAME, NAMESPACE, SECRET, Certificate, Settings, budget, certificate_of, cluster_objects

_NODES = "/apis/metrics.k8s.io/v1beta1/nodes"
# Seconds between two looks at the figures, which cannot be watched; and those that a node may be behind the first one.
_PAUSE, _BEHIND = 1.0, 60.0


@dataclass
class Outcome:
    """What was done.

    Parameters
    ----------
    actions : list of str
        In order; in check mode what would be.
    diff : str
        What changes in the cluster; secrets are not in it.
    nodes : list of str
        Nodes of which there are figures.
    missing : list of str
        Nodes that are Ready and of which there are none.
    foreign : list of str
        Objects of another metrics-server, because of which nothing was done.
    """

    actions: list[str] = field(default_factory=list)
    diff: str = ""
    nodes: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)


def ensure_present(kubectl: Kubectl, settings: Settings, timeout: float, check_mode: bool, wait: bool = True) -> Outcome:
    """Apply the objects, and wait until the API is available and has figures of every node that is Ready.

    A node whose kubelet cannot be asked is not waited for to the end, and does not fail what works for all others. Without C(wait) it does not
    wait for what it has itself just changed: another call does. If another metrics-server is there it stays, and nothing is done.

    Raises
    ------
    NodewiseError
        The API server refuses something, or there are no figures at all in time.
    """
    outcome = Outcome()
    # Whatever its certificate, these are the objects.
    found = existing(kubectl, [*cluster_objects(settings, Certificate("", "")), *budget(_several(settings))])
    foreign = [describe(one) for one in found if not is_ours(one)]
    if foreign:
        # It serves the API: a run that only wants this by default has no reason to end here.
        outcome.foreign = foreign
        return outcome
    current = _certificate(found, outcome)
    wanted = cluster_objects(settings, current)
    outcome.diff = kubectl.diff(wanted)
    if outcome.diff:
        outcome.actions.append("apply metrics-server's objects")
    surplus = {describe(one) for one in budget(_several(settings))} - {describe(one) for one in wanted}
    outcome.actions += [f"remove {describe(one)}" for one in found if describe(one) in surplus]
    if check_mode:
        return outcome
    if outcome.diff:
        kubectl.apply(wanted)
    for one in found:
        if describe(one) in surplus:
            delete(kubectl, one, "--cascade=foreground")
    if not wait and not outcome.actions:
        outcome.missing, outcome.nodes = _figures(kubectl)
    # Figures may be an old pod's: what an earlier run rolled out need not have come up.
    if wait or (not outcome.actions and (outcome.missing or not outcome.nodes or _rolling(found))):
        outcome.nodes, outcome.missing = _wait(kubectl, timeout)
    return outcome


def ensure_absent(kubectl: Kubectl, check_mode: bool) -> Outcome:
    """Remove what :func:`ensure_present` makes; an object that others made under the same name stays.

    Raises
    ------
    NodewiseError
        The API server refuses.
    """
    settings = _several(Settings("none"))
    found = [one for one in existing(kubectl, cluster_objects(settings, Certificate("", ""))) if is_ours(one)]
    # The APIService first: as long as it is there without its server, each discovery fails.
    found.reverse()
    for one in [] if check_mode else found:
        delete(kubectl, one, "--cascade=foreground")
    return Outcome([f"remove {describe(one)}" for one in found])


def _several(settings: Settings) -> Settings:
    """Return settings with which there is every object that can be there."""
    return Settings(settings.image, max(settings.replicas, 2))


def _certificate(found: list[dict[str, Any]], outcome: Outcome) -> Certificate:
    secret = next((one for one in found if one["kind"] == "Secret" and one["metadata"]["name"] == SECRET), None)
    current = None if secret is None else certificate_of(secret)
    why = "there is none" if current is None else certificate.flaw(current)
    if current is not None and not why:
        return current
    outcome.actions.append(f"make its certificate ({why})")
    return certificate.make("" if current is None else current.certificate)


def _rolling(found: list[dict[str, Any]]) -> bool:
    """Whether the Deployment has other pods than those that are wanted. One of several that is not available, as its node is down, is no matter here."""
    one = next((one for one in found if one["kind"] == "Deployment"), {})
    wanted, status = one.get("spec", {}).get("replicas", 1), one.get("status", {})
    if status.get("observedGeneration", 0) < one.get("metadata", {}).get("generation", 0):
        return True
    # A field that is 0 is left out.
    return any(status.get(name, 0) != wanted for name in ("updatedReplicas", "replicas"))


def _wait(kubectl: Kubectl, timeout: float, clock: Callable[[], float] = time.monotonic) -> tuple[list[str], list[str]]:
    """Return the nodes with figures, and those that are Ready and still have none."""
    deadline = clock() + timeout

    def left() -> float:
        return max(deadline - clock(), 1.0)

    for waited in (
        ["rollout", "status", f"deployment/{NAME}", f"--namespace={NAMESPACE}"],
        ["wait", "--for=condition=Available", f"apiservice/{API_SERVICE}"],
    ):
        code, out, err = kubectl.run([*waited, f"--timeout={left():.0f}s"], ok=(0, 1), timeout=left() + 30)
        if code:
            raise _failure(kubectl, (err or out).strip(), timeout)
    behind = clock() + _BEHIND
    while True:
        missing, found = _figures(kubectl)
        if not missing or (found and clock() >= min(behind, deadline)):
            return found, missing
        if clock() >= deadline:
            raise _failure(kubectl, f"no figures of {', '.join(missing)}", timeout)
        time.sleep(_PAUSE)


def _figures(kubectl: Kubectl) -> tuple[list[str], list[str]]:
    """Return the nodes that are Ready and have no figures, and those that have; if the API does not answer, it has none."""
    ready = '{range .items[*]}{.metadata.name}{"\\t"}{.status.conditions[?(@.type=="Ready")].status}{"\\n"}{end}'
    with ThreadPoolExecutor() as pool:
        served = pool.submit(kubectl.run, ["get", "--raw", _NODES], ok=(0, 1))
        _code, out, _err = kubectl.run(["get", "nodes", f"--output=jsonpath={ready}"])
    code, figures, _err = served.result()
    found = sorted(one["metadata"]["name"] for one in json.loads(figures)["items"]) if code == 0 else []
    nodes = [name for name, _tab, status in (line.partition("\t") for line in out.splitlines()) if status == "True"]
    return [name for name in nodes if name not in found], found


def _failure(kubectl: Kubectl, what: str, timeout: float) -> NodewiseError:
    """Return an error that says what the APIService and the pods say."""
    lines = [f"metrics-server does not work after {timeout:.0f} s: {what}."]
    service = kubectl.get("apiservice", API_SERVICE) or {}
    lines += [f"APIService: {one.get('reason')}: {one.get('message')}" for one in service.get("status", {}).get("conditions") or ()]
    _code, out, err = kubectl.run(["logs", f"deployment/{NAME}", f"--namespace={NAMESPACE}", "--tail=8"], ok=(0, 1))
    lines.append(f"Its last log lines:\n{(out or err).strip()}")
    return NodewiseError("\n".join(lines), f"see 'kubectl --namespace {NAMESPACE} describe pods --selector app.kubernetes.io/name={NAME}'")
