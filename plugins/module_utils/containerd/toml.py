# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plain data to TOML 1.0 text. Python reads TOML (tomllib) but does not write it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import NodewiseError

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def dumps(data: Mapping[str, Any]) -> str:
    """Return the TOML text of a nested mapping, keys in the order given.

    Parameters
    ----------
    data : Mapping
        Text keys; values are text, whole numbers, floats, booleans, lists of those, or mappings.

    Raises
    ------
    NodewiseError
        A value has no form in TOML (a null, for instance); the text names its place.
    """
    return "\n".join(_table(data, [])).lstrip("\n") + "\n"


def _table(data: Mapping[str, Any], path: list[str]) -> list[str]:
    # TOML wants a table's plain values before its sub-tables.
    plain = [f"{_key(key)} = {_value(value, [*path, str(key)])}" for key, value in data.items() if not isinstance(value, Mapping)]
    tables = [(str(key), value) for key, value in data.items() if isinstance(value, Mapping)]
    lines = []
    if path and (plain or not tables):
        lines += ["", f"[{'.'.join(_key(part) for part in path)}]"]
    lines += plain
    for key, value in tables:
        lines += _table(value, [*path, key])
    return lines


def _key(key: object) -> str:
    text = str(key)
    return text if _BARE_KEY.fullmatch(text) else _text(text)


def _value(value: object, path: list[str]) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)} = {_value(item, [*path, str(key)])}" for key, item in value.items()) + "}"
    if isinstance(value, Sequence):
        return "[" + ", ".join(_value(item, path) for item in value) + "]"
    raise NodewiseError(f"{'.'.join(path)} is {value!r}, which TOML cannot say.", "leave the key out, or give it a text, number, boolean, list or mapping")


def _text(text: str) -> str:
    # JSON's escapes are TOML's, but for DEL, which JSON leaves as it is, and for surrogate pairs, which only ASCII output would make.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
