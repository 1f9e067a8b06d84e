# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Has a kubelet come back after its restart?"""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from ..errors import NodewiseError
from ..kube.kubectl import Kubectl
from ..process import run

KUBECONFIG = "/etc/kubernetes/kubelet.conf"
_PAUSE = 0.25
# A kubelet whose node need not be Ready must have stayed healthy for this long, in seconds:
# /healthz answers before the container manager, which refuses impossible reservations, has started.
_STEADY = 6.0
# It may fail once for reasons that pass (its container runtime is starting).
_EXITS = 2


class Health:
    """Asks a node's kubelet, and the API server about the node with the kubelet's own credentials.

    Parameters
    ----------
    node : str
        Name of the Node.
    kubectl : Kubectl, optional
        With the kubelet's kubeconfig.
    clock, sleep : Callable
        Monotonic clock and pause, in seconds.
    """

    def __init__(
        self,
        node: str,
        kubectl: Kubectl | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._node = node
        self._kubectl = kubectl or Kubectl(KUBECONFIG, request_timeout=5)
        self._clock = clock
        self._sleep = sleep

    def node_ready(self, since: float | None = None) -> bool | None:
        """Whether the Node is Ready; None if that cannot be read.

        Parameters
        ----------
        since : float, optional
            Wall clock in seconds; a report that the kubelet sent before does not count.
        """
        try:
            found = self._kubectl.get("node", self._node)
        except NodewiseError:
            return None
        for condition in (found or {}).get("status", {}).get("conditions", []):
            if condition["type"] == "Ready":
                # The kubelet's own clock, in whole seconds.
                sent = datetime.strptime(condition["lastHeartbeatTime"], "%Y-%m-%dT%H:%M:%SZ") - datetime(1970, 1, 1)
                return condition["status"] == "True" and (since is None or sent.total_seconds() >= int(since))
        return False

    def next_second(self) -> float:
        """Wait for the next full second of the wall clock and return it.

        A Node's reports have whole seconds: restarted at the start of one, the new kubelet's cannot be mistaken for one that the old sent just before.
        """
        self._sleep(1 - time.time() % 1)
        return time.time()

    def answers(self, configuration: Mapping[str, Any]) -> bool:
        """Whether the kubelet's /healthz says ok; true if the configuration switches it off."""
        port = configuration.get("healthzPort", 10248)
        if port == 0:
            return True
        address = configuration.get("healthzBindAddress") or "127.0.0.1"
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(address, address)
        # No proxy: this is the host itself.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://{host}:{port}/healthz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def exits(self) -> int:
        """How often systemd has started the kubelet again after it ended by itself."""
        done = run(["systemctl", "show", "kubelet.service", "--property=NRestarts", "--value"])
        return int(done.stdout.strip() or 0)

    def wait(self, configuration: Mapping[str, Any], since: float | None, must_be_ready: bool, timeout: float) -> None:
        """Wait until the kubelet is healthy and, if asked for, its Node is Ready.

        Parameters
        ----------
        configuration : Mapping
            What it runs with.
        since : float, optional
            Wall clock of its restart; None if it was not restarted.
        must_be_ready : bool
            Whether the Node has to be Ready as well.
        timeout : float
            Seconds.

        Raises
        ------
        NodewiseError
            It is not, or it ended again and again.
        """
        start = self._clock()
        before = seen = self.exits()
        healthy_since: float | None = None
        missing = "its /healthz does not answer"
        while self._clock() - start < timeout:
            exits = self.exits()
            if exits - before >= _EXITS:
                raise NodewiseError(f"it ended by itself {exits - before} times")
            if exits != seen:
                seen, healthy_since = exits, None
            if not self.answers(configuration):
                healthy_since = None
                missing = "its /healthz does not answer"
            else:
                healthy_since = self._clock() if healthy_since is None else healthy_since
                if must_be_ready:
                    if self.node_ready(since):
                        return
                    missing = f"Node {self._node} is not Ready"
                    self._sleep(4 * _PAUSE)
                elif self._clock() - healthy_since >= _STEADY:
                    return
            self._sleep(_PAUSE)
        raise NodewiseError(f"{missing} after {timeout:.0f} s")
