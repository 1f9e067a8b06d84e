# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.artifacts.catalogue import OPERATOR_CRDS, OPERATOR_KINDS, Item
from ansible_collections.nodewise.cluster.plugins.module_utils.artifacts.golang import GoModule, c_compiler, go_mod
from ansible_collections.nodewise.cluster.plugins.module_utils.artifacts.gomod import CALICO_MODULES, GomodSource
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError

# Stands in for go: notes the environment and arguments, and writes the file asked for.
GO = """
echo "$GOARCH $CGO_ENABLED $CC $*" >> {log}
case "$1 $2" in
"mod download")
  case "$4" in
  *@v9.9.9) echo '{{"Error": "not found"}}'; exit 1;;
  esac
  echo '{{"Dir": "{source}", "GoMod": "{source}/go.mod"}}';;
"mod edit") echo '{{"Go": "1.26"}}';;
"list -m") echo "$4 v1.0.0 v1.1.0";;
build*)
  case "$*" in *-extldflags*) test -e {log}.broken && {{ echo libseccomp was not found >&2; exit 1; }};; esac
  while [ "$1" != -o ]; do shift; done
  test -e "$2" && exit 5
  echo program > "$2";;
esac
"""


@pytest.fixture
def go(kit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a stand-in for go first in PATH; return its log."""
    source = tmp_path / "module"
    (source / "manifests").mkdir(parents=True)
    (source / "manifests" / "calico-vxlan.yaml").write_bytes(b"kind: List\n")
    services = source / "node" / "filesystem"
    for name in ("sbin/start_runit", "etc/rc.local", "etc/service/available/felix/run", "etc/calico/felix.cfg"):
        (services / name).parent.mkdir(parents=True, exist_ok=True)
        (services / name).write_text(name)
    kit.script(tmp_path / "path" / "go", GO.format(log=tmp_path / "log", source=source))
    monkeypatch.setenv("PATH", str(tmp_path / "path"), prepend=":")
    return tmp_path / "log"


@pytest.fixture
def source(tmp_path: Path) -> GomodSource:
    return GomodSource(tmp_path / "work", "http://debian.invalid")


def test_the_wrapper_repeats_what_only_a_main_module_may_say() -> None:
    module = GoModule("k8s.io/kubernetes", "v1.37.2", unversioned="v0.37.2", replace={"example.org/fork": "v1.2.3"})
    described = {
        "Go": "1.26.0",
        "Require": [{"Path": "k8s.io/api", "Version": "v0.0.0"}, {"Path": "example.org/x", "Version": "v1.0.0"}],
        "Replace": [
            {"Old": {"Path": "example.org/x"}, "New": {"Path": "example.org/y", "Version": "v1.0.1"}},
            {"Old": {"Path": "k8s.io/api"}, "New": {"Path": "./staging/src/k8s.io/api"}},
            {"Old": {"Path": "example.org/fork"}, "New": {"Path": "example.org/other", "Version": "v0.0.1"}},
        ],
    }
    assert go_mod(module, described).splitlines() == [
        "module nodewise/build",
        "go 1.26.0",
        "require k8s.io/kubernetes v1.37.2",
        "require k8s.io/api v0.37.2",
        "require example.org/x v1.0.0",
        "replace example.org/x => example.org/y v1.0.1",
        "replace example.org/fork => example.org/fork v1.2.3",
        "replace k8s.io/api => k8s.io/api v0.37.2",
    ]


@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_a_program_is_compiled_for_its_architecture(go: Path, source: GomodSource, kit: Any, tmp_path: Path, arch: str) -> None:
    (tmp_path / "file").write_text("the rest of a killed run")
    source.fetch(kit.item("kubelet", arch), tmp_path / "file")
    assert (tmp_path / "file").read_text() == "program\n"
    built = next(line for line in go.read_text().splitlines() if " build " in line)
    assert built.startswith(f"{arch} 0  build -trimpath ")
    assert built.endswith(" k8s.io/kubernetes/cmd/kubelet")
    for stamp in ("component-base/version.gitVersion=v1.37.2", "component-base/version.gitMinor=37", "client-go/pkg/version.gitVersion=v1.37.2"):
        assert f"-X k8s.io/{stamp}" in built


def test_every_program_and_image_has_a_recipe(go: Path, source: GomodSource, kit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "_mmdebstrap", lambda arch, tar: tarfile.open(tar, "w").close())
    for item in kit.items():
        source.fetch(item, tmp_path / "file")
        assert (tmp_path / "file").stat().st_size > 0, item
    programs = {line.split()[-1] for line in go.read_text().splitlines() if " build " in line}
    assert {"github.com/opencontainers/runc", "go.etcd.io/etcd/server/v3", "github.com/coredns/coredns"} <= programs
    assert "github.com/containernetworking/plugins/plugins/ipam/host-local" in programs
    assert (source.work / "debian-bookworm-amd64-1.tar.zst").exists()
    assert not list(source.work.glob("image-*"))


def test_runc_is_linked_statically_with_seccomp(go: Path, source: GomodSource, kit: Any, tmp_path: Path) -> None:
    native = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    source.fetch(kit.item("runc", native), tmp_path / "file")
    built = next(line for line in go.read_text().splitlines() if " build " in line)
    assert built.startswith(f"{native} 1 gcc build") and "-extldflags -static" in built and "-tags seccomp,netgo,osusergo" in built


def test_a_library_that_is_missing_names_the_packages(go: Path, source: GomodSource, kit: Any, tmp_path: Path) -> None:
    native = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    (tmp_path / "log.broken").write_text("")
    with pytest.raises(NodewiseError, match=rf"libseccomp was not found Remedy: .*install pkg-config, libc6-dev and libseccomp-dev for {native}"):
        source.fetch(kit.item("runc", native), tmp_path / "file")


def test_the_manifest_is_upstreams_byte_for_byte(go: Path, source: GomodSource, kit: Any, tmp_path: Path) -> None:
    source.fetch(kit.item("calico-vxlan"), tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"kind: List\n"


@pytest.mark.parametrize("name", ["calico-node", "calicoctl", "calico-vxlan"])
def test_a_calico_that_is_not_served(source: GomodSource, go: Path, tmp_path: Path, name: str) -> None:
    kind = {"calicoctl": "bin", "calico-vxlan": "manifest"}.get(name, "image")
    with pytest.raises(NodewiseError) as caught:
        source.fetch(Item(name, kind, "3.33.0", "amd64", "all", image="docker.io/calico/node:v3.33.0"), tmp_path / "file")
    assert str(caught.value) == (
        "Calico 3.33.0 cannot be built: the Go module proxy serves Calico 3.28.5 only. "
        "Remedy: set artifacts_calico_version to 3.28.5, or artifacts_source to mirror or official."
    )


def test_a_version_that_is_not_served_lists_those_that_are(source: GomodSource, go: Path, tmp_path: Path) -> None:
    with pytest.raises(NodewiseError) as caught:
        source.fetch(Item("crictl", "bin", "9.9.9", "amd64", "all"), tmp_path / "file")
    assert str(caught.value).startswith("The Go module proxy does not serve sigs.k8s.io/cri-tools v9.9.9. Newest served: v1.0.0, v1.1.0. Remedy:")


def test_an_unknown_plugin(source: GomodSource, go: Path, tmp_path: Path) -> None:
    with pytest.raises(NodewiseError, match=r"There is no CNI plugin calicoo to build\. Remedy: artifacts_cni_plugins takes bandwidth, bridge"):
        source.fetch(Item("calicoo", "bin", "1.9.1", "amd64", "all"), tmp_path / "file")


def test_an_unknown_image(source: GomodSource, go: Path, tmp_path: Path) -> None:
    with pytest.raises(NodewiseError, match=r"The image example\.org/x:v1 cannot be built from Go modules\. Remedy: "):
        source.fetch(Item("x", "image", "1", "amd64", "all", image="example.org/x:v1"), tmp_path / "file")


def test_without_go(source: GomodSource, kit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NodewiseError, match=r"The program go is missing on the control machine.*Remedy: install Go"):
        source.fetch(kit.item("kubelet"), tmp_path / "file")


@pytest.mark.parametrize(("arch", "package"), [("amd64", "gcc-x86-64-linux-gnu|gcc"), ("arm64", "gcc-aarch64-linux-gnu|gcc")])
def test_without_a_c_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arch: str, package: str) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NodewiseError, match=rf"The C compiler .* is missing.*{arch}.*Remedy: install the package ({package}),"):
        c_compiler(arch)


def test_without_mmdebstrap(go: Path, source: GomodSource, kit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    with pytest.raises(NodewiseError, match=r"The program mmdebstrap is missing.*Remedy: install the package mmdebstrap"):
        source._debian("amd64")


def test_what_mmdebstrap_says_is_passed_on(source: GomodSource, kit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kit.script(tmp_path / "path" / "mmdebstrap", "echo I: starting >&2; echo E: cannot resolve debian.invalid >&2; exit 25")
    monkeypatch.setenv("PATH", str(tmp_path / "path"), prepend=":")
    with pytest.raises(NodewiseError, match=r"mmdebstrap for amd64 from http://debian\.invalid failed: E: cannot resolve debian\.invalid"):
        source._debian("amd64")
    assert not list(source.work.glob("*.diff_id"))


def test_the_lab_has_a_calico() -> None:
    assert "3.28.5" in CALICO_MODULES


@pytest.mark.parametrize(
    ("name", "package", "module"),
    [
        ("prometheus-operator", "github.com/prometheus-operator/prometheus-operator/cmd/operator", "prometheus-operator@v0.85.0"),
        ("prometheus-config-reloader", "github.com/prometheus-operator/prometheus-operator/cmd/prometheus-config-reloader", "prometheus-operator@v0.85.0"),
        ("prometheus", "github.com/prometheus/prometheus/cmd/prometheus", "prometheus/prometheus@v0.316.0"),
    ],
)
def test_monitoring_is_compiled(go: Path, source: GomodSource, tmp_path: Path, name: str, package: str, module: str) -> None:
    version = "3.16.0" if name == "prometheus" else "0.85.0"
    source.fetch(Item(name, "image", version, "amd64", "all", image=f"quay.io/x/{name}:v{version}"), tmp_path / "file")
    assert module in go.read_text()
    built = next(line for line in go.read_text().splitlines() if " build " in line)
    assert built.endswith(f" {package}")
    assert f"common/version.Version={version}" in built


def test_a_prometheus_that_is_no_release(go: Path, source: GomodSource, tmp_path: Path) -> None:
    with pytest.raises(NodewiseError, match="Prometheus 3.16 is no release that can be built"):
        source.fetch(Item("prometheus", "image", "3.16", "amd64", "all", image="x"), tmp_path / "file")


def test_the_kinds_of_prometheus_operator_are_joined(go: Path, source: GomodSource, tmp_path: Path) -> None:
    folder = tmp_path / "module" / "example" / "prometheus-operator-crd"
    folder.mkdir(parents=True)
    for kind in OPERATOR_KINDS:
        (folder / f"monitoring.coreos.com_{kind}.yaml").write_text(f"---\nkind: {kind}\n")
    source.fetch(Item(OPERATOR_CRDS, "manifest", "0.85.0", "", "control_plane"), tmp_path / "file")
    assert (tmp_path / "file").read_text().split() == [word for kind in OPERATOR_KINDS for word in ("---", "kind:", kind)]
