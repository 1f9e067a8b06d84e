# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two things that tarfile leaves open."""

from __future__ import annotations

import tarfile
from hashlib import sha256
from typing import IO


class CheckedStream:
    """A stream that knows the digest of what was read from it.

    Parameters
    ----------
    stream : IO[bytes]
        Where the bytes come from.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._sha256 = sha256()

    def read(self, size: int = -1) -> bytes:
        """Read as the stream does."""
        data = self._stream.read(size)
        self._sha256.update(data)
        return data

    def digest(self) -> str:
        """Return the hexadecimal SHA-256 of all that was read."""
        return self._sha256.hexdigest()


def member_stream(archive: tarfile.TarFile, member: tarfile.TarInfo | str) -> IO[bytes]:
    """Return the bytes of a plain file in an archive.

    Raises
    ------
    KeyError
        There is no such member.
    ValueError
        It is not a plain file.
    """
    stream = archive.extractfile(member)
    if stream is None:
        raise ValueError(f"{member} is not a plain file")
    return stream
