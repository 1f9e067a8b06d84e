# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the installed containerd makes of a config.toml, before it is put in place.

containerd passes over a key it does not know. C(containerd config dump) prints what is in
effect after migration and imports, and says on standard error which keys it passed over.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import NodewiseError
from ..files import write_atomic
from ..process import TimeoutExpired, run
from .config import CERTS_FOLDER, IMAGES, RUNTIME, Settings

CONTAINERD = "/usr/local/bin/containerd"
_PASSED_OVER = re.compile(r'msg="Ignoring unknown key in TOML.*?\bkey=(?P<key>"[^"]*"|\S+)(?:.*?\bplugin=(?P<plugin>\S+))?')


def check_config(text: str, settings: Settings, containerd: str = CONTAINERD) -> None:
    """Ask containerd what a config.toml would come to, and compare that with what is wanted.

    Parameters
    ----------
    text : str
        The new config.toml.
    settings : Settings
        What it was made from.
    containerd : str
        The program.

    Raises
    ------
    NodewiseError
        containerd cannot read the text, passes over some of it, or would run with other values; also if it is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="nodewise-containerd-") as folder:
        path = os.path.join(folder, "config.toml")
        write_atomic(path, text, 0o600)
        out, err = _containerd(containerd, ["--config", path, "config", "dump"])
    default, _err = _containerd(containerd, ["config", "default"])
    problems = find_problems(_parse(text), _parse(out), err, _parse(default), settings)
    if problems:
        raise NodewiseError(
            f"The new config.toml would not do what it says: {'; '.join(problems)}. Nothing was changed.",
            "correct containerd_config_extra, or remove what overrides it (imports)",
        )


def find_problems(wanted: Mapping[str, Any], dump: Mapping[str, Any], log: str, default: Mapping[str, Any], settings: Settings) -> list[str]:
    """Return what is wrong, a phrase each.

    Parameters
    ----------
    wanted : Mapping
        The new config.toml.
    dump : Mapping
        What is in effect with it.
    log : str
        What containerd logged while dumping.
    default : Mapping
        What is in effect without any file; it has every plugin's table, and every option of runc's.
    settings : Settings
        What the file was made from.
    """
    problems = [f"containerd does not know the key {_place(match)}" for match in _PASSED_OVER.finditer(log)]
    # A table for a plugin that does not exist is kept without a word.
    known = default.get("plugins", {})
    problems += [f'containerd has no plugin "{name}"' for name in wanted.get("plugins", {}) if name not in known]
    # So is an option of a runtime that does not exist, as each shim has its own.
    options = _dig(known, RUNTIME, "containerd", "runtimes", "runc", "options") or {}
    for name, runtime in (_dig(wanted, "plugins", RUNTIME, "containerd", "runtimes") or {}).items():
        if runtime.get("runtime_type") == "io.containerd.runc.v2":
            problems += [f"the runtime {name} has no option {key}" for key in runtime.get("options", {}) if key not in options]
    facts: list[tuple[Sequence[str], object]] = [
        ((IMAGES, "pinned_images", "sandbox"), settings.sandbox_image),
        ((IMAGES, "registry", "config_path"), CERTS_FOLDER),
        ((RUNTIME, "restrict_oom_score_adj"), settings.restrict_oom_score_adj),
        ((RUNTIME, "containerd", "runtimes", "runc", "options", "SystemdCgroup"), settings.systemd_cgroup),
    ]
    for path, value in facts:
        found = _dig(dump, "plugins", *path)
        if found != value:
            problems.append(f"{'.'.join(path[1:])} of {path[0]} would be {found!r}, not {value!r}")
    return problems


def _containerd(program: str, args: Sequence[str]) -> tuple[str, str]:
    try:
        done = run([program, *args], timeout=60)
    except FileNotFoundError as error:
        raise NodewiseError(f"{program} is not installed on this host.", "run the artifacts role first") from error
    except (OSError, TimeoutExpired) as error:
        raise NodewiseError(f"{program} {' '.join(args)} does not run: {error}.") from error
    if done.returncode != 0:
        # Its log lines come before the error.
        said = done.stderr.strip().rpartition("\n")[2]
        raise NodewiseError(
            f"containerd refuses the new config.toml: {said}. Nothing was changed.",
            "correct containerd_config_extra; nodewise writes schema version 3, for containerd 2.x",
        )
    return done.stdout, done.stderr


def _parse(text: str) -> dict[str, Any]:
    import tomllib  # here, because ansible-test imports this file with Pythons that lack it (< 3.11)

    return tomllib.loads(text)


def _place(match: re.Match[str]) -> str:
    key = match["key"].strip('"').replace(" ", ".")
    return f"{key} of {match['plugin']}" if match["plugin"] else key


def _dig(data: Any, *path: str) -> Any:
    for key in path:
        if not isinstance(data, Mapping):
            return None
        data = data.get(key)
    return data
