#!/usr/bin/python
# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_prepare
short_description: What containerd, the kubelet and Calico need of a host
version_added: 1.0.0
description:
  - Installs the few programs that are missing, loads kernel modules, sets kernel parameters, turns swap off, and keeps
    NetworkManager and systemd-networkd off Calico's links; each now and for every later boot.
  - Only what differs is touched. NetworkManager and systemd-networkd are reloaded, never restarted, and only where they are active.
extends_documentation_fragment:
  - nodewise.cluster._attributes
options:
  install_packages:
    description:
      - Whether Debian packages may be installed by C(apt-get). Without it a missing program is an error.
      - A package whose programs are there already, wherever they come from, is not installed.
    type: bool
    default: true
  kernel_modules:
    description: Kernel modules to load, with underscores. What is built into the kernel counts as loaded.
    type: list
    elements: str
    required: true
  kernel_modules_optional:
    description: Those of O(kernel_modules) that the kernel may lack.
    type: list
    elements: str
    default: []
  sysctls:
    description:
      - Kernel parameters and their values.
      - A parameter that is read-only here is fine if it has its value already.
      - Parameters that begin with C(net.bridge.) are set only if the kernel has them, which C(br_netfilter) brings.
    type: dict
    required: true
  swap:
    description:
      - V(disable) turns swap off, comments it out in C(/etc/fstab), and disables or masks the units that turn it on (zram among them).
      - V(allow) and V(refuse) leave it alone. It is M(nodewise.cluster.preflight) that refuses.
    type: str
    choices: [disable, allow, refuse]
    default: disable
seealso:
  - module: nodewise.cluster.host_facts
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
- name: Prepare a host
  nodewise.cluster.host_prepare:
    kernel_modules: [overlay, br_netfilter]
    sysctls:
      net.ipv4.ip_forward: 1
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be, in order.
  returned: success
  type: list
  elements: str
  sample: ["load br_netfilter", "write /etc/sysctl.d/99-nodewise.conf", "set net.ipv4.ip_forward"]
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.errors import NodewiseError
from ..module_utils.files import printable
from ..module_utils.host.facts import missing_packages, services
from ..module_utils.host.prepare import Preparation, wish_of


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "install_packages": {"type": "bool", "default": True},
            "kernel_modules": {"type": "list", "elements": "str", "required": True},
            "kernel_modules_optional": {"type": "list", "elements": "str", "default": []},
            "sysctls": {"type": "dict", "required": True},
            "swap": {"type": "str", "choices": ["disable", "allow", "refuse"], "default": "disable"},
        },
        supports_check_mode=True,
    )
    try:
        changes = Preparation(wish_of(module.params)).carry_out(module.check_mode, missing_packages(), services())
    except NodewiseError as error:
        module.fail_json(msg=str(error))
    shown = [(printable(one.action), printable(one.before), printable(one.after)) for one in changes]
    diff = [{"before_header": action, "after_header": action, "before": before, "after": after} for action, before, after in shown]
    module.exit_json(changed=bool(changes), actions=[action for action, _before, _after in shown], diff=diff)


if __name__ == "__main__":
    main()
