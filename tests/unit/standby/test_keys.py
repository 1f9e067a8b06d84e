# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.standby.authorized_keys import lines
from ansible_collections.nodewise.cluster.plugins.module_utils.standby.keys import known_hosts, make_key, read_key

ONE, OTHER = f"ssh-ed25519 {'A' * 68}", f"ssh-ed25519 {'B' * 68}"


def test_a_key_is_made_once_and_kept_from_others(tmp_path: Path) -> None:
    path = tmp_path / "autoscaler/id_ed25519"
    assert read_key(str(path)) is None
    public = make_key(str(path), "cp1")
    assert public.endswith(" nodewise-autoscaler@cp1")
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert sorted(one.name for one in path.parent.iterdir()) == ["id_ed25519", "id_ed25519.pub"]
    assert read_key(str(path)) == public
    assert lines([public], ["192.0.2.11"], "x")[0].endswith("nodewise-autoscaler@cp1")


def test_half_a_pair_or_an_open_one_is_none(tmp_path: Path) -> None:
    path = tmp_path / "id_ed25519"
    make_key(str(path), "cp1")
    path.chmod(0o640)
    assert read_key(str(path)) is None
    path.chmod(0o600)
    (tmp_path / "id_ed25519.pub").unlink()
    assert read_key(str(path)) is None


def test_known_hosts_has_these_hosts_and_no_others() -> None:
    assert known_hosts(f"192.0.2.9 {OTHER}\n192.0.2.31 {OTHER}\n", {"192.0.2.32": OTHER, "192.0.2.31": ONE}) == f"192.0.2.31 {ONE}\n192.0.2.32 {OTHER}\n"


def test_a_host_that_could_not_be_asked_keeps_its_line() -> None:
    assert known_hosts(f"192.0.2.31 {OTHER}\n", {"192.0.2.31": None, "192.0.2.32": None}) == f"192.0.2.31 {OTHER}\n"


def test_a_malformed_host_key_is_refused() -> None:
    with pytest.raises(NodewiseError, match="is not an ed25519 public key"):
        known_hosts("", {"192.0.2.31": "ssh-ed25519 AAAA\n* ssh-ed25519 BBBB"})
