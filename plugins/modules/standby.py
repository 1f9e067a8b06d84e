#!/usr/bin/python
# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: standby
short_description: The one command by which a standby host is made to join or leave
version_added: 1.0.0
description:
  - Lays a program down in V(/opt/nodewise/standby) that knows three words, C(join), C(leave) and C(status), and lets the keys of the autoscaler's
    provider run it and nothing else. Root's file of keys (the last of sshd's C(AuthorizedKeysFile)) gets one line for each, with C(restrict), C(from=)
    and C(command=).
  - C(join) does what role P(nodewise.cluster.kubeadm_worker#role) does, C(leave) what M(nodewise.cluster.kubeadm_reset) does, so programs, images and
    the container runtime stay. The bootstrap token comes on standard input and is in no command line, log or file that stays.
  - A join that fails, or that does not end in time, is undone on the host.
  - Where M(nodewise.cluster.reporter) has laid the reporter down, C(join) starts it and C(leave) stops it. A reporter that does not start is told, and
    the host has joined all the same.
  - Refuses a host whose sshd would not let the key in. Lines of others stay as they are.
extends_documentation_fragment:
  - nodewise.cluster._attributes
options:
  state:
    description: V(absent) removes the program, its settings and the keys' lines. A host that has joined stays a node.
    type: str
    choices: [present, absent]
    default: present
  public_keys:
    description: Public ed25519 keys that may run the command. Required with O(state=present).
    type: list
    elements: str
  addresses:
    description: IP addresses from which they may. Required with O(state=present).
    type: list
    elements: str
  cluster_name:
    description: Name of the cluster that the host may join. Required with O(state=present).
    type: str
  node_name:
    description: Name of its Node. Required with O(state=present).
    type: str
  node_ip:
    description: Address that its kubelet registers. Required with O(state=present).
    type: str
  endpoint:
    description:
      - C(HOST:PORT) of that cluster's API server. A caller that says another one is refused. Required with O(state=present).
    type: str
  ca_cert_hashes:
    description:
      - C(sha256:HEX) of the public keys of that cluster's CA, as M(nodewise.cluster.autoscaler_keys) returns them. A caller that says others is
        refused. Required with O(state=present).
    type: list
    elements: str
  cri_socket:
    description: Endpoint of the container runtime.
    type: str
    default: unix:///run/containerd/containerd.sock
  pod_cidr:
    description: Address range of the pods, for M(nodewise.cluster.kubeadm_reset).
    type: str
    default: 10.244.0.0/16
  ignore_preflight_errors:
    description: Preflight checks of kubeadm that may fail.
    type: list
    elements: str
    default: []
  join_configuration:
    description: Laid over JoinConfiguration, see M(nodewise.cluster.kubeadm_join).
    type: dict
    default: {}
  join_seconds:
    description: After so many seconds a join is given up and undone.
    type: int
    default: 240
  python:
    description: The host's Python that runs the command, 3.11 or newer.
    type: path
    default: /usr/bin/python3
seealso:
  - module: nodewise.cluster.autoscaler_keys
  - module: nodewise.cluster.autoscaler_hosts
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
- name: Let the control plane make this host join
  nodewise.cluster.standby:
    public_keys: ["{{ keys.public_key }}"]
    addresses: [192.0.2.11]
    cluster_name: nodewise
    node_name: s1
    node_ip: 192.0.2.31
    endpoint: "{{ keys.cluster.endpoint }}"
    ca_cert_hashes: "{{ keys.cluster.ca_cert_hashes }}"
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be, in order.
  returned: success
  type: list
  elements: str
  sample: ["write /etc/nodewise/standby.json", "write /root/.ssh/authorized_keys"]
host_key:
  description: The host's public ed25519 key.
  returned: with O(state=present)
  type: str
  sample: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI...
capacity:
  description: What its Node will say that it has, but for the number of pods.
  returned: with O(state=present)
  type: dict
  sample: {"cpu": "8", "memory": "32618888Ki", "ephemeral-storage": "102350384Ki"}
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import NodewiseError
from ..module_utils.standby.install import Request, ensure_absent, ensure_present
from ..module_utils.standby.settings import Settings

SETTINGS = (
    "cluster_name",
    "node_name",
    "node_ip",
    "endpoint",
    "ca_cert_hashes",
    "cri_socket",
    "pod_cidr",
    "ignore_preflight_errors",
    "join_configuration",
    "join_seconds",
)


def main() -> None:
    needed = ["public_keys", "addresses", "cluster_name", "node_name", "node_ip", "endpoint", "ca_cert_hashes"]
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            # no_log: they are public.
            "public_keys": {"type": "list", "elements": "str", "no_log": False},
            "addresses": {"type": "list", "elements": "str"},
            "cluster_name": {"type": "str"},
            "node_name": {"type": "str"},
            "node_ip": {"type": "str"},
            "endpoint": {"type": "str"},
            "ca_cert_hashes": {"type": "list", "elements": "str"},
            "cri_socket": {"type": "str", "default": "unix:///run/containerd/containerd.sock"},
            "pod_cidr": {"type": "str", "default": "10.244.0.0/16"},
            "ignore_preflight_errors": {"type": "list", "elements": "str", "default": []},
            "join_configuration": {"type": "dict", "default": {}},
            "join_seconds": {"type": "int", "default": 240},
            "python": {"type": "path", "default": "/usr/bin/python3"},
        },
        required_if=[("state", "present", needed)],
        supports_check_mode=True,
    )
    options = module.params
    try:
        if options["state"] == "absent":
            outcome = ensure_absent(module.check_mode)
        else:
            settings = Settings(**{name: options[name] for name in SETTINGS})
            outcome = ensure_present(Request(settings, options["public_keys"], options["addresses"], options["python"]), module.check_mode)
    except NodewiseError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"The standby command's files cannot be changed: {error}. Remedy: free some space on the host, or mend that path.")
    result = {"changed": bool(outcome.actions), "actions": outcome.actions, "diff": outcome.diff}
    if options["state"] == "present":
        result.update(host_key=outcome.host_key, capacity=outcome.capacity)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
