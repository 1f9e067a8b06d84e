#!/usr/bin/python
# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: calico
short_description: Calico on a kubeadm cluster
version_added: 1.0.0
description:
  - Edits Calico's own manifest as data and applies it server-side, writes C(calicoctl)'s configuration file, and brings IP pools,
    BGP and Felix settings to what the options say, through C(calicoctl).
  - Runs on a control-plane host, which has C(kubectl), C(calicoctl) and C(/etc/kubernetes/admin.conf).
  - What others added to Calico's objects (an environment variable of another owner, a field of a pool that no option names) is left alone.
    What an earlier run set and the options no longer say is taken back; that record is C(/var/lib/nodewise/state/calico.json).
extends_documentation_fragment:
  - nodewise.cluster._attributes
options:
  state:
    description:
      - V(present) compares and applies, and does not wait for pods.
      - V(ready) changes nothing. It waits until calico-node, CoreDNS and calico-kube-controllers are rolled out,
        and fails naming the pods that are not ready, why, and their last log lines.
        It also fails if the version of C(calicoctl) is not that of the cluster. In check mode it does not wait.
      - V(checked) looks at the options only, and needs no cluster. It fails with all that is wrong with them, as V(present) does first.
    type: str
    choices: [present, ready, checked]
    default: present
  wait_timeout:
    description: How long O(state=ready) waits, in seconds.
    type: int
    default: 300
  manifest:
    description: Calico's own manifest (C(calico.yaml) or C(calico-vxlan.yaml)) on the host.
    type: path
    default: /var/lib/nodewise/manifests/calico.yaml
  version:
    description: The Calico version. The images of O(manifest) must have it. Required unless O(state=ready).
    type: str
  kubernetes_version:
    description: The Kubernetes version of the cluster. Required unless O(state=ready).
    type: str
  allow_unsupported_pair:
    description: Whether a pair of versions that Calico is not tested with is accepted.
    type: bool
    default: false
  pod_cidr:
    description: CIDR of the default pool. Calico cannot change that of a live pool, so a difference is an error. Required unless O(state=ready).
    type: str
  backend:
    description:
      - V(vxlan) runs no BGP daemon; Felix programs the routes.
      - V(bird) runs BIRD, and calico-node's probes ask it too.
    type: str
    choices: [vxlan, bird]
    default: vxlan
  encapsulation:
    description:
      - How pod traffic between nodes travels in the default pool. V(VXLANCrossSubnet) and V(IPIPCrossSubnet) encapsulate only between subnets.
      - V(IPIP), V(IPIPCrossSubnet) and V(None) need O(backend=bird).
    type: str
    choices: [VXLAN, VXLANCrossSubnet, IPIP, IPIPCrossSubnet, None]
    default: VXLAN
  block_size:
    description: Prefix length of the address blocks that nodes take from the default pool. It cannot be changed later.
    type: int
    default: 26
  nat_outgoing:
    description: Whether the default pool's traffic to the outside gets the node's address.
    type: bool
    default: true
  mtu:
    description: MTU of pod and tunnel interfaces in bytes; V(0) lets Calico detect it.
    type: int
    default: 0
  ip_autodetection_method:
    description: >-
      How calico-node finds its node's address. One of V(kubernetes-internal-ip), V(first-found), C(can-reach=ADDRESS), C(interface=REGEX),
      C(skip-interface=REGEX), C(cidr=CIDR).
    type: str
    default: kubernetes-internal-ip
  iptables_backend:
    description: Which iptables Felix writes. V(NFT) is that of Debian 12 and 13; V(Auto) lets Felix guess.
    type: str
    choices: [NFT, Legacy, Auto]
    default: NFT
  image_prefix:
    description: Registry and folder that replace those of the manifest's images; empty leaves them.
    type: str
    default: ""
  felix_env:
    description: Further C(FELIX_) environment variables of calico-node. They win over O(felix_configuration).
    type: dict
    default: {}
  felix_configuration:
    description: Fields of the FelixConfiguration V(default).
    type: dict
    default: {}
  ip_pools:
    description:
      - Further pools, each a V(name) with the fields of an IPPool's C(spec). C(blockSize), C(natOutgoing) and the modes default to those of the default pool.
      - An entry V(default-ipv4-ippool) adds fields, such as C(nodeSelector), to the default pool.
      - A pool that is taken out is deleted, unless pods still have its addresses, which is an error.
    type: list
    elements: dict
    default: []
  bgp_configuration:
    description: Fields of the BGPConfiguration V(default). Needs O(backend=bird).
    type: dict
    default: {}
  bgp_peers:
    description: BGP peers, each a V(name) with the fields of a BGPPeer's C(spec). Needs O(backend=bird).
    type: list
    elements: dict
    default: []
  nodes_without_cni:
    description:
      - Nodes on which C(/etc/cni/net.d) lacks C(10-calico.conflist) or C(calico-kubeconfig).
        The calico-node pod of such a node is deleted, since its successor's init container writes both;
        a pod whose init container has not run yet is left alone.
    type: list
    elements: str
    default: []
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
- name: Install Calico with VXLAN
  nodewise.cluster.calico:
    version: 3.33.0
    kubernetes_version: 1.37.2
    pod_cidr: 10.244.0.0/16

- name: Install Calico with BIRD and a peer in the rack
  nodewise.cluster.calico:
    version: 3.33.0
    kubernetes_version: 1.37.2
    pod_cidr: 10.244.0.0/16
    backend: bird
    encapsulation: None
    bgp_configuration:
      asNumber: 64600
      nodeToNodeMeshEnabled: false
    bgp_peers:
      - name: rack-1
        peerIP: 192.0.2.1
        asNumber: 64601

- name: Wait until Calico and CoreDNS are rolled out
  nodewise.cluster.calico:
    state: ready
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be, in order.
  returned: success
  type: list
  elements: str
  sample: ["apply the manifest (apps.v1.DaemonSet.kube-system.calico-node)", "create IPPool default-ipv4-ippool"]
unsettled:
  description: What is not rolled out; with O(state=ready) it is not empty only in check mode.
  returned: O(state=ready), or nothing had to be changed
  type: list
  elements: str
  sample: ["daemonset/calico-node: 3 of 3 updated, 2 of 3 available"]
"""

from concurrent.futures import ThreadPoolExecutor

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.calico.arguments import ARGUMENTS, REQUIRED_IF
from ..module_utils.calico.calicoctl import Calicoctl
from ..module_utils.calico.install import Installer, Paths, version_problem
from ..module_utils.calico.rollout import unsettled, wait_settled
from ..module_utils.calico.settings import settings_of
from ..module_utils.errors import NodewiseError
from ..module_utils.kube.host import lacking
from ..module_utils.kube.kubectl import Kubectl


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, required_if=REQUIRED_IF, supports_check_mode=True)
    try:
        if module.params["state"] == "ready":
            _ready(module)
        else:
            _present(module)
    except NodewiseError as error:
        module.fail_json(msg=str(error))


def _present(module: AnsibleModule) -> None:
    options = module.params
    settings = settings_of(options)
    if options["state"] == "checked":
        module.exit_json(changed=False, actions=[])
    missing = lacking(module.check_mode, [options["manifest"]], ["calicoctl"])
    if missing:
        module.exit_json(changed=True, actions=[f"install Calico {settings.version} (not compared: this host has no {', '.join(missing)} yet)"])
    installer = Installer(settings, Paths(manifest=options["manifest"]), Kubectl(), Calicoctl())
    with ThreadPoolExecutor() as pool:
        now = pool.submit(unsettled, Kubectl())
        changes = installer.compare(options["nodes_without_cni"])
    if not module.check_mode:
        installer.apply(changes)
    # After a change it takes time, which is that of state=ready.
    settled = {} if changes.changed else {"unsettled": now.result()}
    module.exit_json(changed=changes.changed, actions=changes.actions(), diff=changes.diff(), **settled)


def _ready(module: AnsibleModule) -> None:
    missing = lacking(module.check_mode, programs=["calicoctl"])
    if module.check_mode:
        module.exit_json(changed=False, actions=[], unsettled=["the cluster does not exist yet"] if missing else unsettled(Kubectl()))
    wait_settled(Kubectl(), module.params["wait_timeout"])
    mismatch = version_problem(Calicoctl())
    if mismatch:
        raise NodewiseError(mismatch, "set calico_version to the version that the cluster shall run, and run again")
    module.exit_json(changed=False, actions=[], unsettled=[])


if __name__ == "__main__":
    main()
