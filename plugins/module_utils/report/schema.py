# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of the NodeReport API and of its parts, for whoever writes or reads one.

Shape of C(status), in the units that the names say (every figure is left out when it is unknown)::

    observedAt: RFC 3339, microseconds: when the sample was taken
    expiresAt: RFC 3339: after this the report says nothing any more (observedAt + 180 s)
    sequence: int, rises with every report, also over restarts of the reporter
    bootID: str         agentVersion: str         configDigest: str, of the reporter's configuration         view: host | cgroup
    runtime: {name, version, cgroupDriver: systemd|cgroupfs, ready: bool, networkReady: bool}
    cpuMillicores: {allocatable, now, avg1m, avg5m, p95}
    memoryBytes: {allocatable, now, avg1m, avg5m, p95, workingSet, swap}
    percent: {cpu, memory, disk}    ints; now of allocatable; disk: used of the fullest filesystem
    psiPercent: {cpu, memory, io}   some avg60
    load1m: str decimal
    filesystems: [{roles: [node, image, container], mountpoint, capacityBytes, usedBytes, availableBytes, inodes, inodesUsed}]
    pods: {ready, notReady}    containers: {created, running, exited, unknown}
    unreadContainers: int, only if not 0: the report is partial
    top: {cpu: ["namespace/pod/container 350m"], memory: ["namespace/pod/container 120Mi"]}   at most five each, and fewer if all is too large
    conditions: [{type, status: True|False|Unknown, reason, message, lastTransitionTime}]   reason and message not while all is well
    pressure: str for people: the types of the true conditions in short ("cpu,disk"), or "none"; "unknown" if any is Unknown and none true
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

GROUP = "nodewise.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "NodeReport"
PLURAL = "nodereports"
PATH = f"/apis/{GROUP}/{VERSION}/{PLURAL}"

CONFIG_DIGITS = 8
"""Hexadecimal digits of C(configDigest)."""
TOP = 5
"""Consumers of each kind at most."""
CONSUMER_LENGTH = 50
"""Characters of a consumer's name at most; a longer one is cut in the middle."""
FILESYSTEMS = 6
MOUNTPOINT_LENGTH = 128
NAME_LENGTH = 64
MESSAGE_LENGTH = 160
"""Most of what a report takes; the API server refuses more, and one odd value must not cost the whole report."""

INT64_MAX = 2**63 - 1
_NUMBERS: Mapping[str, tuple[int, int]] = {
    "sequence": (1, INT64_MAX),
    "cpuMillicores": (0, 10**8),
    "memoryBytes": (0, INT64_MAX),
    "percent": (0, 10**5),
    "percent.disk": (0, 100),
    "psiPercent": (0, 100),
    "filesystems": (0, INT64_MAX),
    "pods": (0, 10**5),
    "containers": (0, 10**6),
    "unreadContainers": (1, 10**6),
}


def bounds(path: str) -> tuple[int, int]:
    """Return least and most of a number of the status, C(percent.disk); the API server refuses others, and the report leaves them out."""
    return _NUMBERS[path] if path in _NUMBERS else _NUMBERS[path.partition(".")[0]]


TRUE = "True"
FALSE = "False"
UNKNOWN = "Unknown"
"""A condition's status."""

CPU_OVERLOADED = "CPUOverloaded"
MEMORY_OVERLOADED = "MemoryOverloaded"
DISK_NEARLY_FULL = "DiskNearlyFull"
RUNTIME_UNHEALTHY = "RuntimeUnhealthy"
CONDITIONS = (CPU_OVERLOADED, MEMORY_OVERLOADED, DISK_NEARLY_FULL, RUNTIME_UNHEALTHY)
_SHORT = {CPU_OVERLOADED: "cpu", MEMORY_OVERLOADED: "memory", DISK_NEARLY_FULL: "disk", RUNTIME_UNHEALTHY: "runtime"}


def pressure_of(conditions: Mapping[str, str]) -> str:
    """Return C(pressure) by the statuses of all conditions."""
    true = [_SHORT[name] for name in CONDITIONS if conditions[name] == TRUE]
    return ",".join(true) or ("none" if all(conditions[name] == FALSE for name in CONDITIONS) else "unknown")


def used_percent(used: int | None, available: int | None) -> int | None:
    """Return the used share of a filesystem as df does: of what is not reserved for root, rounded up."""
    return None if used is None or available is None or used + available <= 0 else ceil(100 * used / (used + available))
