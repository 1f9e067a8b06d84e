# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module node_labels' arguments, which its action plugin judges too."""

from __future__ import annotations

from typing import Any

from .rules import EFFECTS

# no_log: a taint's key is no secret. raw: of true Ansible would make the text True.
_TAINT = {
    "key": {"type": "str", "required": True, "no_log": False},
    "value": {"type": "raw", "default": ""},
    "effect": {"type": "str", "choices": list(EFFECTS), "required": True},
}
_RULE: dict[str, Any] = {
    "hosts": {"type": "list", "elements": "str", "required": True},
    "labels": {"type": "dict"},
    "taints": {"type": "list", "elements": "dict", "options": _TAINT},
}

ARGUMENTS: dict[str, dict[str, Any]] = {
    "rules": {"type": "list", "elements": "dict", "default": [], "options": _RULE},
    "node_names": {"type": "dict", "required": True},
    "groups": {"type": "dict", "default": {}},
    "required": {"type": "list", "elements": "str", "default": []},
    "state": {"type": "str", "choices": ["present", "checked"], "default": "present"},
}
