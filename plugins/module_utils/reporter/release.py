# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A release: the daemon's own code and its wheels in a virtual environment, in a folder named by their digest.

A release is made beside its place and renamed, so what bears the name is whole. It is never changed afterwards.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..artifacts.wheels import MACHINES, Wheel
from ..errors import NodewiseError
from ..files import read_text, sha256_file, write_atomic
from ..process import run
from .code import ENTRIES, PACKAGE

ROOT = "/opt/nodewise/reporter"
# Part of the digest: to be raised when build() lays out the same code and wheels in another way.
LAYOUT = "1"
_MANIFEST = "manifest.json"
_STAMPS = "stamps.json"


@dataclass(frozen=True)
class Python:
    """The Python of a host.

    Parameters
    ----------
    program : str
        Path of the interpreter, links resolved.
    version : str
        C(3.11).
    arch : str
        C(amd64), C(arm64), or the machine's own name.
    """

    program: str
    version: str
    arch: str


def ask_python(program: str) -> Python:
    """Ask an interpreter what it is.

    Raises
    ------
    NodewiseError
        It cannot be run, or is not CPython.
    """
    question = (
        "import json, os, platform, sys;"
        "print(json.dumps([sys.implementation.name, os.path.realpath(sys._base_executable), '%d.%d' % sys.version_info[:2], platform.machine()]))"
    )
    remedy = "name a Python of the host in reporter_python"
    try:
        done = run([program, "-I", "-c", question])
    except OSError as error:
        raise NodewiseError(f"{program} cannot be run: {error.strerror}.", remedy) from error
    if done.returncode != 0:
        raise NodewiseError(f"{program} does not say what it is: {done.stderr.strip()[-300:]}", remedy)
    implementation, path, version, machine = json.loads(done.stdout)
    if implementation != "cpython":
        raise NodewiseError(f"{program} is {implementation}; the wheels are for CPython.", remedy)
    return Python(path, version, MACHINES.get(machine, machine))


def release_digest(code: str, wheels: Sequence[Wheel], python: Python) -> str:
    """Return the name of the release of some code, by its digest, wheels and a Python."""
    content = [LAYOUT, python.program, python.version, python.arch, code, sorted((wheel.filename, wheel.sha256) for wheel in wheels)]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


class Release:
    """A release on this host.

    Parameters
    ----------
    digest : str
        Its name.
    root : str
        Folder of all releases.
    entries : sequence of str
        Modules of the package that must work; the first has a function C(import_all).
    """

    def __init__(self, digest: str, root: str = ROOT, entries: Sequence[str] = ENTRIES["reporter"]) -> None:
        self.digest = digest
        self.root = root
        self.entries = entries
        self.path = os.path.join(root, digest)

    @property
    def python(self) -> str:
        """The interpreter of its virtual environment."""
        return os.path.join(self.path, "venv", "bin", "python")

    @property
    def manifest(self) -> str:
        """The list of its files with their digests."""
        return os.path.join(self.path, _MANIFEST)

    def whole(self) -> bool:
        """Tell whether it is there and just as it was built."""
        try:
            expected = json.loads(read_text(self.manifest) or "null")
            # Files that nobody has touched need not be read.
            return expected is not None and (
                _stamps(self.path) == json.loads(read_text(os.path.join(self.path, _STAMPS)) or "null") or _digests(self.path) == expected
            )
        except (OSError, ValueError):
            return False

    def build(self, python: Python, code: Mapping[str, str], wheels: Sequence[str]) -> None:
        """Make it.

        Parameters
        ----------
        python : Python
            The host's Python.
        code : mapping of str to str
            Files of the package.
        wheels : sequence of str
            Paths of the wheels, verified.

        Raises
        ------
        NodewiseError
            A wheel is not one that unpacking installs, or the Python cannot import what was laid down.
        OSError
            The disk is full, or a path is not what it should be.
        """
        os.makedirs(self.root, mode=0o755, exist_ok=True)
        self._sweep()
        part = tempfile.mkdtemp(prefix=".part-", dir=self.root)
        os.chmod(part, 0o755)
        try:
            libraries = os.path.join(part, "venv", "lib", f"python{python.version}", "site-packages")
            os.makedirs(libraries)
            os.makedirs(os.path.join(part, "venv", "bin"))
            # PEP 405: a link to the interpreter and a pyvenv.cfg are a virtual environment. Debian has ensurepip, which `python -m venv`
            # would run, and sometimes venv itself, only in packages of their own.
            os.symlink(python.program, os.path.join(part, "venv", "bin", "python"))
            home = os.path.dirname(python.program)
            write_atomic(os.path.join(part, "venv", "pyvenv.cfg"), f"home = {home}\ninclude-system-site-packages = false\nversion = {python.version}\n")
            for wheel in wheels:
                _unpack(wheel, libraries)
            for name, text in code.items():
                write_atomic(os.path.join(libraries, PACKAGE, name), text)
            _try(os.path.join(part, "venv", "bin", "python"), libraries, self.entries)
            write_atomic(os.path.join(part, _MANIFEST), json.dumps(_digests(part), indent=0, sort_keys=True))
            if os.path.lexists(self.path):
                # A damaged one goes out of the way; what runs keeps the files that it has open.
                os.rename(self.path, tempfile.mkdtemp(prefix=".old-", dir=self.root))
            os.rename(part, self.path)
            write_atomic(os.path.join(self.path, _STAMPS), json.dumps(_stamps(self.path)))
        finally:
            shutil.rmtree(part, ignore_errors=True)
            self._sweep()

    def _sweep(self) -> None:
        for name in os.listdir(self.root):
            if name.startswith((".part-", ".old-")):
                shutil.rmtree(os.path.join(self.root, name), ignore_errors=True)

    def others(self) -> list[str]:
        """Return the names of all other releases on this host."""
        try:
            names = os.listdir(self.root)
        except FileNotFoundError:
            return []
        return sorted(name for name in names if name != self.digest and os.path.exists(os.path.join(self.root, name, _MANIFEST)) and name != "current")

    def current(self) -> bool:
        """Tell whether the link C(current) names it."""
        link = os.path.join(self.root, "current")
        return os.path.islink(link) and os.readlink(link) == self.digest

    def make_current(self) -> None:
        """Let the link C(current) name it, atomically, and remove all other releases."""
        temporary = os.path.join(self.root, f".part-{self.digest}")
        if os.path.lexists(temporary):
            os.unlink(temporary)
        os.symlink(self.digest, temporary)
        os.replace(temporary, os.path.join(self.root, "current"))
        for name in self.others():
            shutil.rmtree(os.path.join(self.root, name))


def _try(program: str, libraries: str, entries: Sequence[str]) -> None:
    """Compile everything, since the daemon may not write there, and import all that it will need."""
    # unchecked-hash: the files never change under their names, so Python need not look at them again.
    compile_all = [program, "-I", "-m", "compileall", "-q", "--invalidation-mode=unchecked-hash", libraries]
    import_all = [program, "-I", "-c", "; ".join([*(f"import {PACKAGE}.{entry}" for entry in entries), f"{PACKAGE}.{entries[0]}.import_all()"])]
    for command in (compile_all, import_all):
        done = run(command)
        if done.returncode != 0:
            raise NodewiseError(f"The new release does not work with {os.readlink(program)}: {(done.stderr or done.stdout).strip()[-600:]}")


def _unpack(wheel: str, libraries: str) -> None:
    """Install a wheel by unpacking it, which is all that PEP 427 asks for one without a C(.data) folder; one with it is refused."""
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            parts = entry.filename.split("/")
            if parts[0].endswith(".data") or ".." in parts or not parts[0]:
                raise NodewiseError(f"{os.path.basename(wheel)} has {entry.filename}, so it is not installed by unpacking it.")
            if entry.is_dir():
                continue
            target = os.path.join(libraries, *parts)
            os.makedirs(os.path.dirname(target), mode=0o755, exist_ok=True)
            with archive.open(entry) as source, open(target, "wb") as handle:
                shutil.copyfileobj(source, handle)
                os.fchmod(handle.fileno(), 0o644)


def _files(root: str) -> Iterator[tuple[str, str]]:
    """Return name and path of every file and link below a folder but for those that tell of the others."""
    for folder, folders, names in os.walk(root):
        for name in [*names, *(one for one in folders if os.path.islink(os.path.join(folder, one)))]:
            path = os.path.join(folder, name)
            relative = os.path.relpath(path, root)
            if relative not in (_MANIFEST, _STAMPS):
                yield relative, path


def _digests(root: str) -> dict[str, str]:
    """Return the digest, or the link's target, of every file below a folder."""
    return {name: f"-> {os.readlink(path)}" if os.path.islink(path) else sha256_file(path) for name, path in _files(root)}


def _stamps(root: str) -> dict[str, list[int]]:
    """Return of every file below a folder what changes with it: the time of its last change cannot be set."""
    found = {name: os.lstat(path) for name, path in _files(root)}
    return {name: [stat.st_size, stat.st_ctime_ns, stat.st_ino] for name, stat in found.items()}
