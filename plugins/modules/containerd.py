#!/usr/bin/python
# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: containerd
short_description: The container runtime of a Kubernetes node
version_added: 1.0.0
description:
  - Writes containerd's configuration (schema version 3, for containerd 2.x), registry mirrors, proxy, unit and C(/etc/crictl.yaml),
    and runs the unit.
  - A new configuration is put in place only after the installed containerd has shown, with C(containerd config dump), that it knows
    every key and that sandbox image, cgroup driver and registry folder come out as wanted.
    If containerd does not start with it all the same, the files that it ran with before are put back.
  - Restarts containerd only if it started before one of its files, or its program, changed. Containers go on running meanwhile.
  - If another runtime's socket is chosen, only that one's answer is checked and C(/etc/crictl.yaml) written.
  - The program itself is installed by the role P(nodewise.cluster.artifacts#role). In check mode it may be missing; what it would make
    of the configuration is not checked then.
extends_documentation_fragment:
  - nodewise.cluster._attributes
options:
  cri_socket:
    description:
      - Endpoint of the container runtime. Anything but V(unix:///run/containerd/containerd.sock) is a runtime that is there already.
      - Empty means containerd, and is refused if O(found_sockets) has another runtime's.
    type: str
    default: ""
  found_sockets:
    description: Endpoints of the container runtimes that are on the host, as module M(nodewise.cluster.host_facts) finds them.
    type: list
    elements: str
    default: []
  sandbox_image:
    description: The image that holds a pod's namespaces; the one that kubeadm expects.
    type: str
    required: true
  cgroup_driver:
    description: Who makes the cgroups. The kubelet needs the same.
    type: str
    choices: [systemd, cgroupfs]
    default: systemd
  restrict_oom_score_adj:
    description: Keep containers' oom scores from going below containerd's own; for hosts where lowering one is not permitted.
    type: bool
    default: false
  registry_mirrors:
    description: Where images come from, for each registry. Files written for a registry that is not in the list any more are removed.
    type: list
    elements: dict
    default: []
    suboptions:
      registry:
        description: The registry as image names have it, with port if any. V(_default) stands for all others.
        type: str
        required: true
      server:
        description: URL that is tried after all O(registry_mirrors[].hosts). Empty means the registry itself.
        type: str
        default: ""
      hosts:
        description: Mirrors, tried in this order.
        type: list
        elements: dict
        default: []
        suboptions:
          url:
            description: URL of the mirror.
            type: str
            required: true
          capabilities:
            description: What it is trusted with. V(resolve) means telling which image a tag stands for.
            type: list
            elements: str
            choices: [pull, resolve, push]
            default: [pull, resolve]
          ca:
            description: Path, on the host, of the authority that signed its certificate. Empty means the system's authorities.
            type: str
            default: ""
          skip_verify:
            description: Whether its certificate is not checked.
            type: bool
            default: false
          override_path:
            description: Whether the path of O(registry_mirrors[].hosts[].url) is the whole API root, without C(/v2).
            type: bool
            default: false
  http_proxy:
    description: Proxy for C(http) pulls.
    type: str
    default: ""
  https_proxy:
    description: Proxy for C(https) pulls.
    type: str
    default: ""
  no_proxy:
    description: Hosts, domains and CIDRs that are reached without a proxy.
    type: list
    elements: str
    default: []
  extra:
    description:
      - Further keys of C(config.toml), as data, merged over what this module writes. Lists are replaced.
      - Names of older schema versions are refused with the name that replaces them.
    type: dict
    default: {}
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
- name: Run containerd
  nodewise.cluster.containerd:
    sandbox_image: registry.k8s.io/pause:3.10.2
    registry_mirrors:
      - registry: docker.io
        hosts:
          - url: https://mirror.example.com
            ca: /etc/ssl/certs/example.pem
    extra:
      plugins:
        io.containerd.cri.v1.images:
          max_concurrent_downloads: 10

- name: Use a runtime that is there already
  nodewise.cluster.containerd:
    cri_socket: unix:///run/crio/crio.sock
    sandbox_image: registry.k8s.io/pause:3.10.2
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be, in order.
  returned: success
  type: list
  elements: str
  sample: ["write /etc/containerd/config.toml", "restart containerd.service"]
reasons:
  description: Why containerd was restarted; empty if it was not.
  returned: success
  type: list
  elements: str
  sample: ["/etc/containerd/config.toml changes"]
cri_socket:
  description: Endpoint of the runtime that is used.
  returned: success
  type: str
  sample: unix:///run/containerd/containerd.sock
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.containerd.config import SOCKET, Settings, mirror_of
from ..module_utils.containerd.runtime import choose_socket, ensure_containerd, ensure_external
from ..module_utils.errors import NodewiseError
from ..module_utils.systemd.systemctl import Systemd


def main() -> None:
    """Run the module."""
    host_options = {
        "url": {"type": "str", "required": True},
        "capabilities": {"type": "list", "elements": "str", "choices": ["pull", "resolve", "push"], "default": ["pull", "resolve"]},
        "ca": {"type": "str", "default": ""},
        "skip_verify": {"type": "bool", "default": False},
        "override_path": {"type": "bool", "default": False},
    }
    mirror_options = {
        "registry": {"type": "str", "required": True},
        "server": {"type": "str", "default": ""},
        "hosts": {"type": "list", "elements": "dict", "default": [], "options": host_options},
    }
    module = AnsibleModule(
        argument_spec={
            "cri_socket": {"type": "str", "default": ""},
            "found_sockets": {"type": "list", "elements": "str", "default": []},
            "sandbox_image": {"type": "str", "required": True},
            "cgroup_driver": {"type": "str", "choices": ["systemd", "cgroupfs"], "default": "systemd"},
            "restrict_oom_score_adj": {"type": "bool", "default": False},
            "registry_mirrors": {"type": "list", "elements": "dict", "default": [], "options": mirror_options},
            # They may hold a password.
            "http_proxy": {"type": "str", "default": "", "no_log": True},
            "https_proxy": {"type": "str", "default": "", "no_log": True},
            "no_proxy": {"type": "list", "elements": "str", "default": []},
            "extra": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    options = module.params
    try:
        socket = choose_socket(options["cri_socket"], options["found_sockets"])
        outcome = ensure_containerd(_settings(options), Systemd(), module.check_mode) if socket == SOCKET else ensure_external(socket, module.check_mode)
    except NodewiseError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(outcome.actions), actions=outcome.actions, reasons=outcome.reasons, cri_socket=socket, diff=outcome.diff)


def _settings(options: dict[str, Any]) -> Settings:
    return Settings(
        sandbox_image=options["sandbox_image"],
        systemd_cgroup=options["cgroup_driver"] == "systemd",
        restrict_oom_score_adj=options["restrict_oom_score_adj"],
        mirrors=[mirror_of(mirror) for mirror in options["registry_mirrors"]],
        http_proxy=options["http_proxy"],
        https_proxy=options["https_proxy"],
        no_proxy=options["no_proxy"],
        extra=options["extra"],
    )


if __name__ == "__main__":
    main()
