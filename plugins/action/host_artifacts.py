# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Send to a host what the module C(host_artifacts) finds missing there, and have it put in place."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..module_utils.artifacts.bundle import file_bundle, image_bundle
from ..module_utils.errors import NodewiseError

MODULE = "nodewise.cluster.host_artifacts"
MEBIBYTE = 2**20


class ActionModule(ActionBase):
    """Ask, send, install."""

    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the action."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = {key: value for key, value in self._task.args.items() if key != "bundle"}
        found = self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars)
        if found.get("failed") or not found.get("missing") or self._task.check_mode:
            return {**result, **found}
        host = (task_vars or {}).get("inventory_hostname", "")
        try:
            bundle = self._bundle(arguments, found["missing"])
        except NodewiseError as error:
            raise AnsibleActionFail(str(error)) from error
        size = bundle.stat().st_size
        what = f"{len(found['missing'])} {arguments['kind']}, {size / MEBIBYTE:.0f} MiB"
        Display().display(f"{host}: sending {what}")
        begun = time.monotonic()
        folder = self._make_tmp_path()
        try:
            remote = self._connection._shell.join_path(folder, bundle.name)
            self._transfer_file(str(bundle), remote)
            self._fixup_perms2((folder, remote))
            sent = time.monotonic()
            installed = self._execute_module(module_name=MODULE, module_args={**arguments, "bundle": remote}, task_vars=task_vars)
        finally:
            self._remove_tmp_path(folder)
        if not installed.get("failed"):
            Display().display(f"{host}: {what} in place: sent in {sent - begun:.1f} s, installed in {time.monotonic() - sent:.1f} s")
        return {**result, **installed, "sent": size}

    def _bundle(self, arguments: dict[str, Any], missing: list[str]) -> Path:
        artifacts = arguments["artifacts"]
        if arguments["kind"] == "images":
            chosen = [one for one in artifacts if one["image"] in missing and one["arch"] == arguments["arch"]]
            return image_bundle(chosen, arguments["arch"])
        return file_bundle([one for one in artifacts if one["dest"] in missing and one["arch"] in ("", arguments["arch"])])
