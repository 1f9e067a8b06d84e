#!/usr/bin/python
# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: metrics_server
short_description: The metrics API, for kubectl top and for autoscalers of pods
version_added: 1.0.0
description:
  - Runs metrics-server in C(kube-system), and makes it the server of C(v1beta1.metrics.k8s.io).
  - It verifies the kubelets' certificates with the cluster's authority, so the kubelets must have some of it
    (M(nodewise.cluster.kubelet_serving_certificates)); and the API server verifies its, which this module makes with the host's C(openssl) and renews.
  - Waits until the API is available and has figures of every node that is Ready. A node that has none a minute after others is a warning, and in RV(missing).
  - Another metrics-server that is there already stays, and nothing is done; a warning and RV(foreign) say so.
  - Runs on a control-plane host. The image must be on the nodes, or a registry that they reach.
extends_documentation_fragment:
  - nodewise.cluster._attributes
  - nodewise.cluster._kubectl
options:
  state:
    description:
      - V(absent) removes exactly what V(present) makes.
    type: str
    choices: [present, absent]
    default: present
  image:
    description:
      - Full name of the image. Required with O(state=present).
    type: str
  replicas:
    description:
      - Pods; with more than one they are spread over nodes, and a PodDisruptionBudget keeps all but one.
    type: int
    default: 1
  cpu_request:
    description:
      - CPU that one requests. For more than 100 nodes about 1m for each.
    type: str
    default: 100m
  memory_request:
    description:
      - Memory that one requests. For more than 100 nodes about 2Mi for each.
    type: str
    default: 200Mi
  resolution:
    description:
      - Seconds between two rounds over the kubelets; not less than 10, since kubelets measure no more often.
    type: int
    default: 15
  wait:
    description:
      - Whether to wait for figures where something was changed, which takes about half a minute. Where nothing was, it takes no time and is always done.
    type: bool
    default: true
  timeout:
    description:
      - Seconds in which there have to be figures of any node.
    type: int
    default: 180
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
- name: Serve the metrics API
  nodewise.cluster.metrics_server:
    image: registry.k8s.io/metrics-server/metrics-server:v0.8.0

- name: Remove it
  nodewise.cluster.metrics_server:
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be, in order.
  returned: success
  type: list
  elements: str
  sample: ["make its certificate (there is none)", "apply metrics-server's objects"]
nodes:
  description: Nodes of which there are figures.
  returned: with O(state=present)
  type: list
  elements: str
  sample: [cp1, w1]
missing:
  description: Nodes that are Ready and of which there are none.
  returned: with O(state=present)
  type: list
  elements: str
  sample: []
foreign:
  description: Objects of another metrics-server, because of which nothing was done.
  returned: with O(state=present)
  type: list
  elements: str
  sample: []
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import NodewiseError
from ..module_utils.kube.arguments import KUBECTL
from ..module_utils.kube.kubectl import Kubectl
from ..module_utils.metricsserver.install import Outcome, ensure_absent, ensure_present
from ..module_utils.metricsserver.manifests import make_settings


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "image": {"type": "str"},
            "replicas": {"type": "int", "default": 1},
            "cpu_request": {"type": "str", "default": "100m"},
            "memory_request": {"type": "str", "default": "200Mi"},
            "resolution": {"type": "int", "default": 15},
            "wait": {"type": "bool", "default": True},
            **KUBECTL,
            "timeout": {"type": "int", "default": 180},
        },
        required_if=[("state", "present", ["image"])],
        supports_check_mode=True,
    )
    options = module.params
    present = options["state"] == "present"
    kubectl = Kubectl(options["kubeconfig"], options["kubectl"])
    try:
        settings = make_settings(options) if present else None
        if module.check_mode and not os.path.exists(options["kubeconfig"]):
            # A cluster that is not there yet.
            outcome = Outcome(["make its certificate (there is none)", "apply metrics-server's objects"] if present else [])
        elif settings is not None:
            outcome = ensure_present(kubectl, settings, options["timeout"], module.check_mode, options["wait"])
        else:
            outcome = ensure_absent(kubectl, module.check_mode)
    except NodewiseError as error:
        module.fail_json(msg=str(error))
    diff = {"before_header": "cluster", "after_header": "cluster", "before": "", "after": outcome.diff} if outcome.diff else {}
    for node in outcome.missing:
        module.warn(f"metrics-server has no figures of {node}: see its log, and whether that kubelet's certificate is the cluster's (kubectl get csr).")
    if outcome.foreign:
        listed = ", ".join(outcome.foreign)
        module.warn(f"Another metrics-server serves this cluster and stays: {listed}. Set metrics_server_state to absent to agree, or remove it.")
    result = {"nodes": outcome.nodes, "missing": outcome.missing, "foreign": outcome.foreign} if present else {}
    module.exit_json(changed=bool(outcome.actions), actions=outcome.actions, diff=diff, **result)


if __name__ == "__main__":
    main()
