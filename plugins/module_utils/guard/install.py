# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring the guard onto a control-plane host, or off it, with its credentials."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import time
from dataclasses import dataclass, replace
from typing import Any

from ..api.token import LIFETIME, claims, due
from ..errors import NodewiseError
from ..files import read_text, write_atomic
from ..kube.kubectl import Kubectl
from ..report.manifests import NAMESPACE
from ..reporter import daemon
from ..reporter.daemon import Daemon, Outcome
from ..systemd.systemctl import Systemd
from ..systemd.unit import ManagedFile, apply_changes, file_changes
from . import cluster, main
from .config import PATH as CONFIG
from .config import Config
from .manifests import NAME as ACCOUNT
from .unit import STATE, unit_text

NAME = "guard"
KUBECONFIG = "/etc/nodewise/guard.conf"
# With DynamicUser=, systemd keeps the folder here and puts a link to it into /var/lib.
STATE_FOLDER = f"/var/lib/private/{STATE}"
TOKEN = f"{STATE_FOLDER}/token"
_ENTRIES = (f"guard.{main.__name__.rpartition('.')[2]}",)
_PAUSE = 0.5
# A guard that runs renews its token much earlier.
_OLD = 0.5


@dataclass(frozen=True)
class Request:
    """What is wanted.

    Parameters
    ----------
    config : Config
        The daemon's configuration; kubeconfig and token are filled in.
    python : str
        The Python of the host that runs it.
    timeout : int
        Seconds in which it has to watch the cluster.
    """

    config: Config
    python: str
    timeout: int


def ensure_present(request: Request, kubectl: Kubectl, with_objects: bool, bundle: str | None, check_mode: bool, systemd: Systemd) -> Outcome:
    """Install, upgrade or configure the guard, and see that it watches.

    Parameters
    ----------
    request : Request
        What is wanted.
    kubectl : Kubectl
        With admin rights.
    with_objects : bool
        Whether the cluster's objects are applied as well; one host does that.
    bundle : str, optional
        The wheels that were sent.
    check_mode : bool
        Change nothing.
    systemd : Systemd
        The service manager.

    Raises
    ------
    NodewiseError
        The API server cannot be reached or refuses something, something is wrong with the host or the wheels, or the new guard does not
        watch (the one that ran before runs again, if there was one).
    OSError
        A disk is full, or a path is not what it should be.
    """
    config = replace(request.config, kubeconfig=KUBECONFIG, token_file=TOKEN)
    before = Outcome()
    if check_mode and not os.path.exists(kubectl.kubeconfig):
        # A cluster that is not there yet.
        before.actions += ["apply the guard's objects", f"write {KUBECONFIG}", f"write {TOKEN}"]
    else:
        _objects(kubectl, with_objects, check_mode, before)
        _credentials(config, kubectl, check_mode, before)
    wanted = Daemon(
        NAME,
        _ENTRIES,
        config.to_text(),
        reloads=False,
        unit_text=lambda python, _version, systemd_version: unit_text(python, CONFIG, request.timeout, systemd_version),
        works=lambda _release, _version: _wait_for_health(config, request.timeout),
    )
    outcome = daemon.ensure_present(wanted, request.python, bundle, check_mode, systemd)
    outcome.actions[:0] = before.actions
    outcome.diff[:0] = before.diff
    return outcome


def ensure_absent(kubectl: Kubectl, with_objects: bool, check_mode: bool, systemd: Systemd) -> Outcome:
    """Stop the guard and remove all of it from the host, and if wanted from the cluster, its taints and conditions included.

    Raises
    ------
    NodewiseError
        It cannot be stopped, a file cannot be removed, or the API server does not let something go.
    OSError
        A folder cannot be removed.
    """
    outcome = daemon.ensure_absent(NAME, check_mode, systemd)
    changes = file_changes([ManagedFile(KUBECONFIG, None)])
    outcome.actions += [change.action() for change in changes]
    if not check_mode:
        apply_changes(changes)
    link = f"/var/lib/{STATE}"
    for path in (STATE_FOLDER, link):
        if os.path.lexists(path):
            outcome.actions.append(f"remove {path}")
            if not check_mode and os.path.islink(path):
                os.unlink(path)
            elif not check_mode:
                shutil.rmtree(path)
    # After a reset there is no cluster any more.
    if with_objects and os.path.exists(kubectl.kubeconfig):
        outcome.actions += [f"remove {one}" for one in cluster.ensure_absent(kubectl, check_mode)]
    return outcome


def _objects(kubectl: Kubectl, with_objects: bool, check_mode: bool, outcome: Outcome) -> None:
    difference = cluster.ensure_present(kubectl, check_mode) if with_objects else ""
    if difference:
        outcome.actions.append("apply the guard's objects")
        outcome.diff.append({"before_header": "cluster", "after_header": "cluster", "before": "", "after": difference})


def _credentials(config: Config, kubectl: Kubectl, check_mode: bool, outcome: Outcome) -> None:
    """Write the kubeconfig, and a token unless there is one that is young enough and accepted."""
    changes = file_changes([ManagedFile(KUBECONFIG, kubeconfig_text(kubectl))])
    outcome.actions += [change.action() for change in changes]
    outcome.diff += [change.as_diff() for change in changes]
    if not check_mode:
        apply_changes(changes)
    if not changes and _token_is_good(kubectl.program):
        return
    outcome.actions.append(f"write {TOKEN}")
    if check_mode:
        return
    minted = ["create", "token", ACCOUNT, f"--namespace={NAMESPACE}", f"--duration={LIFETIME}s"]
    _code, token, _err = kubectl.run([*minted, "--bound-object-kind=Node", f"--bound-object-name={config.identity}", *_uid(kubectl, config.identity)])
    write_secret(TOKEN, token.strip() + "\n")


def write_secret(path: str, text: str) -> None:
    """Write a file into the guard's state folder that the guard alone can read.

    Raises
    ------
    OSError
        The disk is full, or the path is not what it should be.
    """
    if not os.path.isdir(STATE_FOLDER):
        # As systemd makes it, which hands it over to the guard at the start.
        os.makedirs(os.path.dirname(STATE_FOLDER), mode=0o700, exist_ok=True)
        os.mkdir(STATE_FOLDER, mode=0o700)
    owner = os.stat(STATE_FOLDER)
    write_atomic(path, text, 0o600)
    os.chown(path, owner.st_uid, owner.st_gid)


def kubeconfig_text(kubectl: Kubectl) -> str:
    """Return the guard's kubeconfig: the admin's server and authority, and the token's file. There is no secret in it.

    Raises
    ------
    NodewiseError
        The admin's kubeconfig is not understood.
    """
    _code, out, _err = kubectl.run(["config", "view", "--minify", "--flatten", "--output=json"])
    try:
        clusters = json.loads(out)["clusters"][0]["cluster"]
        shown = {"server": clusters["server"], "certificate-authority-data": clusters["certificate-authority-data"]}
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise NodewiseError(f"{kubectl.kubeconfig} names no server with an authority.", "name another kubeconfig with admin rights") from error
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "cluster", "cluster": shown}],
        "users": [{"name": NAME, "user": {"tokenFile": TOKEN}}],
        "contexts": [{"name": NAME, "context": {"cluster": "cluster", "user": NAME}}],
        "current-context": NAME,
    }
    return json.dumps(config, indent=2) + "\n"  # JSON is YAML


def _token_is_good(program: str) -> bool:
    try:
        if due(claims(read_text(TOKEN) or ""), time.time(), _OLD):
            return False
    except (ValueError, KeyError):
        return False
    # Whether the API server takes it, only that can say: the cluster, or the Node, may be another one by now.
    code, _out, err = Kubectl(KUBECONFIG, program).run(["auth", "whoami"], ok=(0, 1))
    return code == 0 or "nauthorized" not in err


def _uid(kubectl: Kubectl, node: str) -> list[str]:
    found = kubectl.get("node", node)
    if found is None:
        raise NodewiseError(f"There is no Node {node}, to which the guard's token is bound.", "set guard_node_name to the name of this host's Node")
    return [f"--bound-object-uid={found['metadata']['uid']}"]


def _wait_for_health(config: Config, timeout: int) -> dict[str, Any]:
    """Return what the guard says of its own health, once it is well.

    Raises
    ------
    NodewiseError
        It is not well in time.
    """
    if not config.metrics_port:
        return {}
    deadline = time.monotonic() + timeout
    while True:
        try:
            connection = http.client.HTTPConnection(config.metrics_address, config.metrics_port, timeout=5)
            try:
                connection.request("GET", "/healthz")
                answer = connection.getresponse()
                said = answer.read().decode("utf-8", "replace").strip()
            finally:
                connection.close()
            if answer.status == 200:
                return {"health": said}
        except (OSError, http.client.HTTPException) as error:
            said = str(error)
        if time.monotonic() >= deadline:
            raise NodewiseError(f"The new guard is not well within {timeout} s: {said}.")
        time.sleep(_PAUSE)
