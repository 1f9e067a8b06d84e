#!/usr/bin/python
# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_resources_info
short_description: What a cluster's nodes have, what pods requested of it, and what is really used
version_added: 1.0.0
description:
  - Runs once, wherever a kubeconfig is. Returns for each node its capacity and allocatable, what the pods on it requested and what limits
    they have, what the node really uses, and how far the requests are from the use; for each namespace what it holds and how much
    of its ResourceQuotas is consumed; and the totals.
  - Requests and limits are counted by the scheduler's own formula, with init containers, sidecars, overhead, resources of
    the pod itself and pods that are being resized. Pods that ended for good are counted apart and take nothing.
  - What a node uses is told by its NodeReport; if that is missing or has expired, by the metrics API (metrics-server). Every figure
    names its source and its age by the API server's clock. What is stale is unknown.
  - What cannot be read is null, never 0, and RV(errors) says why.
  - Every kind is read once, in pages that are summed up and dropped, so that memory grows with the numbers of nodes and namespaces only. Of secrets
    and of whatever else is only counted nothing but metadata leaves the API server.
  - Nodes and pods are read as protobuf where C(google.protobuf) is at hand, in the Python that runs this module or in the reporter's, else as JSON.
  - The user of the kubeconfig must be allowed to list what is to be known. C(kubelet) Summary needs C(nodes/proxy).
extends_documentation_fragment:
  - nodewise.cluster._attributes.info
requirements:
  - python3-yaml
options:
  kubeconfig:
    description: The kubeconfig to use, with a client certificate or a token.
    type: path
    default: /etc/kubernetes/admin.conf
  sort_by:
    description:
      - What comes first. Nodes are sorted by the share of their allocatable that is used (V(cpu), V(memory)) or requested (V(cpu_requested),
        V(memory_requested)), by the number of their pods or by name. Unknown comes last.
      - Namespaces are sorted by what their pods requested, by the number of their pods or by name.
    type: str
    choices: [cpu, memory, cpu_requested, memory_requested, pods, name]
    default: cpu
  summary_nodes:
    description:
      - Names of Nodes whose kubelets are asked themselves (C(/stats/summary), through the API server). What they say is then preferred.
      - It is a request for each of them, so this is meant for a few.
    type: list
    elements: str
    default: []
  table_rows:
    description: How many nodes and how many namespaces RV(table) shows at most. V(0) shows all. RV(nodes) and RV(namespaces) always have all.
    type: int
    default: 40
  timeout:
    description: Seconds that the API server may take for one request.
    type: int
    default: 30
notes:
  - Memory that a NodeReport tells is what is not available any more (MemTotal - MemAvailable); metrics API and kubelet tell the working set.
seealso:
  - module: nodewise.cluster.verify_cluster
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
- name: Look at the cluster
  nodewise.cluster.cluster_resources_info:
  register: resources

- name: Show it
  ansible.builtin.debug:
    msg: "{{ resources.table }}"

- name: What fills the memory, and what do the kubelets of two nodes say?
  nodewise.cluster.cluster_resources_info:
    sort_by: memory
    summary_nodes: [w1, w2]

- name: Fail if a quota is nearly used up
  ansible.builtin.assert:
    that: resources.namespaces | map(attribute='quotas') | flatten | map(attribute='resources') | map('dict2items') | flatten
          | selectattr('value.percent', 'ne', none) | selectattr('value.percent', 'gt', 90) | length == 0
"""

RETURN = r"""
nodes:
  description:
    - The nodes, sorted. Null if they cannot be read.
    - Amounts go by the names of resources in Kubernetes. V(cpu) is in millicores, everything else in its own unit (bytes, pieces). A resource that
      is not mentioned in RV(nodes[].requested) is not requested; one not mentioned in RV(nodes[].limits) has no limit.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the Node.
      type: str
    ready:
      description: Its condition Ready, null if that is Unknown.
      type: bool
    unschedulable:
      description: Whether it is cordoned.
      type: bool
    pods:
      description: Pods on it that have not ended for good.
      type: int
    terminated_pods:
      description: Pods on it that have.
      type: int
    capacity:
      description: What it has.
      type: dict
    allocatable:
      description: What pods may request of it.
      type: dict
    requested:
      description: What its pods requested.
      type: dict
    limits:
      description: The sum of its pods' limits. A pod without a limit adds nothing to it.
      type: dict
    used:
      description:
        - What is used of V(cpu), V(memory) and V(ephemeral-storage), each with C(value), C(source) (V(NodeReport), V(metrics API) or V(kubelet Summary)),
          C(observed_at) (RFC 3339), C(age_seconds), and C(reason) if the value is unknown.
      type: dict
    slack:
      description: Requested minus used, of V(cpu) and V(memory). Less than 0 means that more is used than was requested.
      type: dict
  sample:
    - name: w1
      ready: true
      unschedulable: false
      pods: 4
      terminated_pods: 0
      capacity: {"cpu": 2000, "memory": 8323190784, "ephemeral-storage": 52521566208, "hugepages-2Mi": 0, "pods": 110}
      allocatable: {"cpu": 2000, "memory": 8218333184, "ephemeral-storage": 48403875360, "hugepages-2Mi": 0, "pods": 110}
      requested: {"cpu": 350, "memory": 73400320}
      limits: {"memory": 178257920}
      used:
        cpu: {"value": 96, "source": "NodeReport", "observed_at": "2026-11-25T16:40:01.123456Z", "age_seconds": 12.4}
        memory: {"value": 412876800, "source": "NodeReport", "observed_at": "2026-11-25T16:40:01.123456Z", "age_seconds": 12.4}
        ephemeral-storage: {"value": null, "source": null, "observed_at": null, "age_seconds": null, "reason": "NodeReport does not tell it"}
      slack: {"cpu": 254, "memory": -339476480}
namespaces:
  description: The namespaces, sorted; a number that cannot be read is null.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the namespace.
      type: str
    pods:
      description: Pods that have not ended for good.
      type: int
    terminated_pods:
      description: Pods that have.
      type: int
    requested:
      description: As of a node.
      type: dict
    limits:
      description: As of a node.
      type: dict
    services:
      description: Number of services.
      type: int
    load_balancers:
      description: Those of them that are of type LoadBalancer.
      type: int
    secrets:
      description: Number of secrets.
      type: int
    persistent_volume_claims:
      description: Number of PersistentVolumeClaims.
      type: int
    replication_controllers:
      description: Number of ReplicationControllers.
      type: int
    deployments:
      description: Number of Deployments.
      type: int
    quotas:
      description: Each ResourceQuota's C(name) and C(resources) with C(hard) and C(used) as Kubernetes writes them, and C(percent) of one in the other.
      type: list
      elements: dict
  sample:
    - name: shop
      pods: 12
      terminated_pods: 1
      requested: {"cpu": 1500, "memory": 3221225472}
      limits: {"memory": 6442450944}
      services: 3
      load_balancers: 1
      secrets: 4
      persistent_volume_claims: 2
      replication_controllers: 0
      deployments: 3
      quotas: [{"name": "team", "resources": {"requests.cpu": {"hard": "2", "used": "1500m", "percent": 75.0}}}]
totals:
  description:
    - The same sums over the whole cluster, and the numbers of C(nodes), C(namespaces) and C(unscheduled_pods). A sum that misses a part is null.
    - C(pods), C(requested) and C(limits) are of all pods, also of those that have no node yet.
    - C(used) and C(slack) have the sum over the nodes of which it is known as C(value), and how many those are as C(nodes).
  returned: success
  type: dict
  sample: {"nodes": 3, "namespaces": 5, "pods": 22, "unscheduled_pods": 0, "used": {"cpu": {"value": 420, "nodes": 3}}}
errors:
  description: What could not be read, and why.
  returned: success
  type: dict
  sample: {"nodemetrics": "the API server does not serve it (HTTP 404)"}
table:
  description: Nodes, namespaces and what could not be read, as lines for people.
  returned: success
  type: list
  elements: str
  sample:
    - "NODE  STATE  CPU  C-USE%  C-REQ%  C-LIM%  C-SLACK  MEMORY  M-USE%  M-REQ%  M-LIM%  M-SLACK   PODS  SOURCE  AGE"
    - "w1    ready    2      5%     18%      0%     0.25   7.7Gi      5%      1%      2%   -324Mi  4/110  report  12s"
"""

import gc
import os

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.respawn import has_respawned, respawn_module

from ..module_utils.api.client import ApiClient
from ..module_utils.consumption import result
from ..module_utils.consumption.reading import read_cluster
from ..module_utils.consumption.table import table
from ..module_utils.consumption.wire import can_decode
from ..module_utils.errors import NodewiseError

REPORTERS_PYTHON = "/opt/nodewise/reporter/current/venv/bin/python"
"""The reporter's Python, which has protobuf."""


def respawn_with_protobuf() -> None:
    """Go on under the reporter's Python if it is there and this one has no protobuf; a big cluster's JSON takes twice as long."""
    if not can_decode() and not has_respawned() and os.path.exists(REPORTERS_PYTHON):
        respawn_module(REPORTERS_PYTHON)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "kubeconfig": {"type": "path", "default": "/etc/kubernetes/admin.conf"},
            "sort_by": {"type": "str", "choices": list(result.SORT_BY), "default": "cpu"},
            "summary_nodes": {"type": "list", "elements": "str", "default": []},
            "table_rows": {"type": "int", "default": 40},
            "timeout": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    options = module.params
    for name, least in (("table_rows", 0), ("timeout", 1)):
        if options[name] < least:
            module.fail_json(msg=f"{name} is {options[name]}. Remedy: give a whole number, at least {least}.")
    respawn_with_protobuf()
    # What is decoded has no cycles; looking for some in page after page takes longer than the decoding.
    gc.disable()
    try:
        cluster = read_cluster(ApiClient(options["kubeconfig"], options["timeout"]), options["summary_nodes"])
    except NodewiseError as error:
        module.fail_json(msg=str(error))
    nodes = result.nodes(cluster, options["sort_by"])
    namespaces = result.namespaces(cluster, options["sort_by"])
    totals = result.totals(cluster, nodes, namespaces)
    module.exit_json(
        changed=False,
        nodes=nodes,
        namespaces=namespaces,
        totals=totals,
        errors=cluster.errors,
        table=table(nodes, namespaces, totals, cluster.errors, options["table_rows"]),
    )


if __name__ == "__main__":
    main()
