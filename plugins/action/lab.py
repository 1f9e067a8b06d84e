# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action nodewise.cluster.lab: runs on the control machine, and shows what it is doing."""

from __future__ import annotations

import os
import re
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..module_utils.errors import NodewiseError
from ..plugin_utils.lab.lab import Lab, parse_hosts

_ARGUMENTS: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "directory": {"type": "path", "required": True},
    "subnet": {"type": "str", "required": True},
    "hosts": {"type": "dict", "default": {}},
    "cache": {"type": "path", "default": "~/.cache/nodewise/lab"},
}


class ActionModule(ActionBase):
    """See the module's documentation."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Bring the lab to the state asked for."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec(argument_spec=_ARGUMENTS)
        try:
            result.update(self._work(args))
        except NodewiseError as error:
            raise AnsibleActionFail(str(error)) from error
        return result

    def _work(self, args: dict[str, Any]) -> dict[str, Any]:
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,19}", args["name"]):
            raise NodewiseError(f"{args['name']!r} is no name for a lab.", "use at most 20 of a-z, 0-9 and -, beginning with a letter")
        if os.geteuid() != 0:
            raise NodewiseError("A lab needs root: its hosts are privileged containers.", "run as root, or with sudo")
        display = Display()
        lab = Lab(args["name"], os.path.abspath(args["directory"]), args["subnet"], args["cache"], report=lambda line: display.display(f"  {line}"))
        if args["state"] == "absent":
            changed = lab.leftovers()
            if changed and not self._task.check_mode:
                lab.down()
            return {"changed": changed}
        hosts = parse_hosts(args["hosts"])
        plan = lab.plan(hosts) if self._task.check_mode else lab.up(hosts)
        return {"changed": bool(plan), "removed": plan.remove, "created": plan.create, "started": plan.start}
