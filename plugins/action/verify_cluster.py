# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run module verify_cluster on its host, and show and keep its result on the control machine."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.nodewise.cluster.plugins.module_utils.files import write_atomic
from ansible_collections.nodewise.cluster.plugins.module_utils.verify import table
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.result import counts, judged

display = Display()


class ActionModule(ActionBase):
    """Print the table, write the files, and fail if the verdict is to fail."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the module's result, shortened unless details are asked for."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        result.update(self._execute_module(module_name="nodewise.cluster.verify_cluster", task_vars=task_vars))
        if "checks" not in result:  # The module itself failed, or its host was not reached.
            return result
        report = table.Report.from_dict(result)
        display.display(f"\n{table.text(report)}\n")
        for option, content in (("json", table.as_json), ("junit", table.as_junit)):
            # A run in check mode verifies less, so it does not take the place of what an earlier one found.
            if self._task.args.get(option) and not self._task.check_mode:
                _write(self._task.args[option], content(report))
        # As the module takes it; its result tells of its arguments no more (ansible-core 2.21).
        kept = ("checks", "nodes") if boolean(self._task.args.get("details", False)) else ()
        for key in {"cluster_name", "scope", "seconds", "checks", "nodes"}.difference(kept):
            del result[key]
        result.update(verdict=report.verdict, summary=counts(judged(report.results, report.scope)), failed=report.verdict != "pass")
        result["msg"] = table.summary(report)
        return result


def _write(path: str, content: str) -> None:
    """Write a file of the control machine, making its folder; whoever reads it meanwhile sees the old or the new one."""
    target = Path(os.path.expanduser(path))
    try:
        if target.exists() and not target.is_file():  # /dev/stdout, a pipe
            target.write_text(content, encoding="utf-8")
        else:
            # A link stays one.
            write_atomic(os.path.realpath(target), content, _mode(target))
    except OSError as error:
        raise AnsibleActionFail(f"The verification's result cannot be written to {path}: {error.strerror}") from error


def _mode(target: Path) -> int:
    """Return the mode that the file has, or that a new one gets."""
    if target.exists():
        return stat.S_IMODE(target.stat().st_mode)
    mask = os.umask(0o077)
    os.umask(mask)
    return 0o666 & ~mask
