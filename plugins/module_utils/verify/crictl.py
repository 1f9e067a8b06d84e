# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""crictl, asked for JSON; and the host's other small programs."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Sequence
from typing import Any

from ..errors import NodewiseError
from ..process import TimeoutExpired, run

DEFAULT_SOCKET = "unix:///run/containerd/containerd.sock"


def output_of(args: Sequence[str], timeout: float = 15.0) -> str:
    """Return the standard output of a program.

    Raises
    ------
    NodewiseError
        It is not installed, ended with another code than 0, or ran too long.
    """
    program = shutil.which(args[0], path=f"{os.environ.get('PATH', os.defpath)}:/usr/local/bin:/usr/local/sbin")
    if program is None:
        raise NodewiseError(f"{args[0]} is not installed on this host.", "run the artifacts role first")
    try:
        done = run([program, *args[1:]], timeout=timeout)
    except TimeoutExpired as error:
        raise NodewiseError(f"{' '.join(args)} did not end within {timeout:.0f} s.") from error
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        # crictl writes its error as the last line of a log, with time and level around it.
        message = re.sub(r'^time="[^"]*" level=\w+ msg="(.*)"$', r"\1", lines[-1])
        raise NodewiseError(f"{' '.join(args)} failed ({done.returncode}): {message[:300]}")
    return done.stdout


class Crictl:
    """crictl with one runtime endpoint.

    Parameters
    ----------
    socket : str
        The CRI endpoint, a C(unix://) address.
    """

    def __init__(self, socket: str = DEFAULT_SOCKET) -> None:
        self._base = ["crictl", f"--runtime-endpoint={socket}", f"--image-endpoint={socket}", "--timeout=10s"]

    def text(self, *args: str) -> str:
        """Return what crictl prints."""
        return output_of([*self._base, *args])

    def json(self, command: str, *args: str) -> Any:
        """Return what crictl prints as JSON, decoded."""
        # crictl takes a flag after the first argument for one more argument.
        text = self.text(command, "--output=json", *args)
        try:
            return json.loads(text)
        except ValueError as error:
            raise NodewiseError(f"crictl {command} printed no JSON: {text[:100]!r}") from error
