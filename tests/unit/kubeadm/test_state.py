# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.kubeadm.state import HostState, exclusive, load_state, save_state


def test_a_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "state" / "kubeadm.json"
    state = HostState("joined", "w1", "c")
    save_state(state, str(path))
    assert load_state(str(path)) == state
    assert path.stat().st_mode & 0o777 == 0o600


def test_no_file_and_no_fact_are_no_record(tmp_path: Path) -> None:
    assert load_state(str(tmp_path / "none")) == HostState()
    assert HostState.from_dict({}) == HostState()


@pytest.mark.parametrize(
    ("text", "message"),
    [('{"phase": "jo', "is not JSON.*remove the file"), ('{"phase": "upgraded"}', "unknown phase 'upgraded'"), ('"text"', "unknown phase")],
)
def test_a_damaged_record_is_told_of(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "kubeadm.json"
    path.write_text(text)
    with pytest.raises(NodewiseError, match=message):
        load_state(str(path))


def test_the_lock_is_exclusive(lock_path: str) -> None:
    with (
        exclusive(lock_path),
        pytest.raises(NodewiseError, match=f"Another kubeadm run holds {lock_path}"),
        exclusive(lock_path, timeout=0),
    ):
        raise AssertionError("taken twice")
    with exclusive(lock_path, timeout=0):
        pass


def test_a_child_that_outlives_the_run_keeps_the_lock(lock_path: str) -> None:
    with exclusive(lock_path) as descriptor:
        child = subprocess.Popen(["sleep", "60"], pass_fds=[descriptor])
    try:
        with pytest.raises(NodewiseError, match="Another kubeadm run"), exclusive(lock_path, timeout=0):
            raise AssertionError("taken twice")
    finally:
        child.kill()
        child.wait()
    with exclusive(lock_path, timeout=0):
        pass
