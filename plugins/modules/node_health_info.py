#!/usr/bin/python
# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_health_info
short_description: What a cluster's nodes and their NodeReports say is wrong
version_added: 1.0.0
description:
  - Runs once, wherever a kubeconfig is. Returns for each node its conditions and taints, and its NodeReport's conditions and
    figures with their age, also of a report that has expired.
  - What is used of a cluster, with the stale left out, is told by M(nodewise.cluster.cluster_resources_info).
extends_documentation_fragment:
  - nodewise.cluster._attributes.info
requirements:
  - python3-yaml
options:
  kubeconfig:
    description: The kubeconfig to use, with a client certificate or a token. Its user must be allowed to list nodes and nodereports.
    type: path
    default: /etc/kubernetes/admin.conf
  timeout:
    description: Seconds that the API server may take for one request.
    type: int
    default: 30
seealso:
  - module: nodewise.cluster.cluster_resources_info
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
- name: Ask what is wrong
  nodewise.cluster.node_health_info:
  register: health

- name: Show the nodes of which there is no current report
  ansible.builtin.debug:
    msg: "{{ health.nodes | rejectattr('report', 'none') | selectattr('report.fault') | map(attribute='name') }}"
"""

RETURN = r"""
nodes:
  description: The nodes, by name. Null if they cannot be read.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the Node.
      type: str
    conditions:
      description: The Node's conditions, each with C(type), C(status), C(reason), C(message) and C(since) (RFC 3339).
      type: list
      elements: dict
    taints:
      description: The Node's taints, each with C(key), C(value) and C(effect).
      type: list
      elements: dict
    report:
      description:
        - Its NodeReport with C(observed_at) and C(expires_at) (RFC 3339), C(age_seconds) by the API server's clock, C(fault) (why it says
          nothing any more, empty if it does), C(used) of V(cpu) in millicores and of V(memory) and V(ephemeral-storage) in bytes, C(disk_percent)
          (of the fullest filesystem) and C(conditions).
        - Null if there is none, or if RV(errors) says that they cannot be read.
      type: dict
  sample:
    - name: w1
      conditions: [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "", "since": "2026-11-25T16:40:01Z"}]
      taints: [{"key": "nodewise.dev/overloaded", "value": "cpu", "effect": "PreferNoSchedule"}]
      report:
        observed_at: "2026-11-25T17:20:56.669193Z"
        expires_at: "2026-11-25T17:23:56Z"
        age_seconds: 14.2
        fault: ""
        used: {"cpu": 1830, "memory": 412876800, "ephemeral-storage": 39765688320}
        disk_percent: 41
        conditions:
          - {"type": "CPUOverloaded", "status": "True", "reason": "AboveThreshold", "message": "CPU 92 %", "since": "2026-11-25T17:18:01Z"}
errors:
  description: What could not be read, and why.
  returned: success
  type: dict
  sample: {"nodereports": "the API server does not serve it (HTTP 404)"}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.api.client import ApiClient
from ..module_utils.errors import NodewiseError
from ..module_utils.health.reading import read_health


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "kubeconfig": {"type": "path", "default": "/etc/kubernetes/admin.conf"},
            "timeout": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    if module.params["timeout"] < 1:
        module.fail_json(msg=f"timeout is {module.params['timeout']}. Remedy: give a whole number, at least 1.")
    try:
        health = read_health(ApiClient(module.params["kubeconfig"], module.params["timeout"]))
    except NodewiseError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, nodes=health.nodes, errors=health.errors)


if __name__ == "__main__":
    main()
