# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The container runtime of a host: our containerd, or one that is there already."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..errors import NodewiseError
from ..files import read_text
from ..host.model import canonical_socket
from ..process import TimeoutExpired, run
from ..systemd.systemctl import Systemd, UnitError
from ..systemd.unit import FileChange, ManagedFile, UnitSpec, apply_changes, apply_unit, file_changes, plan_unit
from .config import CERTS_FOLDER, MANAGED, SOCKET, Settings, check_mirrors, config_text, crictl_text, hosts_text, proxy_text, unit_text
from .effective import CONTAINERD, check_config

CONFIG = "/etc/containerd/config.toml"
PROXY = "/etc/containerd/proxy.env"
UNIT = "/etc/systemd/system/containerd.service"
CRICTL_CONFIG = "/etc/crictl.yaml"
CRICTL = "/usr/local/bin/crictl"
# The password of a proxy's URL, and containerd's keys that hold a registry's.
_SECRETS = re.compile(r"(?P<url>://)[^/@\s]+(?=@)|(?P<key>^\s*(?:password|auth|identitytoken) = ).*", re.MULTILINE)


@dataclass(frozen=True)
class Outcome:
    """What was, or in check mode would be, done.

    Attributes
    ----------
    actions : list of str
        Everything that was done, a short phrase each; empty if nothing.
    diff : list of dict
        The differences in the form that Ansible shows, without passwords.
    reasons : list of str
        Why containerd was restarted.
    """

    actions: list[str]
    diff: list[dict[str, str]]
    reasons: list[str] = field(default_factory=list)


def choose_socket(chosen: str, found: Sequence[str]) -> str:
    """Return the CRI endpoint of this host.

    Parameters
    ----------
    chosen : str
        The operator's choice; empty for none.
    found : Sequence[str]
        Endpoints that are on the host, as C(unix://) URLs or paths.

    Raises
    ------
    NodewiseError
        None is chosen although another runtime than containerd is there, or the choice is no C(unix://) URL.
    """
    others = sorted({canonical_socket(socket) for socket in found} - {SOCKET})
    if not chosen:
        if others:
            raise NodewiseError(
                f"This host has other container runtimes than our containerd ({', '.join(others)}), and none is chosen.",
                f"set nodewise_cri_socket to the one to use, {SOCKET} for containerd",
            )
        return SOCKET
    if not chosen.startswith("unix:///"):
        raise NodewiseError(f"nodewise_cri_socket is {chosen!r}.", f"give it as a URL, like {SOCKET}")
    return canonical_socket(chosen)


def desired_unit(settings: Settings, certs_folder: str = CERTS_FOLDER) -> UnitSpec:
    """Return containerd's unit with all its files; mirrors of ours that are not wanted any more are to be removed.

    Raises
    ------
    NodewiseError
        A setting is wrong.
    """
    check_mirrors(settings.mirrors)
    mirrors = {os.path.join(certs_folder, mirror.registry, "hosts.toml"): hosts_text(mirror) for mirror in settings.mirrors}
    stale = [path for path in sorted(glob.glob(os.path.join(glob.escape(certs_folder), "*", "hosts.toml"))) if path not in mirrors and _is_ours(path)]
    return UnitSpec(
        "containerd",
        files=[
            # 0600: further settings may hold a registry's password, and a proxy's URL one too.
            ManagedFile(CONFIG, config_text(settings), 0o600),
            ManagedFile(PROXY, proxy_text(settings), 0o600),
            ManagedFile(UNIT, unit_text(PROXY)),
            # containerd reads these at every pull.
            *[ManagedFile(path, text, restart=False) for path, text in mirrors.items()],
            *[ManagedFile(path, None, restart=False) for path in stale],
            ManagedFile(CRICTL_CONFIG, crictl_text(SOCKET), restart=False),
        ],
        restart_paths=[CONTAINERD],
    )


def ensure_containerd(settings: Settings, systemd: Systemd, check_mode: bool) -> Outcome:
    """Bring containerd to the wanted state.

    Parameters
    ----------
    settings : Settings
        What is wanted.
    systemd : Systemd
        The service manager.
    check_mode : bool
        Change nothing.

    Raises
    ------
    NodewiseError
        A setting is wrong, or containerd would not honour it (nothing was changed then), or it does not
        start with it (the files that it ran with are back then).
    """
    plan = plan_unit(desired_unit(settings), systemd)
    outcome = Outcome(plan.actions(), [_redacted(entry) for entry in plan.diff()], plan.reasons)
    # Even if no file changes: the program may be another one by now, or an import may override the file. It takes 30 ms.
    if os.path.exists(CONTAINERD) or not check_mode:
        check_config(config_text(settings), settings)
    if check_mode or not plan.changed:
        return outcome
    try:
        apply_unit(plan, systemd)
    except UnitError as error:
        # Only a containerd that ran has files worth going back to.
        if not plan.status.running or not any(change.restart for change in plan.changes):
            raise
        try:
            apply_unit(plan.undone(), systemd)
        except UnitError as second:
            raise UnitError(f"{error}\nThe files from before are back, but it does not start with them either.") from second
        raise UnitError(f"{error}\nThe files from before are back, and it runs with them again.") from error
    return outcome


def ensure_external(socket: str, check_mode: bool) -> Outcome:
    """See that a runtime which is there already speaks CRI v1, and point crictl at it.

    Parameters
    ----------
    socket : str
        Its endpoint, a C(unix://) URL.
    check_mode : bool
        Change nothing; if crictl is not installed yet the runtime is not asked.

    Raises
    ------
    NodewiseError
        The runtime does not answer, or speaks another version.
    """
    if os.path.exists(CRICTL) or not check_mode:
        _ask_version(socket)
    changes: list[FileChange] = file_changes([ManagedFile(CRICTL_CONFIG, crictl_text(socket))])
    if not check_mode:
        apply_changes(changes)
    return Outcome([change.action() for change in changes], [change.as_diff() for change in changes])


def _ask_version(socket: str) -> None:
    remedy = "start that runtime, or set nodewise_cri_socket to another one"
    try:
        done = run([CRICTL, f"--runtime-endpoint={socket}", f"--image-endpoint={socket}", "--timeout=10s", "version"], timeout=60)
    except FileNotFoundError as error:
        raise NodewiseError(f"{CRICTL} is not installed on this host.", "run the artifacts role first") from error
    except TimeoutExpired as error:
        raise NodewiseError(f"The container runtime at {socket} did not answer within 60 s.", remedy) from error
    if done.returncode != 0:
        raise NodewiseError(f"The container runtime at {socket} does not answer: {(done.stderr or done.stdout).strip()}", remedy)
    version = re.search(r"^RuntimeApiVersion:\s*(\S+)", done.stdout, re.MULTILINE)
    if version is None or version[1] != "v1":
        raise NodewiseError(
            f"The container runtime at {socket} speaks CRI {version[1] if version else '(unknown)'}, Kubernetes wants v1.", "upgrade that runtime"
        )


def _is_ours(path: str) -> bool:
    return (read_text(path, "replace") or "").startswith(MANAGED)


def _redacted(entry: dict[str, str]) -> dict[str, str]:
    return {key: _SECRETS.sub(lambda match: f"{match['url'] or match['key']}***", text) for key, text in entry.items()}
