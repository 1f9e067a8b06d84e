# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Misspelt variables: names an operator set that look like ours and that no role of the collection knows."""

from __future__ import annotations

import difflib
import fnmatch
import glob
import os
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from ..files import read_text
from .model import Problem

SHARED_PREFIX = "nodewise_"
# Prefixes that other people's roles use as well: only a near miss of a name of ours counts there.
_COMMON_PREFIXES = ("host_",)

_CLOSE_WITHIN_PREFIX = 0.8
_CLOSE_ANYWHERE = 0.9


@dataclass(frozen=True)
class Catalogue:
    """The names a variable may have.

    Parameters
    ----------
    prefixes : collection of str
        C(<role>_) for each role, and C(nodewise_).
    names : collection of str
        Every option of a role's argument_specs, every shared variable, and every registered result.
    """

    prefixes: Collection[str]
    names: Collection[str]


def load_catalogue(collection: str) -> Catalogue:
    """Read the names from the collection's own roles and playbooks.

    Parameters
    ----------
    collection : str
        The collection's folder on the controller.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # four times as fast where libyaml is
    prefixes = {SHARED_PREFIX}
    names: set[str] = set()
    for path in glob.glob(os.path.join(collection, "roles", "*", "meta", "argument_specs.yml")):
        prefixes.add(os.path.basename(os.path.dirname(os.path.dirname(path))) + "_")
        specification = yaml.load(read_text(path) or "{}", Loader=loader) or {}
        for entry_point in specification.get("argument_specs", {}).values():
            names.update(entry_point.get("options", {}))
    # Nothing declares the shared variables, which roles' defaults and playbooks read, and the results that tasks register.
    for pattern in ("roles/*/defaults/*.yml", "roles/*/tasks/*.yml", "playbooks/*.yml"):
        for path in glob.glob(os.path.join(collection, pattern)):
            text = read_text(path) or ""
            names.update(re.findall(rf"\b{SHARED_PREFIX}\w+", text))
            names.update(re.findall(r"^\s+register: (\w+)", text, re.MULTILINE))
    return Catalogue(prefixes=prefixes, names=names)


def suggestion(name: str, catalogue: Catalogue) -> str | None:
    """Judge a variable's name.

    Returns
    -------
    str or None
        None if the name is known or not ours; else the nearest known name, empty if none is near.
    """
    if name in catalogue.names:
        return None
    prefix = max((prefix for prefix in catalogue.prefixes if name.startswith(prefix)), key=len, default="")
    if prefix:
        near = difflib.get_close_matches(name, catalogue.names, 1, _CLOSE_WITHIN_PREFIX)
        return near[0] if near else (None if prefix in _COMMON_PREFIXES else "")
    near = difflib.get_close_matches(name, catalogue.names, 1, _CLOSE_ANYWHERE)
    return near[0] if near else None


def check_variables(variables: Mapping[str, Iterable[str]], foreign: Iterable[str], catalogue: Catalogue) -> list[Problem]:
    """Report variables that look like ours and are not.

    Parameters
    ----------
    variables : mapping
        Hosts and the names of the variables set for each.
    foreign : iterable of str
        Names, or patterns with V(*), that the operator says belong to somebody else.
    catalogue : Catalogue
        The names that are ours.
    """
    holders: dict[str, list[str]] = {}
    for host, names in variables.items():
        for name in names:
            holders.setdefault(name, []).append(host)
    problems = []
    patterns = list(foreign)
    for name in sorted(holders):
        # Ansible's own names, and those a role or playbook marks as internal.
        if name.startswith(("ansible_", "_")) or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
            continue
        near = suggestion(name, catalogue)
        if near is not None:
            problems.append(
                Problem(
                    host="all hosts" if len(holders[name]) == len(variables) else ", ".join(holders[name]),
                    what="unknown variable",
                    found=name,
                    needed=f"{near}, perhaps" if near else "a variable that a role of this collection has",
                    remedy="correct the name, or list it in host_foreign_variables if another role uses it",
                )
            )
    return problems
