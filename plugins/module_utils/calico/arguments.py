# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module calico's arguments, which its action plugin judges too."""

from __future__ import annotations

from typing import Any

from .settings import BACKENDS, ENCAPSULATIONS, IPTABLES_BACKENDS

ARGUMENTS: dict[str, dict[str, Any]] = {
    "state": {"type": "str", "choices": ["present", "ready", "checked"], "default": "present"},
    "wait_timeout": {"type": "int", "default": 300},
    "manifest": {"type": "path", "default": "/var/lib/nodewise/manifests/calico.yaml"},
    "version": {"type": "str"},
    "kubernetes_version": {"type": "str"},
    "allow_unsupported_pair": {"type": "bool", "default": False},
    "pod_cidr": {"type": "str"},
    "backend": {"type": "str", "choices": list(BACKENDS), "default": "vxlan"},
    "encapsulation": {"type": "str", "choices": list(ENCAPSULATIONS), "default": "VXLAN"},
    "block_size": {"type": "int", "default": 26},
    "nat_outgoing": {"type": "bool", "default": True},
    "mtu": {"type": "int", "default": 0},
    "ip_autodetection_method": {"type": "str", "default": "kubernetes-internal-ip"},
    "iptables_backend": {"type": "str", "choices": list(IPTABLES_BACKENDS), "default": "NFT"},
    "image_prefix": {"type": "str", "default": ""},
    "felix_env": {"type": "dict", "default": {}},
    "felix_configuration": {"type": "dict", "default": {}},
    "ip_pools": {"type": "list", "elements": "dict", "default": []},
    "bgp_configuration": {"type": "dict", "default": {}},
    "bgp_peers": {"type": "list", "elements": "dict", "default": []},
    "nodes_without_cni": {"type": "list", "elements": "str", "default": []},
}
REQUIRED_IF = [("state", state, ("version", "kubernetes_version", "pod_cidr")) for state in ("present", "checked")]
