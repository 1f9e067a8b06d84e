from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.containerd.config import MANAGED, Settings, config_text, unit_text
from ansible_collections.nodewise.cluster.plugins.module_utils.containerd.foreign import UNIT, foreign_containerd, is_marked, packaged
from ansible_collections.nodewise.cluster.plugins.module_utils.containerd.runtime import CONFIG

PROGRAM = "/usr/bin/containerd"
PACKAGE_UNIT = "/usr/lib/systemd/system/containerd.service"


def put(root: Path, path: str, text: str = "") -> None:
    target = Path(f"{root}{path}")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)


@pytest.mark.parametrize("live", [False, True])
def test_bare_host_has_none(tmp_path, live):
    assert foreign_containerd(live, str(tmp_path)) == []


@pytest.mark.parametrize("path", [CONFIG, UNIT])
def test_a_file_that_would_be_replaced_is_enough(tmp_path, path):
    put(tmp_path, path, "version = 2\n")
    assert foreign_containerd(False, str(tmp_path)) == [path]


@pytest.mark.parametrize("path", [PROGRAM, PACKAGE_UNIT, "/lib/systemd/system/containerd.service"])
def test_a_package_counts_while_it_runs(tmp_path, path):
    put(tmp_path, path)
    assert foreign_containerd(False, str(tmp_path)) == []
    assert foreign_containerd(True, str(tmp_path)) == [path]


def test_a_merged_usr_is_told_once(tmp_path):
    put(tmp_path, PACKAGE_UNIT)
    (tmp_path / "lib").symlink_to("usr/lib")
    assert packaged(str(tmp_path)) == [PACKAGE_UNIT]


@pytest.mark.parametrize("config", [config_text(Settings("pause")), "version = 2  # an operator's\n"])
def test_a_host_that_this_collection_prepared_is_ours_whatever_else_is_there(tmp_path, config):
    put(tmp_path, UNIT, unit_text("/etc/containerd/proxy.env"))
    put(tmp_path, CONFIG, config)
    put(tmp_path, PROGRAM)
    assert foreign_containerd(True, str(tmp_path)) == []


def test_a_first_run_that_was_killed_before_the_unit_is_ours(tmp_path):
    put(tmp_path, CONFIG, config_text(Settings("pause")))
    assert foreign_containerd(False, str(tmp_path)) == []


def test_our_own_files_are_marked(tmp_path):
    put(tmp_path, "/marked", MANAGED)
    assert is_marked(f"{tmp_path}/marked")
    assert not is_marked(f"{tmp_path}/missing")
