# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guard's systemd unit."""

from __future__ import annotations

from ..systemd.daemon import CALLS, KERNEL, restart

STATE = "nodewise-guard"
"""Its C(StateDirectory), where its token lies."""


def unit_text(python: str, config: str, ready_seconds: int, systemd: int) -> str:
    """Return the unit file.

    Parameters
    ----------
    python : str
        Interpreter of the release.
    config : str
        Path of the configuration.
    ready_seconds : int
        Seconds after which the daemon says that it is up even if the API server has not answered yet.
    systemd : int
        The host's version of systemd.
    """
    return f"""\
# Managed by nodewise.cluster.
[Unit]
Description=Keeps pods away from nodes that are overloaded or whose disk is nearly full
Documentation=https://github.com/nodewise/cluster
After=network.target
# Never give up: the API server may be away for hours.
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={python} -I -m nodewise.guard.main --config {config} --ready-seconds {ready_seconds}
TimeoutStartSec={ready_seconds + 15}s
# A request that hangs takes 5 s, and giving the Lease back another 5.
TimeoutStopSec=15s
# It looks once a second; a round of writes may take a while.
WatchdogSec=120s
WatchdogSignal=SIGKILL
Restart=always
{restart(systemd)}

MemoryMax=256M
CPUQuota=50%
TasksMax=32
Environment=MALLOC_ARENA_MAX=2

# A user that exists only while it runs, and a folder for its token. It reads its configuration and speaks to the API server: nothing else.
DynamicUser=yes
StateDirectory={STATE}
StateDirectoryMode=0700
CapabilityBoundingSet=
AmbientCapabilities=
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
{KERNEL}
ProtectProc=invisible
ProcSubset=pid
# The manager of the container runtime, the kubelet's and etcd's files are none of its business.
InaccessiblePaths=-/etc/kubernetes -/var/lib/kubelet -/var/lib/etcd -/run/containerd
{CALLS}

[Install]
WantedBy=multi-user.target
"""
