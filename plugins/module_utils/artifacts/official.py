# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The source ``official``: the publishers' release pages and registries, with their own checksums."""

from __future__ import annotations

import shutil
import tarfile
import threading
import urllib.error
from pathlib import Path, PurePosixPath

from ansible.module_utils.urls import open_url

from ..errors import NodewiseError
from ..process import run
from .catalogue import OPERATOR_CRDS, OPERATOR_KINDS, Item
from .http import fetch_url, read_url
from .store import file_lock, parse_sums
from .tar import member_stream

# Seconds that the whole question "is the outside world there?" may take, name resolution included.
REACHABLE_WITHIN = 5.0

URLS = {"kubernetes": "https://dl.k8s.io/release", "github": "https://github.com", "github_raw": "https://raw.githubusercontent.com"}


def reachable(url: str) -> bool:
    """Tell whether a server answers at all, within a few seconds."""
    answered = threading.Event()

    def ask() -> None:
        try:
            open_url(url, method="HEAD", timeout=REACHABLE_WITHIN).close()
            answered.set()
        except urllib.error.HTTPError:
            answered.set()
        except OSError:
            return

    # In a thread, since nothing bounds the time of a name resolution; a daemon, so that it keeps nobody waiting.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(REACHABLE_WITHIN)
    return answered.is_set()


class OfficialSource:
    """Downloads items.

    Parameters
    ----------
    downloads : Path
        Folder for release archives of which several items are taken.
    urls : dict
        Replacements for entries of ``URLS``, for sites with a proxy repository.
    registries : dict
        Replacements for registries, ``{"registry.k8s.io": "registry.example.org/k8s"}``.
    """

    name = "official"

    def __init__(self, downloads: Path, urls: dict[str, str], registries: dict[str, str]) -> None:
        unknown = sorted(set(urls) - set(URLS))
        if unknown:
            raise NodewiseError(f"artifacts_official_urls has the unknown key {unknown[0]!r}.", f"known are {', '.join(URLS)}.")
        self.downloads = downloads
        self.urls = {name: url.rstrip("/") for name, url in {**URLS, **urls}.items()}
        self.registries = registries

    def reachable(self) -> bool:
        """Tell whether the first of the servers answers."""
        return reachable(self.urls["kubernetes"])

    def verb(self) -> str:
        """Return what progress calls the work."""
        return "downloading"

    def fingerprint(self, item: Item) -> str:
        """Return nothing: what was published under a version stays as it is."""
        return ""

    def fetch(self, item: Item, target: Path) -> None:
        """Download an item to a file and verify it by the checksum published beside it.

        Raises
        ------
        NodewiseError
            It cannot be fetched, or its checksum differs.
        """
        arch, version, github = item.arch, item.version, self.urls["github"]
        if item.kind == "image":
            self._image(item, target)
        elif item.name == OPERATOR_CRDS:
            self._operator_crds(item, target)
        elif item.kind == "manifest":
            fetch_url(f"{self.urls['github_raw']}/projectcalico/calico/v{version}/manifests/{item.name}.yaml", target)
        elif item.name in ("kubeadm", "kubelet", "kubectl"):
            url = f"{self.urls['kubernetes']}/v{version}/bin/linux/{arch}/{item.name}"
            fetch_url(url, target, self._sum(f"{url}.sha256", item.name))
        elif item.name in ("containerd", "containerd-shim-runc-v2", "ctr"):
            url = f"{github}/containerd/containerd/releases/download/v{version}/containerd-{version}-linux-{arch}.tar.gz"
            self._member(url, f"{url}.sha256sum", item.name, target)
        elif item.name == "runc":
            folder = f"{github}/opencontainers/runc/releases/download/v{version}"
            fetch_url(f"{folder}/runc.{arch}", target, self._sum(f"{folder}/runc.sha256sum", f"runc.{arch}"))
        elif item.name == "crictl":
            url = f"{github}/kubernetes-sigs/cri-tools/releases/download/v{version}/crictl-v{version}-linux-{arch}.tar.gz"
            self._member(url, f"{url}.sha256", item.name, target)
        elif item.name == "calicoctl":
            folder = f"{github}/projectcalico/calico/releases/download/v{version}"
            fetch_url(f"{folder}/calicoctl-linux-{arch}", target, self._sum(f"{folder}/SHA256SUMS", f"calicoctl-linux-{arch}"))
        else:
            url = f"{github}/containernetworking/plugins/releases/download/v{version}/cni-plugins-linux-{arch}-v{version}.tgz"
            self._member(url, f"{url}.sha256", item.name, target)

    def _operator_crds(self, item: Item, target: Path) -> None:
        """Join the kinds that are needed; their repository publishes no checksums, as Calico's for its manifests."""
        folder = f"{self.urls['github_raw']}/prometheus-operator/prometheus-operator/v{item.version}/example/prometheus-operator-crd"
        target.write_text("".join(read_url(f"{folder}/monitoring.coreos.com_{kind}.yaml") for kind in OPERATOR_KINDS))

    def _sum(self, url: str, name: str) -> str:
        """Return the digest of a file from a checksum page, which is a bare digest or lines of sha256sum."""
        text = read_url(url).strip()
        if len(text.split()) == 1:
            text = f"{text}  {name}"
        sums = {PurePosixPath(path).name: digest for path, digest in parse_sums(text, url).items()}
        if name not in sums:
            raise NodewiseError(f"{url} gives no checksum for {name}.", "check the version; that release may not have this file.")
        return sums[name]

    def _member(self, url: str, sums: str, name: str, target: Path) -> None:
        """Take one program out of a release archive, which is kept for the next one."""
        filename = PurePosixPath(url).name
        archive = self.downloads / filename
        archive.parent.mkdir(parents=True, exist_ok=True)
        with file_lock(f"{archive}.lock"):
            fetch_url(url, archive, self._sum(sums, filename))
            with tarfile.open(archive, "r:gz") as members:
                for member in members:
                    if member.isfile() and PurePosixPath(member.name).name == name:
                        with target.open("wb") as handle:
                            shutil.copyfileobj(member_stream(members, member), handle, 1 << 20)
                        return
        raise NodewiseError(f"{url} holds no program {name}.", "check the name; artifacts_cni_plugins may name only plugins of that release.")

    def _image(self, item: Item, target: Path) -> None:
        registry, _slash, rest = item.image.partition("/")
        image = f"{self.registries.get(registry, registry)}/{rest}"
        target.unlink(missing_ok=True)
        command = ["skopeo", "copy", "--quiet", "--override-os", "linux", "--override-arch", item.arch, f"docker://{image}", f"oci-archive:{target}:{rest}"]
        try:
            result = run(command)
        except FileNotFoundError:
            raise NodewiseError(
                "The program skopeo is missing on the control machine; the source official copies images with it.",
                "install the package skopeo, or set artifacts_source to mirror or gomod.",
            ) from None
        if result.returncode:
            raise NodewiseError(
                f"The image {image} ({item.arch}) cannot be copied: {(result.stderr.strip().splitlines() or ['skopeo said nothing'])[-1]}.",
                "check the version and the way to that registry from the control machine, or name a replacement in artifacts_registries.",
            )
