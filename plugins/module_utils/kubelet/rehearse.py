# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask the installed kubelet itself whether it would start with a configuration.

The kubelet has no dry run. But C(--exit-on-lock-contention) without a lock file is an error
that it looks for right after it has parsed its flags and read, defaulted and validated its
configuration, and before it touches anything (cmd/kubelet/app/server.go, v1.37.2): reaching that
error means that the rest was right. It knows the feature gates of its own version.
"""

from __future__ import annotations

import os
import re
import shlex
import tempfile
from collections.abc import Sequence

from ..errors import NodewiseError
from ..files import read_text, write_atomic
from ..process import TimeoutExpired, run

_PASSED = "no lock file specified"
_FAILED = re.compile(r'"command failed" err="(.*)"$|^panic: (.*)$', re.MULTILINE)


def rehearse(kubelet: str, configuration: str, environment_files: Sequence[str]) -> None:
    """Let a kubelet read a configuration together with the flags of a host.

    Parameters
    ----------
    kubelet : str
        The program.
    configuration : str
        Text of the configuration file.
    environment_files : Sequence[str]
        Files with C(NAME=flags) lines that the unit passes on; missing ones are passed over.

    Raises
    ------
    NodewiseError
        It would not start; the text holds its own words.
    """
    with tempfile.TemporaryDirectory(prefix="nodewise-kubelet-") as folder:
        path = os.path.join(folder, "config.yaml")
        write_atomic(path, configuration, 0o600)
        # A certificate is made on the way; it must not be the real one.
        last = [f"--config={path}", f"--cert-dir={folder}", "--lock-file=", "--exit-on-lock-contention"]
        try:
            done = run([kubelet, *host_flags(environment_files), *last], timeout=60, cwd=folder)
        except (FileNotFoundError, PermissionError) as error:
            raise NodewiseError(f"{kubelet} cannot be run: {error}.", "run the artifacts role first") from error
        except TimeoutExpired as error:
            raise NodewiseError(f"{kubelet} did not judge its configuration within 60 s.") from error
    if _PASSED in done.stderr:
        return
    found = _FAILED.search(done.stderr)
    said = (found.group(1) or found.group(2)) if found else (done.stderr.strip() or done.stdout.strip())[-600:]
    # The kubelet prints its whole configuration behind this, or an empty object.
    said = said.split(", path: &", 1)[0].replace(path, "config.yaml")
    raise NodewiseError(f"{kubelet} refuses the configuration: {said}.", "correct the kubelet_* variables; nothing was changed")


def host_flags(environment_files: Sequence[str]) -> list[str]:
    """Return the flags in files of C(NAME=flags) lines, as systemd would pass them.

    Raises
    ------
    NodewiseError
        A line has unbalanced quotes.
    """
    flags: list[str] = []
    for path in environment_files:
        for line in (read_text(path) or "").splitlines():
            name, equals, value = line.strip().partition("=")
            if not equals or name.startswith(("#", ";")):
                continue
            try:
                # Once for the quotes around the whole value, once for the flags in it.
                flags.extend(flag for word in shlex.split(value) for flag in shlex.split(word))
            except ValueError as error:
                raise NodewiseError(f"{path}: {line!r} cannot be split into flags: {error}.") from error
    return flags
