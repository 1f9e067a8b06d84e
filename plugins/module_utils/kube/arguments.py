# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of modules that reach a cluster with admin rights; C(doc_fragments/_kubectl.py) documents them."""

from __future__ import annotations

from typing import Any

from .kubectl import ADMIN_KUBECONFIG

KUBECTL: dict[str, dict[str, Any]] = {"kubeconfig": {"type": "path", "default": ADMIN_KUBECONFIG}, "kubectl": {"type": "str", "default": "kubectl"}}
