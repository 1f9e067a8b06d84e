# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calico's own manifest, edited as data.

Nothing of it is kept here. Each edit looks for the place it edits and fails if
this manifest has no such place, so that a newer manifest cannot be half edited.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Sequence
from typing import Any

from ..errors import NodewiseError
from .settings import Settings

Document = dict[str, Any]
# Changing the ConfigMap alone restarts nothing; its digest in the pod template does.
CONFIG_ANNOTATION = "nodewise.dev/calico-config"
_NEWER_MANIFEST = "use a Calico version that this collection knows, or report that its manifest changed"
_BIRD_CHECKS = {"livenessProbe": "-bird-live", "readinessProbe": "-bird-ready"}


def load_manifest(text: str) -> list[Document]:
    """Return the documents of a manifest.

    Raises
    ------
    NodewiseError
        The text is not YAML, or holds no object.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        documents = [document for document in yaml.load_all(text, Loader=loader) if document]
    except yaml.YAMLError as error:
        raise NodewiseError(f"The Calico manifest is not YAML: {error}", "remove it and run the artifacts role again") from error
    if not documents or not all(isinstance(document, dict) and "kind" in document for document in documents):
        raise NodewiseError("The Calico manifest holds no Kubernetes objects.", "remove it and run the artifacts role again")
    return documents


def edit_manifest(documents: Sequence[Document], settings: Settings) -> list[Document]:
    """Return the manifest as the settings want it, custom resource definitions first.

    Parameters
    ----------
    documents : sequence of dict
        The upstream manifest (calico.yaml or calico-vxlan.yaml: every setting in
        which the two differ is set, so either becomes either). It is not changed.
    settings : Settings
        Settings without problems (see C(find_problems)).

    Raises
    ------
    NodewiseError
        The manifest is of another version than the settings say, or lacks a place that must be edited.
    """
    edited = copy.deepcopy(list(documents))
    config = _find(edited, "ConfigMap", "calico-config")
    _set_config(config, settings)
    daemonset = _find(edited, "DaemonSet", "calico-node")
    template = daemonset["spec"]["template"]
    template["metadata"].setdefault("annotations", {})[CONFIG_ANNOTATION] = _digest(config["data"])
    node = _container(template["spec"], "calico-node", "DaemonSet calico-node")
    _set_environment(node, settings)
    for probe, check in _BIRD_CHECKS.items():
        _set_bird_check(node, probe, check, wanted=settings.backend == "bird")
    for workload in (daemonset, _find(edited, "Deployment", "calico-kube-controllers")):
        _set_images(workload, settings)
    return sorted(edited, key=lambda document: document["kind"] != "CustomResourceDefinition")


def crd_names(documents: Sequence[Document]) -> list[str]:
    """Return the names of the custom resource definitions in a manifest."""
    return [document["metadata"]["name"] for document in documents if document["kind"] == "CustomResourceDefinition"]


def felix_environment(documents: Sequence[Document]) -> set[str]:
    """Return the names of Felix's parameters, in lower case, that an edited manifest sets by environment.

    Felix lets the environment win over a FelixConfiguration without a word (confd
    and Felix, "Configuration precedence"), so the same parameter in both is a mistake.
    """
    node = _container(_find(documents, "DaemonSet", "calico-node")["spec"]["template"]["spec"], "calico-node", "DaemonSet calico-node")
    return {entry["name"].removeprefix("FELIX_").lower() for entry in node["env"] if entry["name"].startswith("FELIX_")}


def _find(documents: Sequence[Document], kind: str, name: str) -> Document:
    for document in documents:
        if document["kind"] == kind and document["metadata"]["name"] == name:
            return document
    raise NodewiseError(f"The Calico manifest has no {kind} {name}.", _NEWER_MANIFEST)


def _container(pod: dict[str, Any], name: str, place: str) -> dict[str, Any]:
    for container in pod["containers"]:
        if container["name"] == name:
            found: dict[str, Any] = container
            return found
    raise NodewiseError(f"The {place} of the Calico manifest has no container {name}.", _NEWER_MANIFEST)


def _set_config(config: Document, settings: Settings) -> None:
    for key, value in (("calico_backend", settings.backend), ("veth_mtu", str(settings.mtu))):
        if key not in config["data"]:
            raise NodewiseError(f"The ConfigMap calico-config of the Calico manifest has no key {key}.", _NEWER_MANIFEST)
        config["data"][key] = value


def _set_environment(node: dict[str, Any], settings: Settings) -> None:
    names = {entry["name"] for entry in node["env"]}
    # These must be there: they show that this Calico still takes its default pool and its address from the environment.
    for name in ("CALICO_NETWORKING_BACKEND", "CALICO_IPV4POOL_IPIP", "CALICO_IPV4POOL_VXLAN", "IP"):
        if name not in names:
            raise NodewiseError(f"The container calico-node of the Calico manifest has no environment variable {name}.", _NEWER_MANIFEST)
    wanted = {
        "IP_AUTODETECTION_METHOD": settings.ip_autodetection_method,
        "CALICO_IPV4POOL_CIDR": settings.pod_cidr,
        "CALICO_IPV4POOL_BLOCK_SIZE": str(settings.block_size),
        "CALICO_IPV4POOL_NAT_OUTGOING": _text(settings.nat_outgoing),
        "CALICO_IPV4POOL_IPIP": settings.ipip_mode,
        "CALICO_IPV4POOL_VXLAN": settings.vxlan_mode,
        "FELIX_IPTABLESBACKEND": settings.iptables_backend,
        **{name: _text(value) for name, value in settings.felix_env.items()},
    }
    node["env"] = [{"name": entry["name"], "value": wanted.pop(entry["name"])} if entry["name"] in wanted else entry for entry in node["env"]]
    node["env"] += [{"name": name, "value": value} for name, value in wanted.items()]


def _set_bird_check(node: dict[str, Any], probe: str, check: str, wanted: bool) -> None:
    command = node.get(probe, {}).get("exec", {}).get("command")
    # A probe that asks Felix shows that the command is the list of checks that we know.
    if not command or not any(argument.startswith("-felix-") for argument in command):
        raise NodewiseError(f"The {probe} of calico-node in the Calico manifest is not a list of checks such as -felix-live.", _NEWER_MANIFEST)
    node[probe]["exec"]["command"] = [argument for argument in command if argument != check] + ([check] if wanted else [])


def _set_images(workload: Document, settings: Settings) -> None:
    pod = workload["spec"]["template"]["spec"]
    for container in pod.get("initContainers", []) + pod["containers"]:
        image, _colon, tag = container["image"].rpartition(":")
        if tag != f"v{settings.version}":
            raise NodewiseError(
                f"The Calico manifest names the image {container['image']}, but calico_version is {settings.version}.",
                "run the artifacts role for this version first",
            )
        if settings.image_prefix:
            container["image"] = f"{settings.image_prefix}/{image.rpartition('/')[2]}:{tag}"


def _digest(data: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
