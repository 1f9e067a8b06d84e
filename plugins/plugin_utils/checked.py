# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules whose options can be judged where no host is: with O(state=checked) nothing is sent to one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from ansible.plugins.action import ActionBase

from ..module_utils.errors import NodewiseError


class CheckedAction(ActionBase):
    """Judge the options on the control machine if that is all that is asked for, else run the module of the same name on the host."""

    _supports_check_mode = True
    _arguments: Mapping[str, Any]
    _required_if: Sequence[tuple[Any, ...]] = ()

    @abstractmethod
    def _judge(self, options: Mapping[str, Any]) -> None:
        """Raise NodewiseError with all that is wrong with the options."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the action."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        if self._task.args.get("state") != "checked":
            result.update(self._execute_module(task_vars=task_vars))
            return result
        _validation, options = self.validate_argument_spec(argument_spec=self._arguments, required_if=self._required_if)
        try:
            self._judge(options)
        except NodewiseError as error:
            return {**result, "failed": True, "msg": str(error)}
        return {**result, "changed": False, "actions": []}
