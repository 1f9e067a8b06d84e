# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bundles: what one host lacks, as one file to send.

Hosts that lack the same share one bundle. Bundles lie in the cache beside the artifacts
they were made of and go when no host has wanted them for a while.
"""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

from ..errors import NodewiseError
from .oci import DAMAGED, merge
from .store import file_lock, unwritable
from .tar import CheckedStream

# Seconds after which an unused bundle is removed: longer than any host may take to be served from it.
KEEP = 3600.0
CHUNK = 1 << 20


def _bundle(artifacts: list[dict[str, Any]], kind: str, write: Callable[[Path], None]) -> Path:
    absent = [one["path"] for one in artifacts if not one["path"] or not os.path.exists(one["path"])]
    if absent or not artifacts:
        raise NodewiseError(
            f"The cache on the control machine lacks {', '.join(absent) or 'what the host needs'}.", "run the task that obtains the artifacts first."
        )
    # <cache>/<source>/bin/<file> -> <cache>/<source>/.nodewise/bundles
    folder = Path(artifacts[0]["path"]).parent.parent / ".nodewise" / "bundles"
    name = sha256("".join(f"{one['sha256']} {one['image'] or one['dest']}\n" for one in artifacts).encode()).hexdigest()[:32]
    bundle = folder / f"{kind}-{name}.tar"
    try:
        with file_lock(str(folder / "lock")):
            if not bundle.exists():
                _write(bundle.with_suffix(".part"), bundle, write)
            os.utime(bundle)
            for old in folder.glob("*.tar"):
                if old.stat().st_mtime < time.time() - KEEP:
                    old.unlink()
    except OSError as error:
        raise unwritable(folder.parent.parent, error) from error
    return bundle


def _piece(one: dict[str, Any], folder: Path) -> Path:
    """Return a file's part of a bundle: its tar member, compressed, made once, and so of the right bytes or not at all."""
    piece = folder / f"{one['sha256']}.gz"

    def write(part: Path) -> None:
        member = tarfile.TarInfo(one["sha256"])
        member.size = one["size"]
        with open(one["path"], "rb") as source, gzip.GzipFile(part, "wb", compresslevel=1, mtime=0) as target:
            target.write(member.tobuf())
            checked = CheckedStream(source)
            shutil.copyfileobj(checked, target, CHUNK)
            target.write(bytes(-one["size"] % tarfile.BLOCKSIZE))
        if checked.digest() != one["sha256"]:
            raise NodewiseError(f"{one['path']} has SHA-256 {checked.digest()}, expected {one['sha256']}. Nothing was sent.", DAMAGED)

    if not piece.exists():
        _write(piece.with_suffix(".part"), piece, write)
    return piece


def _write(part: Path, target: Path, write: Callable[[Path], None]) -> None:
    """Give a file its name when it is whole, and leave none if it is not."""
    try:
        write(part)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    part.replace(target)


def file_bundle(artifacts: list[dict[str, Any]]) -> Path:
    """Return a compressed tar of files, each named by its digest.

    Compressing is worth it even where the network is fast: a third is written to the host's disk.

    Raises
    ------
    NodewiseError
        The cache is full or lacks one, or one is damaged there.
    """

    def write(part: Path) -> None:
        pieces = part.parent.parent / "pieces"
        pieces.mkdir(exist_ok=True)
        with ThreadPoolExecutor(os.cpu_count()) as pool, part.open("wb") as bundle:
            # Two files may have the same content: that piece is made once, or two threads would write it at the same time.
            contents = {one["sha256"]: one for one in artifacts}
            made = dict(zip(contents, pool.map(lambda one: _piece(one, pieces), contents.values()), strict=True))
            # Compressed members one after another are one compressed file, and a tar ends in two empty blocks.
            for one in artifacts:
                with made[one["sha256"]].open("rb") as source:
                    shutil.copyfileobj(source, bundle, CHUNK)
            bundle.write(gzip.compress(bytes(2 * tarfile.BLOCKSIZE), mtime=0))

    return _bundle(artifacts, "files", write)


def image_bundle(artifacts: list[dict[str, Any]], arch: str) -> Path:
    """Return an OCI archive of images, their common layers once.

    Raises
    ------
    NodewiseError
        The cache is full or lacks one, or one is damaged or no OCI archive.
    """
    return _bundle(artifacts, "images", lambda part: merge([(Path(one["path"]), one["image"]) for one in artifacts], arch, part))
