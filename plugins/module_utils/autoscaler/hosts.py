# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts, spoken to over SSH with a key that can do nothing but have a host join, leave, or say what it is.

The other side is :mod:`..standby`. A request is a JSON document on standard input, so that the token stands in no command line; the answer is
the last line of standard output.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import NodewiseError
from ..process import TimeoutExpired, run
from .settings import Host, Ssh

LOG = logging.getLogger("nodewise.autoscaler")
# Seconds until a host that does not answer is given up: while connecting, and (three times 5 s) afterwards.
_CONNECT, _ALIVE = 10, 5
_CANNOT_CONNECT = 255
_SAID = 300  # characters


class Hosts:
    """Have hosts join and leave.

    Parameters
    ----------
    ssh : Ssh
        How they are reached.
    endpoint : str
        HOST:PORT of the API server, for the hosts.
    """

    def __init__(self, ssh: Ssh, endpoint: str) -> None:
        self._ssh = ssh
        self._endpoint = endpoint

    def join(
        self,
        name: str,
        host: Host,
        token: str,
        ca_cert_hashes: Sequence[str],
        labels: Mapping[str, str],
        taints: Sequence[Mapping[str, str]],
        deadline: float,
    ) -> None:
        """Have a host join, or find that it has.

        Parameters
        ----------
        name : str
            The Node that it becomes.
        host : Host
            The host.
        token : str
            Bootstrap token.
        ca_cert_hashes : sequence of str
            Of the cluster's CA.
        labels, taints : mapping, sequence
            With which it registers.
        deadline : float
            By which time, of the monotonic clock, it has to be done.

        Raises
        ------
        NodewiseError
            It did not; the message is the reason, without the token.
        """
        document = {
            "token": token,
            "ca_cert_hashes": list(ca_cert_hashes),
            "endpoint": self._endpoint,
            "node_name": name,
            "provider_id": host.provider_id,
            "labels": dict(labels),
            "taints": [dict(taint) for taint in taints],
        }
        flaw = str(self._ask("join", host, document, deadline, token).get("reason") or "").replace(token, "<token>")
        if flaw:
            LOG.warning("%s has joined, but: %s", name, " ".join(flaw.split()))

    def leave(self, name: str, host: Host, deadline: float) -> None:
        """Have a host be as it was prepared; its Node is not touched.

        Raises
        ------
        NodewiseError
            It did not, in time or at all; the message is the reason.
        """
        self._ask("leave", host, {"node_name": name, "provider_id": host.provider_id}, deadline)

    def status(self, name: str, host: Host, deadline: float) -> str:
        """Return what a host says that it is: C(prepared), C(joined) or C(failed).

        Raises
        ------
        NodewiseError
            It does not answer.
        """
        return str(self._ask("status", host, {"node_name": name, "provider_id": host.provider_id}, deadline).get("state"))

    def argv(self, command: str, host: Host) -> list[str]:
        """Return the command line: nothing is asked, no file of a user's is read, and only known host keys are accepted."""
        options = {
            "BatchMode": "yes",
            "IdentitiesOnly": "yes",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": self._ssh.known_hosts,
            "GlobalKnownHostsFile": "/dev/null",
            "ClearAllForwardings": "yes",
            "ConnectTimeout": str(_CONNECT),
            "ServerAliveInterval": str(_ALIVE),
        }
        flags = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
        return ["ssh", "-F", "none", "-T", "-i", self._ssh.key, *flags, f"{self._ssh.user}@{host.address}", command]

    def _ask(self, command: str, host: Host, document: Mapping[str, Any], deadline: float, secret: str = "") -> Mapping[str, Any]:
        left = deadline - time.monotonic()
        if left <= 0:
            raise NodewiseError(f"no time is left for {command}")
        try:
            done = run(self.argv(command, host), stdin=json.dumps(document), timeout=left)
        except TimeoutExpired as error:
            raise NodewiseError(f"{command} did not end within {left:.0f} s") from error
        except OSError as error:
            raise NodewiseError(f"ssh cannot be started: {error.strerror}") from error
        answer = _last_object(done.stdout)
        said = (str((answer or {}).get("reason") or "") or done.stderr.strip()[-_SAID:]).replace(secret or "\0", "<token>")
        if answer is None and done.returncode == _CANNOT_CONNECT:
            raise NodewiseError(f"{host.address} cannot be reached by SSH: {said}")
        if answer is None or not isinstance(answer.get("ok"), bool):
            raise NodewiseError(f"{host.address} does not answer {command} as a standby host does (exit code {done.returncode}): {said}")
        if not answer["ok"]:
            raise NodewiseError(said or f"{command} failed")
        return answer


def _last_object(text: str) -> Mapping[str, Any] | None:
    """Return the JSON object in the last line that is not empty; None if there is none."""
    lines = text.strip().splitlines()
    try:
        found = json.loads(lines[-1]) if lines else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
