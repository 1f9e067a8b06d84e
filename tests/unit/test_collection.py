# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection as it is published."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted((ROOT / "plugins" / "modules").glob("*.py"))
PYTHON = sorted(path for path in (ROOT / "plugins").rglob("*.py") if path.name != "__init__.py")

# A collection must work if every other folder is deleted (requirements for inclusion in the Ansible package).
RUNTIME = {"meta", "plugins", "roles", "playbooks"}
PUBLISHED = RUNTIME | {"changelogs", "docs", "tests"}
PUBLISHED_FILES = {"CHANGELOG.rst", "FILES.json", "LICENSE", "MANIFEST.json", "README.md"}


def strings(path: Path) -> dict[str, str]:
    """Return the module-level strings of a file."""
    tree = ast.parse(path.read_text())
    return {
        node.targets[0].id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and isinstance(node.value, ast.Constant)
    }


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_module_is_documented(path: Path) -> None:
    texts = strings(path)
    documentation: dict[str, Any] = yaml.safe_load(texts["DOCUMENTATION"])
    assert documentation["module"] == path.stem
    fragments = documentation["extends_documentation_fragment"]
    wanted = {"nodewise.cluster._attributes", "nodewise.cluster._attributes.info"}
    assert wanted & {*([fragments] if isinstance(fragments, str) else fragments)}
    examples = yaml.safe_load(texts["EXAMPLES"])
    assert examples
    for task in examples:
        used = [name for name in task if "." in name]
        assert used, f"no FQCN in {task}"
    assert yaml.safe_load(texts["RETURN"]) is not None


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: str(path.relative_to(ROOT / "plugins")))
def test_a_file_has_the_header(path: Path) -> None:
    assert (
        path.read_text()
        .removeprefix("#!/usr/bin/python\n")
        .startswith(
            "# Copyright: Nodewise authors\n"
            "# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)\n"
            "# SPDX-License-Identifier: GPL-3.0-or-later\n"
        )
    )


@pytest.mark.parametrize("path", sorted((ROOT / "plugins" / "action").glob("*.py")), ids=lambda path: path.stem)
def test_an_action_has_its_documentation(path: Path) -> None:
    assert (ROOT / "plugins" / "modules" / path.name).is_file()


def test_module_utils_import_by_relative_names_only() -> None:
    """The same files run on hosts as a package of another name."""
    absolute = re.compile(r"^\s*(from|import) ansible_collections\.", re.MULTILINE)
    assert [str(path) for path in (ROOT / "plugins" / "module_utils").rglob("*.py") if absolute.search(path.read_text())] == []


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Build the collection and return the names in its tarball."""
    folder = tmp_path_factory.mktemp("build")
    galaxy = str(Path(sys.executable).parent / "ansible-galaxy")
    command = [galaxy, "collection", "build", str(ROOT), "--output-path", str(folder)]
    environment = {name: value for name, value in os.environ.items() if name != "ANSIBLE_CONFIG"}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    (tarball,) = folder.iterdir()
    assert tarball.stat().st_size < 5 << 20
    with tarfile.open(tarball) as archive:
        return archive.getnames()


def test_the_tarball_holds_what_is_published_and_no_more(published: list[str]) -> None:
    tops = {name.split("/")[0] for name in published}
    assert tops - PUBLISHED - PUBLISHED_FILES == set()
    assert tops >= RUNTIME | {"README.md", "LICENSE"}


def test_the_tarball_holds_no_junk(published: list[str]) -> None:
    junk = re.compile(r"(^|/)(__pycache__|\.[^/]+|[^/]*\.(pyc|tar|tar\.gz|log|retry|kubeconfig))(/|$)")
    assert [name for name in published if junk.search(name) and name != "tests/.gitkeep"] == []


def test_the_tarball_holds_every_tracked_runtime_file(published: list[str]) -> None:
    tracked = subprocess.run(["git", "ls-files", *sorted(RUNTIME)], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    assert set(tracked) - set(published) == set()
