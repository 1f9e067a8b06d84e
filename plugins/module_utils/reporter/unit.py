# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reporter's systemd unit."""

from __future__ import annotations

from ..systemd.daemon import CALLS, KERNEL, restart

NAME = "nodewise-reporter.service"
UNIT = f"/etc/systemd/system/{NAME}"


def unit_text(python: str, config: str, version: str, ready_seconds: int, systemd: int, kubeconfig: str) -> str:
    """Return the unit file.

    Parameters
    ----------
    python : str
        Interpreter of the release.
    config : str
        Path of the configuration.
    version : str
        What reports name as their agent's version.
    ready_seconds : int
        Seconds after which the daemon says that it is up even if no report has been accepted yet.
    systemd : int
        The host's version of systemd.
    kubeconfig : str
        The node's own; a host without it is no node, and the unit does not start there.
    """
    return f"""\
# Managed by nodewise.cluster.
[Unit]
Description=Reports what this node really uses to the Kubernetes API
Documentation=https://github.com/nodewise/cluster
# No After=containerd or kubelet: it must speak when they are down, too.
After=network.target
# On a prepared host, or one that has left, there is nothing to report, whoever starts it.
ConditionPathExists={kubeconfig.replace("%", "%%")}
# Never give up: a node that does not report is found by its report's expiry, not by a failed unit.
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={python} -I -m nodewise.reporter.main --config {config} --agent-version {version} --ready-seconds {ready_seconds}
ExecReload=/bin/kill -HUP $MAINPID
TimeoutStartSec={ready_seconds + 15}s
TimeoutStopSec=5s
# A sample is due every 60 s at the latest.
WatchdogSec=180s
WatchdogSignal=SIGKILL
Restart=always
{restart(systemd)}

# What it may take of the node. Nothing of it is needed to say what it does, so it goes among the last when memory is short.
# Half a CPU: with a quarter, the start on a node with 110 pods takes 4 s instead of 2, since systemd makes it a view of each of their mounts.
MemoryMax=128M
CPUQuota=50%
TasksMax=64
OOMScoreAdjust=-900
# One arena for all threads, and what is large goes back to the kernel at once: 1 MiB less (benchmarks/reporter).
Environment=MALLOC_ARENA_MAX=1 MALLOC_MMAP_THRESHOLD_=65536

# It reads the kubelet's certificate (mode 0600) and speaks to the runtime's socket (0660), both of root's, and needs nothing
# else of root: it owns the files, so it needs no capability.
User=root
CapabilityBoundingSet=
AmbientCapabilities=
NoNewPrivileges=yes
# Everything is read-only, but stays visible: the mounts of the kubelet and the runtime are what it measures.
ProtectSystem=strict
ProtectHome=yes
# Not PrivateTmp=, which makes folders on disk: on a full one the unit would not start, and that is when it is needed.
TemporaryFileSystem=/tmp:ro /var/tmp:ro
{KERNEL}
# Not ProtectProc=: without capabilities PID 1 would be hidden, whose start tells a container host's reboot.
{CALLS}

[Install]
WantedBy=multi-user.target
"""
