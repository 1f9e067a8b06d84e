# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a standby host has to know of itself before anybody asks it to join: C(/etc/nodewise/standby.json).

Only root can read it: what the operator adds to JoinConfiguration may hold a secret.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ..errors import NodewiseError
from ..files import read_text
from ..kubeadm.config import without_secrets
from ..kubeadm.names import check_cluster_name, check_endpoint, check_node_name

PATH = "/etc/nodewise/standby.json"
_HASH = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Settings:
    """What a join or leave takes beside what the caller says.

    Attributes
    ----------
    cluster_name, node_name : str
        The cluster it may join, and the Node that it becomes.
    node_ip : str
        The address its kubelet registers.
    cri_socket : str
        The container runtime's endpoint, C(unix://...).
    pod_cidr : str
        Address range of the pods.
    endpoint : str
        HOST:PORT of the API server of that cluster; no other is joined, whatever a caller says.
    ca_cert_hashes : list of str
        C(sha256:HEX) of the public keys of which that cluster's CA must have one.
    ignore_preflight_errors : list of str
        kubeadm's preflight checks that may fail.
    join_configuration : Mapping
        Laid over JoinConfiguration.
    join_seconds : int
        After this long a join is given up and undone, so that a host never joins behind the back of a caller that has stopped to wait.
    keys_file : str
        Root's file of keys in which the caller's key stands, so that it is found again whatever sshd is told meanwhile.

    Raises
    ------
    NodewiseError
        A value is not allowed.
    """

    cluster_name: str
    node_name: str
    node_ip: str
    cri_socket: str
    pod_cidr: str
    endpoint: str
    ca_cert_hashes: list[str]
    ignore_preflight_errors: list[str] = field(default_factory=list)
    join_configuration: Mapping[str, Any] = field(default_factory=dict)
    join_seconds: int = 240
    keys_file: str = ""

    def __post_init__(self) -> None:
        check_cluster_name(self.cluster_name)
        check_node_name(self.node_name)
        check_endpoint(self.endpoint)
        if not self.ca_cert_hashes or not are_hashes(self.ca_cert_hashes):
            raise NodewiseError(f"ca_cert_hashes is {self.ca_cert_hashes}, no list of sha256:<64 hexadecimal digits>.", "give what autoscaler_keys returned")
        if not 10 <= self.join_seconds <= 3600:
            raise NodewiseError(f"join_seconds is {self.join_seconds}.", "set it between 10 and 3600")

    def to_text(self) -> str:
        """Return the file's text."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"


def shown(text: str) -> str:
    """Return the file's text so that it can be shown, without the operator's secrets; of one that is damaged nothing is shown."""
    try:
        return json.dumps(without_secrets(json.loads(text)), indent=2, sort_keys=True) + "\n"
    except ValueError:
        return ""


def remembered_keys_file(path: str = PATH) -> str:
    """Return C(keys_file) of what was written before, by an older version too; empty if there is nothing.

    Raises
    ------
    NodewiseError
        The file is damaged.
    """
    text = read_text(path)
    try:
        return str(json.loads(text).get("keys_file", "")) if text is not None else ""
    except (ValueError, AttributeError) as error:
        remedy = "remove the lines that end in nodewise-autoscaler@<host> from root's files of keys on this host, and then that file"
        raise NodewiseError(f"{path} is damaged, so where the autoscaler's key stands is unknown: {error}.", remedy) from error


def are_hashes(value: Any) -> bool:
    """Tell whether a value is a list of hashes of public keys as kubeadm pins them, C(sha256:HEX)."""
    return isinstance(value, list) and all(isinstance(one, str) and _HASH.fullmatch(one) for one in value)


def read_settings(path: str = PATH) -> Settings:
    """Read the file.

    Raises
    ------
    NodewiseError
        It is missing, or not what C(Settings.to_text) writes.
    """
    remedy = "run site.yml (role autoscaler) for this host"
    try:
        text = read_text(path)
        if text is None:
            raise NodewiseError(f"{path} is missing.", remedy)
        values = json.loads(text)
        known = {entry.name for entry in fields(Settings)}
        return Settings(**{name: value for name, value in values.items() if name in known})
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise NodewiseError(f"{path} cannot be used: {error}.", remedy) from error
