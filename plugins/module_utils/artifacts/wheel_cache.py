# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wheels on the control machine: obtained once from a folder, a mirror or a package index, and cached.

Whatever they come from, only the very files of the lock are taken, so one cache serves all sources.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import NodewiseError
from ..files import copy_file, sha256_file
from ..process import run
from .catalogue import Item
from .http import mismatch
from .mirror import MirrorSource, export
from .store import Source, Store
from .wheels import Wheel, all_locked


class FolderSource:
    """Copies wheels from a folder on the control machine."""

    name = "folder"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def verb(self) -> str:
        """Return what progress calls the work."""
        return "copying"

    def fingerprint(self, item: Item) -> str:
        """Return nothing: the lock tells what a file must be."""
        return ""

    def fetch(self, item: Item, target: Path) -> None:
        """Copy a wheel.

        Raises
        ------
        NodewiseError
            The folder does not have it.
        """
        copy_file(
            str(self.folder / item.dest),
            str(target),
            lambda error: NodewiseError(f"The folder of wheels {self.folder} has no readable {item.dest}: {error}.", "put that file there."),
        )


class IndexSource:
    """Downloads wheels from a Python package index with the control machine's pip, which knows proxies, certificates and passwords.

    Parameters
    ----------
    url : str
        The index; empty for the one of pip's own configuration.
    """

    name = "index"

    def __init__(self, url: str) -> None:
        self.url = url

    def verb(self) -> str:
        """Return what progress calls the work."""
        return "downloading"

    def fingerprint(self, item: Item) -> str:
        """Return nothing: the lock tells what a file must be."""
        return ""

    def fetch(self, item: Item, target: Path) -> None:
        """Download a wheel.

        Raises
        ------
        NodewiseError
            pip is missing or fails; the message has pip's last line.
        """
        wheel = next(wheel for wheel in all_locked() if wheel.filename == item.dest)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            requirements = Path(folder) / "requirements.txt"
            requirements.write_text(f"{item.name}=={item.version} --hash=sha256:{wheel.sha256}\n", encoding="utf-8")
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"]
            command += ["--only-binary=:all:", "--require-hashes", *wheel.pip_arguments(), f"--dest={folder}", f"--requirement={requirements}"]
            command += [f"--index-url={self.url}"] if self.url else []
            done = run(command)
            found = Path(folder) / item.dest
            if done.returncode != 0 or not found.exists():
                # An address may hold a password; pip itself hides it in what it prints.
                said = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
                raise NodewiseError(
                    f"The wheel {item.dest} cannot be downloaded: {said}",
                    "mend pip's configuration on the control machine (pip config debug), or set reporter_index_url, reporter_wheel_folder or artifacts_mirror.",
                )
            shutil.move(found, target)


class _Pinned:
    """A source of which nothing but the locked bytes is taken."""

    def __init__(self, source: Source, sha256: str) -> None:
        self.source = source
        self.sha256 = sha256
        self.name = source.name

    def verb(self) -> str:
        return self.source.verb()

    def fingerprint(self, item: Item) -> str:
        return self.sha256

    def fetch(self, item: Item, target: Path) -> None:
        self.source.fetch(item, target)
        found = sha256_file(str(target))
        if found != self.sha256:
            size = target.stat().st_size
            target.unlink()
            raise mismatch(item.dest, f"the {self.name}", self.sha256, found, size, "get that file anew; it is damaged, or not the one that was pinned.")


@dataclass(frozen=True)
class WheelRequest:
    """Where wheels come from, in this order: a folder, a mirror, an index.

    Parameters
    ----------
    cache : Path
        Folder on the control machine.
    folder : Path, optional
        Folder with wheels.
    mirror : str
        Folder or address of a mirror; empty for none.
    index_url : str
        A package index; empty for the one of pip's own configuration.
    """

    cache: Path
    folder: Path | None = None
    mirror: str = ""
    index_url: str = ""

    @property
    def store(self) -> Store:
        """The cache."""
        return Store(self.cache / "wheels")

    def source(self) -> Source:
        """Return where wheels come from."""
        if self.folder:
            return FolderSource(self.folder)
        return MirrorSource(self.mirror) if self.mirror else IndexSource(self.index_url)


def missing(request: WheelRequest, wheels: list[Wheel]) -> list[Wheel]:
    """Return the wheels that are not in the cache, or not in its SHA256SUMS."""
    records = {wheel: request.store.have(wheel.item, wheel.sha256) for wheel in wheels}
    return [wheel for wheel, record in records.items() if record is None or not request.store.listed(wheel.item, record)]


def obtain(request: WheelRequest, wheels: list[Wheel]) -> list[dict[str, Any]]:
    """Make sure that the cache holds wheels, and return a record of each as the module C(artifacts) returns them.

    Raises
    ------
    NodewiseError
        One cannot be had, or is damaged.
    """
    source = request.source()
    records = []
    for wheel in wheels:
        record = request.store.obtain(wheel.item, _Pinned(source, wheel.sha256))
        records.append({**asdict(wheel.item), "path": str(request.store.path(wheel.item)), "sha256": record.sha256, "size": record.size})
    return records


def export_wheels(root: Path, request: WheelRequest, wheels: list[Wheel], predict: bool = False) -> list[str]:
    """Add wheels that are in the cache to a mirror; return the paths in it that were, or would be, written."""
    return export(root, [(wheel.item, request.store.path(wheel.item), wheel.sha256) for wheel in wheels], predict)
