# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thin client over the kubectl that is installed on a control-plane host.

kubectl is on every control-plane host anyway, so API work there needs no Python
library. Server-side apply (KEP-555) gives the diff and the field ownership.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..errors import NodewiseError
from ..process import TimeoutExpired, run

ADMIN_KUBECONFIG = "/etc/kubernetes/admin.conf"
FIELD_MANAGER = "nodewise"
OUTDATED = "the object has been modified"
"""What the API server says of a write with a resourceVersion that is not the newest."""


class Kubectl:
    """Run kubectl with one kubeconfig.

    Parameters
    ----------
    kubeconfig : str
        Path of the kubeconfig.
    program : str
        The kubectl to run.
    request_timeout : int
        Seconds one request may take before kubectl gives up.
    """

    def __init__(self, kubeconfig: str = ADMIN_KUBECONFIG, program: str = "kubectl", request_timeout: int = 30) -> None:
        self.kubeconfig = kubeconfig
        self.program = program
        self._base = [program, f"--kubeconfig={kubeconfig}", f"--request-timeout={request_timeout}s"]

    def run(self, args: Sequence[str], stdin: str | None = None, ok: Sequence[int] = (0,), timeout: float = 600) -> tuple[int, str, str]:
        """Run kubectl and return its exit code, standard output and standard error.

        Raises
        ------
        NodewiseError
            The exit code is not one of C(ok), kubectl is missing, or it ran longer than C(timeout) seconds.
        """
        try:
            done = run([*self._base, *args], stdin=stdin, timeout=timeout)
        except FileNotFoundError as error:
            raise NodewiseError(f"{self._base[0]} is not installed on this host.", "run the artifacts role first") from error
        except TimeoutExpired as error:
            raise NodewiseError(f"kubectl {' '.join(args)} did not end within {timeout:.0f} s.") from error
        if done.returncode not in ok:
            raise NodewiseError(f"kubectl {' '.join(args)} failed ({done.returncode}): {(done.stderr or done.stdout).strip()}")
        return done.returncode, done.stdout, done.stderr

    def get(self, *args: str) -> dict[str, Any] | None:
        """Return what C(kubectl get ARGS -o json) gives, or None if a named object does not exist."""
        _code, out, _err = self.run(["get", *args, "-o", "json", "--ignore-not-found"])
        return json.loads(out) if out.strip() else None

    def diff(self, objects: Sequence[dict[str, Any]]) -> str:
        """Return the text of what a server-side apply of the objects would change; empty means nothing.

        Raises
        ------
        NodewiseError
            The API server refuses an object, or cannot be reached.
        """
        # One object after the other is most of the time; the text is in the order of their names all the same.
        args = ["diff", "--server-side", "--force-conflicts", f"--field-manager={FIELD_MANAGER}", "--concurrency=4", "-f", "-"]
        _code, out, _err = self.run(args, stdin=as_list(objects), ok=(0, 1))
        return out

    def apply(self, objects: Sequence[dict[str, Any]]) -> str:
        """Apply the objects server-side and return kubectl's lines."""
        args = ["apply", "--server-side", "--force-conflicts", f"--field-manager={FIELD_MANAGER}", "-f", "-"]
        _code, out, _err = self.run(args, stdin=as_list(objects))
        return out


def as_list(objects: Iterable[Mapping[str, Any]]) -> str:
    """Return objects as one document, a C(List), that kubectl reads."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
