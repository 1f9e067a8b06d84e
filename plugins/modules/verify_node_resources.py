#!/usr/bin/python
# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: verify_node_resources
short_description: Compare what a node says of its resources with what its host really has and uses
version_added: 1.0.0
description:
  - Run on a node. Reads both ends itself - the host and its container runtime on one side, the API server, the kubelet and the NodeReport on the
    other - and compares them, each comparison with its own tolerance.
  - A comparison that could not be made is V(unknown), which is never a success.
  - A comparison that had to leave something out, since one end has no figure of it, is a V(warn) that says how many and which.
  - Without O(token) or O(kubeconfig) the node's own credentials (O(node_kubeconfig)) are used. They may not read the kubelet's statistics and
    configuration, so those checks are V(unknown) then. C(nodewise.cluster.verify) makes a token for the purpose.
  - Changes nothing. That a node cannot write another's report is tried with dry runs, in which only the name is wrong, and proved by the admission
    policy's refusal alone.
extends_documentation_fragment:
  - nodewise.cluster._attributes
  - nodewise.cluster._attributes.info
options:
  node:
    description: Name of the Node that this host shall be. Without it, the one under which its kubelet speaks.
    type: str
    default: ""
  other_node:
    description:
      - Name of another Node with a NodeReport, whose status this node must not be able to write, which is tried with a dry run.
      - Without it, only the creation of a report is tried.
    type: str
    default: ""
  token:
    description: Bearer token that may get C(nodes), C(nodes/stats), C(nodes/configz), C(leases) and C(nodereports).
    type: str
  kubeconfig:
    description:
      - Path, on the host, of a kubeconfig with such rights. With O(token) only its server and authority are used.
      - Without it, O(node_kubeconfig).
    type: path
  node_kubeconfig:
    description: Kubeconfig with the node's own identity, which tells the host's name and tries what a node may not do.
    type: path
    default: /etc/kubernetes/kubelet.conf
  checks:
    description: Topics to check. Without it, all; V(cpu) only with a O(window).
    type: list
    elements: str
    choices:
      - identity
      - runtime
      - lease
      - clock
      - report
      - capacity
      - allocatable
      - containers
      - memory
      - cpu
      - filesystems
      - metrics
      - pressure
      - cgroups
      - configuration
      - certificate
      - flags
      - confinement
  window:
    description:
      - Seconds over which CPU is measured, by cumulative counters at both ends.
      - V(0) leaves CPU out.
      - What looks wrong and may only be changing is looked at again, once or twice. The last look is 48 seconds after the first at the latest, or after the
        window.
    type: float
    default: 5
  reporter:
    description: Whether the absence of the reporter is a failure (V(required)) or is only told (V(optional)).
    type: str
    choices: [required, optional]
    default: required
  cri_socket:
    description: Endpoint of the container runtime. Empty means containerd's.
    type: str
    default: ""
  runtime_root:
    description: The runtime's folder, until the runtime itself has named where its images lie.
    type: path
    default: /var/lib/containerd
  fail_on:
    description: Statuses that fail the task. An empty list never fails it; look at RV(verdict) then.
    type: list
    elements: str
    choices: [fail, unknown, warn]
    default: [fail, unknown]
  tolerances:
    description: How far apart two readings may be. Of a percentage and an absolute figure the greater counts.
    type: dict
    default: {}
    suboptions:
      runtime_seconds:
        description: How long runtime and Node may disagree about being ready.
        type: float
        default: 45
      lease_warn_seconds:
        description: Age of the lease above which it is a warning.
        type: float
        default: 20
      lease_fail_seconds:
        description: Age of the lease above which it is a failure.
        type: float
        default: 40
      clock_warn_seconds:
        description: Difference of the clocks above which it is a warning.
        type: float
        default: 2
      clock_fail_seconds:
        description: Difference of the clocks above which it is a failure.
        type: float
        default: 10
      capacity_memory_bytes:
        description: Between the Node's memory and the host's.
        type: float
        default: 1048576
      memory_percent:
        description: Between two working sets.
        type: float
        default: 5
      memory_bytes:
        description: Between two working sets; multiplied with the square root of the number of containers, for a node of 16 at least.
        type: float
        default: 16777216
      cpu_percent:
        description: Between two rates of CPU.
        type: float
        default: 10
      cpu_millicores:
        description: Between two rates of CPU.
        type: float
        default: 50
      filesystem_percent:
        description: Between two figures of what is available, in percent of the capacity.
        type: float
        default: 1
      filesystem_bytes:
        description: Between two figures of what is available.
        type: float
        default: 268435456
      pressure_seconds:
        description: How long an eviction threshold may be crossed before the Node's condition says so.
        type: float
        default: 20
      sample_seconds:
        description: Figures whose samples are further apart than this are not compared.
        type: float
        default: 30
      metrics_warn_seconds:
        description: Age of the metrics API's figures above which it is a warning.
        type: float
        default: 60
      metrics_fail_seconds:
        description: Age of the metrics API's figures above which it is a failure.
        type: float
        default: 120
      certificate_warn_days:
        description: Days until the kubelet's serving certificate ends, below which it is a warning.
        type: float
        default: 30
      certificate_fail_days:
        description: Days until the kubelet's serving certificate ends, below which it is a failure.
        type: float
        default: 7
requirements:
  - python3-yaml on the host
  - grpcio and protobuf on the host, for what the container runtime says; the reporter's Python or the system's is used
seealso:
  - module: nodewise.cluster.verify_node
  - module: nodewise.cluster.verify_cluster
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
---
- name: Compare both ends, with the rights of a cluster's administrator
  nodewise.cluster.verify_node_resources:
    kubeconfig: /etc/kubernetes/admin.conf

- name: Only tell what is wrong, on a cluster without the reporter
  nodewise.cluster.verify_node_resources:
    token: "{{ token }}"
    reporter: optional
    window: 30
    fail_on: []
    tolerances:
      cpu_percent: 5
  register: result
"""

RETURN = r"""
node:
  description: Name of the Node.
  returned: if the host could be read
  type: str
verdict:
  description: V(pass), or V(fail) if a check failed or could not be made.
  returned: if the host could be read
  type: str
summary:
  description: Numbers of results by status.
  returned: if the host could be read
  type: dict
  sample: {"fail": 0, "ok": 30, "unknown": 0, "warn": 0}
problems:
  description: A line for each result that is not ok, the worst first.
  returned: if the host could be read
  type: list
  elements: str
seconds:
  description: How long it took, the window included.
  returned: if the host could be read
  type: float
checks:
  description: Each check's result.
  returned: if the host could be read
  type: list
  elements: dict
  contains:
    check:
      description: Name of the check, C(resources.TOPIC) or C(resources.TOPIC.PART).
      type: str
      sample: resources.memory.node
    node:
      description: Name of the Node.
      type: str
    status:
      description: V(ok), V(warn), V(fail) or V(unknown).
      type: str
    expected:
      description: What should be, or one end's reading.
      type: str
    observed:
      description: What is, or the other end's reading.
      type: str
    tolerance:
      description: How far apart they may be; empty if they must be equal.
      type: str
    sources:
      description: Where the readings came from.
      type: list
      elements: str
    hint:
      description: Where to look next; empty for a success.
      type: str
"""

import os
import time
from dataclasses import fields
from importlib.util import find_spec

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.respawn import has_respawned, probe_interpreters_for_module, respawn_module

from ..module_utils.errors import NodewiseError
from ..module_utils.kubelet.health import KUBECONFIG
from ..module_utils.verify.crictl import DEFAULT_SOCKET
from ..module_utils.verify.resources.checks import TOPICS, evaluate
from ..module_utils.verify.resources.read import RUNTIME_ROOT, Options, read_node
from ..module_utils.verify.resources.reading import Tolerances
from ..module_utils.verify.result import counts, lines, verdict

REPORTERS_PYTHON = "/opt/nodewise/reporter/current/venv/bin/python"
"""The reporter's Python, which has grpcio."""

SYSTEMS_PYTHON = "/usr/bin/python3"
"""The system's, which may have it."""


def respawn_with_grpc() -> None:
    """Go on under a Python that has grpcio, if there is one and this has not."""
    if find_spec("grpc") is not None or has_respawned():
        return
    # Trying to import it takes longer than all that is read, so the reporter's is not tried first.
    interpreter = REPORTERS_PYTHON if os.path.exists(REPORTERS_PYTHON) else probe_interpreters_for_module([SYSTEMS_PYTHON], "grpc")
    if interpreter is not None:
        respawn_module(interpreter)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "node": {"type": "str", "default": ""},
            "other_node": {"type": "str", "default": ""},
            "token": {"type": "str", "no_log": True},
            "kubeconfig": {"type": "path"},
            "node_kubeconfig": {"type": "path", "default": KUBECONFIG},
            "checks": {"type": "list", "elements": "str", "choices": list(TOPICS)},
            "window": {"type": "float", "default": 5},
            "reporter": {"type": "str", "choices": ["required", "optional"], "default": "required"},
            "cri_socket": {"type": "str", "default": ""},
            "runtime_root": {"type": "path", "default": RUNTIME_ROOT},
            "fail_on": {"type": "list", "elements": "str", "choices": ["fail", "unknown", "warn"], "default": ["fail", "unknown"]},
            "tolerances": {
                "type": "dict",
                "default": {},
                "options": {item.name: {"type": "float", "default": item.default} for item in fields(Tolerances)},
            },
        },
        supports_check_mode=True,
    )
    params = module.params
    started = time.monotonic()
    if params["window"] < 0 or params["window"] > 300:
        module.fail_json(msg=f"window is {params['window']:g}; it must be 0 to 300 seconds.")
    negative = [name for name, value in params["tolerances"].items() if value < 0]
    if negative:
        module.fail_json(msg=f"tolerances.{negative[0]} is {params['tolerances'][negative[0]]:g}; a tolerance cannot be negative.")
    respawn_with_grpc()
    topics = params["checks"] or [topic for topic in TOPICS if topic != "cpu" or params["window"] > 0]
    tolerances = Tolerances(**params["tolerances"])
    options = Options(
        name=params["node"],
        topics=topics,
        window=params["window"] if "cpu" in topics else 0,
        cri_socket=params["cri_socket"] or DEFAULT_SOCKET,
        kubeconfig=params["kubeconfig"] or "",
        token=params["token"] or "",
        reporter_required=params["reporter"] == "required",
        other_node=params["other_node"],
        node_kubeconfig=params["node_kubeconfig"],
        runtime_root=params["runtime_root"],
    )
    try:
        reading = read_node(options, tolerances)
    except NodewiseError as error:
        module.fail_json(msg=str(error))
    checks = evaluate(reading, tolerances, topics)
    number, problems = counts(checks), lines(checks)
    result = {
        "changed": False,
        "node": reading.name,
        "verdict": verdict(checks, [reading.name]),
        "summary": number,
        "problems": problems,
        "seconds": round(time.monotonic() - started, 1),
        "checks": [check.to_dict() for check in checks],
    }
    if any(number[status] for status in params["fail_on"]):
        module.fail_json(msg=f"{reading.name}: {'; '.join(problems)}", **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
