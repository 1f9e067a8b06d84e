#!/usr/bin/python
# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_node
short_description: Remove Nodes from a cluster
version_added: 1.0.0
description:
  - Runs on a control plane. Drains nodes if wanted, and deletes their Node objects.
  - It does nothing on the nodes' hosts; that is M(nodewise.cluster.kubeadm_reset).
extends_documentation_fragment:
  - nodewise.cluster._attributes
options:
  names:
    description: Names of the Nodes that shall not be in the cluster.
    type: list
    elements: str
    required: true
  drain:
    description:
      - Whether pods are evicted first. Pods of DaemonSets stay, data in C(emptyDir) volumes is lost.
      - A drain that does not end (a PodDisruptionBudget forbids it) is an error, and the Node stays, unschedulable.
    type: bool
    default: false
  drain_timeout:
    description: Seconds that the drain of one node may take.
    type: int
    default: 120
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
- name: Take w2 out of the cluster
  nodewise.cluster.kubeadm_node:
    names: [w2]
    drain: true
"""

RETURN = r"""
removed:
  description: Names of the Nodes that were deleted, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: [w2]
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import NodewiseError
from ..module_utils.kube.kubectl import Kubectl
from ..module_utils.kubeadm.nodes import list_nodes, remove_node


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "names": {"type": "list", "elements": "str", "required": True},
            "drain": {"type": "bool", "default": False},
            "drain_timeout": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    kubectl = Kubectl()
    try:
        present = list_nodes(kubectl)
        removed = [name for name in module.params["names"] if name in present]
        if not module.check_mode:
            for name in removed:
                remove_node(kubectl, name, module.params["drain_timeout"] if module.params["drain"] else 0)
    except NodewiseError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=bool(removed),
        removed=removed,
        diff={"before": "".join(f"{name}\n" for name in sorted(present)), "after": "".join(f"{name}\n" for name in sorted(set(present) - set(removed)))},
    )


if __name__ == "__main__":
    main()
