# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guard's configuration file: what it holds, and whether it is right."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

from ..errors import NodewiseError
from ..files import read_text
from ..reporter.tls import AUTHORITY, Files, check_addresses
from .settings import Settings, check_names
from .unit import STATE

_T = TypeVar("_T")

PATH = "/etc/nodewise/guard.json"
# A copy of the host's in the guard's state folder, because it can read nothing of root's.
CERTIFICATE = f"/var/lib/private/{STATE}/metrics.pem"
LOG_LEVELS = ("debug", "info", "warning", "error")
_METRICS = ("metrics_address", "metrics_tls_address", "metrics_certificate", "metrics_client_authority")


@dataclass(frozen=True)
class Config:
    """What the guard of a control-plane host has to know.

    Parameters
    ----------
    identity : str
        Its name in the Lease, and in Events: the Node's.
    kubeconfig : str
        Path of the kubeconfig with the guard's own identity.
    token_file : str
        Path of the token that the kubeconfig names, which the guard renews; empty for none.
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
        How it decides.

    Raises
    ------
    NodewiseError
        A value is not allowed.
    """

    identity: str
    kubeconfig: str = "/etc/nodewise/guard.conf"
    token_file: str = ""
    metrics_address: str = "127.0.0.1"
    metrics_tls_address: str = ""
    metrics_certificate: str = CERTIFICATE
    metrics_client_authority: str = AUTHORITY
    metrics_port: int = 10271
    log_level: str = "info"
    settings: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        for name in ("identity", "kubeconfig", "token_file", "log_level", *_METRICS):
            if not isinstance(getattr(self, name), str):
                raise NodewiseError(f"{name} is {getattr(self, name)!r}, which is not text.", "write it in quotes")
        if not self.identity:
            raise NodewiseError("identity is empty.", "give the Node's name")
        if not self.kubeconfig.startswith("/"):
            raise NodewiseError(f"kubeconfig is {self.kubeconfig!r}.", "give an absolute path")
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


def make_config(values: Mapping[str, Any]) -> Config:
    """Return the configuration of a mapping; what it leaves out has its default.

    Raises
    ------
    NodewiseError
        A name is not known, identity is missing, or a value is not allowed.
    """
    check_names(values, [entry.name for entry in fields(Config)])
    if "identity" not in values:
        raise NodewiseError("identity is missing.", "give the Node's name")
    settings = values.get("settings", {})
    if not isinstance(settings, Mapping):
        raise NodewiseError(f"settings is {settings!r}, which is no mapping.")
    return Config(**{**values, "settings": Settings.from_mapping(settings)})


def read_config(path: str) -> Config:
    """Read and understand a configuration file.

    Raises
    ------
    NodewiseError
        It is missing, cannot be read, is no JSON object, or is wrong; the message names the file.
    """
    return read_with(path, "guard", make_config)


def read_with(path: str, role: str, make: Callable[[dict[str, Any]], _T]) -> _T:
    """Read a daemon's configuration and let it be understood; see :func:`read_config`.

    Parameters
    ----------
    path : str
        The file.
    role : str
        The role that writes it.
    make : callable
        From the file's object to the configuration; raises NodewiseError.
    """
    try:
        text = read_text(path)
        if text is None:
            raise NodewiseError("it is missing.", f"run the role {role} again")
        values = json.loads(text)
        if not isinstance(values, dict):
            raise NodewiseError("it is not a JSON object.")
        return make(values)
    except NodewiseError as error:
        raise NodewiseError(f"{path}: {error.message}", error.remedy) from error
    except (OSError, ValueError) as error:
        raise NodewiseError(f"{path} cannot be read: {error}.") from error
