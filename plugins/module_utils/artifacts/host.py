# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to artifacts on a host: find what differs, verify what was sent, put it in place."""

from __future__ import annotations

import glob
import json
import os
import tarfile
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import IO, Any

from ..errors import NodewiseError
from ..files import read_text, sha256_file, write_atomic
from ..process import run
from .tar import member_stream

STAMPS = "/var/lib/nodewise/artifacts.json"
CONTAINERD = "/run/containerd/containerd.sock"
CHUNK = 1 << 20
# Seconds after which what a killed run left behind is removed: longer than any run may still be using it.
ABANDONED = 3600.0
TEMPORARY = ".nodewise-"


@dataclass(frozen=True)
class HostFile:
    """A file as it must be on a host."""

    dest: str
    sha256: str
    size: int
    mode: int

    @property
    def state(self) -> str:
        """Mode and digest, as ``Files.state`` tells those of a file that is there."""
        return f"{self.mode:04o} {self.sha256 or 'to be obtained'}"


@dataclass(frozen=True)
class HostImage:
    """An image as it must be in containerd: its full name and its id (the digest of its configuration)."""

    image: str
    image_id: str


def select(artifacts: list[dict[str, Any]], kind: str, arch: str, control_plane: bool) -> list[dict[str, Any]]:
    """Return the records that a host needs.

    Parameters
    ----------
    artifacts : list of dict
        As the module C(artifacts) returns them.
    kind : str
        ``files`` (programs and manifests) or ``images``.
    arch : str
        The host's architecture.
    control_plane : bool
        Whether it is a control plane.

    Raises
    ------
    NodewiseError
        There is nothing for that architecture.
    """
    if not any(one["arch"] == arch for one in artifacts):
        found = ", ".join(sorted({one["arch"] for one in artifacts if one["arch"]})) or "none"
        raise NodewiseError(
            f"There are no artifacts for the host's architecture {arch}; there are some for {found}.", f"add {arch} to artifacts_architectures."
        )
    kinds = ("image",) if kind == "images" else ("bin", "manifest")
    return [one for one in artifacts if one["kind"] in kinds and one["arch"] in ("", arch) and (control_plane or one["nodes"] == "all")]


def _identity(path: str) -> dict[str, int]:
    stat = os.lstat(path)
    return {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "inode": stat.st_ino}


def sweep(pattern: str) -> None:
    """Remove what killed runs left behind, by a glob pattern; what is recent may still be in use."""
    for path in glob.glob(pattern):
        with suppress(FileNotFoundError):
            if os.lstat(path).st_mtime < time.time() - ABANDONED:
                os.unlink(path)


def drop_bundle(path: str | None) -> None:
    """Remove a bundle that was sent, if one was, and those that killed runs left."""
    if path and os.path.exists(path):
        os.unlink(path)
        # <remote_tmp>/ansible-tmp-<...>/<kind>-<...>.tar: Ansible does not remove what was sent when it is killed.
        folder, name = os.path.split(path)
        sweep(f"{os.path.dirname(folder)}/ansible-tmp-*/{name.partition('-')[0]}-*.tar")


class Files:
    """The files of the artifacts on this host.

    A stamp of each (digest, size, time, inode) saves reading it on the next run; a file that
    no longer fits its stamp is read again, so a changed one is found.

    Parameters
    ----------
    files : list of HostFile
        As they must be.
    stamps : str
        Where the stamps are kept.
    """

    def __init__(self, files: list[HostFile], stamps: str = STAMPS) -> None:
        self.files = files
        self.stamps_path = stamps
        try:
            self.stamps: dict[str, dict[str, Any]] = dict(json.loads(read_text(stamps) or "{}"))
        except ValueError:
            # A damaged record only costs reading the files again.
            self.stamps = {}

    def digest(self, dest: str) -> str:
        """Return the digest of a file on this host, empty if it is not a plain file of the user this runs as (root)."""
        try:
            stat = os.lstat(dest)
            identity = _identity(dest)
        except (FileNotFoundError, NotADirectoryError):
            return ""
        if not os.path.isfile(dest) or os.path.islink(dest) or stat.st_uid != os.geteuid():
            return ""
        stamp = self.stamps.get(dest, {})
        if {key: stamp.get(key) for key in identity} != identity:
            self.stamps[dest] = {**identity, "sha256": sha256_file(dest)}
        return str(self.stamps[dest]["sha256"])

    def state(self, dest: str) -> str:
        """Return mode and digest of a file, ``absent`` if there is none that could be kept."""
        digest = self.digest(dest)
        return f"{os.stat(dest).st_mode & 0o7777:04o} {digest}" if digest else "absent"

    def missing(self) -> list[HostFile]:
        """Return the files that are absent or differ in content, owner or mode."""
        return [one for one in self.files if self.state(one.dest) != one.state]

    def save(self) -> None:
        """Keep the stamps."""
        write_atomic(self.stamps_path, json.dumps(self.stamps, indent=1, sort_keys=True) + "\n")

    def install(self, missing: list[HostFile], bundle: str) -> None:
        """Put files in place from a bundle, each verified before it gets its name.

        Parameters
        ----------
        missing : list of HostFile
            What to install.
        bundle : str
            A tar whose members are named by their digests.

        Raises
        ------
        NodewiseError
            The bundle lacks one, or one arrived damaged.
        """
        waiting: dict[str, list[HostFile]] = {}
        for folder in {os.path.dirname(one.dest) for one in missing}:
            sweep(f"{folder}/{TEMPORARY}*")
        for one in missing:
            waiting.setdefault(one.sha256, []).append(one)
        with tarfile.open(bundle, "r:*") as archive:
            for member in archive:
                for one in waiting.pop(member.name, []):
                    self._place(one, member_stream(archive, member))
        if waiting:
            raise NodewiseError(f"What was sent lacks {', '.join(one.dest for group in waiting.values() for one in group)}.", "run the playbook again.")

    def _place(self, one: HostFile, stream: IO[bytes]) -> None:
        folder = os.path.dirname(one.dest)
        os.makedirs(folder, mode=0o755, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=TEMPORARY, dir=folder)
        try:
            digest = sha256()
            with os.fdopen(descriptor, "wb") as handle:
                while chunk := stream.read(CHUNK):
                    digest.update(chunk)
                    handle.write(chunk)
                os.fchmod(handle.fileno(), one.mode)
            if digest.hexdigest() != one.sha256:
                raise NodewiseError(
                    f"{one.dest} arrived with SHA-256 {digest.hexdigest()}, expected {one.sha256}. It was not installed.",
                    "run the playbook again; if that does not help, remove .nodewise/bundles and .nodewise/pieces below the cache (artifacts_cache).",
                )
            os.replace(temporary, one.dest)
        except BaseException:
            os.unlink(temporary)
            raise
        self.stamps[one.dest] = {**_identity(one.dest), "sha256": one.sha256}


def _run(command: list[str]) -> str:
    try:
        result = run(command)
    except FileNotFoundError:
        raise NodewiseError(f"The program {command[0]} is not installed.", "install the artifacts' files first (role artifacts, tasks_from install).") from None
    if result.returncode:
        raise NodewiseError(
            f"'{' '.join(command)}' ended with status {result.returncode}: {result.stderr.strip()[-800:]}",
            "is containerd running? (systemctl status containerd)",
        )
    return result.stdout


def present_images(socket: str = CONTAINERD) -> dict[str, str]:
    """Return the images that the kubelet can see, as ``{full name: id}``.

    Raises
    ------
    NodewiseError
        containerd cannot be asked.
    """
    listing = json.loads(
        _run(["/usr/local/bin/crictl", "--runtime-endpoint", f"unix://{socket}", "--image-endpoint", f"unix://{socket}", "images", "-o", "json"])
    )
    return {tag: image["id"] for image in listing["images"] for tag in image.get("repoTags") or []}


def missing_images(images: list[HostImage], present: dict[str, str]) -> list[HostImage]:
    """Return the images that are absent or have another content under their name."""
    return [one for one in images if not one.image_id or present.get(one.image) != one.image_id]


def import_images(missing: list[HostImage], bundle: str, socket: str = CONTAINERD, patience: float = 60) -> None:
    """Load images from an OCI archive, which containerd verifies blob by blob, and wait until the kubelet can see them.

    Parameters
    ----------
    missing : list of HostImage
        What the archive holds.
    bundle : str
        Path of the archive.
    socket : str
        containerd's socket.
    patience : float
        Seconds that containerd's CRI plugin may need to take note of the images.

    Raises
    ------
    NodewiseError
        Importing fails, or an image is not there in time.
    """
    # Namespace k8s.io is the one the kubelet looks in.
    _run(["/usr/local/bin/ctr", "--address", socket, "--namespace", "k8s.io", "images", "import", bundle])
    deadline = time.monotonic() + patience
    while absent := missing_images(missing, present_images(socket)):
        # containerd's CRI plugin learns of new images by events, and offers nothing to wait on.
        if time.monotonic() < deadline:
            time.sleep(0.2)
            continue
        raise NodewiseError(f"After loading, containerd does not have {', '.join(one.image for one in absent)}.", "look into: journalctl -u containerd")
