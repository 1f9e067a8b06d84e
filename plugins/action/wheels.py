# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Obtain wheels on the control machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ..module_utils.artifacts.arguments import WHEELS
from ..module_utils.artifacts.wheel_cache import WheelRequest, export_wheels, missing, obtain
from ..module_utils.artifacts.wheels import PYTHONS, locked
from ..module_utils.errors import NodewiseError

ARGUMENTS: dict[str, dict[str, Any]] = {
    "pythons": {"type": "list", "elements": "str", "default": list(PYTHONS)},
    "architectures": {"type": "list", "elements": "str", "required": True},
    **WHEELS,
    "export": {"type": "path"},
}


class ActionModule(ActionBase):
    """See the module's documentation."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Fill the cache, and a mirror."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec(argument_spec=ARGUMENTS)
        predict = self._task.check_mode
        request = WheelRequest(Path(args["cache"]), Path(args["wheel_folder"]) if args["wheel_folder"] else None, args["mirror"], args["index_url"])
        try:
            # One wheel may serve several Pythons and architectures.
            wanted = [wheel for python in args["pythons"] for arch in args["architectures"] for wheel in locked(python, arch)]
            wheels = list(dict.fromkeys(wanted))
            fetched = [wheel.filename for wheel in missing(request, wheels)]
            if not predict:
                obtain(request, wheels)
            exported = export_wheels(Path(args["export"]), request, wheels, predict) if args["export"] else []
        except NodewiseError as error:
            raise AnsibleActionFail(str(error)) from error
        changed = [*fetched, *exported]
        diff = {"before": "", "after": "".join(f"{name}\n" for name in changed), "after_header": "wheels"}
        return {**result, "changed": bool(changed), "fetched": fetched, "exported": exported, **({"diff": diff} if changed else {})}
