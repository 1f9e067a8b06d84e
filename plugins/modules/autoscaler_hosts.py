#!/usr/bin/python
# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: autoscaler_hosts
short_description: The hosts as the autoscaler's provider has to know them
version_added: 1.0.0
description:
  - Returns, on a control-plane host, the groups for M(nodewise.cluster.autoscaler). What a host will give away as a Node is its capacity less what the
    KubeletConfiguration reserves with which it joins.
  - Writes the host keys that Ansible has read over its own connection into the provider's C(known_hosts), which has these hosts and no others.
  - A host that could not be asked in this run keeps its host key and what the provider's configuration has of it; one that was never asked is left out.
  - Refuses hosts whose Node has another providerID.
extends_documentation_fragment:
  - nodewise.cluster._attributes
  - nodewise.cluster._kubectl
options:
  groups:
    description: What filter P(nodewise.cluster.autoscaler_groups#filter) returns.
    type: dict
    required: true
  hosts:
    description:
      - By inventory name, what M(nodewise.cluster.standby) returned as C(capacity) and C(host_key), with C(address) and C(arch), and if there are any
        C(power_on), C(power_off) and C(power_timeout_seconds).
      - A host that was not asked is missing.
    type: dict
    required: true
  known_hosts:
    description: The provider's file of host keys.
    type: path
    default: /etc/nodewise/autoscaler/known_hosts
  config:
    description: The provider's configuration as it is.
    type: path
    default: /etc/nodewise/autoscaler.json
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
- name: Bring together what is known of the standby hosts
  nodewise.cluster.autoscaler_hosts:
    groups: "{{ {'standby': {'min': 0, 'max': 1}} | nodewise.cluster.autoscaler_groups(groups, {'s1': 's1'}, 'nodewise') }}"
    hosts:
      s1:
        address: 192.0.2.31
        arch: amd64
        capacity: "{{ hostvars['s1']['standby'].capacity }}"
        host_key: "{{ hostvars['s1']['standby'].host_key }}"
"""

RETURN = r"""
groups:
  description: The groups as the provider's configuration has them.
  returned: success
  type: dict
  sample: {"standby": {"min": 0, "max": 1, "labels": {}, "taints": [], "hosts": {"s1": {"address": "192.0.2.31", "provider_id": "nodewise://nodewise/s1"}}}}
left_out:
  description: Hosts that have never been asked and are in no group yet.
  returned: success
  type: list
  elements: str
  sample: []
"""

import json
import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.cluster_autoscaler.hosts import build_groups, check_nodes
from ..module_utils.errors import NodewiseError
from ..module_utils.files import read_text
from ..module_utils.kube.arguments import KUBECTL
from ..module_utils.kube.kubectl import Kubectl
from ..module_utils.kubeadm.nodes import list_nodes
from ..module_utils.kubelet.cluster import read_kubelet_config
from ..module_utils.standby.keys import known_hosts
from ..module_utils.systemd.unit import ManagedFile, apply_changes, file_changes


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "groups": {"type": "dict", "required": True},
            "hosts": {"type": "dict", "required": True},
            "known_hosts": {"type": "path", "default": "/etc/nodewise/autoscaler/known_hosts"},
            "config": {"type": "path", "default": "/etc/nodewise/autoscaler.json"},
            **KUBECTL,
        },
        supports_check_mode=True,
    )
    try:
        _run(module)
    except NodewiseError as error:
        module.fail_json(msg=str(error))


def _run(module: AnsibleModule) -> None:
    options = module.params
    kubectl = Kubectl(options["kubeconfig"], options["kubectl"])
    # A cluster that is not there yet is predicted with the kubelet's own defaults.
    predict = module.check_mode and not os.path.exists(options["kubeconfig"])
    result = build_groups(options["groups"], options["hosts"], _before(options["config"]), {} if predict else read_kubelet_config(kubectl))
    check_nodes(result.groups, {} if predict else list_nodes(kubectl))
    text = known_hosts(read_text(options["known_hosts"]) or "", result.host_keys)
    changes = file_changes([ManagedFile(options["known_hosts"], text, mode=0o600)])
    if not module.check_mode:
        apply_changes(changes)
    for name in result.left_out:
        module.warn(f"{name} was not reached and never has been, so the autoscaler does not know it yet. Remedy: run site.yml again when it answers.")
    module.exit_json(changed=bool(changes), groups=result.groups, left_out=result.left_out, diff=[change.as_diff() for change in changes])


def _before(path: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(read_text(path) or "{}").get("groups", {})
    except ValueError as error:
        raise NodewiseError(f"{path} is not JSON: {error}.", "remove it; it is written anew, with the hosts that answer") from error
    return found


if __name__ == "__main__":
    main()
