# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filesystems: merged by device, and one that never answers."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.node.filesystems import Filesystems, filesystem_paths, merge, probe_filesystem
from ansible_collections.nodewise.cluster.plugins.module_utils.node.model import Filesystem


@pytest.mark.parametrize(
    ("images", "containers", "expected"),
    [
        (None, None, ("/runtime", "/runtime")),
        ((), (), ("/runtime", "/runtime")),
        (("/images", "/others"), (), ("/images", "/images")),
        (("/images",), ("/containers",), ("/images", "/containers")),
    ],
)
def test_paths(images: tuple[str, ...] | None, containers: tuple[str, ...] | None, expected: tuple[str, str]) -> None:
    assert filesystem_paths("/kubelet", "/runtime", images, containers) == {"node": "/kubelet", "image": expected[0], "container": expected[1]}


def test_figures_are_those_of_statvfs(tmp_path: Path) -> None:
    found = probe_filesystem(str(tmp_path))
    said = os.statvfs(tmp_path)
    assert (found.capacity, found.inodes, found.device) == (said.f_blocks * said.f_frsize, said.f_files or None, os.stat(tmp_path).st_dev)
    assert found.capacity is not None
    assert found.used is not None
    assert found.available is not None
    assert 0 < found.used + found.available <= found.capacity


def test_a_filesystem_without_a_number_of_inodes() -> None:
    """As btrfs and proc have none."""
    found = probe_filesystem("/proc")
    assert (found.inodes, found.inodes_used, found.capacity) == (None, None, 0)


def on(device: int | None, role: str, path: str) -> Filesystem:
    return Filesystem((role,), path, device, error="" if device else "broken")


def test_roles_on_one_device_are_one_filesystem() -> None:
    assert merge([on(1, "node", "/a"), on(2, "image", "/b"), on(1, "container", "/c")]) == (
        Filesystem(("node", "container"), "/a", 1),
        Filesystem(("image",), "/b", 2),
    )


def test_broken_ones_are_merged_by_path_only() -> None:
    merged = merge([on(None, "node", "/a"), on(None, "image", "/b"), on(None, "container", "/b")])
    assert [(entry.roles, entry.mountpoint) for entry in merged] == [(("node",), "/a"), (("image", "container"), "/b")]


def test_reading(tmp_path: Path) -> None:
    filesystems = Filesystems()
    (found,) = filesystems.read({"container": str(tmp_path), "node": str(tmp_path)})
    filesystems.close()
    assert (found.roles, found.error) == (("node", "container"), "")


class Mounts:
    """Answers for every path but those that hang."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.hangs = {"/hangs"}
        self.released = threading.Event()

    def probe(self, path: str) -> Filesystem:
        self.asked.append(path)
        if path in self.hangs:
            self.released.wait()
        if path == "/broken":
            raise OSError(5, "Input/output error")
        return Filesystem((), path, device=len(path), capacity=1)


@pytest.fixture
def mounts() -> Mounts:
    return Mounts()


@pytest.fixture
def filesystems(mounts: Mounts) -> Iterator[Filesystems]:
    filesystems = Filesystems(mounts.probe)
    yield filesystems
    mounts.released.set()
    filesystems.close()
    for thread in threads():
        thread.join(5)
    assert threads() == []


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("statvfs")]


def test_one_that_hangs_takes_no_other_with_it(filesystems: Filesystems) -> None:
    hung, well = filesystems.read({"node": "/hangs", "image": "/well"}, deadline=0.2)
    assert (hung.capacity, hung.error) == (None, "the filesystem does not answer; is it mounted over a network?")
    assert (well.capacity, well.error) == (1, "")


def test_one_that_hangs_is_not_asked_again_until_it_answers(mounts: Mounts, filesystems: Filesystems) -> None:
    for _sample in range(3):
        assert filesystems.read({"node": "/hangs"}, deadline=0.05)[0].error
    assert mounts.asked == ["/hangs"]
    assert [thread.name for thread in threads()].count("statvfs /hangs") == 1
    mounts.hangs.clear()
    mounts.released.set()
    assert filesystems.read({"node": "/hangs"}, deadline=5)[0].capacity == 1
    assert filesystems.read({"node": "/hangs"}, deadline=5)[0].capacity == 1
    assert len(mounts.asked) in (2, 3)


def test_one_that_fails_says_why(filesystems: Filesystems) -> None:
    assert filesystems.read({"node": "/broken"})[0].error == "Input/output error"


def test_threads_do_not_add_up(filesystems: Filesystems) -> None:
    for number in range(20):
        filesystems.read({"node": "/well", "image": f"/moves/{number}"})
        for thread in threads():
            if thread.name not in ("statvfs /well", f"statvfs /moves/{number}"):
                thread.join(5)
    assert {thread.name for thread in threads()} == {"statvfs /well", "statvfs /moves/19"}


@pytest.mark.parametrize("name", ["io.containerd.snapshotter.v1.devmapper", "devmapper"])
def test_a_thin_pool_is_unknown(tmp_path: Path, name: str) -> None:
    pool = tmp_path / name
    pool.mkdir()
    asker = Filesystems()
    node, image = asker.read({"node": str(tmp_path), "image": str(pool)})
    asker.close()
    assert node.capacity is not None
    assert (image.roles, image.capacity, image.available) == (("image",), None, None)
    assert image.error == "images lie in a thin pool of the device mapper, of which no filesystem tells how full it is"
