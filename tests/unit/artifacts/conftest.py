# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A web server that can be told to misbehave, and small stand-ins for everything a cluster is made of."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.artifacts import oci
from ansible_collections.nodewise.cluster.plugins.module_utils.artifacts.catalogue import Item, Versions, catalogue

VERSIONS = Versions("1.37.2", "2.4.2", "1.5.2", "1.9.1", "1.37.0", "3.28.5", "3.7.0-0", "1.14.6", "3.10.2", "0.8.0")
PLUGINS = ["host-local", "portmap"]


@dataclass
class Web:
    """A server's files and faults, and the requests it saw."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    # Break the connection after so many bytes, once for each number.
    breaks: list[int] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)


@pytest.fixture
def web() -> Iterator[Web]:
    state = Web()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.send_error(404)

        def do_GET(self) -> None:
            given = self.headers.get("Range", "")
            state.requests.append((self.path, given))
            body = state.files.get(self.path)
            if body is None:
                self.send_error(404)
                return
            start = int(given.removeprefix("bytes=").rstrip("-")) if given else 0
            if given and start >= len(body):
                self.send_error(416)
                return
            self.send_response(206 if given else 200)
            self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            if state.breaks:
                self.wfile.write(body[start : start + state.breaks.pop(0)])
                self.wfile.flush()
                self.close_connection = True
                return
            self.wfile.write(body[start:])

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def nowhere() -> str:
    """Return an address where nobody answers."""
    return "http://127.0.0.1:1"


class Kit:
    """What several tests need; a fixture, since test modules cannot import one another."""

    VERSIONS = VERSIONS
    PLUGINS = PLUGINS

    @staticmethod
    def digest(data: bytes) -> str:
        return sha256(data).hexdigest()

    @staticmethod
    def items(arch: str = "amd64") -> list[Item]:
        return catalogue(VERSIONS, [arch], PLUGINS, "calico-vxlan")

    @staticmethod
    def item(name: str, arch: str = "amd64") -> Item:
        return next(one for one in Kit.items(arch) if one.name == name)

    @staticmethod
    def image_file(path: Path, image: str, arch: str, content: bytes = b"program") -> None:
        """Write a real, tiny image."""
        program = path.with_suffix(".program")
        program.write_bytes(content)
        layer = oci.write_layer([oci.Entry("program", program)], path.with_suffix(".layer"))
        oci.write_image(path, image, arch, [layer], oci.Process(("/program",)))
        program.unlink()
        layer.path.unlink()

    @staticmethod
    def script(path: Path, text: str) -> None:
        """Write a program that stands in for a real one."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)


@pytest.fixture
def kit() -> type[Kit]:
    return Kit


KUBEADM = """#!/bin/sh
echo registry.k8s.io/kube-apiserver:v1.37.2
echo registry.k8s.io/coredns/coredns:v1.14.6
echo registry.k8s.io/pause:3.10.2
echo registry.k8s.io/etcd:3.7.0-0
"""


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """Return a whole mirror; its kubeadm can say which images it wants."""
    root = tmp_path / "mirror"
    sums = ""
    for one in Kit.items():
        path = root / one.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if one.kind == "image":
            Kit.image_file(path, one.image, one.arch, one.name.encode())
        else:
            path.write_text(KUBEADM if one.name == "kubeadm" else f"{one.name}\n")
        sums += f"{Kit.digest(path.read_bytes())}  {one.path}\n"
    (root / "SHA256SUMS").write_text(sums)
    return root
