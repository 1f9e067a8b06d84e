# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The right to see both ends: a ServiceAccount that may read just that, and tokens of it that end soon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...api.client import ApiClient
from ...errors import NodewiseError
from ...kube.kubectl import FIELD_MANAGER
from ...report import schema
from ...report.manifests import NAMESPACE, namespace

NAME = "nodewise-verify"
_RBAC = "rbac.authorization.k8s.io"
_APPLY = "application/apply-patch+yaml"


def objects() -> list[tuple[str, dict[str, Any]]]:
    """Return the objects that are needed, each with its path, in the order in which they can be made."""
    metadata = {"name": NAME, "labels": {"app.kubernetes.io/part-of": "nodewise"}}
    rules = [
        # Of the kubelet itself (KEP-2862); nodes/proxy would let its bearer run commands in every pod.
        {"apiGroups": [""], "resources": ["nodes", "nodes/stats", "nodes/configz"], "verbs": ["get"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get"]},
        {"apiGroups": [schema.GROUP], "resources": [schema.PLURAL], "verbs": ["get"]},
        {"apiGroups": ["metrics.k8s.io"], "resources": ["nodes"], "verbs": ["get"]},
        {"apiGroups": ["apiregistration.k8s.io"], "resources": ["apiservices"], "resourceNames": ["v1beta1.metrics.k8s.io"], "verbs": ["get"]},
    ]
    subject = {"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}
    role = {"apiGroup": _RBAC, "kind": "ClusterRole", "name": NAME}
    return [
        (f"/api/v1/namespaces/{NAMESPACE}", namespace()),
        (f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{NAME}", {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}),
        (f"/apis/{_RBAC}/v1/clusterroles/{NAME}", {"apiVersion": f"{_RBAC}/v1", "kind": "ClusterRole", "metadata": metadata, "rules": rules}),
        (
            f"/apis/{_RBAC}/v1/clusterrolebindings/{NAME}",
            {"apiVersion": f"{_RBAC}/v1", "kind": "ClusterRoleBinding", "metadata": metadata, "roleRef": role, "subjects": [subject]},
        ),
    ]


def missing(api: ApiClient) -> list[tuple[str, dict[str, Any]]]:
    """Return the objects that are not there, or not as they must be.

    Raises
    ------
    NodewiseError
        The API server does not answer, or refuses.
    """
    found = []
    for path, wanted in objects():
        answer = api.get(path)
        if answer.status not in (200, 404):
            raise NodewiseError(f"{path}: HTTP {answer.status} {answer.message}.", "use a kubeconfig with an administrator's rights")
        if answer.status == 404 or not _holds(answer.value(), wanted):
            found.append((path, wanted))
    return found


def apply(api: ApiClient, wanted: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    """Make objects as they must be.

    Raises
    ------
    NodewiseError
        The API server does not answer, or refuses.
    """
    for path, body in wanted:
        answer = api.request("PATCH", f"{path}?fieldManager={FIELD_MANAGER}&force=true", body, content_type=_APPLY)
        if not answer.ok:
            raise NodewiseError(f"{path} cannot be applied: HTTP {answer.status} {answer.message}.", "use a kubeconfig with an administrator's rights")


def token(api: ApiClient, seconds: int) -> str:
    """Return a new token.

    Parameters
    ----------
    seconds : int
        How long it is good for; the API server takes 600 at least.

    Raises
    ------
    NodewiseError
        The API server does not answer, or refuses.
    """
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": seconds}}
    answer = api.request("POST", f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{NAME}/token", body)
    if not answer.ok:
        raise NodewiseError(f"No token for ServiceAccount {NAMESPACE}/{NAME}: HTTP {answer.status} {answer.message}.")
    return str(answer.value()["status"]["token"])


def _holds(found: Any, wanted: Any) -> bool:
    """Whether an object has everything that is wanted; lists must be the same."""
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(_holds(found.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list) and wanted and isinstance(wanted[0], Mapping):
        return isinstance(found, list) and len(found) == len(wanted) and all(_holds(one, other) for one, other in zip(found, wanted, strict=True))
    return bool(found == wanted)
