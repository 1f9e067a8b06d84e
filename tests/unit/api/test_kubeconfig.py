# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubeconfigs that are refused, and with what words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.api.kubeconfig import parse_kubeconfig, read_kubeconfig
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError

from .conftest import Site


@pytest.mark.parametrize("text", ["", "a: [", "current-context: admin\ncontexts: []\n", "- 1\n", "current-context: [a]\ncontexts: 3\n"])
def test_what_is_no_kubeconfig(text: str) -> None:
    with pytest.raises(NodewiseError, match="/x is not a kubeconfig with a server and a client certificate or a token"):
        parse_kubeconfig(text, "/x")


def test_a_broken_file_is_not_quoted() -> None:
    with pytest.raises(NodewiseError) as caught:
        parse_kubeconfig("users: [{user: {token: very-secret", "/x")
    assert "very-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("user", "cluster", "message"),
    [
        ({}, {}, "client-certificate-data and client-key-data"),
        ({"client-certificate-data": "bm8="}, {}, "client-certificate-data and client-key-data"),
        ({"token": "t"}, {"certificate-authority-data": ""}, "certificate-authority-data"),
        ({"token": "t"}, {"certificate-authority-data": "%%"}, "is not a kubeconfig"),
        ({"token": "t"}, {"server": "http://10.0.0.1"}, "'http://10.0.0.1' is not an https URL"),
        ({"token": "t"}, {"server": "https://rancher/k8s/clusters/c-1"}, "'https://rancher/k8s/clusters/c-1' has a path, which is not supported"),
        ({"token": "t"}, {"insecure-skip-tls-verify": True}, "uses insecure-skip-tls-verify, which is not supported"),
        ({"exec": {"command": "aws"}}, {}, "uses exec, which is not supported"),
        ({"client-certificate": "none.pem", "client-key": "none.pem"}, {}, r"none\.pem, which .* names, is not on this host"),
    ],
)
def test_what_is_missing_or_not_supported(site: Site, tmp_path: Path, user: dict[str, Any], cluster: dict[str, Any], message: str) -> None:
    path = tmp_path / "kubelet.conf"
    path.write_text(site.config(user, **cluster))
    with pytest.raises(NodewiseError, match=message):
        read_kubeconfig(str(path))


def test_a_change_of_any_file_is_seen(site: Site, tmp_path: Path) -> None:
    path, token = tmp_path / "admin.conf", tmp_path / "token"
    token.write_text("a")
    path.write_text(site.config({"tokenFile": "token"}))
    credentials = read_kubeconfig(str(path))
    assert set(credentials.files) == {str(path), str(token)}
    assert not credentials.changed
    token.write_text("ab")
    assert credentials.changed
    credentials = read_kubeconfig(str(path))
    path.unlink()
    assert credentials.changed


def test_a_missing_one_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(NodewiseError, match="is not on this host.*kubelet.conf on every node"):
        read_kubeconfig(str(tmp_path / "admin.conf"))
