# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A role's README, defaults and argument_specs say the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLES = sorted((Path(__file__).resolve().parents[3] / "roles").iterdir())


@pytest.fixture(params=ROLES, ids=lambda path: path.name)
def role(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def load(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(path.read_text()) or {}
    return loaded


def entry_points(role: Path) -> dict[str, dict[str, Any]]:
    specs: dict[str, dict[str, Any]] = load(role / "meta" / "argument_specs.yml")["argument_specs"]
    return specs


def options(role: Path) -> dict[str, dict[str, Any]]:
    """Return the options of all entry points."""
    merged: dict[str, dict[str, Any]] = {}
    for specification in entry_points(role).values():
        merged.update(specification.get("options", {}))
    return merged


def test_there_are_roles() -> None:
    assert ROLES


def test_the_role_is_complete(role: Path) -> None:
    for name in ("README.md", "meta/main.yml", "meta/argument_specs.yml", "defaults/main.yml", "tasks/main.yml"):
        assert (role / name).is_file(), f"{role.name}/{name}"


def test_every_entry_point_is_specified(role: Path) -> None:
    """A file of tasks that another one includes, with a path, need not be an entry point."""
    texts = [path.read_text() for path in (role / "tasks").glob("*.yml")]
    included = {name for text in texts for name in re.findall(r"(?:include|import)_tasks: (\w+)\.yml", text)}
    files = {path.stem for path in (role / "tasks").glob("*.yml")}
    assert files - included <= set(entry_points(role)) <= files


def test_defaults_are_those_of_the_specification(role: Path) -> None:
    specified = {name: option["default"] for name, option in options(role).items() if "default" in option}
    assert load(role / "defaults" / "main.yml") == specified


def test_entry_points_agree_on_a_shared_option(role: Path) -> None:
    merged = options(role)
    for point, specification in entry_points(role).items():
        for name, option in specification.get("options", {}).items():
            assert {**option, "description": ""} == {**merged[name], "description": ""}, f"{point}: {name}"


def test_names_bear_the_roles_prefix(role: Path) -> None:
    assert [name for name in options(role) if not name.startswith(f"{role.name}_")] == []
    internal = load(role / "vars" / "main.yml") if (role / "vars" / "main.yml").exists() else {}
    assert [name for name in internal if not name.startswith((f"{role.name}_", f"__{role.name}_"))] == []


def test_everything_is_described(role: Path) -> None:
    for point, specification in entry_points(role).items():
        assert specification.get("short_description"), point
        assert [name for name, option in specification.get("options", {}).items() if not option.get("description")] == [], point


def test_the_readme_names_every_variable(role: Path) -> None:
    readme = (role / "README.md").read_text()
    assert [name for name in options(role) if name not in readme] == []
