# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The key with which the provider reaches standby hosts, and the host keys by which it knows them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping

from ..errors import NodewiseError
from ..files import read_text, write_atomic
from ..process import TimeoutExpired, run
from .authorized_keys import MARK, check_public_key


def make_key(path: str, host: str) -> str:
    """Make an ed25519 key pair, without a passphrase since a daemon uses it, and return the public half.

    The public half is written last, so a pair whose making was killed is made anew.

    Parameters
    ----------
    path : str
        Of the private key, mode 0600; the public one is beside it as C(.pub).
    host : str
        This host's name, for the comment.

    Raises
    ------
    NodewiseError
        ssh-keygen is missing or fails.
    """
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".key-") as work:
        made = f"{work}/key"
        try:
            done = run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"{MARK}{host}", "-f", made], timeout=60)
        except FileNotFoundError as error:
            raise NodewiseError("ssh-keygen is not installed on this host.", "install the package openssh-client") from error
        except TimeoutExpired as error:
            raise NodewiseError("ssh-keygen did not make a key within 60 s.") from error
        if done.returncode:
            raise NodewiseError(f"ssh-keygen failed ({done.returncode}): {done.stderr.strip()[-300:]}")
        public = read_text(f"{made}.pub") or ""
        write_atomic(path, read_text(made) or "", mode=0o600)
        write_atomic(f"{path}.pub", public, mode=0o644)
    return public.strip()


def read_key(path: str) -> str | None:
    """Return the public half of a pair; None if one of the two is missing or the private one may be read by others."""
    public = read_text(f"{path}.pub")
    if public is None or not os.path.isfile(path) or os.stat(path).st_mode & 0o077:
        return None
    return public.strip()


def known_hosts(text: str, keys: Mapping[str, str | None]) -> str:
    """Return the known_hosts file of hosts and no others.

    Parameters
    ----------
    text : str
        The file as it is.
    keys : Mapping
        Host key, C(ssh-ed25519 KEY), by address; None for a host that could not be asked, whose line stays as it is.

    Raises
    ------
    NodewiseError
        A host key is malformed.
    """
    before = {line.split(" ")[0]: line for line in text.splitlines()}
    wanted = {address: before.get(address, "") if key is None else f"{address} {check_public_key(key)}" for address, key in keys.items()}
    return "".join(f"{line}\n" for _address, line in sorted(wanted.items()) if line)
