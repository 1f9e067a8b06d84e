# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Swap: what is in use, and what would bring it back at the next boot (fstab, systemd units, zram)."""

from __future__ import annotations

import glob
import os
import re
from typing import NamedTuple

from ..files import read_text

FSTAB = "/etc/fstab"
MARKER = "# nodewise, swap is off: "

# Services of Debian packages that turn swap on with their own program (zram-tools, dphys-swapfile).
_SWAP_SERVICES = ("zramswap.service", "dphys-swapfile.service")
_UNIT_FOLDERS = ("/etc/systemd/system", "/run/systemd/generator", "/run/systemd/generator.late", "/usr/lib/systemd/system")


class SwapArea(NamedTuple):
    """A row of /proc/swaps; the size is in MiB."""

    path: str
    kind: str
    size_mb: int


class SwapUnit(NamedTuple):
    """A systemd unit that is started at boot and turns swap on; C(folder) holds the link that starts it."""

    name: str
    folder: str


def parse_swaps(text: str) -> list[SwapArea]:
    """Parse /proc/swaps, in which a blank in a path is written as an octal escape."""
    rows = [line.split() for line in text.splitlines()[1:] if line.strip()]
    return [SwapArea(row[0].replace("\\040", " "), row[1], int(row[2]) // 1024) for row in rows]


def is_swap_line(line: str) -> bool:
    """Tell whether a line of fstab turns swap on at boot."""
    fields = line.split()
    return len(fields) >= 3 and not fields[0].startswith("#") and fields[2] == "swap" and "noauto" not in "".join(fields[3:4]).split(",")


def fstab_without_swap(text: str) -> str:
    """Return the text of fstab with the lines that turn swap on made comments."""
    return "".join(MARKER + line if is_swap_line(line) else line for line in text.splitlines(keepends=True))


def swap_units(root: str = "") -> tuple[list[SwapUnit], list[str]]:
    """Find the units that turn swap on at boot and are not masked.

    Returns
    -------
    tuple
        The units that stand for themselves, and the names of those that systemd made from fstab.
    """
    own: dict[str, SwapUnit] = {}
    from_fstab: list[str] = []
    for folder in _UNIT_FOLDERS:
        links = [path for pattern in ("wants", "requires") for path in glob.glob(f"{root}{folder}/*.{pattern}/*")]
        for name in sorted({os.path.basename(path) for path in links}):
            if not (name.endswith(".swap") or name in _SWAP_SERVICES) or _is_masked(name, root):
                continue
            if re.search(r"^SourcePath=/etc/fstab$", read_text(f"{root}{folder}/{name}", "replace") or "", re.MULTILINE):
                from_fstab.append(name)
            else:
                own.setdefault(name, SwapUnit(name, folder))
    return list(own.values()), from_fstab


def _is_masked(name: str, root: str) -> bool:
    path = f"{root}/etc/systemd/system/{name}"
    return os.path.islink(path) and os.readlink(path) == "/dev/null"


def persistent_swap(root: str = "") -> list[str]:
    """Describe, one line each, what would bring swap back at the next boot."""
    lines = [line.strip() for line in (read_text(root + FSTAB, "replace") or "").splitlines() if is_swap_line(line)]
    units, _from_fstab = swap_units(root)
    return [*(f"{FSTAB}: {line}" for line in lines), *(f"unit {unit.name} ({unit.folder})" for unit in units)]
