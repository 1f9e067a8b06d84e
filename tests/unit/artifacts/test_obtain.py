# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.artifacts import obtain as subject
from ansible_collections.nodewise.cluster.plugins.module_utils.artifacts.obtain import Request, choose, obtain
from ansible_collections.nodewise.cluster.plugins.module_utils.artifacts.official import OfficialSource
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError


@pytest.fixture
def request_(kit: Any, tmp_path: Path, nowhere: str) -> Request:
    """Return a request for everything, with etcd, CoreDNS and pause left to kubeadm."""
    return Request(
        versions=replace(kit.VERSIONS, etcd="", coredns="", pause=""),
        architectures=["amd64"],
        cni_plugins=kit.PLUGINS,
        calico_manifest="calico-vxlan",
        source="auto",
        cache=tmp_path / "cache",
        official_urls={"kubernetes": nowhere, "github": nowhere, "github_raw": nowhere},
    )


@pytest.fixture
def lines() -> list[str]:
    return []


def test_a_mirror_that_is_set_is_taken(request_: Request, mirror: Path, lines: list[str]) -> None:
    obtained = obtain(replace(request_, mirror=str(mirror)), lines.append)
    assert obtained.source == "mirror"
    assert len(obtained.fetched) == len(obtained.artifacts) == 23
    kubelet = next(one for one in obtained.artifacts if one["name"] == "kubelet")
    assert kubelet == {
        "name": "kubelet",
        "kind": "bin",
        "version": "1.37.2",
        "arch": "amd64",
        "nodes": "all",
        "source": "mirror",
        "path": str(request_.cache / "mirror" / "bin" / "kubelet-1.37.2-amd64"),
        "sha256": kubelet["sha256"],
        "size": 8,
        "dest": "/usr/local/bin/kubelet",
        "mode": "0755",
        "image": "",
        "image_id": "",
    }
    images = {one["image"]: one["image_id"] for one in obtained.artifacts if one["kind"] == "image"}
    assert images["registry.k8s.io/etcd:3.7.0-0"].startswith("sha256:")
    assert len(set(images.values())) == len(images)


def test_bird_is_refused_where_it_cannot_be_built(request_: Request, lines: list[str]) -> None:
    for source in ("gomod", "auto"):
        with pytest.raises(NodewiseError, match=r"^calico_backend is bird, .* gomod builds.*Remedy: set artifacts_source to official or mirror"):
            obtain(replace(request_, source=source, calico_backend="bird"), lines.append)
    assert not lines
    assert not (request_.cache / "gomod" / "bin").exists()


def test_bird_comes_from_a_mirror(request_: Request, mirror: Path, lines: list[str]) -> None:
    assert obtain(replace(request_, mirror=str(mirror), calico_backend="bird"), lines.append).source == "mirror"


def test_progress_counts_and_ends_with_the_slowest(request_: Request, mirror: Path, lines: list[str]) -> None:
    obtain(replace(request_, mirror=str(mirror)), lines.append)
    assert lines[0] == "first copying kubeadm 1.37.2 amd64 (bin, mirror)"
    assert lines[2] == "[1/22] copying calico-vxlan 3.28.5 (manifest, mirror)"
    assert lines[3].startswith("[1/22] copying calico-vxlan 3.28.5 (manifest, mirror) done: 0.0 MiB in 0.")
    assert lines[-1].startswith("23 artifacts obtained in ")


def test_the_second_time_nothing_is_done_or_said(request_: Request, mirror: Path, lines: list[str]) -> None:
    first = obtain(replace(request_, mirror=str(mirror)), lines.append)
    lines.clear()
    second = obtain(replace(request_, mirror=str(mirror)), lines.append)
    assert (second.artifacts, second.fetched, lines) == (first.artifacts, [], [])


def test_the_tags_are_what_the_obtained_kubeadm_says(request_: Request, mirror: Path, kit: Any, lines: list[str]) -> None:
    sums = (mirror / "SHA256SUMS").read_text()
    old = (mirror / "bin" / "kubeadm-1.37.2-amd64").read_bytes()
    new = old.replace(b"3.7.0-0", b"3.7.9-1")
    (mirror / "bin" / "kubeadm-1.37.2-amd64").write_bytes(new)
    (mirror / "images" / "etcd-3.7.0-0-amd64.tar").rename(mirror / "images" / "etcd-3.7.9-1-amd64.tar")
    (mirror / "SHA256SUMS").write_text(sums.replace(kit.digest(old), kit.digest(new)).replace("3.7.0-0", "3.7.9-1"))
    images = [one["image"] for one in obtain(replace(request_, mirror=str(mirror)), lines.append).artifacts]
    assert "registry.k8s.io/etcd:3.7.9-1" in images


def test_a_tag_that_is_given_wins(request_: Request, mirror: Path, lines: list[str]) -> None:
    wanted = replace(request_, mirror=str(mirror), versions=replace(request_.versions, etcd="9.9.9-9"))
    with pytest.raises(NodewiseError, match=r"has no images/etcd-9\.9\.9-9-amd64\.tar"):
        obtain(wanted, lines.append)


def test_prediction_changes_nothing(request_: Request, mirror: Path, lines: list[str]) -> None:
    obtained = obtain(replace(request_, mirror=str(mirror)), lines.append, predict=True)
    assert len(obtained.fetched) == 23
    assert {(one["path"], one["sha256"], one["size"], one["image_id"]) for one in obtained.artifacts} == {("", "", 0, "")}
    assert not request_.cache.exists()
    assert lines == []


def test_prediction_after_the_fact_predicts_nothing(request_: Request, mirror: Path, lines: list[str]) -> None:
    first = obtain(replace(request_, mirror=str(mirror)), lines.append)
    second = obtain(replace(request_, mirror=str(mirror)), lines.append, predict=True)
    assert (second.artifacts, second.fetched) == (first.artifacts, [])


def test_a_mirror_is_exported_with_the_rest(request_: Request, mirror: Path, tmp_path: Path, lines: list[str]) -> None:
    wanted = replace(request_, mirror=str(mirror), export=tmp_path / "made")
    assert len(obtain(wanted, lines.append, predict=True).exported) == 23
    assert len(obtain(wanted, lines.append).exported) == 23
    assert obtain(wanted, lines.append).exported == []
    again = obtain(replace(request_, mirror=str(tmp_path / "made"), cache=tmp_path / "other"), lines.append)
    assert len(again.fetched) == 23


def test_a_cache_whose_sums_are_lost_gets_them_again(request_: Request, mirror: Path, lines: list[str]) -> None:
    wanted = replace(request_, mirror=str(mirror))
    obtain(wanted, lines.append)
    sums = request_.cache / "mirror" / "SHA256SUMS"
    whole = sums.read_text()
    sums.unlink()
    assert len(obtain(wanted, lines.append, predict=True).fetched) == 23
    assert len(obtain(wanted, lines.append).fetched) == 23
    assert sums.read_text() == whole
    assert obtain(wanted, lines.append).fetched == []


def test_auto_without_anything_reachable_is_gomod(request_: Request) -> None:
    assert choose(request_).name == "gomod"


def test_auto_with_the_publishers_reachable_is_official(request_: Request, web: Any) -> None:
    assert choose(replace(request_, official_urls={**request_.official_urls, "kubernetes": web.url})).name == "official"


def test_auto_stays_with_the_cache_that_is_complete(request_: Request, mirror: Path, web: Any, monkeypatch: pytest.MonkeyPatch, lines: list[str]) -> None:
    obtain(replace(request_, mirror=str(mirror)), lines.append)
    monkeypatch.setattr(subject.GomodSource, "fingerprint", lambda self, item: subject.MirrorSource(str(mirror)).fingerprint(item))
    (request_.cache / "mirror").rename(request_.cache / "gomod")
    monkeypatch.setattr(OfficialSource, "reachable", lambda self: pytest.fail("asked"))
    assert choose(request_).name == "gomod"
    monkeypatch.setattr(OfficialSource, "reachable", lambda self: True)
    assert choose(replace(request_, calico_backend="bird")).name == "official"


def test_everything_unreachable_ends_in_an_error_of_gomod(request_: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str]) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NodewiseError, match=r"The program go is missing"):
        obtain(request_, lines.append)


@pytest.mark.parametrize("source", ["offical", ""])
def test_an_unknown_source(request_: Request, lines: list[str], source: str) -> None:
    with pytest.raises(NodewiseError, match=rf"artifacts_source is '{source}'\. Remedy: choose one of auto, mirror, official, gomod\."):
        obtain(replace(request_, source=source), lines.append)


def test_the_mirror_without_its_address(request_: Request, lines: list[str]) -> None:
    with pytest.raises(NodewiseError, match=r"artifacts_mirror is empty\. Remedy: set artifacts_mirror"):
        obtain(replace(request_, source="mirror"), lines.append)


def test_a_kubeadm_that_does_not_answer(request_: Request, mirror: Path, kit: Any, lines: list[str]) -> None:
    sums = (mirror / "SHA256SUMS").read_text()
    path = mirror / "bin" / "kubeadm-1.37.2-amd64"
    old = path.read_bytes()
    path.write_bytes(b"#!/bin/sh\necho broken >&2\nexit 1\n")
    (mirror / "SHA256SUMS").write_text(sums.replace(kit.digest(old), kit.digest(path.read_bytes())))
    with pytest.raises(NodewiseError, match=r"kubeadm-1\.37\.2-amd64 config images list .*does not name 'etcd': broken"):
        obtain(replace(request_, mirror=str(mirror)), lines.append)


def test_another_architecture_is_taken_from_the_table(request_: Request, monkeypatch: pytest.MonkeyPatch, nowhere: str, lines: list[str]) -> None:
    arm = "arm64" if subject.MACHINES.get(subject.os.uname().machine) == "amd64" else "amd64"
    obtained = obtain(replace(request_, architectures=[arm], source="gomod"), lines.append, predict=True)
    assert f"etcd 3.7.0-0 {arm}" in obtained.fetched


def test_long_work_shows_signs_of_life(monkeypatch: pytest.MonkeyPatch, lines: list[str]) -> None:
    monkeypatch.setattr(subject, "HEARTBEAT", 0.01)
    with subject._alive(lines.append, "[1/2] building"):
        while len(lines) < 2:
            pass
    assert lines[0] == "[1/2] building ... 0 s"


def test_what_a_source_can_never_give_is_told_and_is_no_error(request_: Request, lines: list[str]) -> None:
    wanted = replace(request_, source="gomod", versions=replace(request_.versions, cluster_autoscaler="1.36.1"))
    obtained = obtain(wanted, lines.append, predict=True)
    assert obtained.unavailable == ["cluster-autoscaler 1.36.1 amd64"]
    assert "cluster-autoscaler" not in {one["name"] for one in obtained.artifacts}
    official = obtain(replace(wanted, source="official"), lines.append, predict=True)
    assert (official.unavailable, "cluster-autoscaler 1.36.1 amd64" in official.fetched) == ([], True)
