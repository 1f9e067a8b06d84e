# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects of ours in a cluster: brought up to date, or removed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .kubectl import Kubectl, as_list

PART_OF = ("app.kubernetes.io/part-of", "nodewise")
"""The label by which objects of ours are told from those of others under the same name."""


def ensure_objects(kubectl: Kubectl, namespace: Mapping[str, Any], objects: Sequence[dict[str, Any]], check_mode: bool) -> str:
    """Apply objects server-side; return the differences, empty if there were none.

    Parameters
    ----------
    kubectl : Kubectl
        With admin rights.
    namespace : Mapping
        The namespace in which most of them lie; made if it is not there, and else left as it is.
    objects : Sequence
        In the order in which they are applied.
    check_mode : bool
        Change nothing.

    Raises
    ------
    NodewiseError
        The API server refuses an object, or cannot be reached.
    """
    name, created = namespace["metadata"]["name"], ""
    with ThreadPoolExecutor() as pool:
        # Both at once, for most of the time is kubectl's start.
        difference = pool.submit(kubectl.diff, objects)
        there = kubectl.get("namespace", name) is not None
    if there:
        found = difference.result()
    else:
        # Of what lies in a namespace that is not there no difference can be asked for.
        created = f"+ Namespace {name}\n"
        if check_mode:
            return created + "".join(f"+ {describe(one)}\n" for one in objects)
        kubectl.apply([dict(namespace)])
        found = kubectl.diff(objects)
    if found and not check_mode:
        kubectl.apply(objects)
    return created + found


def remove_objects(kubectl: Kubectl, objects: Sequence[Mapping[str, Any]], check_mode: bool, *more: str) -> list[str]:
    """Remove objects, the last one first; return those that were there.

    Parameters
    ----------
    more : str
        Further arguments of C(kubectl delete).

    Raises
    ------
    NodewiseError
        The API server cannot be reached, or an object does not go.
    """
    removed = []
    for one in reversed(objects):
        if kubectl.get(*_place(one)) is None:
            continue
        removed.append(describe(one))
        if not check_mode:
            delete(kubectl, one, *more)
    return removed


def delete(kubectl: Kubectl, one: Mapping[str, Any], *more: str) -> None:
    """Delete an object, with some more arguments of C(kubectl delete), and wait until it is gone; it need not be there.

    Raises
    ------
    NodewiseError
        The API server cannot be reached, or the object does not go.
    """
    kubectl.run(["delete", *_place(one), "--ignore-not-found", "--wait=true", *more])


def _place(one: Mapping[str, Any]) -> list[str]:
    """Return what names an object to kubectl."""
    within = [f"--namespace={one['metadata']['namespace']}"] if "namespace" in one["metadata"] else []
    return [str(one["kind"]).lower(), str(one["metadata"]["name"]), *within]


def existing(kubectl: Kubectl, objects: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return those of the objects that are there, in the order of the objects.

    Raises
    ------
    NodewiseError
        The API server cannot be reached.
    """
    bare = [{"apiVersion": one["apiVersion"], "kind": one["kind"], "metadata": one["metadata"]} for one in objects]
    _code, out, _err = kubectl.run(["get", "-f", "-", "-o", "json", "--ignore-not-found"], stdin=as_list(bare))
    answer = json.loads(out) if out.strip() else {"items": []}
    there = {describe(one): one for one in answer.get("items", [answer])}
    return [there[describe(one)] for one in objects if describe(one) in there]


def is_ours(one: Mapping[str, Any]) -> bool:
    """Whether an object bears our label."""
    return bool((one["metadata"].get("labels") or {}).get(PART_OF[0]) == PART_OF[1])


def describe(one: Mapping[str, Any]) -> str:
    """Return kind and name of an object."""
    return f"{one['kind']} {one['metadata']['name']}"
