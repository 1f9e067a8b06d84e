# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter nodewise.cluster.autoscaler_groups."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils.cluster_autoscaler.groups import check_groups
from ..module_utils.errors import NodewiseError

DOCUMENTATION = r"""
name: autoscaler_groups
short_description: The autoscaler's node groups, checked and made whole
version_added: 1.0.0
description:
  - Fails with every mistake at once. Each group must be one of the inventory, with hosts that are in C(standby), in no other group of the autoscaler, and
    in neither C(control_plane) nor C(workers); 0 <= min <= max <= hosts; labels and taints are such as a kubelet may register with.
options:
  _input:
    description: By inventory group, C(min), C(max), C(labels) and C(taints). What is left out is 0, all hosts, and none.
    type: dict
    required: true
  inventory:
    description: The inventory's hosts by group.
    type: dict
    required: true
  node_names:
    description: Name of the Node that a host becomes, by inventory name.
    type: dict
    required: true
  cluster_name:
    description: Name of the cluster, of which with the Node's name the providerID is made.
    type: str
    required: true
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
- name: Check the autoscaler's groups
  ansible.builtin.set_fact:
    checked: "{{ {'standby': {'max': 1}} | nodewise.cluster.autoscaler_groups(groups, {'s1': 's1'}, 'nodewise') }}"
"""

RETURN = r"""
_value:
  description: By group, C(min), C(max), C(labels), C(taints) and C(hosts), the latter with C(node_name) and C(provider_id).
  type: dict
"""


def autoscaler_groups(groups: Any, inventory: Mapping[str, Sequence[str]], node_names: Mapping[str, str], cluster_name: str) -> dict[str, Any]:
    """Return the groups; see DOCUMENTATION."""
    try:
        return check_groups(groups, inventory, node_names, cluster_name)
    except NodewiseError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """The collection's filter."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filter by name."""
        return {"autoscaler_groups": autoscaler_groups}
