# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bundles: what one host lacks, as one file to send.

Hosts that lack the same share one bundle. Bundles lie in the cache beside the artifacts
they were made of and go when no host has wanted them for a while.
"""

from __future__ import annotations

import os
import tarfile
import time
from hashlib import sha256
from pathlib import Path
from typing import Any, Callable

from ..errors import NodewiseError
from .oci import merge
from .store import file_lock

# Seconds after which an unused bundle is removed: longer than any host may take to be served from it.
KEEP = 3600.0


def _bundle(artifacts: list[dict[str, Any]], kind: str, write: Callable[[Path], None]) -> Path:
    absent = [one["path"] for one in artifacts if not one["path"] or not os.path.exists(one["path"])]
    if absent or not artifacts:
        raise NodewiseError(f"The cache on the control machine lacks {', '.join(absent) or 'what the host needs'}.", "run the task that obtains the artifacts first.")
    # <cache>/<source>/bin/<file> -> <cache>/<source>/.nodewise/bundles
    folder = Path(artifacts[0]["path"]).parent.parent / ".nodewise" / "bundles"
    name = sha256("".join(f"{one['sha256']} {one['image'] or one['dest']}\n" for one in artifacts).encode()).hexdigest()[:32]
    bundle = folder / f"{kind}-{name}.tar"
    with file_lock(str(folder / "lock")):
        if not bundle.exists():
            part = bundle.with_suffix(".part")
            write(part)
            part.replace(bundle)
        os.utime(bundle)
        for old in folder.glob("*.tar"):
            if old.stat().st_mtime < time.time() - KEEP:
                old.unlink()
    return bundle


def file_bundle(artifacts: list[dict[str, Any]]) -> Path:
    """Return a tar of files, each named by its digest.

    Raises
    ------
    NodewiseError
        The cache lacks one.
    """

    def write(part: Path) -> None:
        with tarfile.open(part, "w", copybufsize=1 << 20) as archive:
            for one in artifacts:
                archive.add(one["path"], arcname=one["sha256"])

    return _bundle(artifacts, "files", write)


def image_bundle(artifacts: list[dict[str, Any]], arch: str) -> Path:
    """Return an OCI archive of images, their common layers once.

    Raises
    ------
    NodewiseError
        The cache lacks one, or one is not an OCI archive.
    """
    return _bundle(artifacts, "images", lambda part: merge([(Path(one["path"]), one["image"]) for one in artifacts], arch, part))
