# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lay the restricted command down on a standby host and let one key use it, or take both away."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import NodewiseError
from ..files import read_text
from ..process import TimeoutExpired, run
from ..reporter.code import PACKAGE, code_files, digest
from ..reporter.release import Release, ask_python, release_digest
from ..systemd.unit import FileChange, ManagedFile, apply_changes, file_changes
from . import authorized_keys, main
from .capacity import read_capacity
from .settings import PATH, Settings, remembered_keys_file, shown

ROOT = "/opt/nodewise/standby"
COMMAND = f"{ROOT}/current/venv/bin/python -I -m {PACKAGE}.standby.main"
HOST_KEY = "/etc/ssh/ssh_host_ed25519_key.pub"
_ENTRIES = (f"standby.{main.__name__.rpartition('.')[2]}",)
_SSHD = "/usr/sbin/sshd"
_HOME = "/root"


@dataclass(frozen=True)
class Request:
    """What is wanted of a host.

    Parameters
    ----------
    settings : Settings
        What the command has to know.
    public_keys : sequence of str
        Who may run it.
    addresses : sequence of str
        From where.
    python : str
        The Python of the host that runs it, 3.11 or newer.
    """

    settings: Settings
    public_keys: Sequence[str]
    addresses: Sequence[str]
    python: str


@dataclass
class Outcome:
    """What was, or in check mode would be, done.

    Parameters
    ----------
    actions : list of str
        A short phrase each; empty if nothing.
    diff : list of dict
        The differences in the form that Ansible shows.
    host_key : str
        The host's public ed25519 key, C(ssh-ed25519 KEY); empty if it has none yet.
    capacity : dict
        What its Node will say that it has.
    """

    actions: list[str] = field(default_factory=list)
    diff: list[dict[str, str]] = field(default_factory=list)
    host_key: str = ""
    capacity: dict[str, str] = field(default_factory=dict)


def ensure_present(request: Request, check_mode: bool) -> Outcome:
    """Install the command, its settings and the lines of the keys.

    Raises
    ------
    NodewiseError
        The host's sshd does not let the key in, the Python is too old, a key or an address is malformed, or the settings from before are damaged.
    OSError
        A disk is full, or a path is not what it should be.
    """
    outcome = Outcome(capacity=read_capacity(), host_key=_host_key(check_mode))
    python = ask_python(request.python)
    if tuple(map(int, python.version.split("."))) < (3, 11):
        raise NodewiseError(f"{request.python} is Python {python.version}; the standby command takes 3.11.", "name another one in autoscaler_python")
    code = code_files(_ENTRIES)
    release = Release(release_digest(digest(code), [], python), ROOT, _ENTRIES)
    if not release.whole():
        outcome.actions.append(f"build {release.path}")
        outcome.diff.append({"before_header": ROOT, "after_header": ROOT, "before": "", "after": f"{release.digest}\n"})
        if not check_mode:
            release.build(python, code, [])
    if not release.current() or release.others():
        outcome.actions.append(f"make {release.digest} current")
        if not check_mode:
            release.make_current()
    wanted = authorized_keys.lines(request.public_keys, request.addresses, COMMAND)
    paths = keys_paths(_sshd_settings(request.addresses[0]).get("authorizedkeysfile", ""))
    ours = os.path.realpath(paths[-1])
    others = [path for path in _real([*paths, remembered_keys_file(PATH)]) if path != ours]
    settings = replace(request.settings, keys_file=ours)
    # What is remembered goes before it is forgotten. The key comes last: it opens what then is there.
    _files([*_keys_files(others, []), ManagedFile(PATH, settings.to_text(), mode=0o600), *_keys_files([ours], wanted)], outcome, check_mode)
    return outcome


def ensure_absent(check_mode: bool) -> Outcome:
    """Take the key's line, the settings and the command away.

    Raises
    ------
    NodewiseError
        A file cannot be changed, or the settings are damaged.
    OSError
        The folder cannot be removed.
    """
    outcome = Outcome()
    # sshd may read other files for the caller (Match Address) than for this host itself, or may have been told otherwise since.
    paths = [*keys_paths(_sshd_settings("127.0.0.1", must_admit=False).get("authorizedkeysfile", "")), remembered_keys_file(PATH)]
    _files([*_keys_files(_real(paths), []), ManagedFile(PATH, None)], outcome, check_mode)
    if os.path.lexists(ROOT):
        outcome.actions.append(f"remove {ROOT}")
        if not check_mode:
            shutil.rmtree(ROOT)
    return outcome


def _files(files: Sequence[ManagedFile], outcome: Outcome, check_mode: bool) -> None:
    changes = file_changes(files)
    outcome.actions += [change.action() for change in changes]
    outcome.diff += [_shown(change) for change in changes]
    if not check_mode:
        for change in changes:
            # sshd passes over keys in a folder that others may write to.
            os.makedirs(os.path.dirname(change.path), mode=0o700 if change.path.startswith(os.path.realpath(_HOME)) else 0o755, exist_ok=True)
        owners = {change.path: os.stat(change.path) for change in changes if change.path != PATH and change.before is not None and change.after is not None}
        apply_changes(changes)
        for path, owner in owners.items():
            os.chown(path, owner.st_uid, owner.st_gid)


def _shown(change: FileChange) -> dict[str, str]:
    diff = change.as_diff()
    return {**diff, **{side: shown(diff[side]) for side in ("before", "after")}} if change.path == PATH else diff


def _real(paths: Sequence[str]) -> list[str]:
    """Return the files behind the paths, each once: a link stays one, and is not taken for another file; an empty path is none."""
    return list(dict.fromkeys(os.path.realpath(path) for path in paths if path))


def _keys_files(paths: Sequence[str], lines: Sequence[str]) -> list[ManagedFile]:
    """Return those of the files that change when our lines in them become these."""
    files = []
    for path in paths:
        before = read_text(path, "surrogateescape")
        after = authorized_keys.replace(before or "", lines)
        if after != (before or ""):
            mode = os.stat(path).st_mode & 0o7777 if before is not None else 0o600
            files.append(ManagedFile(path, after or None, mode=mode))
    return files


def keys_paths(setting: str) -> list[str]:
    """Return root's files of keys from sshd's C(AuthorizedKeysFile).

    Our lines go into the last one: where there are several, as by default, the first is what a person or another tool manages as a whole.
    """
    names = [word for word in setting.split() if word != "none"] or [".ssh/authorized_keys"]
    expanded = [name.replace("%%", "%").replace("%h", _HOME).replace("%u", "root").replace("%U", "0") for name in names]
    return [path if path.startswith("/") else f"{_HOME}/{path}" for path in expanded]


def sshd_problem(settings: dict[str, Any]) -> str:
    """Return why sshd would not let root in with a key; empty if it would."""
    if settings.get("permitrootlogin") == "no":
        return "PermitRootLogin is no"
    if settings.get("pubkeyauthentication") == "no":
        return "PubkeyAuthentication is no"
    if settings.get("forcecommand", "none") != "none":
        return f"ForceCommand is {settings['forcecommand']}, which would be run instead of the key's own command"
    return ""


def _sshd_settings(caller: str, must_admit: bool = True) -> dict[str, str]:
    """Return what sshd has set for root when it connects from an address (C(sshd -T)); empty if there is no sshd."""
    remedy = "install openssh-server"
    try:
        done = run([_SSHD, "-T", "-C", f"user=root,host={caller},addr={caller}"], timeout=30)
    except FileNotFoundError as error:
        if must_admit:
            raise NodewiseError("This host has no sshd, by which the autoscaler's provider makes it join.", remedy) from error
        return {}
    except TimeoutExpired as error:
        raise NodewiseError("sshd -T did not end within 30 s.") from error
    settings = {name: value for name, _blank, value in (line.partition(" ") for line in done.stdout.splitlines())}
    problem = f"sshd -T failed: {done.stderr.strip()[-300:]}" if done.returncode else sshd_problem(settings)
    if problem and must_admit:
        raise NodewiseError(
            f"sshd of this host does not let the autoscaler's key in as root from {caller}: {problem}.",
            "add 'Match Address <control plane>' with 'PermitRootLogin forced-commands-only' to sshd_config",
        )
    return settings


def _host_key(check_mode: bool) -> str:
    text = read_text(HOST_KEY)
    if text is None:
        if check_mode:
            return ""
        raise NodewiseError(f"This host has no {HOST_KEY}.", "ssh-keygen -A on the host, and let sshd use it")
    return authorized_keys.check_public_key(text)
