#!/usr/bin/python
# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_join
short_description: A worker, joined to the cluster by kubeadm
version_added: 1.0.0
description:
  - Runs C(kubeadm join) on a host that is not a node yet, with a configuration document (kubeadm.k8s.io/v1beta4) that is built as data and checked by
    C(kubeadm config validate) first, and waits until the kubelet has registered its Node.
  - What was begun and what was finished is written to V(/var/lib/nodewise/state/kubeadm.json). A join that was killed is reset and run
    again by the next run. A host that is a node already is left alone.
  - Only what that record says this module did is ever reset. A host that is a node of another cluster, a control plane, or whose Node's name another host has,
    is refused.
  - The token is in no file, no command line and no message.
extends_documentation_fragment:
  - nodewise.cluster._attributes
options:
  node_name:
    description: Name of the Node. It cannot be changed later.
    type: str
    required: true
  node_ip:
    description: Address that the kubelet registers as InternalIP.
    type: str
    required: true
  cluster_name:
    description:
      - Name of the cluster.
      - The node's providerID is V(nodewise://<cluster name>/<node name>), from the first registration on.
    type: str
    required: true
  cri_socket:
    description: Endpoint of the container runtime.
    type: str
    required: true
  node:
    description: The Node of that name as RV(nodewise.cluster.kubeadm_join_info#module:plans) has it; not given if there is none.
    type: dict
    suboptions:
      name:
        description: Its name.
        type: str
        required: true
      ready:
        description: Whether it is Ready.
        type: bool
        required: true
      provider_id:
        description: Its providerID.
        type: str
        required: true
      machine_id:
        description: Machine id of its host.
        type: str
        required: true
  token:
    description: Bootstrap token. Needed only if the host must join.
    type: str
    default: ""
  endpoint:
    description: V(host:port) of the API server. Needed only if the host must join.
    type: str
    default: ""
  ca_cert_hashes:
    description: Hashes of the public key of the cluster's CA, which is thereby pinned. Needed only if the host must join.
    type: list
    elements: str
    default: []
  labels:
    description:
      - Labels with which the node registers. Those that a kubelet may not set (most under V(kubernetes.io) and V(k8s.io)) are refused.
      - They are not changed on a node that has joined.
    type: dict
    default: {}
  taints:
    description: Taints with which the node registers. They are not changed on a node that has joined.
    type: list
    elements: dict
    default: []
    suboptions:
      key:
        description: The taint's key.
        type: str
        required: true
      value:
        description: The taint's value.
        type: str
      effect:
        description: The taint's effect.
        type: str
        required: true
        choices: [NoSchedule, PreferNoSchedule, NoExecute]
  ignore_preflight_errors:
    description: Preflight checks of kubeadm that may fail, for example V(Swap).
    type: list
    elements: str
    default: []
  join_configuration:
    description: Laid over JoinConfiguration. Mappings merge, lists of named arguments merge by name, anything else replaces.
    type: dict
    default: {}
seealso:
  - module: nodewise.cluster.kubeadm_join_info
  - module: nodewise.cluster.kubeadm_token
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
- name: Join w1
  nodewise.cluster.kubeadm_join:
    node_name: w1
    node_ip: 192.0.2.21
    cluster_name: nodewise
    cri_socket: unix:///run/containerd/containerd.sock
    token: "{{ token.token }}"
    endpoint: "{{ token.endpoint }}"
    ca_cert_hashes: "{{ token.ca_cert_hashes }}"
    labels:
      example.com/rack: r7
"""

RETURN = r"""
action:
  description: What the host needed, see RV(nodewise.cluster.kubeadm_join_info#module:plans.action).
  returned: success
  type: str
  sample: join
reason:
  description: Why.
  returned: success
  type: str
  sample: it has no /etc/kubernetes/kubelet.conf
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import NodewiseError
from ..module_utils.kubeadm.config import NodeSettings, as_text
from ..module_utils.kubeadm.host import HostPaths
from ..module_utils.kubeadm.join import Worker, ensure_joined
from ..module_utils.kubeadm.nodes import Node
from ..module_utils.kubeadm.run import Kubeadm
from ..module_utils.kubeadm.state import LOCK_PATH


def main() -> None:
    node_options = {
        "name": {"type": "str", "required": True},
        "ready": {"type": "bool", "required": True},
        "provider_id": {"type": "str", "required": True},
        "machine_id": {"type": "str", "required": True},
    }
    taint_options = {
        "key": {"type": "str", "required": True, "no_log": False},
        "value": {"type": "str"},
        "effect": {"type": "str", "required": True, "choices": ["NoSchedule", "PreferNoSchedule", "NoExecute"]},
    }
    module = AnsibleModule(
        argument_spec={
            "node_name": {"type": "str", "required": True},
            "node_ip": {"type": "str", "required": True},
            "cluster_name": {"type": "str", "required": True},
            "cri_socket": {"type": "str", "required": True},
            "node": {"type": "dict", "options": node_options},
            "token": {"type": "str", "default": "", "no_log": True},
            "endpoint": {"type": "str", "default": ""},
            "ca_cert_hashes": {"type": "list", "elements": "str", "default": []},
            "labels": {"type": "dict", "default": {}},
            "taints": {"type": "list", "elements": "dict", "default": [], "options": taint_options},
            "ignore_preflight_errors": {"type": "list", "elements": "str", "default": []},
            "join_configuration": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    options = module.params
    wanted = Worker(
        node=NodeSettings(
            node_name=options["node_name"],
            node_ip=options["node_ip"],
            cluster_name=options["cluster_name"],
            cri_socket=options["cri_socket"],
            labels=options["labels"],
            taints=[{key: value for key, value in taint.items() if value is not None} for taint in options["taints"]],
            ignore_preflight_errors=options["ignore_preflight_errors"],
        ),
        registered=Node(**options["node"]) if options["node"] else None,
        endpoint=options["endpoint"],
        token=options["token"],
        ca_cert_hashes=options["ca_cert_hashes"],
        override=options["join_configuration"],
    )
    try:
        result = ensure_joined(wanted, module.check_mode, Kubeadm(), HostPaths(), LOCK_PATH)
    except NodewiseError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=bool(result.actions),
        action=result.plan.action,
        reason=result.plan.reason,
        diff={"before": "", "after": "".join(f"{action}\n" for action in result.actions) + (as_text([result.document]) if result.document else "")},
    )


if __name__ == "__main__":
    main()
