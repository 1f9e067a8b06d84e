# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.artifacts import oci
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError


def _write(folder: Path) -> Path:
    (folder / "program").write_bytes(b"program")
    entries = [oci.Entry("usr/bin/program", folder / "program", 0o755), oci.Entry("data", owner=999), oci.Entry("link", link="usr/bin/program")]
    layer = oci.write_layer(entries, folder / "layer")
    oci.write_image(folder / "image.tar", "example.org/x:v1", "amd64", [layer], oci.Process(("/usr/bin/program",), user="999"))
    return folder / "image.tar"


def test_the_same_files_give_the_same_bytes_at_any_time(tmp_path: Path) -> None:
    archives = []
    for name, when in (("a", 1), ("b", 10**9)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "program").write_bytes(b"program")
        os.utime(tmp_path / name / "program", (when, when))
        archives.append(_write(tmp_path / name).read_bytes())
    assert archives[0] == archives[1]


def test_a_layer_has_every_parent_once_and_nothing_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    entries = [
        oci.Entry("opt/bin/b", link="opt/bin/a", hard=True),
        oci.Entry("opt/bin/a", tmp_path / "file", capability=1 << 10),
        oci.Entry("tmp", mode=0o1777),
    ]
    with (tmp_path / "layer.tar").open("wb") as stream:
        oci.write_tar(entries, stream)
    with tarfile.open(tmp_path / "layer.tar") as archive:
        members = archive.getmembers()
        assert [member.name for member in members] == ["opt", "opt/bin", "opt/bin/a", "tmp", "opt/bin/b"]
        assert {(member.mtime, member.uname, member.uid) for member in members} == {(0, "", 0)}
        assert archive.getmember("tmp").mode == 0o1777
        assert archive.getmember("opt/bin/b").islnk()
        capability = archive.getmember("opt/bin/a").pax_headers["SCHILY.xattr.security.capability"].encode()
    assert capability == bytes.fromhex("0100000200040000000000000000000000000000")


def test_what_an_archive_says_about_itself(tmp_path: Path) -> None:
    image = oci.describe(_write(tmp_path), "amd64")
    with tarfile.open(tmp_path / "image.tar") as archive:
        names = archive.getnames()
        config = json.load(archive.extractfile("blobs/" + image.config.replace(":", "/")))  # type: ignore[arg-type]
    assert config["config"]["User"] == "999"
    assert config["config"]["Entrypoint"] == ["/usr/bin/program"]
    assert {f"blobs/{blob.replace(':', '/')}" for blob in image.blobs} == {name for name in names if name.startswith("blobs/")}


def test_an_archive_for_another_architecture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NodewiseError, match=r"image\.tar is not an OCI archive of one arm64 image: its image is for amd64, not arm64\. Remedy: .*skopeo"):
        oci.describe(_write(tmp_path), "arm64")


@pytest.mark.parametrize("content", [b"", b"not a tar at all"])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(NodewiseError, match=r"x\.tar is not an OCI archive"):
        oci.describe(tmp_path / "x.tar", "amd64")


def test_an_archive_that_lacks_a_blob_is_refused(tmp_path: Path) -> None:
    path = _write(tmp_path)
    with tarfile.open(path) as whole, tarfile.open(tmp_path / "cut.tar", "w") as cut:
        for member in whole.getmembers()[:1] + whole.getmembers()[2:]:
            cut.addfile(member, whole.extractfile(member))
    with pytest.raises(NodewiseError, match=r"cut\.tar is not an OCI archive"):
        oci.describe(tmp_path / "cut.tar", "amd64")


def test_the_right_one_of_several_architectures_is_taken(tmp_path: Path, kit: Any) -> None:
    """An index in the index, as skopeo copy --all writes it."""
    kit.image_file(tmp_path / "amd64.tar", "x:v1", "amd64", b"a")
    kit.image_file(tmp_path / "arm64.tar", "x:v1", "arm64", b"b")
    found = {arch: oci.describe(tmp_path / f"{arch}.tar", arch) for arch in ("amd64", "arm64")}
    inner = json.dumps({"manifests": [{**image.manifest, "platform": {"architecture": arch}} for arch, image in found.items()]}).encode()
    (tmp_path / "inner").write_bytes(inner)
    digest = kit.digest(inner)
    (tmp_path / "index").write_text(json.dumps({"manifests": [{"mediaType": oci.INDEX, "digest": f"sha256:{digest}", "size": len(inner)}]}))
    with tarfile.open(tmp_path / "both.tar", "w") as both:
        both.add(tmp_path / "index", "index.json")
        both.add(tmp_path / "inner", f"blobs/sha256/{digest}")
        for arch in found:
            with tarfile.open(tmp_path / f"{arch}.tar") as one:
                for member in one.getmembers():
                    if member.name.startswith("blobs/"):
                        both.addfile(member, one.extractfile(member))
    assert oci.describe(tmp_path / "both.tar", "arm64") == found["arm64"]


def test_merged_images_share_their_layers(tmp_path: Path) -> None:
    (tmp_path / "base").write_bytes(os.urandom(100_000))
    base = oci.write_layer([oci.Entry("base", tmp_path / "base")], tmp_path / "base.layer")
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
        layer = oci.write_layer([oci.Entry(name, tmp_path / name)], tmp_path / f"{name}.layer")
        oci.write_image(tmp_path / f"{name}.tar", "left/over:v0", "amd64", [base, layer], oci.Process())
    oci.merge([(tmp_path / "a.tar", "example.org/a:v1"), (tmp_path / "b.tar", "example.org/b:v2")], "amd64", tmp_path / "both.tar")
    with tarfile.open(tmp_path / "both.tar") as archive:
        index = json.load(archive.extractfile("index.json"))  # type: ignore[arg-type]
        names = archive.getnames()
    assert len(names) == len(set(names)) == 2 + 7
    assert [one["annotations"]["io.containerd.image.name"] for one in index["manifests"]] == ["example.org/a:v1", "example.org/b:v2"]
    assert (tmp_path / "both.tar").stat().st_size < 150_000


def test_without_zstd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NodewiseError, match=r"The program zstd is missing.*Remedy: install the package zstd"):
        _write(tmp_path)


def test_a_compressor_that_fails_is_named(tmp_path: Path, kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kit.script(tmp_path / "path" / "zstd", "exit 3")
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    (tmp_path / "big").write_bytes(bytes(1 << 20))
    with pytest.raises(NodewiseError, match=r"zstd ended with status 3 while writing .*/layer\. Remedy: look for a full disk"):
        oci.write_layer([oci.Entry("big", tmp_path / "big")], tmp_path / "layer")
