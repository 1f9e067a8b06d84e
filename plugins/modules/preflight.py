#!/usr/bin/python
# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

# The work is done by the action plugin of the same name.

DOCUMENTATION = r"""
module: preflight
short_description: Everything that is wrong with a site, told before anything is changed
version_added: 1.0.0
description:
  - Looks at what M(nodewise.cluster.host_facts) found on all hosts of the play and at the inventory, and fails with
    every problem at once, each with the host, the value found, the value needed, and the remedy.
  - The variables that are set for a host are held against the argument specifications of all roles of this collection, in their names and in their values.
  - Runs on the controller and needs no host. Use it with C(run_once), after M(nodewise.cluster.host_facts) ran on every host.
    Facts of an earlier run, which Ansible's fact cache may hold, are none.
  - Hosts that C(--limit) leaves out are not looked at; they count only as members of the groups
    C(control_plane), C(workers) and C(standby).
extends_documentation_fragment:
  - nodewise.cluster._attributes
  - nodewise.cluster._attributes.info
seealso:
  - module: nodewise.cluster.host_facts
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
- name: Gather what each host says about itself
  nodewise.cluster.host_facts:

- name: Check all hosts together
  nodewise.cluster.preflight:
  run_once: true
"""

RETURN = r"""
hosts:
  description: The hosts that were looked at.
  returned: always
  type: list
  elements: str
problems:
  description: Every problem; empty if there is none.
  returned: always
  type: list
  elements: dict
  contains:
    host:
      description: The host, several of them, or C(all hosts).
      returned: always
      type: str
    what:
      description: What is wrong.
      returned: always
      type: str
    found:
      description: The value found.
      returned: always
      type: str
    needed:
      description: The value needed.
      returned: always
      type: str
    remedy:
      description: What to do about it.
      returned: always
      type: str
  sample:
    - host: w1
      what: cgroup version
      found: hybrid at /sys/fs/cgroup
      needed: v2 (cgroup2fs)
      remedy: boot with systemd.unified_cgroup_hierarchy=1, or set host_allow_cgroup_v1 to true
"""
