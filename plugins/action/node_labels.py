# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge the rules of node labels on the control machine where that is all that is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..module_utils.labels.arguments import ARGUMENTS
from ..module_utils.labels.rules import refuse
from ..plugin_utils.checked import CheckedAction


class ActionModule(CheckedAction):
    """See the module's documentation."""

    _arguments = ARGUMENTS

    def _judge(self, options: Mapping[str, Any]) -> None:
        refuse(options["rules"], options["node_names"], options["groups"])
