#!/usr/bin/python
# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_autoscaler
short_description: The cluster-autoscaler of a bare-metal cluster
version_added: 1.0.0
description:
  - Runs cluster-autoscaler in C(kube-system), on a control-plane node, with C(--cloud-provider=externalgrpc), speaking to the provider of
    M(nodewise.cluster.autoscaler) over mutual TLS, with no more rights than it uses, a PodDisruptionBudget and C(system-cluster-critical).
  - Nodes that bear the guard's taint are not taken for broken, and templates do not bear it (C(--status-taint)).
  - Its image can be built from no package registry. Where neither a mirror nor the official registry has given it and it is not on the host, nothing
    is deployed, and RV(image_available) says so; the provider runs without it.
  - Warns if the minor version is not the cluster's.
  - Another cluster-autoscaler, whose objects lack the label C(app.kubernetes.io/part-of=nodewise), is neither taken over nor removed.
extends_documentation_fragment:
  - nodewise.cluster._attributes
  - nodewise.cluster._kubectl
options:
  state:
    description: V(absent) removes all of it from the cluster, its status and Lease included.
    type: str
    choices: [present, absent]
    default: present
  image:
    description: Its image with a tag. Required with O(state=present).
    type: str
  image_policy:
    description:
      - V(auto) deploys only if the image is in the container runtime of this host.
      - V(always) deploys in any case, for sites whose nodes can pull it.
    type: str
    choices: [auto, always]
    default: auto
  address:
    description: C(HOST:PORT) of the provider. Required with O(state=present).
    type: str
  folder:
    description: Folder with the certificates of M(nodewise.cluster.autoscaler_keys).
    type: path
    default: /etc/nodewise/autoscaler
  kubernetes_version:
    description: Version of the cluster, to be compared with the image's tag.
    type: str
    default: ""
  flags:
    description: How it decides; times in seconds. What is left out has cluster-autoscaler's own default.
    type: dict
    default: {}
    suboptions:
      scan_interval:
        description: Between two looks at the cluster.
        type: int
      scale_down:
        description: Whether idle hosts leave.
        type: bool
      scale_down_delay_after_add:
        description: After a scale-up nothing is removed for so long.
        type: int
      scale_down_unneeded_time:
        description: A node is idle for so long before it is removed.
        type: int
      scale_down_unready_time:
        description: The same for a node that is not Ready.
        type: int
      scale_down_utilization_threshold:
        description: A node whose pods request less than this share of it is idle.
        type: float
      max_node_provision_time:
        description: How long a host may take to become a Node.
        type: int
      max_nodes_total:
        description: Nodes of the whole cluster; V(0) is no limit.
        type: int
      expander:
        description: Which group grows if several could.
        type: str
        choices: [least-waste, least-nodes, most-pods, random, priority]
      skip_nodes_with_system_pods:
        description: Whether nodes with pods of C(kube-system) are never removed.
        type: bool
      skip_nodes_with_local_storage:
        description: Whether nodes whose pods use local storage are never removed.
        type: bool
      balance_similar_node_groups:
        description: Whether groups that are alike are kept alike in size.
        type: bool
      verbosity:
        description: Of its log.
        type: int
      extra:
        description: Further flags, by name.
        type: dict
  timeout:
    description: Seconds in which it has to become available.
    type: int
    default: 120
  cri_socket:
    description: Endpoint of the container runtime.
    type: str
    default: unix:///run/containerd/containerd.sock
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
- name: Let pods that do not fit have standby hosts join
  nodewise.cluster.cluster_autoscaler:
    image: registry.k8s.io/autoscaling/cluster-autoscaler:v1.36.1
    address: 192.0.2.11:10273
    kubernetes_version: 1.37.2
    flags:
      scale_down_unneeded_time: 1800

- name: Remove it
  nodewise.cluster.cluster_autoscaler:
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be, in order.
  returned: success
  type: list
  elements: str
  sample: ["apply cluster-autoscaler"]
image_available:
  description: Whether the image is there, or is taken to be; if not, nothing is deployed.
  returned: with O(state=present), once there is a cluster
  type: bool
  sample: true
"""

import json
import os

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.cluster_autoscaler.certificates import CA, CLIENT
from ..module_utils.cluster_autoscaler.flags import EXPANDERS, Flags, skew
from ..module_utils.cluster_autoscaler.install import Outcome, ensure_absent, ensure_present
from ..module_utils.cluster_autoscaler.manifests import Wanted
from ..module_utils.errors import NodewiseError
from ..module_utils.files import read_text
from ..module_utils.kube.arguments import KUBECTL
from ..module_utils.kube.kubectl import Kubectl
from ..module_utils.process import TimeoutExpired, run

FLAGS = {
    "scan_interval": {"type": "int"},
    "scale_down": {"type": "bool"},
    "scale_down_delay_after_add": {"type": "int"},
    "scale_down_unneeded_time": {"type": "int"},
    "scale_down_unready_time": {"type": "int"},
    "scale_down_utilization_threshold": {"type": "float"},
    "max_node_provision_time": {"type": "int"},
    "max_nodes_total": {"type": "int"},
    "expander": {"type": "str", "choices": list(EXPANDERS)},
    "skip_nodes_with_system_pods": {"type": "bool"},
    "skip_nodes_with_local_storage": {"type": "bool"},
    "balance_similar_node_groups": {"type": "bool"},
    "verbosity": {"type": "int"},
    "extra": {"type": "dict"},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "image": {"type": "str"},
            "image_policy": {"type": "str", "choices": ["auto", "always"], "default": "auto"},
            "address": {"type": "str"},
            "folder": {"type": "path", "default": "/etc/nodewise/autoscaler"},
            "kubernetes_version": {"type": "str", "default": ""},
            "flags": {"type": "dict", "default": {}, "options": FLAGS},
            "timeout": {"type": "int", "default": 120},
            "cri_socket": {"type": "str", "default": "unix:///run/containerd/containerd.sock"},
            **KUBECTL,
        },
        required_if=[("state", "present", ["image", "address"])],
        supports_check_mode=True,
    )
    try:
        _run(module)
    except NodewiseError as error:
        module.fail_json(msg=str(error))


def _run(module: AnsibleModule) -> None:
    options = module.params
    kubectl = Kubectl(options["kubeconfig"], options["kubectl"])
    # Before a cluster is there, and after it was reset.
    cluster = os.path.exists(options["kubeconfig"])
    if options["state"] == "absent":
        _exit(module, ensure_absent(kubectl, module.check_mode) if cluster else Outcome())
    flags = Flags(**{name: value for name, value in options["flags"].items() if value is not None})
    version = options["image"].rpartition(":")[2].removeprefix("v")
    warning = skew(options["kubernetes_version"], version) if options["kubernetes_version"] else ""
    if warning:
        module.warn(warning)
    if not cluster:
        # Whether the image will be there is not known yet.
        _exit(module, Outcome(actions=["apply cluster-autoscaler"] if module.check_mode else []))
    if options["image_policy"] == "auto" and not has_image(options["cri_socket"], options["image"]):
        _exit(module, Outcome(), image_available=False)
    files = {name: read_text(f"{options['folder']}/{name}") for name in (f"{CA}.crt", f"{CLIENT}.crt", f"{CLIENT}.key")}
    missing = [name for name, text in files.items() if text is None]
    if missing and not module.check_mode:
        raise NodewiseError(f"{options['folder']}/{missing[0]} is missing.", "run nodewise.cluster.autoscaler_keys on this host first")
    ca, certificate, key = (text or "" for text in files.values())
    wanted = Wanted(options["image"], flags.arguments(), options["address"], ca, certificate, key)
    _exit(module, ensure_present(kubectl, wanted, module.check_mode, options["timeout"]), image_available=True)


def has_image(socket: str, image: str) -> bool:
    """Tell whether the runtime of this host has an image.

    Raises
    ------
    NodewiseError
        There is no crictl, or it does not answer.
    """
    try:
        # Of a name that is asked for containerd answers with all images if it has none of it.
        done = run(["crictl", f"--runtime-endpoint={socket}", f"--image-endpoint={socket}", "images", "--output=json"], timeout=60)
        if done.returncode:
            raise NodewiseError(f"crictl images failed ({done.returncode}): {done.stderr.strip()[-300:]}")
        return any(image in (one.get("repoTags") or []) for one in json.loads(done.stdout).get("images") or [])
    except (OSError, TimeoutExpired, ValueError) as error:
        raise NodewiseError(f"crictl cannot say whether this host has {image}: {error}.", "run site.yml, which installs it") from error


def _exit(module: AnsibleModule, outcome: Outcome, **more: bool) -> None:
    module.exit_json(changed=bool(outcome.actions), actions=outcome.actions, diff={"prepared": outcome.diff}, **more)


if __name__ == "__main__":
    main()
