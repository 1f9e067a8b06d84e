# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ServiceAccount's objects and tokens, against a server that answers as told."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.api.client import Answer, ApiClient
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.resources import access


class Server:
    """Keeps objects by their paths."""

    def __init__(self, status: int = 0) -> None:
        self.objects: dict[str, Any] = {}
        self.status = status
        self.bodies: list[Any] = []

    def get(self, path: str) -> Answer:
        found = self.objects.get(path)
        return self._answer(self.status or (200 if found else 404), found or {"message": "not found"})

    def request(self, method: str, path: str, body: Any = None, content_type: str = "") -> Answer:
        self.bodies.append(body)
        if self.status:
            return self._answer(self.status, {"message": "no"})
        if method == "PATCH":
            assert content_type == "application/apply-patch+yaml"
            place, _question, query = path.partition("?")
            assert query == "fieldManager=nodewise&force=true"
            # The API server adds things of its own.
            self.objects[place] = {**body, "metadata": {**body["metadata"], "uid": "1"}, "more": True}
            return self._answer(200, {})
        return self._answer(201, {"status": {"token": "hush"}})

    @staticmethod
    def _answer(status: int, value: Any) -> Answer:
        return Answer(status, json.dumps(value).encode(), "application/json", 0.001, None, 0.0)

    @property
    def api(self) -> ApiClient:
        return cast("ApiClient", self)


def test_what_is_applied_is_not_missing_any_more() -> None:
    server = Server()
    missing = access.missing(server.api)
    assert [body["kind"] for _path, body in missing] == ["Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding"]
    access.apply(server.api, missing)
    assert access.missing(server.api) == []


def test_a_widened_role_is_corrected() -> None:
    server = Server()
    access.apply(server.api, access.missing(server.api))
    path = "/apis/rbac.authorization.k8s.io/v1/clusterroles/nodewise-verify"
    server.objects[path]["rules"] = [*server.objects[path]["rules"], {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
    assert [body["kind"] for _path, body in access.missing(server.api)] == ["ClusterRole"]


def test_the_role_reads_and_does_no_more() -> None:
    (role,) = [body for _path, body in access.objects() if body["kind"] == "ClusterRole"]
    assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"get"}
    assert not {resource for rule in role["rules"] for resource in rule["resources"]} & {"nodes/proxy", "secrets", "*"}


def test_a_token_is_short_lived() -> None:
    server = Server()
    assert access.token(server.api, 600) == "hush"
    assert server.bodies[0]["spec"] == {"expirationSeconds": 600}


def test_refusals_are_said() -> None:
    with pytest.raises(NodewiseError, match="HTTP 403"):
        access.missing(Server(403).api)
    with pytest.raises(NodewiseError, match="cannot be applied: HTTP 403 no"):
        access.apply(Server(403).api, access.objects())
    with pytest.raises(NodewiseError, match="No token for ServiceAccount nodewise-system/nodewise-verify: HTTP 403 no"):
        access.token(Server(403).api, 600)
