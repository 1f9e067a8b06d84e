# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real runs of the playbooks by Ansible, with modules that do nothing but say that they were called."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

# A host variable C(says) holds what its modules return, by name.
MODULE = """
import json
from ansible.plugins.action import ActionBase
from ansible_collections.nodewise.cluster.plugins.plugin_utils.run import this_run

class ActionModule(ActionBase):
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        name = self._task.action.rpartition(".")[2]
        host = task_vars["inventory_hostname"]
        with open({log!r}, "a") as log:
            log.write(json.dumps([name, host, self._task.delegate_to or host, self._task.args]) + "\\n")
        result.update(task_vars["hostvars"][host].get("says", {{}}).get(name, {{}}))
        if "ansible_facts" in result:
            result["ansible_facts"] = {{"nodewise": {{**result["ansible_facts"]["nodewise"], "run": this_run()}}}}
        return result
"""

Call = tuple[str, str, str, dict[str, Any]]


@pytest.fixture
def play(tmp_path: Path, collection_root: Path) -> Callable[..., list[Call]]:
    """Return a function that runs a playbook, or tasks, with some modules stubbed, and returns their calls: module, host, delegated to, arguments."""

    def run(playbook: str | list[dict[str, Any]], modules: list[str], inventory: dict[str, Any], *arguments: str) -> list[Call]:
        log = tmp_path / "calls"
        collection = tmp_path / "ansible_collections" / "nodewise" / "cluster"
        (collection / "plugins" / "action").mkdir(parents=True)
        for source in (*collection_root.glob("[!.]*"), *(collection_root / "plugins").iterdir()):
            target = collection / source.relative_to(collection_root)
            if not target.exists():
                target.symlink_to(source)
        for name in modules:
            (collection / "plugins" / "action" / f"{name}.py").write_text(MODULE.format(log=str(log)))
        (tmp_path / "ansible.cfg").touch()
        (tmp_path / "hosts.yml").write_text(yaml.safe_dump(inventory))
        path = collection / "playbooks" / f"{playbook}.yml"
        if not isinstance(playbook, str):
            path = tmp_path / "play.yml"
            path.write_text(yaml.safe_dump([{"hosts": "control_plane:workers:standby", "gather_facts": False, "tasks": playbook}]))
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
            "ANSIBLE_COLLECTIONS_PATH": str(tmp_path),
            "ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg"),
            "ANSIBLE_LOCAL_TEMP": str(tmp_path / "tmp"),
        }
        command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "hosts.yml", *arguments, str(path)]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return [tuple(json.loads(line)) for line in log.read_text().splitlines()] if log.exists() else []

    return run
