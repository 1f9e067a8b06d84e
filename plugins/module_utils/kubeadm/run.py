# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running kubeadm, and telling what went wrong when it fails."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence

from ..errors import NodewiseError
from ..process import TimeoutExpired, run
from .config import Document, as_text, reset_document

# A login that is not interactive, and sudo on some distributions, leave out one or the other.
TOOL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TOKEN = re.compile(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# What the check of the system prints where all is well, and warnings: they would hide the error.
_NOISE = re.compile(r"\s*((CONFIG|CGROUPS)_\w+: \w+|(OS|KERNEL_VERSION): \S+|\[WARNING .*)")
_ADVICE = ("To see the stack trace", "[preflight] If you know what you are doing")
_OUTPUT_LINES = 15
_JOURNAL_LINES = 15


class Kubeadm:
    """The kubeadm of this host.

    Parameters
    ----------
    program : str
        The kubeadm to run.
    lock : int, optional
        File descriptor of the host's lock, which kubeadm inherits, see C(state.exclusive).
    """

    def __init__(self, program: str = "kubeadm", lock: int | None = None) -> None:
        self._program = program
        self._lock = lock

    def under(self, lock: int) -> Kubeadm:
        """Return the same kubeadm, run so that it holds the host's lock itself."""
        return Kubeadm(self._program, lock)

    def installed(self) -> bool:
        """Tell whether there is a kubeadm on this host."""
        return shutil.which(self._program, path=TOOL_PATH) is not None

    def validate(self, documents: Sequence[Document]) -> None:
        """Have kubeadm check the documents, unknown fields included.

        Raises
        ------
        NodewiseError
            kubeadm refuses them.
        """
        try:
            self._run(["config", "validate"], documents, timeout=60)
        except NodewiseError as error:
            raise NodewiseError(f"kubeadm refuses the configuration: {error.message}", "correct the variable that holds this field") from error

    def init(self, documents: Sequence[Document]) -> None:
        """Run C(kubeadm init).

        Raises
        ------
        NodewiseError
            It failed; the message holds its last lines and those of the kubelet.
        """
        self._run(["init", "--skip-token-print"], documents, timeout=1800)

    def join(self, document: Document) -> None:
        """Run C(kubeadm join).

        Raises
        ------
        NodewiseError
            It failed; the message holds its last lines and those of the kubelet.
        """
        self._run(["join"], [document], timeout=900)

    def reset(self, cri_socket: str) -> None:
        """Run C(kubeadm reset).

        Raises
        ------
        NodewiseError
            It failed.
        """
        # Without a kubeconfig it asks no API server, which of a half-made or half-removed cluster would not answer.
        self._run(["reset", "--kubeconfig=/dev/null"], [reset_document(cri_socket)], timeout=600)

    def _run(self, args: Sequence[str], documents: Sequence[Document], timeout: float) -> None:
        # The documents may hold a bootstrap token. In anonymous memory they are on no disk, in no
        # command line, and gone with the process, however it ends.
        descriptor = os.memfd_create("kubeadm")
        try:
            with open(descriptor, "w", encoding="utf-8", closefd=False) as handle:
                handle.write(as_text(documents))
            done = run(
                [self._program, *args, f"--config=/proc/self/fd/{descriptor}"],
                merged=True,
                timeout=timeout,
                pass_fds=[fd for fd in (descriptor, self._lock) if fd is not None],
                env={**os.environ, "PATH": TOOL_PATH},
            )
        except FileNotFoundError as error:
            raise NodewiseError("kubeadm is not installed on this host.", "run site.yml, which installs it") from error
        except TimeoutExpired as error:
            raise NodewiseError(f"kubeadm {args[0]} did not end within {timeout:.0f} s. {_kubelet_journal()}".rstrip()) from error
        finally:
            os.close(descriptor)
        if done.returncode != 0:
            message = f"kubeadm {' '.join(args)} failed ({done.returncode}): {_last_lines(done.stdout)}"
            if "[kubelet-start]" in done.stdout:
                message = f"{message}\n{_kubelet_journal()}".rstrip()
            raise NodewiseError(_TOKEN.sub("<token>", message))


def _last_lines(output: str) -> str:
    """Return what a person needs of kubeadm's output: the failed preflight checks if that was it, else the last lines."""
    lines = [line for line in _COLOUR.sub("", output).splitlines() if line.strip() and not line.startswith(_ADVICE) and not _NOISE.fullmatch(line)]
    failed = [index for index, line in enumerate(lines) if "[ERROR " in line]
    return "\n".join(lines[failed[0] :] if failed else lines[-_OUTPUT_LINES:])


def _kubelet_journal() -> str:
    try:
        done = run(["journalctl", "--unit=kubelet", f"--lines={_JOURNAL_LINES}", "--no-pager", "--output=cat"], timeout=20)
    except (OSError, TimeoutExpired):
        return ""
    return f"The kubelet's last lines:\n{_TOKEN.sub('<token>', done.stdout).strip()}" if done.stdout.strip() else ""
