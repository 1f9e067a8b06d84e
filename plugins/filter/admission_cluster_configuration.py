# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter nodewise.cluster.admission_cluster_configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils.admission.configuration import FLAGS, cluster_part, wanted_of
from ..module_utils.admission.plugins import known_in_version, select
from ..module_utils.errors import NodewiseError

DOCUMENTATION = r"""
name: admission_cluster_configuration
short_description: Check the variables of role admission, and say them to kubeadm init
version_added: 1.0.0
description:
  - Returns the part of kubeadm's ClusterConfiguration (C(kubeadm.k8s.io/v1beta4)) by which a new cluster begins with the wanted admission plugins.
    It is empty if they are what kubeadm sets anyway.
  - Fails with everything that is wrong at once.
positional: cluster_configuration
options:
  _input:
    description: The role's variables without the prefix C(admission_).
    type: dict
    required: true
  cluster_configuration:
    description: The operator's own ClusterConfiguration, which must not name the same flags.
    type: dict
    default: {}
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
- name: Show what the variables come to
  ansible.builtin.debug:
    msg: "{{ variables | nodewise.cluster.admission_cluster_configuration }}"
  vars:
    variables:
      kubernetes_version: 1.37.2
      enabled: [DenyServiceExternalIPs]
      disabled: []
      configuration: {}
"""

RETURN = r"""
_value:
  description: The part of ClusterConfiguration.
  type: dict
"""


def admission_cluster_configuration(variables: Mapping[str, Any], cluster_configuration: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Check the variables and build the part; see DOCUMENTATION."""
    try:
        known = known_in_version(str(variables["kubernetes_version"]))
        part = cluster_part(wanted_of(select(variables["enabled"], variables["disabled"], variables["configuration"], known)))
    except NodewiseError as error:
        raise AnsibleFilterError(str(error)) from error
    arguments = ((cluster_configuration or {}).get("apiServer") or {}).get("extraArgs") or []
    twice = sorted({str(item.get("name")) for item in arguments} & set(FLAGS))
    if twice:
        raise AnsibleFilterError(
            f"kubeadm_control_plane_cluster_configuration sets {', '.join(twice)} of the API server, which role admission sets. "
            "Remedy: say it with admission_enabled, admission_disabled and admission_configuration instead"
        )
    return part


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters of this file by name."""
        return {"admission_cluster_configuration": admission_cluster_configuration}
