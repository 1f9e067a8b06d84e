# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cgroup driver of a containerd that does not know the call RuntimeConfig, as 1.7 does not: by its own configuration."""

from __future__ import annotations

import json
from typing import Any

from .client import CallFailed, CriClient

_RUNC = "io.containerd.runc."


def configured_driver(client: CriClient, seconds: float) -> str | None:
    """Return the driver that the default runtime is configured with; None if the runtime does not tell.

    It is not part of the protocol, so it is only for whoever has no other way.

    Parameters
    ----------
    client : CriClient
        The connection.
    seconds : float
        For the call.
    """
    try:
        told = client.call("Status", seconds, verbose=True).info.get("config", "")
        return driver_of(json.loads(told))
    except (CallFailed, ValueError):
        return None


def driver_of(config: Any) -> str | None:
    """Return the driver by the configuration of containerd's CRI plugin; None if it is another's.

    Parameters
    ----------
    config : object
        C(config) of a verbose C(Status).
    """
    try:
        containerd = config["containerd"]
        runtime = containerd["runtimes"][containerd["defaultRuntimeName"]]
        if not runtime["runtimeType"].startswith(_RUNC):
            return None
        # What is not set is false to runc's shim.
        return "systemd" if (runtime.get("options") or {}).get("SystemdCgroup") is True else "cgroupfs"
    except (KeyError, TypeError, AttributeError):
        return None
