# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge Calico on the control machine where that is all that is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..module_utils.calico.arguments import ARGUMENTS, REQUIRED_IF
from ..module_utils.calico.settings import settings_of
from ..plugin_utils.checked import CheckedAction


class ActionModule(CheckedAction):
    """See the module's documentation."""

    _arguments = ARGUMENTS
    _required_if = REQUIRED_IF

    def _judge(self, options: Mapping[str, Any]) -> None:
        settings_of(options)
