# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose containerd is on a host: files of this collection say so in their first line, and what a package installs lies elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from ..files import read_text

MARK = "Written by nodewise.cluster"
UNIT = "/etc/systemd/system/containerd.service"
# What this collection would put its own in place of.
_REPLACED = ("/etc/containerd/config.toml", UNIT)
_OTHERS = (
    "/usr/bin/containerd",
    "/usr/local/lib/systemd/system/containerd.service",
    "/usr/lib/systemd/system/containerd.service",
    "/lib/systemd/system/containerd.service",
)


def is_marked(path: str) -> bool:
    """Tell whether a file is there and says that this collection wrote it."""
    return os.path.isfile(path) and MARK in (read_text(path, "replace") or "")[:500]


def packaged(root: str = "") -> list[str]:
    """Return what a package, or the publisher's archive, installed of a containerd."""
    found: dict[str, str] = {}
    for path in _there(_OTHERS, root):
        found.setdefault(os.path.realpath(root + path), path)  # with a merged /usr two are one
    return list(found.values())


def foreign_containerd(live: bool, root: str = "") -> list[str]:
    """Return the files that show a containerd which this collection would take over; none where its own unit is.

    Parameters
    ----------
    live : bool
        Whether containerd's socket is there. A package's containerd without it runs nothing that could be lost.
    root : str
        Folder that stands for C(/).
    """
    if is_marked(root + UNIT):
        return []
    replaced = [path for path in _there(_REPLACED, root) if not is_marked(root + path)]
    return replaced + (packaged(root) if live else [])


def _there(paths: Iterable[str], root: str) -> Iterator[str]:
    return (path for path in paths if os.path.exists(root + path))
