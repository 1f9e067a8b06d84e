#!/usr/bin/python
# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: reporter_api
short_description: What a cluster needs so that its nodes can report
version_added: 1.0.0
description:
  - Applies, server-side, the kind C(NodeReport), the right of nodes to write one, the admission policy that lets a node write only its
    own, and the reports' own limits of API priority and fairness. Waits until the API serves the kind.
  - Run it once for a cluster, where C(kubectl) and admin rights are.
extends_documentation_fragment:
  - nodewise.cluster._attributes
  - nodewise.cluster._kubectl
options:
  state:
    description:
      - V(absent) removes these objects, and with the kind all reports. Nothing else is touched.
    type: str
    choices: [present, absent]
    default: present
  timeout:
    description:
      - Seconds until the API has to serve the kind.
    type: int
    default: 30
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
- name: Let nodes report
  nodewise.cluster.reporter_api:

- name: Remove all reports
  nodewise.cluster.reporter_api:
    state: absent
"""

RETURN = r"""
removed:
  description: What was, or in check mode would be, removed.
  returned: with O(state=absent)
  type: list
  elements: str
  sample: ["FlowSchema nodewise-reporter"]
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import NodewiseError
from ..module_utils.kube.arguments import KUBECTL
from ..module_utils.kube.kubectl import Kubectl
from ..module_utils.reporter.cluster import ensure_absent, ensure_present


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            **KUBECTL,
            "timeout": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    options = module.params
    kubectl = Kubectl(options["kubeconfig"], options["kubectl"])
    try:
        if options["state"] == "absent":
            removed = ensure_absent(kubectl, options["kubeconfig"], module.check_mode)
            module.exit_json(changed=bool(removed), removed=removed, diff={"before": "".join(f"{one}\n" for one in removed), "after": ""})
        difference = ensure_present(kubectl, options["kubeconfig"], options["timeout"], module.check_mode)
    except NodewiseError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(difference), **({"diff": {"prepared": difference}} if difference else {}))


if __name__ == "__main__":
    main()
