# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.report.settings import Settings
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter.config import Config, make_config, parse_config, read_config


def test_a_file_that_was_written_is_read_again() -> None:
    config = Config("w1", cri_socket="unix:///run/crio/crio.sock", metrics_port=0, settings=Settings(cpu_percent=50.0))
    assert parse_config(config.to_text()) == config


def test_the_digest_is_that_of_the_file() -> None:
    config = Config("w1", settings=Settings(cpu_percent=50))
    read = parse_config(config.to_text())
    assert read.digest == config.digest == hashlib.sha256(config.to_text().encode()).hexdigest()[:8]
    assert replace(config, log_level="debug").digest != config.digest


def test_what_is_left_out_has_its_default() -> None:
    assert make_config({"node_name": "w1", "settings": {"samples": 3}}) == replace(Config("w1"), settings=Settings(samples=3))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "node_name is missing"),
        ({"node_name": "W1"}, "node_name is 'W1', which no Node can have"),
        ({"node_name": "a" * 254}, "which no Node can have"),
        ({"node_name": "w1", "colour": 1}, "colour is not known"),
        ({"node_name": "w1", "kubeconfig": "kubelet.conf"}, "kubeconfig is 'kubelet.conf'"),
        ({"node_name": "w1", "kubeconfig": None}, "kubeconfig is None, which is not text"),
        ({"node_name": "w1", "cri_socket": "/run/x.sock"}, "cri_socket is '/run/x.sock'"),
        ({"node_name": "w1", "metrics_address": "localhost"}, "no IP address"),
        ({"node_name": "w1", "metrics_address": "0.0.0.0"}, "plain HTTP is for loopback alone"),
        ({"node_name": "w1", "metrics_tls_address": 1}, "metrics_tls_address is 1, which is not text"),
        ({"node_name": "w1", "metrics_port": 65536}, "metrics_port is 65536"),
        ({"node_name": "w1", "metrics_port": True}, "metrics_port is True"),
        ({"node_name": "w1", "log_level": "loud"}, "log_level is 'loud'"),
        ({"node_name": "w1", "settings": {"cpu_percent": 100}}, "cpu_percent is 100"),
        ({"node_name": "w1", "settings": {"colour": 1}}, "colour is not a setting"),
    ],
)
def test_what_is_wrong_is_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(NodewiseError) as caught:
        parse_config(json.dumps(values), "/etc/x.json")
    assert message in str(caught.value)
    assert caught.value.message.startswith("/etc/x.json: ")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"node_name": "w1", "settings": []}'])
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(NodewiseError, match="/etc/x.json is"):
        parse_config(text, "/etc/x.json")


def test_a_missing_file_is_named(tmp_path: Any) -> None:
    with pytest.raises(NodewiseError, match=r"absent\.json is missing"):
        read_config(f"{tmp_path}/absent.json")
