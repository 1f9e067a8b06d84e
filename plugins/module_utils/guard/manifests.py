# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cluster needs for the guard: an identity with few rights, and a policy that takes away most of those that RBAC cannot express.

Pure data, for a server-side apply.
"""

from __future__ import annotations

from typing import Any

from ..report import schema
from ..report.manifests import NAMESPACE
from ..serving.judge import CONFIG_MAP, SIGNER
from .model import CONDITION_TYPE, TAINT_KEY

NAME = "nodewise-guard"
"""Name of all of them, of the ServiceAccount and of the Lease."""
USER = f"system:serviceaccount:{NAMESPACE}:{NAME}"
_RBAC = "rbac.authorization.k8s.io"
_CERTIFICATES = "certificates.k8s.io"
_ADMISSION = "admissionregistration.k8s.io/v1"
_LABELS = {"app.kubernetes.io/name": NAME, "app.kubernetes.io/part-of": "nodewise"}
_SUBJECTS = [{"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}]


def cluster_objects() -> list[dict[str, Any]]:
    """Return all objects in the order in which they are to be applied; remove them in the reverse order."""
    return [*access(), *confinement(), flow_schema()]


def access() -> list[dict[str, Any]]:
    """Return the identity and its rights.

    Read Nodes and NodeReports, patch Nodes, keep one Lease, write Events, renew its own token, approve kubelets' serving certificates.
    """
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _metadata(NAMESPACE), "automountServiceAccountToken": False},
        *_grant(
            "",
            [
                {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch", "patch"]},
                {"apiGroups": [""], "resources": ["nodes/status"], "verbs": ["patch"]},
                {"apiGroups": [schema.GROUP], "resources": [schema.PLURAL], "verbs": ["get", "list", "watch"]},
                {"apiGroups": [_CERTIFICATES], "resources": ["certificatesigningrequests"], "verbs": ["get", "list", "watch"]},
                {"apiGroups": [_CERTIFICATES], "resources": ["certificatesigningrequests/approval"], "verbs": ["update"]},
                # Only for this signer does the API server take its approvals.
                {"apiGroups": [_CERTIFICATES], "resources": ["signers"], "resourceNames": [SIGNER], "verbs": ["approve"]},
            ],
        ),
        *_grant(
            NAMESPACE,
            [
                # RBAC knows no name at a creation.
                {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
                {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": [NAME], "verbs": ["get", "update"]},
                {"apiGroups": [""], "resources": ["serviceaccounts/token"], "resourceNames": [NAME], "verbs": ["create"]},
                {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [CONFIG_MAP], "verbs": ["get"]},
            ],
        ),
        # Events of objects without a namespace lie in this one.
        *_grant("default", [{"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]}]),
    ]


def confinement() -> list[dict[str, Any]]:
    """Return the admission policy that lets the guard change nothing of a Node but its own taint and its own condition.

    Compared is what the guard could do harm with: labels and annotations, the rest of the spec, and for the status the conditions of others
    and the resources.
    """
    others = "filter(t, t.key != '" + TAINT_KEY + "')"
    conditions = "filter(c, c.type != '" + CONDITION_TYPE + "')"
    spec = [
        {
            "expression": f"object.spec.?taints.orValue([]).{others} == oldObject.spec.?taints.orValue([]).{others}",
            "message": "the guard may not touch the taints of others",
        },
        {
            "expression": f"object.spec.?taints.orValue([]).all(t, t.key != '{TAINT_KEY}' || t.effect != 'NoExecute')",
            "message": "the guard may not evict pods",
        },
        {"expression": _unchanged("spec", "unschedulable", "providerID"), "message": "the guard may not touch the rest of a Node's spec"},
        {
            "expression": _unchanged("metadata", "labels", "annotations", "finalizers", "ownerReferences"),
            "message": "the guard may not touch a Node's metadata",
        },
    ]
    status = [
        {
            "expression": f"object.status.?conditions.orValue([]).{conditions} == oldObject.status.?conditions.orValue([]).{conditions}",
            "message": "the guard may not touch the conditions of others",
        },
        {
            "expression": _unchanged("status", "capacity", "allocatable", "addresses"),
            "message": "the guard may not touch the rest of a Node's status",
        },
        spec[3],
    ]
    found = []
    for name, resource, validations in ((NAME, "nodes", spec), (f"{NAME}-status", "nodes/status", status)):
        metadata = {"name": name, "labels": _LABELS}
        found += [
            {
                "apiVersion": _ADMISSION,
                "kind": "ValidatingAdmissionPolicy",
                "metadata": metadata,
                "spec": {
                    "failurePolicy": "Fail",
                    "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": [resource]}]},
                    "matchConditions": [{"name": "written-by-the-guard", "expression": f"request.userInfo.username == '{USER}'"}],
                    "validations": validations,
                },
            },
            {
                "apiVersion": _ADMISSION,
                "kind": "ValidatingAdmissionPolicyBinding",
                "metadata": metadata,
                "spec": {"policyName": name, "validationActions": ["Deny"]},
            },
        ]
    return found


def flow_schema() -> dict[str, Any]:
    """Return the guard's place in API Priority and Fairness: beside the controllers of the system, not among all other ServiceAccounts."""
    return {
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
        "kind": "FlowSchema",
        "metadata": _metadata(),
        "spec": {
            # Before the stock schema service-accounts (9000).
            "matchingPrecedence": 950,
            "priorityLevelConfiguration": {"name": "workload-high"},
            "distinguisherMethod": {"type": "ByUser"},
            "rules": [
                {
                    "subjects": [{"kind": "ServiceAccount", "serviceAccount": {"name": NAME, "namespace": NAMESPACE}}],
                    "resourceRules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"], "clusterScope": True, "namespaces": ["*"]}],
                }
            ],
        },
    }


def _grant(namespace: str, rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a role with its binding; of the cluster, if no namespace is given."""
    kind = "Role" if namespace else "ClusterRole"
    return [
        {"apiVersion": f"{_RBAC}/v1", "kind": kind, "metadata": _metadata(namespace), "rules": rules},
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": f"{kind}Binding",
            "metadata": _metadata(namespace),
            "roleRef": {"apiGroup": _RBAC, "kind": kind, "name": NAME},
            "subjects": _SUBJECTS,
        },
    ]


def _metadata(namespace: str = "") -> dict[str, Any]:
    return {"name": NAME, "labels": _LABELS, **({"namespace": namespace} if namespace else {})}


def _unchanged(part: str, *names: str) -> str:
    return " && ".join(f"object.{part}.?{name} == oldObject.{part}.?{name}" for name in names)
