# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.artifacts.http import fetch_url, read_url
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError

BODY = bytes(range(256)) * 40


def test_a_broken_download_goes_on_where_it_stopped(web: Any, kit: Any, tmp_path: Path) -> None:
    web.files["/file"] = BODY
    web.breaks = [1000, 500]
    fetch_url(f"{web.url}/file", tmp_path / "file", kit.digest(BODY))
    assert (tmp_path / "file").read_bytes() == BODY
    assert [given for _path, given in web.requests] == ["", "bytes=1000-", "bytes=1500-"]


def test_what_an_earlier_run_left_is_gone_on_with(web: Any, kit: Any, tmp_path: Path) -> None:
    web.files["/file"] = BODY
    (tmp_path / "file").write_bytes(BODY[:5000])
    fetch_url(f"{web.url}/file", tmp_path / "file", kit.digest(BODY))
    assert (tmp_path / "file").read_bytes() == BODY
    assert [given for _path, given in web.requests] == ["bytes=5000-"]


@pytest.mark.parametrize("left", [b"of another file", BODY + b"and more", b"x" * len(BODY)])
def test_what_was_left_of_another_file_is_thrown_away(web: Any, kit: Any, tmp_path: Path, left: bytes) -> None:
    web.files["/file"] = BODY
    (tmp_path / "file").write_bytes(left)
    fetch_url(f"{web.url}/file", tmp_path / "file", kit.digest(BODY))
    assert (tmp_path / "file").read_bytes() == BODY


def test_a_complete_file_is_not_sent_again(web: Any, kit: Any, tmp_path: Path) -> None:
    web.files["/file"] = BODY
    (tmp_path / "file").write_bytes(BODY)
    fetch_url(f"{web.url}/file", tmp_path / "file", kit.digest(BODY))
    assert [given for _path, given in web.requests] == [f"bytes={len(BODY)}-"]


def test_a_wrong_digest_is_an_error_that_names_everything(web: Any, kit: Any, tmp_path: Path) -> None:
    web.files["/kubelet"] = b"altered"
    with pytest.raises(NodewiseError) as caught:
        fetch_url(f"{web.url}/kubelet", tmp_path / "file", kit.digest(BODY))
    for part in ("kubelet", web.url, kit.digest(b"altered"), "(7 bytes)", kit.digest(BODY), "not installed", "Remedy:"):
        assert part in str(caught.value)
    assert not (tmp_path / "file").exists()


def test_a_connection_that_keeps_breaking_is_an_error_and_keeps_what_came(web: Any, kit: Any, tmp_path: Path) -> None:
    web.files["/file"] = BODY
    web.breaks = [10, 10, 10]
    with pytest.raises(NodewiseError, match="cannot be fetched"):
        fetch_url(f"{web.url}/file", tmp_path / "file", kit.digest(BODY))
    assert (tmp_path / "file").read_bytes() == BODY[:30]


def test_a_file_without_published_digest_is_never_resumed(web: Any, tmp_path: Path) -> None:
    web.files["/file"] = BODY
    (tmp_path / "file").write_bytes(b"old")
    fetch_url(f"{web.url}/file", tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == BODY


def test_not_found_names_the_address(web: Any, tmp_path: Path) -> None:
    with pytest.raises(NodewiseError, match=rf"{web.url}/none cannot be fetched: HTTP 404"):
        fetch_url(f"{web.url}/none", tmp_path / "file", "a" * 64)


def test_nobody_there_is_an_error_with_a_remedy(nowhere: str) -> None:
    with pytest.raises(NodewiseError, match=r"http://127.0.0.1:1/x cannot be fetched: .*refused.*Remedy: .*https_proxy"):
        read_url(f"{nowhere}/x")
