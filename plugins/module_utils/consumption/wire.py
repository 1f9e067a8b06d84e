# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers of the API server as mappings, whether they came as JSON or as protobuf.

Protobuf is half as large as JSON and takes the API server and this side a fraction of the time. Only the fields that are
summed up are decoded; the rest is passed over. Custom resources have no protobuf.

The numbers are those of generated.proto in k8s.io/api/core/v1 and k8s.io/apimachinery (pkg/runtime, pkg/apis/meta/v1,
pkg/api/resource), v0.37.2. They are part of the API and never change.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from typing import Any

from ..api.client import JSON, Answer
from ..proto.table import Messages, message_classes

PROTOBUF = "application/vnd.kubernetes.protobuf"

_MAGIC = b"k8s\0"
"""What stands before a runtime.Unknown, the envelope of every object."""

# The fields have their names of JSON. Quantities and ResourceRequirements are left encoded, as thousands of pods share a few:
# each is decoded once. (The latter is "repeated" because that tells an empty message from one that is absent.)
MESSAGES: Messages = {
    "TypeMeta": {"apiVersion": (1, "string"), "kind": (2, "string")},
    "Unknown": {"typeMeta": (1, "TypeMeta"), "raw": (2, "bytes"), "contentEncoding": (3, "string")},
    "ListMeta": {"continue": (3, "string")},
    "ObjectMeta": {"name": (1, "string"), "namespace": (3, "string")},
    "Status": {"metadata": (1, "ListMeta"), "message": (3, "string")},
    "Quantity": {"string": (1, "string")},
    "NodeList": {"metadata": (1, "ListMeta"), "items": (2, "repeated Node")},
    "Node": {"metadata": (1, "ObjectMeta"), "spec": (2, "NodeSpec"), "status": (3, "NodeStatus")},
    "NodeSpec": {"unschedulable": (4, "bool")},
    "NodeStatus": {"capacity": (1, "map string bytes"), "allocatable": (2, "map string bytes"), "conditions": (4, "repeated Condition")},
    # Of a pod the reason is the fifth as well.
    "Condition": {"type": (1, "string"), "status": (2, "string"), "reason": (5, "string")},
    "PodList": {"metadata": (1, "ListMeta"), "items": (2, "repeated Pod")},
    "Pod": {"metadata": (1, "ObjectMeta"), "spec": (2, "PodSpec"), "status": (3, "PodStatus")},
    "PodSpec": {
        "containers": (2, "repeated Container"),
        "nodeName": (10, "string"),
        "initContainers": (20, "repeated Container"),
        "overhead": (32, "map string bytes"),
        "resources": (40, "repeated bytes"),
    },
    "Container": {"name": (1, "string"), "resources": (8, "repeated bytes"), "restartPolicy": (24, "string")},
    "ResourceRequirements": {"limits": (1, "map string bytes"), "requests": (2, "map string bytes")},
    "PodStatus": {
        "phase": (1, "string"),
        "conditions": (2, "repeated Condition"),
        "containerStatuses": (8, "repeated ContainerStatus"),
        "initContainerStatuses": (10, "repeated ContainerStatus"),
        "allocatedResources": (19, "map string bytes"),
        "resources": (20, "repeated bytes"),
    },
    "ContainerStatus": {"name": (1, "string"), "allocatedResources": (10, "map string bytes"), "resources": (11, "repeated bytes")},
}


def can_decode() -> bool:
    """Whether this Python has google.protobuf."""
    # Of google.protobuf find_spec would import google, which may be missing.
    return find_spec("google") is not None and find_spec("google.protobuf") is not None


def accepted() -> str:
    """Return the value of C(Accept) for a list of Nodes or Pods: protobuf where this Python can decode it."""
    return PROTOBUF if can_decode() else JSON


def decoded(answer: Answer) -> Any:
    """Return an answer as its JSON would be decoded; of protobuf, what :data:`MESSAGES` has.

    As in the API server's JSON, what is empty is absent. The items of a list in protobuf come one by one, once.

    Raises
    ------
    ValueError
        It is neither JSON nor protobuf of a known kind; also while the items are taken.
    """
    if answer.content_type != PROTOBUF:
        return answer.value()
    if not answer.body.startswith(_MAGIC):
        raise ValueError("it does not begin as protobuf of Kubernetes")
    envelope = _parsed("Unknown", memoryview(answer.body)[len(_MAGIC) :])
    kind = envelope.typeMeta.kind
    if kind not in MESSAGES:
        raise ValueError(f"its kind {kind!r} is not known")
    found = _parsed(kind, envelope.raw)
    if kind.endswith("List"):
        return {"metadata": _mapping(found.metadata), "items": map(_mapping, found.items)}
    return _mapping(found)


def message(answer: Answer) -> str:
    """Return the message of a C(Status), or the text's first line."""
    if answer.content_type != PROTOBUF:
        return answer.message
    try:
        return str(decoded(answer)["message"])
    except (ValueError, KeyError) as error:
        return f"an answer that is not understood ({error})"


def _parsed(kind: str, encoded: bytes | memoryview) -> Any:
    from google.protobuf.message import DecodeError

    try:
        return _classes()[kind].FromString(encoded)
    except DecodeError as error:
        raise ValueError(f"it is not protobuf: {error}") from error


@lru_cache(maxsize=1)
def _classes() -> dict[str, Any]:
    return message_classes("nodewise.kubernetes", MESSAGES)


def _mapping(value: Any) -> dict[str, Any]:
    """Return a message's fields that are set."""
    found: dict[str, Any] = {}
    for field, content in value.ListFields():
        name = field.name
        if name in _MAPS:
            found[name] = {key: _quantity(text) for key, text in content.items()}
        elif name == "resources":
            found[name] = _resources(content[-1])
        elif name in _LISTS:
            found[name] = [_mapping(item) for item in content]
        elif field.message_type is None:
            found[name] = content
        else:
            found[name] = _mapping(content)
    return found


@lru_cache(maxsize=8192)
def _quantity(encoded: bytes) -> str:
    return str(_parsed("Quantity", encoded).string)


@lru_cache(maxsize=8192)
def _resources(encoded: bytes) -> dict[str, Any]:
    return _mapping(_parsed("ResourceRequirements", encoded))


_MAPS = {field for fields in MESSAGES.values() for field, (_number, kind) in fields.items() if kind.startswith("map ")}
_LISTS = {field for fields in MESSAGES.values() for field, (_number, kind) in fields.items() if kind.startswith("repeated ")}
