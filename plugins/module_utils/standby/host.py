# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A standby host that joins, leaves, or says which of the two it has done. What it does is kubeadm's room; this decides and answers."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from types import FrameType
from typing import Any

from ..errors import NodewiseError
from ..files import read_text, write_atomic
from ..kube.kubectl import Kubectl
from ..kubeadm.commands import Commands
from ..kubeadm.config import NodeSettings
from ..kubeadm.host import HostPaths, look
from ..kubeadm.join import Worker, ensure_joined
from ..kubeadm.nodes import Node
from ..kubeadm.reset import HostReset, ResetSettings
from ..kubeadm.run import Kubeadm
from ..kubeadm.state import LOCK_PATH
from ..reporter.unit import NAME as REPORTER
from ..systemd.systemctl import Systemd
from .request import Join
from .settings import Settings

# Why the last join or leave failed; a reset removes it with the other records.
NOTE = "/var/lib/nodewise/state/standby.json"
PREPARED, JOINED, FAILED = "prepared", "joined", "failed"
_PROGRAMS = ("kubeadm", "kubelet", "kubectl", "crictl")
# What kubeadm writes the token to, and removes when the kubelet has its certificate.
_BOOTSTRAP = "/etc/kubernetes/bootstrap-kubelet.conf"
# Seconds in which the reporter of a host that has joined has to be up; its first report takes three.
_REPORTER_SECONDS = 15.0


@dataclass(frozen=True)
class Answer:
    """What the caller is told.

    Attributes
    ----------
    ok : bool
        Whether that was done which was asked for; for C(status), whether the host could tell.
    state : str
        C(prepared), C(joined) or C(failed).
    reason : str
        Why, or what else is wrong; empty where the state says it all.
    """

    ok: bool
    state: str
    reason: str = ""

    def to_text(self) -> str:
        """Return it as one line of JSON."""
        return json.dumps(asdict(self)) + "\n"


class StandbyHost:
    """The host that this runs on.

    Parameters
    ----------
    settings : Settings
        What it knows of itself.
    paths : HostPaths
        Where things are.
    commands : Commands
        Its programs.
    systemd : Systemd
        Its service manager.
    kubeadm : Kubeadm
        Its kubeadm.
    lock_path : str
        kubeadm's lock, which everything that changes the host holds, Ansible's modules too.
    """

    def __init__(
        self,
        settings: Settings,
        paths: HostPaths | None = None,
        commands: Commands | None = None,
        systemd: Systemd | None = None,
        kubeadm: Kubeadm | None = None,
        lock_path: str = LOCK_PATH,
    ) -> None:
        self._settings = settings
        self._paths = paths or HostPaths()
        self._commands = commands or Commands()
        self._systemd = systemd or Systemd()
        self._kubeadm = kubeadm or Kubeadm()
        self._lock_path = lock_path

    def status(self) -> Answer:
        """Tell what the host is, from its files alone; it waits for nobody."""
        host = look(self._paths)
        if host.admin_conf or host.state.phase in ("initialising", "initialised"):
            return Answer(True, FAILED, "it is a control plane")
        if host.kubelet_conf and not host.state.phase:
            return Answer(True, FAILED, "it has a /etc/kubernetes/kubelet.conf that this collection did not make: it may be a node of another cluster")
        if host.state.phase == "joined" and host.kubelet_conf:
            return Answer(True, JOINED)
        failure = self._noted()
        if host.state.phase:
            return Answer(True, FAILED, failure or "a join has begun and not ended")
        missing = [program for program in _PROGRAMS if not self._commands.there(program)]
        if missing:
            return Answer(True, FAILED, f"{', '.join(missing)} not installed; run site.yml for this host")
        runtime = self._systemd.status("containerd")
        if runtime.load == "loaded" and not runtime.running:
            return Answer(True, FAILED, f"containerd is {runtime.active}")
        return Answer(True, FAILED, failure) if failure else Answer(True, PREPARED)

    def join(self, wanted: Join) -> Answer:
        """Join, or find that it has joined. What another call has begun is waited for, and what was killed is undone and done again.

        A join that fails is undone, so that nothing registers later that the caller has given up.
        """
        settings = self._settings
        worker = Worker(
            node=NodeSettings(
                node_name=settings.node_name,
                node_ip=settings.node_ip,
                cluster_name=settings.cluster_name,
                cri_socket=settings.cri_socket,
                labels=wanted.labels,
                taints=wanted.taints,
                ignore_preflight_errors=settings.ignore_preflight_errors,
            ),
            registered=self._own_node,
            endpoint=wanted.endpoint,
            token=wanted.token,
            ca_cert_hashes=wanted.ca_cert_hashes,
            override=settings.join_configuration,
        )
        overdue = f"The join did not end within {settings.join_seconds} s. Remedy: see journalctl -u kubelet on the host"
        try:
            with _deadline(settings.join_seconds, overdue):
                ensure_joined(worker, False, self._kubeadm, self._paths, self._lock_path)
                self._enable_kubelet()
        except (NodewiseError, OSError, _OverdueError) as error:
            return self._failed(str(error).replace(wanted.token, "<token>"), undo=self.status().state != JOINED)
        self._forget()
        return Answer(True, JOINED, self._start_reporter())

    def leave(self) -> Answer:
        """Take the host back to prepared: all that the join made goes, while programs, images and the runtime stay."""
        prepared = self.status().state == PREPARED
        refusal = self._not_ours()
        if refusal:
            return Answer(False, FAILED, refusal)
        try:
            if prepared:
                # A run of Ansible may have started it while the host left.
                self._stop_reporter()
            else:
                self._reset()
        except (NodewiseError, OSError) as error:
            return self._failed(str(error), undo=False)
        left = self.status()
        return Answer(left.state == PREPARED, left.state, left.reason)

    def _not_ours(self) -> str:
        """Return why nothing may be undone here; empty if it may."""
        host = look(self._paths)
        if host.admin_conf or host.state.phase in ("initialising", "initialised") or (host.kubelet_conf and not host.state.phase):
            return self.status().reason
        return ""

    def _own_node(self) -> Node | None:
        """Return this host's Node, asked for with the kubelet's own certificate; None if it has none.

        Raises
        ------
        NodewiseError
            The host has joined, and the API server does not say whether its Node is still there: a membership is not undone on a guess.
        """
        host = look(self._paths)
        if not host.kubelet_conf:
            return None
        try:
            found = Kubectl(kubeconfig=self._paths.kubelet_conf, request_timeout=10).get("node", self._settings.node_name)
        except NodewiseError:
            if host.state.phase == "joined":
                raise
            return None
        return Node.from_object(found) if found else None

    def _failed(self, reason: str, undo: bool) -> Answer:
        refusal = self._not_ours()
        if undo and not refusal:
            try:
                self._reset()
            except (NodewiseError, OSError) as error:
                reason = f"{reason}\nIt could not be undone: {error}"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._paths.at(_BOOTSTRAP))
        write_atomic(self._paths.at(NOTE), json.dumps({"reason": reason}) + "\n", mode=0o600)
        return Answer(False, FAILED, reason)

    def _start_reporter(self) -> str:
        """Let a node report, where site.yml has laid the reporter down; return what is wrong with it, for a node without a report is a node."""
        try:
            if self._systemd.status(REPORTER).load in ("not-found", "masked"):
                return ""
            with _deadline(_REPORTER_SECONDS, f"It is not up within {_REPORTER_SECONDS:.0f} s"):
                self._systemd.run_until_active("start", REPORTER)
        except (NodewiseError, OSError, _OverdueError) as error:
            return f"The node does not report what it uses: {error}"
        return ""

    def _stop_reporter(self) -> None:
        if self._systemd.status(REPORTER).active not in ("inactive", "failed"):
            self._systemd.stop(REPORTER)

    def _reset(self) -> None:
        self._stop_reporter()
        limits = ResetSettings(self._settings.cri_socket, self._settings.pod_cidr, purge=False)
        HostReset(limits, self._paths, self._commands, self._systemd, self._kubeadm).run(False, self._lock_path)
        self._enable_kubelet()

    def _enable_kubelet(self) -> None:
        # kubeadm does not, and a node must come back after a reboot; without its configuration the kubelet of a prepared host does not start.
        if self._systemd.enablement("kubelet") != "enabled":
            self._systemd.set_enabled("kubelet", True)

    def _noted(self) -> str:
        text = read_text(self._paths.at(NOTE))
        try:
            return str(json.loads(text)["reason"]) if text else ""
        except (ValueError, KeyError, TypeError):
            return "an earlier join or leave failed"

    def _forget(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._paths.at(NOTE))


class _OverdueError(Exception):
    """The time is over. Not a NodewiseError, which some loops take for an API server that does not answer yet."""


@contextlib.contextmanager
def _deadline(seconds: float, message: str) -> Iterator[None]:
    """Raise _OverdueError in the block, which must be in the main thread, when the time is over; a child that it waits for is killed then."""

    def over(_signal: int, _frame: FrameType | None) -> Any:
        raise _OverdueError(message)

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
