# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A selection of plugins as flags, as a file, and as part of kubeadm's ClusterConfiguration. Pure functions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import NodewiseError
from ..kubeadm.config import API_VERSION
from ..kubelet.merge import dump
from ..plain import plain
from .plugins import NODE_RESTRICTION, Selection

FOLDER = "/etc/kubernetes/nodewise-admission"
"""Holds the AdmissionConfiguration, on the host and, mounted, in the API server."""
VOLUME = "nodewise-admission"
ENABLE, DISABLE, CONFIG_FILE = "enable-admission-plugins", "disable-admission-plugins", "admission-control-config-file"
FLAGS = (ENABLE, DISABLE, CONFIG_FILE)


@dataclass(frozen=True)
class Wanted:
    """What the API server shall be started with.

    Attributes
    ----------
    flags : Mapping
        Value of each of :data:`FLAGS`; empty if the flag is not needed.
    file : str
        Text of the AdmissionConfiguration; empty if there is none.
    folder : str
        Where that file is; it bears a part of its own hash, so that another text is another flag and starts the API server
        anew, and the file of the manifest of before stays whole until the new one has proved itself.
    """

    flags: Mapping[str, str]
    file: str = ""
    folder: str = FOLDER

    @property
    def path(self) -> str:
        """Path of the AdmissionConfiguration; empty if there is none."""
        return self.flags[CONFIG_FILE]


def wanted_of(selection: Selection, folder: str = FOLDER) -> Wanted:
    """Return what a selection comes to."""
    # Through JSON, so that Ansible's own kinds of texts and those that a module gets come to the same file.
    configuration = json.loads(json.dumps(dict(selection.configuration), default=str))
    plugins = [{"name": name, "configuration": configuration[name]} for name in sorted(configuration)]
    file = dump({"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AdmissionConfiguration", "plugins": plugins}) if plugins else ""
    path = f"{folder}/admission-{hashlib.sha256(file.encode()).hexdigest()[:12]}.yaml" if file else ""
    enable = ",".join([NODE_RESTRICTION, *sorted(selection.enable - {NODE_RESTRICTION})])
    return Wanted({ENABLE: enable, DISABLE: ",".join(sorted(selection.disable)), CONFIG_FILE: path}, file, folder)


def same_value(flag: str, left: str, right: str) -> bool:
    """Whether two values of a flag mean the same; the order of plugins does not matter to kube-apiserver."""
    return left == right if flag == CONFIG_FILE else _names(left) == _names(right)


def _names(value: str) -> set[str]:
    return {name.strip() for name in value.split(",")} - {""}


def foreign_plugins(flag: str, there: str, wanted: Wanted) -> list[str]:
    """Return the plugins that a flag's value has and that are not wanted."""
    return sorted(_names(there) - _names(wanted.flags[flag])) if flag != CONFIG_FILE else []


def volume(folder: str) -> dict[str, Any]:
    """Return the extraVolume of ClusterConfiguration that brings the folder into the API server."""
    return {"name": VOLUME, "hostPath": folder, "mountPath": folder, "readOnly": True, "pathType": "DirectoryOrCreate"}


def cluster_part(wanted: Wanted) -> dict[str, Any]:
    """Return what ClusterConfiguration must say for a new cluster; empty if kubeadm's own way is what is wanted."""
    changed = edit_cluster_configuration({"apiVersion": API_VERSION}, wanted)
    return {"apiServer": changed["apiServer"]} if "apiServer" in changed else {}


def edit_cluster_configuration(document: Mapping[str, Any], wanted: Wanted) -> dict[str, Any]:
    """Return a ClusterConfiguration that leads kubeadm to what is wanted; all else in it is as it was.

    Raises
    ------
    NodewiseError
        It is of another API version than kubeadm.k8s.io/v1beta4, in which arguments are a list.
    """
    if document.get("apiVersion") != API_VERSION:
        raise NodewiseError(
            f"kubeadm's ClusterConfiguration in the cluster is {document.get('apiVersion')}, not {API_VERSION}.",
            "kubeadm config migrate shows it in the new version; an upgrade with kubeadm writes it",
        )
    result: dict[str, Any] = plain(document)
    server: dict[str, Any] = dict(result.get("apiServer") or {})
    arguments: list[dict[str, Any]] = list(server.get("extraArgs") or [])
    for flag in FLAGS:
        # Without an argument of this name kubeadm gives NodeRestriction.
        default = NODE_RESTRICTION if flag == ENABLE else ""
        there = ",".join(item["value"] for item in arguments if item["name"] == flag) or default
        if same_value(flag, there, wanted.flags[flag]):
            continue
        arguments = [item for item in arguments if item["name"] != flag]
        if not same_value(flag, default, wanted.flags[flag]):
            arguments.append({"name": flag, "value": wanted.flags[flag]})
    volumes = _with_named(server.get("extraVolumes") or [], volume(wanted.folder) if wanted.file else None)
    for key, value in (("extraArgs", arguments), ("extraVolumes", volumes)):
        if value:
            server[key] = value
        else:
            server.pop(key, None)
    if server or "apiServer" in result:
        result["apiServer"] = server
    return result


def _with_named(items: Sequence[Mapping[str, Any]], ours: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Return the items with ours in the place of the one of our name; without it if ours is None."""
    kept = [dict(item) for item in items]
    if ours is not None and dict(ours) in kept:
        return kept
    others = [item for item in kept if item["name"] != VOLUME]
    return others if ours is None else [*others, dict(ours)]
