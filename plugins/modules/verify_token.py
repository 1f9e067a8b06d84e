#!/usr/bin/python
# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: verify_token
short_description: Make a token with which a verification sees both ends of a node
version_added: 1.0.0
description:
  - Run on a control plane. Sees to the ServiceAccount C(nodewise-verify) in the namespace C(nodewise-system), which may get nodes, their statistics and
    configuration (C(nodes/stats), C(nodes/configz)), leases, NodeReports and C(nodes.metrics.k8s.io), and nothing else; and makes a token of it.
  - The token is for M(nodewise.cluster.verify_node_resources). It is good for ten minutes and cannot be renewed. Set C(no_log) on the task.
  - In check mode nothing is made in the cluster; there is a token only if everything is there already.
extends_documentation_fragment:
  - nodewise.cluster._attributes
options:
  kubeconfig:
    description: Path of a kubeconfig with an administrator's rights.
    type: path
    default: /etc/kubernetes/admin.conf
requirements:
  - python3-yaml on the host
seealso:
  - module: nodewise.cluster.verify_node_resources
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
---
- name: Make a token
  nodewise.cluster.verify_token:
  register: verify_token
  no_log: true
  run_once: true
  delegate_to: "{{ groups['control_plane'] | first }}"
"""

RETURN = r"""
token:
  description: The token; empty in check mode if it could not be made yet.
  returned: success
  type: str
objects:
  description: Kinds of the objects that were made or corrected.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.api.client import ApiClient
from ..module_utils.errors import NodewiseError
from ..module_utils.kube.kubectl import ADMIN_KUBECONFIG
from ..module_utils.verify.resources import access

SECONDS = 600


def main() -> None:
    module = AnsibleModule(argument_spec={"kubeconfig": {"type": "path", "default": ADMIN_KUBECONFIG}}, supports_check_mode=True)
    try:
        api = ApiClient(module.params["kubeconfig"])
        missing = access.missing(api)
        if not module.check_mode:
            access.apply(api, missing)
        token = "" if missing and module.check_mode else access.token(api, SECONDS)
    except NodewiseError as error:
        module.fail_json(msg=str(error))
    kinds = [body["kind"] for _path, body in missing]
    diff = {"before": "", "after": "".join(f"apply {kind}\n" for kind in kinds)}
    module.exit_json(changed=bool(missing), token=token, objects=kinds, **({"diff": diff} if module._diff else {}))


if __name__ == "__main__":
    main()
