# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.artifacts import bundle as bundles
from ansible_collections.nodewise.cluster.plugins.module_utils.artifacts import host as subject
from ansible_collections.nodewise.cluster.plugins.module_utils.artifacts.bundle import file_bundle, image_bundle
from ansible_collections.nodewise.cluster.plugins.module_utils.artifacts.host import (
    Files,
    HostFile,
    HostImage,
    import_images,
    missing_images,
    present_images,
    select,
)
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError


@pytest.fixture
def cache(tmp_path: Path, kit: Any) -> Callable[..., dict[str, Any]]:
    """Return a function that puts a file into a cache and describes it, to land in <tmp>/host."""

    def put(name: str, content: bytes, mode: str = "0755") -> dict[str, Any]:
        path = tmp_path / "cache" / "gomod" / "bin" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return {
            "path": str(path),
            "sha256": kit.digest(content),
            "size": len(content),
            "dest": str(tmp_path / "host" / name),
            "mode": mode,
            "image": "",
            "arch": "amd64",
            "kind": "bin",
            "nodes": "all",
        }

    return put


def _files(records: list[dict[str, Any]], tmp_path: Path) -> Files:
    return Files([HostFile(one["dest"], one["sha256"], one["size"], int(one["mode"], 8)) for one in records], str(tmp_path / "stamps.json"))


def _install(records: list[dict[str, Any]], tmp_path: Path) -> Files:
    files = _files(records, tmp_path)
    files.install(files.missing(), str(file_bundle(records)))
    files.save()
    return files


def test_what_a_bare_host_lacks_is_everything_and_then_nothing(cache: Any, tmp_path: Path) -> None:
    records = [cache("kubelet", b"k" * 5000), cache("calico.yaml", b"kind: List\n", "0644"), cache("empty", b"")]
    assert len(_files(records, tmp_path).missing()) == 3
    _install(records, tmp_path)
    assert _files(records, tmp_path).missing() == []
    for one in records:
        assert Path(one["dest"]).read_bytes() == Path(one["path"]).read_bytes()
        assert oct(Path(one["dest"]).stat().st_mode & 0o7777) == oct(int(one["mode"], 8))
    assert sorted(path.name for path in (tmp_path / "host").iterdir()) == ["calico.yaml", "empty", "kubelet"]


def test_two_files_of_the_same_content_both_land(cache: Any, tmp_path: Path) -> None:
    _install([cache("a", b"same"), cache("b", b"same")], tmp_path)
    assert (tmp_path / "host" / "a").read_bytes() == (tmp_path / "host" / "b").read_bytes() == b"same"


@pytest.mark.parametrize(
    "drift",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b"KUBELET"),
        lambda path: os.truncate(path, 2),
        lambda path: path.chmod(0o700),
        lambda path: (path.rename(path.with_suffix(".real")), path.symlink_to(path.with_suffix(".real"))),
        lambda path: (path.unlink(), path.mkdir()),
    ],
    ids=["gone", "corrupt", "truncated", "mode", "link", "folder"],
)
def test_drift_is_found(cache: Any, tmp_path: Path, drift: Callable[[Path], None]) -> None:
    records = [cache("kubelet", b"kubelet"), cache("other", b"other")]
    _install(records, tmp_path)
    drift(tmp_path / "host" / "kubelet")
    assert [one.dest for one in _files(records, tmp_path).missing()] == [records[0]["dest"]]


def test_a_whole_file_is_not_read_again(cache: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [cache("kubelet", b"kubelet")]
    _install(records, tmp_path)
    monkeypatch.setattr(subject, "sha256_file", lambda path: pytest.fail("read"))
    assert _files(records, tmp_path).missing() == []


@pytest.mark.parametrize("stamps", ["", "{not json", "[]"])
def test_damaged_stamps_only_cost_reading(cache: Any, tmp_path: Path, stamps: str) -> None:
    records = [cache("kubelet", b"kubelet")]
    _install(records, tmp_path)
    (tmp_path / "stamps.json").write_text(stamps)
    assert _files(records, tmp_path).missing() == []


def test_a_file_put_there_by_hand_counts(cache: Any, tmp_path: Path) -> None:
    record = cache("kubelet", b"kubelet")
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "kubelet").write_bytes(b"kubelet")
    (tmp_path / "host" / "kubelet").chmod(0o755)
    assert _files([record], tmp_path).missing() == []


def test_a_file_damaged_on_the_way_is_not_installed(cache: Any, tmp_path: Path) -> None:
    record = cache("kubelet", b"kubelet")
    bundle = tmp_path / "bundle.tar"
    with tarfile.open(bundle, "w") as archive:
        member = tarfile.TarInfo(record["sha256"])
        member.size = 7
        archive.addfile(member, io.BytesIO(b"KUBELET"))
    files = _files([record], tmp_path)
    with pytest.raises(NodewiseError, match=r"/host/kubelet arrived with SHA-256 .*, expected .*It was not installed\. Remedy: run the playbook again"):
        files.install(files.missing(), str(bundle))
    assert list((tmp_path / "host").iterdir()) == []


@pytest.mark.parametrize("content", [b"KUBELET", b"kubelet and more", b"kub"])
def test_a_file_damaged_in_the_cache_is_not_sent_and_a_whole_one_is(cache: Any, tmp_path: Path, content: bytes) -> None:
    record = cache("kubelet", b"kubelet")
    Path(record["path"]).write_bytes(content)
    with pytest.raises(NodewiseError, match=r"/bin/kubelet has SHA-256 .*, expected .*Nothing was sent\. Remedy: remove that file, and run the task"):
        file_bundle([record])
    assert sorted(path.name for path in (tmp_path / "cache").rglob("*") if path.is_file()) == ["kubelet", "lock"]
    Path(record["path"]).write_bytes(b"kubelet")
    assert _install([record], tmp_path).missing() == []


def test_a_bundle_that_lacks_a_file(cache: Any, tmp_path: Path) -> None:
    there, lacking = cache("a", b"a"), cache("b", b"b")
    files = _files([there, lacking], tmp_path)
    with pytest.raises(NodewiseError, match=r"What was sent lacks .*/host/b\."):
        files.install(files.missing(), str(file_bundle([there])))


def test_a_predicted_file_is_missing(cache: Any, tmp_path: Path) -> None:
    record = {**cache("kubelet", b"kubelet"), "sha256": ""}
    assert len(_files([record], tmp_path).missing()) == 1


def test_what_a_killed_run_left_goes_and_what_is_recent_stays(cache: Any, tmp_path: Path) -> None:
    (tmp_path / "host").mkdir()
    for name in ("old", "new"):
        (tmp_path / "host" / f".nodewise-{name}").write_bytes(b"half")
    os.utime(tmp_path / "host" / ".nodewise-old", (1, 1))
    _install([cache("kubelet", b"kubelet")], tmp_path)
    assert sorted(path.name for path in (tmp_path / "host").iterdir()) == [".nodewise-new", "kubelet"]


def test_a_bundle_is_made_once_for_all_hosts_and_its_pieces_for_all_bundles(cache: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = cache("a", b"a" * 2000), cache("b", b"b" * 2000)
    first = file_bundle([a, b])
    with tarfile.open(first, "r:gz") as archive:
        assert [(member.name, member.size) for member in archive] == [(a["sha256"], 2000), (b["sha256"], 2000)]
    monkeypatch.setattr(gzip, "GzipFile", lambda *arguments, **options: pytest.fail("compressed again"))
    assert file_bundle([a, b]) == first
    assert file_bundle([b]) != first


def test_a_bundle_that_was_sent_goes_and_with_it_those_of_killed_runs(tmp_path: Path) -> None:
    for folder, name, old in (("3", "files-a", False), ("2", "files-b", False), ("1", "files-c", True), ("1", "images-c", True)):
        path = tmp_path / f"ansible-tmp-{folder}" / f"{name}.tar"
        path.parent.mkdir(exist_ok=True)
        path.touch()
        if old:
            os.utime(path, (1, 1))
    bundle = tmp_path / "ansible-tmp-3" / "files-a.tar"
    subject.drop_bundle(str(bundle))
    assert sorted(path.name for path in tmp_path.glob("*/*")) == ["files-b.tar", "images-c.tar"]
    subject.drop_bundle(str(bundle))
    subject.drop_bundle(None)


def test_an_unused_bundle_goes(cache: Any) -> None:
    old = file_bundle([cache("a", b"a")])
    os.utime(old, (1, 1))
    file_bundle([cache("b", b"b")])
    assert not old.exists()


def test_a_cache_that_was_emptied_in_between(cache: Any) -> None:
    record = cache("a", b"a")
    Path(record["path"]).unlink()
    with pytest.raises(NodewiseError, match=r"The cache on the control machine lacks .*/bin/a\. Remedy: run the task that obtains"):
        file_bundle([record])


def test_images_make_one_archive_under_their_names(tmp_path: Path, kit: Any) -> None:
    folder = tmp_path / "cache" / "gomod" / "images"
    folder.mkdir(parents=True)
    records = []
    for name in ("a", "b"):
        kit.image_file(folder / f"{name}.tar", "left/over:v0", "amd64", name.encode())
        records.append({"path": str(folder / f"{name}.tar"), "image": f"example.org/{name}:v1", "sha256": name, "dest": ""})
    with tarfile.open(image_bundle(records, "amd64")) as archive:
        index = json.load(archive.extractfile("index.json"))  # type: ignore[arg-type]
    assert [one["annotations"]["io.containerd.image.name"] for one in index["manifests"]] == ["example.org/a:v1", "example.org/b:v1"]
    assert bundles.KEEP > 60


def test_an_image_damaged_in_the_cache_is_not_sent(tmp_path: Path, kit: Any) -> None:
    path = tmp_path / "cache" / "gomod" / "images" / "a.tar"
    path.parent.mkdir(parents=True)
    kit.image_file(path, "a:v1", "amd64", b"layer")
    with tarfile.open(path) as archive:
        index = json.load(archive.extractfile("index.json"))  # type: ignore[arg-type]
        manifest = json.load(archive.extractfile("blobs/sha256/" + index["manifests"][0]["digest"][7:]))  # type: ignore[arg-type]
        at = archive.getmember("blobs/sha256/" + manifest["layers"][0]["digest"][7:]).offset_data
    with path.open("r+b") as handle:
        handle.seek(at)
        byte = handle.read(1)
        handle.seek(at)
        handle.write(bytes([byte[0] ^ 1]))
    with pytest.raises(NodewiseError, match=r"a\.tar is damaged: its blob sha256:.* has SHA-256 .*Remedy: remove that file"):
        image_bundle([{"path": str(path), "image": "a:v1", "sha256": "a", "dest": ""}], "amd64")
    assert not list((tmp_path / "cache").rglob("images-*"))


RECORDS = [
    {"kind": "bin", "name": "kubelet", "arch": "amd64", "nodes": "all"},
    {"kind": "bin", "name": "calicoctl", "arch": "amd64", "nodes": "control_plane"},
    {"kind": "bin", "name": "kubelet", "arch": "arm64", "nodes": "all"},
    {"kind": "manifest", "name": "calico", "arch": "", "nodes": "control_plane"},
    {"kind": "image", "name": "pause", "arch": "amd64", "nodes": "all"},
    {"kind": "image", "name": "etcd", "arch": "amd64", "nodes": "control_plane"},
]


@pytest.mark.parametrize(
    ("kind", "control_plane", "names"),
    [
        ("files", True, ["kubelet", "calicoctl", "calico"]),
        ("files", False, ["kubelet"]),
        ("images", True, ["pause", "etcd"]),
        ("images", False, ["pause"]),
    ],
)
def test_a_host_gets_what_its_kind_needs(kind: str, control_plane: bool, names: list[str]) -> None:
    assert [one["name"] for one in select(RECORDS, kind, "amd64", control_plane)] == names


def test_a_host_of_an_architecture_that_was_not_obtained() -> None:
    with pytest.raises(NodewiseError, match=r"architecture arm64; there are some for amd64\. Remedy: add arm64 to artifacts_architectures"):
        select(RECORDS[:2], "files", "arm64", False)


def _containerd(kit: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, crictl: str, ctr: str = "exit 0") -> None:
    """Put stand-ins where crictl and ctr are run from."""
    for name, text in (("crictl", crictl), ("ctr", ctr)):
        kit.script(tmp_path / "bin" / name, text)
    run = subject._run
    monkeypatch.setattr(subject, "_run", lambda command: run([command[0].replace("/usr/local/bin", str(tmp_path / "bin")), *command[1:]]))


LISTING = '{"images": [{"id": "sha256:1", "repoTags": ["example.org/a:v1", "example.org/a:again"]}, {"id": "sha256:2", "repoTags": null}]}'


def test_images_are_compared_by_name_and_content(kit: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _containerd(kit, monkeypatch, tmp_path, f"echo '{LISTING}'")
    present = present_images()
    assert present == {"example.org/a:v1": "sha256:1", "example.org/a:again": "sha256:1"}
    same, changed, absent, predicted = (
        HostImage("example.org/a:v1", "sha256:1"),
        HostImage("example.org/a:again", "sha256:9"),
        HostImage("example.org/b:v1", "sha256:2"),
        HostImage("example.org/a:v1", ""),
    )
    assert missing_images([same, changed, absent, predicted], present) == [changed, absent, predicted]


def test_an_import_that_fails_says_what_ctr_said(kit: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _containerd(kit, monkeypatch, tmp_path, f"echo '{LISTING}'", "echo ctr: unexpected EOF >&2; exit 1")
    with pytest.raises(NodewiseError, match=r"images import.*ended with status 1: ctr: unexpected EOF.*Remedy: is containerd running"):
        import_images([HostImage("example.org/a:v1", "sha256:1")], "/bundle.tar")


def test_an_import_that_did_nothing_is_found_out(kit: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _containerd(kit, monkeypatch, tmp_path, f"echo '{LISTING}'")
    with pytest.raises(NodewiseError, match=r"After loading, containerd does not have example\.org/b:v1\."):
        import_images([HostImage("example.org/b:v1", "sha256:3")], "/bundle.tar")


def test_without_crictl(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = subject._run
    monkeypatch.setattr(subject, "_run", lambda command: run([str(tmp_path / "crictl"), *command[1:]]))
    with pytest.raises(NodewiseError, match=r"The program .*crictl is not installed\. Remedy: install the artifacts' files first"):
        present_images()
