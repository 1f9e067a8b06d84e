#!/usr/bin/python
# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_autoscaler_info
short_description: How the autoscaler and its groups are
version_added: 1.0.0
description:
  - Reads, on a control-plane host, cluster-autoscaler's status ConfigMap and Deployment, the provider's Lease and records, and the Nodes, and says how
    each group is. What is unknown is null.
  - With O(active=true) it makes a pod that fits on no node there is, sees whether a standby host joins and runs it, and removes it again.
    The host leaves when cluster-autoscaler finds it idle.
extends_documentation_fragment:
  - nodewise.cluster._attributes
  - nodewise.cluster._kubectl
options:
  active:
    description: Whether to try it. In check mode nothing is tried.
    type: bool
    default: false
  group:
    description: The group to try; empty for the first.
    type: str
    default: ""
  image:
    description: The pause image, which every prepared host has. Needed with O(active=true).
    type: str
    default: ""
  timeout:
    description: Seconds until the pod has to run.
    type: int
    default: 120
  leave_timeout:
    description: Seconds until the host has to have left again after the pod was removed; V(0) does not wait for that.
    type: int
    default: 0
  config:
    description: The provider's configuration, for its groups.
    type: path
    default: /etc/nodewise/autoscaler.json
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
- name: See how the autoscaler is
  nodewise.cluster.cluster_autoscaler_info:

- name: Have a host join, and leave again
  nodewise.cluster.cluster_autoscaler_info:
    active: true
    image: registry.k8s.io/pause:3.10.2
    leave_timeout: 1800
"""

RETURN = r"""
autoscaler:
  description: C(deployed), C(available), C(image), and of its own status C(status), C(health), C(last_probe), C(scale_up) and C(scale_down).
  returned: success
  type: dict
  sample: {"deployed": true, "available": true, "health": "Healthy", "scale_up": {"status": "NoActivity", "since": "2026-11-25T20:00:00+00:00"}}
provider:
  description: Who leads; null for nobody.
  returned: success
  type: dict
  sample: {"leader": "cp1"}
groups:
  description:
    - By name, C(min), C(max), C(target), C(ready), C(standby) (the hosts left), C(hosts) (the state of each), C(failed) (with the reason), C(foreign)
      (with another providerID), and what cluster-autoscaler says, C(autoscaler_health) and C(autoscaler_target).
  returned: success
  type: dict
  sample: {"standby": {"min": 0, "max": 2, "target": 1, "ready": 1, "standby": ["s2"], "hosts": {"s1": "joined", "s2": "prepared"}}}
trial:
  description: With O(active=true), the C(node) on which the pod ran, and after how many seconds it was C(scheduled), was C(running), and its host had C(left).
  returned: when tried
  type: dict
  sample: {"node": "s1", "scheduled": 21.2, "running": 23.4, "left": null, "said": ""}
checks:
  description: The same as results for M(nodewise.cluster.verify_cluster).
  returned: success
  type: list
  elements: dict
"""

import json
from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.cluster_autoscaler.status import checks, describe, read
from ..module_utils.cluster_autoscaler.trial import Trial, attempt, check_trial
from ..module_utils.errors import NodewiseError
from ..module_utils.files import read_text
from ..module_utils.kube.arguments import KUBECTL
from ..module_utils.kube.kubectl import Kubectl


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "active": {"type": "bool", "default": False},
            "group": {"type": "str", "default": ""},
            "image": {"type": "str", "default": ""},
            "timeout": {"type": "int", "default": 120},
            "leave_timeout": {"type": "int", "default": 0},
            "config": {"type": "path", "default": "/etc/nodewise/autoscaler.json"},
            **KUBECTL,
        },
        required_if=[("active", True, ["image"])],
        supports_check_mode=True,
    )
    try:
        _run(module)
    except NodewiseError as error:
        module.fail_json(msg=str(error))


def _run(module: AnsibleModule) -> None:
    options = module.params
    kubectl = Kubectl(options["kubeconfig"], options["kubectl"])
    groups = _groups(options["config"])
    found = describe(read(kubectl), groups)
    trial: Trial | None = None
    if options["active"] and not module.check_mode and found["autoscaler"]["deployed"]:
        name = options["group"] or next(iter(groups), "")
        if name not in groups:
            raise NodewiseError(f"There is no group {name!r} to try.", f"name one of {', '.join(groups) or 'none'}")
        trial = attempt(kubectl, options["image"], groups[name], options["timeout"], options["leave_timeout"])
        found = describe(read(kubectl), groups)
    results = checks(found)
    if options["active"] and not module.check_mode:
        results.append(check_trial(trial, options["timeout"], options["leave_timeout"]))
    module.exit_json(
        changed=False,
        **found,
        **({"trial": asdict(trial)} if trial else {}),
        checks=[result.to_dict() for result in results],
    )


def _groups(path: str) -> dict[str, Any]:
    text = read_text(path)
    if text is None:
        raise NodewiseError(f"{path} is missing, so this host has no provider.", "set autoscaler_state: present and run site.yml")
    try:
        found: dict[str, Any] = json.loads(text)["groups"]
    except (ValueError, KeyError) as error:
        raise NodewiseError(f"{path} is not the provider's configuration: {error}.", "run site.yml, which writes it anew") from error
    return found


if __name__ == "__main__":
    main()
