# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place from which module_utils starts other programs.

AnsibleModule.run_command knows no time limit and hands down no descriptors, and most of what runs programs here is a client
without a module: it is used by daemons and by threads on the control machine, too. Hence subprocess, and pylint's rule set aside here alone.
"""

from __future__ import annotations

import subprocess
from collections.abc import Collection, Mapping, Sequence
from os import PathLike
from typing import IO

Done = subprocess.CompletedProcess[str]
TimeoutExpired = subprocess.TimeoutExpired


def run(
    argv: Sequence[str],
    *,
    stdin: str | None = None,
    timeout: float | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | PathLike[str] | None = None,
    pass_fds: Collection[int] = (),
    merged: bool = False,
) -> Done:
    """Run a program to its end and return its exit code and what it said.

    Parameters
    ----------
    argv : Sequence of str
        The program and its arguments; no shell.
    stdin : str, optional
        What it reads; nothing by default.
    timeout : float, optional
        Seconds after which it is killed.
    env, cwd : optional
        Its whole environment and its folder; ours by default.
    pass_fds : Collection of int
        Descriptors that stay open in it.
    merged : bool
        Whether its errors shall stand in C(stdout), in the order of their writing.

    Raises
    ------
    OSError
        It cannot be started; FileNotFoundError if there is none.
    TimeoutExpired
        It did not end in time.
    """
    return subprocess.run(  # pylint: disable=ansible-bad-function
        argv,
        # What asks a question must not wait for an answer from Ansible's connection.
        **({"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if merged else subprocess.PIPE,
        text=True,
        errors="replace",
        timeout=timeout,
        check=False,
        env=env,
        cwd=cwd,
        pass_fds=pass_fds,
    )


def start_filter(argv: Sequence[str], target: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start a program that reads what we write to its C(stdin), and writes to C(target).

    Raises
    ------
    OSError
        It cannot be started; FileNotFoundError if there is none.
    """
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=target)  # pylint: disable=ansible-bad-function
