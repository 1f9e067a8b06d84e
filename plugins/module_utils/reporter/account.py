# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What daemons of control-plane hosts have in common when they are installed: an identity in the cluster of their own, and a look at their health."""

from __future__ import annotations

import http.client
import json
import os
import time
from dataclasses import dataclass
from typing import Any

from ..api.token import LIFETIME, claims, due
from ..errors import NodewiseError
from ..files import read_text, write_atomic
from ..kube.kubectl import Kubectl
from ..report.manifests import NAMESPACE
from ..systemd.unit import ManagedFile, apply_changes, file_changes
from .daemon import Outcome

_PAUSE = 0.5
# A daemon that runs renews its token much earlier.
_OLD = 0.5


@dataclass(frozen=True)
class Account:
    """The identity of a daemon: a ServiceAccount with a token that is bound to the host's Node.

    Parameters
    ----------
    name : str
        The ServiceAccount.
    daemon : str
        The daemon's short name, which is also that of its role: C(guard).
    kubeconfig : str
        Path of its kubeconfig.
    folder : str
        Its state folder.
    """

    name: str
    daemon: str
    kubeconfig: str
    folder: str

    @property
    def token(self) -> str:
        """Path of its token."""
        return os.path.join(self.folder, "token")


@dataclass(frozen=True)
class Credentials:
    """What a daemon's credentials shall be, and whether they are.

    Parameters
    ----------
    kubeconfig : str
        Text of the kubeconfig.
    token_is_good : bool
        Whether the token that is there is young enough and accepted.
    """

    kubeconfig: str
    token_is_good: bool


def look(account: Account, kubectl: Kubectl) -> Credentials:
    """Look at a daemon's credentials; changes nothing.

    Raises
    ------
    NodewiseError
        The admin's kubeconfig is not understood, or kubectl does not end.
    """
    return Credentials(kubeconfig_text(account, kubectl), _token_is_good(account, kubectl.program))


def ensure_credentials(account: Account, found: Credentials, node: str, kubectl: Kubectl, check_mode: bool, outcome: Outcome) -> None:
    """Write the kubeconfig, and a token unless there is a good one.

    Parameters
    ----------
    account : Account
        Whose.
    found : Credentials
        From C(look).
    node : str
        The Node to which the token is bound.
    kubectl : Kubectl
        With admin rights.
    check_mode : bool
        Change nothing.
    outcome : Outcome
        Is told what was done.

    Raises
    ------
    NodewiseError
        The API server refuses it, or there is no such Node.
    OSError
        A disk is full, or a path is not what it should be.
    """
    changes = file_changes([ManagedFile(account.kubeconfig, found.kubeconfig)])
    outcome.actions += [change.action() for change in changes]
    outcome.diff += [change.as_diff() for change in changes]
    if not check_mode:
        apply_changes(changes)
    if not changes and found.token_is_good:
        return
    outcome.actions.append(f"write {account.token}")
    if check_mode:
        return
    minted = ["create", "token", account.name, f"--namespace={NAMESPACE}", f"--duration={LIFETIME}s"]
    _code, token, _err = kubectl.run([*minted, "--bound-object-kind=Node", f"--bound-object-name={node}", *_uid(account, kubectl, node)])
    write_secret(account.folder, account.token, token.strip() + "\n")


def write_secret(folder: str, path: str, text: str) -> None:
    """Write a file into a daemon's state folder that the daemon alone can read.

    Raises
    ------
    OSError
        The disk is full, or the path is not what it should be.
    """
    if not os.path.isdir(folder):
        # As systemd makes it, which with DynamicUser= hands it over to the daemon at the start.
        os.makedirs(os.path.dirname(folder), mode=0o700, exist_ok=True)
        os.mkdir(folder, mode=0o700)
    owner = os.stat(folder)
    write_atomic(path, text, 0o600)
    os.chown(path, owner.st_uid, owner.st_gid)


def kubeconfig_text(account: Account, kubectl: Kubectl) -> str:
    """Return the daemon's kubeconfig: the admin's server and authority, and the token's file. There is no secret in it.

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
        "users": [{"name": account.daemon, "user": {"tokenFile": account.token}}],
        "contexts": [{"name": account.daemon, "context": {"cluster": "cluster", "user": account.daemon}}],
        "current-context": account.daemon,
    }
    return json.dumps(config, indent=2) + "\n"  # JSON is YAML


def wait_for_health(daemon: str, address: str, port: int, timeout: int) -> dict[str, Any]:
    """Return what a daemon says of its own health, once it is well; nothing if it serves none (port 0).

    Raises
    ------
    NodewiseError
        It is not well within C(timeout) seconds.
    """
    if not port:
        return {}
    deadline = time.monotonic() + timeout
    while True:
        try:
            connection = http.client.HTTPConnection(address, port, timeout=5)
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
            raise NodewiseError(f"The new {daemon} is not well within {timeout} s: {said}.")
        time.sleep(_PAUSE)


def _token_is_good(account: Account, program: str) -> bool:
    try:
        if due(claims(read_text(account.token) or ""), time.time(), _OLD):
            return False
    except (ValueError, KeyError):
        return False
    # Whether the API server takes it, only that can say: the cluster, or the Node, may be another one by now.
    code, _out, err = Kubectl(account.kubeconfig, program).run(["auth", "whoami"], ok=(0, 1))
    return code == 0 or "nauthorized" not in err


def _uid(account: Account, kubectl: Kubectl, node: str) -> list[str]:
    found = kubectl.get("node", node)
    if found is None:
        raise NodewiseError(
            f"There is no Node {node}, to which the {account.daemon}'s token is bound.", f"set {account.daemon}_node_name to the name of this host's Node"
        )
    return [f"--bound-object-uid={found['metadata']['uid']}"]
