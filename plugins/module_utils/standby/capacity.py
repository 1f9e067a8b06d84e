# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host's Node will say that it has (C(status.capacity)), told before there is a Node.

As the kubelet reads it (kubernetes/pkg/kubelet/nodestatus/setters.go and cadvisor's machine information): the CPUs that are online,
MemTotal, the filesystem of /var/lib/kubelet, and the kernel's huge pages. How many pods it may have is the kubelet's configuration.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from ..errors import NodewiseError
from ..files import read_text
from ..kube.quantity import format_quantity
from ..kubelet.schema import DEFAULT_EVICTION_HARD
from ..verify.resources.capacity import allocatable_of

_KUBELET_FOLDER = "/var/lib/kubelet"
_MAX_PODS = 110  # KubeletConfiguration v1beta1


def read_capacity(root: str = "", cpus: int | None = None) -> dict[str, str]:
    """Return C(cpu), C(memory), C(ephemeral-storage) and huge pages of this host.

    Parameters
    ----------
    root : str
        Folder that stands for C(/).
    cpus : int, optional
        CPUs that are online; asked for by default.

    Raises
    ------
    NodewiseError
        The kernel does not say.
    """
    memory = re.search(r"^MemTotal:\s+(\d+) kB$", read_text(f"{root}/proc/meminfo") or "", re.MULTILINE)
    online = cpus or os.cpu_count()
    if memory is None or not online:
        raise NodewiseError("/proc/meminfo or the kernel's list of CPUs cannot be read on this host, so its capacity is unknown.")
    return {
        "cpu": str(online),
        "memory": f"{memory[1]}Ki",
        "ephemeral-storage": f"{_filesystem(root + _KUBELET_FOLDER) // 1024}Ki",
        **_huge_pages(f"{root}/sys/kernel/mm/hugepages"),
    }


def with_pods(capacity: Mapping[str, str], kubelet: Mapping[str, Any]) -> dict[str, str]:
    """Return a capacity with the number of pods of a KubeletConfiguration."""
    pods = int(kubelet.get("maxPods") or _MAX_PODS)
    per_core = int(kubelet.get("podsPerCore") or 0)
    return {**capacity, "pods": str(min(pods, per_core * int(capacity["cpu"])) if per_core else pods)}


def allocatable(capacity: Mapping[str, str], kubelet: Mapping[str, Any]) -> dict[str, str]:
    """Return what a Node of some capacity gives away under a KubeletConfiguration: the capacity less what is reserved and the eviction thresholds.

    Raises
    ------
    NodewiseError
        A quantity of the configuration is not understood.
    """
    # As the kubelet fills it in, which an empty one keeps.
    filled = {**kubelet, "evictionHard": DEFAULT_EVICTION_HARD} if kubelet.get("evictionHard") is None else kubelet
    try:
        left = allocatable_of(capacity, filled)
    except ValueError as error:
        raise NodewiseError(f"The cluster's KubeletConfiguration cannot be applied to a capacity: {error}.") from error
    return {name: _text(name, left[name]) if name in left else amount for name, amount in capacity.items()}


def _text(name: str, value: Fraction) -> str:
    # As the API server writes it: CPUs by the thousandth, storage in bytes, memory in kibibytes if it has no rest.
    return format_quantity(value, binary=name == "memory") if name != "ephemeral-storage" else str(int(value))


def _filesystem(path: str) -> int:
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    space = os.statvfs(path)
    return space.f_blocks * space.f_frsize


def _huge_pages(folder: str) -> dict[str, str]:
    found = {}
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        size = re.fullmatch(r"hugepages-(\d+)kB", name)
        count = (read_text(f"{folder}/{name}/nr_hugepages") or "").strip()
        if size and count.isdecimal():
            bytes_each = int(size[1]) * 1024
            found[f"hugepages-{format_quantity(bytes_each, binary=True)}"] = format_quantity(bytes_each * int(count), binary=True)
    return found
