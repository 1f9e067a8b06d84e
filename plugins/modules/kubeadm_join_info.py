#!/usr/bin/python
# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_join_info
short_description: What hosts must do to be workers of a cluster
version_added: 1.0.0
description:
  - Runs on a control plane. Compares what hosts show of themselves with the Nodes that the API server knows, and says for each host
    whether it is a node already, must join, or cannot.
  - Fails if a host that must join has a kubelet which is newer than the API server, or more than three minor versions older.
  - Where no cluster is yet, which is so in check mode on bare hosts, every host would join.
extends_documentation_fragment:
  - nodewise.cluster._attributes.info
options:
  cluster_name:
    description: Name of the cluster.
    type: str
    required: true
  hosts:
    description: What the hosts show, as the facts of M(nodewise.cluster.host_facts) have it.
    type: list
    elements: dict
    required: true
    suboptions:
      node_name:
        description: Name of the Node that the host is or shall be.
        type: str
        required: true
      machine_id:
        description: Content of its V(/etc/machine-id).
        type: str
        required: true
      kubelet_conf:
        description: Whether V(/etc/kubernetes/kubelet.conf) is there.
        type: bool
        required: true
      admin_conf:
        description: Whether V(/etc/kubernetes/admin.conf) is there.
        type: bool
        required: true
      kubeadm_state:
        description: Content of V(/var/lib/nodewise/state/kubeadm.json), empty if there is none.
        type: dict
        default: {}
      kubelet_version:
        description: Version of the kubelet that the host has, or has when it joins. Empty if that is not known; it is not judged then.
        type: str
        default: ""
seealso:
  - module: nodewise.cluster.kubeadm_join
  - module: nodewise.cluster.kubeadm_token
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
- name: Must the hosts w1 and w2 join?
  nodewise.cluster.kubeadm_join_info:
    cluster_name: nodewise
    hosts:
      - {node_name: w1, machine_id: 0f4d3533, kubelet_conf: true, admin_conf: false, kubeadm_state: {phase: joined, node_name: w1, cluster_name: nodewise}}
      - {node_name: w2, machine_id: 4c4c4544, kubelet_conf: false, admin_conf: false}
  register: join_info

- name: Only w2 must
  ansible.builtin.assert:
    that: join_info.joining == ["w2"]
"""

RETURN = r"""
plans:
  description: For each node name what its host must do.
  returned: success
  type: dict
  contains:
    action:
      description:
        - V(none) if it is a node. V(join) if it must join. V(rejoin) if an earlier join did not end. V(record) if it did end, and only the
          host's record does not say so. V(refuse) if RV(plans.reason) forbids that it joins.
      type: str
    reason:
      description: Why.
      type: str
    node:
      description: The Node of that name, or null. It has the keys C(name), C(ready), C(provider_id) and C(machine_id).
      type: dict
  sample: {"w2": {"action": "join", "reason": "it has no /etc/kubernetes/kubelet.conf", "node": null}}
joining:
  description: Names of the nodes whose hosts need a token to join.
  returned: success
  type: list
  elements: str
  sample: ["w2"]
obsolete:
  description: Names of Nodes that an earlier life of a host left behind, and that must be deleted before it joins.
  returned: success
  type: list
  elements: str
  sample: []
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import NodewiseError
from ..module_utils.kube.kubectl import ADMIN_KUBECONFIG, Kubectl
from ..module_utils.kubeadm.nodes import Node, api_server_version, list_nodes
from ..module_utils.kubeadm.plan import HostView, check_kubelets, plan_join
from ..module_utils.kubeadm.state import HostState


def main() -> None:
    host_options = {
        "node_name": {"type": "str", "required": True},
        "machine_id": {"type": "str", "required": True},
        "kubelet_conf": {"type": "bool", "required": True},
        "admin_conf": {"type": "bool", "required": True},
        "kubeadm_state": {"type": "dict", "default": {}},
        "kubelet_version": {"type": "str", "default": ""},
    }
    module = AnsibleModule(
        argument_spec={
            "cluster_name": {"type": "str", "required": True},
            "hosts": {"type": "list", "elements": "dict", "required": True, "options": host_options},
        },
        supports_check_mode=True,
    )
    names = [host["node_name"] for host in module.params["hosts"]]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        module.fail_json(msg=f"More than one host shall be the Node {', '.join(twice)}. Remedy: give each host its own nodewise_node_name.")
    nodes: dict[str, Node] = {}
    kubectl = Kubectl()
    there = os.path.exists(ADMIN_KUBECONFIG) or not module.check_mode
    try:
        if there:
            nodes = list_nodes(kubectl)
        plans = {
            host["node_name"]: plan_join(
                HostView(HostState.from_dict(host["kubeadm_state"]), host["kubelet_conf"], host["admin_conf"], host["machine_id"]),
                nodes.get(host["node_name"]),
                host["node_name"],
                module.params["cluster_name"],
            )
            for host in module.params["hosts"]
        }
        joining = [name for name, plan in plans.items() if plan.action in ("join", "rejoin")]
        if there and joining:
            versions = {host["node_name"]: host["kubelet_version"] for host in module.params["hosts"]}
            check_kubelets({name: versions[name] for name in joining}, api_server_version(kubectl))
    except NodewiseError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=False,
        plans={
            name: {"action": plan.action, "reason": plan.reason, "node": nodes[name].as_dict() if name in nodes and not plan.forget else None}
            for name, plan in plans.items()
        },
        joining=joining,
        obsolete=[name for name, plan in plans.items() if plan.forget],
    )


if __name__ == "__main__":
    main()
