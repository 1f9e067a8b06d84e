# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our lines of an authorized_keys file (sshd(8), AUTHORIZED_KEYS FILE FORMAT); whatever else is in there stays as it is."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence

from ..errors import NodewiseError

MARK = "nodewise-autoscaler@"
"""With this the comment of each of our keys begins."""

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_PUBLIC_KEY = re.compile(r"ssh-ed25519 [A-Za-z0-9+/]{68}( [!-~]*)?")


def check_public_key(text: str) -> str:
    """Return type and key of an ed25519 public key, without its comment.

    Raises
    ------
    NodewiseError
        It is no such key.
    """
    if not _PUBLIC_KEY.fullmatch(text.strip()):
        raise NodewiseError(f"{text.strip()[:60]!r} is not an ed25519 public key.", "give the content of an id_ed25519.pub or ssh_host_ed25519_key.pub")
    return " ".join(text.split()[:2])


def lines(public_keys: Sequence[str], addresses: Sequence[str], command: str) -> list[str]:
    """Return our lines: each key may run one command, from some addresses, without terminal, forwarding or anything else (C(restrict)).

    Parameters
    ----------
    public_keys : sequence of str
        C(ssh-ed25519 KEY COMMENT).
    addresses : sequence of str
        IP addresses of the callers.
    command : str
        What is run, whatever the caller asks for.

    Raises
    ------
    NodewiseError
        A key or an address is malformed, or there is no address.
    """
    if not addresses:
        raise NodewiseError("No address may use the autoscaler's key.", "name those of the control plane")
    for address in addresses:
        try:
            ipaddress.ip_address(address)
        except ValueError as error:
            raise NodewiseError(f"{address!r} is not an IP address.", "name the addresses from which the control plane's hosts connect") from error
    options = f'restrict,from="{",".join(addresses)}",command="{command}"'
    return [f"{options} {check_public_key(key)} {MARK}{_comment(key)}" for key in public_keys]


def replace(text: str, wanted: Iterable[str]) -> str:
    """Return the file's text with our lines replaced by others, or by none; every byte of the other lines stays."""
    # Not splitlines(), for which more than a line feed ends a line.
    kept = [line for line in _LINE.findall(text) if not (line.split() or [""])[-1].startswith(MARK)]
    ours = [f"{line}\n" for line in wanted]
    if ours and kept and not kept[-1].endswith("\n"):
        kept[-1] += "\n"
    return "".join([*kept, *ours])


def _comment(key: str) -> str:
    words = key.split()
    return words[2].rpartition("@")[2] if len(words) > 2 else "control-plane"
