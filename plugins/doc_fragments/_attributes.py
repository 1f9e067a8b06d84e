# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attributes every module of the collection states; PRIVATE to the collection."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation fragment C(nodewise.cluster._attributes)."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and predicts the result without changing the target.
    support: full
  diff_mode:
    description: Returns what was changed, or would be, when in diff mode.
    support: full
  idempotent:
    description: A second run with the same options and an unchanged target reports no change.
    support: full
"""

    INFO = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode); it only reads.
    support: full
  diff_mode:
    description: Returns what was changed, or would be, when in diff mode.
    support: N/A
    details: It changes nothing.
  idempotent:
    description: A second run with the same options and an unchanged target reports no change.
    support: full
"""
