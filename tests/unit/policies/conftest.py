# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError


class FakeKubectl:
    """An API server that holds objects, and remembers what kubectl was told to do."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []
        self.pods: list[dict[str, Any]] = []
        self.rows: dict[str, str] = {}
        self.ran: list[tuple[list[str], list[dict[str, Any]]]] = []
        self.refusing: str = ""
        self.created: tuple[str, str] = ("", "")

    def add(self, kind: str, name: str, namespace: str = "", **body: Any) -> dict[str, Any]:
        metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
        item = {"apiVersion": "v1", "kind": kind, "metadata": metadata, **body}
        self.items.append(item)
        return item

    def get(self, kind: str, *place: str) -> dict[str, Any]:
        return {"items": self.items if "," in kind else self.pods if kind == "pods" else []}

    def run(self, args: Sequence[str], stdin: str | None = None, ok: Sequence[int] = (0,)) -> tuple[int, str, str]:
        self.ran.append((list(args), json.loads(stdin)["items"] if stdin else []))
        if args[0] == "get":
            return 0, self.rows[args[1]], ""
        if self.refusing and "--dry-run=server" in args:
            raise NodewiseError(self.refusing)
        return 1, *self.created

    @property
    def verbs(self) -> list[str]:
        """What was done, dry runs left out."""
        return [args[0] for args, _items in self.ran if "--dry-run=server" not in args and args[0] != "get"]


@pytest.fixture
def kubectl() -> FakeKubectl:
    fake = FakeKubectl()
    for name in ("default", "demo", "kube-system"):
        fake.add("Namespace", name, status={"phase": "Active"})
    return fake


Options = Callable[..., dict[str, Any]]


@pytest.fixture
def options() -> Options:
    """Return the module's options, with what its argument specification fills in."""

    def make(**given: Any) -> dict[str, Any]:
        empty: dict[str, Any] = {"namespaces": [], "limit_ranges": [], "priority_classes": [], "resource_quotas": []}
        filled = {**empty, **given}
        for kind in ("limit_ranges", "resource_quotas"):
            filled[kind] = [{"name": "one", "namespace": "demo", "state": "present", **entry} for entry in filled[kind]]
        for entry in filled["limit_ranges"]:
            entry["limits"] = [{"type": "Container", **limit} for limit in entry.get("limits") or []]
        defaults = {"name": "high", "state": "present", "value": 5, "global_default": False, "preemption_policy": "PreemptLowerPriority", "description": ""}
        filled["priority_classes"] = [{**defaults, **entry} for entry in filled["priority_classes"]]
        return filled

    return make
