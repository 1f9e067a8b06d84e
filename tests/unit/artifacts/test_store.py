# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.artifacts.catalogue import Item
from ansible_collections.nodewise.cluster.plugins.module_utils.artifacts.store import Store, parse_sums
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError


class Fake:
    """A source that notes how often it is asked."""

    name = "fake"

    def __init__(self, content: bytes = b"content", log: Path | None = None, pause: float = 0.0) -> None:
        self.content = content
        self.log = log
        self.pause = pause
        self.asked = 0
        self.print = "1"

    def verb(self) -> str:
        return "faking"

    def fingerprint(self, item: Item) -> str:
        return self.print

    def fetch(self, item: Item, target: Path) -> None:
        self.asked += 1
        if self.log:
            with self.log.open("a") as handle:
                handle.write("fetched\n")
        time.sleep(self.pause)
        target.write_bytes(self.content)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


def test_a_file_is_fetched_once_recorded_and_summed(store: Store, kit: Any) -> None:
    item, source = kit.item("kubelet"), Fake()
    record = store.obtain(item, source)
    assert store.obtain(item, source) == record
    assert source.asked == 1
    assert record.sha256 == kit.digest(b"content")
    assert store.path(item).read_bytes() == b"content"
    assert os.access(store.path(item), os.X_OK)
    assert (store.root / "SHA256SUMS").read_text() == f"{kit.digest(b'content')}  bin/kubelet-1.37.2-amd64\n"


def test_a_truncated_file_is_never_used(store: Store, kit: Any) -> None:
    item, source = kit.item("kubelet"), Fake()
    store.obtain(item, source)
    os.truncate(store.path(item), 3)
    assert store.have(item, "1") is None
    store.obtain(item, source)
    assert (source.asked, store.path(item).read_bytes()) == (2, b"content")


def test_a_corrupt_file_of_the_same_size_is_never_used(store: Store, kit: Any) -> None:
    item, source = kit.item("kubelet"), Fake()
    store.obtain(item, source)
    store.path(item).write_bytes(b"CONTENT")
    assert store.have(item, "1") is None
    store.obtain(item, source)
    assert (source.asked, store.path(item).read_bytes()) == (2, b"content")


def test_a_file_only_touched_is_read_again_and_kept(store: Store, kit: Any) -> None:
    item, source = kit.item("kubelet"), Fake()
    store.obtain(item, source)
    os.utime(store.path(item), (1, 1))
    record = store.have(item, "1")
    assert record is not None and record.mtime_ns == 1_000_000_000
    assert source.asked == 1


def test_an_untouched_file_is_not_read(store: Store, kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    item = kit.item("kubelet")
    store.obtain(item, Fake())
    monkeypatch.setattr("ansible_collections.nodewise.cluster.plugins.module_utils.artifacts.store.sha256_file", lambda path: pytest.fail("read"))
    assert store.have(item, "1") is not None


def test_a_stale_file_is_fetched_again(store: Store, kit: Any) -> None:
    item, source = kit.item("kubelet"), Fake()
    store.obtain(item, source)
    source.print, source.content = "2", b"newer"
    assert store.obtain(item, source).sha256 == kit.digest(b"newer")


def test_a_file_that_the_sums_lack_is_entered_without_another_fetch(store: Store, kit: Any) -> None:
    item, source = kit.item("kubelet"), Fake()
    record = store.obtain(item, source)
    assert store.listed(item, record)
    (store.root / "SHA256SUMS").unlink()
    assert not store.listed(item, record)
    assert store.obtain(item, source) == record
    assert source.asked == 1
    assert (store.root / "SHA256SUMS").read_text() == f"{record.sha256}  {item.path}\n"


def test_sums_that_cannot_be_read_are_named(store: Store, kit: Any) -> None:
    item = kit.item("kubelet")
    record = store.obtain(item, Fake())
    (store.root / "SHA256SUMS").unlink()
    (store.root / "SHA256SUMS").mkdir()
    with pytest.raises(NodewiseError, match=r"The cache .*/cache has no readable SHA256SUMS: "):
        store.listed(item, record)


def test_a_failed_fetch_leaves_nothing_that_looks_whole(store: Store, kit: Any) -> None:
    class Breaking(Fake):
        def fetch(self, item: Item, target: Path) -> None:
            target.write_bytes(b"half")
            raise NodewiseError("broken")

    with pytest.raises(NodewiseError, match="broken"):
        store.obtain(kit.item("kubelet"), Breaking())
    assert not store.path(kit.item("kubelet")).exists()
    assert store.have(kit.item("kubelet"), "1") is None


def test_a_file_without_its_record_is_not_trusted(store: Store, kit: Any) -> None:
    item = kit.item("kubelet")
    store.obtain(item, Fake())
    for record in (store.private / "records").iterdir():
        record.write_text("{not json")
    assert store.have(item, "1") is None


def _obtain(root: Path, item: Item, log: Path) -> None:
    Store(root).obtain(item, Fake(log=log, pause=0.3))


def test_two_processes_at_once_fetch_once(tmp_path: Path, kit: Any) -> None:
    log = tmp_path / "log"
    context = multiprocessing.get_context("fork")
    both = [context.Process(target=_obtain, args=(tmp_path / "cache", kit.item("kubelet"), log)) for _number in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    assert log.read_text() == "fetched\n"


def test_processes_with_different_items_keep_each_others_sums(tmp_path: Path, kit: Any) -> None:
    context = multiprocessing.get_context("fork")
    items = [item for item in kit.items() if item.kind == "bin"]
    processes = [context.Process(target=_obtain, args=(tmp_path / "cache", item, tmp_path / "log")) for item in items]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    sums = parse_sums((tmp_path / "cache" / "SHA256SUMS").read_text(), "sums")
    assert sorted(sums) == sorted(item.path for item in items)


def test_a_cache_that_cannot_be_written_is_an_error_with_a_remedy(tmp_path: Path, kit: Any) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NodewiseError, match=r"The cache .*/file cannot be written: .*Remedy: .*artifacts_cache"):
        Store(tmp_path / "file").obtain(kit.item("kubelet"), Fake())


def test_sums_in_all_forms_of_sha256sum() -> None:
    one = "a" * 64
    assert parse_sums(f"{one}  bin/x\n{one} *bin/y\n\n{one}  ./bin/z\n", "here") == {"bin/x": one, "bin/y": one, "bin/z": one}


@pytest.mark.parametrize("line", ["<html>", "abc  bin/x", "g" * 64 + "  bin/x", "a" * 64, "a" * 64 + "  "])
def test_malformed_sums_name_file_and_line(line: str) -> None:
    with pytest.raises(NodewiseError, match=r"/m/SHA256SUMS, line 2, is not '<sha256>  <path>'"):
        parse_sums(f"{'a' * 64}  fine\n{line}\n", "/m/SHA256SUMS")
