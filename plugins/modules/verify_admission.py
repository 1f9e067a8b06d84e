#!/usr/bin/python
# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: verify_admission
short_description: Prove that admission works, by what it does
version_added: 1.0.0
description:
  - Runs on a control plane. Makes a namespace and tries with pods what admission does there. Each pod is a dry run on the server, which passes through
    all of admission and is neither stored nor started.
  - Starts a small webhook server on this host, with a certificate of one day that openssl makes, and registers it for that namespace alone. Sees one
    pod mutated, and one refused with the webhook's message; then, with the server stopped, that C(failurePolicy) C(Fail) refuses and C(Ignore) lets through.
  - Sees what LimitRanger, Priority, DefaultTolerationSeconds and ServiceAccount fill in, and what Priority, NamespaceLifecycle, NodeRestriction and
    ResourceQuota refuse.
  - Removes everything, even if it fails half-way. The server ends with the module; what a killed run leaves has the label
    C(nodewise.dev/verify-admission) and is removed by the next.
  - The module does not fail for a bad result; RV(checks) says so, and M(nodewise.cluster.verify_cluster) judges it.
extends_documentation_fragment:
  - nodewise.cluster._attributes
attributes:
  check_mode:
    support: full
    details: It makes nothing, so RV(checks) is empty.
  diff_mode:
    support: none
  idempotent:
    support: partial
    details: It leaves nothing behind, but reports a change, for it changed the cluster meanwhile.
options:
  disabled:
    description: Admission plugins that are disabled on purpose. Their checks are left out.
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds that each thing may take until it has its effect, and that the namespace may take to go.
    type: int
    default: 30
requirements:
  - kubectl, openssl, python3-yaml and a static pod of kube-apiserver, on the host
seealso:
  - module: nodewise.cluster.apiserver_admission
  - module: nodewise.cluster.verify_cluster
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
- name: Prove that admission works
  nodewise.cluster.verify_admission:
  register: admission
  changed_when: false

- name: All of it does
  ansible.builtin.assert:
    that: admission.checks | map(attribute='status') | unique == ['ok']
"""

RETURN = r"""
checks:
  description: Each check's result, as M(nodewise.cluster.verify_node) returns them. One that could not be made is V(unknown).
  returned: success
  type: list
  elements: dict
"""

import secrets
from importlib.util import find_spec

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ..module_utils.admission.change import Paths
from ..module_utils.admission.manifest import endpoint, load_pod
from ..module_utils.admission.proof import NAME_PREFIX, Proof, not_made
from ..module_utils.admission.webhook import WebhookServer
from ..module_utils.errors import NodewiseError
from ..module_utils.files import read_text
from ..module_utils.kube.kubectl import Kubectl
from ..module_utils.kubelet.health import KUBECONFIG

PATHS = Paths()


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "disabled": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=False, checks=[])
    if find_spec("yaml") is None:
        module.fail_json(msg=missing_required_lib("PyYAML"))
    session, disabled = f"{NAME_PREFIX}{secrets.token_hex(4)}", module.params["disabled"]
    try:
        address = endpoint(load_pod(read_text(PATHS.manifest) or "", PATHS.manifest))[0]
        proof = Proof(Kubectl(), Kubectl(KUBECONFIG), session, module.params["timeout"])
        checks = proof.run(lambda: WebhookServer(address, session), disabled)
    except NodewiseError as error:
        checks = not_made(error.message, error.remedy, disabled)
    module.exit_json(changed=True, checks=[check.to_dict() for check in checks])


if __name__ == "__main__":
    main()
