# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Obtain and send the wheels and the code that the module C(autoscaler) finds missing on a host, and have it go on."""

from __future__ import annotations

from .reporter import ActionModule as _Sender


class ActionModule(_Sender):
    """As for the reporter."""

    _module = "nodewise.cluster.autoscaler"
