#!/usr/bin/python
# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_facts
short_description: What a host says about itself before a cluster is put on it
version_added: 1.0.0
description:
  - Reads, in one pass and without changing anything, what M(nodewise.cluster.preflight) and the roles of this collection need to know.
  - Comes with an action plugin that compares the host's clock with the controller's.
  - Needs nothing on the host but Python; works before the role P(nodewise.cluster.host#role) ran.
extends_documentation_fragment:
  - nodewise.cluster._attributes
  - nodewise.cluster._attributes.info
attributes:
  facts:
    description: Action returns an C(ansible_facts) dictionary that will update existing host facts.
    support: full
options:
  kernel_modules:
    description: Kernel modules to look for.
    type: list
    elements: str
    default: [overlay, br_netfilter, nf_conntrack, vxlan]
  wanted:
    description:
      - The values of the role's variables on this host, for M(nodewise.cluster.preflight). They are returned as they are.
      - C(sysctls) names the kernel parameters to read, C(control_plane_endpoint) the name to resolve, and C(cri_socket) a further socket to look for.
    type: dict
    default: {}
seealso:
  - module: nodewise.cluster.preflight
  - module: nodewise.cluster.host_prepare
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
- name: See what a host says about itself
  nodewise.cluster.host_facts:

- name: Show its address
  ansible.builtin.debug:
    msg: "{{ ansible_facts['nodewise']['default_ipv4'] }}"
"""

RETURN = r"""
ansible_facts:
  description: Facts of the host.
  returned: success
  type: dict
  contains:
    nodewise:
      description: The facts.
      returned: success
      type: dict
      contains:
        hostname:
          description: The kernel's idea of the host's name.
          returned: success
          type: str
          sample: w1
        machine_id:
          description: Content of C(/etc/machine-id).
          returned: success
          type: str
        architecture:
          description: Architecture as Kubernetes names it.
          returned: success
          type: str
          sample: amd64
        kernel:
          description: Release of the kernel.
          returned: success
          type: str
          sample: 6.1.0-37-amd64
        container:
          description: The container manager, if the host is a container (C(/run/systemd/container)); else empty.
          returned: success
          type: str
          sample: podman
        systemd:
          description: Whether systemd is process 1.
          returned: success
          type: bool
        distribution:
          description: C(ID) of C(/etc/os-release).
          returned: success
          type: str
          sample: debian
        distribution_version:
          description: C(VERSION_ID) of C(/etc/os-release).
          returned: success
          type: str
          sample: "12"
        default_ipv4:
          description: The address the host uses towards the rest of the world, or else its first one; empty if it has none.
          returned: success
          type: str
          sample: 192.0.2.11
        addresses:
          description: All IPv4 addresses but those of the loopback network.
          returned: success
          type: list
          elements: str
        interfaces:
          description: Names of the network interfaces.
          returned: success
          type: list
          elements: str
        routes:
          description: IPv4 routes of the main table but the default routes, each with C(destination), C(gateway) and C(interface).
          returned: success
          type: list
          elements: dict
        resolved:
          description: The host part of C(control_plane_endpoint) of O(wanted), and its IPv4 addresses.
          returned: success
          type: dict
        listeners:
          description: Sockets on ports that a cluster needs, each with C(port), C(protocol) and C(program); an empty program is the kernel.
          returned: success
          type: list
          elements: dict
        cgroup:
          description: V(v2), V(v1) or V(hybrid).
          returned: success
          type: str
          sample: v2
        swap:
          description: Lists C(active) (rows of C(/proc/swaps)) and C(persistent) (what brings swap back at the next boot).
          returned: success
          type: dict
        kernel_modules:
          description: For each of O(kernel_modules) V(loaded), V(builtin), V(available) or V(missing).
          returned: success
          type: dict
        sysctls:
          description: For each kernel parameter its C(value), V(null) if there is none, and whether it is C(writable).
          returned: success
          type: dict
        sysctl_overrides:
          description: Kernel parameters that a file read after the role's own sets otherwise at boot.
          returned: success
          type: dict
        services:
          description: Whether firewalld, ufw, NetworkManager and systemd-networkd are C(active) and C(enabled).
          returned: success
          type: dict
        ufw_enabled:
          description: Whether ufw's own switch is on.
          returned: success
          type: bool
        missing_packages:
          description: Debian packages of which no needed program or Python module is there.
          returned: success
          type: list
          elements: str
        apt:
          description: Whether the host has C(apt-get).
          returned: success
          type: bool
        memory_mb:
          description: Memory in MiB.
          returned: success
          type: int
        cpus:
          description: CPUs the host may use.
          returned: success
          type: int
        disks:
          description: The filesystems on which the cluster's folders lie or will lie, each with C(path), C(device) and C(free_mb).
          returned: success
          type: list
          elements: dict
        cri_sockets:
          description: Endpoints of container runtimes whose socket is there.
          returned: success
          type: list
          elements: str
          sample: ["unix:///run/containerd/containerd.sock"]
        foreign_containerd:
          description:
            - Files of a containerd that this collection did not install and would take over; what a package installed counts only while
              the socket is there. Empty where this collection's own unit is.
          returned: success
          type: list
          elements: str
          sample: ["/etc/containerd/config.toml", "/usr/bin/containerd"]
        kubelet_conf:
          description: Whether C(/etc/kubernetes/kubelet.conf) is there, which is so once the host joined a cluster.
          returned: success
          type: bool
        admin_conf:
          description: Whether C(/etc/kubernetes/admin.conf) is there.
          returned: success
          type: bool
        calico_cni_config:
          description: Whether C(10-calico.conflist) and C(calico-kubeconfig) are both in C(/etc/cni/net.d). Role C(calico) has a lost one written again.
          returned: success
          type: bool
        kubelet_version:
          description: Version of the installed kubelet; empty if there is none.
          returned: success
          type: str
          sample: 1.37.2
        apiserver_version:
          description: Version in the static pod of the API server; empty if there is none.
          returned: success
          type: str
          sample: 1.37.2
        kubeadm_state:
          description: What the kubeadm modules of this collection noted about the host.
          returned: success
          type: dict
        prepared:
          description: Whether M(nodewise.cluster.host_prepare) would find nothing to do; false if O(wanted) lacks its options.
          returned: success
          type: bool
        python:
          description: Version of the Python that ran this module.
          returned: success
          type: str
          sample: 3.11.2
        wanted:
          description: O(wanted), with the values of C(sysctls) as strings.
          returned: success
          type: dict
        time:
          description: The host's clock, in seconds since 1970.
          returned: success
          type: float
        clock:
          description: The host's clock minus the controller's, as C(offset), give or take C(uncertainty), in seconds.
          returned: success
          type: dict
        run:
          description: What all facts of one run of Ansible share, and those of others do not; M(nodewise.cluster.preflight) takes no older ones from a cache.
          returned: success
          type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import NodewiseError
from ..module_utils.host.facts import gather
from ..module_utils.host.prepare import Preparation, Wish, wish_of


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "kernel_modules": {"type": "list", "elements": "str", "default": ["overlay", "br_netfilter", "nf_conntrack", "vxlan"]},
            "wanted": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    wanted = module.params["wanted"]
    if "sysctls" in wanted:
        wanted = {**wanted, "sysctls": {name: str(value) for name, value in wanted["sysctls"].items()}}
    try:
        facts = gather(module.params["kernel_modules"], wanted)
        options = {**wanted, "kernel_modules": module.params["kernel_modules"]}
        known = Wish.__dataclass_fields__.keys() <= options.keys()
        facts["prepared"] = known and Preparation(wish_of(options)).is_done(facts["missing_packages"], facts["services"])
    except NodewiseError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, ansible_facts={"nodewise": facts})


if __name__ == "__main__":
    main()
