# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a daemon knows of the cluster: kept by the watching threads, read by the deciding one."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Generic, Protocol, TypeVar


class Versioned(Protocol):
    """An object of which one can tell which of two states is the newer."""

    @property
    def version(self) -> str:
        """C(metadata.resourceVersion), which since Kubernetes 1.35 may be compared (KEP-5504), and always was a number with etcd."""


T = TypeVar("T", bound=Versioned)


class Store(Generic[T]):
    """Objects of one kind by name; an older state never replaces a newer one, whichever comes first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._objects: dict[str, T] = {}
        self.since: float | None = None
        """Since when it has been up to date without a break, seconds of C(time.monotonic), which nobody sets; None while it is not."""
        self.failure = ""
        """Why it is not up to date, as far as known."""

    def replace(self, objects: Mapping[str, T]) -> None:
        """Take over a whole list."""
        with self._lock:
            self._objects = {name: _newer(self._objects.get(name), one) for name, one in objects.items()}

    def put(self, name: str, one: T) -> None:
        """Take over a state of one object, as a watch tells it."""
        with self._lock:
            self._objects[name] = _newer(self._objects.get(name), one)

    def refresh(self, name: str, one: T) -> None:
        """Take over a state that the answer to a request told; not if the object has gone meanwhile."""
        with self._lock:
            if name in self._objects:
                self._objects[name] = _newer(self._objects[name], one)

    def remove(self, name: str) -> None:
        """Forget an object."""
        with self._lock:
            self._objects.pop(name, None)

    def all(self) -> dict[str, T]:
        """Return all objects."""
        with self._lock:
            return dict(self._objects)


def _newer(old: T | None, new: T) -> T:
    # Of the same version the first one stays: it may know more, namely when it was written.
    return new if old is None or int(new.version) > int(old.version) else old
