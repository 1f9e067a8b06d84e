# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter nodewise.cluster.kubelet_configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible.utils.display import Display

from ..module_utils.errors import NodewiseError
from ..module_utils.kubelet.configuration import build_configuration

DOCUMENTATION = r"""
name: kubelet_configuration
short_description: Build and check a KubeletConfiguration from the variables of role kubelet
version_added: 1.0.0
description:
  - Returns a C(kubelet.config.k8s.io/v1beta1) KubeletConfiguration that holds only what is asked for.
  - Fails with everything that is wrong at once. Old ways of saying things are carried over to today's fields with a warning,
    or refused with what replaces them.
positional: overrides
options:
  _input:
    description: The role's variables without the prefix C(kubelet_). A variable that is V(null) is unset.
    type: dict
    required: true
  overrides:
    description: Whether the key C(config_overrides), which is for one host only, is laid over the rest.
    type: bool
    default: false
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
- name: Show what the variables come to
  ansible.builtin.debug:
    msg: "{{ {'max_pods': 150, 'eviction_hard': {'memory.available': '500Mi'}} | nodewise.cluster.kubelet_configuration }}"
"""

RETURN = r"""
_value:
  description: The KubeletConfiguration, with apiVersion and kind.
  type: dict
"""


def kubelet_configuration(variables: Mapping[str, Any], overrides: bool = False) -> dict[str, Any]:
    """Build and check a KubeletConfiguration; see DOCUMENTATION."""
    try:
        built = build_configuration(variables, with_overrides=overrides)
    except (NodewiseError, ValueError) as error:
        raise AnsibleFilterError(str(error)) from error
    for line in built.warnings:
        Display().warning(line)
    return built.configuration


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters of this file by name."""
        return {"kubelet_configuration": kubelet_configuration}
