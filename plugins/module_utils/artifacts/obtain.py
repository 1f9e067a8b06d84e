# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Obtain everything a cluster is made of: choose the source, go through the list, tell how far it is."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import NodewiseError
from ..process import run
from .catalogue import Item, Versions, catalogue, kubeadm_images, kubeadm_item, validate
from .gomod import NOT_SERVED, GomodSource
from .mirror import MirrorSource, export
from .oci import describe
from .official import OfficialSource
from .store import Record, Source, Store

SOURCES = ("auto", "mirror", "official", "gomod")
# Seconds between two signs of life while one item takes long.
HEARTBEAT = 15.0
# An item that took less is not worth a line in the summary.
WORTH_TELLING = 1.0
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Request:
    """What is wanted, and from where.

    Parameters
    ----------
    versions : Versions
        Of the parts.
    architectures : list of str
        Of the hosts.
    cni_plugins : list of str
        Names of CNI plugins.
    calico_manifest : str
        ``calico-vxlan`` or ``calico``.
    source : str
        One of ``SOURCES``.
    calico_backend : str
        What calico-node shall run; ``bird`` is more than gomod's can.
    cache : Path
        Folder that holds one cache for each source.
    mirror : str
        Folder or address of a mirror; empty when there is none.
    official_urls, registries : dict
        See ``OfficialSource``.
    debian_mirror : str
        See ``GomodSource``.
    export : Path, optional
        Folder in which a mirror of everything is made.
    """

    versions: Versions
    architectures: list[str]
    cni_plugins: list[str]
    calico_manifest: str
    source: str
    cache: Path
    mirror: str = ""
    calico_backend: str = "vxlan"
    official_urls: dict[str, str] = field(default_factory=dict)
    registries: dict[str, str] = field(default_factory=dict)
    debian_mirror: str = "http://deb.debian.org/debian"
    export: Path | None = None

    def store(self, name: str) -> Store:
        """Return the cache of a source."""
        return Store(self.cache / name)

    def items(self, versions: Versions) -> list[Item]:
        """Return the list of files for versions."""
        return catalogue(versions, self.architectures, self.cni_plugins, self.calico_manifest)


@dataclass(frozen=True)
class Obtained:
    """The result: what came from where, and what was not in the cache before.

    Parameters
    ----------
    source : str
        The source that was used.
    artifacts : list of dict
        One record for each file; ``path``, ``sha256``, ``size`` and ``image_id`` are empty for one
        that is only predicted.
    fetched : list of str
        The items that were fetched, or would be.
    exported : list of str
        The paths that were written in the mirror to be made, or would be.
    unavailable : list of str
        What this source can never give. A cluster works without it.
    """

    source: str
    artifacts: list[dict[str, Any]]
    fetched: list[str]
    exported: list[str]
    unavailable: list[str]


def _source(request: Request, name: str) -> Source:
    store = request.store(name)
    if name == "mirror":
        if not request.mirror:
            raise NodewiseError("artifacts_source is mirror, but artifacts_mirror is empty.", "set artifacts_mirror to the mirror's folder or address.")
        return MirrorSource(request.mirror)
    if name == "official":
        return OfficialSource(store.private / "downloads", request.official_urls, request.registries)
    return GomodSource(store.private / "work", request.debian_mirror)


def choose(request: Request) -> Source:
    """Return the source to use.

    ``auto`` is the mirror if one is set; else the source whose cache has everything already,
    so that a cluster does not change its files with the weather; else the official one if its
    servers answer; else gomod.

    Raises
    ------
    NodewiseError
        The name is not a source, or the mirror is not given.
    """
    if request.source not in SOURCES:
        raise NodewiseError(f"artifacts_source is {request.source!r}.", f"choose one of {', '.join(SOURCES)}.")
    if request.source != "auto":
        return _source(request, request.source)
    if request.mirror:
        return _source(request, "mirror")
    official = OfficialSource(request.store("official").private / "downloads", request.official_urls, request.registries)
    gomod = _source(request, "gomod")
    for source in (official, gomod):
        if _suits(request, source) and _complete(request, source):
            return source
    return official if official.reachable() else gomod


def _suits(request: Request, source: Source) -> bool:
    return source.name != GomodSource.name or request.calico_backend != "bird"


def _complete(request: Request, source: Source) -> bool:
    store = request.store(source.name)
    items = request.items(_resolve(request, store, source))
    return all(store.have(item, source.fingerprint(item)) for item in items if _offers(source, item))


def _offers(source: Source, item: Item) -> bool:
    return source.name != GomodSource.name or item.name not in NOT_SERVED


def _kubeadm(request: Request) -> Item | None:
    """Return the kubeadm that this machine can run, if it is among what is wanted."""
    arch = MACHINES.get(os.uname().machine)
    return kubeadm_item(request.versions.kubernetes, arch) if arch in request.architectures else None


def _resolve(request: Request, store: Store, source: Source) -> Versions:
    """Fill in the tags of etcd, CoreDNS and pause: what the cached kubeadm says, else the table."""
    versions = request.versions
    if versions.etcd and versions.coredns and versions.pause:
        return versions
    kubeadm = _kubeadm(request)
    if kubeadm is not None and store.have(kubeadm, source.fingerprint(kubeadm)):
        etcd, coredns, pause = wanted_by_kubeadm(store.path(kubeadm), versions.kubernetes)
    else:
        etcd, coredns, pause = kubeadm_images(versions.kubernetes)
    return replace(versions, etcd=versions.etcd or etcd, coredns=versions.coredns or coredns, pause=versions.pause or pause)


def wanted_by_kubeadm(kubeadm: Path, kubernetes: str) -> tuple[str, str, str]:
    """Ask kubeadm for the tags of etcd, CoreDNS (without ``v``) and pause that it wants.

    Raises
    ------
    NodewiseError
        It cannot be run, or does not name them.
    """
    command = [str(kubeadm), "config", "images", "list", "--kubernetes-version", f"v{kubernetes}"]
    result = run(command)
    tags = {image.rpartition(":")[0].rpartition("/")[2]: image.rpartition(":")[2] for image in result.stdout.split()}
    try:
        return tags["etcd"], tags["coredns"].removeprefix("v"), tags["pause"]
    except KeyError as error:
        raise NodewiseError(f"'{' '.join(command)}' does not name {error}: {result.stderr.strip() or result.stdout.strip()}") from error


@contextmanager
def _alive(tell: Tell, what: str) -> Iterator[None]:
    """Say every now and then that something is still going on."""
    finished = threading.Event()
    begun = time.monotonic()

    def beat() -> None:
        while not finished.wait(HEARTBEAT):
            tell(f"{what} ... {time.monotonic() - begun:.0f} s")

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join()


class _Run:
    """One way through what is missing, counted and timed."""

    def __init__(self, store: Store, source: Source, tell: Tell) -> None:
        self.store = store
        self.source = source
        self.tell = tell
        self.times: dict[str, float] = {}

    def obtain(self, item: Item, count: str) -> Record:
        what = f"{count} {self.source.verb()} {item} ({item.kind}, {self.source.name})"
        self.tell(what)
        begun = time.monotonic()
        with _alive(self.tell, what):
            record = self.store.obtain(item, self.source)
        self.times[str(item)] = time.monotonic() - begun
        self.tell(f"{what} done: {record.size / 2**20:.1f} MiB in {self.times[str(item)]:.1f} s")
        return record

    def summary(self) -> None:
        slowest = sorted(self.times.items(), key=lambda pair: pair[1], reverse=True)[:5]
        told = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in slowest if seconds >= WORTH_TELLING)
        self.tell(f"{len(self.times)} artifacts obtained in {sum(self.times.values()):.1f} s" + (f"; slowest: {told}" if told else ""))


def _artifact(item: Item, source: Source, path: Path, record: Record | None) -> dict[str, Any]:
    image = describe(path, item.arch).config if record and item.kind == "image" else ""
    return {
        **asdict(item),
        "mode": item.mode,
        "source": source.name,
        "path": str(path) if record else "",
        "sha256": record.sha256 if record else "",
        "size": record.size if record else 0,
        "image_id": image,
    }


def obtain(request: Request, tell: Tell, predict: bool = False) -> Obtained:
    """Make sure the cache holds everything, verified.

    Parameters
    ----------
    request : Request
        What is wanted.
    tell : callable
        Takes lines of progress.
    predict : bool
        Fetch nothing; say what would be fetched.

    Raises
    ------
    NodewiseError
        A value is not valid, or an item cannot be had.
    """
    validate(request.versions, request.architectures, request.cni_plugins, request.calico_manifest)
    source = choose(request)
    if not _suits(request, source):
        raise NodewiseError(
            "calico_backend is bird, but BIRD is not in the calico-node that source gomod builds: it is no Go program.",
            "set artifacts_source to official or mirror, or calico_backend to vxlan.",
        )
    store = request.store(source.name)
    run = _Run(store, source, tell)
    kubeadm = _kubeadm(request)
    if kubeadm is not None and not predict and store.have(kubeadm, source.fingerprint(kubeadm)) is None:
        # It says which images it wants, so it must be there before the list can be made.
        run.obtain(kubeadm, "first")
    listed = request.items(_resolve(request, store, source))
    items = [item for item in listed if _offers(source, item)]
    records = {item: store.have(item, source.fingerprint(item)) for item in items}
    missing = [item for item, record in records.items() if record is None or not store.listed(item, record)]
    if not predict:
        for count, item in enumerate(missing, 1):
            records[item] = run.obtain(item, f"[{count}/{len(missing)}]")
        if run.times:
            run.summary()
    fetched = [str(item) for item in missing] if predict else list(run.times)
    artifacts = [_artifact(item, source, store.path(item), records[item]) for item in items]
    exported: list[str] = []
    if request.export is not None:
        exported = export(request.export, [(item, store.path(item), one["sha256"]) for item, one in zip(items, artifacts, strict=True)], predict)
    return Obtained(source.name, artifacts, fetched, exported, [str(item) for item in listed if not _offers(source, item)])
