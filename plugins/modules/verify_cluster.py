#!/usr/bin/python
# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: verify_cluster
short_description: Verify a cluster and print a table of its nodes
version_added: 1.0.0
description:
  - Runs on a control plane. Reads the API server, each kubelet through it, and the cluster's DNS, and compares them with each other,
    with what is wanted, and with what the hosts say if O(hosts) is given.
  - Prints a table of the nodes and the list of all checks that are not ok, and fails if one failed or could not be made.
    A warning does not fail.
  - By itself, as in C(ansible control_plane -b -m nodewise.cluster.verify_cluster), it makes those checks that need nothing but the API server.
    The role P(nodewise.cluster.verify#role) makes all of them.
extends_documentation_fragment:
  - nodewise.cluster._attributes
  - nodewise.cluster._attributes.info
options:
  nodes:
    description: Names of the Nodes that must be there. Empty means whichever are registered.
    type: list
    elements: str
    default: []
  standby:
    description: Names of the Nodes that may be there, since their hosts join when they are needed. One in O(scope) that is not there is not missed.
    type: list
    elements: str
    default: []
  scope:
    description: Names of the Nodes that the verdict is about. Empty means all. The others are shown, but not judged.
    type: list
    elements: str
    default: []
  hosts:
    description:
      - The results of M(nodewise.cluster.verify_node) of each host.
      - If given, a node of O(nodes) that is missing is V(unknown).
    type: list
    elements: dict
  active:
    description:
      - The checks that M(nodewise.cluster.verify_test_pods) and M(nodewise.cluster.verify_pod_network) returned.
      - If given, each node in O(scope) must have a result of each active check; one that is missing is V(unknown).
    type: list
    elements: dict
  resources:
    description:
      - What M(nodewise.cluster.verify_node_resources) returned on each host.
      - If given, each node in O(scope) must have results of it; a node without is V(unknown).
    type: list
    elements: dict
  policies:
    description: The checks that M(nodewise.cluster.policies) returned. Those of quotas are shown below the table, all others only if they are not ok.
    type: list
    elements: dict
    default: []
  autoscaler:
    description: The checks that M(nodewise.cluster.cluster_autoscaler_info) returned. All of them are shown below the table.
    type: list
    elements: dict
    default: []
  cluster_name:
    description: Name of the cluster, which is part of each Node's provider id. Empty means not compared.
    type: str
    default: ""
  kubernetes_version:
    description: Version that the API server and all kubelets must be. Empty means that the kubelets must be the API server's.
    type: str
    default: ""
  containerd_version:
    description: Version that containerd must be, where it is the runtime. Empty means not compared.
    type: str
    default: ""
  calico_version:
    description: Version that calico-node must be. Empty means not compared.
    type: str
    default: ""
  pod_cidr:
    description: CIDR that Calico's pools and the Nodes' pod CIDRs must lie in. Empty means the controller-manager's.
    type: str
    default: ""
  cgroup_driver:
    description: Cgroup driver that kubelet and runtime must use. Empty means that they must agree.
    type: str
    default: ""
  timeout:
    description:
      - Seconds to read again as long as something is not ok that may only be starting.
      - V(0) reads once.
    type: int
    default: 0
  json:
    description: Path on the control machine to write the whole result to, as JSON. Empty means none. In check mode it is not written.
    type: str
    default: ""
  junit:
    description: Path on the control machine to write the checks to, as JUnit XML. Empty means none. In check mode it is not written.
    type: str
    default: ""
  details:
    description: Whether RV(checks) and RV(nodes) are returned. They are long.
    type: bool
    default: false
requirements:
  - kubeadm, /etc/kubernetes/admin.conf and python3-yaml, on the host
seealso:
  - module: nodewise.cluster.verify_node
  - module: nodewise.cluster.verify_node_resources
  - module: nodewise.cluster.verify_test_pods
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
---
- name: Verify what the API server can tell
  nodewise.cluster.verify_cluster:
    kubernetes_version: 1.37.2

- name: Verify, and keep the result for a dashboard
  nodewise.cluster.verify_cluster:
    junit: /tmp/verify.xml
    json: /tmp/verify.json
"""

RETURN = r"""
verdict:
  description: V(pass), or V(fail) if a check of the cluster or of a node in O(scope) failed or could not be made.
  returned: always
  type: str
summary:
  description: Numbers of results in scope, by status.
  returned: always
  type: dict
  sample: {"fail": 0, "ok": 61, "unknown": 0, "warn": 0}
checks:
  description: Each check's result, as M(nodewise.cluster.verify_node) returns them.
  returned: if O(details)
  type: list
  elements: dict
nodes:
  description: The facts of each node that the table shows.
  returned: if O(details)
  type: list
  elements: dict
"""

import time
from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import NodewiseError
from ..module_utils.verify.api import ApiReader
from ..module_utils.verify.checks import TRANSIENT, Expected, HostReport, cluster_checks, node_names, rows
from ..module_utils.verify.dns import ask
from ..module_utils.verify.reading import kubeadm_images, read_cluster
from ..module_utils.verify.resources.reading import GROUP
from ..module_utils.verify.result import FAIL, UNKNOWN, Result, judged
from ..module_utils.verify.traffic import doubted, missing_results

NOT_ASKED = "the host failed or was not reached in this run"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "nodes": {"type": "list", "elements": "str", "default": []},
            "standby": {"type": "list", "elements": "str", "default": []},
            "scope": {"type": "list", "elements": "str", "default": []},
            "hosts": {"type": "list", "elements": "dict"},
            "active": {"type": "list", "elements": "dict"},
            "resources": {"type": "list", "elements": "dict"},
            "policies": {"type": "list", "elements": "dict", "default": []},
            "autoscaler": {"type": "list", "elements": "dict", "default": []},
            "cluster_name": {"type": "str", "default": ""},
            "kubernetes_version": {"type": "str", "default": ""},
            "containerd_version": {"type": "str", "default": ""},
            "calico_version": {"type": "str", "default": ""},
            "pod_cidr": {"type": "str", "default": ""},
            "cgroup_driver": {"type": "str", "default": ""},
            "timeout": {"type": "int", "default": 0},
            # The action plugin uses these on the control machine.
            "json": {"type": "str", "default": ""},
            "junit": {"type": "str", "default": ""},
            "details": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    params = module.params
    named = ("cluster_name", "kubernetes_version", "containerd_version", "calico_version", "pod_cidr", "cgroup_driver")
    nodes, standby = tuple(params["nodes"]), tuple(params["standby"])
    wanted = Expected(nodes=nodes, standby=standby, hosts_asked=params["hosts"] is not None, **{key: params[key] for key in named})
    started = time.monotonic()
    try:
        hosts = {report["node"]: HostReport.from_dict(report) for report in params["hosts"] or []}
        active = [Result.from_dict(check) for check in params["active"] or []]
        resources = {found["node"]: [Result.from_dict(check) for check in found["checks"]] for found in params["resources"] or []}
        parts = [Result.from_dict(check) for part in ("policies", "autoscaler") for check in params[part]]
        api = ApiReader()
    except (KeyError, ValueError) as error:
        module.fail_json(msg=f"The results given are not those of our modules ({type(error).__name__}: {error}).")
    except NodewiseError as error:
        module.fail_json(msg=str(error))
    deadline = started + params["timeout"]
    while True:
        reading = read_cluster(api, ask, kubeadm_images, time.time())
        names = node_names(reading, wanted)
        scope = [name for name in params["scope"] or names if name in names or name not in wanted.standby]
        checks = cluster_checks(reading, wanted, hosts, scope)
        starting = [check for check in judged(checks, scope) if check.check in TRANSIENT and check.status in (FAIL, UNKNOWN)]
        if not starting or time.monotonic() >= deadline:
            break
        time.sleep(1)
    if params["active"] is not None:
        checks += doubted([*active, *missing_results(active, scope)])
    if params["resources"] is not None:
        checks += [result for results in resources.values() for result in results]
        checks += [Result(GROUP, node, UNKNOWN, "an answer from the host", "not asked", NOT_ASKED) for node in scope if node not in resources]
    checks += parts
    module.exit_json(
        changed=False,
        cluster_name=params["cluster_name"],
        scope=list(scope),
        seconds=round(time.monotonic() - started, 1),
        nodes=[asdict(row) for row in rows(reading, names)],
        checks=[check.to_dict() for check in checks],
    )


if __name__ == "__main__":
    main()
