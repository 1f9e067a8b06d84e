#!/usr/bin/python
# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Obtain the daemons' wheels on the control machine."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: wheels
short_description: Obtain the Python wheels of the daemons on the control machine
description:
  - Fetches, verifies by pinned SHA-256 and caches the wheels that the reporter needs, and adds them to a mirror.
  - M(nodewise.cluster.reporter) does the former by itself; this module is for making a mirror, C(wheels/) in it.
  - Runs in the controller; touches no host.
version_added: 1.0.0
author:
  - Nodewise authors (@nodewise)
extends_documentation_fragment:
  - nodewise.cluster._attributes
  - nodewise.cluster._wheels
options:
  pythons:
    description:
      - Versions of the hosts' CPython.
    type: list
    elements: str
    default: ["3.11", "3.12", "3.13"]
  architectures:
    description:
      - Architectures of the hosts, V(amd64) and V(arm64).
    type: list
    elements: str
    required: true
  export:
    description:
      - Folder of a mirror that the wheels are added to.
    type: path
"""

EXAMPLES = r"""
---
- name: Add the wheels to a mirror
  nodewise.cluster.wheels:
    architectures: [amd64]
    export: /srv/mirror
"""

RETURN = r"""
---
fetched:
  description: File names of the wheels that were not in the cache.
  returned: success
  type: list
  elements: str
  sample: ["prometheus_client-0.26.0-py3-none-any.whl"]
exported:
  description: Paths in the mirror that were, or in check mode would be, written.
  returned: success
  type: list
  elements: str
  sample: ["wheels/prometheus_client-0.26.0-py3-none-any.whl"]
"""
