#!/usr/bin/python
# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubelet_config
short_description: The kubelet's configuration, of the cluster or of one node
version_added: 1.0.0
description:
  - Lays the wanted fields over a KubeletConfiguration (C(kubelet.config.k8s.io/v1beta1)) and removes those that this module set
    before and that are no longer wanted. Fields of others, kubeadm's above all, stay.
  - With O(scope=cluster) that is the ConfigMap C(kube-system/kubelet-config), from which kubeadm configures nodes that join.
    Run it on a control-plane host.
  - With O(scope=node) it is C(/var/lib/kubelet/config.yaml). The kubelet is restarted if it has to be, the module waits until it is
    healthy and its Node Ready, and puts the old file back if it does not return.
  - Before a node is touched its own kubelet program reads the new configuration together with the host's flags and judges it, in check mode too.
  - Whether a kubelet owes a restart is read from the host. It does if its configuration, its program, its unit or its flags changed
    after it started. A run that was killed at any point is finished, or undone, by the next one.
extends_documentation_fragment:
  - nodewise.cluster._attributes
options:
  scope:
    description: Which copy to bring up to date.
    type: str
    choices: [cluster, node]
    required: true
  configuration:
    description:
      - The wanted fields of a KubeletConfiguration, as filter P(nodewise.cluster.kubelet_configuration#filter) builds them.
      - A name that is no field, a wrong type or an impossible value is refused.
    type: dict
    required: true
  kubernetes_version:
    description: The version of the kubelet. Fields that it does not know yet are refused. Without it, fields of every version are let through.
    type: str
    default: ""
  base:
    description:
      - Only for O(scope=node). The cluster's configuration, as RV(configuration) of O(scope=cluster) gives it. A field that is no longer wanted
        goes back to its value there.
      - Without it such a field is removed, except those that kubeadm always sets, which then stay.
    type: dict
    default: {}
  last:
    description:
      - Only for O(scope=node). What was wanted of the cluster's configuration before, as RV(last) of O(scope=cluster) gives it. A node that has joined with
        a field of it that is no longer wanted loses that field, too.
    type: dict
    default: {}
  node_name:
    description: Name of the Node. Needed for O(scope=node).
    type: str
  plan:
    description:
      - Only compare, and say in RV(differs) whether there is something to do.
      - Which fields are ours is recorded nevertheless, if that is all there is to do.
    type: bool
    default: false
  timeout:
    description: Seconds that a restarted kubelet has to return.
    type: int
    default: 180
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
- name: Change the configuration that joining nodes get
  nodewise.cluster.kubelet_config:
    scope: cluster
    configuration:
      maxPods: 150
  delegate_to: "{{ groups['control_plane'][0] }}"
  run_once: true

- name: Change the nodes one at a time
  nodewise.cluster.kubelet_config:
    scope: node
    node_name: "{{ inventory_hostname }}"
    configuration:
      maxPods: 150
  throttle: 1
"""

RETURN = r"""
actions:
  description: What was done; in check mode, or with O(plan=true), what would be.
  returned: success
  type: list
  elements: str
  sample: ["write /var/lib/kubelet/config.yaml", "restart kubelet.service"]
configuration:
  description: The whole configuration as it is afterwards (in check mode, or with O(plan=true), as it would be).
  returned: success
  type: dict
  sample: {"cgroupDriver": "systemd", "maxPods": 150}
last:
  description: What this module was asked for the last time.
  returned: with O(scope=cluster), if the cluster is there
  type: dict
  sample: {"maxPods": 110}
differs:
  description: Whether something had to be done, other than recording which fields are ours.
  returned: success
  type: bool
reasons:
  description: Why the kubelet owed a restart; empty if it did not.
  returned: success
  type: list
  elements: str
  sample: ["/var/lib/kubelet/config.yaml changes"]
"""

import os
from contextlib import nullcontext
from importlib.util import find_spec
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ..module_utils.errors import NodewiseError
from ..module_utils.kube.kubectl import ADMIN_KUBECONFIG, Kubectl
from ..module_utils.kubeadm.state import exclusive
from ..module_utils.kubelet.cluster import apply_cluster, plan_cluster
from ..module_utils.kubelet.configuration import check_configuration
from ..module_utils.kubelet.health import Health
from ..module_utils.kubelet.node import Paths, apply_node, overriding_flags, plan_node, record
from ..module_utils.systemd.systemctl import Systemd


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "scope": {"type": "str", "choices": ["cluster", "node"], "required": True},
            "configuration": {"type": "dict", "required": True},
            "kubernetes_version": {"type": "str", "default": ""},
            "base": {"type": "dict", "default": {}},
            "last": {"type": "dict", "default": {}},
            "node_name": {"type": "str"},
            "plan": {"type": "bool", "default": False},
            "timeout": {"type": "int", "default": 180},
        },
        required_if=[("scope", "node", ["node_name"])],
        supports_check_mode=True,
    )
    if find_spec("yaml") is None:
        module.fail_json(msg=missing_required_lib("PyYAML"))
    options = module.params
    paths = Paths()
    needed = ADMIN_KUBECONFIG if options["scope"] == "cluster" else paths.config
    if module.check_mode and not os.path.exists(needed):
        # kubeadm will write both from this configuration; that is its task's prediction.
        module.exit_json(changed=False, differs=False, actions=[], reasons=[], configuration=options["configuration"])
    try:
        wanted = check_configuration(options["configuration"], options["kubernetes_version"])
        if options["scope"] == "cluster":
            result = _cluster(module, wanted)
        else:
            # Not beside a kubeadm: a standby host may be about to leave.
            with nullcontext() if options["plan"] or module.check_mode else exclusive():
                result = _node(module, wanted, paths)
    except NodewiseError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


def _cluster(module: AnsibleModule, wanted: dict[str, Any]) -> dict[str, Any]:
    kubectl = Kubectl()
    plan = plan_cluster(kubectl, wanted)
    pending = plan.differs or not plan.recorded
    act = pending and not module.check_mode and not (plan.differs and module.params["plan"])
    if act:
        apply_cluster(kubectl, plan)
    return {
        "changed": act or (pending and module.check_mode),
        "differs": plan.differs,
        "actions": plan.actions(),
        "reasons": [],
        "configuration": plan.merged,
        "last": plan.last,
        "diff": plan.diff(),
    }


def _node(module: AnsibleModule, wanted: dict[str, Any], paths: Paths) -> dict[str, Any]:
    systemd = Systemd()
    plan = plan_node(wanted, module.params["base"], systemd, paths, module.params["last"])
    for line in overriding_flags(wanted, paths):
        module.warn(line)
    pending = plan.differs or not plan.recorded
    act = pending and not module.check_mode and not (plan.differs and module.params["plan"])
    if act and plan.differs:
        apply_node(plan, systemd, Health(module.params["node_name"]), paths, module.params["timeout"])
    elif act:
        record(plan, paths)
    return {
        "changed": act or (pending and module.check_mode),
        "differs": plan.differs,
        "actions": plan.actions(),
        "reasons": plan.reasons,
        "configuration": plan.merged,
        "diff": plan.diff(),
    }


if __name__ == "__main__":
    main()
