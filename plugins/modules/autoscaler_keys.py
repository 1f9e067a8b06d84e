#!/usr/bin/python
# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: autoscaler_keys
short_description: The keys and certificates of the autoscaler's provider
version_added: 1.0.0
description:
  - Makes, on a control-plane host, the SSH key with which the provider reaches standby hosts, and the certificates of its mutual TLS with
    cluster-autoscaler. These are an authority for nothing else, a server's certificate and a client's.
  - Private keys are made on the host, stay there with mode 0600, and are in no result.
  - Returns as well which cluster the host is of, so that a standby host lets the key make it join this one and no other.
  - A certificate that is missing, ends soon, has other names, or is not of this authority is made anew, and so are all when the authority ends before
    what it would sign.
extends_documentation_fragment:
  - nodewise.cluster._attributes
options:
  state:
    description: V(absent) removes the folder with all that is in it.
    type: str
    choices: [present, absent]
    default: present
  folder:
    description: Where they lie.
    type: path
    default: /etc/nodewise/autoscaler
  host:
    description: Name of this host, for the comment of the SSH key. Required with O(state=present).
    type: str
  names:
    description: IP addresses and DNS names at which cluster-autoscaler reaches the provider. Required with O(state=present).
    type: list
    elements: str
  control_plane_endpoint:
    description: C(HOST:PORT) of the API server, for hosts that join. Required with O(state=present).
    type: str
  cluster_ca:
    description: The cluster's CA certificates. In check mode they may be missing.
    type: path
    default: /etc/kubernetes/pki/ca.crt
  days:
    description: How long the server's and the client's certificate are good.
    type: int
    default: 365
  renew_days:
    description: With fewer days left than this they are made anew.
    type: int
    default: 60
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
- name: Make the provider's keys and certificates
  nodewise.cluster.autoscaler_keys:
    host: cp1
    names: [192.0.2.11]
    control_plane_endpoint: 192.0.2.11:6443
  register: keys
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be, in order.
  returned: success
  type: list
  elements: str
  sample: ["make an SSH key", "make the ca certificate (ca.crt is missing)"]
public_key:
  description: The public half of the SSH key; empty in check mode if there is none yet.
  returned: with O(state=present)
  type: str
  sample: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI... nodewise-autoscaler@cp1
cluster:
  description: The cluster that hosts join, C(endpoint) and C(ca_cert_hashes), for M(nodewise.cluster.standby).
  returned: with O(state=present)
  type: dict
  sample: {"endpoint": "192.0.2.11:6443", "ca_cert_hashes": ["sha256:7c2e69131a36ae2a042a339b33381c6d0d43887e2de83720eff5359e26aec866"]}
paths:
  description: Where things are, by what they are.
  returned: with O(state=present)
  type: dict
  sample: {"ca": "/etc/nodewise/autoscaler/ca.crt", "certificate": "/etc/nodewise/autoscaler/server.crt", "known_hosts": "/etc/nodewise/autoscaler/known_hosts"}
expires:
  description: When the server's certificate ends; empty in check mode if there is none yet.
  returned: with O(state=present)
  type: str
  sample: Nov 25 20:00:00 2027 GMT
"""

import os
import shutil

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.cluster_autoscaler.certificates import CA, CLIENT, SERVER, Wanted, ends, make, plan
from ..module_utils.errors import NodewiseError
from ..module_utils.files import read_text
from ..module_utils.kubeadm.tokens import PLACEHOLDER, public_key_hashes
from ..module_utils.standby.keys import make_key, read_key


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "folder": {"type": "path", "default": "/etc/nodewise/autoscaler"},
            "host": {"type": "str"},
            "names": {"type": "list", "elements": "str"},
            "control_plane_endpoint": {"type": "str"},
            "cluster_ca": {"type": "path", "default": "/etc/kubernetes/pki/ca.crt"},
            "days": {"type": "int", "default": 365},
            "renew_days": {"type": "int", "default": 60},
        },
        required_if=[("state", "present", ["host", "names", "control_plane_endpoint"])],
        supports_check_mode=True,
    )
    try:
        if module.params["state"] == "absent":
            _remove(module)
        _make(module)
    except NodewiseError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"The provider's keys cannot be changed: {error}. Remedy: free some space on the host, or mend that path.")


def _remove(module: AnsibleModule) -> None:
    folder = module.params["folder"]
    there = os.path.lexists(folder)
    if there and not module.check_mode:
        shutil.rmtree(folder)
    actions = [f"remove {folder}"] * there
    module.exit_json(changed=there, actions=actions, diff={"before": "".join(f"{action}\n" for action in actions), "after": ""})


def _make(module: AnsibleModule) -> None:
    options = module.params
    hashes = cluster_ca_hashes(options["cluster_ca"], module.check_mode)
    wanted = Wanted(options["folder"], options["names"], options["days"], options["renew_days"])
    key = f"{wanted.folder}/id_ed25519"
    public = read_key(key)
    actions = [] if public else ["make an SSH key"]
    if public is None and not module.check_mode:
        public = make_key(key, options["host"])
    faults = plan(wanted)
    actions += [f"make the {kind} certificate ({fault})" for kind, fault in faults.items()]
    if not module.check_mode:
        make(wanted, list(faults))
    module.exit_json(
        changed=bool(actions),
        actions=actions,
        public_key=public or "",
        cluster={"endpoint": options["control_plane_endpoint"], "ca_cert_hashes": hashes},
        paths={
            "ssh_key": key,
            "known_hosts": f"{wanted.folder}/known_hosts",
            "ca": wanted.path(CA, "crt"),
            "certificate": wanted.path(SERVER, "crt"),
            "key": wanted.path(SERVER, "key"),
            "client_certificate": wanted.path(CLIENT, "crt"),
            "client_key": wanted.path(CLIENT, "key"),
        },
        expires=ends(wanted, SERVER),
        diff={"before": "", "after": "".join(f"{action}\n" for action in actions)},
    )


def cluster_ca_hashes(path: str, check_mode: bool) -> list[str]:
    """Return the hashes of the public keys of the cluster's CA; in check mode, before a cluster is there, those that stand for them.

    Raises
    ------
    NodewiseError
        The file is missing or no certificate.
    """
    text = read_text(path)
    if text is None and check_mode:
        return PLACEHOLDER.ca_cert_hashes
    if text is None:
        raise NodewiseError(f"{path} is missing.", "run this module on a control-plane host, once there is a cluster")
    return public_key_hashes(text)


if __name__ == "__main__":
    main()
