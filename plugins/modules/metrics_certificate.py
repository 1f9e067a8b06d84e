#!/usr/bin/python
# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: metrics_certificate
short_description: The certificate with which a host's metrics are served
version_added: 1.0.0
description:
  - Sees that the host has a key and a certificate of the authority of M(nodewise.cluster.metrics_authority), with which the reporter and the guard
    serve their metrics over mutual TLS. They take a new one over without a restart.
  - Two steps. Without O(certificate) a host whose certificate is missing, wrong or in the last third of its lifetime makes a key and returns
    RV(request). With it, the certificate is laid down.
extends_documentation_fragment:
  - nodewise.cluster._attributes
options:
  state:
    description:
      - V(absent) removes key and certificate.
    type: str
    choices: [present, absent]
    default: present
  authority:
    description:
      - The authority's certificate, also the one that clients have to be from. Required with O(state=present); empty if it is still to be made.
    type: str
  certificate:
    description:
      - The certificate that the authority made for the host.
    type: str
    default: ""
  node_name:
    description:
      - Name of the host's Node. Required with O(state=present).
    type: str
  address:
    description:
      - IP address at which the metrics are served. Required with O(state=present).
    type: str
  days:
    description:
      - Lifetime of a certificate, 3 to 3650.
    type: int
    default: 365
  guard:
    description:
      - Whether a guard runs on the host, which needs a copy that its own user can read.
    type: bool
    default: false
requirements:
  - openssl on the host
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
- name: Look at the certificate of the host's metrics
  nodewise.cluster.metrics_certificate:
    authority: "{{ authority.authority }}"
    node_name: w1
    address: 192.0.2.21
  register: found

- name: Lay it down
  nodewise.cluster.metrics_certificate:
    authority: "{{ authority.authority }}"
    certificate: "{{ signed.certificates['w1'] }}"
    node_name: w1
    address: 192.0.2.21
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: ["make a certificate for w1: it ends soon"]
request:
  description: What M(nodewise.cluster.metrics_authority) needs to make a certificate.
  returned: if a certificate is needed, not in check mode
  type: dict
  sample: {"node_name": "w1", "address": "192.0.2.21", "public_key": "-----BEGIN PUBLIC KEY-----..."}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import NodewiseError
from ..module_utils.monitoring.certificates import Host, ensure_certificate, remove_certificate
from ..module_utils.monitoring.pki import check_days


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "authority": {"type": "str"},
            "certificate": {"type": "str", "default": ""},
            "node_name": {"type": "str"},
            "address": {"type": "str"},
            "days": {"type": "int", "default": 365},
            "guard": {"type": "bool", "default": False},
        },
        required_if=[("state", "present", ["authority", "node_name", "address"])],
        supports_check_mode=True,
    )
    options = module.params
    try:
        if options["state"] == "absent":
            outcome = remove_certificate(module.check_mode)
        else:
            host = Host(options["node_name"], options["address"], check_days(options["days"]), options["guard"])
            outcome = ensure_certificate(host, options["authority"], options["certificate"], module.check_mode)
    except NodewiseError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"The certificate cannot be changed: {error}. Remedy: free some space on the host, or mend that path.")
    request = {"request": {"node_name": options["node_name"], "address": options["address"], "public_key": outcome.public_key}} if outcome.public_key else {}
    diff = {"before": "", "after": "".join(f"{one}\n" for one in outcome.actions)}
    module.exit_json(changed=bool(outcome.actions), actions=outcome.actions, diff=diff, **request)


if __name__ == "__main__":
    main()
