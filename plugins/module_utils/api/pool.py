# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A few connections to the API server for many threads."""

from __future__ import annotations

import queue
from typing import Any

from .client import Answer, ApiClient


class ClientPool:
    """Sends each request over a connection that is free, or waits for one.

    So threads in great number neither open as many connections nor take the interpreter from each other.

    Parameters
    ----------
    kubeconfig : str
        Path of the kubeconfig.
    timeout : float
        Seconds that one request may take.
    size : int
        Connections; each is made when it is needed, and kept.

    Raises
    ------
    NodewiseError
        The kubeconfig is missing or not understood, or its certificate cannot be used.
    """

    def __init__(self, kubeconfig: str, timeout: float, size: int) -> None:
        self._free: queue.SimpleQueue[ApiClient] = queue.SimpleQueue()
        for _number in range(size):
            self._free.put(ApiClient(kubeconfig, timeout))

    def get(self, path: str) -> Answer:
        """Read a path; raises as C(ApiClient.get)."""
        return self.request("GET", path)

    def request(self, method: str, path: str, body: Any = None) -> Answer:
        """Send one request; raises as C(ApiClient.request)."""
        client = self._free.get()
        try:
            return client.request(method, path, body)
        finally:
            self._free.put(client)
