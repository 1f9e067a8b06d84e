# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compile commands of published Go modules, for any architecture, the same bytes each time.

A published module's own ``replace`` directives count only when it is the main module, and
``go install module/cmd@version`` refuses a module that has any. So a wrapper module is written: it
requires what the module's own go.mod requires and repeats its replacements.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import NodewiseError
from ..files import write_atomic
from ..process import run

TRIPLETS = {"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}


@dataclass(frozen=True)
class GoModule:
    """A module at a version, as the Go module proxy serves it.

    Parameters
    ----------
    path, version : str
        Module path and version (``v1.37.2``).
    unversioned : str
        Version that stands for each ``v0.0.0`` requirement, which is how Kubernetes
        names its staging repositories; empty when there are none.
    replace : dict
        Further replacements, as ``{path: version}``.
    """

    path: str
    version: str
    unversioned: str = ""
    replace: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class GoCommand:
    """One program of a module, and the flags it is compiled with."""

    module: GoModule
    package: str
    ldflags: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    cgo: bool = False


def run_go(arguments: list[str], folder: Path, environment: dict[str, str] | None = None) -> str:
    """Run ``go`` in a folder and return what it printed.

    Raises
    ------
    NodewiseError
        ``go`` is missing, or failed (the message ends with its last lines).
    """
    try:
        result = run(["go", *arguments], cwd=folder, env={**os.environ, "GOFLAGS": "-mod=mod -buildvcs=false", "GOWORK": "off", **(environment or {})})
    except FileNotFoundError:
        raise NodewiseError(
            "The program go is missing on the control machine; the source gomod compiles everything with it.",
            "install Go 1.26 or newer (https://go.dev/dl), or set artifacts_source to mirror or official.",
        ) from None
    if result.returncode:
        text = "\n".join((result.stderr or result.stdout).strip().splitlines()[-8:])
        raise NodewiseError(f"go {' '.join(arguments[:2])} failed in {folder} (status {result.returncode}): {text}")
    return result.stdout


def download(module: GoModule, folder: Path) -> dict[str, Any]:
    """Fetch a module into Go's cache; return what ``go mod download -json`` says (``Dir``, ``GoMod``).

    Raises
    ------
    NodewiseError
        The proxy does not serve that version; the message lists the newest that it serves.
    """
    try:
        description: dict[str, Any] = json.loads(run_go(["mod", "download", "-json", f"{module.path}@{module.version}"], folder))
    except NodewiseError as error:
        try:
            served = run_go(["list", "-m", "-versions", module.path], folder).split()[1:]
        except NodewiseError:
            raise error from None
        raise NodewiseError(
            f"The Go module proxy does not serve {module.path} {module.version}. Newest served: {', '.join(served[-8:]) or 'none'}.",
            "choose one of these versions, or set artifacts_source to mirror or official.",
        ) from None
    return description


def go_mod(module: GoModule, described: dict[str, Any]) -> str:
    """Return the text of the wrapper module's go.mod.

    Parameters
    ----------
    module : GoModule
        What is wrapped.
    described : dict
        Its own go.mod, as ``go mod edit -json`` prints it.
    """
    lines = ["module nodewise/build", f"go {described['Go']}", f"require {module.path} {module.version}"]
    replaced = dict(module.replace)
    for requirement in described.get("Require") or []:
        path, version = requirement["Path"], requirement["Version"]
        if version == "v0.0.0" and module.unversioned:
            version = module.unversioned
            replaced.setdefault(path, version)
        lines.append(f"require {path} {version}")
    for replacement in described.get("Replace") or []:
        new = replacement["New"]
        # A replacement without a version is a folder of the module's repository, which the proxy does not serve.
        if new.get("Version") and replacement["Old"]["Path"] not in replaced:
            lines.append(f"replace {replacement['Old']['Path']} => {new['Path']} {new['Version']}")
    lines += [f"replace {path} => {path} {version}" for path, version in sorted(replaced.items())]
    return "\n".join(lines) + "\n"


class GoBuilder:
    """Compiles commands for one architecture.

    Parameters
    ----------
    folder : Path
        Where the wrapper modules are kept, so that the next build need not resolve them again.
    arch : str
        ``amd64`` or ``arm64``; also Go's own name for it.
    """

    def __init__(self, folder: Path, arch: str) -> None:
        self.folder = folder
        self.arch = arch
        folder.mkdir(parents=True, exist_ok=True)

    def directory(self, module: GoModule) -> Path:
        """Return the folder in Go's cache that holds the module's sources."""
        return Path(download(module, self.folder)["Dir"])

    def build(self, command: GoCommand, target: Path) -> None:
        """Compile a command, stripped and without paths of this machine, to a file.

        Raises
        ------
        NodewiseError
            The module is not served, a compiler is missing, or compiling fails.
        """
        wrapper = self._wrapper(command.module)
        ldflags = ["-s", "-w", *command.ldflags]
        environment = {"GOOS": "linux", "GOARCH": self.arch, "CGO_ENABLED": "0"}
        if command.cgo:
            ldflags += ["-extldflags", "-static"]
            environment.update(CGO_ENABLED="1", CC=c_compiler(self.arch), PKG_CONFIG_LIBDIR=f"/usr/lib/{TRIPLETS[self.arch]}/pkgconfig")
        arguments = ["build", "-trimpath", "-ldflags", " ".join(ldflags), "-o", str(target)]
        if command.tags:
            arguments += ["-tags", ",".join(command.tags)]
        try:
            run_go([*arguments, command.package], wrapper, environment)
        except NodewiseError as error:
            if not command.cgo:
                raise
            raise NodewiseError(error.message, f"it is linked with C libraries; install pkg-config, libc6-dev and libseccomp-dev for {self.arch}.") from None

    def _wrapper(self, module: GoModule) -> Path:
        described = json.loads(run_go(["mod", "edit", "-json", download(module, self.folder)["GoMod"]], self.folder))
        text = go_mod(module, described)
        name = re.sub(r"[^A-Za-z0-9.]+", "-", module.path)
        wrapper = self.folder / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
        wrapper.mkdir(exist_ok=True)
        # Go completes this file itself, so an existing one is left as it is.
        if not (wrapper / "go.mod").exists():
            write_atomic(str(wrapper / "go.mod"), text)
        return wrapper


def c_compiler(arch: str) -> str:
    """Return the C compiler that makes programs for an architecture.

    Raises
    ------
    NodewiseError
        It is not installed.
    """
    native = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine)
    compiler = "gcc" if arch == native else f"{TRIPLETS[arch]}-gcc"
    package = "gcc" if arch == native else f"gcc-{TRIPLETS[arch].replace('_', '-')}"
    if shutil.which(compiler) is None:
        raise NodewiseError(
            f"The C compiler {compiler} is missing on the control machine; runc and pause for {arch} are compiled with it.",
            f"install the package {package}, or set artifacts_source to mirror or official.",
        )
    return compiler
