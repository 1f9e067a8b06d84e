# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The root filesystem of a lab host: a Debian with systemd and sshd, made by mmdebstrap."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable
from contextlib import suppress

from .podman import Podman, run

SUITES = {"debian12": "bookworm", "debian13": "trixie"}

# What a freshly installed server has, plus what kubeadm's preflight, the kubelet, kube-proxy and Calico call on a host.
# No container runtime: installing it is the work under test.
PACKAGES = (
    "ca-certificates",
    "conntrack",
    "dbus",
    "ebtables",
    "ethtool",
    "iproute2",
    "ipset",
    "iptables",
    "iputils-ping",
    "kmod",
    "libseccomp2",
    "mount",
    "nftables",
    "openssh-server",
    "procps",
    "python3",
    "python3-apt",
    "python3-yaml",
    "socat",
    "systemd",
    "systemd-sysv",
    "util-linux",
)

# Mount propagation: a machine's systemd makes / shared, a container's cannot (the runtime made it private).
# SSH keys: those that the package made would be the same on every host, so each host makes its own when it first starts.
# Machine-id: the same. Gettys: a privileged container sees the machine's own tty1.
_UNIT = """\
[Unit]
Description=Make this container look like a host
DefaultDependencies=no
Before=sysinit.target ssh.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/mount --make-rshared /
ExecStart=/bin/sh -c 'test -s /etc/ssh/ssh_host_ed25519_key || ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key'

[Install]
WantedBy=sysinit.target
"""

_CUSTOMIZE = f"""\
cat > "$1/etc/systemd/system/lab-host.service" <<'UNIT'
{_UNIT}UNIT
chroot "$1" systemctl enable lab-host.service
chroot "$1" systemctl mask getty@tty1.service console-getty.service
install -d -m 0700 "$1/root/.ssh"
rm -f "$1"/etc/ssh/ssh_host_*
: > "$1/etc/machine-id"
"""

_MMDEBSTRAP_OPTIONS = (
    "--variant=minbase",
    f"--include={','.join(PACKAGES)}",
    '--aptopt=Acquire::Languages "none"',
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    f"--customize-hook={_CUSTOMIZE}",
)

_CHANGES = ('CMD ["/lib/systemd/systemd"]',)


def recipe_hash(distribution: str) -> str:
    """Return 12 hexadecimal digits that change whenever the recipe of a distribution's image does."""
    recipe = json.dumps([SUITES[distribution], _MMDEBSTRAP_OPTIONS, _CHANGES])
    return hashlib.sha256(recipe.encode()).hexdigest()[:12]


def reference(distribution: str) -> str:
    """Return the name of a distribution's image in podman's store."""
    return f"localhost/nodewise-lab:{distribution}-{recipe_hash(distribution)}"


def ensure(podman: Podman, distribution: str, cache: str, report: Callable[[str], None]) -> None:
    """Have a distribution's image in podman's store: from the cached tarball, which is built if missing.

    Parameters
    ----------
    podman : Podman
        Where the image is wanted.
    distribution : str
        A key of L(SUITES).
    cache : str
        Folder of the tarballs; made if missing. Safe for two runs at once.
    report : callable
        Called with one line for each long step.

    Raises
    ------
    NodewiseError
        mmdebstrap or podman is missing or failed.
    """
    name = reference(distribution)
    if podman.image_exists(name):
        return
    os.makedirs(cache, exist_ok=True)
    tarball = os.path.join(cache, f"{distribution}-{recipe_hash(distribution)}.tar")
    with open(f"{tarball}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(tarball):
            report(f"{distribution}: building the root filesystem with mmdebstrap (about 30 s) ...")
            start = time.monotonic()
            partial = f"{tarball}.partial"
            with suppress(FileNotFoundError):
                os.unlink(partial)
            run("mmdebstrap", *_MMDEBSTRAP_OPTIONS, "--format=tar", SUITES[distribution], partial, timeout=1800)
            os.replace(partial, tarball)
            report(f"{distribution}: built in {time.monotonic() - start:.0f} s, kept as {tarball}")
        if not podman.image_exists(name):
            report(f"{distribution}: importing the image ...")
            podman.import_image(tarball, name, *_CHANGES)
