# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter nodewise.cluster.kubelet_flags."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils.kubelet.legacy import translate_flags

DOCUMENTATION = r"""
name: kubelet_flags
short_description: The kubelet flags that have no field in its configuration
version_added: 1.0.0
description:
  - Returns those of the given flags that can be said on the command line only. The others become fields,
    see P(nodewise.cluster.kubelet_configuration#filter), which also gives the warnings about them.
  - Fails with a line for each flag that is no longer there, is set elsewhere, or is unknown.
options:
  _input:
    description: Flags, each as C(--name=value).
    type: list
    elements: str
    required: true
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
- name: Only the first of these has no field
  ansible.builtin.debug:
    msg: "{{ ['--cert-dir=/srv/pki', '--max-pods=150'] | nodewise.cluster.kubelet_flags }}"
"""

RETURN = r"""
_value:
  description: The flags that stay flags, in the order given.
  type: list
  elements: str
"""


def kubelet_flags(arguments: list[str]) -> list[str]:
    """Return the flags that have no field; see DOCUMENTATION."""
    found = translate_flags(arguments, "kubelet_extra_args")
    if found.problems:
        raise AnsibleFilterError("\n".join(found.problems))
    return found.flags


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters of this file by name."""
        return {"kubelet_flags": kubelet_flags}
