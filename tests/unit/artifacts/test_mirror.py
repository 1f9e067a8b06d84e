# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.artifacts.mirror import MirrorSource, export
from ansible_collections.nodewise.cluster.plugins.module_utils.artifacts.store import Store
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError

KUBELET = "bin/kubelet-1.37.2-amd64"


def _serve(web: Any, root: Path) -> None:
    web.files = {f"/m/{path.relative_to(root)}": path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture(params=["folder", "http"])
def address(request: pytest.FixtureRequest, mirror: Path, web: Any) -> str:
    _serve(web, mirror)
    return str(mirror) if request.param == "folder" else f"{web.url}/m/"


def _damage(mirror: Path, web: Any, content: bytes) -> None:
    (mirror / KUBELET).write_bytes(content)
    _serve(web, mirror)


def test_everything_comes_whole_out_of_it(address: str, mirror: Path, kit: Any, tmp_path: Path) -> None:
    source, store = MirrorSource(address), Store(tmp_path / "cache")
    for item in kit.items():
        store.obtain(item, source)
        assert store.path(item).read_bytes() == (mirror / item.path).read_bytes()


@pytest.mark.parametrize("content", [b"", b"kub", b"KUBELET\n"], ids=["empty", "truncated", "corrupt"])
def test_a_damaged_file_is_named_and_not_used(address: str, mirror: Path, web: Any, kit: Any, tmp_path: Path, content: bytes) -> None:
    _damage(mirror, web, content)
    store = Store(tmp_path / "cache")
    with pytest.raises(NodewiseError) as caught:
        store.obtain(kit.item("kubelet"), MirrorSource(address))
    for part in ("kubelet-1.37.2-amd64", address.rstrip("/"), kit.digest(content), f"({len(content)} bytes)", kit.digest(b"kubelet\n"), "Remedy:"):
        assert part in str(caught.value)
    assert not store.path(kit.item("kubelet")).exists()


def test_a_file_that_the_sums_do_not_name(address: str, kit: Any) -> None:
    with pytest.raises(NodewiseError, match=r"has no bin/kubelet-1\.37\.2-arm64 \(not in its SHA256SUMS\)\. Remedy: make the mirror anew"):
        MirrorSource(address).fingerprint(kit.item("kubelet", "arm64"))


def test_a_file_that_is_only_in_the_sums(address: str, mirror: Path, web: Any, kit: Any, tmp_path: Path) -> None:
    (mirror / KUBELET).unlink()
    _serve(web, mirror)
    with pytest.raises(NodewiseError, match=r"kubelet-1\.37\.2-amd64(, though its SHA256SUMS names it| cannot be fetched: HTTP 404)"):
        Store(tmp_path / "cache").obtain(kit.item("kubelet"), MirrorSource(address))


def _break(path: Path) -> None:
    """Make a file whose reading ends in EIO: no process may read its own memory from address 0 on."""
    path.unlink()
    path.symlink_to("/proc/self/mem")


def test_a_mirror_that_cannot_be_read_is_not_the_caches_fault(mirror: Path, kit: Any, tmp_path: Path) -> None:
    _break(mirror / KUBELET)
    with pytest.raises(NodewiseError) as caught:
        Store(tmp_path / "cache").obtain(kit.item("kubelet"), MirrorSource(str(mirror)))
    assert str(caught.value).startswith(f"The file {KUBELET} of the mirror {mirror} cannot be read: Input/output error. Remedy: look at the mirror")


def test_a_cache_that_cannot_be_read_is_not_the_fault_of_the_mirror_to_be_made(mirror: Path, kit: Any, tmp_path: Path) -> None:
    _break(mirror / KUBELET)
    with pytest.raises(NodewiseError, match=r"The cache file .*kubelet-1\.37\.2-amd64 cannot be read: Input/output error\. Remedy: look at its permissions"):
        export(tmp_path / "made", [(kit.item("kubelet"), mirror / KUBELET, "a" * 64)])


def test_a_cache_on_a_full_disk_is_not_the_mirrors_fault(mirror: Path, kit: Any, tmp_path: Path) -> None:
    parts = tmp_path / "cache" / ".nodewise" / "parts"
    parts.mkdir(parents=True)
    (parts / KUBELET.replace("/", "_")).symlink_to("/dev/full")
    with pytest.raises(NodewiseError, match=r"The cache .*/cache cannot be written: .*No space left on device.* Remedy: free some space there"):
        Store(tmp_path / "cache").obtain(kit.item("kubelet"), MirrorSource(str(mirror)))


def test_a_changed_mirror_replaces_what_was_cached(mirror: Path, kit: Any, tmp_path: Path) -> None:
    store = Store(tmp_path / "cache")
    store.obtain(kit.item("kubelet"), MirrorSource(str(mirror)))
    (mirror / KUBELET).write_bytes(b"rebuilt")
    sums = (mirror / "SHA256SUMS").read_text()
    (mirror / "SHA256SUMS").write_text(sums.replace(kit.digest(b"kubelet\n"), kit.digest(b"rebuilt")))
    assert store.obtain(kit.item("kubelet"), MirrorSource(str(mirror))).sha256 == kit.digest(b"rebuilt")


def test_malformed_sums(mirror: Path, kit: Any) -> None:
    (mirror / "SHA256SUMS").write_text("<html>not found</html>\n")
    with pytest.raises(NodewiseError, match=r"/mirror/SHA256SUMS, line 1, is not"):
        MirrorSource(str(mirror)).fingerprint(kit.item("kubelet"))


def test_no_mirror_there(tmp_path: Path, kit: Any) -> None:
    with pytest.raises(NodewiseError, match=r"The mirror .*/none has no readable SHA256SUMS.*Remedy: set artifacts_mirror"):
        MirrorSource(str(tmp_path / "none")).fingerprint(kit.item("kubelet"))


def test_a_mirror_is_made_from_a_cache_and_kept_up_to_date(mirror: Path, kit: Any, tmp_path: Path) -> None:
    files = [(item, mirror / item.path, kit.digest((mirror / item.path).read_bytes())) for item in kit.items()]
    target = tmp_path / "made"
    assert export(target, files, predict=True) == [item.path for item in kit.items()]
    assert not target.exists()
    assert export(target, files) == [item.path for item in kit.items()]
    assert export(target, files) == []
    assert sorted((target / "SHA256SUMS").read_text().splitlines()) == sorted((mirror / "SHA256SUMS").read_text().splitlines())
    os.truncate(target / KUBELET, 2)
    assert export(target, files) == [KUBELET]
    assert MirrorSource(str(target)).fingerprint(kit.item("kubelet")) == kit.digest(b"kubelet\n")


def test_a_mirror_whose_disk_was_full_is_made_whole_by_the_next_run(mirror: Path, kit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [(kit.item("kubelet"), mirror / KUBELET, kit.digest(b"kubelet\n"))]
    target = tmp_path / "made"

    def full(store: Store, item: Any, digest: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as context:
        context.setattr(Store, "_sum", full)
        with pytest.raises(NodewiseError, match="No space left"):
            export(target, files)
    assert export(target, files, predict=True) == [KUBELET]
    assert export(target, files) == [KUBELET]
    assert MirrorSource(str(target)).fingerprint(kit.item("kubelet")) == kit.digest(b"kubelet\n")
    assert export(target, files) == []


def test_a_mirror_in_which_an_older_run_left_a_line_out_gets_it(mirror: Path, kit: Any, tmp_path: Path) -> None:
    files = [(item, mirror / item.path, kit.digest((mirror / item.path).read_bytes())) for item in kit.items()]
    target = tmp_path / "made"
    export(target, files)
    whole = (target / "SHA256SUMS").read_text()
    (target / "SHA256SUMS").write_text("".join(line for line in whole.splitlines(keepends=True) if KUBELET not in line))
    assert export(target, files, predict=True) == [KUBELET]
    assert export(target, files) == [KUBELET]
    assert (target / "SHA256SUMS").read_text() == whole


def test_a_damaged_cache_does_not_get_into_a_mirror(mirror: Path, kit: Any, tmp_path: Path) -> None:
    with pytest.raises(NodewiseError, match=r"kubelet-1.37.2-amd64 from the cache file .*not installed"):
        export(tmp_path / "made", [(kit.item("kubelet"), mirror / KUBELET, "a" * 64)])
