# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime
import tomllib
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.containerd.toml import dumps
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"version": 3, "big": -(2**40), "ratio": 0.5, "on": True, "off": False, "text": "a"},
        {"plugins": {"io.containerd.x.v1.y": {"z": 1}}, "after": 1},
        {"a": {"b": {"c": {}}}},
        {"a": {}, "b": {"c": {"d": 1}, "e": 2}},
        {"list": [], "texts": ["a", "b"], "nested": [[1, 2], []], "mappings": [{"a": {"b": 1}}, {}]},
        {"a b": {'c"d': 1, "": 2, "é": 3, "x.y": {"z": 4}}},
        {"text": 'quote " backslash \\ newline \n tab \t null \0 delete \x7f é 😀 %s ${x}'},
    ],
)
def test_a_toml_reader_gets_the_same_data(data: dict[str, Any]) -> None:
    assert tomllib.loads(dumps(data)) == data


def test_layout() -> None:
    assert dumps({"version": 3, "plugins": {"io.x": {"a": "b", "c": {"d": ["e", 1]}}}}) == (
        'version = 3\n\n[plugins."io.x"]\na = "b"\n\n[plugins."io.x".c]\nd = ["e", 1]\n'
    )


def test_order_is_kept() -> None:
    hosts = {f"https://{name}": {"x": 1} for name in ("c", "a", "b")}
    assert list(tomllib.loads(dumps({"host": hosts}))["host"]) == ["https://c", "https://a", "https://b"]


@pytest.mark.parametrize("value", [None, [None], {"d": None}, datetime.date(2026, 1, 1)])
def test_what_toml_cannot_say_is_refused_by_name(value: object) -> None:
    with pytest.raises(NodewiseError, match=r"a\.b.*, which TOML cannot say\. Remedy: leave the key out"):
        dumps({"a": {"b": value}})
