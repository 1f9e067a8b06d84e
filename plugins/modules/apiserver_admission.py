#!/usr/bin/python
# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: apiserver_admission
short_description: Admission plugins of the kube-apiserver on this host
version_added: 1.0.0
description:
  - Enables, disables and configures admission plugins of kube-apiserver, on a control plane that kubeadm made. What is asked for is added to
    Kubernetes' defaults and to C(NodeRestriction), which kubeadm enables. Plugins that were enabled otherwise and are not asked for go, with a warning.
  - A name that the kube-apiserver does not know, a plugin that is both enabled and disabled, one that was removed, or one whose configuration is missing
    is refused before anything is touched. Names are looked up in a table of Kubernetes 1.34 to 1.37, and before a change the running kube-apiserver
    is asked too which ones it knows.
  - The static pod's manifest is kept as V(/var/lib/nodewise/backup/kube-apiserver/kube-apiserver.yaml), and replaced in one step from
    outside the kubelet's folder. Then the module waits until the API server that runs has the new arguments and is ready.
    If that does not happen, the old manifest is put back, and the error has the API server's own last log lines.
  - kubeadm's ClusterConfiguration in the cluster follows, so that an upgrade by kubeadm keeps the plugins.
  - Another file in the folder of static pods that holds a kube-apiserver too is an error; any other that does not belong there is a warning.
  - A run that was killed at any point is finished, or undone, by the next one.
  - On a host without a cluster only the file with O(configuration) is written, and C(kubeadm init) has to be given the flags, see
    P(nodewise.cluster.admission_cluster_configuration#filter).
  - With several control planes run it on one after the other.
extends_documentation_fragment:
  - nodewise.cluster._attributes
options:
  enabled:
    description: Plugins that shall be enabled. Those that are by default may be named too.
    type: list
    elements: str
    default: []
  disabled:
    description: Plugins that shall be disabled. C(NodeRestriction) cannot be.
    type: list
    elements: str
    default: []
  configuration:
    description:
      - By name of the plugin, what stands under C(configuration) in an AdmissionConfiguration (C(apiserver.config.k8s.io/v1)).
      - It is written to V(/etc/kubernetes/nodewise-admission), which the API server mounts. A C(kubeConfigFile) that it names must be in a folder that the
        API server mounts, this one or V(/etc/kubernetes/pki) for example.
    type: dict
    default: {}
  kubernetes_version:
    description: Version of the control plane, without a leading V(v).
    type: str
    required: true
  cri_socket:
    description: Endpoint of the container runtime.
    type: str
    default: unix:///run/containerd/containerd.sock
  timeout:
    description: Seconds that a restarted API server has to become ready.
    type: int
    default: 120
requirements:
  - crictl, kubectl, kubeadm and python3-yaml, on the host
seealso:
  - module: nodewise.cluster.verify_admission
  - module: nodewise.cluster.kubeadm_init
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
- name: Enable two plugins more, one of which needs a configuration
  nodewise.cluster.apiserver_admission:
    kubernetes_version: 1.37.2
    enabled:
      - DenyServiceExternalIPs
      - EventRateLimit
    configuration:
      EventRateLimit:
        apiVersion: eventratelimit.admission.k8s.io/v1alpha1
        kind: Configuration
        limits:
          - type: Namespace
            qps: 50
            burst: 100
            cacheSize: 2000
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be, in order; empty if nothing.
  returned: success
  type: list
  elements: str
  sample: ["write /etc/kubernetes/manifests/kube-apiserver.yaml, by which the kubelet restarts kube-apiserver", "update ConfigMap kube-system/kubeadm-config"]
flags:
  description: The flags of kube-apiserver that it comes to. An empty value is a flag that is not given.
  returned: success
  type: dict
  sample:
    admission-control-config-file: ""
    disable-admission-plugins: ""
    enable-admission-plugins: NodeRestriction,DenyServiceExternalIPs
restarted:
  description: Whether the API server was, or in check mode would be, restarted.
  returned: success
  type: bool
  sample: true
"""

import os
from importlib.util import find_spec

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

from ..module_utils.admission.apiserver import ApiServer
from ..module_utils.admission.change import Paths, Result, Tools, Wish, ensure_admission
from ..module_utils.errors import NodewiseError
from ..module_utils.kube.kubectl import Kubectl
from ..module_utils.kubeadm.run import Kubeadm
from ..module_utils.kubeadm.state import LOCK_PATH, exclusive
from ..module_utils.systemd.systemctl import Systemd
from ..module_utils.verify.crictl import DEFAULT_SOCKET, Crictl


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "enabled": {"type": "list", "elements": "str", "default": []},
            "disabled": {"type": "list", "elements": "str", "default": []},
            "configuration": {"type": "dict", "default": {}},
            "kubernetes_version": {"type": "str", "required": True},
            "cri_socket": {"type": "str", "default": DEFAULT_SOCKET},
            "timeout": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    paths = Paths()
    if find_spec("yaml") is None:
        if module.check_mode and not os.path.exists(paths.manifest):
            # A bare host; role host would have installed it by now.
            module.exit_json(changed=bool(module.params["configuration"]), actions=[], flags={}, restarted=False)
        module.fail_json(msg=missing_required_lib("PyYAML"))
    try:
        result = _run(module, paths)
    except NodewiseError as error:
        module.fail_json(msg=str(error))
    for warning in result.warnings:
        module.warn(warning)
    module.exit_json(changed=bool(result.actions), actions=result.actions, flags=dict(result.flags), restarted=result.restarted, diff=result.diff)


def _run(module: AnsibleModule, paths: Paths) -> Result:
    options = module.params
    wish = Wish(options["enabled"], options["disabled"], options["configuration"], options["kubernetes_version"])
    if module.check_mode:
        return ensure_admission(wish, True, _tools(options["cri_socket"], None), paths, options["timeout"])
    # A run that was killed may have left a kubeadm that still works on this host.
    with exclusive(LOCK_PATH) as lock:
        return ensure_admission(wish, False, _tools(options["cri_socket"], lock), paths, options["timeout"])


def _tools(cri_socket: str, lock: int | None) -> Tools:
    return Tools(ApiServer(Crictl(cri_socket)), Kubectl(), Kubeadm(lock=lock), lambda: Systemd().status("kubelet.service").running)


if __name__ == "__main__":
    main()
