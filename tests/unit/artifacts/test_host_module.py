# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.nodewise.cluster.plugins.module_utils.artifacts import host
from ansible_collections.nodewise.cluster.plugins.module_utils.artifacts.bundle import file_bundle
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.modules import host_artifacts


@pytest.fixture
def record(tmp_path: Path, kit: Any) -> dict[str, Any]:
    path = tmp_path / "cache" / "gomod" / "bin" / "kubelet"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"kubelet")
    return {
        "name": "kubelet",
        "kind": "bin",
        "arch": "amd64",
        "nodes": "all",
        "path": str(path),
        "sha256": kit.digest(b"kubelet"),
        "size": 7,
        "dest": str(tmp_path / "host" / "kubelet"),
        "mode": "0755",
        "image": "",
        "image_id": "",
    }


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """Return a function that runs the module and gives its result."""
    monkeypatch.setattr(host, "STAMPS", str(tmp_path / "stamps.json"))
    monkeypatch.setattr(host.Files.__init__, "__defaults__", (str(tmp_path / "stamps.json"),))

    def call(**arguments: Any) -> dict[str, Any]:
        with patch_module_args({"kind": "files", "arch": "amd64", **arguments}), pytest.raises(SystemExit):
            host_artifacts.main()
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        return result

    return call


def _sent(record: dict[str, Any], tmp_path: Path) -> str:
    """Lay a bundle where the action plugin would send it."""
    folder = tmp_path / "remote" / "ansible-tmp-2"
    folder.mkdir(parents=True)
    os.link(file_bundle([record]), folder / "files-x.tar")
    return str(folder / "files-x.tar")


def test_without_a_bundle_it_only_tells(run: Any, record: dict[str, Any]) -> None:
    result = run(artifacts=[record])
    assert (result["changed"], result["missing"]) == (True, [record["dest"]])
    assert result["diff"]["before"] == f"{record['dest']} absent\n"
    assert result["diff"]["after"] == f"{record['dest']} 0755 {record['sha256']}\n"
    assert not Path(record["dest"]).exists()


def test_with_a_bundle_it_installs_once(run: Any, record: dict[str, Any], tmp_path: Path) -> None:
    bundle = _sent(record, tmp_path)
    left = tmp_path / "remote" / "ansible-tmp-1" / "files-y.tar"
    left.parent.mkdir()
    left.write_text("of a run that was killed long ago")
    os.utime(left, (1, 1))
    assert run(artifacts=[record], bundle=bundle)["changed"] is True
    assert Path(record["dest"]).read_bytes() == b"kubelet"
    assert not Path(bundle).exists() and not left.exists()
    again = run(artifacts=[record])
    assert (again["changed"], again["missing"], again["diff"]["after"]) == (False, [], "")


def test_check_mode_changes_nothing_even_with_a_bundle(run: Any, record: dict[str, Any], tmp_path: Path) -> None:
    assert run(artifacts=[record], bundle=_sent(record, tmp_path), _ansible_check_mode=True)["changed"] is True
    assert not Path(record["dest"]).exists()


def test_a_damaged_file_fails_and_is_named(run: Any, record: dict[str, Any], tmp_path: Path) -> None:
    bundle = _sent(record, tmp_path)
    with tarfile.open(bundle, "w") as archive:
        member = tarfile.TarInfo(record["sha256"])
        member.size = 7
        archive.addfile(member, io.BytesIO(b"KUBELET"))
    result = run(artifacts=[record], bundle=bundle)
    assert result["failed"] and "/host/kubelet arrived with SHA-256" in result["msg"]
    assert not Path(record["dest"]).exists()


def test_a_place_that_cannot_be_written_fails_with_a_remedy(run: Any, record: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "host").write_text("a file where a folder must be")
    result = run(artifacts=[record], bundle=_sent(record, tmp_path))
    assert result["failed"] and "cannot be put in place" in result["msg"] and "Remedy:" in result["msg"]


def test_a_bare_host_predicts_its_images_and_a_broken_one_fails(run: Any, record: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> dict[str, str]:
        raise NodewiseError("The program crictl is not installed.")

    monkeypatch.setattr(host_artifacts, "present_images", absent)
    image = {**record, "kind": "image", "image": "registry.k8s.io/pause:3.10.2", "image_id": "sha256:1", "dest": ""}
    predicted = run(artifacts=[image], kind="images", _ansible_check_mode=True)
    assert (predicted["changed"], predicted["missing"]) == (True, ["registry.k8s.io/pause:3.10.2"])
    assert "not installed" in run(artifacts=[image], kind="images")["msg"]


def test_whoever_brings_files_tells_which_images_are_missing(run: Any, record: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    images = [{**record, "kind": "image", "image": name, "image_id": f"sha256:{name}", "dest": ""} for name in ("here", "gone", "other")]
    monkeypatch.setattr(host_artifacts, "present_images", lambda: {"here": "sha256:here", "other": "sha256:0"})
    assert run(artifacts=[record, *images])["images_missing"] == ["gone", "other"]
    assert run(artifacts=[record, images[0]])["images_missing"] == []

    def absent() -> dict[str, str]:
        raise NodewiseError("The program crictl is not installed.")

    monkeypatch.setattr(host_artifacts, "present_images", absent)
    assert run(artifacts=[record, *images])["images_missing"] is None


def test_images_are_loaded_from_the_bundle(run: Any, record: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    monkeypatch.setattr(host_artifacts, "present_images", lambda: {"registry.k8s.io/pause:3.10.2": "sha256:0"})
    monkeypatch.setattr(host_artifacts, "import_images", lambda missing, bundle: loaded.append(bundle))
    image = {**record, "kind": "image", "image": "registry.k8s.io/pause:3.10.2", "image_id": "sha256:1", "dest": ""}
    result = run(artifacts=[image], kind="images", bundle="/sent/images-x.tar")
    assert loaded == ["/sent/images-x.tar"]
    assert result["diff"] == {
        "before_header": "artifacts",
        "after_header": "artifacts",
        "before": "registry.k8s.io/pause:3.10.2 sha256:0\n",
        "after": "registry.k8s.io/pause:3.10.2 sha256:1\n",
    }
