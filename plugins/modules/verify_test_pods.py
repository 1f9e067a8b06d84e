#!/usr/bin/python
# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: verify_test_pods
short_description: Start and remove the pods of an active verification
version_added: 1.0.0
description:
  - Runs on a control plane. Makes a namespace with test pods on each node and a service, sets and lifts network policies there, and removes it all.
  - The pods are the cluster's pause image, which every node has. They meet the Pod Security level C(restricted) and use next to nothing.
  - The module does not fail where a state cannot be reached; RV(checks) says so, and M(nodewise.cluster.verify_cluster) judges it.
  - One verification at a time. What a killed run left behind is recognised by the label C(nodewise.dev/verify) and removed by the next
    V(present) or V(absent), and so are the pods of a run that is still going on.
extends_documentation_fragment:
  - nodewise.cluster._attributes
attributes:
  check_mode:
    support: full
    details: It starts nothing, so RV(session) is V(null).
  diff_mode:
    support: none
  idempotent:
    support: partial
    details: V(present) begins a new session each time; the other states are idempotent.
options:
  state:
    description:
      - V(present) asks the cluster's DNS, which must answer first, starts the pods and waits until they run.
      - V(restricted) sets the two policies.
      - V(reopened) deletes them.
      - V(absent) deletes every test namespace and waits until they are gone.
    type: str
    choices: [present, restricted, reopened, absent]
    required: true
  images:
    description: For V(present), by name of the Node, the pause image on it. Empty means the one that kubeadm wants.
    type: dict
    default: {}
  session:
    description: For V(restricted) and V(reopened), what V(present) returned as RV(session).
    type: dict
  timeout:
    description: Seconds to wait for the pods to run, or for the namespace to go.
    type: int
    default: 60
seealso:
  - module: nodewise.cluster.verify_pod_network
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
---
- name: Start test pods
  nodewise.cluster.verify_test_pods:
    state: present
    images:
      cp1: registry.k8s.io/pause:3.10.2
      w1: registry.k8s.io/pause:3.10.2
  register: test_pods

- name: Remove whatever a verification left behind
  nodewise.cluster.verify_test_pods:
    state: absent
"""

RETURN = r"""
session:
  description: What the nodes must know to take part. V(null) if the pods were not started; then RV(checks) says why.
  returned: success
  type: dict
checks:
  description:
    - For V(present) whether each node's pods run and have addresses of the pool, as M(nodewise.cluster.verify_node) returns checks.
    - If the DNS does not answer or the pods cannot be made, every active check of every node, V(unknown).
    - For the other states a failed check of the cluster, if the state was not reached.
  returned: success
  type: list
  elements: dict
"""

import secrets
from collections.abc import Iterable, Mapping

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import NodewiseError
from ..module_utils.kube.kubectl import Kubectl
from ..module_utils.verify.api import ApiReader
from ..module_utils.verify.dns import ask
from ..module_utils.verify.reading import kubeadm_images, pause_of
from ..module_utils.verify.result import CLUSTER, FAIL, Result
from ..module_utils.verify.testpods import remove, reopen, restrict, start
from ..module_utils.verify.traffic import not_run
from ..module_utils.verify.workload import NAME_PREFIX, Session


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "restricted", "reopened", "absent"], "required": True},
            "images": {"type": "dict", "default": {}},
            "session": {"type": "dict"},
            "timeout": {"type": "int", "default": 60},
        },
        required_if=[("state", "restricted", ["session"]), ("state", "reopened", ["session"])],
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=True, session=None, checks=[])
    params = module.params
    state, kubectl = params["state"], Kubectl()
    session: Session | None = None
    checks: list[Result] = []
    try:
        if state == "present":
            session, checks = start(kubectl, ApiReader(), ask, f"{NAME_PREFIX}{secrets.token_hex(4)}", with_images(params["images"]), params["timeout"])
        elif state == "absent":
            module.exit_json(changed=remove(kubectl, params["timeout"]), session=None, checks=[])
        else:
            session = Session.from_dict(params["session"])
            (restrict if state == "restricted" else reopen)(kubectl, session)
    except NodewiseError as error:
        checks = failed(state, error, params["images"])
    module.exit_json(changed=True, session=session.to_dict() if session else None, checks=[check.to_dict() for check in checks])


def with_images(images: Mapping[str, str]) -> dict[str, str]:
    """Fill in kubeadm's pause image where none is named."""
    if all(images.values()):
        return dict(images)
    wanted = pause_of(kubeadm_images("", ""))
    return {node: image or wanted for node, image in images.items()}


def failed(state: str, error: NodewiseError, nodes: Iterable[str]) -> list[Result]:
    """Return what an error means: without pods no active check was made, otherwise the cluster's own check failed."""
    if state == "present":
        return [result for node in nodes for result in not_run(node, error.message, error.remedy)]
    return [Result(f"policy.{state}", CLUSTER, FAIL, state, error.message, error.remedy)]


if __name__ == "__main__":
    main()
