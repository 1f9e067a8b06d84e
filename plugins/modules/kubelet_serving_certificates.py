#!/usr/bin/python
# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubelet_serving_certificates
short_description: Certificates of the cluster for the kubelets' servers
version_added: 1.0.0
description:
  - A kubelet with C(serverTLSBootstrap) asks the cluster for its serving certificate, and serves nothing but health until somebody has approved.
    This module approves the requests that wait, each after strict checks, and waits until every kubelet shows a certificate that can be verified
    with the cluster's authority.
  - Approved is what a kubelet asks for itself, for the usages of a server, with no name but its node's and no IP address but those that
    O(nodes) gives. A Node's own status is not believed, because the kubelet writes it.
  - The addresses are written into the ConfigMap C(nodewise-kubelet-addresses) in C(nodewise-system), by which M(nodewise.cluster.guard) approves
    when Ansible does not run, as at a rotation or when a standby host joins.
  - A request that must not be approved is left undecided, and RV(refused) says why.
  - Runs on a control-plane host.
extends_documentation_fragment:
  - nodewise.cluster._attributes
  - nodewise.cluster._kubectl
options:
  nodes:
    description:
      - For each node the IP addresses that its certificate may bear.
    type: dict
    required: true
  inventory:
    description:
      - Names of all nodes that the inventory has. What is known of those that O(nodes) leaves out, as with C(--limit), stays; others are forgotten.
    type: list
    elements: str
    required: true
  declared:
    description:
      - Those of O(nodes) whose addresses the operator has declared. What others say of themselves must be what was known before.
    type: list
    elements: str
    default: []
  networks:
    description:
      - Networks of pods and services, in which no node's address may be.
    type: list
    elements: str
    default: []
  timeout:
    description:
      - Seconds in which every kubelet that speaks to the API server has to show its certificate.
    type: int
    default: 90
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
- name: Approve the kubelets' serving certificates
  nodewise.cluster.kubelet_serving_certificates:
    nodes:
      cp1: [192.0.2.11]
      w1: [192.0.2.21]
    inventory: [cp1, w1]
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be, in order.
  returned: success
  type: list
  elements: str
  sample: ["write ConfigMap nodewise-kubelet-addresses", "approve w1's request"]
refused:
  description: For each request that was left undecided, why.
  returned: success
  type: dict
  sample: {"csr-x7k2p": "w1: 192.0.2.99 is not w1's: the inventory knows w1, 192.0.2.21"}
serving:
  description: Nodes whose kubelets' certificates were verified.
  returned: success
  type: list
  elements: str
  sample: [cp1, w1]
flaws:
  description: For each node whose kubelet does not serve with a certificate of the cluster in time, what is wrong. The module fails if there is one.
  returned: always
  type: dict
  sample: {"w2": "it has no certificate yet (TLSV1_ALERT_INTERNAL_ERROR)"}
unseen:
  description: Nodes whose kubelets do not speak to the API server, and which were left out.
  returned: success
  type: list
  elements: str
  sample: []
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import NodewiseError
from ..module_utils.kube.arguments import KUBECTL
from ..module_utils.kube.kubectl import Kubectl
from ..module_utils.serving.ensure import ensure


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "nodes": {"type": "dict", "required": True},
            "inventory": {"type": "list", "elements": "str", "required": True},
            "declared": {"type": "list", "elements": "str", "default": []},
            "networks": {"type": "list", "elements": "str", "default": []},
            **KUBECTL,
            "timeout": {"type": "int", "default": 90},
        },
        supports_check_mode=True,
    )
    options = module.params
    if module.check_mode and not os.path.exists(options["kubeconfig"]):
        # A cluster that is not there yet.
        module.exit_json(changed=True, actions=[f"approve {node}'s request" for node in sorted(options["nodes"])], refused={}, serving=[], unseen=[], flaws={})
    wrong = [node for node, addresses in options["nodes"].items() if not isinstance(addresses, list) or not all(isinstance(one, str) for one in addresses)]
    if wrong:
        module.fail_json(msg=f"nodes: {', '.join(map(str, wrong))} has no list of addresses. Remedy: write it as [192.0.2.21].")
    try:
        kubectl = Kubectl(options["kubeconfig"], options["kubectl"])
        trust = {"declared": options["declared"], "networks": options["networks"]}
        outcome = ensure(kubectl, options["nodes"], options["inventory"], options["timeout"], module.check_mode, **trust)
    except NodewiseError as error:
        module.fail_json(msg=str(error))
    except ValueError as error:
        module.fail_json(msg=f"networks: {error}. Remedy: write each as 10.244.0.0/16.")
    for name, why in sorted(outcome.refused.items()):
        module.warn(f"The certificate signing request {name} is not approved: {why}.")
    result = {name: getattr(outcome, name) for name in ("actions", "refused", "serving", "unseen", "flaws")}
    if outcome.flaws:
        lines = "; ".join(f"{node}: {why}" for node, why in sorted(outcome.flaws.items()))
        remedy = "see 'kubectl get csr', and on that node 'journalctl -u kubelet | grep -i certificate'"
        message = f"Not every kubelet serves with a certificate of the cluster after {options['timeout']} s: {lines}. Remedy: {remedy}."
        module.fail_json(msg=message, changed=bool(outcome.actions), **result)
    diff = {"before_header": "cluster", "after_header": "cluster", "before": "", "after": outcome.diff} if outcome.diff else {}
    module.exit_json(changed=bool(outcome.actions), diff=diff, **result)


if __name__ == "__main__":
    main()
