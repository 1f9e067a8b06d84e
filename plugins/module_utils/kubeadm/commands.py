# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of the host that reading and undoing its network takes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

from ..errors import NodewiseError
from ..process import TimeoutExpired, run
from .run import TOOL_PATH


class Commands:
    """Runs programs of this host.

    Parameters
    ----------
    prefix : Sequence[str]
        What stands before every command; a test puts C(ip netns exec NAME) there.
    """

    def __init__(self, prefix: Sequence[str] = ()) -> None:
        self._prefix = list(prefix)

    def there(self, program: str) -> bool:
        """Tell whether the host has the program."""
        return shutil.which(program, path=TOOL_PATH) is not None

    def run(self, *argv: str, stdin: str = "") -> str:
        """Run a program and return its standard output.

        Raises
        ------
        NodewiseError
            It is missing, failed, or ran for more than two minutes.
        """
        text = " ".join(argv)
        try:
            done = run([*self._prefix, *argv], stdin=stdin, timeout=120, env={**os.environ, "PATH": TOOL_PATH, "LC_ALL": "C"})
        except (OSError, TimeoutExpired) as error:
            raise NodewiseError(f"{text} failed: {error}.") from error
        if done.returncode != 0:
            raise NodewiseError(f"{text} failed ({done.returncode}): {(done.stderr or done.stdout).strip()}")
        return done.stdout
