# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The OCI image archives: write them from plain files, read them, and merge several into one.

Written by hand because neither the control machine nor the hosts have a container
builder, and because an archive made here is the same, byte for byte, on every run:
sorted entries, no times, no user names.

Format: OCI image layout 1.1 (``oci-layout``, ``index.json``, ``blobs/sha256/...``) in one
uncompressed tar, which is what ``ctr images import`` and ``skopeo`` read.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

from ..errors import NodewiseError
from ..files import sha256_file
from ..process import start_filter
from .tar import CheckedStream, member_stream

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+zstd"
INDEXES = (INDEX, "application/vnd.docker.distribution.manifest.list.v2+json")
# Measured: imports as fast as level 1 and 10 % smaller; level 9 gains another 10 % but takes four times as long to write.
# Uncompressed layers import slower (half as much again is written), gzip costs containerd twice the time.
ZSTD_LEVEL = 3
# The remedy where a cached file is not what its record says, though size and time are the record's.
DAMAGED = "remove that file, and run the task that obtains the artifacts again."
LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'


@dataclass(frozen=True)
class Entry:
    """One path of a layer.

    Parameters
    ----------
    path : str
        Path in the image, without a leading slash.
    source : Path, optional
        The file whose bytes it gets; None makes a folder, or a link when ``link`` is set.
    mode : int
        Permission bits.
    owner : int
        Number of the owning user and group.
    link : str
        Target of a link.
    hard : bool
        ``link`` is a hard link to an earlier path of the same layer.
    capability : int, optional
        Bit mask of permitted file capabilities (capabilities(7)), effective at exec.
    """

    path: str
    source: Path | None = None
    mode: int = 0o755
    owner: int = 0
    link: str = ""
    hard: bool = False
    capability: int = 0


@dataclass(frozen=True)
class Layer:
    """A compressed layer on disk: its file, and the digests an image refers to it by."""

    path: Path
    digest: str
    diff_id: str


@dataclass(frozen=True)
class Process:
    """What a container of an image runs when the pod does not say."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    user: str = ""
    path: str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    environment: tuple[str, ...] = field(default=())


def _member(entry: Entry) -> tarfile.TarInfo:
    member = tarfile.TarInfo(entry.path)
    member.mode = entry.mode
    member.uid = member.gid = entry.owner
    if entry.link:
        member.type = tarfile.LNKTYPE if entry.hard else tarfile.SYMTYPE
        member.linkname = entry.link
    elif entry.source is None:
        member.type = tarfile.DIRTYPE
    else:
        member.size = entry.source.stat().st_size
    if entry.capability:
        # struct vfs_cap_data, revision 2, effective bit set; all its bytes are below 0x80, so it is text for pax.
        raw = (0x02000001).to_bytes(4, "little") + entry.capability.to_bytes(4, "little") + bytes(12)
        member.pax_headers = {"SCHILY.xattr.security.capability": raw.decode("ascii")}
    return member


def write_tar(entries: Iterable[Entry], stream: IO[bytes]) -> None:
    """Write a tar whose bytes depend on nothing but the entries, with every parent folder."""
    ordered = sorted(entries, key=lambda entry: (entry.hard, entry.path))
    known = {entry.path for entry in ordered}
    parents = {str(parent) for entry in ordered for parent in Path(entry.path).parents if str(parent) != "."}
    folders = [Entry(path) for path in sorted(parents - known)]
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for entry in [*folders, *ordered]:
            member = _member(entry)
            if entry.source is None:
                archive.addfile(member)
            else:
                with entry.source.open("rb") as handle:
                    archive.addfile(member, handle)


class _Tee(io.RawIOBase):
    """Hashes what passes through on its way to a pipe."""

    def __init__(self, sink: IO[bytes]) -> None:
        self.sink = sink
        self.digest = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.digest.update(data)
        self.sink.write(data)
        return len(data)


def write_layer(entries: Iterable[Entry], path: Path) -> Layer:
    """Write entries as a compressed layer.

    Raises
    ------
    NodewiseError
        ``zstd`` is missing or fails.
    """
    return _compress(path, lambda stream: write_tar(entries, stream))


def compress_tar(source: IO[bytes], path: Path) -> Layer:
    """Compress a finished tar (a root filesystem) as a layer; raises like ``write_layer``."""

    def copy(stream: IO[bytes]) -> None:
        while chunk := source.read(1 << 20):
            stream.write(chunk)

    return _compress(path, copy)


def _compress(path: Path, produce: Callable[[IO[bytes]], None]) -> Layer:
    with path.open("wb") as target:
        try:
            process = start_filter(["zstd", "-q", f"-{ZSTD_LEVEL}"], target)
        except FileNotFoundError:
            raise NodewiseError(
                "The program zstd is missing on the control machine; image layers are compressed with it.", "install the package zstd."
            ) from None
    pipe = cast(IO[bytes], process.stdin)
    tee = _Tee(pipe)
    # When zstd has given up, its status says more than the broken pipe.
    with suppress(BrokenPipeError), pipe:
        produce(tee)  # type: ignore[arg-type]
    status = process.wait()
    if status:
        raise NodewiseError(f"zstd ended with status {status} while writing {path}.", "look for a full disk.")
    return Layer(path, f"sha256:{sha256_file(str(path))}", f"sha256:{tee.digest.hexdigest()}")


def _blob(archive: tarfile.TarFile, digest: str, size: int, stream: IO[bytes] | CheckedStream) -> None:
    member = tarfile.TarInfo(_blob_name(digest))
    member.size = size
    archive.addfile(member, stream)


def _json_blob(archive: tarfile.TarFile, document: dict[str, Any], media_type: str) -> dict[str, Any]:
    data = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    _blob(archive, digest, len(data), io.BytesIO(data))
    return {"mediaType": media_type, "digest": digest, "size": len(data)}


def _plain(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def _named(descriptor: dict[str, Any], image: str) -> dict[str, Any]:
    """Give a manifest's descriptor the annotation containerd reads a name from, and the one of the specification."""
    return {**descriptor, "annotations": {"io.containerd.image.name": image, "org.opencontainers.image.ref.name": image.rpartition(":")[2]}}


def write_image(path: Path, image: str, arch: str, layers: list[Layer], process: Process) -> None:
    """Write one image as an archive.

    Parameters
    ----------
    path : Path
        The archive; replaced if there.
    image : str
        Full name, for example ``registry.k8s.io/pause:3.10.2``.
    arch : str
        ``amd64`` or ``arm64``.
    layers : list of Layer
        Lowest first.
    process : Process
        What a container of it runs.
    """
    config = {
        "architecture": arch,
        "os": "linux",
        "config": {
            "Entrypoint": list(process.entrypoint),
            "Cmd": list(process.command),
            "User": process.user,
            "Env": [f"PATH={process.path}", *process.environment],
            "WorkingDir": "/",
        },
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
    }
    with tarfile.open(path, "w") as archive:
        _plain(archive, "oci-layout", LAYOUT)
        descriptors = []
        for layer in layers:
            size = layer.path.stat().st_size
            with layer.path.open("rb") as stream:
                _blob(archive, layer.digest, size, stream)
            descriptors.append({"mediaType": LAYER, "digest": layer.digest, "size": size})
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": _json_blob(archive, config, CONFIG), "layers": descriptors}
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [_named(_json_blob(archive, manifest, MANIFEST), image)]}
        _plain(archive, "index.json", json.dumps(index, sort_keys=True).encode())


@dataclass(frozen=True)
class Image:
    """What an archive says about the image in it.

    Parameters
    ----------
    manifest : dict
        Descriptor of the manifest (media type, digest, size).
    config : str
        Digest of the configuration, which CRI calls the image's id.
    blobs : tuple of str
        Digests of everything the image is made of, the manifest first.
    """

    manifest: dict[str, Any]
    config: str
    blobs: tuple[str, ...]


def _load(archive: tarfile.TarFile, name: str) -> Any:
    return json.load(member_stream(archive, name))


def _blob_name(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


def _describe(archive: tarfile.TarFile, arch: str) -> Image:
    descriptors = _load(archive, "index.json")["manifests"]
    while True:
        fitting = [one for one in descriptors if one.get("platform", {}).get("architecture", arch) == arch]
        if len(fitting) != 1:
            raise ValueError(f"{len(fitting)} images for {arch} where one is needed")
        if fitting[0]["mediaType"] not in INDEXES:
            break
        descriptors = _load(archive, _blob_name(fitting[0]["digest"]))["manifests"]
    descriptor = fitting[0]
    manifest = _load(archive, _blob_name(descriptor["digest"]))
    config = manifest["config"]["digest"]
    found = _load(archive, _blob_name(config)).get("architecture")
    if found != arch:
        raise ValueError(f"its image is for {found}, not {arch}")
    blobs = (descriptor["digest"], config, *(layer["digest"] for layer in manifest["layers"]))
    for blob in blobs:
        archive.getmember(_blob_name(blob))
    return Image({key: descriptor[key] for key in ("mediaType", "digest", "size")}, config, blobs)


def describe(path: Path, arch: str) -> Image:
    """Read what image an archive holds.

    Raises
    ------
    NodewiseError
        It is not an OCI archive of one image for that architecture.
    """
    try:
        with tarfile.open(path, "r:") as archive:
            return _describe(archive, arch)
    except (tarfile.TarError, KeyError, ValueError) as error:
        reason = error.args[0] if error.args else type(error).__name__
        raise NodewiseError(
            f"{path} is not an OCI archive of one {arch} image: {reason}.", f"make it with: skopeo copy --override-arch {arch} docker://IMAGE oci-archive:FILE"
        ) from error


def merge(sources: Iterable[tuple[Path, str]], arch: str, target: Path) -> None:
    """Put several images into one archive, under the names given, each shared blob once.

    Parameters
    ----------
    sources : iterable of (Path, str)
        Archives and the full name of the image in each.
    arch : str
        Architecture of all of them.
    target : Path
        The archive to write.

    Raises
    ------
    NodewiseError
        A source is damaged, or not an OCI archive of one image for that architecture.
    """
    written: set[str] = set()
    manifests = []
    with tarfile.open(target, "w") as bundle:
        _plain(bundle, "oci-layout", LAYOUT)
        for path, name in sources:
            image = describe(path, arch)
            manifests.append(_named(image.manifest, name))
            with tarfile.open(path, "r:") as archive:
                for digest in image.blobs:
                    if digest not in written:
                        member = archive.getmember(_blob_name(digest))
                        checked = CheckedStream(member_stream(archive, member))
                        _blob(bundle, digest, member.size, checked)
                        if f"sha256:{checked.digest()}" != digest:
                            raise NodewiseError(f"{path} is damaged: its blob {digest} has SHA-256 {checked.digest()}.", DAMAGED)
                        written.add(digest)
        _plain(bundle, "index.json", json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}).encode())
