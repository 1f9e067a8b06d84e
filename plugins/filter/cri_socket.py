# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter nodewise.cluster.cri_socket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..module_utils.host.model import CONTAINERD_SOCKET, canonical_socket

DOCUMENTATION = r"""
name: cri_socket
short_description: The endpoint of the container runtime, written so that it can be compared
version_added: 1.0.0
description:
  - Returns the endpoint with C(/run) where it says C(/var/run), and containerd's own for an empty one.
options:
  _input:
    description: The endpoint, or nothing.
    type: str
    required: true
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
- name: Both are unix:///run/containerd/containerd.sock
  ansible.builtin.debug:
    msg: "{{ ['', 'unix:///var/run/containerd/containerd.sock'] | map('nodewise.cluster.cri_socket') }}"
"""

RETURN = r"""
_value:
  description: The endpoint.
  type: str
"""


def cri_socket(endpoint: str | None) -> str:
    """Return an endpoint in its one form; see DOCUMENTATION."""
    return canonical_socket(endpoint or CONTAINERD_SOCKET)


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters of this file by name."""
        return {"cri_socket": cri_socket}
