# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proof by behaviour that admission works, in a namespace of its own.

Every pod is a dry run on the server: all of admission sees it, and nothing is started or stored. The webhook is a server of this
process, so that it ends with it; its configurations match nothing but that namespace, and everything is removed at the end. What a
run that was killed left has the label :data:`LABEL` and is removed by the next.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Optional

from ..errors import NodewiseError
from ..kube import restricted
from ..kube.kubectl import Kubectl
from ..verify.result import CLUSTER, FAIL, OK, UNKNOWN, Result
from .webhook import ANNOTATION, MUTATE, REFUSE_LABEL, VALIDATE, WebhookServer, refusal

LABEL = "nodewise.dev/verify-admission"
"""Label of all that a proof makes; its value is the session's name."""
NAME_PREFIX = "nodewise-admission-"
"""Begin of a session's name; the rest is random."""

MUTATING, VALIDATING = "admission.mutating-webhook", "admission.validating-webhook"
POLICY_FAIL, POLICY_IGNORE = "admission.failure-policy-fail", "admission.failure-policy-ignore"
LIMITS, QUOTA = "admission.limit-ranger", "admission.resource-quota"
PRIORITY, UNKNOWN_CLASS = "admission.priority", "admission.priority-unknown"
TOLERATIONS, ACCOUNT = "admission.default-toleration-seconds", "admission.service-account"
LIFECYCLE, TAINT, NODE = "admission.namespace-lifecycle", "admission.taint-nodes-by-condition", "admission.node-restriction"
REMOVED = "admission.removed"

PLUGINS: dict[str, tuple[str, ...]] = {
    LIMITS: ("LimitRanger",),
    PRIORITY: ("Priority",),
    UNKNOWN_CLASS: ("Priority",),
    TOLERATIONS: ("DefaultTolerationSeconds",),
    ACCOUNT: ("ServiceAccount",),
    LIFECYCLE: ("NamespaceLifecycle",),
    TAINT: ("TaintNodesByCondition",),
    NODE: ("NodeRestriction",),
    MUTATING: ("MutatingAdmissionWebhook",),
    VALIDATING: ("ValidatingAdmissionWebhook",),
    POLICY_FAIL: ("MutatingAdmissionWebhook", "ValidatingAdmissionWebhook"),
    POLICY_IGNORE: ("MutatingAdmissionWebhook", "ValidatingAdmissionWebhook"),
    QUOTA: ("ResourceQuota",),
}
"""Each check, in the order in which they are made, and the plugins that it proves."""

PRIORITY_VALUE = 1000
LIMIT = "48Mi"
_MADE = "mutatingwebhookconfigurations,validatingwebhookconfigurations,priorityclasses,namespaces"
_TRY_AGAIN = 0.3

Attempt = tuple[Optional[dict[str, Any]], str]  # noqa: UP045 - pylint takes the bar for an operation at run time
Look = Callable[[Attempt], str]


class Proof:
    """One session.

    Parameters
    ----------
    kubectl : Kubectl
        With a cluster administrator's kubeconfig.
    kubelet : Kubectl
        With the kubeconfig of this host's kubelet.
    session : str
        Name of the namespace and of everything else.
    timeout : float
        Seconds that a thing may take until it has its effect: configurations, quotas and classes are watched, not read.
    clock, sleep : Callable
        Monotonic clock and pause, in seconds.
    """

    def __init__(
        self,
        kubectl: Kubectl,
        kubelet: Kubectl,
        session: str,
        timeout: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._kubectl = kubectl
        self._kubelet = kubelet
        self.session = session
        self._timeout = timeout
        self._clock = clock
        self._sleep = sleep

    def run(self, open_server: Callable[[], WebhookServer], disabled: Collection[str]) -> list[Result]:
        """Make every check and remove everything.

        Parameters
        ----------
        open_server : Callable
            Starts the webhook.
        disabled : collection of str
            Plugins that are disabled on purpose; their checks are left out.

        Returns
        -------
        list of Result
            One for each check; C(unknown) for those that could not be made.
        """
        wanted = _wanted(disabled)
        results: list[Result] = []
        try:
            remove(self._kubectl, self._timeout)
            self._kubectl.apply([self._namespace(), self._limit_range(), self._priority_class()])
            results += self._defaults(wanted)
            results += self._refusals(wanted)
            if {MUTATING, VALIDATING} & set(wanted):
                with open_server() as server:
                    results += self._webhooks(server, wanted)
            if QUOTA in wanted:
                results.append(self._quota())
        except NodewiseError as error:
            made = {result.check for result in results}
            results += [
                Result(check, CLUSTER, UNKNOWN, "the check", f"could not be made: {error.message}", error.remedy) for check in wanted if check not in made
            ]
        finally:
            results.append(self._remove())
        return [result for result in results if result.check in wanted or result.check == REMOVED]

    def _defaults(self, wanted: Collection[str]) -> list[Result]:
        """One pod shows what several plugins fill in."""
        looks: dict[str, tuple[str, Look, str]] = {
            LIMITS: (f"a pod without limits gets the LimitRange's, memory {LIMIT}", _memory_limit, "kubectl get limitranges --all-namespaces"),
            PRIORITY: (f"a pod of a PriorityClass gets its value, {PRIORITY_VALUE}", _priority, "kubectl get priorityclasses"),
            TOLERATIONS: ("a pod tolerates not-ready and unreachable for 300 s", _tolerations, "--default-not-ready-toleration-seconds of kube-apiserver"),
            ACCOUNT: ("a pod gets the ServiceAccount default", _account, "kube-controller-manager makes it: kubectl get serviceaccounts"),
        }
        looks = {check: value for check, value in looks.items() if check in wanted}
        pod = self._pod("defaults", priorityClassName=self.session)
        # All at once, tried again until all are as expected.
        attempt = self._until(pod, lambda made: "; ".join(filter(None, (look(made) for _expected, look, _hint in looks.values()))))
        return [self._result(check, expected, look(attempt), expected, hint) for check, (expected, look, hint) in looks.items()]

    def _refusals(self, wanted: Collection[str]) -> list[Result]:
        results = []
        if UNKNOWN_CLASS in wanted:
            missing = f"{self.session}-missing"
            pod = self._pod("unknown-class", priorityClassName=missing)
            results.append(self._refused(UNKNOWN_CLASS, pod, f"no PriorityClass with name {missing}", "a pod of an unknown PriorityClass is refused"))
        if LIFECYCLE in wanted:
            pod = self._pod("nowhere")
            pod["metadata"]["namespace"] = f"{self.session}-missing"
            results.append(self._refused(LIFECYCLE, pod, "not found", "a pod in a namespace that does not exist is refused"))
        if TAINT in wanted:
            results.append(self._taint())
        if NODE in wanted:
            results.append(self._node_restriction())
        return results

    def _taint(self) -> Result:
        expected = "a new Node gets the taint not-ready"
        node, error = self._create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": self.session}})
        taints = [taint["key"] for taint in (node or {}).get("spec", {}).get("taints") or []]
        problem = "" if "node.kubernetes.io/not-ready" in taints else error or f"its taints are {', '.join(taints) or 'none'}"
        return self._result(TAINT, expected, problem, expected, "the flags of kube-apiserver: --disable-admission-plugins")

    def _node_restriction(self) -> Result:
        expected, hint = "a kubelet may not label its Node with node-restriction.kubernetes.io", "the flags of kube-apiserver: --enable-admission-plugins"
        code, out, error = self._kubelet.run(["auth", "whoami", "--output=json"], ok=(0, 1))
        if code:
            return Result(NODE, CLUSTER, UNKNOWN, expected, f"the kubelet's identity could not be read: {error.strip()}", "/etc/kubernetes/kubelet.conf")
        name = json.loads(out)["status"]["userInfo"]["username"].rpartition(":")[2]
        label = f"node-restriction.kubernetes.io/{self.session}=x"
        code, out, error = self._kubelet.run(["label", "node", name, label, "--dry-run=server"], ok=(0, 1))
        problem = "" if code and "is not allowed to modify labels" in error else error.strip() or "it may"
        return self._result(NODE, expected, problem, f"refused for {name}", hint)

    def _webhooks(self, server: WebhookServer, wanted: Collection[str]) -> list[Result]:
        mutating, validating = MUTATING in wanted, VALIDATING in wanted
        results = []
        hint = "kubectl get mutatingwebhookconfigurations,validatingwebhookconfigurations; can kube-apiserver reach this host, and is there a proxy between?"
        self._kubectl.apply(self._configurations(server, "Fail", mutating, validating))
        if mutating:
            attempt = self._until(self._pod("mutated"), self._not_mutated)
            results.append(self._result(MUTATING, "a pod is mutated by a webhook", self._not_mutated(attempt), f"{ANNOTATION}={self.session}", hint))
        if validating:
            pod = self._pod("refused")
            pod["metadata"]["labels"][REFUSE_LABEL] = "yes"
            results.append(self._refused(VALIDATING, pod, refusal(self.session), "a pod is refused by a webhook, with the webhook's message", hint))
        # Refused before, let through before: only the end of the server can make what follows.
        server.stop()
        if POLICY_FAIL in wanted:
            expected = "with failurePolicy Fail and no server a pod is refused"
            results.append(self._refused(POLICY_FAIL, self._pod("fail"), "failed calling webhook", expected, hint))
        if POLICY_IGNORE in wanted:
            self._kubectl.apply(self._configurations(server, "Ignore", mutating, validating))
            expected = "with failurePolicy Ignore and no server a pod is let through as it is"
            attempt = self._until(self._pod("ignore"), self._not_let_through)
            results.append(self._result(POLICY_IGNORE, expected, self._not_let_through(attempt), "let through, not mutated", hint))
        return results

    def _quota(self) -> Result:
        name = self.session
        quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": self._metadata(name, namespace=name), "spec": {"hard": {"pods": "0"}}}
        self._kubectl.apply([quota])
        # Until kube-controller-manager has counted, the refusal says that the quota's status is unknown.
        return self._refused(QUOTA, self._pod("quota"), f"exceeded quota: {name}", "a pod beyond a quota is refused, with the quota's name")

    def _not_mutated(self, attempt: Attempt) -> str:
        pod, error = attempt
        found = (pod or {}).get("metadata", {}).get("annotations", {}).get(ANNOTATION)
        return "" if found == self.session else error or "the pod was let through as it was"

    def _not_let_through(self, attempt: Attempt) -> str:
        pod, error = attempt
        return error or ("the pod was mutated" if ANNOTATION in (pod or {}).get("metadata", {}).get("annotations", {}) else "")

    def _refused(self, check: str, pod: Mapping[str, Any], said: str, expected: str, hint: str = "the flags of kube-apiserver") -> Result:
        """Return ok if an object is refused with a message that holds a text."""

        def look(attempt: Attempt) -> str:
            made, error = attempt
            return "" if said in error else error or ("the pod was let through" if made else "no answer")

        attempt = self._until(pod, look)
        return self._result(check, expected, look(attempt), attempt[1], hint)

    def _until(self, item: Mapping[str, Any], look: Look) -> Attempt:
        """Try to create something until a look at the attempt finds nothing wrong; return the last attempt."""
        deadline = self._clock() + self._timeout
        while True:
            attempt = self._create(item)
            if not look(attempt) or self._clock() >= deadline:
                return attempt
            self._sleep(_TRY_AGAIN)

    def _create(self, item: Mapping[str, Any]) -> Attempt:
        code, out, error = self._kubectl.run(["create", "--dry-run=server", "--output=json", "--filename=-"], stdin=json.dumps(item), ok=(0, 1))
        return (json.loads(out), "") if code == 0 else (None, error.strip().replace('error when creating "STDIN": ', "") or "kubectl said nothing")

    def _result(self, check: str, expected: str, problem: str, observed: str, hint: str) -> Result:
        return Result(check, CLUSTER, FAIL, expected, problem, hint) if problem else Result(check, CLUSTER, OK, expected, observed)

    def _remove(self) -> Result:
        expected = "nothing of the proof is left"
        try:
            remove(self._kubectl, self._timeout)
        except NodewiseError as error:
            return Result(REMOVED, CLUSTER, FAIL, expected, error.message, f"kubectl delete {_MADE} --selector={LABEL}")
        return Result(REMOVED, CLUSTER, OK, expected, expected)

    # -- objects

    def _metadata(self, name: str, namespace: str = "") -> dict[str, Any]:
        metadata: dict[str, Any] = {"name": name, "labels": {LABEL: self.session}}
        return {**metadata, "namespace": namespace} if namespace else metadata

    def _namespace(self) -> dict[str, Any]:
        return {"apiVersion": "v1", "kind": "Namespace", "metadata": self._metadata(self.session)}

    def _limit_range(self) -> dict[str, Any]:
        spec = {"limits": [{"type": "Container", "default": {"memory": LIMIT}}]}
        return {"apiVersion": "v1", "kind": "LimitRange", "metadata": self._metadata(self.session, self.session), "spec": spec}

    def _priority_class(self) -> dict[str, Any]:
        return {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": self._metadata(self.session), "value": PRIORITY_VALUE}

    def _pod(self, name: str, **spec: Any) -> dict[str, Any]:
        # Its image is never run.
        container = {"name": "pause", "image": "registry.k8s.io/pause:3.10", "securityContext": restricted.CONTAINER}
        # The webhook adds to the annotations that are there.
        metadata = {**self._metadata(name, self.session), "annotations": {LABEL: self.session}}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"securityContext": restricted.POD, "containers": [container], **spec}}

    def _configurations(self, server: WebhookServer, policy: str, mutating: bool, validating: bool) -> list[dict[str, Any]]:
        kinds = [("MutatingWebhookConfiguration", MUTATE, mutating), ("ValidatingWebhookConfiguration", VALIDATE, validating)]
        return [self._configuration(kind, f"{server.url}{path}", server.ca_bundle, policy) for kind, path, on in kinds if on]

    def _configuration(self, kind: str, url: str, ca_bundle: str, policy: str) -> dict[str, Any]:
        webhook = {
            "name": "verify.nodewise.dev",
            "clientConfig": {"url": url, "caBundle": ca_bundle},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"], "scope": "Namespaced"}],
            "namespaceSelector": {"matchLabels": {LABEL: self.session}},
            "objectSelector": {"matchLabels": {LABEL: self.session}},
            "failurePolicy": policy,
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "timeoutSeconds": 5,
        }
        return {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": self._metadata(self.session), "webhooks": [webhook]}


def _memory_limit(attempt: Attempt) -> str:
    pod, error = attempt
    found = pod["spec"]["containers"][0].get("resources", {}).get("limits", {}).get("memory", "none") if pod else error
    return "" if found == LIMIT else found if error else f"its memory limit is {found}"


def _priority(attempt: Attempt) -> str:
    pod, error = attempt
    found = pod["spec"].get("priority", "none") if pod else error
    return "" if found == PRIORITY_VALUE else f"its priority is {found}" if pod else error


def _tolerations(attempt: Attempt) -> str:
    pod, error = attempt
    if pod is None:
        return error
    keys = {item.get("key") for item in pod["spec"].get("tolerations") or [] if "tolerationSeconds" in item}
    missing = {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"} - keys
    return f"it lacks a toleration of {', '.join(sorted(missing))}" if missing else ""


def _account(attempt: Attempt) -> str:
    pod, error = attempt
    if pod is None:
        return error
    found = pod["spec"].get("serviceAccountName")
    return "" if found == "default" else f"its ServiceAccount is {found or 'none'}"


def remove(kubectl: Kubectl, timeout: float) -> None:
    """Delete all that any session made, and wait until it is gone.

    Raises
    ------
    NodewiseError
        The API server refuses, or something is still there after C(timeout) seconds.
    """
    # The webhooks first: they must not stand in the way of anything that follows.
    kubectl.run(["delete", _MADE, f"--selector={LABEL}", "--ignore-not-found", f"--timeout={timeout:.0f}s"], timeout=timeout + 30)


def not_made(reason: str, remedy: str, disabled: Collection[str]) -> list[Result]:
    """Return unknown for each check, if none could be made."""
    return [Result(check, CLUSTER, UNKNOWN, "the check", f"could not be made: {reason}", remedy) for check in _wanted(disabled)]


def _wanted(disabled: Collection[str]) -> list[str]:
    # One kind of webhook is enough to prove what failurePolicy does.
    return [check for check, plugins in PLUGINS.items() if set(plugins) - set(disabled)]
