# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One thing that tarfile leaves open."""

from __future__ import annotations

import tarfile
from typing import IO


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
