# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Obtain and send the wheels and the code that the module C(reporter) finds missing on a host, and have it go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..module_utils.artifacts.bundle import file_bundle
from ..module_utils.artifacts.store import unwritable
from ..module_utils.artifacts.wheel_cache import WheelRequest, obtain
from ..module_utils.artifacts.wheels import locked
from ..module_utils.errors import NodewiseError
from ..module_utils.files import write_atomic
from ..module_utils.reporter.code import ENTRIES, code_files, digest, filename, to_text

MEBIBYTE = 2**20


class ActionModule(ActionBase):
    """Ask, send, install."""

    _module = "nodewise.cluster.reporter"
    _supports_check_mode = True
    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the action."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        code = code_files(ENTRIES[self._module.rpartition(".")[2]])
        arguments = {**{key: value for key, value in self._task.args.items() if key != "bundle"}, "code": digest(code)}
        found = self._execute_module(module_name=self._module, module_args=arguments, task_vars=task_vars)
        if found.get("failed") or not found.get("missing") or self._task.check_mode:
            return {**result, **found}
        try:
            bundle = self._bundle(arguments, found, code)
        except NodewiseError as error:
            raise AnsibleActionFail(str(error)) from error
        host = (task_vars or {}).get("inventory_hostname", "")
        Display().display(f"{host}: sending {len(found['missing'])} files, {bundle.stat().st_size / MEBIBYTE:.0f} MiB")
        folder = self._make_tmp_path()
        try:
            remote = self._connection._shell.join_path(folder, bundle.name)
            self._transfer_file(str(bundle), remote)
            self._fixup_perms2((folder, remote))
            installed = self._execute_module(module_name=self._module, module_args={**arguments, "bundle": remote}, task_vars=task_vars)
        finally:
            self._remove_tmp_path(folder)
        # The first call tells what it has done already, the guard's objects in the cluster for example; the second finds that done.
        told = {name: [*found.get(name, []), *installed.get(name, [])] for name in ("actions", "diff")}
        changed = bool(found.get("changed") or installed.get("changed"))
        return {**result, **installed, **told, "changed": changed, **({} if installed.get("failed") else {"missing": found["missing"]})}

    def _bundle(self, arguments: dict[str, Any], found: dict[str, Any], code: dict[str, str]) -> Path:
        request = WheelRequest(
            cache=Path(arguments.get("cache") or "~/.cache/nodewise").expanduser(),
            folder=Path(arguments["wheel_folder"]).expanduser() if arguments.get("wheel_folder") else None,
            mirror=arguments.get("mirror") or "",
            index_url=arguments.get("index_url") or "",
        )
        records = obtain(request, [wheel for wheel in locked(found["python"], found["arch"]) if wheel.filename in found["missing"]])
        name = filename(arguments["code"])
        if name in found["missing"]:
            path = request.cache / "wheels" / "code" / name
            try:
                write_atomic(str(path), to_text(code))
            except OSError as error:
                raise unwritable(request.cache, error) from error
            records.append({"path": str(path), "sha256": arguments["code"], "size": path.stat().st_size, "dest": name, "image": ""})
        return file_bundle(records)
