# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the units of all our daemons say alike."""

from __future__ import annotations

# Since which systemd a restart's delay may grow.
_RESTART_STEPS = 254

KERNEL = """\
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes"""
"""Devices and what belongs to the kernel are out of reach (systemd.exec)."""

CALLS = """\
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
UMask=0077
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM"""
"""Neither sockets, namespaces nor system calls beyond what a service needs."""


def restart(systemd: int) -> str:
    """Return the delay of a restart, growing where the host's systemd can do that.

    Parameters
    ----------
    systemd : int
        The host's version of systemd.
    """
    return "RestartSec=1s\nRestartSteps=6\nRestartMaxDelaySec=60s" if systemd >= _RESTART_STEPS else "RestartSec=5s"
