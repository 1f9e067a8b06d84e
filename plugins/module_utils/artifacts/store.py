# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cache on the control machine: whole, verified files, laid out as a mirror is.

``<root>/bin  <root>/images  <root>/manifests  <root>/SHA256SUMS`` and, beside them,
``<root>/.nodewise/`` with what only this collection needs: locks, files under way, and the
record of each file (SHA-256, and the size, time and inode it had when that was computed, so
that a second run reads no file).
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from ..errors import NodewiseError
from ..files import read_text, sha256_file, write_atomic
from .catalogue import Item

SUMS = "SHA256SUMS"


class Source(Protocol):
    """What a cache is filled from."""

    name: str

    def verb(self) -> str:
        """Return what progress calls the work, for example ``building``."""

    def fingerprint(self, item: Item) -> str:
        """Return what, when it changes, makes a cached file of this source stale."""

    def fetch(self, item: Item, target: Path) -> None:
        """Write an item's bytes to a file, verified as far as the source can.

        The file may hold the beginning of an earlier, interrupted attempt.

        Raises
        ------
        NodewiseError
            It cannot be had.
        """


@dataclass(frozen=True)
class Record:
    """A cached file as it was when its digest was computed."""

    sha256: str
    fingerprint: str
    size: int
    mtime_ns: int
    inode: int


@contextmanager
def file_lock(path: str) -> Iterator[None]:
    """Hold a lock against other processes; the kernel drops it when the holder dies."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "a", encoding="utf-8") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


class Store:
    """A cache folder of one source.

    Parameters
    ----------
    root : Path
        The folder; made when something is put into it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.private = root / ".nodewise"

    def path(self, item: Item) -> Path:
        """Return where an item lies, or would lie."""
        return self.root / item.path

    def _flat(self, item: Item) -> str:
        return item.path.replace("/", "_")

    def _record_path(self, item: Item) -> Path:
        return self.private / "records" / f"{self._flat(item)}.json"

    def _read(self, item: Item) -> Record | None:
        try:
            return Record(**json.loads(self._record_path(item).read_text()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError):
            # A record nobody can read vouches for nothing.
            return None

    def have(self, item: Item, fingerprint: str) -> Record | None:
        """Return the record of a cached item that is whole and not stale, else None.

        The file is read only when its size, time or inode differ from the record's.
        """
        record = self._read(item)
        if record is None or record.fingerprint != fingerprint:
            return None
        path = self.path(item)
        try:
            stat = path.stat()
        except FileNotFoundError:
            return None
        if (stat.st_size, stat.st_mtime_ns, stat.st_ino) == (record.size, record.mtime_ns, record.inode):
            return record
        if stat.st_size != record.size or sha256_file(str(path)) != record.sha256:
            return None
        return self._write(item, record.sha256, fingerprint)

    def listed(self, item: Item, record: Record) -> bool:
        """Return whether SHA256SUMS has the digest of a cached item; a run that was cut off may have left it out.

        Raises
        ------
        NodewiseError
            SHA256SUMS cannot be read, or is malformed.
        """
        try:
            return self._sums().get(item.path) == record.sha256
        except OSError as error:
            raise NodewiseError(f"The cache {self.root} has no readable {SUMS}: {error}.", "mend that disk, or remove the file and run again.") from error

    def obtain(self, item: Item, source: Source) -> Record:
        """Return the record of an item, fetching it when it is absent, stale or damaged, and enter it into SHA256SUMS.

        Of two processes that want the same item one fetches and the other waits for it.

        Raises
        ------
        NodewiseError
            The source cannot provide it, or the cache cannot be written.
        """
        fingerprint = source.fingerprint(item)
        try:
            with file_lock(str(self.private / "locks" / self._flat(item))):
                record = self.have(item, fingerprint)
                if record is not None:
                    self._sum(item, record.sha256)
                    return record
                part = self.private / "parts" / self._flat(item)
                part.parent.mkdir(parents=True, exist_ok=True)
                source.fetch(item, part)
                part.chmod(int(item.mode, 8))
                digest = sha256_file(str(part))
                target = self.path(item)
                target.parent.mkdir(parents=True, exist_ok=True)
                with part.open("rb") as handle:
                    os.fsync(handle.fileno())
                os.replace(part, target)
                # The record is last: it says that nothing is left to do.
                self._sum(item, digest)
                return self._write(item, digest, fingerprint)
        except OSError as error:
            raise unwritable(self.root, error) from error

    def _write(self, item: Item, digest: str, fingerprint: str) -> Record:
        stat = self.path(item).stat()
        record = Record(digest, fingerprint, stat.st_size, stat.st_mtime_ns, stat.st_ino)
        write_atomic(str(self._record_path(item)), json.dumps(asdict(record)))
        return record

    def _sum(self, item: Item, digest: str) -> None:
        """Enter a file into SHA256SUMS, which makes the cache a mirror."""
        with file_lock(str(self.private / "locks" / SUMS)):
            sums = self._sums()
            if sums.get(item.path) != digest:
                sums[item.path] = digest
                write_atomic(str(self.root / SUMS), "".join(f"{value}  {name}\n" for name, value in sorted(sums.items())))

    def _sums(self) -> dict[str, str]:
        path = str(self.root / SUMS)
        return parse_sums(read_text(path) or "", path)


def unwritable(root: Path, error: OSError) -> NodewiseError:
    """Return what an operator must hear of a cache that is full, or may not be written."""
    return NodewiseError(f"The cache {root} cannot be written: {error}.", "free some space there, or set artifacts_cache to another folder.")


def parse_sums(text: str, origin: str) -> dict[str, str]:
    """Parse the output of ``sha256sum`` as ``{path: digest}``.

    Raises
    ------
    NodewiseError
        A line is not of that form; the message names file and line.
    """
    sums: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        digest, separator, name = line.partition(" ")
        name = name.lstrip(" *")
        if not line.strip():
            continue
        if not separator or not name or len(digest) != 64 or set(digest) - set("0123456789abcdef"):
            raise NodewiseError(
                f"{origin}, line {number}, is not '<sha256>  <path>': {line[:100]!r}.", "write the file with: sha256sum bin/* images/* manifests/* wheels/*"
            )
        sums[name.removeprefix("./")] = digest
    return sums
