# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring Prometheus Operator and a Prometheus into a cluster, or out of it."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass, field
from typing import Any

from ..artifacts.catalogue import OPERATOR_KINDS
from ..errors import NodewiseError
from ..files import read_text
from ..kube.kubectl import Kubectl
from ..kube.objects import remove_objects
from .certificates import AUTHORITY_FILE, read_authority
from .manifests import CLIENT_SECRET, NAMESPACE, OPERATOR, PROMETHEUS, Settings, cluster_objects, namespace, outside, secret
from .pki import CLIENT, Wanted, new_key, public_key, why_renew

_GROUP = "monitoring.coreos.com"
_OURS = {"app.kubernetes.io/part-of": "nodewise"}
_CLIENT = Wanted("prometheus", (), CLIENT)
_VERSION = "operator.prometheus.io/version"
_COLUMNS = (
    '{range .items[*]}{.metadata.name}{"\\t"}{.metadata.annotations.operator\\.prometheus\\.io/version}{"\\t"}'
    '{.metadata.labels.app\\.kubernetes\\.io/part-of}{"\\n"}{end}'
)
_KINDS = tuple(f"{kind}.{_GROUP}" for kind in OPERATOR_KINDS)


@dataclass
class Outcome:
    """What was, or in check mode would be, done.

    Parameters
    ----------
    actions : list of str
        Everything that was done, a short phrase each; empty if nothing.
    difference : str
        What an apply changed.
    kept : list of str
        Kinds that were not removed, because objects of others are of them.
    """

    actions: list[str] = field(default_factory=list)
    difference: str = ""
    kept: list[str] = field(default_factory=list)


def ensure_present(settings: Settings, kubectl: Kubectl, manifest: str, days: int, timeout: int, check_mode: bool) -> Outcome:
    """Apply everything and wait until Prometheus answers.

    Parameters
    ----------
    settings : Settings
        What is wanted.
    kubectl : Kubectl
        With admin rights.
    manifest : str
        Path of the file with the operator's kinds.
    days : int
        Lifetime of the certificate with which Prometheus reads metrics.
    timeout : int
        Seconds in which Prometheus has to be available.
    check_mode : bool
        Change nothing.

    Raises
    ------
    NodewiseError
        The operator's kinds are somebody else's, the authority is missing, the API server refuses something, or Prometheus is not available
        in time.
    """
    outcome = Outcome()
    if check_mode and not os.path.exists(kubectl.kubeconfig):
        # A cluster that is not there yet.
        outcome.actions.append("apply Prometheus Operator and Prometheus")
        return outcome
    found = kinds(kubectl)
    foreign = [name for name, (_version, ours) in found.items() if not ours]
    if foreign:
        raise NodewiseError(
            f"The cluster has {foreign[0]} already, from another installation of Prometheus Operator.",
            "leave monitoring_state at absent and let that one scrape the metrics (docs/monitoring.md says how), or remove it first",
        )
    old = [name for name in _KINDS if found.get(name, ("", True))[0] != settings.operator_version]
    if old:
        outcome.actions.append(f"apply the kinds of Prometheus Operator {settings.operator_version}")
        if not check_mode:
            kubectl.apply(read_kinds(manifest, settings.operator_version))
            kubectl.run(["wait", "--for=condition=Established", *(f"crd/{name}" for name in _KINDS), "--timeout=60s"])
    missing = kubectl.get("namespace", NAMESPACE) is None
    if missing:
        outcome.actions.append(f"make the namespace {NAMESPACE}")
        if not check_mode:
            kubectl.apply([namespace()])
    if check_mode and (missing or old):
        # Of what lies in a namespace that is not there, or is of an unknown kind, no difference can be asked for.
        outcome.actions.append("apply Prometheus Operator and Prometheus")
        return outcome
    _client_certificate(kubectl, days, check_mode, outcome)
    objects = [namespace(), *cluster_objects(settings)]
    outcome.difference = kubectl.diff(objects)
    if outcome.difference:
        outcome.actions.append("apply Prometheus Operator and Prometheus")
    if not check_mode:
        if outcome.difference:
            kubectl.apply(objects)
        _wait(kubectl, timeout)
    return outcome


def ensure_absent(kubectl: Kubectl, check_mode: bool) -> Outcome:
    """Remove everything, with all samples; but not kinds of which others have objects.

    Raises
    ------
    NodewiseError
        The API server cannot be reached, or something does not go.
    """
    outcome = Outcome()
    # After a reset there is no cluster any more.
    if not os.path.exists(kubectl.kubeconfig):
        return outcome
    removed = remove_objects(kubectl, [namespace(), *outside()], check_mode, "--timeout=120s")
    outcome.actions += [f"remove {one}" for one in removed]
    for name, (_version, ours) in kinds(kubectl).items():
        if not ours:
            continue
        _code, out, _err = kubectl.run(["get", name, "--all-namespaces", "--output=jsonpath={.items[*].metadata.namespace}"])
        if set(out.split()) - {NAMESPACE}:
            outcome.kept.append(name)
            continue
        outcome.actions.append(f"remove the kind {name}")
        if not check_mode:
            kubectl.run(["delete", "crd", name, "--ignore-not-found", "--wait=true", "--timeout=60s"])
    return outcome


def kinds(kubectl: Kubectl) -> dict[str, tuple[str, bool]]:
    """Return of each kind of the operator that the cluster has its release, and whether it is from us."""
    _code, out, _err = kubectl.run(["get", "crd", "--output=jsonpath=" + _COLUMNS])
    found = {}
    for line in out.splitlines():
        name, version, part = line.split("\t")
        if name in _KINDS:
            found[name] = (version, part == _OURS["app.kubernetes.io/part-of"])
    return found


def read_kinds(path: str, version: str) -> list[dict[str, Any]]:
    """Return the operator's kinds, marked as ours.

    Raises
    ------
    NodewiseError
        The file is missing, or holds something else or the kinds of another version.
    """
    import yaml

    try:
        text = read_text(path)
        if text is None:
            raise NodewiseError(f"{path} is missing.", "run the role artifacts with monitoring_state: present")
        # Two megabytes: libyaml takes a second for them, Python half a minute.
        documents = list(yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
        if [one["metadata"]["name"] for one in documents] != list(_KINDS):
            raise ValueError("it holds other objects")
        for one in documents:
            # By the same annotation the next run tells whether they are the cluster's: others would be applied again and again.
            found = (one["metadata"].get("annotations") or {}).get(_VERSION)
            if found != version:
                raise NodewiseError(
                    f"{path} holds {one['metadata']['name']} of Prometheus Operator {found or '(no version)'}, and {version} is wanted.",
                    "set nodewise_prometheus_operator_version, by which role artifacts goes as well, and run it again",
                )
            one["metadata"]["labels"] = {**one["metadata"].get("labels", {}), **_OURS}
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise NodewiseError(
            f"{path} does not hold the kinds of Prometheus Operator: {type(error).__name__}.", "remove it, and run the role artifacts again"
        ) from error
    return documents


def _client_certificate(kubectl: Kubectl, days: int, check_mode: bool, outcome: Outcome) -> None:
    """See that Prometheus has a certificate of our authority; its key goes into the Secret and nowhere else."""
    authority = read_authority()
    if authority is None:
        if check_mode:
            outcome.actions.append("make a certificate for Prometheus")
            return
        raise NodewiseError(f"{AUTHORITY_FILE} is missing on this host.", "run the role monitoring's certificates first, on the first control-plane host")
    data = (kubectl.get("secret", CLIENT_SECRET, f"--namespace={NAMESPACE}") or {}).get("data", {})
    texts = {name: base64.b64decode(value).decode() for name, value in data.items()}
    reason = why_renew(texts.get("tls.key", "") + texts.get("tls.crt", ""), authority.certificate, _CLIENT, days)
    if not reason and texts.get("ca.crt") == authority.certificate:
        return
    outcome.actions.append(f"make a certificate for Prometheus: {reason or 'its authority is new'}")
    if not check_mode:
        key = new_key()
        certificate = authority.sign(public_key(key), _CLIENT, days)
        kubectl.apply([secret(CLIENT_SECRET, {"tls.key": key, "tls.crt": certificate, "ca.crt": authority.certificate})])


def _wait(kubectl: Kubectl, timeout: int) -> None:
    within = [f"--namespace={NAMESPACE}"]
    kubectl.run(["rollout", "status", f"deployment/{OPERATOR}", *within, f"--timeout={timeout}s"], timeout=timeout + 30)
    waited = ["wait", f"prometheus/{PROMETHEUS}", *within, "--for=condition=Available", f"--timeout={timeout}s"]
    code, _out, err = kubectl.run(waited, ok=(0, 1), timeout=timeout + 30)
    if code:
        _code, pods, _err = kubectl.run(["get", "pods", *within, "--output=wide"])
        raise NodewiseError(
            f"Prometheus is not available within {timeout} s: {err.strip()}\n{pods.strip()}", f"look at its pods: kubectl -n {NAMESPACE} describe pods"
        )
