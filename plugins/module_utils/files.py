# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small files: read them if there, replace them atomically."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from typing import Literal


def read_text(path: str, errors: Literal["strict", "replace", "surrogateescape"] = "strict") -> str | None:
    """Return the text of a file, or None if there is no such file.

    Parameters
    ----------
    path : str
        The file.
    errors : str
        What becomes of bytes that are no UTF-8, in files that people write: C(replace) where they are only looked at, C(surrogateescape)
        where the text, or a part of it, is written back, so that line ends stay as they are too; then C(printable) has to be called on what is shown.

    Raises
    ------
    OSError
        The file is there but cannot be read.
    UnicodeDecodeError
        It is no UTF-8, and C(errors) is C(strict).
    """
    try:
        with open(path, encoding="utf-8", errors=errors, newline="" if errors == "surrogateescape" else None) as handle:
            return handle.read()
    except FileNotFoundError:
        return None


def printable(text: str) -> str:
    """Return a text that was read with C(surrogateescape) so that it can be a module's result, which Ansible wants in UTF-8."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def write_atomic(path: str, content: str, mode: int = 0o644, staging: str | None = None) -> None:
    """Replace a file so that a reader, or a crash, sees the old or the new text and nothing between.

    Bytes that C(read_text) has read with C(surrogateescape) are written as they were.

    Parameters
    ----------
    path : str
        The file; its folder is made (0755) if missing.
    content : str
        The new text.
    mode : int
        Permission bits of the file.
    staging : str, optional
        Folder, on the same filesystem, for the temporary file. Needed where a stray
        file in the target's own folder would be acted on (/etc/kubernetes/manifests).
    """
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o755, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=".nodewise-", dir=staging or folder)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as handle:
            handle.write(content)
            handle.flush()
            os.fchmod(handle.fileno(), mode)
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def copy_file(source: str, target: str, unreadable: Callable[[OSError], Exception]) -> None:
    """Copy a file's bytes, and tell a source that cannot be read from a target that cannot be written.

    Parameters
    ----------
    source, target : str
        The files; what the target held is gone.
    unreadable : callable
        Makes the exception to raise where the source cannot be opened or read.

    Raises
    ------
    OSError
        The target cannot be written.
    """
    with open(target, "wb") as handle:
        for chunk in _chunks(source, unreadable):
            handle.write(chunk)


def _chunks(path: str, unreadable: Callable[[OSError], Exception]) -> Iterator[bytes]:
    """Yield the bytes of a file; what goes wrong where they are used is not caught here."""
    try:
        with open(path, "rb") as handle:
            while chunk := handle.read(1 << 20):
                yield chunk
    except OSError as error:
        raise unreadable(error) from error


def sha256_file(path: str) -> str:
    """Return the hexadecimal SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with open(path, "rb") as handle:
        while chunk := handle.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
