# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.artifacts.catalogue import OPERATOR_CRDS, OPERATOR_KINDS, Item
from ansible_collections.nodewise.cluster.plugins.module_utils.artifacts.official import OfficialSource, reachable
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError


def _archive(members: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return data.getvalue()


@pytest.fixture
def publishers(web: Any, kit: Any) -> dict[str, bytes]:
    """Serve releases laid out as their publishers do, with their forms of checksums; return what programs they hold."""
    for arch in ("amd64", "arm64"):
        for name in ("kubeadm", "kubelet", "kubectl"):
            content = f"{name} {arch}".encode()
            web.files[f"/k8s/v1.37.2/bin/linux/{arch}/{name}"] = content
            web.files[f"/k8s/v1.37.2/bin/linux/{arch}/{name}.sha256"] = kit.digest(content).encode()
        archive = _archive({f"bin/{name}": f"{name} {arch}".encode() for name in ("containerd", "containerd-shim-runc-v2", "ctr", "containerd-stress")})
        name = f"/gh/containerd/containerd/releases/download/v2.4.2/containerd-2.4.2-linux-{arch}.tar.gz"
        web.files[name] = archive
        web.files[f"{name}.sha256sum"] = f"{kit.digest(archive)}  containerd-2.4.2-linux-{arch}.tar.gz\n".encode()
        archive = _archive({f"./{name}": f"{name} {arch}".encode() for name in ("host-local", "portmap")})
        name = f"/gh/containernetworking/plugins/releases/download/v1.9.1/cni-plugins-linux-{arch}-v1.9.1.tgz"
        web.files[name] = archive
        web.files[f"{name}.sha256"] = f"{kit.digest(archive)}  cni-plugins-linux-{arch}-v1.9.1.tgz\n".encode()
        archive = _archive({"crictl": f"crictl {arch}".encode()})
        name = f"/gh/kubernetes-sigs/cri-tools/releases/download/v1.37.0/crictl-v1.37.0-linux-{arch}.tar.gz"
        web.files[name] = archive
        web.files[f"{name}.sha256"] = f"{kit.digest(archive)}  crictl-v1.37.0-linux-{arch}.tar.gz\n".encode()
        web.files[f"/gh/opencontainers/runc/releases/download/v1.5.2/runc.{arch}"] = f"runc {arch}".encode()
        web.files[f"/gh/projectcalico/calico/releases/download/v3.28.5/calicoctl-linux-{arch}"] = f"calicoctl {arch}".encode()
    for folder, prefix, page in (
        ("opencontainers/runc/releases/download/v1.5.2", "runc.", "runc.sha256sum"),
        ("projectcalico/calico/releases/download/v3.28.5", "calicoctl-linux-", "SHA256SUMS"),
    ):
        lines = [f"{kit.digest(web.files[f'/gh/{folder}/{prefix}{arch}'])}  {prefix}{arch}\n" for arch in ("amd64", "arm64")]
        web.files[f"/gh/{folder}/{page}"] = "".join(lines).encode()
    web.files["/raw/projectcalico/calico/v3.28.5/manifests/calico-vxlan.yaml"] = b"kind: List"
    return {item.name: f"{item.name} {{arch}}".encode() for item in kit.items() if item.kind == "bin"}


@pytest.fixture
def source(web: Any, tmp_path: Path) -> OfficialSource:
    urls = {"kubernetes": f"{web.url}/k8s", "github": f"{web.url}/gh/", "github_raw": f"{web.url}/raw"}
    return OfficialSource(tmp_path / "downloads", urls, {"docker.io": "registry.example.org/hub"})


@pytest.mark.parametrize("arch", ["amd64", "arm64"])
@pytest.mark.usefixtures("publishers")
def test_every_program_of_an_architecture(source: OfficialSource, kit: Any, tmp_path: Path, arch: str) -> None:
    for item in kit.items(arch):
        if item.kind == "bin":
            source.fetch(item, tmp_path / "file")
            assert (tmp_path / "file").read_bytes() == f"{item.name} {arch}".encode()
            (tmp_path / "file").unlink()


@pytest.mark.usefixtures("publishers")
def test_an_archive_is_downloaded_once_for_all_its_programs(source: OfficialSource, web: Any, kit: Any, tmp_path: Path) -> None:
    for name in ("containerd", "ctr"):
        source.fetch(kit.item(name), tmp_path / name)
    whole = [given for path, given in web.requests if path.endswith("amd64.tar.gz")]
    assert whole[0] == "" and all(given for given in whole[1:])


@pytest.mark.usefixtures("publishers")
def test_the_manifest(source: OfficialSource, kit: Any, tmp_path: Path) -> None:
    source.fetch(kit.item("calico-vxlan"), tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"kind: List"


@pytest.mark.usefixtures("publishers")
@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("kubelet", "/k8s/v1.37.2/bin/linux/amd64/kubelet"),
        ("containerd", "/gh/containerd/containerd/releases/download/v2.4.2/containerd-2.4.2-linux-amd64.tar.gz"),
    ],
)
def test_a_file_that_is_not_what_the_publisher_says(source: OfficialSource, web: Any, kit: Any, tmp_path: Path, name: str, path: str) -> None:
    web.files[path] = web.files[path][:-1]
    with pytest.raises(NodewiseError, match=r"has SHA-256 .* expected .* not installed"):
        source.fetch(kit.item(name), tmp_path / "file")


@pytest.mark.usefixtures("publishers")
def test_a_checksum_page_without_the_file(source: OfficialSource, web: Any, kit: Any, tmp_path: Path) -> None:
    page = "/gh/opencontainers/runc/releases/download/v1.5.2/runc.sha256sum"
    web.files[page] = web.files[page].replace(b"runc.amd64", b"runc.other")
    with pytest.raises(NodewiseError, match=r"runc\.sha256sum gives no checksum for runc\.amd64\. Remedy: check the version"):
        source.fetch(kit.item("runc"), tmp_path / "file")


@pytest.mark.usefixtures("publishers")
def test_a_checksum_page_that_is_none(source: OfficialSource, web: Any, kit: Any, tmp_path: Path) -> None:
    web.files["/k8s/v1.37.2/bin/linux/amd64/kubelet.sha256"] = b"<!doctype html> gateway"
    with pytest.raises(NodewiseError, match=r"kubelet\.sha256, line 1, is not"):
        source.fetch(kit.item("kubelet"), tmp_path / "file")


@pytest.mark.usefixtures("publishers")
def test_a_plugin_that_the_release_does_not_have(source: OfficialSource, web: Any, kit: Any, tmp_path: Path) -> None:
    name = "/gh/containernetworking/plugins/releases/download/v1.9.1/cni-plugins-linux-amd64-v1.9.1.tgz"
    web.files[name] = _archive({"./host-local": b"x"})
    web.files[f"{name}.sha256"] = kit.digest(web.files[name]).encode()
    with pytest.raises(NodewiseError, match=r"cni-plugins-linux-amd64-v1\.9\.1\.tgz holds no program portmap\. Remedy: .*artifacts_cni_plugins"):
        source.fetch(kit.item("portmap"), tmp_path / "file")


def test_an_unknown_version_names_the_address(source: OfficialSource, kit: Any, tmp_path: Path) -> None:
    with pytest.raises(NodewiseError, match=r"/k8s/v1\.37\.2/bin/linux/amd64/kubelet\.sha256 cannot be fetched: HTTP 404"):
        source.fetch(kit.item("kubelet"), tmp_path / "file")


@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_an_image_is_copied_for_its_architecture_from_the_replacement(
    source: OfficialSource, kit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arch: str
) -> None:
    kit.script(tmp_path / "path" / "skopeo", f'echo "$@" > {tmp_path}/arguments')
    monkeypatch.setenv("PATH", str(tmp_path / "path"), prepend=":")
    source.fetch(kit.item("calico-node", arch), tmp_path / "file")
    arguments = (tmp_path / "arguments").read_text().split()
    assert arguments[arguments.index("--override-arch") + 1] == arch
    assert arguments[-2:] == ["docker://registry.example.org/hub/calico/node:v3.28.5", f"oci-archive:{tmp_path}/file:calico/node:v3.28.5"]


def test_without_skopeo_the_error_says_what_to_install(source: OfficialSource, kit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NodewiseError, match=r"The program skopeo is missing.*Remedy: install the package skopeo"):
        source.fetch(kit.item("pause"), tmp_path / "file")


def test_what_skopeo_says_is_passed_on(source: OfficialSource, kit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kit.script(tmp_path / "path" / "skopeo", "echo manifest unknown >&2; exit 1")
    monkeypatch.setenv("PATH", str(tmp_path / "path"), prepend=":")
    with pytest.raises(NodewiseError, match=r"registry\.k8s\.io/pause:3\.10\.2 \(amd64\) cannot be copied: manifest unknown\. Remedy: .*artifacts_registries"):
        source.fetch(kit.item("pause"), tmp_path / "file")


def test_a_misspelt_server(tmp_path: Path) -> None:
    with pytest.raises(NodewiseError, match=r"artifacts_official_urls has the unknown key 'githb'\. Remedy: known are kubernetes, github, github_raw"):
        OfficialSource(tmp_path, {"githb": "http://x"}, {})


def test_a_server_that_answers_anything_is_reachable(web: Any, nowhere: str) -> None:
    assert reachable(web.url)
    assert not reachable(nowhere)


def test_the_kinds_of_prometheus_operator_are_joined(source: OfficialSource, web: Any, tmp_path: Path) -> None:
    for kind in OPERATOR_KINDS:
        path = f"/raw/prometheus-operator/prometheus-operator/v0.85.0/example/prometheus-operator-crd/monitoring.coreos.com_{kind}.yaml"
        web.files[path] = f"---\nkind: {kind}\n".encode()
    item = Item(OPERATOR_CRDS, "manifest", "0.85.0", "", "control_plane")
    source.fetch(item, tmp_path / "file")
    assert (tmp_path / "file").read_text().split() == [word for kind in OPERATOR_KINDS for word in ("---", "kind:", kind)]
    del web.files[path]
    with pytest.raises(NodewiseError, match="servicemonitors.yaml"):
        source.fetch(item, tmp_path / "file")
