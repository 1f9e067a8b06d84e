# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon's wheels: what fits which host, and that nothing but the locked bytes is ever taken."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.artifacts import wheel_cache, wheels
from ansible_collections.nodewise.cluster.plugins.module_utils.artifacts.wheel_cache import IndexSource, WheelRequest, export_wheels, missing, obtain
from ansible_collections.nodewise.cluster.plugins.module_utils.artifacts.wheels import PYTHONS, Wheel, all_locked, locked
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError

CONTENT = b"a wheel"
WHEEL = Wheel("one_thing-1.2-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl", sha256(CONTENT).hexdigest())


@pytest.mark.parametrize("arch", ["amd64", "arm64"])
@pytest.mark.parametrize("python", PYTHONS)
def test_every_host_gets_each_package_once(python: str, arch: str) -> None:
    found = locked(python, arch)
    assert sorted(wheel.item.name for wheel in found) == ["grpcio", "prometheus_client", "protobuf", "pyyaml", "typing_extensions"]
    assert {wheel.item.arch for wheel in found} == {arch, ""}
    assert [wheel.filename for wheel in found if f"-cp{python.replace('.', '')}-" in wheel.filename] != []


def test_every_wheel_of_the_lock_is_of_use() -> None:
    used = {wheel for python in PYTHONS for arch in ("amd64", "arm64") for wheel in locked(python, arch)}
    assert used == set(all_locked())


@pytest.mark.parametrize(("python", "arch"), [("3.10", "amd64"), ("3.11", "riscv64")])
def test_a_host_without_wheels_is_named(python: str, arch: str) -> None:
    with pytest.raises(NodewiseError, match=f"no wheels for Python {python} on {arch}"):
        locked(python, arch)


def test_pip_is_asked_for_the_very_file() -> None:
    assert WHEEL.pip_arguments() == [
        "--abi=cp311",
        "--platform=manylinux2014_x86_64",
        "--platform=manylinux_2_17_x86_64",
        "--implementation=cp",
        "--python-version=3.11",
    ]
    assert WHEEL.item.path == f"wheels/{WHEEL.filename}"


def folder(tmp_path: Path, content: bytes) -> WheelRequest:
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / WHEEL.filename).write_bytes(content)
    return WheelRequest(tmp_path / "cache", folder=tmp_path / "given")


def test_a_folder_fills_the_cache_and_the_cache_a_mirror(tmp_path: Path) -> None:
    request = folder(tmp_path, CONTENT)
    assert missing(request, [WHEEL]) == [WHEEL]
    (record,) = obtain(request, [WHEEL])
    assert Path(record["path"]).read_bytes() == CONTENT
    assert record["sha256"] == WHEEL.sha256
    assert missing(request, [WHEEL]) == []
    assert export_wheels(tmp_path / "mirror", request, [WHEEL]) == [WHEEL.item.path]
    assert export_wheels(tmp_path / "mirror", request, [WHEEL]) == []
    second = WheelRequest(tmp_path / "second", mirror=str(tmp_path / "mirror"))
    assert Path(obtain(second, [WHEEL])[0]["path"]).read_bytes() == CONTENT


def test_a_cache_of_wheels_whose_sums_lack_one_gets_the_line_without_another_copy(tmp_path: Path) -> None:
    request = folder(tmp_path, CONTENT)
    obtain(request, [WHEEL])
    (request.store.root / "SHA256SUMS").unlink()
    (tmp_path / "given" / WHEEL.filename).unlink()
    assert missing(request, [WHEEL]) == [WHEEL]
    obtain(request, [WHEEL])
    assert missing(request, [WHEEL]) == []


def test_a_wheel_that_is_not_the_pinned_one_is_refused_and_named(tmp_path: Path) -> None:
    request = folder(tmp_path, b"another")
    with pytest.raises(NodewiseError, match=f"{WHEEL.filename} from the folder has SHA-256 .* It was not installed"):
        obtain(request, [WHEEL])
    assert missing(request, [WHEEL]) == [WHEEL]


def test_a_mirrors_own_sums_do_not_vouch_for_it(tmp_path: Path) -> None:
    """A mirror whose file and SHA256SUMS agree, but with something else than the lock."""
    path = tmp_path / "mirror" / WHEEL.item.path
    path.parent.mkdir(parents=True)
    path.write_bytes(b"another")
    (tmp_path / "mirror" / "SHA256SUMS").write_text(f"{sha256(b'another').hexdigest()}  {WHEEL.item.path}\n")
    with pytest.raises(NodewiseError, match="It was not installed"):
        obtain(WheelRequest(tmp_path / "cache", mirror=str(tmp_path / "mirror")), [WHEEL])


def test_a_folder_without_the_wheel_is_named(tmp_path: Path) -> None:
    with pytest.raises(NodewiseError, match=f"has no readable {WHEEL.filename}"):
        obtain(WheelRequest(tmp_path / "cache", folder=tmp_path), [WHEEL])


def test_a_cache_on_a_full_disk_is_not_the_folders_fault(tmp_path: Path) -> None:
    request = folder(tmp_path, CONTENT)
    parts = request.store.private / "parts"
    parts.mkdir(parents=True)
    (parts / WHEEL.item.path.replace("/", "_")).symlink_to("/dev/full")
    with pytest.raises(NodewiseError, match=r"The cache .*/wheels cannot be written: .*No space left on device"):
        obtain(request, [WHEEL])


def test_an_index_that_does_not_answer_is_told_in_pips_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheel_cache, "all_locked", lambda: [WHEEL])
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    with pytest.raises(NodewiseError, match=f"The wheel {WHEEL.filename} cannot be downloaded: .*one.thing"):
        IndexSource("http://127.0.0.1:9/simple").fetch(WHEEL.item, tmp_path / "wheel")


def test_the_lock_is_whole() -> None:
    assert all(len(wheel.sha256) == 64 and wheel.filename.endswith(".whl") for wheel in wheels.all_locked())
