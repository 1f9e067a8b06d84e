# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects of ours in a cluster, with a kubectl that keeps them."""

from __future__ import annotations

from typing import Any

from ansible_collections.nodewise.cluster.plugins.module_utils.kube.objects import ensure_objects, remove_objects

NAMESPACE = {"kind": "Namespace", "metadata": {"name": "system"}}
ROLE = {"kind": "Role", "metadata": {"name": "a", "namespace": "system"}}
POLICY = {"kind": "ValidatingAdmissionPolicy", "metadata": {"name": "b"}}


class Kubectl:
    """Keeps what is applied."""

    def __init__(self, *there: str) -> None:
        self.there = list(there)
        self.ran: list[str] = []

    def get(self, kind: str, name: str, *_more: str) -> dict[str, Any] | None:
        return {} if f"{kind}/{name}" in self.there else None

    def diff(self, objects: list[dict[str, Any]]) -> str:
        return "".join(f"+{key}\n" for key in map(self.key, objects) if key not in self.there)

    def apply(self, objects: list[dict[str, Any]]) -> str:
        self.there += map(self.key, objects)
        self.ran.append(f"apply {len(objects)}")
        return ""

    def run(self, args: list[str]) -> None:
        self.ran.append(" ".join(args))

    @staticmethod
    def key(one: dict[str, Any]) -> str:
        return f"{one['kind'].lower()}/{one['metadata']['name']}"


def ensure(kubectl: Kubectl, check_mode: bool = False) -> str:
    return ensure_objects(kubectl, NAMESPACE, [ROLE, POLICY], check_mode)  # type: ignore[arg-type]


def test_what_differs_is_applied_and_the_second_time_nothing() -> None:
    kubectl = Kubectl()
    assert ensure(kubectl) == "+ Namespace system\n+role/a\n+validatingadmissionpolicy/b\n"
    assert kubectl.ran == ["apply 1", "apply 2"]
    assert ensure(kubectl) == "" and len(kubectl.ran) == 2


def test_check_mode_changes_nothing_even_without_the_namespace() -> None:
    kubectl = Kubectl()
    assert ensure(kubectl, check_mode=True) == "+ Namespace system\n+ Role a\n+ ValidatingAdmissionPolicy b\n"
    assert ensure(Kubectl("namespace/system", "role/a"), check_mode=True) == "+validatingadmissionpolicy/b\n"
    assert kubectl.ran == []


def test_what_is_there_is_removed_the_last_one_first() -> None:
    kubectl = Kubectl("role/a", "validatingadmissionpolicy/b")
    assert remove_objects(kubectl, [ROLE, POLICY], True) == ["ValidatingAdmissionPolicy b", "Role a"]  # type: ignore[arg-type]
    assert kubectl.ran == []
    remove_objects(kubectl, [ROLE, POLICY], False)  # type: ignore[arg-type]
    assert kubectl.ran == [
        "delete validatingadmissionpolicy b --ignore-not-found --wait=true",
        "delete role a --namespace=system --ignore-not-found --wait=true",
    ]
    assert remove_objects(Kubectl(), [ROLE], False) == []  # type: ignore[arg-type]


def test_a_removal_takes_more_arguments() -> None:
    kubectl = Kubectl("role/a")
    remove_objects(kubectl, [ROLE], False, "--timeout=9s")  # type: ignore[arg-type]
    assert kubectl.ran == ["delete role a --namespace=system --ignore-not-found --wait=true --timeout=9s"]
