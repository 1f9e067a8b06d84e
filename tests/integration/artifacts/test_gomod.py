# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the source gomod really builds. Uses the shared cache, so the first run takes as long as a build."""

from __future__ import annotations

import os
import re
import signal
import struct
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.artifacts.catalogue import Item, Versions, kubeadm_images
from ansible_collections.nodewise.cluster.plugins.module_utils.artifacts.gomod import GomodSource
from ansible_collections.nodewise.cluster.plugins.module_utils.artifacts.obtain import Request, obtain, wanted_by_kubeadm
from ansible_collections.nodewise.cluster.plugins.module_utils.artifacts.oci import describe
from ansible_collections.nodewise.cluster.plugins.module_utils.artifacts.store import Store

KUBERNETES = os.environ.get("NODEWISE_KUBERNETES_VERSION", "1.37.2")
ARCH = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
ELF_MACHINES = {"amd64": 62, "arm64": 183}


@pytest.fixture(scope="session")
def artifacts() -> list[dict[str, Any]]:
    request = Request(
        versions=Versions(KUBERNETES, "2.4.2", "1.5.2", "1.9.1", "1.37.0", "3.28.5"),
        architectures=[ARCH],
        cni_plugins=["bandwidth", "bridge", "host-local", "loopback", "portmap", "tuning"],
        calico_manifest="calico-vxlan",
        source="gomod",
        cache=Path("~/.cache/nodewise").expanduser(),
    )
    return obtain(request, print).artifacts


def _path(artifacts: list[dict[str, Any]], name: str) -> str:
    return str(next(one["path"] for one in artifacts if one["name"] == name))


def _elf(head: bytes) -> tuple[int, bool]:
    """Return the machine of a 64-bit ELF program, and whether it names an interpreter (which makes it dynamic)."""
    machine: int = struct.unpack_from("<H", head, 18)[0]
    offset, size, count = struct.unpack_from("<Q", head, 32)[0], *struct.unpack_from("<HH", head, 54)
    kinds = [struct.unpack_from("<I", head, offset + number * size)[0] for number in range(count)]
    return machine, 3 in kinds


def test_every_program_is_static_and_for_this_architecture(artifacts: list[dict[str, Any]]) -> None:
    for one in artifacts:
        if one["kind"] == "bin":
            with open(one["path"], "rb") as handle:
                assert _elf(handle.read(8192)) == (ELF_MACHINES[ARCH], False), one["name"]


@pytest.mark.parametrize(
    ("name", "arguments", "output"),
    [
        ("kubelet", ["--version"], f"Kubernetes v{KUBERNETES}"),
        ("kubeadm", ["version", "-o", "short"], f"v{KUBERNETES}"),
        ("kubectl", ["version", "--client"], f"Client Version: v{KUBERNETES}"),
        ("containerd", ["--version"], "containerd github.com/containerd/containerd/v2 v2.4.2"),
        ("ctr", ["--version"], "v2.4.2"),
        ("runc", ["--version"], "runc version 1.5.2"),
        ("runc", ["--version"], "libseccomp:"),
        ("crictl", ["--version"], "crictl version v1.37.0"),
        ("calicoctl", ["version"], "Client Version:    v3.28.5"),
        ("portmap", ["--version"], "CNI portmap plugin v1.9.1"),
    ],
)
def test_a_program_says_its_version(artifacts: list[dict[str, Any]], name: str, arguments: list[str], output: str) -> None:
    result = subprocess.run([_path(artifacts, name), *arguments], capture_output=True, text=True, check=False)
    assert output in result.stdout + result.stderr


def test_the_images_are_those_that_kubeadm_wants(artifacts: list[dict[str, Any]]) -> None:
    command = [_path(artifacts, "kubeadm"), "config", "images", "list", "--kubernetes-version", f"v{KUBERNETES}"]
    wanted = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert set(wanted) == {one["image"] for one in artifacts if one["image"].startswith("registry.k8s.io/")}


def test_the_table_agrees_with_kubeadm(artifacts: list[dict[str, Any]]) -> None:
    assert kubeadm_images(KUBERNETES) == wanted_by_kubeadm(Path(_path(artifacts, "kubeadm")), KUBERNETES)


def test_calicos_images_are_those_of_its_manifest(artifacts: list[dict[str, Any]]) -> None:
    manifest = Path(_path(artifacts, "calico-vxlan")).read_text()
    assert set(re.findall(r"image: (\S+)", manifest)) == {one["image"] for one in artifacts if one["image"].startswith("docker.io/calico/")}


def test_kube_proxy_and_calico_node_share_their_base(artifacts: list[dict[str, Any]]) -> None:
    proxy, node = (describe(Path(_path(artifacts, name)), ARCH).blobs for name in ("kube-proxy", "calico-node"))
    assert len(set(proxy) & set(node)) == 1


@pytest.mark.parametrize("name", ["pause", "host-local"])
def test_building_again_gives_the_same_bytes(artifacts: list[dict[str, Any]], tmp_path: Path, name: str) -> None:
    known = next(one for one in artifacts if one["name"] == name)
    item = Item(name, known["kind"], known["version"], ARCH, "all", dest=known["dest"], image=known["image"])
    source = GomodSource(tmp_path / "work", "http://deb.debian.org/debian")
    assert Store(tmp_path / "cache").obtain(item, source).sha256 == known["sha256"]


def test_another_architecture_is_compiled_for(tmp_path: Path) -> None:
    other = "arm64" if ARCH == "amd64" else "amd64"
    GomodSource(tmp_path / "work", "http://deb.debian.org/debian").fetch(Item("host-local", "bin", "1.9.1", other, "all"), tmp_path / "file")
    assert _elf((tmp_path / "file").read_bytes()[:8192]) == (ELF_MACHINES[other], False)


@pytest.fixture
def pause(tmp_path: Path) -> Iterator[int]:
    """Run pause as process 1 of a process namespace; return its id in this one."""
    GomodSource(tmp_path / "work", "")._pause(ARCH, tmp_path)
    with subprocess.Popen(["unshare", "--pid", "--fork", tmp_path / "pause"]) as unshare:
        children = Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children")
        while not children.read_text().split():
            time.sleep(0.01)
        process = int(children.read_text().split()[0])
        yield process
        if unshare.poll() is None:
            os.kill(process, signal.SIGKILL)


def _children(process: int) -> list[str]:
    return Path(f"/proc/{process}/task/{process}/children").read_text().split()


def _until(condition: Any, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.skipif(os.geteuid() != 0, reason="process namespaces need root")
def test_pause_collects_orphans(pause: int) -> None:
    # The shell ends at once, so the sleeps become children of process 1, which must collect them when they end.
    subprocess.run(["nsenter", "--target", str(pause), "--pid", "sh", "-c", "sleep 0.5 & sleep 0.5 & exit"], check=True)
    assert len(_children(pause)) == 2
    _until(lambda: not _children(pause))


@pytest.mark.skipif(os.geteuid() != 0, reason="process namespaces need root")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_pause_goes_when_asked(pause: int, number: signal.Signals) -> None:
    os.kill(pause, number)
    _until(lambda: not Path(f"/proc/{pause}").exists())


def test_coredns_may_bind_its_port_without_being_root(artifacts: list[dict[str, Any]]) -> None:
    """CoreDNS is not root, and may bind port 53 by the capability of its file."""
    image = describe(Path(_path(artifacts, "coredns")), ARCH)
    with tarfile.open(_path(artifacts, "coredns")) as archive:
        config = archive.extractfile("blobs/" + image.config.replace(":", "/"))
        layer = archive.extractfile("blobs/" + image.blobs[2].replace(":", "/"))
        assert config is not None and layer is not None
        assert b'"User":"65532:65532"' in config.read()
        tar = subprocess.run(["zstd", "-dc"], input=layer.read(), capture_output=True, check=True).stdout
    assert b"SCHILY.xattr.security.capability=\x01\x00\x00\x02\x00\x04" in tar[:2048]
