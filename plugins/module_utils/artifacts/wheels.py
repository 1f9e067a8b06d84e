# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Python wheels of the daemons, pinned by their digests: pure data."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import NodewiseError
from .catalogue import Item

MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
PYTHONS = ("3.11", "3.12", "3.13")

# `scripts/pin-wheels` prints it. typing_extensions is what grpcio requires.
LOCK = """\
885f8c19eb4f472dc9b91bec03ea8b2b135027b4d94c4386501069a7b6e08efa
    grpcio-1.85.3-cp311-cp311-manylinux2014_aarch64.manylinux_2_17_aarch64.whl
f2948333a1f462c0e559b5ea436655ed36822fa448f5713d6de2d483bed6e03f
    grpcio-1.85.3-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl
258c579112434464d24dd5f8f73bf4b220a9c88219bef4d6f56410b5363a0a81
    grpcio-1.85.3-cp312-cp312-manylinux2014_aarch64.manylinux_2_17_aarch64.whl
8266434d54c3442ebdba71d97e6f688b73dd00194bda6e1e35e57272afbd2d73
    grpcio-1.85.3-cp312-cp312-manylinux2014_x86_64.manylinux_2_17_x86_64.whl
399fc184b4d2dd0b014b4b880a5b1ecc99383b610dbb270acb43d1b23e1e8b9c
    grpcio-1.85.3-cp313-cp313-manylinux2014_aarch64.manylinux_2_17_aarch64.whl
9d20015c0dfc91de7a9a037cc84c7a174e8fe62e6427f563f1e2e35ca10f3798
    grpcio-1.85.3-cp313-cp313-manylinux2014_x86_64.manylinux_2_17_x86_64.whl
fa93d06737aa02bacd05794768508bb97d2fbee28cb3bca04eaae92f0ca953d6
    prometheus_client-0.26.0-py3-none-any.whl
e11e1f0180583a2af89db6a2ecd9e8dc40aa6d2988ca175bfd0e6d12ea72d74e
    protobuf-7.36.2-cp310-abi3-manylinux2014_aarch64.whl
89f23aa53c24553a2416fd4fd1ec06f74fa42b14b546d8883128813f775bbfd2
    protobuf-7.36.2-cp310-abi3-manylinux2014_x86_64.whl
10892704fc220243f5305762e276552a0395f7beb4dbf9b14ec8fd43b57f126c
    pyyaml-6.0.3-cp311-cp311-manylinux2014_aarch64.manylinux_2_17_aarch64.manylinux_2_28_aarch64.whl
b8bb0864c5a28024fac8a632c443c87c5aa6f215c0b126c449ae1a150412f31d
    pyyaml-6.0.3-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.manylinux_2_28_x86_64.whl
9149cad251584d5fb4981be1ecde53a1ca46c891a79788c0df828d2f166bda28
    pyyaml-6.0.3-cp312-cp312-manylinux2014_aarch64.manylinux_2_17_aarch64.manylinux_2_28_aarch64.whl
ba1cc08a7ccde2d2ec775841541641e4548226580ab850948cbfda66a1befcdc
    pyyaml-6.0.3-cp312-cp312-manylinux2014_x86_64.manylinux_2_17_x86_64.manylinux_2_28_x86_64.whl
ee2922902c45ae8ccada2c5b501ab86c36525b883eff4255313a253a3160861c
    pyyaml-6.0.3-cp313-cp313-manylinux2014_aarch64.manylinux_2_17_aarch64.manylinux_2_28_aarch64.whl
0f29edc409a6392443abf94b9cf89ce99889a1dd5376d94316ae5145dfedd5d6
    pyyaml-6.0.3-cp313-cp313-manylinux2014_x86_64.manylinux_2_17_x86_64.manylinux_2_28_x86_64.whl
481caa481374e813c1b176ada14e97f1f67a4539ce9cfeb3f350d78d6370c2e8
    typing_extensions-4.16.0-py3-none-any.whl
"""


@dataclass(frozen=True)
class Wheel:
    """One file of the lock, and where it fits.

    Parameters
    ----------
    filename : str
        C(<name>-<version>-<python>-<abi>-<platform>.whl) (PEP 427).
    sha256 : str
        Its digest.
    """

    filename: str
    sha256: str

    def _tags(self) -> list[str]:
        return self.filename.removesuffix(".whl").split("-")

    @property
    def item(self) -> Item:
        """The wheel as one of the artifacts."""
        name, version, _python, _abi, platform = self._tags()
        arch = next((arch for machine, arch in MACHINES.items() if platform.endswith(machine)), "")
        return Item(name, "wheel", version, arch, "all", dest=self.filename)

    def fits(self, python: str, arch: str) -> bool:
        """Tell whether it is for a version of CPython, C(3.11), and an architecture, C(amd64)."""
        _name, _version, tag, abi, _platform = self._tags()
        # abi3: the stable interface, for the Python that it names and all later ones.
        return self.item.arch in ("", arch) and (tag in ("py3", f"cp{python.replace('.', '')}") or abi == "abi3")

    def pip_arguments(self) -> list[str]:
        """Return the options that make pip take this very file, whatever Python pip itself runs on."""
        _name, _version, tag, abi, platform = self._tags()
        arguments = [f"--abi={abi}", *(f"--platform={one}" for one in platform.split("."))]
        return [*arguments, *([] if tag == "py3" else ["--implementation=cp", f"--python-version={tag[2]}.{tag[3:]}"])]


def locked(python: str, arch: str) -> list[Wheel]:
    """Return the wheels that a host needs.

    Parameters
    ----------
    python : str
        Its version of CPython, C(3.11).
    arch : str
        C(amd64) or C(arm64).

    Raises
    ------
    NodewiseError
        There are none for it.
    """
    if python not in PYTHONS or arch not in MACHINES.values():
        raise NodewiseError(
            f"There are no wheels for Python {python} on {arch}; there are some for Python {', '.join(PYTHONS)} on {', '.join(MACHINES.values())}.",
            "name another Python of the host in reporter_python.",
        )
    return [wheel for wheel in all_locked() if wheel.fits(python, arch)]


def all_locked() -> list[Wheel]:
    """Return all wheels of the lock."""
    words = LOCK.split()
    return [Wheel(filename, digest) for digest, filename in zip(words[::2], words[1::2], strict=True)]
