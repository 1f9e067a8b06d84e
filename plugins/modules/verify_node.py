#!/usr/bin/python
# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: verify_node
short_description: What a node's own host says about its runtime, kubelet, CNI files and DNS
version_added: 1.0.0
description:
  - Asks the container runtime, the kubelet, the CNI configuration and the cluster's DNS from the host itself, and judges each answer.
  - Needs no right in the cluster. M(nodewise.cluster.verify_cluster) compares these readings with what the API server says.
  - A reading that could not be taken is V(unknown), never a success. The module does not fail for a bad result; look at RV(verdict).
extends_documentation_fragment:
  - nodewise.cluster._attributes
  - nodewise.cluster._attributes.info
options:
  node:
    description: Name of the Node that this host is. Without it, the host's name in lower case.
    type: str
    default: ""
  cri_socket:
    description: Endpoint of the container runtime. Empty means containerd's.
    type: str
    default: ""
  timeout:
    description:
      - Seconds to read again as long as a check is not ok, for a node that is still starting.
      - V(0) reads once.
    type: int
    default: 0
requirements:
  - crictl, and python3-yaml, on the host
seealso:
  - module: nodewise.cluster.verify_cluster
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
---
- name: Ask each host
  nodewise.cluster.verify_node:
  register: result

- name: Stop at a host that is not well
  ansible.builtin.assert:
    that: result.verdict == 'pass'
"""

RETURN = r"""
node:
  description: Name of the Node.
  returned: success
  type: str
verdict:
  description: V(pass), or V(fail) if a check failed or could not be made.
  returned: success
  type: str
checks:
  description: Each check's result.
  returned: success
  type: list
  elements: dict
  contains:
    check:
      description: Name of the check.
      type: str
      sample: runtime.network
    node:
      description: Name of the Node.
      type: str
    status:
      description: V(ok), V(warn), V(fail) or V(unknown).
      type: str
    expected:
      description: What should be.
      type: str
    observed:
      description: What is.
      type: str
    hint:
      description: Where to look next.
      type: str
reading:
  description: Each reading as C(value), or C(error) if it could not be taken.
  returned: success
  type: dict
"""

import platform
import time

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.verify.crictl import DEFAULT_SOCKET, Crictl
from ..module_utils.verify.dns import ask
from ..module_utils.verify.host import host_checks, read_host
from ..module_utils.verify.result import verdict


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "node": {"type": "str", "default": ""},
            "cri_socket": {"type": "str", "default": ""},
            "timeout": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    node = module.params["node"] or platform.node().lower()
    crictl = Crictl(module.params["cri_socket"] or DEFAULT_SOCKET)
    deadline = time.monotonic() + module.params["timeout"]
    while True:
        reading = read_host(crictl, ask)
        checks = host_checks(node, reading, time.time())
        if verdict(checks, [node]) == "pass" or time.monotonic() >= deadline:
            break
        time.sleep(1)
    module.exit_json(
        changed=False,
        node=node,
        verdict=verdict(checks, [node]),
        checks=[check.to_dict() for check in checks],
        reading={name: {"value": item.value, "error": item.error} for name, item in reading.items()},
    )


if __name__ == "__main__":
    main()
