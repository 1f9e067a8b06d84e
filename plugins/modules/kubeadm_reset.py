#!/usr/bin/python
# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_reset
short_description: A host taken back to before it was a Kubernetes node
version_added: 1.0.0
description:
  - Stops and disables the kubelet, runs C(kubeadm reset), and removes what that leaves. These are pods, mounts and files of the kubelet,
    the data of a control plane's etcd, Calico's files, and the records of this collection.
  - Of the host's network it removes only what is recognised as Kubernetes' or Calico's. These are chains named C(KUBE-) or C(cali-) and
    rules that lead to them, in both of iptables' back ends, the nftables tables C(kube-proxy) and C(calico), ipsets, links and routes.
    Nothing is flushed. The chains of the CNI plugin portmap go only if no other CNI network is configured on the host.
  - Programs, images and the container runtime stay, so that the host can join again at once, unless O(purge) is set.
  - The module looks again when it is done, and fails if something is left. A run that was killed is finished by the next one.
  - It does nothing about the Node in the cluster; that is M(nodewise.cluster.kubeadm_node).
extends_documentation_fragment:
  - nodewise.cluster._attributes
options:
  cri_socket:
    description: Endpoint of the container runtime.
    type: str
    required: true
  pod_cidr:
    description: Address range of the pods. Routes of BIRD and addresses of V(tunl0) are removed if they are inside.
    type: str
    required: true
  purge:
    description:
      - Whether what this collection installed goes too. That is programs that are still the ones it installed, files that bear its mark,
        containerd's images if it brought containerd and no other one is there, and all its records.
      - Swap that was turned off stays off. Debian packages stay.
    type: bool
    default: false
seealso:
  - module: nodewise.cluster.kubeadm_node
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
- name: Take the host back
  nodewise.cluster.kubeadm_reset:
    cri_socket: unix:///run/containerd/containerd.sock
    pod_cidr: 10.244.0.0/16
"""

RETURN = r"""
removed:
  description: What was there and was removed, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: ["running kubelet", "enabled kubelet", "/etc/kubernetes/kubelet.conf", "link vxlan.calico"]
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import NodewiseError
from ..module_utils.kubeadm.commands import Commands
from ..module_utils.kubeadm.host import HostPaths
from ..module_utils.kubeadm.reset import HostReset, ResetSettings
from ..module_utils.kubeadm.run import Kubeadm
from ..module_utils.kubeadm.state import LOCK_PATH
from ..module_utils.systemd.systemctl import Systemd


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "cri_socket": {"type": "str", "required": True},
            "pod_cidr": {"type": "str", "required": True},
            "purge": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    reset = HostReset(ResetSettings(**module.params), HostPaths(), Commands(), Systemd(), Kubeadm())
    try:
        result = reset.run(module.check_mode, LOCK_PATH)
    except (NodewiseError, OSError) as error:
        module.fail_json(msg=str(error))
    for warning in result.warnings:
        module.warn(warning)
    module.exit_json(
        changed=bool(result.removed),
        removed=result.removed,
        diff={"before": "".join(f"{text}\n" for text in result.removed), "after": ""},
    )


if __name__ == "__main__":
    main()
