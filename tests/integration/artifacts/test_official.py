# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images from a real registry by the real skopeo; the registry is Debian's, on loopback."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.artifacts import oci
from ansible_collections.nodewise.cluster.plugins.module_utils.artifacts.catalogue import Item
from ansible_collections.nodewise.cluster.plugins.module_utils.artifacts.official import OfficialSource
from ansible_collections.nodewise.cluster.plugins.module_utils.artifacts.store import Store
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError

PAUSE = "registry.k8s.io/pause:3.10.2"


def _answers(address: str) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", int(address.rpartition(":")[2]))) == 0


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Run a registry; return its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    (tmp_path / "registry.yml").write_text(
        f"version: 0.1\nlog: {{accesslog: {{disabled: true}}}}\nstorage: {{filesystem: {{rootdirectory: {tmp_path}/registry}}}}\nhttp: {{addr: {address}}}\n"
    )
    # It speaks plain HTTP, which is said where a site would say it.
    (tmp_path / ".config" / "containers").mkdir(parents=True)
    (tmp_path / ".config" / "containers" / "registries.conf").write_text(f'[[registry]]\nlocation = "{address}"\ninsecure = true\n')
    monkeypatch.setenv("HOME", str(tmp_path))
    with subprocess.Popen(["docker-registry", "serve", tmp_path / "registry.yml"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        end = time.monotonic() + 30
        while not _answers(address):
            assert time.monotonic() < end and process.poll() is None
            time.sleep(0.05)
        yield address
        process.terminate()


def _push(folder: Path, registry: str, arch: str) -> str:
    """Put a tiny pause of an architecture into the registry; return its id."""
    (folder / "program").write_text(arch)
    layer = oci.write_layer([oci.Entry("pause", folder / "program")], folder / "layer")
    oci.write_image(folder / "pushed.tar", PAUSE, arch, [layer], oci.Process(("/pause",)))
    target = f"docker://{registry}/k8s/pause:3.10.2"
    subprocess.run(["skopeo", "copy", "--quiet", "--override-arch", arch, f"oci-archive:{folder}/pushed.tar", target], check=True)
    return oci.describe(folder / "pushed.tar", arch).config


@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_an_image_arrives_as_it_was_pushed(registry: str, tmp_path: Path, arch: str) -> None:
    pushed = _push(tmp_path, registry, arch)
    item = Item("pause", "image", "3.10.2", arch, "all", image=PAUSE)
    store = Store(tmp_path / "cache")
    store.obtain(item, OfficialSource(tmp_path, {}, {"registry.k8s.io": f"{registry}/k8s"}))
    assert oci.describe(store.path(item), arch).config == pushed
    oci.merge([(store.path(item), PAUSE)], arch, tmp_path / "bundle.tar")


def test_an_image_that_is_not_there(registry: str, tmp_path: Path) -> None:
    item = Item("etcd", "image", "9.9.9", "amd64", "all", image="registry.k8s.io/etcd:9.9.9")
    with pytest.raises(NodewiseError, match=rf"The image {registry}/k8s/etcd:9\.9\.9 \(amd64\) cannot be copied: .*Remedy: check the version"):
        OfficialSource(tmp_path, {}, {"registry.k8s.io": f"{registry}/k8s"}).fetch(item, tmp_path / "file")
