#!/usr/bin/python
# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_token
short_description: A short-lived bootstrap token
version_added: 1.0.0
description:
  - Runs on a control plane. Makes a bootstrap token that hosts join with, or removes it.
  - The token is made only after the API server has answered, and returned only after the cluster has signed its own address with it, so
    that C(kubeadm join) need not wait for that.
  - A token returned is a secret. Set C(no_log=true) on the task, since Ansible shows raw results at high verbosity.
extends_documentation_fragment:
  - nodewise.cluster._attributes
attributes:
  idempotent:
    support: partial
    details: With O(state=present) every run makes a new token.
options:
  state:
    description:
      - V(present) makes a new token.
      - V(absent) removes the token O(token_id), if it is there.
    type: str
    choices: [present, absent]
    default: present
  lifetime:
    description: Seconds after which the token expires by itself.
    type: int
    default: 600
  token_id:
    description: The token's public part, as RV(token_id) had it.
    type: str
seealso:
  - module: nodewise.cluster.kubeadm_join
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
- name: Make a token
  nodewise.cluster.kubeadm_token:
  no_log: true
  register: token

- name: Remove it
  nodewise.cluster.kubeadm_token:
    state: absent
    token_id: "{{ token.token_id }}"
"""

RETURN = r"""
token:
  description: The token, a secret. In check mode a well-formed text of no use.
  returned: O(state=present)
  type: str
  sample: abcdef.0123456789abcdef
token_id:
  description: Its public part.
  returned: O(state=present)
  type: str
  sample: abcdef
expires:
  description: When it expires (RFC 3339).
  returned: O(state=present)
  type: str
  sample: "2026-11-25T10:10:00Z"
endpoint:
  description: V(host:port) of the API server, as the cluster publishes it.
  returned: O(state=present)
  type: str
  sample: 192.0.2.11:6443
ca_cert_hashes:
  description: Hashes of the public keys of the cluster's CA certificates.
  returned: O(state=present)
  type: list
  elements: str
  sample: ["sha256:5b5ba8d1a4b3cbb3c1a5b9a3f1c4f1c7b1d8a2a0c6f4fb0f8b9a87a0f5c0a1f3"]
"""

from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import NodewiseError
from ..module_utils.kube.kubectl import Kubectl
from ..module_utils.kubeadm.tokens import PLACEHOLDER, exists, mint, revoke

try:  # ansible-core 2.22 and later
    from ansible.module_utils.secrets import register_secret
except ImportError:
    register_secret = None


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "lifetime": {"type": "int", "default": 600},
            "token_id": {"type": "str", "no_log": False},
        },
        required_if=[("state", "absent", ("token_id",))],
        supports_check_mode=True,
    )
    kubectl = Kubectl()
    try:
        if module.params["state"] == "absent":
            present = module.params["token_id"] != PLACEHOLDER.token_id and exists(kubectl, module.params["token_id"])
            if present and not module.check_mode:
                revoke(kubectl, module.params["token_id"])
            module.exit_json(changed=present)
        token = PLACEHOLDER if module.check_mode else mint(kubectl, module.params["lifetime"])
    except NodewiseError as error:
        module.fail_json(msg=str(error))
    if register_secret is not None:
        register_secret(token.token)
    module.exit_json(changed=True, **asdict(token))


if __name__ == "__main__":
    main()
