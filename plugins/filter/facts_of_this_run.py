# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter nodewise.cluster.facts_of_this_run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..plugin_utils.run import facts_of_this_run

DOCUMENTATION = r"""
name: facts_of_this_run
short_description: A host's facts, unless they are an earlier run's
version_added: 1.0.0
description:
  - Returns the facts that M(nodewise.cluster.host_facts) found in this run of Ansible, and nothing in place of those that Ansible has kept in its fact cache;
    a host that cannot be reached now may have changed since.
options:
  _input:
    description: The fact C(nodewise), or an empty dictionary.
    type: dict
    required: true
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
- name: Say which hosts are nodes now
  ansible.builtin.debug:
    msg: "{{ (ansible_facts['nodewise'] | default({}) | nodewise.cluster.facts_of_this_run).kubelet_conf | default(false) }}"
"""

RETURN = r"""
_value:
  description: The facts; empty if this run has not gathered them.
  type: dict
"""


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters of this file by name."""
        return {"facts_of_this_run": facts_of_this_run}
