#!/usr/bin/python
# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: reporter
short_description: The daemon that reports what a node really uses
version_added: 1.0.0
description:
  - Installs the reporter on a node. Its code is this collection's own; its wheels are pinned by their digests, obtained once on the control
    machine and sent to the hosts that lack them. Code and wheels lie in a virtual environment below C(/opt/nodewise/reporter), named by
    their digest; the unit C(nodewise-reporter.service) names the one that runs.
  - Waits until the API server has a report of the new reporter. If there is none in time, the version, unit and configuration from
    before are put back and run again, and the task fails with the new one's last log lines.
  - A changed configuration alone is taken over without a restart.
  - A wheel that is not the pinned one is refused and never installed.
  - The objects that the cluster needs for it are those of M(nodewise.cluster.reporter_api), which comes first.
  - This module has an action plugin, which obtains and sends the wheels.
extends_documentation_fragment:
  - nodewise.cluster._attributes
  - nodewise.cluster._wheels
  - nodewise.cluster._wheels.daemon
options:
  state:
    description:
      - V(prepared) is for hosts that may join later, as standby hosts do. One that is a node, which O(kubeconfig) tells, is treated as with V(present).
        On one that is none all is laid down as well, but the reporter does not run, and no report is waited for. Its unit is enabled and does not
        start as long as there is no O(kubeconfig); whoever makes the host join starts it.
      - V(absent) removes unit, configuration and everything in C(/opt/nodewise/reporter).
    type: str
    choices: [present, prepared, absent]
    default: present
  node_name:
    description:
      - Name of the host's Node. Required unless O(state=absent).
    type: str
  kubeconfig:
    description:
      - Kubeconfig with the node's own identity. Its certificate may rotate.
    type: path
    default: /etc/kubernetes/kubelet.conf
  cri_socket:
    description:
      - Endpoint of the container runtime.
    type: str
    default: unix:///run/containerd/containerd.sock
  kubelet_root:
    description:
      - The kubelet's folder; the filesystem on which it lies is reported as the node's.
    type: path
    default: /var/lib/kubelet
  runtime_root:
    description:
      - The runtime's folder, until the runtime itself has named where its images lie.
    type: path
    default: /var/lib/containerd
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
    default: 10270
  settings:
    description:
      - When a report is written and when a condition is true. What is left out has the reporter's own default.
    type: dict
    default: {}
    suboptions:
      sample_seconds:
        description:
          - The host and its runtime are read this often.
        type: float
      publish_seconds:
        description:
          - A report is written this often, whatever happens.
        type: float
      jitter_percent:
        description:
          - A node's own period is up to this much shorter or longer.
        type: float
      min_gap_seconds:
        description:
          - No two reports are closer than this.
        type: float
      valid_seconds:
        description:
          - A report expires this long after its sample.
        type: float
      backoff_cap_seconds:
        description:
          - Longest pause after a write that failed.
        type: float
      request_seconds:
        description:
          - Longest time of one request to the API server.
        type: float
      cpu_percent:
        description:
          - C(CPUOverloaded) from this share of allocatable on.
        type: float
      memory_percent:
        description:
          - C(MemoryOverloaded) from this share of allocatable on.
        type: float
      disk_available_percent:
        description:
          - C(DiskNearlyFull) below this available share of a filesystem.
        type: float
      samples:
        description:
          - A condition becomes true or unknown after this many samples in a row.
        type: int
      clear_percent:
        description:
          - CPU and memory are well this many points below their thresholds.
        type: float
      clear_disk_percent:
        description:
          - A filesystem is well this many points above its threshold.
        type: float
      clear_seconds:
        description:
          - A condition clears when all has been well for this long.
        type: float
  report_timeout:
    description:
      - Seconds in which the API server has to have a report of the new reporter, or of the new configuration; else what was there before is put back.
      - A configuration that changes alone is taken over without a restart, and its first report comes within 5 seconds.
    type: int
    default: 30
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
- name: Let the node report
  nodewise.cluster.reporter:
    node_name: "{{ inventory_hostname }}"
    settings:
      cpu_percent: 80

- name: Lay it down on a host that joins later
  nodewise.cluster.reporter:
    state: prepared
    node_name: "{{ inventory_hostname }}"

- name: Remove the reporter
  nodewise.cluster.reporter:
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be, in order.
  returned: success
  type: list
  elements: str
  sample: ["build /opt/nodewise/reporter/0a1b", "write /etc/systemd/system/nodewise-reporter.service", "restart nodewise-reporter.service"]
reasons:
  description: Why the reporter was restarted; empty if it was not.
  returned: success
  type: list
  elements: str
  sample: ["/etc/systemd/system/nodewise-reporter.service changes"]
missing:
  description: Wheels, and the file with its own code, that the host lacked. They were sent, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: ["prometheus_client-0.26.0-py3-none-any.whl"]
version:
  description: Version of the reporter, as its reports name it.
  returned: unless O(state=absent)
  type: str
  sample: 1.0.0+0a1b2c3d4e5f
python:
  description: Version of the host's Python.
  returned: unless O(state=absent)
  type: str
  sample: "3.11"
arch:
  description: The host's architecture.
  returned: unless O(state=absent)
  type: str
  sample: amd64
report:
  description: What the API server has of it.
  returned: where the reporter runs, not in check mode
  type: dict
  sample: {"agentVersion": "1.0.0+0a1b2c3d4e5f", "configDigest": "5d41402a", "sequence": 1, "observedAt": "2026-11-25T12:00:00.000000Z", "pressure": "none"}
"""

from dataclasses import fields

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.artifacts.arguments import DAEMON
from ..module_utils.artifacts.host import drop_bundle
from ..module_utils.errors import NodewiseError
from ..module_utils.report.settings import Settings
from ..module_utils.reporter.config import make_config
from ..module_utils.reporter.daemon import Delivery
from ..module_utils.reporter.install import Request, ensure_absent, ensure_present
from ..module_utils.systemd.systemctl import Systemd

_METRICS = ("metrics_address", "metrics_tls_address", "metrics_port")
CONFIG_OPTIONS = ("node_name", "kubeconfig", "cri_socket", "kubelet_root", "runtime_root", *_METRICS, "log_level", "settings")
SETTINGS = {entry.name: "int" if entry.type == "int" else "float" for entry in fields(Settings)}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **DAEMON,
            "state": {"type": "str", "choices": ["present", "prepared", "absent"], "default": "present"},
            "node_name": {"type": "str"},
            "kubeconfig": {"type": "path", "default": "/etc/kubernetes/kubelet.conf"},
            "cri_socket": {"type": "str", "default": "unix:///run/containerd/containerd.sock"},
            "kubelet_root": {"type": "path", "default": "/var/lib/kubelet"},
            "runtime_root": {"type": "path", "default": "/var/lib/containerd"},
            "metrics_address": {"type": "str", "default": "127.0.0.1"},
            "metrics_tls_address": {"type": "str", "default": ""},
            "metrics_port": {"type": "int", "default": 10270},
            "settings": {"type": "dict", "default": {}, "options": {name: {"type": kind} for name, kind in SETTINGS.items()}},
            "report_timeout": {"type": "int", "default": 30},
        },
        required_if=[("state", "present", ["node_name"]), ("state", "prepared", ["node_name"])],
        supports_check_mode=True,
    )
    options = module.params
    systemd = Systemd()
    try:
        if options["state"] == "absent":
            outcome = ensure_absent(module.check_mode, systemd)
        else:
            settings = {name: value for name, value in options["settings"].items() if value is not None}
            config = make_config({**{name: options[name] for name in CONFIG_OPTIONS}, "settings": settings})
            if not 1 <= options["report_timeout"] <= 600:
                raise NodewiseError(f"report_timeout is {options['report_timeout']}.", "set it between 1 and 600")
            request = Request(config, options["python"], options["report_timeout"], need_node=options["state"] == "present")
            outcome = ensure_present(request, Delivery(options["code"], options["bundle"]), module.check_mode, systemd)
    except NodewiseError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"The reporter's files cannot be changed: {error}. Remedy: free some space on the host, or mend that path.")
    finally:
        drop_bundle(options["bundle"])
    result = {"actions": outcome.actions, "reasons": outcome.reasons, "missing": outcome.missing, "diff": outcome.diff}
    if options["state"] != "absent":
        result.update(version=outcome.version, python=outcome.python, arch=outcome.arch)
        if outcome.seen is not None:
            result["report"] = outcome.seen
    module.exit_json(changed=bool(outcome.actions), **result)


if __name__ == "__main__":
    main()
