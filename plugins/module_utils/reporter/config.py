# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reporter's configuration file: what it holds, and whether it is right."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ..errors import NodewiseError
from ..files import read_text
from ..report.schema import CONFIG_DIGITS
from ..report.settings import Settings
from .tls import AUTHORITY, CERTIFICATE, Files, check_addresses

PATH = "/etc/nodewise/reporter.json"
LOG_LEVELS = ("debug", "info", "warning", "error")
_METRICS = ("metrics_address", "metrics_tls_address", "metrics_certificate", "metrics_client_authority")
# RFC 1123 subdomain, as a Node's name has to be.
_NODE_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


@dataclass(frozen=True)
class Config:
    """What the reporter of a node has to know.

    Parameters
    ----------
    node_name : str
        Name of the Node, and so of the report.
    kubeconfig : str
        Path of the kubeconfig with the node's own identity.
    cri_socket : str
        Endpoint of the container runtime, a C(unix://) URL.
    kubelet_root : str
        The kubelet's folder; the filesystem on which it lies is the node's.
    runtime_root : str
        The runtime's folder, until the runtime itself has named where its images lie.
    metrics_address : str
        Loopback address at which metrics and health are served as plain HTTP.
    metrics_tls_address : str
        IP address of the host at which they are served over mutual TLS; empty for none.
    metrics_certificate, metrics_client_authority : str
        Paths for that, see C(tls.Files).
    metrics_port : int
        Port for them at both addresses; 0 serves none.
    log_level : str
        One of C(LOG_LEVELS).
    settings : Settings
        When a report is written, and when a condition is true.

    Raises
    ------
    NodewiseError
        A value is not allowed.
    """

    node_name: str
    kubeconfig: str = "/etc/kubernetes/kubelet.conf"
    cri_socket: str = "unix:///run/containerd/containerd.sock"
    kubelet_root: str = "/var/lib/kubelet"
    runtime_root: str = "/var/lib/containerd"
    metrics_address: str = "127.0.0.1"
    metrics_tls_address: str = ""
    metrics_certificate: str = CERTIFICATE
    metrics_client_authority: str = AUTHORITY
    metrics_port: int = 10270
    log_level: str = "info"
    settings: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        for name in ("node_name", "kubeconfig", "cri_socket", "kubelet_root", "runtime_root", "log_level", *_METRICS):
            if not isinstance(getattr(self, name), str):
                raise NodewiseError(f"{name} is {getattr(self, name)!r}, which is not text.", "write it in quotes")
        if not _NODE_NAME.fullmatch(self.node_name) or len(self.node_name) > 253:
            raise NodewiseError(f"node_name is {self.node_name!r}, which no Node can have.", "give the Node's name as 'kubectl get nodes' shows it")
        for name in ("kubeconfig", "kubelet_root", "runtime_root"):
            if not getattr(self, name).startswith("/"):
                raise NodewiseError(f"{name} is {getattr(self, name)!r}.", "give an absolute path")
        if not self.cri_socket.startswith("unix:///"):
            raise NodewiseError(f"cri_socket is {self.cri_socket!r}.", "give it as a URL, like unix:///run/containerd/containerd.sock")
        check_addresses(self.metrics_address, self.metrics_tls_address, self.metrics_files)
        if isinstance(self.metrics_port, bool) or not isinstance(self.metrics_port, int) or not 0 <= self.metrics_port <= 65535:
            raise NodewiseError(f"metrics_port is {self.metrics_port!r}.", "choose a port from 1 to 65535, or 0 to serve no metrics")
        if self.log_level not in LOG_LEVELS:
            raise NodewiseError(f"log_level is {self.log_level!r}.", f"choose one of {', '.join(LOG_LEVELS)}")

    @property
    def metrics_files(self) -> Files:
        """Return where the certificates of the metrics lie."""
        return Files(self.metrics_certificate, self.metrics_client_authority)

    def to_text(self) -> str:
        """Return the file's text."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"

    @property
    def digest(self) -> str:
        """By what a report says with which configuration it was made: the first digits of the SHA-256 of the file's text."""
        return hashlib.sha256(self.to_text().encode()).hexdigest()[:CONFIG_DIGITS]


def parse_config(text: str, path: str = PATH) -> Config:
    """Understand a configuration file.

    Raises
    ------
    NodewiseError
        It is no JSON object, names something unknown, or a value is not allowed; the message names the file.
    """
    try:
        values = json.loads(text)
    except ValueError as error:
        raise NodewiseError(f"{path} is no JSON: {error}.") from error
    if not isinstance(values, dict) or not isinstance(values.get("settings", {}), dict):
        raise NodewiseError(f"{path} is not an object with an object 'settings'.")
    try:
        return make_config(values)
    except NodewiseError as error:
        raise NodewiseError(f"{path}: {error.message}", error.remedy) from error


def make_config(values: Mapping[str, Any]) -> Config:
    """Return the configuration of a mapping; what it leaves out has its default.

    Raises
    ------
    NodewiseError
        A name is not known, node_name is missing, or a value is not allowed.
    """
    known = [entry.name for entry in fields(Config)]
    for name in values:
        if name not in known:
            raise NodewiseError(f"{name} is not known.", f"use one of {', '.join(known)}")
    if "node_name" not in values:
        raise NodewiseError("node_name is missing.", "give the Node's name")
    return Config(**{**values, "settings": Settings.from_mapping(values.get("settings", {}))})


def read_config(path: str) -> Config:
    """Read and understand a configuration file.

    Raises
    ------
    NodewiseError
        It is missing, cannot be read, or is wrong.
    """
    try:
        text = read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise NodewiseError(f"{path} cannot be read: {error}.") from error
    if text is None:
        raise NodewiseError(f"{path} is missing.", "run the role reporter again")
    return parse_config(text, path)
