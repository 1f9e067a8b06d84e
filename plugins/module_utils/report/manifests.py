# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cluster needs so that its nodes can report: the NodeReport API, who may write one, and how much of the API server.

Pure data, for a server-side apply.
"""

from __future__ import annotations

from typing import Any

from . import schema
from .schema import CONSUMER_LENGTH, FALSE, FILESYSTEMS, MESSAGE_LENGTH, MOUNTPOINT_LENGTH, NAME_LENGTH, TOP, TRUE, UNKNOWN

NAMESPACE = "nodewise-system"
NAME = "nodewise-reporter"
"""Name of every object but the namespace and the CustomResourceDefinition."""

CRD_NAME = f"{schema.PLURAL}.{schema.GROUP}"
NODE_GROUP = "system:nodes"
OWN_NAME_ONLY = "a node may write only the NodeReport that bears its own name"
"""What the admission policy, which is named :data:`NAME`, says of another node's."""

_RBAC = "rbac.authorization.k8s.io"
_ADMISSION = "admissionregistration.k8s.io/v1"
_FLOW = "flowcontrol.apiserver.k8s.io/v1"
_LABELS = {"app.kubernetes.io/name": NAME, "app.kubernetes.io/part-of": "nodewise"}


def cluster_objects() -> list[dict[str, Any]]:
    """Return all objects in the order in which they are to be applied; remove them in the reverse order, but keep :data:`NAMESPACE`."""
    return [namespace(), custom_resource_definition(), *access(), *confinement(), *flow_control()]


def namespace() -> dict[str, Any]:
    """Return the namespace that all parts of the collection share."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": {"app.kubernetes.io/part-of": "nodewise"}}}


def access() -> list[dict[str, Any]]:
    """Return the rights of a node: to write reports, and to read one that it can name. No list, no watch, no deletion."""
    role = {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRole",
        "metadata": _metadata(),
        "rules": [
            {"apiGroups": [schema.GROUP], "resources": [schema.PLURAL], "verbs": ["create", "get", "patch"]},
            {"apiGroups": [schema.GROUP], "resources": [f"{schema.PLURAL}/status"], "verbs": ["update"]},
        ],
    }
    binding = {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": _metadata(),
        "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": NAME},
        "subjects": [{"apiGroup": _RBAC, "kind": "Group", "name": NODE_GROUP}],
    }
    return [role, binding]


def confinement() -> list[dict[str, Any]]:
    """Return the admission policy that lets a node write its own report only.

    RBAC can't say that: it knows no name at a creation, and one group of all nodes. The status is a resource of its own
    to the policy; left out, a node could write another's.
    """
    node_only = {"name": "written-by-a-node", "expression": f"'{NODE_GROUP}' in request.userInfo.groups"}
    # An administrator's own labels and annotations stay as they are; a finalizer of a node would keep its report for ever.
    unchanged = " && ".join(f"object.metadata.?{name} == oldObject.metadata.?{name}" for name in ("labels", "annotations", "finalizers"))
    absent = " && ".join(f"!has(object.metadata.{name})" for name in ("labels", "annotations", "finalizers"))
    validations = [
        {
            "expression": "request.userInfo.username == 'system:node:' + object.metadata.name",
            "message": OWN_NAME_ONLY,
        },
        {
            "expression": "has(object.metadata.ownerReferences) && object.metadata.ownerReferences.size() == 1"
            " && object.metadata.ownerReferences.all(o, o.apiVersion == 'v1' && o.kind == 'Node' && o.name == object.metadata.name)",
            "message": "the NodeReport of a node must be owned by the Node of the same name, and by nothing else",
        },
        {
            "expression": f"request.operation == 'CREATE' ? ({absent}) : ({unchanged})",
            "message": "a node may set no labels, annotations or finalizers of its NodeReport",
        },
    ]
    policy = {
        "apiVersion": _ADMISSION,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": _metadata(),
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "resourceRules": [
                    {
                        "apiGroups": [schema.GROUP],
                        "apiVersions": ["*"],
                        "operations": ["CREATE", "UPDATE"],
                        "resources": [schema.PLURAL, f"{schema.PLURAL}/status"],
                    }
                ]
            },
            "matchConditions": [node_only],
            "validations": validations,
        },
    }
    binding = {
        "apiVersion": _ADMISSION,
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": _metadata(),
        "spec": {"policyName": NAME, "validationActions": ["Deny"]},
    }
    return [policy, binding]


def flow_control() -> list[dict[str, Any]]:
    """Return the reports' own place in API Priority and Fairness: a small share that can borrow nothing, with a fair queue.

    The stock schema C(system-nodes) has precedence 500; only a lower number comes before it.
    """
    level = {
        "apiVersion": _FLOW,
        "kind": "PriorityLevelConfiguration",
        "metadata": _metadata(),
        "spec": {
            "type": "Limited",
            "limited": {
                "nominalConcurrencyShares": 5,
                "lendablePercent": 50,
                "borrowingLimitPercent": 0,
                "limitResponse": {"type": "Queue", "queuing": {"queues": 64, "handSize": 6, "queueLengthLimit": 50}},
            },
        },
    }
    flow = {
        "apiVersion": _FLOW,
        "kind": "FlowSchema",
        "metadata": _metadata(),
        "spec": {
            "matchingPrecedence": 450,
            "priorityLevelConfiguration": {"name": NAME},
            "distinguisherMethod": {"type": "ByUser"},
            "rules": [
                {
                    "subjects": [{"kind": "Group", "group": {"name": NODE_GROUP}}],
                    "resourceRules": [
                        {"apiGroups": [schema.GROUP], "resources": [schema.PLURAL, f"{schema.PLURAL}/status"], "verbs": ["*"], "clusterScope": True}
                    ],
                }
            ],
        },
    }
    return [level, flow]


def custom_resource_definition() -> dict[str, Any]:
    """Return the CustomResourceDefinition of NodeReport."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": _metadata(CRD_NAME),
        "spec": {
            "group": schema.GROUP,
            "scope": "Cluster",
            "names": {
                "kind": schema.KIND,
                "listKind": f"{schema.KIND}List",
                "plural": schema.PLURAL,
                "singular": schema.KIND.lower(),
                "shortNames": ["nr"],
                "categories": ["nodewise"],
            },
            "versions": [
                {
                    "name": schema.VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": _columns(),
                    "schema": {
                        "openAPIV3Schema": _object(
                            "What a node really uses, in its own words. Written by nodewise-reporter on the node of the same name.",
                            {
                                "apiVersion": {"type": "string"},
                                "kind": {"type": "string"},
                                "metadata": {"type": "object"},
                                "status": _status(),
                            },
                        )
                    },
                }
            ],
        },
    }


def _columns() -> list[dict[str, Any]]:
    narrow = [
        ("CPU%", "integer", ".percent.cpu", "CPU used now, of allocatable"),
        ("Memory%", "integer", ".percent.memory", "Memory used now, of allocatable"),
        ("Disk%", "integer", ".percent.disk", "Used share of the fullest filesystem"),
        ("Pods", "integer", ".pods.ready", "Pod sandboxes that are ready"),
        ("Pressure", "string", ".pressure", "The conditions that are true, in short"),
        ("Age", "date", ".observedAt", "Since the sample was taken; the report says nothing any more after expiresAt"),
    ]
    wide = [
        ("Millicores", "integer", ".cpuMillicores.now", "CPU used now, in thousandths of a CPU"),
        ("Millicores-P95", "integer", ".cpuMillicores.p95", "CPU, 95th percentile of the last 5 minutes, in thousandths of a CPU"),
        ("Memory-P95-Bytes", "integer", ".memoryBytes.p95", "Memory, 95th percentile of the last 5 minutes, in bytes"),
        ("Runtime", "string", ".runtime.name", "Container runtime"),
        ("Version", "string", ".runtime.version", "Version of the container runtime"),
        ("View", "string", ".view", "host: figures of the machine; cgroup: of a host that shares a kernel"),
        ("Sequence", "integer", ".sequence", "Rises with every report"),
    ]
    return [
        {"name": name, "type": kind, "jsonPath": f".status{path}", "description": text, "priority": priority}
        for priority, columns in enumerate((narrow, wide))
        for name, kind, path, text in columns
    ]


def _status() -> dict[str, Any]:
    status = _object(
        "One sample. What is unknown is left out, never 0.",
        {
            "observedAt": _time("When the sample was taken."),
            "expiresAt": _time("After this the report says nothing any more."),
            "sequence": _integer("sequence", "Rises with every report, also over restarts of the reporter."),
            "bootID": _string("The kernel's boot id; with view cgroup followed by + and the start time of PID 1.", NAME_LENGTH, "[0-9a-f-]{36}(\\+[0-9]+)?"),
            "agentVersion": _string("Version of the reporter.", NAME_LENGTH),
            "configDigest": _string("First digits of the SHA-256 of the reporter's configuration.", schema.CONFIG_DIGITS, "[0-9a-f]+"),
            "view": _enum("host: the figures are the machine's. cgroup: the host shares a kernel, they are its cgroup's.", "host", "cgroup"),
            "runtime": _object(
                "The container runtime's own word on itself.",
                {
                    "name": _string("runtime_name of CRI Version.", NAME_LENGTH),
                    "version": _string("runtime_version of CRI Version.", NAME_LENGTH),
                    "cgroupDriver": _enum("Of CRI RuntimeConfig.", "systemd", "cgroupfs"),
                    "ready": _boolean("Condition RuntimeReady."),
                    "networkReady": _boolean("Condition NetworkReady."),
                },
            ),
            "cpuMillicores": _usage("cpuMillicores", "CPU of the node in thousandths of a CPU.", {}),
            "memoryBytes": _usage(
                "memoryBytes",
                "Memory of the node in bytes.",
                {"workingSet": "As the kubelet counts for evictions.", "swap": "Swap in use."},
            ),
            "percent": _object(
                "Whole percents, for a quick look.",
                {
                    "cpu": _integer("percent.cpu", "CPU used now, of allocatable; more than 100 if system services use what is reserved for them."),
                    "memory": _integer("percent.memory", "Memory used now, of allocatable."),
                    "disk": _integer("percent.disk", "Used share of the fullest filesystem, as df shows it."),
                },
            ),
            "psiPercent": _object(
                "Pressure stall information: share of the last 60 s in which some task waited (some avg60).",
                {name: {"type": "number", "description": f"Waiting for {name}.", **_bounds(f"psiPercent.{name}")} for name in ("cpu", "memory", "io")},
            ),
            "load1m": _string("Load average of the last minute.", 16, "[0-9]+\\.[0-9]{2}"),
            "filesystems": _array(
                "The filesystems that the node and the runtime use, each once.",
                FILESYSTEMS,
                _object(
                    "One filesystem.",
                    {
                        "roles": _array("What lies on it.", 3, _enum("A use.", "node", "image", "container")),
                        "mountpoint": _string("The path that was asked.", MOUNTPOINT_LENGTH),
                        "capacityBytes": _integer("filesystems.capacityBytes", "Size."),
                        "usedBytes": _integer("filesystems.usedBytes", "In use."),
                        "availableBytes": _integer("filesystems.availableBytes", "Free for others than root."),
                        "inodes": _integer("filesystems.inodes", "Inodes, if their number is fixed."),
                        "inodesUsed": _integer("filesystems.inodesUsed", "Inodes in use."),
                    },
                    ["roles", "mountpoint"],
                ),
            ),
            "pods": _object("Pod sandboxes by state.", {"ready": _integer("pods.ready", "Ready."), "notReady": _integer("pods.notReady", "Not ready.")}),
            "containers": _object(
                "Containers by state.",
                {state: _integer(f"containers.{state}", f"In the state {state}.") for state in ("created", "running", "exited", "unknown")},
            ),
            "unreadContainers": _integer("unreadContainers", "Containers whose usage could not be read; there only if the report is partial."),
            "top": _object(
                "The largest consumers, as 'namespace/pod/container amount'.",
                {
                    "cpu": _array("By CPU, in millicores.", TOP, _string("One container.", CONSUMER_LENGTH + 20)),
                    "memory": _array("By working set, in MiB.", TOP, _string("One container.", CONSUMER_LENGTH + 20)),
                },
            ),
            "conditions": {
                **_array(
                    "What is wrong with the node, with hysteresis.",
                    len(schema.CONDITIONS),
                    _object(
                        "One condition.",
                        {
                            "type": _enum("Its name.", *schema.CONDITIONS),
                            "status": _enum("Unknown if it could not be found out.", TRUE, FALSE, UNKNOWN),
                            "reason": _string("One word; left out while nothing is wrong.", 64, "[A-Za-z]+"),
                            "message": _string("The numbers, likewise.", MESSAGE_LENGTH),
                            "lastTransitionTime": _time("When the status became what it is."),
                        },
                        ["type", "status", "lastTransitionTime"],
                    ),
                ),
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
            },
            "pressure": _string(
                "The conditions that are true, in short; none, or unknown.", 32, "unknown|none|(cpu|memory|disk|runtime)(,(memory|disk|runtime))*"
            ),
        },
        ["observedAt", "expiresAt", "sequence", "view", "conditions", "pressure"],
    )
    # One owner writes all of it: the API server then keeps one entry of managedFields, not one for each field (1 KB less).
    return {
        **status,
        "x-kubernetes-map-type": "atomic",
        "x-kubernetes-validations": [{"rule": "self.observedAt < self.expiresAt", "message": "expiresAt must be after observedAt"}],
    }


def _usage(path: str, description: str, others: dict[str, str]) -> dict[str, Any]:
    texts = {
        "allocatable": "What pods may have, of the Node object.",
        "now": "In use: at the sample, or since the sample before.",
        "avg1m": "Mean of the last minute, weighted by time; there only if samples cover more than half of it.",
        "avg5m": "The same over 5 minutes.",
        "p95": "95th percentile of the last 5 minutes: nearest rank, weighted by time, not interpolated.",
        **others,
    }
    return _object(description, {name: _integer(f"{path}.{name}", text) for name, text in texts.items()})


def _metadata(name: str = NAME) -> dict[str, Any]:
    return {"name": name, "labels": dict(_LABELS)}


def _object(description: str, properties: dict[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    return {"type": "object", "description": description, "properties": properties, **({"required": required} if required else {})}


def _array(description: str, most: int, items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "description": description, "maxItems": most, "items": items}


def _integer(path: str, description: str) -> dict[str, Any]:
    return {"type": "integer", "format": "int64", "description": description, **_bounds(path)}


def _bounds(path: str) -> dict[str, int]:
    minimum, maximum = schema.bounds(path)
    # The format bounds what has no bound of its own.
    return {"minimum": minimum, **({"maximum": maximum} if maximum != schema.INT64_MAX else {})}


def _string(description: str, longest: int, pattern: str = "") -> dict[str, Any]:
    return {"type": "string", "description": description, "maxLength": longest, **({"pattern": f"^({pattern})$"} if pattern else {})}


def _enum(description: str, *values: str) -> dict[str, Any]:
    return {"type": "string", "description": description, "enum": list(values)}


def _boolean(description: str) -> dict[str, Any]:
    return {"type": "boolean", "description": description}


def _time(description: str) -> dict[str, Any]:
    return {"type": "string", "format": "date-time", "description": description}
