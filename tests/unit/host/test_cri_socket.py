from __future__ import annotations

from pathlib import Path

import jinja2
import pytest
import yaml
from ansible_collections.nodewise.cluster.plugins.filter.cri_socket import FilterModule

cri_socket = FilterModule().filters()["cri_socket"]
VARS = Path(__file__).parents[3] / "roles" / "artifacts" / "vars" / "main.yml"

CONTAINERD = "unix:///run/containerd/containerd.sock"


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("", CONTAINERD),
        (None, CONTAINERD),
        (CONTAINERD, CONTAINERD),
        ("unix:///var/run/containerd/containerd.sock", CONTAINERD),
        ("/var/run/containerd/containerd.sock", CONTAINERD),
        ("unix:///var/run/crio/crio.sock", "unix:///run/crio/crio.sock"),
        ("unix:///srv/var/run/x.sock", "unix:///srv/var/run/x.sock"),
        ("tcp://127.0.0.1:3735", "tcp://127.0.0.1:3735"),
    ],
)
def test_an_endpoint_has_one_form(endpoint, expected):
    assert cri_socket(endpoint) == expected


@pytest.mark.parametrize(
    ("variables", "loads"),
    [
        ({}, "True"),
        ({"nodewise_cri_socket": ""}, "True"),
        ({"nodewise_cri_socket": "unix:///var/run/containerd/containerd.sock"}, "True"),
        ({"nodewise_cri_socket": "unix:///var/run/crio/crio.sock"}, "False"),
    ],
)
def test_images_are_loaded_into_containerd_however_its_socket_is_written(variables, loads):
    environment = jinja2.Environment()
    environment.filters["nodewise.cluster.cri_socket"] = cri_socket
    assert environment.from_string(yaml.safe_load(VARS.read_text())["__artifacts_containerd"]).render(variables) == loads
