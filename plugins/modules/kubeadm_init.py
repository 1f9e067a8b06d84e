#!/usr/bin/python
# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_init
short_description: The first control plane of a cluster, made by kubeadm
version_added: 1.0.0
description:
  - Runs C(kubeadm init) on a bare host, with configuration documents (kubeadm.k8s.io/v1beta4) that are built as data and checked by
    C(kubeadm config validate) first, and waits until the API server is ready.
  - What was begun and what was finished is written to V(/var/lib/nodewise/state/kubeadm.json). An init that was killed is reset and run
    again by the next run. A finished one is left alone.
  - A cluster that kubeadm made here without this module is taken over as it is, without any change by C(kubeadm).
  - On a finished cluster only the control-plane taint and root's link to the kubeconfig are put right. A wanted value that a running cluster
    cannot take over (its name, version, endpoint or address ranges) is an error; one that it could, but that is not this module's to change, is a warning.
  - The bootstrap token that C(kubeadm init) always makes expires after one second.
extends_documentation_fragment:
  - nodewise.cluster._attributes
options:
  node_name:
    description: Name of this host's Node. It cannot be changed later.
    type: str
    required: true
  node_ip:
    description: Address that the API server advertises and that the kubelet registers as InternalIP.
    type: str
    required: true
  cluster_name:
    description:
      - Name of the cluster.
      - The node's providerID is V(nodewise://<cluster name>/<node name>); it is given to the kubelet as a flag, so that it survives
        C(kubeadm upgrade node).
    type: str
    required: true
  endpoint:
    description: V(host:port) under which all nodes and clients reach the API server.
    type: str
    required: true
  kubernetes_version:
    description: Version of the control plane, without a leading V(v).
    type: str
    required: true
  pod_cidr:
    description: Address range of the pods.
    type: str
    required: true
  service_cidr:
    description: Address range of the services.
    type: str
    required: true
  cri_socket:
    description: Endpoint of the container runtime.
    type: str
    required: true
  labels:
    description:
      - Labels with which the node registers. Those that a kubelet may not set (most under V(kubernetes.io) and V(k8s.io)) are refused.
    type: dict
    default: {}
  schedulable:
    description: Whether ordinary pods may run on this host, so that it has no control-plane taint.
    type: bool
    default: false
  image_repository:
    description: Registry of the control plane's images; kubeadm's own default if empty.
    type: str
    default: ""
  cert_sans:
    description: Further names and addresses in the API server's certificate.
    type: list
    elements: str
    default: []
  ignore_preflight_errors:
    description: Preflight checks of kubeadm that may fail, for example V(Swap).
    type: list
    elements: str
    default: []
  cluster_configuration:
    description:
      - Laid over ClusterConfiguration. Mappings merge, lists of named arguments (C(extraArgs)) merge by name, anything else replaces.
    type: dict
    default: {}
  initial_cluster_configuration:
    description:
      - Laid over ClusterConfiguration too, but only when the cluster is made. On a running cluster it is not compared, for it is what
        another module, M(nodewise.cluster.apiserver_admission) for example, keeps up from then on.
    type: dict
    default: {}
  init_configuration:
    description: Laid over InitConfiguration, likewise.
    type: dict
    default: {}
  kube_proxy_configuration:
    description: Laid over KubeProxyConfiguration, in which only C(mode=nftables) is set.
    type: dict
    default: {}
  kubelet_configuration:
    description: The KubeletConfiguration of all nodes, without C(apiVersion) and C(kind).
    type: dict
    default: {}
seealso:
  - module: nodewise.cluster.kubeadm_join
  - module: nodewise.cluster.kubeadm_reset
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
- name: The first control plane
  nodewise.cluster.kubeadm_init:
    node_name: cp1
    node_ip: 192.0.2.11
    cluster_name: nodewise
    endpoint: 192.0.2.11:6443
    kubernetes_version: 1.37.2
    pod_cidr: 10.244.0.0/16
    service_cidr: 10.96.0.0/12
    cri_socket: unix:///run/containerd/containerd.sock
    cluster_configuration:
      apiServer:
        extraArgs:
          - name: audit-log-path
            value: /var/log/kubernetes/audit.log
  register: control_plane

- name: The API server has answered
  ansible.builtin.assert:
    that: control_plane.healthy
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be, in order; empty if nothing.
  returned: success
  type: list
  elements: str
  sample: ["kubeadm init", "link /root/.kube/config"]
healthy:
  description: Whether the API server has said that it is ready; false only in check mode, where there is no cluster yet.
  returned: success
  type: bool
  sample: true
endpoint:
  description: V(host:port) of the API server.
  returned: success
  type: str
  sample: 192.0.2.11:6443
nodes:
  description: The Nodes of the cluster.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
    ready:
      description: Whether it is Ready.
      type: bool
    provider_id:
      description: Its providerID, empty if unset.
      type: str
    machine_id:
      description: Machine id of its host.
      type: str
  sample: [{"name": "cp1", "ready": true, "provider_id": "nodewise://nodewise/cp1", "machine_id": "4c4c4544004e3510805ab6c04f4d3533"}]
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import NodewiseError
from ..module_utils.kube.kubectl import Kubectl
from ..module_utils.kubeadm.config import ClusterSettings, NodeSettings, Overrides, as_text
from ..module_utils.kubeadm.host import HostPaths
from ..module_utils.kubeadm.initialise import ControlPlane, ensure_control_plane
from ..module_utils.kubeadm.run import Kubeadm
from ..module_utils.kubeadm.state import LOCK_PATH


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "node_name": {"type": "str", "required": True},
            "node_ip": {"type": "str", "required": True},
            "cluster_name": {"type": "str", "required": True},
            "endpoint": {"type": "str", "required": True},
            "kubernetes_version": {"type": "str", "required": True},
            "pod_cidr": {"type": "str", "required": True},
            "service_cidr": {"type": "str", "required": True},
            "cri_socket": {"type": "str", "required": True},
            "labels": {"type": "dict", "default": {}},
            "schedulable": {"type": "bool", "default": False},
            "image_repository": {"type": "str", "default": ""},
            "cert_sans": {"type": "list", "elements": "str", "default": []},
            "ignore_preflight_errors": {"type": "list", "elements": "str", "default": []},
            "cluster_configuration": {"type": "dict", "default": {}},
            "initial_cluster_configuration": {"type": "dict", "default": {}},
            "init_configuration": {"type": "dict", "default": {}},
            "kube_proxy_configuration": {"type": "dict", "default": {}},
            "kubelet_configuration": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    options = module.params
    wanted = ControlPlane(
        node=NodeSettings(**{key: options[key] for key in ("node_name", "node_ip", "cluster_name", "cri_socket", "labels", "ignore_preflight_errors")}),
        cluster=ClusterSettings(
            **{key: options[key] for key in ("kubernetes_version", "endpoint", "pod_cidr", "service_cidr", "image_repository", "cert_sans")}
        ),
        overrides=Overrides(
            init=options["init_configuration"],
            cluster=options["cluster_configuration"],
            initial_cluster=options["initial_cluster_configuration"],
            kube_proxy=options["kube_proxy_configuration"],
            kubelet=options["kubelet_configuration"],
        ),
        schedulable=options["schedulable"],
    )
    try:
        result = ensure_control_plane(wanted, module.check_mode, Kubeadm(), Kubectl(), HostPaths(), LOCK_PATH)
    except NodewiseError as error:
        module.fail_json(msg=str(error))
    for warning in result.warnings:
        module.warn(warning)
    module.exit_json(
        changed=bool(result.actions),
        actions=result.actions,
        healthy=bool(result.nodes),
        endpoint=result.endpoint,
        nodes=[node.as_dict() for node in result.nodes],
        diff={"before": "", "after": "".join(f"{action}\n" for action in result.actions) + (as_text(result.documents) if result.documents else "")},
    )


if __name__ == "__main__":
    main()
