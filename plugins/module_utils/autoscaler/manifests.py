# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cluster needs for the provider: an identity with few rights, and policies that take away what RBAC cannot express.

Pure data, for a server-side apply.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from ..kubeadm.tokens import GROUP as BOOTSTRAP_GROUP
from ..kubeadm.tokens import TYPE as BOOTSTRAP_TYPE
from ..report.manifests import NAMESPACE
from .book import NAME
from .settings import Group
from .tokens import DESCRIPTION

HOSTS = f"{NAME}-hosts"
"""ConfigMap with the hosts of all groups; the provider cannot write it."""
USER = f"system:serviceaccount:{NAMESPACE}:{NAME}"
_RBAC = "rbac.authorization.k8s.io"
_ADMISSION = "admissionregistration.k8s.io/v1"
_LABELS = {"app.kubernetes.io/name": NAME, "app.kubernetes.io/part-of": "nodewise"}
_SUBJECTS = [{"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}]
_OURS = [{"name": "asked-for-by-the-provider", "expression": f"request.userInfo.username == '{USER}'"}]


def cluster_objects(groups: Mapping[str, Group]) -> list[dict[str, Any]]:
    """Return all objects in the order in which they are to be applied; remove them in the reverse order."""
    return [hosts(groups), *access(), *confinement()]


def hosts(groups: Mapping[str, Group]) -> dict[str, Any]:
    """Return the ConfigMap of all hosts, C({node name: provider id}): what the policy lets the provider delete."""
    found = {name: host.provider_id for group in groups.values() for name, host in group.hosts.items()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {**_metadata(NAMESPACE), "name": HOSTS}, "data": found}


def access() -> list[dict[str, Any]]:
    """Return the identity and its rights.

    Read and delete Nodes, keep one Lease and one ConfigMap, make and remove bootstrap tokens without reading any Secret, read how the cluster
    signs with them, write Events, and renew its own token.
    """
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _metadata(NAMESPACE), "automountServiceAccountToken": False},
        *_grant("", [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch", "delete"]}]),
        *_grant(
            NAMESPACE,
            [
                # RBAC knows no name at a creation; a policy does.
                {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
                {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": [NAME], "verbs": ["get", "update"]},
                {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"]},
                {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [NAME], "verbs": ["get", "update"]},
                {"apiGroups": [""], "resources": ["serviceaccounts/token"], "resourceNames": [NAME], "verbs": ["create"]},
            ],
        ),
        *_grant("kube-system", [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["create", "delete"]}]),
        *_grant("kube-public", [{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["cluster-info"], "verbs": ["get"]}]),
        # Events of objects without a namespace lie in this one.
        *_grant("default", [{"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]}]),
    ]


def confinement() -> list[dict[str, Any]]:
    """Return the admission policies.

    Of Secrets none but its own bootstrap tokens, of Nodes none but those of hosts in a group, of ConfigMaps and Leases none but its own.
    """
    data = {
        "auth-extra-groups": BOOTSTRAP_GROUP,
        "usage-bootstrap-authentication": "true",
        "usage-bootstrap-signing": "true",
        "description": DESCRIPTION,
    }
    # The names of what is in a Secret are those of "Authenticating with Bootstrap Tokens"; in a policy its values are base64.
    right = " && ".join(f"object.data[?'{key}'].orValue('') == '{base64.b64encode(value.encode()).decode()}'" for key, value in data.items())
    ours = base64.b64encode(DESCRIPTION.encode()).decode()
    secrets = [
        {
            "expression": f"request.operation != 'CREATE' || (object.type == '{BOOTSTRAP_TYPE}' && 'expiration' in object.data && {right})",
            "message": "the provider may make bootstrap tokens for nodes only, and only such that expire",
        },
        {
            "expression": f"request.operation != 'DELETE' || (oldObject.type == '{BOOTSTRAP_TYPE}' && oldObject.data[?'description'].orValue('') == '{ours}')",
            "message": "the provider may remove no Secrets but its own bootstrap tokens",
        },
    ]
    nodes = [
        {
            "expression": "params.?data[?oldObject.metadata.name].orValue('') == oldObject.spec.?providerID.orValue('none')",
            "message": "the provider may delete no Nodes but those of its groups",
        }
    ]
    # Others trust ConfigMaps of this namespace by their name: the guard the addresses of kubelets.
    records = [{"expression": f"object.metadata.name == '{NAME}'", "message": f"the provider may make no ConfigMap and no Lease but {NAME}"}]
    host_list = {"name": HOSTS, "namespace": NAMESPACE, "parameterNotFoundAction": "Deny"}
    return [
        *_policy(f"{NAME}-tokens", {"operations": ["CREATE", "DELETE"], "resources": ["secrets"]}, secrets),
        *_policy(f"{NAME}-nodes", {"operations": ["DELETE"], "resources": ["nodes"]}, nodes, host_list),
        *_policy(
            f"{NAME}-records",
            {"apiGroups": ["", "coordination.k8s.io"], "operations": ["CREATE"], "resources": ["configmaps", "leases"]},
            records,
        ),
    ]


def _policy(name: str, rule: Mapping[str, Any], validations: list[dict[str, str]], params: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    metadata = {"name": name, "labels": _LABELS}
    return [
        {
            "apiVersion": _ADMISSION,
            "kind": "ValidatingAdmissionPolicy",
            "metadata": metadata,
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], **rule}]},
                "matchConditions": _OURS,
                "validations": validations,
                **({"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}} if params else {}),
            },
        },
        {
            "apiVersion": _ADMISSION,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": metadata,
            "spec": {"policyName": name, "validationActions": ["Deny"], **({"paramRef": params} if params else {})},
        },
    ]


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
