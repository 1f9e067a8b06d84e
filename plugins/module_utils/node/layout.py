# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where this host's control groups are, and whether the whole machine is this host's.

A host that is itself a container (LXC, podman; the lab) shares a kernel with others, and /proc/stat, MemAvailable, the load and PSI are the
machine's. Two signs, both readable without any privilege:

* C(/run/systemd/container), which systemd writes as PID 1 of a container, and only there;
* a cgroup namespace of its own, by the number that the kernel gives the first one (PROC_CGROUP_INIT_INO in linux/proc_ns.h). This is for
  containers without systemd.

C(/proc/1/environ) would say it too, but only to a process with all capabilities of PID 1, which the reporter is not.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..errors import NodewiseError
from .model import CGROUP, HOST

V1 = "v1"
HYBRID = "hybrid"
V2 = "v2"

_CONTROLLERS = ("cpu", "cpuacct", "memory")
_FIRST_CGROUP_NAMESPACE = "cgroup:[4026531835]"
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Layout:
    """What does not change while the host runs.

    Parameters
    ----------
    view : str
        C(host) or C(cgroup).
    cgroup : str
        Where C(cpu), C(cpuacct) and C(memory) are. C(v1): in hierarchies of their own; C(hybrid): so, and a cgroup2 beside them; C(v2): all in one,
        whatever other hierarchies of v1 there are.
    folders : Mapping
        {controller: folder of this host's root cgroup}, of these controllers; for C(v2), the same for each.
    """

    view: str
    cgroup: str
    folders: Mapping[str, str] = field(default_factory=dict)


def read_layout(root: str = "/") -> Layout:
    """Find out how the host's control groups are laid out.

    Parameters
    ----------
    root : str
        Where /proc, /run and /sys are.

    Raises
    ------
    NodewiseError
        /proc/self/mountinfo or, in a container, /proc/1/cgroup cannot be read, or no control groups are mounted.
    """
    view = CGROUP if _is_container(root) else HOST
    mounts = _mounts(_read(root, "proc/self/mountinfo"))
    try:
        of_init = _of_init(_read(root, "proc/1/cgroup"))
    except NodewiseError:
        # /proc that is mounted with hidepid= hides PID 1 from the reporter, which has no capability. On a machine PID 1 manages the root itself.
        if view == CGROUP:
            raise
        of_init = {}
    folders = {}
    for mount in mounts:
        names = _CONTROLLERS if mount.kind == "cgroup2" else mount.controllers
        for name in names:
            # Controllers that a v1 hierarchy has are not in cgroup2.
            if mount.kind == "cgroup" or name not in folders:
                folders[name] = _folder(root, mount, of_init.get("" if mount.kind == "cgroup2" else name, "/"))
    kinds = {mount.kind for mount in mounts}
    if not kinds:
        raise NodewiseError(f"No control groups are mounted according to {os.path.join(root, 'proc/self/mountinfo')}.", "mount /sys/fs/cgroup")
    apart = any(mount.kind == "cgroup" and not set(_CONTROLLERS).isdisjoint(mount.controllers) for mount in mounts)
    cgroup = V1 if "cgroup2" not in kinds else HYBRID if apart else V2
    return Layout(view, cgroup, {name: folder for name, folder in folders.items() if name in _CONTROLLERS})


@dataclass(frozen=True)
class _Mount:
    kind: str
    top: str
    point: str
    controllers: tuple[str, ...]


def _mounts(mountinfo: str) -> list[_Mount]:
    """Return the control group mounts; fields as in proc_pid_mountinfo(5)."""
    found = []
    for line in mountinfo.splitlines():
        before, separator, after = line.partition(" - ")
        fields, rest = before.split(), after.split()
        if separator and len(fields) >= 5 and len(rest) >= 3 and rest[0] in ("cgroup", "cgroup2"):
            found.append(_Mount(rest[0], _unescape(fields[3]), _unescape(fields[4]), tuple(rest[2].split(","))))
    return found


def _of_init(text: str) -> dict[str, str]:
    """Return {controller: path} of PID 1's control groups, C('') for cgroup2's."""
    paths = {}
    for line in text.splitlines():
        parts = line.split(":", 2)
        if len(parts) == 3:
            for controller in parts[1].split(","):
                paths[controller] = parts[2]
    return paths


def _folder(root: str, mount: _Mount, of_init: str) -> str:
    # systemd puts itself below the root that it manages. Without a cgroup namespace that root has a path, of which the mount shows a part or all.
    path = of_init.removesuffix("/init.scope").strip("/")
    top = mount.top.strip("/")
    if path == top or path.startswith(f"{top}/"):
        path = path[len(top) :].strip("/")
    return os.path.join(root, mount.point.lstrip("/"), path).rstrip("/")


def _is_container(root: str) -> bool:
    try:
        if os.path.getsize(os.path.join(root, "run/systemd/container")) > 0:
            return True
    except OSError:
        pass
    try:
        return os.readlink(os.path.join(root, "proc/self/ns/cgroup")) != _FIRST_CGROUP_NAMESPACE
    except OSError:
        return False


def _unescape(text: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)


def _read(root: str, name: str) -> str:
    path = os.path.join(root, name)
    try:
        with open(path, encoding="utf-8", errors="replace") as handle:
            return handle.read()
    except OSError as error:
        raise NodewiseError(f"Cannot read {path}: {error.strerror}.", "mount /proc, and run this as root") from error
