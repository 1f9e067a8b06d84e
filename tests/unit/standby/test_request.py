# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.standby.request import MOST_BYTES, check_command, parse_document, parse_join
from ansible_collections.nodewise.cluster.plugins.module_utils.standby.settings import Settings, read_settings

TOKEN = "abcdef.0123456789abcdef"
HASH, OTHER_HASH = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
SETTINGS = Settings("c", "s1", "192.0.2.31", "unix:///run/containerd/containerd.sock", "10.244.0.0/16", "192.0.2.11:6443", [HASH])


def document(**changes: Any) -> dict[str, Any]:
    whole = {
        "token": TOKEN,
        "ca_cert_hashes": [HASH],
        "endpoint": "192.0.2.11:6443",
        "node_name": "s1",
        "provider_id": "nodewise://c/s1",
        "labels": {"example.com/pool": "burst"},
        "taints": [{"key": "example.com/burst", "value": "", "effect": "NoSchedule"}],
    }
    return {name: value for name, value in {**whole, **changes}.items() if value is not None}


@pytest.mark.parametrize("text", ["join", "leave", "status"])
def test_the_three_commands_are_allowed(text: str) -> None:
    assert check_command(text) == text


@pytest.mark.parametrize("text", ["", " join", "join ", "join\n", "JOIN", "join; reboot", "status leave", "/bin/sh", "$(reboot)", "join" * 1000])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(NodewiseError, match="is not allowed here") as caught:
        check_command(text)
    assert len(str(caught.value)) < 200


def test_an_empty_input_is_an_empty_document() -> None:
    assert parse_document("", SETTINGS) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f'{{"token": "{TOKEN}"', "is not JSON"),
        ("[]", "is not a JSON object"),
        ('{"tokne": "x"}', "unknown field 'tokne'"),
        ('{"node_name": "s2"}', "node_name is 's2', but this host is 's1'"),
        ('{"provider_id": "nodewise://c/s2"}', "provider_id is 'nodewise://c/s2', but this host is 'nodewise://c/s1'"),
        (" " * (MOST_BYTES + 1), "more than"),
    ],
)
def test_a_wrong_document_is_refused_without_its_text(text: str, message: str) -> None:
    with pytest.raises(NodewiseError, match=message) as caught:
        parse_document(text, SETTINGS)
    assert TOKEN not in str(caught.value)


def test_a_join_is_read() -> None:
    wanted = parse_join(parse_document(json.dumps(document()), SETTINGS), SETTINGS)
    assert (wanted.token, wanted.endpoint, wanted.labels) == (TOKEN, "192.0.2.11:6443", {"example.com/pool": "burst"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"token": None}, "lacks token"),
        ({"node_name": None}, "lacks node_name"),
        ({"ca_cert_hashes": []}, "lacks ca_cert_hashes"),
        ({"token": f"{TOKEN} "}, "token is not a bootstrap token"),
        ({"ca_cert_hashes": ["sha256:00"]}, "ca_cert_hashes is not a list"),
        ({"endpoint": "https://192.0.2.11:6443"}, "is not HOST:PORT"),
        # Whoever holds the cluster that a host joins is root on it.
        ({"endpoint": "192.0.2.66:6443"}, r"endpoint is '192\.0\.2\.66:6443', but this host may join '192\.0\.2\.11:6443' only"),
        ({"endpoint": "192.0.2.11:6444"}, "but this host may join"),
        ({"ca_cert_hashes": [OTHER_HASH]}, f"ca_cert_hashes has {OTHER_HASH}, which is no CA of the cluster"),
        ({"ca_cert_hashes": [HASH, OTHER_HASH]}, f"ca_cert_hashes has {OTHER_HASH}, which is no CA of the cluster"),
        ({"labels": {"kubernetes.io/role": "x"}}, "cannot be set when a node registers"),
        ({"labels": ["x"]}, "labels is no mapping"),
        ({"taints": [{"key": "a", "effect": "Never"}]}, "The effect 'Never'"),
    ],
)
def test_an_incomplete_or_malformed_join_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(NodewiseError, match=message) as caught:
        parse_join(document(**changes), SETTINGS)
    assert TOKEN not in str(caught.value)


def test_settings_come_back_as_they_were_written(tmp_path: Any) -> None:
    path = tmp_path / "standby.json"
    path.write_text(SETTINGS.to_text())
    assert read_settings(str(path)) == SETTINGS


@pytest.mark.parametrize(
    ("text", "message"), [(None, "is missing"), ("{", "cannot be used"), ("[]", "cannot be used"), ('{"cluster_name": "c"}', "cannot be used")]
)
def test_settings_that_are_missing_or_damaged_say_what_to_do(tmp_path: Any, text: str | None, message: str) -> None:
    path = tmp_path / "standby.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(NodewiseError, match=rf"{message}.*run site\.yml"):
        read_settings(str(path))


def test_a_deadline_must_make_sense() -> None:
    with pytest.raises(NodewiseError, match="join_seconds is 1"):
        replace(SETTINGS, join_seconds=1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"endpoint": ""}, "is not HOST:PORT"),
        ({"ca_cert_hashes": []}, "ca_cert_hashes is"),
        ({"ca_cert_hashes": ["sha256:00"]}, "ca_cert_hashes is"),
    ],
)
def test_a_host_knows_the_one_cluster_that_it_may_join(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(NodewiseError, match=message):
        replace(SETTINGS, **changes)
