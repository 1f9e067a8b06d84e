# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one error the library raises for a person to read."""

from __future__ import annotations


class NodewiseError(Exception):
    """Something an operator must act on.

    Parameters
    ----------
    message : str
        One sentence that names the value and the place.
    remedy : str
        What to do about it; empty when the message already says so.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(f"{message} Remedy: {remedy}" if remedy else message)
        self.message = message
        self.remedy = remedy
