# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The forced command of a standby host: C(python -I -m nodewise.standby.main), started by sshd for one key.

The command that the caller asked for is in C(SSH_ORIGINAL_COMMAND); the document it takes, with the token, comes on standard input.
The answer is the last line of standard output, one JSON object (:class:`.host.Answer`). To the journal (C(journalctl -t nodewise-standby))
goes who asked for what and how it ended, and nothing that came on standard input.
"""

from __future__ import annotations

import contextlib
import os
import sys
import syslog
from collections.abc import Mapping
from typing import TextIO

from ..errors import NodewiseError
from ..kubeadm.run import TOOL_PATH
from .host import FAILED, Answer, StandbyHost
from .request import MOST_BYTES, check_command, parse_document, parse_join
from .settings import PATH, read_settings

NAME = "nodewise-standby"


def import_all() -> None:
    """Import what is needed beside this package: nothing."""


def answer(command: str, stdin: TextIO, settings_path: str = PATH) -> Answer:
    """Do what is asked for.

    Parameters
    ----------
    command : str
        What the caller typed.
    stdin : TextIO
        Where its document comes from.
    settings_path : str
        The host's own settings.
    """
    try:
        check_command(command)
        settings = read_settings(settings_path)
        document = parse_document(stdin.read(MOST_BYTES + 1), settings)
        host = StandbyHost(settings)
        if command == "join":
            return host.join(parse_join(document, settings))
        return host.leave() if command == "leave" else host.status()
    except (NodewiseError, OSError) as error:
        return Answer(False, FAILED, str(error))


def main(environment: Mapping[str, str]) -> int:
    """Answer one caller and return the exit status: 0 if C(ok)."""
    command = environment.get("SSH_ORIGINAL_COMMAND", "")
    caller = environment.get("SSH_CLIENT", "unknown").split(" ")[0]
    syslog.openlog(NAME, syslog.LOG_PID, syslog.LOG_AUTH)
    syslog.syslog(syslog.LOG_INFO, f"{caller} asks for {command[:40]!r}")
    # sshd's own search path lacks the folders of half of the programs that are needed.
    os.environ.update(PATH=TOOL_PATH, LC_ALL="C")
    result = answer(command, sys.stdin)
    said = " ".join(result.reason.split())
    level = syslog.LOG_ERR if not result.ok else syslog.LOG_WARNING if said else syslog.LOG_INFO
    syslog.syslog(level, f"{command[:40]!r} for {caller}: {'ok' if result.ok else 'not ok'}, {result.state}{f': {said[:900]}' if said else ''}")
    with contextlib.suppress(OSError):  # the caller may be gone; what was done is done
        sys.stdout.write(result.to_text())
        sys.stdout.flush()
    return 0 if result.ok else 1


if __name__ == "__main__":
    # Not sys.exit: it would flush again to a caller that is gone.
    os._exit(main(os.environ))
