#!/usr/bin/python
# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: monitoring
short_description: A Prometheus that watches the cluster and its nodes
version_added: 1.0.0
description:
  - Applies, server-side, Prometheus Operator and a Prometheus in the namespace C(nodewise-monitoring), which scrapes the reporters and guards over
    mutual TLS, the kubelets and the API servers, with recording rules and alerts. Waits until Prometheus is available.
  - Makes the certificate with which Prometheus reads the metrics, so it runs on the host that has the authority of
    M(nodewise.cluster.metrics_authority). The key is in a Secret of that namespace and nowhere else.
  - Another installation of Prometheus Operator is left alone; nothing is done then, and the task fails.
extends_documentation_fragment:
  - nodewise.cluster._attributes
  - nodewise.cluster._kubectl
options:
  state:
    description:
      - V(absent) removes the namespace with all samples, the rights, and the operator's kinds, unless others have objects of them.
    type: str
    choices: [present, absent]
    default: present
  operator_version:
    description:
      - Version of Prometheus Operator. Required with O(state=present).
    type: str
  prometheus_version:
    description:
      - Version of Prometheus. Required with O(state=present).
    type: str
  image_prefix:
    description:
      - Registry and folder that replace those of the images; empty leaves them.
    type: str
    default: ""
  manifest:
    description:
      - File on the host with the operator's kinds, which must be those of O(operator_version).
    type: path
    default: /var/lib/nodewise/manifests/prometheus-operator-crds.yaml
  missing_minutes:
    description:
      - Minutes for which a reporter, its report or the guard may be missing before an alert.
    type: int
    default: 5
  guard:
    description:
      - Whether the cluster has guards, which are scraped then and have alerts.
    type: bool
    default: true
  reporter_port:
    description:
      - Port of the reporters' metrics.
    type: int
    default: 10270
  guard_port:
    description:
      - Port of the guards' metrics.
    type: int
    default: 10271
  reporter_valid_seconds:
    description:
      - Seconds for which the reporters' reports are valid; an alert tells of older ones.
    type: float
    default: 180.0
  retention_days:
    description:
      - Days for which samples are kept. Four fifths of O(storage_gib) bound them as well.
    type: int
    default: 7
  storage_gib:
    description:
      - Size of the volume for samples.
    type: int
    default: 5
  storage_class:
    description:
      - StorageClass of that volume. Empty is an C(emptyDir) on the node's disk; its samples go with the pod.
    type: str
    default: ""
  memory_mib:
    description:
      - Memory that Prometheus may take.
    type: int
    default: 2048
  alertmanagers:
    description:
      - Services of Alertmanagers, to which alerts are sent.
    type: list
    elements: dict
    default: []
    suboptions:
      namespace:
        description: Namespace of the Service.
        type: str
        required: true
      name:
        description: Name of the Service.
        type: str
        required: true
      port:
        description: Name or number of its port.
        type: str
        required: true
  days:
    description:
      - Lifetime of the certificate, 3 to 3650.
    type: int
    default: 365
  timeout:
    description:
      - Seconds in which the operator, and then Prometheus, has to be available.
    type: int
    default: 180
requirements:
  - openssl and python3-yaml on the host
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
- name: Watch the cluster
  nodewise.cluster.monitoring:
    operator_version: "0.85.0"
    prometheus_version: "3.16.0"
    alertmanagers:
      - namespace: alerting
        name: alertmanager
        port: "9093"

- name: Remove that again
  nodewise.cluster.monitoring:
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be, in order.
  returned: success
  type: list
  elements: str
  sample: ["apply Prometheus Operator and Prometheus"]
kept:
  description: Kinds that were not removed, because others have objects of them.
  returned: with O(state=absent)
  type: list
  elements: str
  sample: ["servicemonitors.monitoring.coreos.com"]
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import NodewiseError
from ..module_utils.kube.arguments import KUBECTL
from ..module_utils.kube.kubectl import Kubectl
from ..module_utils.monitoring.install import ensure_absent, ensure_present
from ..module_utils.monitoring.manifests import make_settings
from ..module_utils.monitoring.pki import check_days

SETTINGS = {
    "operator_version": {"type": "str"},
    "prometheus_version": {"type": "str"},
    "image_prefix": {"type": "str", "default": ""},
    "missing_minutes": {"type": "int", "default": 5},
    "guard": {"type": "bool", "default": True},
    "reporter_port": {"type": "int", "default": 10270},
    "guard_port": {"type": "int", "default": 10271},
    "reporter_valid_seconds": {"type": "float", "default": 180.0},
    "retention_days": {"type": "int", "default": 7},
    "storage_gib": {"type": "int", "default": 5},
    "storage_class": {"type": "str", "default": ""},
    "memory_mib": {"type": "int", "default": 2048},
    "alertmanagers": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {name: {"type": "str", "required": True} for name in ("namespace", "name", "port")},
    },
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            **SETTINGS,
            "manifest": {"type": "path", "default": "/var/lib/nodewise/manifests/prometheus-operator-crds.yaml"},
            "days": {"type": "int", "default": 365},
            **KUBECTL,
            "timeout": {"type": "int", "default": 180},
        },
        required_if=[("state", "present", ["operator_version", "prometheus_version"])],
        supports_check_mode=True,
    )
    options = module.params
    kubectl = Kubectl(options["kubeconfig"], options["kubectl"])
    try:
        if options["state"] == "absent":
            outcome = ensure_absent(kubectl, module.check_mode)
        else:
            settings = make_settings({name: options[name] for name in SETTINGS})
            days = check_days(options["days"])
            outcome = ensure_present(settings, kubectl, options["manifest"], days, options["timeout"], module.check_mode)
    except NodewiseError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"A file of the host cannot be read: {error}. Remedy: run with become.")
    kept = {"kept": outcome.kept} if options["state"] == "absent" else {}
    diff = {"prepared": "".join(f"{one}\n" for one in outcome.actions) + outcome.difference}
    module.exit_json(changed=bool(outcome.actions), actions=outcome.actions, diff=diff, **kept)


if __name__ == "__main__":
    main()
