#!/usr/bin/python
# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_labels
short_description: Labels and taints of all Nodes of a cluster
version_added: 1.0.0
description:
  - Brings the labels and taints of all Nodes to what rules over inventory hosts and groups say, in one call.
  - Runs on a control-plane host, which has C(kubectl) and C(/etc/kubernetes/admin.conf).
  - What an earlier run set and the rules no longer say is removed, from every Node. What others set is never changed.
    What is ours is noted in the annotation C(nodewise.dev/node-labels) of each Node.
  - A label or taint that is on a Node already, with the wanted value, stays that of whoever set it; with another value it is an error.
extends_documentation_fragment:
  - nodewise.cluster._attributes
options:
  rules:
    description:
      - The rules, in order. A later one wins over an earlier one for the same label of a Node, and for the same taint and effect.
      - Without rules, only what was set before is removed.
    type: list
    elements: dict
    default: []
    suboptions:
      hosts:
        description: Hosts and groups of the inventory.
        type: list
        elements: str
        required: true
      labels:
        description:
          - Values by key. A value that looks like a number or a truth value needs quotes.
          - Keys of C(kubernetes.io) and C(k8s.io) are refused, but for C(topology.kubernetes.io/), C(node-restriction.kubernetes.io/)
            and roles (C(node-role.kubernetes.io/)) other than kubeadm's; so are those of C(nodewise.dev).
        type: dict
      taints:
        description: Taints. Keys of C(kubernetes.io), C(k8s.io), C(nodewise.dev) and the cluster autoscaler are refused.
        type: list
        elements: dict
        suboptions:
          key:
            description: Its key.
            type: str
            required: true
          value:
            description: Its value, a text. One that looks like a number or a truth value needs quotes.
            type: raw
            default: ""
          effect:
            description: What becomes of pods that do not tolerate it. V(NoExecute) evicts those that run.
            type: str
            choices: [NoSchedule, PreferNoSchedule, NoExecute]
            required: true
  node_names:
    description: Name of its Node by inventory host. Hosts that are not in it are no Nodes.
    type: dict
    required: true
  groups:
    description: Inventory hosts by group.
    type: dict
    default: {}
  required:
    description:
      - Names of Nodes that must be there if a rule names them.
        If one is missing the others are brought to what is wanted all the same, and then the module fails. In check mode they are taken for new.
      - Other Nodes that are missing are passed over.
    type: list
    elements: str
    default: []
  state:
    description: V(checked) looks at the rules only, and needs no cluster.
    type: str
    choices: [present, checked]
    default: present
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
- name: Label workers, and keep one for builds
  nodewise.cluster.node_labels:
    rules:
      - hosts: [workers]
        labels:
          qos.user.cattle.io/qosclass: besteffort
      - hosts: [w2]
        labels:
          qos.user.cattle.io/qosclass: guaranteed
        taints:
          - key: example.com/builds
            effect: NoSchedule
    node_names: {w1: w1, w2: w2}
    groups:
      workers: [w1, w2]
    required: [w1, w2]
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: ["set label qos.user.cattle.io/qosclass=besteffort on w1"]
missing:
  description: Nodes of O(required) that a rule names and that are not in the cluster.
  returned: O(state=present), but if the rules are wrong
  type: list
  elements: str
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import NodewiseError
from ..module_utils.kube.host import lacking
from ..module_utils.kube.kubectl import Kubectl
from ..module_utils.labels.arguments import ARGUMENTS
from ..module_utils.labels.cluster import carry_out, make_plan, read_nodes
from ..module_utils.labels.rules import refuse, wanted_marks


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        _run(module)
    except NodewiseError as error:
        module.fail_json(msg=str(error))


def _run(module: AnsibleModule) -> None:
    inventory = (module.params["rules"], module.params["node_names"], module.params["groups"])
    refuse(*inventory)
    if module.params["state"] == "checked":
        module.exit_json(changed=False, actions=[], missing=[])
    missing = lacking(module.check_mode)
    wanted = wanted_marks(*inventory)
    nodes = {} if missing else read_nodes(Kubectl())
    plan = make_plan(nodes, wanted, module.params["required"], predict=module.check_mode)
    if not module.check_mode:
        carry_out(Kubectl(), plan, wanted)
    result = {"changed": bool(plan.changes), "actions": plan.actions(), "diff": plan.diff(), "missing": plan.missing}
    if plan.missing and not module.check_mode:
        told = f"The cluster has no Node {', '.join(plan.missing)}, which the rules of node labels name. The other Nodes are as the rules say."
        module.fail_json(msg=str(NodewiseError(told, "join these hosts (playbook site), or drop them from the rules or the inventory")), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
