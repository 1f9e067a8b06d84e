# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What this collection did to a host with kubeadm, written down before and after.

The record is what lets a later run tell a join that was killed from a finished one, and a
host of ours from somebody else's.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import NodewiseError
from ..files import read_text, write_atomic

STATE_PATH = "/var/lib/nodewise/state/kubeadm.json"
LOCK_PATH = "/run/nodewise-kubeadm.lock"

PHASES = ("", "initialising", "initialised", "joining", "joined")


@dataclass(frozen=True)
class HostState:
    """The record of one host.

    Attributes
    ----------
    phase : str
        One of C(PHASES); empty for a host that this collection never initialised or joined.
    node_name : str
        The Node it is, or was to become.
    cluster_name : str
        The cluster it belongs to.
    """

    phase: str = ""
    node_name: str = ""
    cluster_name: str = ""

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> HostState:
        """Make a record from what the file, or the fact C(kubeadm_state), holds; an empty mapping is no record.

        Raises
        ------
        NodewiseError
            The phase is not one of C(PHASES).
        """
        state = cls(*(str(content.get(key) or "") for key in ("phase", "node_name", "cluster_name")))
        if state.phase not in PHASES:
            raise NodewiseError(f"{STATE_PATH} names the unknown phase {state.phase!r}.", "it was written by another version of the collection; use that one")
        return state


def load_state(path: str = STATE_PATH) -> HostState:
    """Return the host's record; an empty one if there is none.

    Raises
    ------
    NodewiseError
        The file is not what C(save_state) writes.
    """
    text = read_text(path)
    if text is None:
        return HostState()
    try:
        content = json.loads(text)
    except ValueError as error:
        raise NodewiseError(f"{path} is not JSON: {error}.", "remove the file if the host is in no cluster, else run playbooks/reset.yml") from error
    return HostState.from_dict(content if isinstance(content, dict) else {"phase": text.strip()})


def save_state(state: HostState, path: str = STATE_PATH) -> None:
    """Write the host's record."""
    write_atomic(path, json.dumps(asdict(state), indent=2) + "\n", mode=0o600)


@contextlib.contextmanager
def exclusive(path: str = LOCK_PATH, timeout: float = 900.0) -> Iterator[int]:
    """Hold the host's kubeadm lock and yield its file descriptor.

    A child that inherits the descriptor keeps the lock. A kubeadm that outlived the
    run that started it (the connection broke, the run was killed) is thus waited for,
    never worked against.

    Raises
    ------
    NodewiseError
        The lock was not free within C(timeout) seconds.
    """
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise NodewiseError(f"Another kubeadm run holds {path} for {timeout:.0f} s.", "see `fuser -v` of that file on the host") from error
                time.sleep(0.5)
        yield descriptor
    finally:
        os.close(descriptor)
