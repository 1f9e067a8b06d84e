# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How modules reach a cluster with admin rights; PRIVATE to the collection."""

from __future__ import annotations


class ModuleDocFragment:
    """Documentation fragment C(nodewise.cluster._kubectl)."""

    DOCUMENTATION = r"""
options:
  kubeconfig:
    description:
      - Kubeconfig with admin rights, on the host.
    type: path
    default: /etc/kubernetes/admin.conf
  kubectl:
    description:
      - The C(kubectl), a path, or a name that is found in C(PATH).
    type: str
    default: kubectl
"""
