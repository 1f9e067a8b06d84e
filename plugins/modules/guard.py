#!/usr/bin/python
# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: guard
short_description: The daemon that keeps pods away from overloaded nodes
version_added: 1.0.0
description:
  - Installs the guard on a control-plane host, as M(nodewise.cluster.reporter) installs the reporter, with an identity of its own.
    It watches NodeReports and keeps one taint, C(nodewise.dev/overloaded), and one condition, C(NodewiseOverloaded), on each node,
    with which the stock scheduler does the rest.
  - Its identity is the ServiceAccount C(nodewise-guard) in C(nodewise-system), whose token is bound to the host's Node and renewed by the guard
    itself; it never reads O(kubeconfig). An admission policy lets it change nothing of a Node but its own taint and condition.
  - Of several guards the one that holds the Lease C(nodewise-guard) acts.
  - That one also approves kubelets' requests for serving certificates, as M(nodewise.cluster.kubelet_serving_certificates) does while Ansible runs.
  - Waits until the new guard watches the cluster. If it does not in time, the version, unit and configuration from before are put back
    and run again, and the task fails with the new one's last log lines.
  - The reports are those of role P(nodewise.cluster.reporter#role), which comes first.
  - This module has an action plugin, which obtains and sends the wheels.
extends_documentation_fragment:
  - nodewise.cluster._attributes
  - nodewise.cluster._kubectl
  - nodewise.cluster._wheels
  - nodewise.cluster._wheels.daemon
options:
  state:
    description:
      - V(absent) removes unit, configuration, credentials and everything in C(/opt/nodewise/guard).
    type: str
    choices: [present, absent]
    default: present
  objects:
    description:
      - Whether the objects that the guard needs in the cluster are applied as well, or with O(state=absent) removed, together with all taints and
        conditions of the guard. Remove them only when no guard runs any more.
    type: bool
    default: true
  node_name:
    description:
      - Name of the host's Node, to which the token is bound. Required with O(state=present).
    type: str
  metrics_address:
    description:
      - Loopback address on which C(/metrics) and C(/healthz) are served as plain HTTP; any other is refused.
    type: str
    default: 127.0.0.1
  metrics_tls_address:
    description:
      - IP address of the host on which they are served as well, over mutual TLS with the certificates that M(nodewise.cluster.metrics_certificate)
        lays down. Empty for none.
    type: str
    default: ""
  metrics_port:
    description:
      - Port for them at both addresses; V(0) serves none.
    type: int
    default: 10271
  settings:
    description: How the guard decides about taints. What is left out has the guard's own default.
    type: dict
    default: {}
    suboptions:
      effects:
        description: For each cause the effect of the taint.
        type: dict
        suboptions:
          cpu:
            description: Of an overloaded CPU.
            type: str
            choices: ["off", PreferNoSchedule, NoSchedule]
          memory:
            description: Of overloaded memory.
            type: str
            choices: ["off", PreferNoSchedule, NoSchedule]
          disk:
            description: Of a nearly full disk.
            type: str
            choices: ["off", PreferNoSchedule, NoSchedule]
      unknown:
        description: What becomes of the taint of a node whose report is stale, missing or incomplete. V(taint) sets one with the value C(unknown).
        type: str
        choices: [keep, clear, taint]
      max_tainted_percent:
        description: At most this share of the schedulable nodes that the same pods can run on is tainted, rounded down.
        type: int
      hold_seconds:
        description: A taint stays this long at least.
        type: float
      gap_seconds:
        description: A node is not tainted again before its last taint has been gone for this long.
        type: float
      grace_seconds:
        description: A node may be without a report this long; for as long after an outage of the API server, or a step of its clock, none counts as stale.
        type: float
      writes_per_second:
        description: Requests that change something, at most.
        type: int
      dry_run:
        description: Only log and count.
        type: bool
  timeout:
    description:
      - Seconds in which the new guard has to watch the cluster.
    type: int
    default: 30
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
- name: Keep pods away from overloaded nodes
  nodewise.cluster.guard:
    node_name: "{{ inventory_hostname }}"
    settings:
      max_tainted_percent: 30
      effects:
        memory: NoSchedule

- name: Remove the guard, its taints and its conditions
  nodewise.cluster.guard:
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be, in order.
  returned: success
  type: list
  elements: str
  sample: ["apply the guard's objects", "write /etc/nodewise/guard.conf", "start nodewise-guard.service"]
reasons:
  description: Why the guard was restarted; empty if it was not.
  returned: success
  type: list
  elements: str
  sample: ["/etc/nodewise/guard.json changes"]
missing:
  description: Wheels, and the file with its own code, that the host lacked. They were sent, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: ["prometheus_client-0.26.0-py3-none-any.whl"]
version:
  description: Version of the guard.
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
from ..module_utils.controller.install import ensure_present
from ..module_utils.errors import NodewiseError
from ..module_utils.guard.config import make_config
from ..module_utils.guard.install import ensure_absent, wanted
from ..module_utils.guard.settings import EFFECTS
from ..module_utils.kube.arguments import KUBECTL
from ..module_utils.kube.kubectl import Kubectl
from ..module_utils.reporter.daemon import Delivery
from ..module_utils.systemd.systemctl import Systemd

EFFECT = {"type": "str", "choices": list(EFFECTS)}
SETTINGS = {
    "effects": {"type": "dict", "options": {"cpu": EFFECT, "memory": EFFECT, "disk": EFFECT}},
    "unknown": {"type": "str", "choices": ["keep", "clear", "taint"]},
    "max_tainted_percent": {"type": "int"},
    "hold_seconds": {"type": "float"},
    "gap_seconds": {"type": "float"},
    "grace_seconds": {"type": "float"},
    "writes_per_second": {"type": "int"},
    "dry_run": {"type": "bool"},
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **DAEMON,
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "objects": {"type": "bool", "default": True},
            "node_name": {"type": "str"},
            **KUBECTL,
            "metrics_address": {"type": "str", "default": "127.0.0.1"},
            "metrics_tls_address": {"type": "str", "default": ""},
            "metrics_port": {"type": "int", "default": 10271},
            "settings": {"type": "dict", "default": {}, "options": SETTINGS},
            "timeout": {"type": "int", "default": 30},
        },
        required_if=[("state", "present", ["node_name"])],
        supports_check_mode=True,
    )
    options = module.params
    systemd, kubectl = Systemd(), Kubectl(options["kubeconfig"], options["kubectl"])
    try:
        if options["state"] == "absent":
            outcome = ensure_absent(kubectl, options["objects"], module.check_mode, systemd)
        else:
            config = make_config(
                {
                    "identity": options["node_name"],
                    "settings": given(options["settings"]),
                    **{name: options[name] for name in ("metrics_address", "metrics_tls_address", "metrics_port", "log_level")},
                }
            )
            if not 1 <= options["timeout"] <= 600:
                raise NodewiseError(f"timeout is {options['timeout']}.", "set it between 1 and 600")
            whole = wanted(config, options["objects"], options["python"], options["timeout"])
            outcome = ensure_present(whole, kubectl, Delivery(options["code"], options["bundle"]), module.check_mode, systemd)
    except NodewiseError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"The guard's files cannot be changed: {error}. Remedy: free some space on the host, or mend that path.")
    finally:
        drop_bundle(options["bundle"])
    result = {"actions": outcome.actions, "reasons": outcome.reasons, "missing": outcome.missing, "diff": outcome.diff}
    if options["state"] == "present":
        result.update(version=outcome.version, python=outcome.python, arch=outcome.arch)
    module.exit_json(changed=bool(outcome.actions), **result)


def given(settings: dict[str, object]) -> dict[str, object]:
    """Return the settings that were given, at both levels."""
    return {name: given(value) if isinstance(value, dict) else value for name, value in settings.items() if value is not None}


if __name__ == "__main__":
    main()
