# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import base64
import json
import shutil
import ssl
import urllib.error
import urllib.request
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.admission.webhook import MUTATE, REFUSE_LABEL, VALIDATE, WebhookServer, answer, refusal
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError


def review(**labels: str) -> dict[str, Any]:
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "u1", "object": {"metadata": {"labels": labels}}}}


def test_the_mutating_one_adds_an_annotation() -> None:
    response = answer(MUTATE, review(), "s1")["response"]
    assert (response["uid"], response["allowed"], response["patchType"]) == ("u1", True, "JSONPatch")
    assert json.loads(base64.b64decode(response["patch"])) == [{"op": "add", "path": "/metadata/annotations/nodewise.dev~1verify-mutated", "value": "s1"}]


def test_the_validating_one_refuses_what_has_the_label() -> None:
    assert answer(VALIDATE, review(), "s1")["response"] == {"uid": "u1", "allowed": True}
    refused = answer(VALIDATE, review(**{REFUSE_LABEL: "yes"}), "s1")["response"]
    assert (refused["allowed"], refused["status"]["message"]) == (False, refusal("s1"))


def post(url: str, body: bytes, bundle: str) -> dict[str, Any]:
    context = ssl.create_default_context(cadata=base64.b64decode(bundle).decode())
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    with opener.open(urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"}), timeout=10) as reply:
        found: dict[str, Any] = json.loads(reply.read())
        return found


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_it_is_served_over_tls_that_its_own_bundle_vouches_for() -> None:
    with WebhookServer("127.0.0.1", "s1") as server:
        assert post(f"{server.url}{MUTATE}?timeout=5s", json.dumps(review()).encode(), server.ca_bundle)["response"]["allowed"]
        with pytest.raises(urllib.error.HTTPError, match="400"):
            post(server.url, b"{}", server.ca_bundle)
        url = server.url
        server.stop()
        with pytest.raises(urllib.error.URLError, match="refused"):
            post(url, b"{}", server.ca_bundle)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_an_address_of_another_host() -> None:
    with pytest.raises(NodewiseError, match="cannot listen on 192.0.2.1"):
        WebhookServer("192.0.2.1", "s1")


def test_without_openssl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(NodewiseError, match="openssl is not installed on this host"):
        WebhookServer("127.0.0.1", "s1")
