# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thin client over the podman command of the control machine."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

from ...module_utils.errors import NodewiseError

INSTALL_REMEDY = "run `make packages` (apt-get install podman mmdebstrap runc ...), as root"

# As podman 3 and 4 say it.
_NO_NETWORK = re.compile("no such network|network not found", re.IGNORECASE)


def run(*command: str, ok: tuple[int, ...] = (0,), timeout: float = 600) -> subprocess.CompletedProcess[str]:
    """Run a command of the control machine and return what it printed.

    Raises
    ------
    NodewiseError
        The program is missing, its exit code is not one of C(ok), or it ran longer than C(timeout) seconds.
    """
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False)
    except FileNotFoundError as error:
        raise NodewiseError(f"{command[0]} is not installed on the control machine.", INSTALL_REMEDY) from error
    except subprocess.TimeoutExpired as error:
        raise NodewiseError(f"`{' '.join(command)}` did not end within {timeout:.0f} s.") from error
    if done.returncode not in ok:
        raise _failed(done)
    return done


def _failed(done: subprocess.CompletedProcess[str]) -> NodewiseError:
    return NodewiseError(f"`{' '.join(done.args)}` failed ({done.returncode}): {(done.stderr or done.stdout).strip()}")


class Podman:
    """What a lab needs of podman."""

    def containers(self, label: str) -> list[dict[str, Any]]:
        """Return the containers, running or not, that bear a label (C(key=value))."""
        found: list[dict[str, Any]] = json.loads(run("podman", "ps", "--all", f"--filter=label={label}", "--format=json").stdout or "[]")
        return found

    def volumes(self, label: str) -> list[str]:
        """Return the names of the volumes that bear a label (C(key=value))."""
        return run("podman", "volume", "ls", f"--filter=label={label}", "--format={{.Name}}").stdout.split()

    def network_subnets(self, name: str) -> list[str] | None:
        """Return the subnets of a network, or None if there is no such network."""
        done = run("podman", "network", "inspect", name, ok=(0, 1, 125))
        if done.returncode:
            # Those codes are also podman's for whatever else is wrong, such as a database that is locked or a full disk.
            if not _NO_NETWORK.search(done.stderr):
                raise _failed(done)
            return None
        return [subnet["subnet"] for subnet in json.loads(done.stdout)[0].get("subnets", [])]

    def create_network(self, name: str, subnet: str, label: str) -> None:
        """Make a bridge network of one subnet."""
        run("podman", "network", "create", f"--subnet={subnet}", f"--label={label}", name)

    def remove_network(self, name: str) -> None:
        """Remove a network and every container on it; no error if there is none."""
        run("podman", "network", "rm", "--force", name, ok=(0, 1))

    def create_volume(self, name: str, label: str, *options: str) -> None:
        """Make a volume; C(options) are those of podman's local driver."""
        run("podman", "volume", "create", f"--label={label}", *(f"--opt={option}" for option in options), name)

    def remove_volume(self, name: str) -> None:
        """Remove a volume; no error if there is none."""
        run("podman", "volume", "rm", "--force", name, ok=(0, 1))

    def start(self, name: str) -> bool:
        """Start a container and say whether that worked."""
        return run("podman", "start", name, ok=tuple(range(256))).returncode == 0

    def run_container(self, *args: str) -> None:
        """Create and start a container."""
        run("podman", "run", "--detach", *args)

    def remove_container(self, name: str) -> None:
        """Kill and remove a container; no error if there is none."""
        run("podman", "rm", "--force", "--time=0", "--ignore", name)

    def image_exists(self, reference: str) -> bool:
        """Say whether an image is in podman's store."""
        return run("podman", "image", "exists", reference, ok=(0, 1)).returncode == 0

    def import_image(self, tarball: str, reference: str, *changes: str) -> None:
        """Make an image of a root filesystem's tarball."""
        run("podman", "import", "--quiet", *(f"--change={change}" for change in changes), tarball, reference)
