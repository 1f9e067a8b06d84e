# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the module host_facts, compare the host's clock with the controller's, and say of which run the facts are."""

from __future__ import annotations

import time
from typing import Any

from ansible.plugins.action import ActionBase

from ..module_utils.host.model import Clock
from ..plugin_utils.run import this_run


class ActionModule(ActionBase):
    """See the module's documentation."""

    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module; the host read its clock at some moment between sending and receiving."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        sent = time.time()
        result.update(self._execute_module(module_name="nodewise.cluster.host_facts", module_args=self._task.args, task_vars=task_vars))
        received = time.time()
        facts = result.get("ansible_facts", {}).get("nodewise")
        if facts:
            facts["clock"] = Clock(offset=facts["time"] - (sent + received) / 2, uncertainty=(received - sent) / 2)
            facts["run"] = this_run()
        return result
