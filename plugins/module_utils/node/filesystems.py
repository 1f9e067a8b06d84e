# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How full filesystems are, even if one of them does not answer.

A call on a mount whose server is gone (NFS, FUSE, a lost iSCSI disk) may hang for ever and cannot be interrupted. So each path has a thread
of its own, which is asked again and again; one that hangs costs its path's figures and nothing else.
"""

from __future__ import annotations

import errno
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from .model import Filesystem

ROLES = ("node", "image", "container")

DEADLINE = 2.0
"""Seconds in which all filesystems together have to answer."""


def filesystem_paths(kubelet_root: str, runtime_root: str, images: tuple[str, ...] | None = None, containers: tuple[str, ...] | None = None) -> dict[str, str]:
    """Return {role: path} of what to ask, as the kubelet tells its filesystems apart.

    Parameters
    ----------
    kubelet_root, runtime_root : str
        Such as /var/lib/kubelet and /var/lib/containerd.
    images, containers : tuple of str or None
        What the runtime says (C(RuntimeReading.image_filesystems), C(container_filesystems)); the kubelet uses only the first, and containers lie
        with the images unless the runtime says otherwise.
    """
    image = images[0] if images else runtime_root
    return {"node": kubelet_root, "image": image, "container": containers[0] if containers else image}


# What containerd's snapshotter of this name calls its folder, unless its root_path is another.
_THIN_POOL = "devmapper"


class Filesystems:
    """Asks the same paths again and again.

    Parameters
    ----------
    probe : callable
        Of a path: its filesystem, or OSError. For tests.
    """

    def __init__(self, probe: Callable[[str], Filesystem] | None = None) -> None:
        self._probe = probe or probe_filesystem
        self._workers: dict[str, _Worker] = {}

    def read(self, paths: Mapping[str, str], deadline: float = DEADLINE) -> tuple[Filesystem, ...]:
        """Return one entry for each filesystem, in the order of its first role.

        Parameters
        ----------
        paths : Mapping
            {role: path}, from :func:`filesystem_paths`.
        deadline : float
            Seconds.
        """
        end = time.monotonic() + deadline
        ordered = [(role, paths[role]) for role in ROLES if role in paths]
        for path in self._workers.keys() - paths.values():
            self._workers.pop(path).stop()
        for path in dict.fromkeys(path for _role, path in ordered):
            if path not in self._workers:
                self._workers[path] = _Worker(path, self._probe)
            self._workers[path].ask()
        answers = {path: worker.answer(end) for path, worker in self._workers.items()}
        return merge([replace(answers[path], roles=(role,)) for role, path in ordered])

    def close(self) -> None:
        """End the threads that do not hang."""
        for worker in self._workers.values():
            worker.stop()
        self._workers.clear()


def probe_filesystem(path: str) -> Filesystem:
    """Return the state of the filesystem on which a path lies, without roles.

    Raises
    ------
    OSError
        There is no such path, or the filesystem cannot say: of a thin pool the folder's filesystem has the metadata only (kubernetes#110461).
    """
    if path.rstrip("/").endswith(_THIN_POOL):
        raise OSError(errno.EOPNOTSUPP, "images lie in a thin pool of the device mapper, of which no filesystem tells how full it is", path)
    device = os.stat(path).st_dev
    said = os.statvfs(path)
    counted = said.f_files > 0
    return Filesystem(
        roles=(),
        mountpoint=path,
        device=device,
        capacity=said.f_blocks * said.f_frsize,
        used=(said.f_blocks - said.f_bfree) * said.f_frsize,
        available=said.f_bavail * said.f_frsize,
        inodes=said.f_files if counted else None,
        inodes_used=said.f_files - said.f_ffree if counted else None,
    )


def merge(found: list[Filesystem]) -> tuple[Filesystem, ...]:
    """Return one entry for each device, with all roles that lie on it; those that could not be read are merged by their path."""
    merged: dict[int | str, Filesystem] = {}
    for filesystem in found:
        key = filesystem.mountpoint if filesystem.device is None else filesystem.device
        earlier = merged.get(key)
        merged[key] = replace(earlier, roles=earlier.roles + filesystem.roles) if earlier else filesystem
    return tuple(merged.values())


class _Worker:
    """A thread that asks one path whenever it is told to."""

    def __init__(self, path: str, probe: Callable[[str], Filesystem]) -> None:
        self._path = path
        self._probe = probe
        self._questions: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._answered = threading.Condition()
        self._asked = 0
        self._answer: tuple[int, Filesystem] = (0, Filesystem((), path))
        # A daemon, since the program could not end otherwise while the call hangs.
        threading.Thread(target=self._work, name=f"statvfs {path}", daemon=True).start()

    def ask(self) -> None:
        """Put the question, unless the one before is not answered yet."""
        if self._answer[0] == self._asked:
            self._asked += 1
            self._questions.put(self._asked)

    def answer(self, end: float) -> Filesystem:
        """Wait for the answer until a moment of the monotonic clock."""
        with self._answered:
            if self._answered.wait_for(lambda: self._answer[0] == self._asked, max(0.0, end - time.monotonic())):
                return self._answer[1]
        return Filesystem((), self._path, error="the filesystem does not answer; is it mounted over a network?")

    def stop(self) -> None:
        """End the thread, once it does not hang any more."""
        self._questions.put(None)

    def _work(self) -> None:
        while (question := self._questions.get()) is not None:
            try:
                answer = self._probe(self._path)
            except OSError as error:
                answer = Filesystem((), self._path, error=error.strerror or str(error))
            with self._answered:
                self._answer = (question, answer)
                self._answered.notify_all()
