# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Obtain artifacts on the control machine; an action, so that it can show how far it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..module_utils.artifacts.catalogue import Versions
from ..module_utils.artifacts.obtain import Request, obtain
from ..module_utils.errors import NodewiseError

ARGUMENTS: dict[str, dict[str, Any]] = {
    "source": {"type": "str", "default": "auto"},
    "mirror": {"type": "str", "default": ""},
    "cache": {"type": "path", "default": "~/.cache/nodewise"},
    "architectures": {"type": "list", "elements": "str", "required": True},
    "kubernetes_version": {"type": "str", "required": True},
    "containerd_version": {"type": "str", "required": True},
    "runc_version": {"type": "str", "required": True},
    "cni_plugins_version": {"type": "str", "required": True},
    "crictl_version": {"type": "str", "required": True},
    "calico_version": {"type": "str", "required": True},
    "etcd_version": {"type": "str", "default": ""},
    "coredns_version": {"type": "str", "default": ""},
    "pause_version": {"type": "str", "default": ""},
    "metrics_server_version": {"type": "str", "default": ""},
    "prometheus_operator_version": {"type": "str", "default": ""},
    "prometheus_version": {"type": "str", "default": ""},
    "cluster_autoscaler_version": {"type": "str", "default": ""},
    "cni_plugins": {"type": "list", "elements": "str", "required": True},
    "calico_manifest": {"type": "str", "default": "calico-vxlan"},
    "calico_backend": {"type": "str", "default": "vxlan"},
    "official_urls": {"type": "dict", "default": {}},
    "registries": {"type": "dict", "default": {}},
    "debian_mirror": {"type": "str", "default": "http://deb.debian.org/debian"},
    "export": {"type": "path"},
}


class ActionModule(ActionBase):
    """See the module's documentation."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Fill the cache."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec(argument_spec=ARGUMENTS)
        versions = Versions(**{name: args[f"{name}_version"] for name in Versions.__dataclass_fields__})
        request = Request(
            versions=versions,
            cache=Path(args["cache"]),
            export=Path(args["export"]) if args["export"] else None,
            **{
                name: args[name]
                for name in (
                    "source",
                    "mirror",
                    "architectures",
                    "cni_plugins",
                    "calico_manifest",
                    "calico_backend",
                    "official_urls",
                    "registries",
                    "debian_mirror",
                )
            },
        )
        display = Display()
        try:
            obtained = obtain(request, tell=lambda line: display.display(f"  {line}"), predict=self._task.check_mode)
        except NodewiseError as error:
            raise AnsibleActionFail(str(error)) from error
        changed = obtained.fetched + obtained.exported
        diff = {"before": "", "after": "".join(f"{name}\n" for name in changed), "after_header": f"obtained from {obtained.source}"}
        return {
            **result,
            "changed": bool(changed),
            "source": obtained.source,
            "artifacts": obtained.artifacts,
            "fetched": obtained.fetched,
            "exported": obtained.exported,
            "unavailable": obtained.unavailable,
            **({"diff": diff} if changed else {}),
        }
