# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A few connections for many threads."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.api import pool
from ansible_collections.nodewise.cluster.plugins.module_utils.api.client import NoAnswer


class Client:
    """Waits with each request until as many others are under way as there are connections."""

    made = 0
    together = threading.Barrier(3)

    def __init__(self, kubeconfig: str, timeout: float) -> None:
        assert (kubeconfig, timeout) == ("/k", 5.0)
        Client.made += 1
        self.busy = threading.Lock()

    def request(self, method: str, path: str, body: object = None) -> str:
        assert self.busy.acquire(blocking=False), "one connection is for one thread at a time"
        try:
            if path == "/broken":
                raise NoAnswer("away")
            Client.together.wait(10)
            return f"{method} {path} {body}"
        finally:
            self.busy.release()


def test_requests_share_the_connections_and_a_failure_gives_its_own_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "ApiClient", Client)
    clients = pool.ClientPool("/k", 5.0, 3)
    for _time in range(5):
        with pytest.raises(NoAnswer):
            clients.get("/broken")
    with ThreadPoolExecutor(12) as threads:
        found = list(threads.map(lambda number: clients.request("POST", f"/{number}", {}), range(12)))
    assert found == [f"POST /{number} {{}}" for number in range(12)]
    assert Client.made == 3
