# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The change itself, in an order in which a run that is killed anywhere is finished, or undone, by the next.

1. The AdmissionConfiguration is written under a name of its own; nobody reads it yet.
2. The manifest of before is kept as the I(trial) file. While that file is there, the manifest has not proved itself.
3. The manifest is replaced. The kubelet stops the old API server and starts the new one.
4. The API server runs with the new arguments and is ready: the trial file becomes the backup. Or it does not: the manifest of
   before is put back, and the trial file goes when that one runs.
5. kubeadm's ClusterConfiguration in the cluster follows, so never with what does not run. Files that nobody names are removed.

Each step is found out from the files, the container runtime and the API; nothing else is remembered.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import NodewiseError
from ..files import read_text, write_atomic
from ..kube.kubectl import ADMIN_KUBECONFIG, Kubectl
from ..kubeadm.run import Kubeadm
from ..kubeadm.state import STATE_PATH, load_state
from ..kubelet.merge import dump, load
from .apiserver import ApiServer
from .configuration import CONFIG_FILE, FLAGS, FOLDER, Wanted, edit_cluster_configuration, foreign_plugins, wanted_of
from .manifest import CONTAINER, edit_pod, flag_value, load_pod, mounts, strays
from .plugins import Known, known_from_help, known_in_version, select

_CONFIG_MAP = "ConfigMap kube-system/kubeadm-config"
_CONFIG_MAP_PATH = "/api/v1/namespaces/kube-system/configmaps/kubeadm-config"
_KEY = "ClusterConfiguration"
_OUR_FILE = re.compile(r"admission-[0-9a-f]{12}\.yaml")


@dataclass(frozen=True)
class Paths:
    """Where things are on a control-plane host.

    Attributes
    ----------
    manifest : str
        kube-apiserver's static pod.
    staging : str
        Folder beside that of the static pods, on the same filesystem: a file in that folder is run.
    backup : str
        The manifest before the last change.
    trial : str
        The manifest before a change that has not proved itself.
    """

    manifest: str = "/etc/kubernetes/manifests/kube-apiserver.yaml"
    staging: str = "/etc/kubernetes"
    folder: str = FOLDER
    backup: str = "/var/lib/nodewise/backup/kube-apiserver/kube-apiserver.yaml"
    trial: str = "/var/lib/nodewise/backup/kube-apiserver/kube-apiserver.trial.yaml"
    admin_conf: str = ADMIN_KUBECONFIG
    state: str = STATE_PATH


@dataclass(frozen=True)
class Wish:
    """What the operator asks for.

    Attributes
    ----------
    enabled, disabled : sequence of str
        Plugins, in addition to Kubernetes' defaults.
    configuration : Mapping
        Configuration by plugin.
    kubernetes_version : str
        Version of the API server, without a leading v.
    """

    enabled: Sequence[str]
    disabled: Sequence[str]
    configuration: Mapping[str, Any]
    kubernetes_version: str


@dataclass
class Result:
    """What was done, or in check mode would be.

    Attributes
    ----------
    actions : list of str
        In order; empty if nothing.
    warnings : list of str
        What an operator should know of.
    diff : list of dict
        The changes, in the form that Ansible shows.
    flags : Mapping
        The flags of kube-apiserver that it comes to; an empty value is a flag that is not given.
    restarted : bool
        Whether the API server was, or would be, started anew.
    """

    actions: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    diff: list[dict[str, str]] = field(default_factory=list)
    flags: Mapping[str, str] = field(default_factory=dict)
    restarted: bool = False


@dataclass(frozen=True)
class Tools:
    """What the change is made with.

    Attributes
    ----------
    server : ApiServer
        The API server of this host.
    kubectl : Kubectl
        With the administrator's kubeconfig.
    kubeadm : Kubeadm
        Judges a ClusterConfiguration.
    kubelet_runs : Callable
        Whether the kubelet, which has to start the new API server, runs.
    """

    server: ApiServer
    kubectl: Kubectl
    kubeadm: Kubeadm
    kubelet_runs: Callable[[], bool]


def ensure_admission(wish: Wish, check_mode: bool, tools: Tools, paths: Paths, timeout: float) -> Result:
    """Bring the API server of this host, and kubeadm's configuration in the cluster, to the wish.

    Parameters
    ----------
    timeout : float
        Seconds that a new API server has to become ready.

    Raises
    ------
    NodewiseError
        The wish cannot be met (nothing was touched then), or the API server did not become ready with it; then
        the manifest of before is back, and the text ends with the API server's own last log lines.
    """
    known = known_in_version(wish.kubernetes_version)
    wanted = _wanted(wish, known, paths)
    result = Result(flags=wanted.flags)
    text = read_text(paths.manifest)
    if text is None or load_state(paths.state).phase == "initialising":
        _prepare(wish, wanted, check_mode, paths, result)
        return result
    copies, odd = strays(paths.manifest)
    if copies:
        raise NodewiseError(
            f"{', '.join(copies)} {'holds' if len(copies) == 1 else 'hold'} a pod {CONTAINER} too, and the kubelet runs whichever it reads last.",
            f"move it out of {os.path.dirname(paths.manifest)}",
        )
    result.warnings += [f"{sentence}; the kubelet reads every file of that folder" for sentence in odd]
    undone = None
    if os.path.exists(paths.trial):
        if check_mode:
            result.actions.append("see whether the API server runs with the change of an earlier run, and undo that if not")
            return result
        undone = _end_trial(text, tools, paths, timeout)
        text = read_text(paths.manifest) or ""
    pod = load_pod(text, paths.manifest)
    live = _cluster_configuration(tools, timeout, pod, check_mode)
    plan = _plan(text, pod, live, wanted)
    if plan.pod_differs or plan.document_differs:
        # The program that runs knows best what it knows; the table must do where it cannot be asked.
        plan = _plan(text, pod, live, _wanted(wish, _asked(tools.server, known), paths))
        result.flags = plan.wanted.flags
    if undone is not None:
        if load_pod(undone.text, paths.manifest) == plan.new_pod:
            raise NodewiseError(f"An earlier run was ended while it tried this very change. {undone.reason}", f"correct the admission settings.\n{undone.log}")
        result.actions.append("put back the manifest of before the change of an earlier run")
        result.warnings.append(undone.reason)
    _check_kubeconfigs(wish.configuration, plan.new_pod)
    _describe(plan, paths, result)
    reason = "" if plan.pod_differs else tools.server.differs_from(pod)
    if reason:
        # The kubelet did not run when the manifest was written, or is slow.
        result.actions.append(f"wait until {CONTAINER} runs as its manifest says ({reason})")
    if not check_mode:
        if reason:
            _need_kubelet(tools)
            _must_run(pod, tools, timeout)
        _carry_out(plan, tools, paths, timeout)
    return result


@dataclass(frozen=True)
class Plan:
    """What is there, and what shall be there.

    Attributes
    ----------
    text : str
        The manifest, as the file has it.
    pod, new_pod : dict
        The manifest's pod.
    document, new_document : dict
        kubeadm's ClusterConfiguration in the cluster.
    live : dict
        The ConfigMap that holds it.
    wanted : Wanted
        What it comes from.
    """

    text: str
    pod: dict[str, Any]
    new_pod: dict[str, Any]
    document: dict[str, Any]
    new_document: dict[str, Any]
    live: dict[str, Any]
    wanted: Wanted

    @property
    def pod_differs(self) -> bool:
        """Whether the API server has to be started anew."""
        return self.new_pod != self.pod

    @property
    def document_differs(self) -> bool:
        """Whether kubeadm has to be told."""
        return self.new_document != self.document

    @property
    def file_differs(self) -> bool:
        """Whether the AdmissionConfiguration has to be written."""
        return bool(self.wanted.file) and read_text(self.wanted.path) != self.wanted.file


def _plan(text: str, pod: dict[str, Any], live: dict[str, Any], wanted: Wanted) -> Plan:
    document = load(live["data"][_KEY], _CONFIG_MAP)
    return Plan(text, pod, edit_pod(pod, wanted), document, edit_cluster_configuration(document, wanted), live, wanted)


def _wanted(wish: Wish, known: Known, paths: Paths) -> Wanted:
    return wanted_of(select(wish.enabled, wish.disabled, wish.configuration, known), paths.folder)


def _asked(server: ApiServer, table: Known) -> Known:
    try:
        return known_from_help(server.help())
    except NodewiseError:
        return table


def _prepare(wish: Wish, wanted: Wanted, check_mode: bool, paths: Paths, result: Result) -> None:
    """On a host without a cluster only the file is needed: kubeadm init is given the flags."""
    if os.path.exists(paths.admin_conf) and load_state(paths.state).phase != "initialising":
        raise NodewiseError(
            f"{paths.manifest} is missing, though {paths.admin_conf} says that this is a control plane.",
            f"put it back; the one before the last change of this module is {paths.backup}" if os.path.exists(paths.backup) else "put it back from a backup",
        )
    for path in _kubeconfigs(wish.configuration):
        _must_be_here(path)
    if wanted.file and read_text(wanted.path) != wanted.file:
        result.actions.append(f"write {wanted.path}")
        result.diff.append({"before_header": wanted.path, "after_header": wanted.path, "before": read_text(wanted.path) or "", "after": wanted.file})
        if not check_mode:
            write_atomic(wanted.path, wanted.file, 0o600)
    if not check_mode and os.path.exists(paths.trial):
        # Of a cluster that is gone.
        os.unlink(paths.trial)


@dataclass(frozen=True)
class Undone:
    """A change of an earlier run that was undone: its manifest, why, and the API server's last log lines."""

    text: str
    reason: str
    log: str


def _end_trial(text: str, tools: Tools, paths: Paths, timeout: float) -> Undone | None:
    """Finish or undo the change of a run that was killed."""
    before = read_text(paths.trial) or ""
    if before == text:
        # Killed before the manifest was replaced, or after it was put back: all that is left is to see this one run.
        _must_run(load_pod(text, paths.manifest), tools, timeout)
        os.unlink(paths.trial)
        return None
    if _others_part(load_pod(before, paths.trial)) != _others_part(load_pod(text, paths.manifest)):
        # Somebody else has written the manifest since, an upgrade for example; going back would undo that too.
        os.replace(paths.trial, paths.backup)
        return None
    try:
        tools.server.wait(load_pod(text, paths.manifest), timeout)
    except NodewiseError as error:
        log = _put_back(before, tools, paths, timeout)
        reason = f"The API server did not become ready with it ({error.message}); the manifest of before is back and the API server is ready."
        return Undone(text, reason, f"The last log lines of the one that failed:\n{log}")
    os.replace(paths.trial, paths.backup)
    return None


def _others_part(pod: Mapping[str, Any]) -> dict[str, Any]:
    """Return a pod without what this module sets in it."""
    return edit_pod(pod, Wanted(dict.fromkeys(FLAGS, "")))


def _must_run(pod: Mapping[str, Any], tools: Tools, timeout: float) -> None:
    try:
        tools.server.wait(pod, timeout)
    except NodewiseError as error:
        raise NodewiseError(
            f"The API server is not ready, and nothing was changed: {error.message}.", f"repair it first.\nIts last log lines:\n{tools.server.log()}"
        ) from error


def _put_back(before: str, tools: Tools, paths: Paths, timeout: float) -> str:
    """Put the manifest of before back, wait for it, and return what the other one's API server logged."""
    log = tools.server.log()
    write_atomic(paths.manifest, before, 0o600, staging=paths.staging)
    try:
        tools.server.wait(load_pod(before, paths.manifest), timeout)
    except NodewiseError as error:
        raise NodewiseError(
            f"The API server did not become ready, and with the manifest of before, which is back, it does not either: {error.message}.",
            f"see `crictl ps -a` and `journalctl -u kubelet` on this host.\nThe last log lines of the first:\n{log}\nof the second:\n{tools.server.log()}",
        ) from error
    os.unlink(paths.trial)
    return log


def _cluster_configuration(tools: Tools, timeout: float, pod: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    try:
        found = tools.kubectl.get("--namespace=kube-system", "configmap", "kubeadm-config")
    except NodewiseError:
        if check_mode:
            raise
        # It may only be starting.
        _must_run(pod, tools, timeout)
        found = tools.kubectl.get("--namespace=kube-system", "configmap", "kubeadm-config")
    if found is None or _KEY not in (found.get("data") or {}):
        raise NodewiseError(f"{_CONFIG_MAP} with the key {_KEY} is missing: kubeadm did not make this cluster.", "kubeadm init phase upload-config kubeadm")
    return found


def _check_kubeconfigs(configuration: Mapping[str, Any], pod: Mapping[str, Any]) -> None:
    """Refuse a configuration that names a kubeconfig which the API server would not find."""
    folders = sorted(inside for inside, host in mounts(pod) if inside == host)
    for path in _kubeconfigs(configuration):
        if not any(path.startswith(f"{folder}/") for folder in folders):
            raise NodewiseError(f"kubeConfigFile {path} is in no folder that kube-apiserver sees.", f"put it into one of {', '.join(folders)}")
        _must_be_here(path)


def _must_be_here(path: str) -> None:
    if not os.path.exists(path):
        raise NodewiseError(f"kubeConfigFile {path} is not on this host.", "bring it to every control plane first")


def _kubeconfigs(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key == "kubeConfigFile" and isinstance(inner, str) and inner:
                yield inner
            yield from _kubeconfigs(inner)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for inner in value:
            yield from _kubeconfigs(inner)


def _describe(plan: Plan, paths: Paths, result: Result) -> None:
    """Say what there is to do."""
    path = plan.wanted.path
    changes = []
    if plan.file_differs:
        changes.append((path, read_text(path) or "", plan.wanted.file, f"write {path}"))
    if plan.pod_differs:
        changes.append((paths.manifest, dump(plan.pod), dump(plan.new_pod), f"write {paths.manifest}, by which the kubelet restarts {CONTAINER}"))
    if plan.document_differs:
        changes.append((_CONFIG_MAP, dump(plan.document), dump(plan.new_document), f"update {_CONFIG_MAP}"))
    # Of a run that was killed.
    stale = _stale(paths, path, flag_value(plan.pod, CONFIG_FILE))
    result.restarted = plan.pod_differs
    result.actions += [*(action for _header, _before, _after, action in changes), *(f"remove {name}" for name in stale)]
    result.diff += [{"before_header": header, "after_header": header, "before": before, "after": after} for header, before, after, _action in changes]
    for flag in FLAGS:
        dropped = foreign_plugins(flag, flag_value(plan.pod, flag), plan.wanted)
        if dropped and plan.pod_differs:
            result.warnings.append(f"{', '.join(dropped)} of --{flag} in {paths.manifest} is not asked for, and goes.")


def _need_kubelet(tools: Tools) -> None:
    if not tools.kubelet_runs():
        raise NodewiseError("The kubelet does not run, so nothing would start the new API server. Nothing was changed.", "systemctl start kubelet")


def _carry_out(plan: Plan, tools: Tools, paths: Paths, timeout: float) -> None:
    if plan.document_differs:
        tools.kubeadm.validate([plan.new_document])
    if plan.pod_differs:
        _need_kubelet(tools)
        # A change must begin from an API server that is good, or going back would lead nowhere.
        _must_run(plan.pod, tools, timeout)
    if plan.file_differs:
        write_atomic(plan.wanted.path, plan.wanted.file, 0o600)
    if plan.pod_differs:
        _replace_manifest(plan, tools, paths, timeout)
    if plan.document_differs:
        # Raw: kubectl needs no discovery and no schemas, which take seconds from an API server that has just started. The resourceVersion that was
        # read makes the API server refuse, instead of overwriting what came in between.
        changed = {**plan.live, "data": {**plan.live["data"], _KEY: dump(plan.new_document)}}
        tools.kubectl.run(["replace", f"--raw={_CONFIG_MAP_PATH}", "--filename=-"], stdin=json.dumps(changed))
    _tidy(paths, plan.wanted.path)


def _replace_manifest(plan: Plan, tools: Tools, paths: Paths, timeout: float) -> None:
    write_atomic(paths.trial, plan.text, 0o600)
    write_atomic(paths.manifest, dump(plan.new_pod), 0o600, staging=paths.staging)
    try:
        tools.server.wait(plan.new_pod, timeout)
    except NodewiseError as error:
        log = _put_back(plan.text, tools, paths, timeout)
        _tidy(paths, flag_value(plan.pod, CONFIG_FILE))
        raise NodewiseError(
            f"The API server did not become ready with the new {paths.manifest} ({error.message}); the old one is back and the API server is ready with it.",
            f"correct the admission settings.\nThe last log lines of the one that failed:\n{log}",
        ) from error
    os.replace(paths.trial, paths.backup)


def _stale(paths: Paths, *used: str) -> list[str]:
    """Return the configurations of ours that neither the backup names nor anybody uses."""
    if not os.path.isdir(paths.folder):
        return []
    backup = read_text(paths.backup)
    kept = {*used, flag_value(load_pod(backup, paths.backup), CONFIG_FILE) if backup else ""}
    files = [os.path.join(paths.folder, name) for name in sorted(os.listdir(paths.folder)) if _OUR_FILE.fullmatch(name)]
    return [path for path in files if path not in kept]


def _tidy(paths: Paths, *used: str) -> None:
    for path in _stale(paths, *used):
        os.unlink(path)
