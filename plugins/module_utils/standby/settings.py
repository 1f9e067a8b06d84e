# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a standby host has to know of itself before anybody asks it to join: C(/etc/nodewise/standby.json), without a secret."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ..errors import NodewiseError
from ..files import read_text
from ..kubeadm.names import check_cluster_name, check_node_name

PATH = "/etc/nodewise/standby.json"


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
    ignore_preflight_errors : list of str
        kubeadm's preflight checks that may fail.
    join_configuration : Mapping
        Laid over JoinConfiguration.
    join_seconds : int
        After this long a join is given up and undone, so that a host never joins behind the back of a caller that has stopped to wait.

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
    ignore_preflight_errors: list[str] = field(default_factory=list)
    join_configuration: Mapping[str, Any] = field(default_factory=dict)
    join_seconds: int = 240

    def __post_init__(self) -> None:
        check_cluster_name(self.cluster_name)
        check_node_name(self.node_name)
        if not 10 <= self.join_seconds <= 3600:
            raise NodewiseError(f"join_seconds is {self.join_seconds}.", "set it between 10 and 3600")

    def to_text(self) -> str:
        """Return the file's text."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"


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
