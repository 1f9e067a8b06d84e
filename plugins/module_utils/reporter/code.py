# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemons' own code: which files of the collection a daemon consists of, and how they are sent.

The control machine collects and sends them, as it does wheels, where a host lacks them; so no task carries a daemon's code for nothing.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
from collections.abc import Callable, Iterator, Mapping, Sequence

PACKAGE = "nodewise"
ENTRIES: Mapping[str, Sequence[str]] = {
    "reporter": ("reporter.main", "reporter.probe"),
    "guard": ("guard.main",),
    "autoscaler": ("autoscaler.main",),
}
"""Of each daemon the modules of the package that must work; the first has a function C(import_all)."""
_BASE = __name__.rsplit(".", 2)[0]


def loaded_source(name: str) -> tuple[str, bool] | None:
    """Return the text of one of our own modules and whether it is a package, wherever it was loaded from; None if there is none.

    The loader is asked, because the installer module's code lies in a zip archive on a host.

    Parameters
    ----------
    name : str
        Name below C(module_utils), C(reporter.main).
    """
    spec = importlib.util.find_spec(f"{_BASE}.{name}")
    get_source = getattr(spec.loader, "get_source", None) if spec else None
    if spec is None or get_source is None:
        return None
    source = get_source(spec.name) or ""
    # Ansible's own loader, on the control machine, returns bytes.
    return source.decode() if isinstance(source, bytes) else source, spec.submodule_search_locations is not None


def code_files(entries: Sequence[str], source_of: Callable[[str], tuple[str, bool] | None] = loaded_source) -> dict[str, str]:
    """Return the files of the package that runs the daemon: its entry points and all that they import, C({"reporter/main.py": text}).

    Imports inside functions count; imports of other packages do not.
    """
    files = {"__init__.py": ""}
    # A name, and what is imported from it: modules too, if it is a package. To ask for such a name of a module would run that module.
    waiting: list[tuple[str, list[str]]] = [(entry, []) for entry in entries]
    packages: dict[str, bool] = {"": True}
    while waiting:
        name, members = waiting.pop()
        if name not in packages:
            found = source_of(name)
            if found is None:
                continue
            text, packages[name] = found
            files[name.replace(".", "/") + ("/__init__.py" if packages[name] else ".py")] = text
            parts = name.split(".")
            waiting += [(".".join(parts[:count]), []) for count in range(1, len(parts))]
            waiting += _imports(text, parts if packages[name] else parts[:-1])
        if packages[name]:
            waiting += [(f"{name}.{member}".lstrip("."), []) for member in members]
    return files


def _imports(text: str, package: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Return each name that a module of a package imports relatively, and what from it."""
    for node in _statements(ast.parse(text).body):
        if isinstance(node, ast.ImportFrom) and node.level:
            target = [*package[: len(package) - node.level + 1], *(node.module or "").split(".")]
            yield ".".join(part for part in target if part), [alias.name for alias in node.names]


def _statements(body: Sequence[ast.AST]) -> Iterator[ast.AST]:
    """Return statements and those within them; expressions, which are most of a tree, hold none."""
    for node in body:
        yield node
        for block in ("body", "orelse", "handlers", "finalbody", "cases"):
            yield from _statements(getattr(node, block, ()))


def to_text(code: Mapping[str, str]) -> str:
    """Return the files as one text: JSON, the same for the same files."""
    return json.dumps(code, sort_keys=True)


def digest(code: Mapping[str, str]) -> str:
    """Return the SHA-256 of that text."""
    return hashlib.sha256(to_text(code).encode()).hexdigest()


def filename(sha256: str) -> str:
    """Return the name of a file with that text."""
    return f"code-{sha256[:32]}.json"
