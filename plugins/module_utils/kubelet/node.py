# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One node's kubelet: its configuration file, its restart, and the way back.

What has to be done is read from the host each time. The file that was there is kept until
the kubelet has returned with the new one; the state file says so, so that a run which was
killed in between is finished, or undone, by the next.
"""

from __future__ import annotations

import copy
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import NodewiseError
from ..files import read_text, write_atomic
from ..systemd.systemctl import Systemd
from .health import Health
from .legacy import gone_flags, translate_flags
from .merge import dump, load, merge, union
from .rehearse import host_flags, rehearse

UNIT = "kubelet.service"


@dataclass(frozen=True)
class Paths:
    """Where things are on a host."""

    config: str = "/var/lib/kubelet/config.yaml"
    instance: str = "/var/lib/kubelet/instance-config.yaml"
    kubelet: str = "/usr/local/bin/kubelet"
    environment: tuple[str, ...] = ("/var/lib/kubelet/kubeadm-flags.env", "/etc/default/kubelet")
    unit_files: tuple[str, ...] = ("/etc/systemd/system/kubelet.service", "/etc/systemd/system/kubelet.service.d/10-kubeadm.conf")
    state: str = "/var/lib/nodewise/state/kubelet.json"
    backup: str = "/var/lib/nodewise/backup/kubelet"

    @property
    def read_at_start(self) -> tuple[str, ...]:
        """The files that a kubelet must have been started after."""
        return (self.config, self.kubelet, *self.environment, *self.unit_files)


@dataclass(frozen=True)
class State:
    """What we noted about the node.

    Attributes
    ----------
    applied : dict
        The fields that we set.
    trial : dict, optional
        Set while a change has not proved itself: C(was_ready) and C(applied) as they were before, and the C(files) that were kept.
    """

    applied: dict[str, Any] = field(default_factory=dict)
    trial: dict[str, Any] | None = None


@dataclass(frozen=True)
class Change:
    """One file's old text, and what it holds before and afterwards."""

    text: str
    before: dict[str, Any]
    after: dict[str, Any]


@dataclass
class NodePlan:
    """What separates a node from what is wanted.

    Attributes
    ----------
    wanted : dict
        The fields that we want.
    state : State
        What was noted before.
    files : dict
        For each file that differs, its path and a C(Change).
    merged : dict
        The whole configuration as it shall be.
    reasons : list of str
        Why the kubelet owes a restart; empty if it does not.
    """

    wanted: dict[str, Any]
    state: State
    files: dict[str, Change]
    merged: dict[str, Any]
    reasons: list[str]

    @property
    def differs(self) -> bool:
        """Whether the node's kubelet has to be touched, or waited for."""
        return bool(self.files or self.reasons or self.state.trial is not None)

    @property
    def recorded(self) -> bool:
        """Whether the state file says already that we want this."""
        return self.state.applied == self.wanted

    def actions(self) -> list[str]:
        """Return what has to be done, a short phrase each."""
        found = [f"write {path}" for path in self.files]
        if self.reasons:
            found.append(f"restart {UNIT}")
        elif self.state.trial is not None:
            found.append(f"see whether {UNIT} runs with the change of an earlier run")
        if not found and not self.recorded:
            found.append("record which fields are ours")
        return found

    def diff(self) -> list[dict[str, str]]:
        """Return the differences in the form that Ansible shows."""
        # Both sides are written by us, so that kubeadm's way of writing the same is no difference.
        found = [{"before_header": path, "after_header": path, "before": dump(one.before), "after": dump(one.after)} for path, one in self.files.items()]
        if self.reasons:
            lines = "".join(f"because {reason}\n" for reason in self.reasons)
            found.append({"before_header": UNIT, "after_header": UNIT, "before": "", "after": f"restart\n{lines}"})
        return found


def plan_node(wanted: Mapping[str, Any], base: Mapping[str, Any], systemd: Systemd, paths: Paths, last: Mapping[str, Any] | None = None) -> NodePlan:
    """Compare a node with the wanted fields; changes nothing.

    Parameters
    ----------
    wanted : Mapping
        Fields without apiVersion and kind, from C(check_configuration).
    base : Mapping
        The cluster's configuration: what a field goes back to when it is no longer wanted.
    systemd : Systemd
        The service manager.
    paths : Paths
        Where things are.
    last : Mapping, optional
        What was wanted of the cluster's configuration the last time, with which this node may have joined.

    Raises
    ------
    NodewiseError
        The node has not joined, a file is unreadable, or its kubelet would not start with this.
    """
    text = read_text(paths.config)
    if text is None:
        raise NodewiseError(f"{paths.config} is missing: this host has not joined a cluster.", "run playbook nodewise.cluster.site")
    state = read_state(paths.state)
    live = load(text, paths.config)
    merged = merge(live, union(last or {}, state.applied), wanted, base)
    files: dict[str, Change] = {}
    if merged != live:
        files[paths.config] = Change(text, live, merged)
    files.update(_instance_change(merged, paths))
    reasons = _restart_reasons(files, systemd, paths)
    if files or reasons:
        _check_host(merged, paths)
    return NodePlan(dict(wanted), state, files, merged, reasons)


def record(plan: NodePlan, paths: Paths) -> None:
    """Note which fields are ours, after nothing else had to be done."""
    _write_state(paths, State(plan.wanted))


def apply_node(plan: NodePlan, systemd: Systemd, health: Health, paths: Paths, timeout: float) -> None:
    """Carry out a plan: change the files, restart the kubelet, wait for it, and go back if it does not return.

    Parameters
    ----------
    plan : NodePlan
        From C(plan_node), of the same run.
    systemd : Systemd
        The service manager.
    health : Health
        Asks the kubelet and the API server.
    paths : Paths
        Where things are.
    timeout : float
        Seconds the kubelet has to return.

    Raises
    ------
    NodewiseError
        The kubelet did not return; the text says what became of the file and ends with the kubelet's last log lines.
    """
    trial = copy.deepcopy(plan.state.trial)
    if trial is None and plan.files:
        # Only a node that was Ready can be expected to be Ready afterwards (its network may still be coming up).
        trial = {"was_ready": health.node_ready() is True, "applied": plan.state.applied, "files": []}
    if trial is not None and plan.files:
        for path, change in plan.files.items():
            # A file that an unfinished change of an earlier run has kept already is that change's, not the good one.
            if path not in trial["files"]:
                write_atomic(_kept(path, paths), change.text, 0o600)
                trial["files"].append(path)
        # Both what was and what will be ours, in case the run ends here.
        _write_state(paths, State(union(plan.state.applied, plan.wanted), trial))
        for path, change in plan.files.items():
            write_atomic(path, dump(change.after), 0o644)
    must_be_ready = bool(trial["was_ready"]) if trial is not None else health.node_ready() is True
    since = health.next_second()
    try:
        if plan.reasons:
            systemd.run_until_active("restart", UNIT)
        health.wait(plan.merged, since if plan.reasons else None, must_be_ready, timeout)
    except NodewiseError as error:
        if trial is None:
            raise NodewiseError(f"The kubelet did not return after its restart: {error}.\nIts last log lines:\n{_log(systemd)}") from error
        raise _go_back(error, trial, systemd, health, paths, timeout) from error
    _write_state(paths, State(plan.wanted))


def read_state(path: str) -> State:
    """Return what was noted; nothing if there is no file.

    Raises
    ------
    NodewiseError
        The file is not ours.
    """
    text = read_text(path)
    if text is None:
        return State()
    try:
        found = json.loads(text)
        return State(dict(found["applied"]), found.get("trial"))
    except (ValueError, KeyError, TypeError) as error:
        raise NodewiseError(f"{path} is damaged: {error}.", "remove it; fields that are no longer wanted then stay as they are") from error


def overriding_flags(fields: Mapping[str, Any], paths: Paths) -> list[str]:
    """Return a line for each wanted field that a flag of the host sets as well: the flag wins."""
    flags = translate_flags(host_flags(paths.environment), "flag").fields
    return [f"{name}: a flag in {' or '.join(paths.environment)} sets it as well, and wins" for name in flags if name in fields and flags[name] != fields[name]]


def _instance_change(merged: Mapping[str, Any], paths: Paths) -> dict[str, Change]:
    # kubeadm lays this file over the cluster's configuration whenever it writes config.yaml: another socket in it would come back.
    text = read_text(paths.instance)
    endpoint = merged.get("containerRuntimeEndpoint")
    if text is None or not endpoint:
        return {}
    instance = load(text, paths.instance)
    if instance.get("containerRuntimeEndpoint") == endpoint:
        return {}
    return {paths.instance: Change(text, instance, {**instance, "containerRuntimeEndpoint": endpoint})}


def _restart_reasons(files: Mapping[str, Any], systemd: Systemd, paths: Paths) -> list[str]:
    status = systemd.status(UNIT)
    if status.load != "loaded":
        raise NodewiseError(f"{UNIT} is {status.load} on this host.", "run role kubelet first")
    reasons = [f"{path} changes" for path in files if path in paths.read_at_start]
    if status.started is None:
        return [*reasons, f"it is {status.active}"]
    now = time.time()
    for path in paths.read_at_start:
        try:
            changed = os.stat(path).st_ctime
        except FileNotFoundError:
            continue
        # A time in the future means that the clock was set back: a restart would not make the kubelet younger than the file.
        if path not in files and status.started < changed <= now:
            reasons.append(f"{path} changed {changed - status.started:.1f} s after its start")
    return reasons


def _check_host(merged: Mapping[str, Any], paths: Paths) -> None:
    for path in paths.environment:
        gone = gone_flags(read_text(path, "replace") or "")
        if gone:
            raise NodewiseError(f"{path}: {'; '.join(gone)}.", f"remove it from {path}: the kubelet does not start with it")
    for who in ("kube", "system"):
        enforced = {f"{who}-reserved", f"{who}-reserved-compressible"} & set(merged.get("enforceNodeAllocatable") or [])
        cgroup = str(merged.get(f"{who}ReservedCgroup") or "")
        if enforced and not _cgroup_exists(cgroup):
            raise NodewiseError(
                f"{who}ReservedCgroup {cgroup!r} does not exist on this host, and the kubelet does not start when it is to hold to it.",
                f"make the slice, or leave {' and '.join(sorted(enforced))} out of enforceNodeAllocatable",
            )
    rehearse(paths.kubelet, dump(merged), paths.environment)


def _cgroup_exists(name: str, root: str = "/sys/fs/cgroup") -> bool:
    places = (name.strip("/"), f"{name.strip('/')}.slice")
    # cgroup v1 has a tree for each controller.
    return any(os.path.isdir(os.path.join(tree, place)) for tree in (root, f"{root}/memory") for place in places)


def _go_back(error: NodewiseError, trial: Mapping[str, Any], systemd: Systemd, health: Health, paths: Paths, timeout: float) -> NodewiseError:
    log = _log(systemd)
    for path in trial["files"]:
        write_atomic(path, read_text(_kept(path, paths)) or "", 0o644)
    since = health.next_second()
    try:
        systemd.run_until_active("restart", UNIT)
        health.wait(load(read_text(paths.config) or "", paths.config), since, bool(trial["was_ready"]), timeout)
        outcome = "the old file is back and the kubelet runs with it again"
    except NodewiseError as second:
        outcome = f"the old file is back, but the kubelet does not return with that either: {second}"
    _write_state(paths, State(dict(trial["applied"])))
    return NodewiseError(f"The kubelet did not return with the new {paths.config} ({error}); {outcome}.\nIts last log lines with the new one:\n{log}")


def _kept(path: str, paths: Paths) -> str:
    return os.path.join(paths.backup, os.path.basename(path))


def _log(systemd: Systemd) -> str:
    lines = systemd.journal(UNIT, lines=200).splitlines()
    # klog marks errors with E and fatal ones with F; the rest, the effective configuration above all, would push them out of sight.
    telling = [line[:500] for line in lines if line[:1] in "EF" and line[1:5].isdigit() or line.startswith("panic:")]
    return "\n".join(telling[-8:] or lines[-15:])


def _write_state(paths: Paths, state: State) -> None:
    content = {"applied": state.applied} if state.trial is None else {"applied": state.applied, "trial": state.trial}
    write_atomic(paths.state, json.dumps(content, indent=1, sort_keys=True) + "\n", 0o600)
