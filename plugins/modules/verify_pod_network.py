#!/usr/bin/python
# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: verify_pod_network
short_description: Try the pod network from inside a node's test pods
version_added: 1.0.0
description:
  - Enters the network namespaces of this node's test pods, which M(nodewise.cluster.verify_test_pods) started, runs a TCP server in each,
    and tries the paths of one phase from there and from the host.
  - The test pods hold only the pause image. Servers and clients are the host's Python.
  - A path is tried until it is as it must be or O(timeout) has passed, for a network policy takes a moment to be programmed,
    and CoreDNS a minute at the most to watch an API server again that was away.
  - The module does not fail for a bad result, nor if the pods cannot be entered; then its checks are V(unknown).
extends_documentation_fragment:
  - nodewise.cluster._attributes
  - nodewise.cluster._attributes.info
options:
  session:
    description: What M(nodewise.cluster.verify_test_pods) returned as RV(nodewise.cluster.verify_test_pods#module:session).
    type: dict
    required: true
  phase:
    description:
      - V(serve) only starts the servers. All nodes must have done so before any goes on.
      - V(open) expects every path between pods, to the service and to the DNS to work.
      - V(restricted) expects only pods with the friend's label to reach each other.
      - V(reopened) expects every path between pods to work again.
    type: str
    choices: [serve, open, restricted, reopened]
    required: true
  node:
    description: Name of the Node that this host is. Without it, the host's name in lower case.
    type: str
    default: ""
  cri_socket:
    description: Endpoint of the container runtime. Empty means containerd's.
    type: str
    default: ""
  timeout:
    description: Seconds that paths may take to become as they must be.
    type: int
    default: 75
  life:
    description: Seconds after which a test server ends by itself. It ends earlier with its pod.
    type: int
    default: 300
  peers:
    description: How many other nodes are probed at most. On a larger cluster each node probes the next ones by name.
    type: int
    default: 16
requirements:
  - crictl on the host
seealso:
  - module: nodewise.cluster.verify_test_pods
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
---
- name: Try all paths while no policy is there
  nodewise.cluster.verify_pod_network:
    session: "{{ test_pods.session }}"
    phase: open
  register: result
"""

RETURN = r"""
verdict:
  description: V(pass), or V(fail) if a check failed or could not be made. A phase without checks passes.
  returned: success
  type: str
checks:
  description: Each check's result, as M(nodewise.cluster.verify_node) returns them.
  returned: success
  type: list
  elements: dict
"""

import platform

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import NodewiseError
from ..module_utils.verify.crictl import DEFAULT_SOCKET, Crictl
from ..module_utils.verify.result import verdict
from ..module_utils.verify.traffic import PHASE_CHECKS, not_run, run_phase
from ..module_utils.verify.workload import Session


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "session": {"type": "dict", "required": True},
            "phase": {"type": "str", "choices": list(PHASE_CHECKS), "required": True},
            "node": {"type": "str", "default": ""},
            "cri_socket": {"type": "str", "default": ""},
            "timeout": {"type": "int", "default": 75},
            "life": {"type": "int", "default": 300},
            "peers": {"type": "int", "default": 16},
        },
        supports_check_mode=True,
    )
    params = module.params
    node = params["node"] or platform.node().lower()
    crictl = Crictl(params["cri_socket"] or DEFAULT_SOCKET)
    try:
        session = Session.from_dict(params["session"])
    except NodewiseError as error:
        module.fail_json(msg=str(error))
    try:
        checks = run_phase(params["phase"], session, node, crictl, params["timeout"], params["life"], params["peers"])
    except NodewiseError as error:
        checks = not_run(node, error.message, error.remedy, PHASE_CHECKS[params["phase"]])
    module.exit_json(changed=False, verdict=verdict(checks, [node]) if checks else "pass", checks=[check.to_dict() for check in checks])


if __name__ == "__main__":
    main()
