# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.report.settings import Settings
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter import publishing
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter.config import Config
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter.notify import Notifier
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter.shared import Shared
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter.state import State


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float]]:
    """Return the kubeconfig and the timeout of each client that is made."""
    clients: list[tuple[str, float]] = []

    def client(kubeconfig: str, timeout: float) -> object:
        clients.append((kubeconfig, timeout))
        return object()

    monkeypatch.setattr(publishing, "ApiClient", client)
    return clients


@pytest.mark.parametrize(
    ("change", "last"),
    [
        ({"settings": Settings(publish_seconds=30)}, ("/a", 10)),
        ({"settings": Settings(request_seconds=3)}, ("/a", 3)),
        ({"kubeconfig": "/b"}, ("/b", 10)),
    ],
    ids=["settings", "timeout", "kubeconfig"],
)
def test_a_client_is_made_anew_only_if_it_has_to_be_another(made: list[tuple[str, float]], change: dict[str, object], last: tuple[str, float]) -> None:
    config = Config("w1", kubeconfig="/a")
    loop = publishing.PublishLoop(Shared(config), State(), Notifier(""))
    loop._publisher_of(config)
    loop._publisher_of(replace(config, **change))  # type: ignore[arg-type]
    assert made == list(dict.fromkeys([("/a", 10), last]))
