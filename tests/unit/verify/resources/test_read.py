# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of the reading that work on files."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.resources import read


def cgroup(folder: Path, processes: str, name: str = "cgroup.procs") -> None:
    folder.mkdir(parents=True)
    (folder / name).write_text(processes)


def test_the_driver_is_told_by_the_cgroup_that_has_processes(tmp_path: Path) -> None:
    cgroup(tmp_path / "kubepods" / "burstable", "")
    cgroup(tmp_path / "kubepods.slice" / "kubepods-burstable.slice" / "cri-containerd-1.scope", "42\n")
    assert read.kubepods_driver(str(tmp_path)) == "systemd"
    cgroup(tmp_path / "kubepods" / "pod1" / "abc", "43\n")
    assert read.kubepods_driver(str(tmp_path)) == "systemd and cgroupfs"


def test_no_pod_at_all(tmp_path: Path) -> None:
    with pytest.raises(NodewiseError, match="no pod's process is in .*kubepods.slice or .*kubepods"):
        read.kubepods_driver(str(tmp_path))


def test_pods_cpu(tmp_path: Path) -> None:
    assert read.pods_cpu(str(tmp_path), True) is None
    cgroup(tmp_path / "kubepods.slice", "usage_usec 1234\nuser_usec 1000\n", "cpu.stat")
    found = read.pods_cpu(str(tmp_path), True)
    assert found is not None
    assert found.core_nanoseconds == 1234000
    (tmp_path / "kubepods.slice" / "cpuacct.usage").write_text("567\n")
    found = read.pods_cpu(str(tmp_path), False)
    assert found is not None
    assert found.core_nanoseconds == 567
    (tmp_path / "kubepods.slice" / "cpu.stat").write_text("nothing\n")
    assert read.pods_cpu(str(tmp_path), True) is None
    (tmp_path / "kubepods").mkdir()
    assert read.pods_cpu(str(tmp_path), False) is None


def test_drop_ins_are_laid_over_the_file_in_the_order_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("maxPods: 1\nsystemReserved: {cpu: 100m}\n")
    folder = tmp_path / "d"
    folder.mkdir()
    (folder / "20.conf").write_text("maxPods: 3\n")
    (folder / "10.conf").write_text("maxPods: 2\nsystemReserved: {memory: 1Gi}\n")
    (folder / "99.txt").write_text("maxPods: 4\n")
    assert read.configuration_on_disk(str(tmp_path / "config.yaml"), "")["maxPods"] == 1
    found = read.configuration_on_disk(str(tmp_path / "config.yaml"), str(folder))
    assert found == {"maxPods": 3, "systemReserved": {"cpu": "100m", "memory": "1Gi"}}
    with pytest.raises(NodewiseError, match="does not exist"):
        read.configuration_on_disk(str(tmp_path / "none.yaml"), "")


def test_what_this_process_takes_is_more_than_nothing() -> None:
    assert 1 << 20 < read.own_memory() < 1 << 33


def test_a_token_is_not_in_the_options_text() -> None:
    assert "hush" not in repr(read.Options("w1", [], 0, "/run/x.sock", token="hush"))
