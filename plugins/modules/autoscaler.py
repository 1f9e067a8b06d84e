#!/usr/bin/python
# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: autoscaler
short_description: The daemon that makes standby hosts the node groups of cluster-autoscaler
version_added: 1.0.0
description:
  - Installs the provider on a control-plane host, as M(nodewise.cluster.guard) installs the guard, with an identity of its own. It is the gRPC server
    that cluster-autoscaler is pointed at with C(--cloud-provider=externalgrpc); when that asks for nodes, hosts join, and leave when it removes them.
  - Its identity is the ServiceAccount C(nodewise-autoscaler) in C(nodewise-system), whose token is bound to the host's Node and renewed by the
    provider itself; it never reads O(kubeconfig). Admission policies let it delete no Nodes but those of its groups, and no Secrets but bootstrap
    tokens of its own.
  - Of several providers the one that holds the Lease C(nodewise-autoscaler) acts and listens. What it has promised stands in the
    ConfigMap C(nodewise-autoscaler).
  - Waits until the new provider watches the cluster. If it does not in time, the version, unit and configuration from before are put back
    and run again, and the task fails with the new one's last log lines.
  - This module has an action plugin, which obtains and sends the wheels.
extends_documentation_fragment:
  - nodewise.cluster._attributes
  - nodewise.cluster._kubectl
  - nodewise.cluster._wheels
  - nodewise.cluster._wheels.daemon
options:
  state:
    description:
      - V(absent) removes unit, configuration, credentials and everything in C(/opt/nodewise/autoscaler). Hosts that have joined stay Nodes.
    type: str
    choices: [present, absent]
    default: present
  objects:
    description:
      - Whether the objects that the provider needs in the cluster are applied as well, or with O(state=absent) removed, together with the
        records of all hosts. Remove them only when no provider runs any more.
    type: bool
    default: true
  node_name:
    description:
      - Name of the host's Node, to which the token is bound. Required with O(state=present).
    type: str
  listen:
    description:
      - ADDRESS:PORT of the gRPC server, the address being an IP address. Required with O(state=present).
    type: str
  tls:
    description:
      - Certificates of the gRPC server, which has no other way in. Files that change are read again. Required with O(state=present).
    type: dict
    suboptions:
      ca:
        description: CA certificate that signs the clients; it should sign nothing else.
        type: path
        required: true
      certificate:
        description: The server's certificate, which names the address that cluster-autoscaler is given.
        type: path
        required: true
      key:
        description: Its private key.
        type: path
        required: true
  ssh:
    description:
      - How hosts are reached. Required with O(state=present).
    type: dict
    suboptions:
      key:
        description: The private key.
        type: path
        required: true
      known_hosts:
        description: The host keys; a host that is not in it is not spoken to.
        type: path
        required: true
      user:
        description: The user on the hosts.
        type: str
        default: root
  control_plane_endpoint:
    description:
      - HOST:PORT of the API server, for the hosts. Required with O(state=present).
    type: str
  groups:
    description:
      - The node groups by name. Each has C(min) and C(max), C(labels) and C(taints) with which its hosts register, and C(hosts) by Node name with
        C(address), C(provider_id), C(arch), C(capacity), C(allocatable), and if wanted C(power_on), C(power_off) (a program with its
        arguments as a list, the program's path absolute) and C(power_timeout_seconds). M(nodewise.cluster.autoscaler_hosts) returns them.
      - Power commands stand in a file and in the list of processes, so name a password's file in them, not a password.
    type: dict
    default: {}
  join_timeout_seconds:
    description:
      - Within this time the Node of a host has to be Ready, or another host is taken.
    type: float
    default: 300
  leave_timeout_seconds:
    description:
      - Within this time a host has to be as it was prepared, or it is tried again later.
    type: float
    default: 300
  retry_seconds:
    description:
      - How long a host that has failed is left alone; doubles with each failure in a row, up to an hour.
    type: float
    default: 60
  metrics_address:
    description:
      - IP address on which C(/metrics) and C(/healthz) are served.
    type: str
    default: 127.0.0.1
  metrics_port:
    description:
      - Port for them; V(0) serves none.
    type: int
    default: 10272
  timeout:
    description:
      - Seconds in which the new provider has to watch the cluster.
    type: int
    default: 30
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
- name: Make the standby hosts a node group
  nodewise.cluster.autoscaler:
    node_name: cp1
    listen: 192.0.2.11:10273
    tls:
      ca: /etc/nodewise/autoscaler/ca.crt
      certificate: /etc/nodewise/autoscaler/server.crt
      key: /etc/nodewise/autoscaler/server.key
    ssh:
      key: /etc/nodewise/autoscaler/ssh
      known_hosts: /etc/nodewise/autoscaler/known_hosts
    control_plane_endpoint: 192.0.2.11:6443
    groups: "{{ hosts.groups }}"

- name: Remove the provider
  nodewise.cluster.autoscaler:
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be, in order.
  returned: success
  type: list
  elements: str
  sample: ["apply the autoscaler's objects", "write /etc/nodewise/autoscaler.conf", "start nodewise-autoscaler.service"]
reasons:
  description: Why the provider was restarted; empty if it was not.
  returned: success
  type: list
  elements: str
  sample: ["/etc/nodewise/autoscaler.json changes"]
missing:
  description: Wheels, and the file with its own code, that the host lacked. They were sent, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: ["prometheus_client-0.26.0-py3-none-any.whl"]
version:
  description: Version of the provider.
  returned: with O(state=present)
  type: str
  sample: 1.0.0+0a1b2c3d4e5f
python:
  description: Version of the host's Python.
  returned: with O(state=present)
  type: str
  sample: "3.11"
arch:
  description: The host's architecture.
  returned: with O(state=present)
  type: str
  sample: amd64
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.artifacts.arguments import DAEMON
from ..module_utils.artifacts.host import drop_bundle
from ..module_utils.autoscaler.install import KUBECONFIG, ensure_absent, wanted
from ..module_utils.autoscaler.settings import Config, make_config
from ..module_utils.controller.install import ensure_present
from ..module_utils.errors import NodewiseError
from ..module_utils.kube.arguments import KUBECTL
from ..module_utils.kube.kubectl import Kubectl
from ..module_utils.reporter.daemon import Delivery
from ..module_utils.systemd.systemctl import Systemd

GIVEN = (
    "listen",
    "tls",
    "ssh",
    "control_plane_endpoint",
    "join_timeout_seconds",
    "leave_timeout_seconds",
    "retry_seconds",
    "metrics_address",
    "metrics_port",
    "log_level",
)


def main() -> None:
    """Run the module."""
    path = {"type": "path", "required": True}
    module = AnsibleModule(
        argument_spec={
            **DAEMON,
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "objects": {"type": "bool", "default": True},
            "node_name": {"type": "str"},
            "listen": {"type": "str"},
            # Paths: there is nothing secret in them.
            "tls": {"type": "dict", "options": {"ca": path, "certificate": path, "key": {**path, "no_log": False}}},
            "ssh": {"type": "dict", "options": {"key": {**path, "no_log": False}, "known_hosts": path, "user": {"type": "str", "default": "root"}}},
            "control_plane_endpoint": {"type": "str"},
            "groups": {"type": "dict", "default": {}},
            "join_timeout_seconds": {"type": "float", "default": 300},
            "leave_timeout_seconds": {"type": "float", "default": 300},
            "retry_seconds": {"type": "float", "default": 60},
            **KUBECTL,
            "metrics_address": {"type": "str", "default": "127.0.0.1"},
            "metrics_port": {"type": "int", "default": 10272},
            "timeout": {"type": "int", "default": 30},
        },
        required_if=[("state", "present", ["node_name", "listen", "tls", "ssh", "control_plane_endpoint"])],
        supports_check_mode=True,
    )
    options = module.params
    systemd, kubectl = Systemd(), Kubectl(options["kubeconfig"], options["kubectl"])
    try:
        if options["state"] == "absent":
            outcome = ensure_absent(kubectl, options["objects"], module.check_mode, systemd)
        else:
            config = configuration(options)
            if not 1 <= options["timeout"] <= 600:
                raise NodewiseError(f"timeout is {options['timeout']}.", "set it between 1 and 600")
            whole = wanted(config, options["objects"], options["python"], options["timeout"])
            outcome = ensure_present(whole, kubectl, Delivery(options["code"], options["bundle"]), module.check_mode, systemd)
    except NodewiseError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"The provider's files cannot be changed: {error}. Remedy: free some space on the host, or mend that path.")
    finally:
        drop_bundle(options["bundle"])
    result = {"actions": outcome.actions, "reasons": outcome.reasons, "missing": outcome.missing, "diff": outcome.diff}
    if options["state"] == "present":
        result.update(version=outcome.version, python=outcome.python, arch=outcome.arch)
    module.exit_json(changed=bool(outcome.actions), **result)


def configuration(options: dict[str, object]) -> Config:
    """Return the configuration that the options ask for."""
    given = {name: options[name] for name in GIVEN}
    return make_config({**given, "groups": options["groups"], "identity": options["node_name"], "kubeconfig": KUBECONFIG})


if __name__ == "__main__":
    main()
