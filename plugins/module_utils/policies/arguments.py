# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module policies' arguments, which its action plugin judges too."""

from __future__ import annotations

from typing import Any

from .desired import LIMIT_FIELDS, LIMIT_TYPES, OPERATORS, PREEMPTION, SCOPES

_NAMED: dict[str, Any] = {"name": {"type": "str", "required": True}, "state": {"type": "str", "choices": ["present", "absent"], "default": "present"}}
_SPACED = {**_NAMED, "namespace": {"type": "str", "required": True}}
_LIMIT: dict[str, Any] = {"type": {"type": "str", "choices": list(LIMIT_TYPES), "default": "Container"}, **{name: {"type": "dict"} for name in LIMIT_FIELDS}}
_REQUIREMENT = {
    "scope_name": {"type": "str", "choices": list(SCOPES), "required": True},
    "operator": {"type": "str", "choices": list(OPERATORS), "required": True},
    "values": {"type": "list", "elements": "str"},
}

ARGUMENTS: dict[str, dict[str, Any]] = {
    "state": {"type": "str", "choices": ["present", "verified", "checked"], "default": "present"},
    "timeout": {"type": "int", "default": 10},
    "namespaces": {"type": "list", "elements": "str", "default": []},
    "limit_ranges": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {**_SPACED, "limits": {"type": "list", "elements": "dict", "options": _LIMIT}},
        "required_if": [("state", "present", ["limits"])],
    },
    "priority_classes": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            **_NAMED,
            "value": {"type": "int"},
            "global_default": {"type": "bool", "default": False},
            "preemption_policy": {"type": "str", "choices": list(PREEMPTION), "default": "PreemptLowerPriority"},
            "description": {"type": "str", "default": ""},
        },
        "required_if": [("state", "present", ["value"])],
    },
    "resource_quotas": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            **_SPACED,
            "hard": {"type": "dict"},
            "scopes": {"type": "list", "elements": "str", "choices": list(SCOPES)},
            "scope_selector": {"type": "list", "elements": "dict", "options": _REQUIREMENT},
        },
        "required_if": [("state", "present", ["hard"])],
    },
}
