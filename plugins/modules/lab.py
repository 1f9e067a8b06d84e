#!/usr/bin/python
# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action nodewise.cluster.lab, which runs on the control machine."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: lab
short_description: Bring up or remove hosts in containers on the control machine
description:
  - Brings up Debian hosts with systemd and sshd as podman containers, to try a cluster or to test the collection.
  - The hosts are reached by SSH, as real ones are, and keep their address, SSH host key and disks when they reboot.
  - A host that was left half made by a killed run, that was stopped, that is no longer wanted or that no longer fits its description is repaired or removed.
  - Runs on the control machine, as root, and needs C(podman), C(runc), C(mmdebstrap), C(ssh-keygen) and C(mkfs.ext4) there.
version_added: 1.0.0
author:
  - The nodewise authors (@nodewise)
options:
  name:
    description:
      - Name of the lab; containers, volumes and the network bear it. Several labs live side by side.
      - At most 20 of a-z, 0-9 and V(-), beginning with a letter.
    type: str
    required: true
  state:
    description:
      - V(absent) removes containers, volumes, the network and O(directory); images and their tarballs in O(cache) stay.
    type: str
    choices: [present, absent]
    default: present
  directory:
    description:
      - Folder of the lab's SSH key C(id_ed25519), C(known_hosts), the sockets of multiplexed connections C(cp/) and the hosts' disks.
    type: path
    required: true
  subnet:
    description:
      - IPv4 network of the lab in CIDR notation.
    type: str
    required: true
  hosts:
    description:
      - The hosts by name. Each has C(address) (in O(subnet)), C(distribution) (V(debian12) or V(debian13)) and C(disk_gib), the size in GiB of
        its own filesystem under C(/var/lib/containerd).
    type: dict
    default: {}
  cache:
    description:
      - Folder of the root filesystems' tarballs, named by a hash of their recipe, shared by all labs.
    type: path
    default: ~/.cache/nodewise/lab
extends_documentation_fragment:
  - nodewise.cluster._attributes
seealso:
  - module: containers.podman.podman_container
"""

EXAMPLES = r"""
---
- name: Bring two hosts up
  nodewise.cluster.lab:
    name: try
    directory: .lab/try
    subnet: 10.70.1.0/24
    hosts:
      cp1:
        address: 10.70.1.11
        distribution: debian12
        disk_gib: 20
      w1:
        address: 10.70.1.21
        distribution: debian13
        disk_gib: 20

- name: Remove them
  nodewise.cluster.lab:
    name: try
    state: absent
    directory: .lab/try
    subnet: 10.70.1.0/24
"""

RETURN = r"""
removed:
  description: Hosts that were removed, because they are not wanted or did not fit their description.
  returned: O(state=present)
  type: list
  elements: str
  sample: []
created:
  description: Hosts that were made.
  returned: O(state=present)
  type: list
  elements: str
  sample: [cp1, w1]
started:
  description: Hosts that were there, but not running.
  returned: O(state=present)
  type: list
  elements: str
  sample: []
"""
