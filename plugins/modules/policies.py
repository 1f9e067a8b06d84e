#!/usr/bin/python
# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: policies
short_description: LimitRanges, PriorityClasses and ResourceQuotas of a cluster
version_added: 1.0.0
description:
  - Brings any number of LimitRanges, PriorityClasses and ResourceQuotas to what the options say, in one call.
  - Runs on a control-plane host, which has C(kubectl) and C(/etc/kubernetes/admin.conf).
  - A listed object is made exactly what is listed; what others added to its limits is taken out. Labels and annotations stay.
    Quantities are compared by value, so V(1000m) is V(1). What is not listed is left alone; removing needs C(state=absent).
  - Everything is checked before anything is changed, and all that is wrong is told at once. Refused are bad names, quantities and resources;
    limits that contradict each other; a namespace that does not exist; a change of what Kubernetes does not change; two global defaults;
    a quota that is exceeded already; and a quota by which pods in the namespaces of the system could not start again.
    Then the API server judges the changes in a dry run.
extends_documentation_fragment:
  - nodewise.cluster._attributes
options:
  state:
    description:
      - V(present) compares and applies.
      - V(verified) changes nothing. It compares, reads what is used of each quota, and lets the API server judge pods in dry-run mode.
        One that states nothing must get what a LimitRange gives; one that asks for more than a quota allows must be refused in the quota's name.
        It does not fail; RV(checks) says what is wrong, and M(nodewise.cluster.verify_cluster) judges it.
      - V(checked) looks at the options only, and needs no cluster.
    type: str
    choices: [present, verified, checked]
    default: present
  timeout:
    description: Seconds that O(state=verified) waits until new quotas are counted.
    type: int
    default: 10
  namespaces:
    description: Namespaces to make if they do not exist. They are never removed.
    type: list
    elements: str
    default: []
  limit_ranges:
    description: The LimitRanges.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Its name.
        type: str
        required: true
      namespace:
        description: The namespace that it is in.
        type: str
        required: true
      state:
        description: Whether it is to be there.
        type: str
        choices: [present, absent]
        default: present
      limits:
        description: Its limits, one of a type. Required unless O(limit_ranges[].state=absent).
        type: list
        elements: dict
        suboptions:
          type:
            description: What is limited.
            type: str
            choices: [Container, Pod, PersistentVolumeClaim]
            default: Container
          min:
            description: The least amount, by resource.
            type: dict
          default_request:
            description: Request of a container that states none. Kubernetes takes O(limit_ranges[].limits[].default) if this is not given.
            type: dict
          default:
            description: Limit of a container that states none. Kubernetes takes O(limit_ranges[].limits[].max) if this is not given.
            type: dict
          max:
            description: The greatest amount, by resource.
            type: dict
          max_limit_request_ratio:
            description: How many times its request a limit may be, by resource.
            type: dict
  priority_classes:
    description: The PriorityClasses.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Its name.
        type: str
        required: true
      state:
        description: Whether it is to be there.
        type: str
        choices: [present, absent]
        default: present
      value:
        description:
          - The priority, at most 1000000000. Kubernetes does not change it; a difference is an error.
          - Required unless O(priority_classes[].state=absent).
        type: int
      global_default:
        description: Whether pods that name no class get this one. Only one class can be it.
        type: bool
        default: false
      preemption_policy:
        description: Whether pods of the class push out others. Kubernetes does not change it; a difference is an error.
        type: str
        choices: [PreemptLowerPriority, Never]
        default: PreemptLowerPriority
      description:
        description: When the class is to be used.
        type: str
        default: ""
  resource_quotas:
    description: The ResourceQuotas.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Its name.
        type: str
        required: true
      namespace:
        description: The namespace that it is in.
        type: str
        required: true
      state:
        description: Whether it is to be there.
        type: str
        choices: [present, absent]
        default: present
      hard:
        description: What the namespace may use in all, by resource. Required unless O(resource_quotas[].state=absent).
        type: dict
      scopes:
        description: Which pods it counts. Kubernetes does not change it; a difference is an error.
        type: list
        elements: str
        choices: [Terminating, NotTerminating, BestEffort, NotBestEffort, PriorityClass, CrossNamespacePodAffinity]
      scope_selector:
        description: Which pods it counts, with values to compare.
        type: list
        elements: dict
        suboptions:
          scope_name:
            description: The scope.
            type: str
            choices: [Terminating, NotTerminating, BestEffort, NotBestEffort, PriorityClass, CrossNamespacePodAffinity]
            required: true
          operator:
            description: How the values are compared.
            type: str
            choices: [In, NotIn, Exists, DoesNotExist]
            required: true
          values:
            description: The values; names of PriorityClasses.
            type: list
            elements: str
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
---
- name: Give containers limits, and a namespace an end
  nodewise.cluster.policies:
    namespaces: [demo]
    limit_ranges:
      - name: defaults
        namespace: demo
        limits:
          - default: {cpu: 500m, memory: 500Mi}
            default_request: {cpu: 100m, memory: 100Mi}
    priority_classes:
      - name: high-priority
        value: 1000000
    resource_quotas:
      - name: compute-resources
        namespace: demo
        hard: {requests.cpu: 4, requests.memory: 8Gi, limits.cpu: 4, limits.memory: 8Gi}

- name: Remove a quota
  nodewise.cluster.policies:
    resource_quotas:
      - name: compute-resources
        namespace: demo
        state: absent
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be.
  returned: O(state=present)
  type: list
  elements: str
  sample: ["create LimitRange demo/defaults"]
checks:
  description: Each check's result, as M(nodewise.cluster.verify_node) returns them.
  returned: O(state=verified)
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import NodewiseError
from ..module_utils.kube.host import lacking
from ..module_utils.kube.kubectl import Kubectl
from ..module_utils.policies.arguments import ARGUMENTS
from ..module_utils.policies.cluster import actions, carry_out, compare, difference, refuse
from ..module_utils.policies.desired import Desired, desired, problems
from ..module_utils.policies.plan import make_plan
from ..module_utils.policies.prove import LISTED, prove
from ..module_utils.verify.result import CLUSTER, UNKNOWN, Result


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        refuse(problems(module.params))
        _run(module, desired(module.params))
    except NodewiseError as error:
        if module.params["state"] == "verified":
            # It is for verify_cluster to judge, which shows all else that it knows too.
            module.exit_json(changed=False, checks=[Result(LISTED, CLUSTER, UNKNOWN, "policies as listed", error.message, error.remedy).to_dict()])
        module.fail_json(msg=str(error))


def _run(module: AnsibleModule, wanted: Desired) -> None:
    state = module.params["state"]
    if state == "checked" or not (wanted.present or wanted.absent):
        module.exit_json(changed=False, **({"checks": []} if state == "verified" else {"actions": []}))
    missing = lacking(module.check_mode)
    if state == "verified":
        checks = [] if missing else [result.to_dict() for result in prove(Kubectl(), wanted, module.params["timeout"])]
        module.exit_json(changed=False, checks=checks)
    plan, warnings = (make_plan(wanted, {}), list[str]()) if missing else compare(Kubectl(), wanted)
    for warning in warnings:
        module.warn(warning)
    if not module.check_mode:
        carry_out(Kubectl(), plan)
    module.exit_json(changed=plan.changed, actions=actions(plan), diff=difference(plan))


if __name__ == "__main__":
    main()
