# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The static pod of kube-apiserver, as data, and what else lies in the kubelet's folder of static pods."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from typing import Any

from ..errors import NodewiseError
from ..files import read_text
from .configuration import FLAGS, VOLUME, Wanted, same_value

CONTAINER = "kube-apiserver"
NAMESPACE = "kube-system"
_SUFFIXES = (".yaml", ".yml", ".json", ".manifest")


def load_pod(text: str, path: str) -> dict[str, Any]:
    """Return the pod that a manifest holds.

    Raises
    ------
    NodewiseError
        It is not the static pod of kube-apiserver.
    """
    pod = _read_yaml(text)
    if not isinstance(pod, dict) or _container(pod) is None:
        raise NodewiseError(
            f"{path} does not hold a pod with the container {CONTAINER} and its command.",
            "write it anew: kubeadm init phase control-plane apiserver --config FILE, with the ClusterConfiguration of ConfigMap kube-system/kubeadm-config "
            "and an InitConfiguration that has this host's localAPIEndpoint",
        )
    return pod


def _read_yaml(text: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return None


def _container(pod: Mapping[str, Any]) -> dict[str, Any] | None:
    spec = pod.get("spec")
    containers = spec.get("containers") if isinstance(spec, Mapping) else None
    found = [item for item in containers or [] if item.get("name") == CONTAINER and isinstance(item.get("command"), list)]
    return found[0] if found else None


def _must_have(pod: Mapping[str, Any]) -> dict[str, Any]:
    container = _container(pod)
    if container is None:
        raise ValueError("not checked by load_pod")
    return container


def command(pod: Mapping[str, Any]) -> list[str]:
    """Return the command line that the manifest asks for."""
    container = _must_have(pod)
    return [str(part) for part in [*container["command"], *(container.get("args") or [])]]


def mounts(pod: Mapping[str, Any]) -> set[tuple[str, str]]:
    """Return the mounts that the manifest asks for: path in the container and path on the host."""
    sources = {item["name"]: item["hostPath"]["path"] for item in pod["spec"].get("volumes") or [] if "hostPath" in item}
    wanted = _must_have(pod).get("volumeMounts") or []
    return {(item["mountPath"].rstrip("/"), sources[item["name"]].rstrip("/")) for item in wanted if item["name"] in sources}


def flag_value(pod: Mapping[str, Any], flag: str) -> str:
    """Return the value of a flag in the manifest; empty if it is not given. Of a list given twice kube-apiserver takes both."""
    prefix = f"--{flag}="
    return ",".join(str(part)[len(prefix) :] for part in _must_have(pod)["command"] if str(part).startswith(prefix))


def endpoint(pod: Mapping[str, Any]) -> tuple[str, int]:
    """Return the address and port on which this very API server answers."""
    return flag_value(pod, "advertise-address") or "127.0.0.1", int(flag_value(pod, "secure-port") or 6443)


def edit_pod(pod: Mapping[str, Any], wanted: Wanted) -> dict[str, Any]:
    """Return the pod with the wanted flags, volume and mount; all else in it is as it was."""
    result = copy.deepcopy(dict(pod))
    container = _must_have(result)
    for flag in FLAGS:
        value = wanted.flags[flag]
        if same_value(flag, flag_value(result, flag), value):
            continue
        prefix = f"--{flag}="
        kept: list[Any] = []
        at = None
        for part in container["command"]:
            if str(part).startswith(prefix):
                at = len(kept) if at is None else at
            else:
                kept.append(part)
        if value:
            kept.insert(len(kept) if at is None else at, f"{prefix}{value}")
        container["command"] = kept
    volume = {"name": VOLUME, "hostPath": {"path": wanted.folder, "type": "DirectoryOrCreate"}}
    mount = {"name": VOLUME, "mountPath": wanted.folder, "readOnly": True}
    _set_named(result["spec"], "volumes", volume if wanted.file else None)
    _set_named(container, "volumeMounts", mount if wanted.file else None)
    return result


def _set_named(parent: dict[str, Any], key: str, ours: dict[str, Any] | None) -> None:
    items = list(parent.get(key) or [])
    if ours in items:
        return
    others = [item for item in items if item["name"] != VOLUME]
    if ours is not None:
        # In the order of names, as kubeadm writes them.
        others.insert(sum(item["name"] < VOLUME for item in others), ours)
    if others != items:
        parent[key] = others


def strays(manifest: str) -> tuple[list[str], list[str]]:
    """Look for what does not belong into the folder of static pods; the kubelet reads every file there whose name begins with no dot.

    Parameters
    ----------
    manifest : str
        Path of kube-apiserver's manifest.

    Returns
    -------
    tuple
        Paths of other files that hold a pod kube-apiserver too (the kubelet runs one or the other), and a
        sentence for each other file that looks left behind.
    """
    folder = os.path.dirname(manifest)
    copies, odd = [], []
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if name.startswith(".") or path == manifest or not os.path.isfile(path):
            continue
        try:
            content = _read_yaml(read_text(path) or "")
        except (OSError, UnicodeDecodeError):
            content = None
        metadata = content.get("metadata") if isinstance(content, dict) else None
        if isinstance(metadata, dict) and (metadata.get("name"), metadata.get("namespace")) == (CONTAINER, NAMESPACE):
            copies.append(path)
        elif not isinstance(content, dict) or content.get("kind") != "Pod":
            odd.append(f"{path} is no pod")
        elif not name.endswith(_SUFFIXES):
            odd.append(f"{path} looks like a copy, and the kubelet runs it")
    return copies, odd
