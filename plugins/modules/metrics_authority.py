#!/usr/bin/python
# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: metrics_authority
short_description: The authority of the metrics' mutual TLS
version_added: 1.0.0
description:
  - Keeps a small certificate authority on this host, in C(/etc/nodewise/pki/metrics-authority.pem), and makes certificates with it for hosts
    whose daemons serve metrics.
  - It is for the metrics alone. Nothing else trusts it, and its key never leaves this host. Without it the next run makes another one,
    and new certificates everywhere.
extends_documentation_fragment:
  - nodewise.cluster._attributes
options:
  state:
    description:
      - V(absent) removes the authority.
    type: str
    choices: [present, absent]
    default: present
  requests:
    description:
      - Certificates to make. Names and addresses are taken from here alone, not from what a host says of itself.
    type: list
    elements: dict
    default: []
    suboptions:
      node_name:
        description: Name of the host's Node.
        type: str
        required: true
      address:
        description: IP address at which its metrics are served.
        type: str
        required: true
      public_key:
        description: The host's public key, as M(nodewise.cluster.metrics_certificate) returns it.
        type: str
        required: true
  days:
    description:
      - Lifetime of a certificate, 3 to 3650.
    type: int
    default: 365
requirements:
  - openssl on the host
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
- name: Keep the authority of the metrics
  nodewise.cluster.metrics_authority:

- name: Make a certificate
  nodewise.cluster.metrics_authority:
    requests:
      - node_name: w1
        address: 192.0.2.21
        public_key: "{{ found.public_key }}"
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: ["make the authority /etc/nodewise/pki/metrics-authority.pem"]
authority:
  description: The authority's certificate; empty in check mode if there is none yet.
  returned: success
  type: str
  sample: "-----BEGIN CERTIFICATE-----..."
certificates:
  description: The certificates that were made, by O(requests[].node_name).
  returned: success
  type: dict
  sample: {"w1": "-----BEGIN CERTIFICATE-----..."}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import NodewiseError
from ..module_utils.monitoring.certificates import ensure_authority, remove_authority
from ..module_utils.monitoring.pki import SERVER, Wanted, check_days

# A public key is no secret, whatever its name.
REQUEST = {name: {"type": "str", "required": True, "no_log": False} for name in ("node_name", "address", "public_key")}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "requests": {"type": "list", "elements": "dict", "default": [], "options": REQUEST},
            "days": {"type": "int", "default": 365},
        },
        supports_check_mode=True,
    )
    options = module.params
    try:
        if options["state"] == "absent":
            outcome = remove_authority(module.check_mode)
        else:
            requests = [(Wanted(one["node_name"], (one["address"],), SERVER), one["public_key"]) for one in options["requests"]]
            outcome = ensure_authority(requests, check_days(options["days"]), module.check_mode)
    except NodewiseError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"The authority's file cannot be changed: {error}. Remedy: free some space on the host, or mend that path.")
    module.exit_json(
        changed=bool(outcome.actions),
        actions=outcome.actions,
        authority=outcome.authority,
        certificates=outcome.certificates,
        diff={"before": "", "after": "".join(f"{one}\n" for one in outcome.actions)},
    )


if __name__ == "__main__":
    main()
