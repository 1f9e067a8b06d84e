# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel modules and kernel parameters: what the running kernel has, and what a boot would set.

Every function takes the folder that stands for the root of the filesystem, so that a test can lay one out.
"""

from __future__ import annotations

import errno
import glob
import os
import re
from collections.abc import Iterable, Mapping

from ..errors import NodewiseError
from ..files import read_text
from .model import Sysctl

MODULES_FILE = "/etc/modules-load.d/nodewise.conf"
SYSCTL_FILE = "/etc/sysctl.d/99-nodewise.conf"

# Files that are there only while the feature is. They tell of a feature built into a kernel that lists no modules
# (a container host, a kernel without CONFIG_MODULES); a module without parameters is not in /sys/module then.
_FEATURES = {
    "br_netfilter": "/proc/sys/net/bridge",
    "nf_conntrack": "/proc/sys/net/netfilter/nf_conntrack_max",
}
# systemd-sysctl(8): the files of all these folders are read in the order of their base names.
_SYSCTL_FOLDERS = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d")


def module_states(names: Iterable[str], release: str, root: str = "") -> dict[str, str]:
    """Say of each kernel module whether the kernel has it.

    Parameters
    ----------
    names : iterable of str
        Modules, with underscores.
    release : str
        The kernel's release as C(uname -r) prints it.
    root : str
        Folder that stands for C(/).

    Returns
    -------
    dict
        V(loaded), V(builtin), V(available) (can be loaded) or V(missing), from /proc/modules, /sys/module,
        modules.builtin, modules.dep and the features' own files.
    """
    loaded = {line.split()[0] for line in (read_text(f"{root}/proc/modules") or "").splitlines() if line.strip()}
    builtin = _module_names(read_text(f"{root}/lib/modules/{release}/modules.builtin"))
    available = loadable_modules(release, root)

    def state(name: str) -> str:
        if name in loaded:
            return "loaded"
        if name in builtin or os.path.isdir(f"{root}/sys/module/{name}"):
            return "builtin"
        if name in _FEATURES and os.path.exists(root + _FEATURES[name]):
            return "builtin"
        return "available" if name in available else "missing"

    return {name: state(name) for name in names}


def loadable_modules(release: str, root: str = "") -> set[str]:
    """Return the modules that modprobe finds for the kernel release (modules.dep), loaded or not."""
    return _module_names(read_text(f"{root}/lib/modules/{release}/modules.dep"))


def _module_names(listing: str | None) -> set[str]:
    """Take the module names out of modules.dep or modules.builtin."""
    return {name.replace("-", "_") for name in re.findall(r"^[^:\n]*?([^/:\n]+)\.ko", listing or "", re.MULTILINE)}


def modules_file_content(names: Iterable[str], release: str, root: str = "") -> str:
    """Return the text of the modules-load.d file.

    Only what modprobe can find is listed: systemd-modules-load.service fails on anything else, for
    instance on a container host whose kernel has the module but which has no module files.
    """
    available = loadable_modules(release, root)
    return "".join(["# Written by nodewise.cluster.host_prepare\n", *(f"{name}\n" for name in names if name in available)])


def sysctl_path(name: str, root: str = "") -> str:
    """Return the file of a kernel parameter."""
    return f"{root}/proc/sys/{name.replace('.', '/')}"


def read_sysctl(name: str, root: str = "") -> str | None:
    """Return a kernel parameter with blanks made single, or None if the kernel has no such parameter."""
    text = read_text(sysctl_path(name, root))
    return None if text is None else " ".join(text.split())


def sysctl_states(names: Iterable[str], root: str = "") -> dict[str, Sysctl]:
    """Read kernel parameters, and whether this host may set them."""
    return {name: Sysctl(value=read_sysctl(name, root), writable=os.access(sysctl_path(name, root), os.W_OK)) for name in names}


def write_sysctl(name: str, value: str, root: str = "") -> None:
    """Set a kernel parameter of the running kernel.

    Raises
    ------
    NodewiseError
        The kernel has no such parameter, or refuses the value, or it is read-only here.
    """
    path = sysctl_path(name, root)
    try:
        with open(path, "w", encoding="utf-8") as handle:
            handle.write(value)
    except OSError as error:
        read_only = error.errno in (errno.EROFS, errno.EACCES, errno.EPERM)
        remedy = "set it on the machine that carries this container" if read_only else "correct host_sysctls, or run a kernel that has the parameter"
        raise NodewiseError(f"Cannot set {name} to {value} ({path}: {error.strerror}).", remedy) from error


def sysctl_file_content(sysctls: Mapping[str, str]) -> str:
    """Return the text of the sysctl.d file."""
    return "".join(["# Written by nodewise.cluster.host_prepare\n", *(f"{name} = {value}\n" for name, value in sorted(sysctls.items()))])


def sysctl_overrides(sysctls: Mapping[str, str], root: str = "") -> dict[str, str]:
    """Find parameters that a boot would set otherwise, because a file read after ours says so.

    Returns
    -------
    dict
        For each such parameter the value and the file that sets it, as V(0 in /etc/sysctl.d/99-sysctl.conf).
    """
    files: dict[str, str] = {}
    for folder in reversed(_SYSCTL_FOLDERS):
        files.update({os.path.basename(path): path for path in glob.glob(f"{root}{folder}/*.conf")})
    last: dict[str, tuple[str, str]] = {}
    for base in sorted(files):
        if base <= os.path.basename(SYSCTL_FILE):
            continue
        for line in (read_text(files[base], "replace") or "").splitlines():
            key, separator, value = line.partition("=")
            if separator:  # the key of a line that is a comment begins with its mark, and so is nobody's
                last[key.strip().lstrip("-").replace("/", ".")] = (" ".join(value.split()), files[base].removeprefix(root))
    return {name: f"{last[name][0]} in {last[name][1]}" for name, value in sysctls.items() if name in last and last[name][0] != value}
