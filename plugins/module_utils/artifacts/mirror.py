# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The source ``mirror``: a folder or an HTTP root with ``bin/ images/ manifests/ SHA256SUMS``; and how one is made."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from ..errors import NodewiseError
from ..files import copy_file, sha256_file
from .catalogue import Item
from .http import fetch_url, mismatch, read_url
from .store import SUMS, Store, parse_sums


class MirrorSource:
    """Copies items from a mirror.

    Parameters
    ----------
    root : str
        Folder on the control machine, or an ``http://`` or ``https://`` address.
    """

    name = "mirror"

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/")
        self.remote = root.startswith(("http://", "https://"))

    @cached_property
    def sums(self) -> dict[str, str]:
        """The digests that the mirror gives, ``{path: sha256}``.

        Raises
        ------
        NodewiseError
            SHA256SUMS cannot be read, or is malformed.
        """
        origin = f"{self.root}/{SUMS}"
        if self.remote:
            return parse_sums(read_url(origin), origin)
        try:
            return parse_sums(Path(origin).read_text(encoding="utf-8"), origin)
        except (OSError, UnicodeDecodeError) as error:
            raise NodewiseError(
                f"The mirror {self.root} has no readable {SUMS}: {error}.",
                "set artifacts_mirror to a folder or address made by the playbook nodewise.cluster.mirror.",
            ) from error

    def verb(self) -> str:
        """Return what progress calls the work."""
        return "copying"

    def fingerprint(self, item: Item) -> str:
        """Return the digest the mirror gives: when the mirror's file changes, a cached one is stale.

        Raises
        ------
        NodewiseError
            The mirror does not have the item.
        """
        if item.path not in self.sums:
            raise NodewiseError(
                f"The mirror {self.root} has no {item.path} (not in its {SUMS}).",
                "make the mirror anew for these versions with the playbook nodewise.cluster.mirror, or choose versions that it has.",
            )
        return self.sums[item.path]

    def fetch(self, item: Item, target: Path) -> None:
        """Copy an item to a file and verify it.

        Raises
        ------
        NodewiseError
            It is not there, cannot be read, or is not what SHA256SUMS says.
        """
        expected = self.fingerprint(item)
        if self.remote:
            fetch_url(f"{self.root}/{item.path}", target, expected)
            return
        copy_file(f"{self.root}/{item.path}", str(target), lambda error: self._unreadable(item, error))
        found = sha256_file(str(target))
        if found != expected:
            size = target.stat().st_size
            target.unlink()
            raise mismatch(item.path, f"the mirror {self.root}", expected, found, size, "copy that file to the mirror again; it is damaged or incomplete.")

    def _unreadable(self, item: Item, error: OSError) -> NodewiseError:
        if isinstance(error, FileNotFoundError):
            return NodewiseError(f"The mirror {self.root} has no {item.path}, though its {SUMS} names it.", "copy the mirror again, whole.")
        return NodewiseError(
            f"The file {item.path} of the mirror {self.root} cannot be read: {error.strerror}.",
            "look at the mirror's permissions, and at the disk or network filesystem that it is on.",
        )


class _CacheSource:
    """Copies an item from a cache, where it was verified."""

    name = "cache"

    def __init__(self, path: Path, sha256: str) -> None:
        self.path = path
        self.sha256 = sha256

    def verb(self) -> str:
        return "copying"

    def fingerprint(self, item: Item) -> str:
        return self.sha256

    def fetch(self, item: Item, target: Path) -> None:
        copy_file(str(self.path), str(target), self._unreadable)
        found = sha256_file(str(target))
        if found != self.sha256:
            raise mismatch(item.path, f"the cache file {self.path}", self.sha256, found, target.stat().st_size, "remove that file and run again.")

    def _unreadable(self, error: OSError) -> NodewiseError:
        return NodewiseError(f"The cache file {self.path} cannot be read: {error.strerror}.", "look at its permissions and disk, or remove it and run again.")


def export(root: Path, files: Iterable[tuple[Item, Path, str]], predict: bool = False) -> list[str]:
    """Make a mirror in a folder, or bring one up to date; files of other versions in it stay.

    Parameters
    ----------
    root : Path
        The mirror's folder.
    files : iterable of (Item, Path, str)
        Items, where they lie, and their digests.
    predict : bool
        Copy nothing.

    Returns
    -------
    list of str
        The paths in the mirror that were written, or would be.

    Raises
    ------
    NodewiseError
        The folder cannot be written, or a file is damaged.
    """
    store = Store(root)
    written = []
    for item, path, sha256 in files:
        record = store.have(item, sha256) if sha256 else None
        if record is None or not store.listed(item, record):
            written.append(item.path)
            if not predict:
                store.obtain(item, _CacheSource(path, sha256))
    return written
