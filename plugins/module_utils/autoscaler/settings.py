# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The provider's configuration file: what it holds, and whether it is right."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, TypeVar

from ..errors import NodewiseError
from ..guard.config import LOG_LEVELS, read_with
from ..guard.settings import check_names
from ..kube.quantity import parse_quantity
from ..kubeadm.names import check_endpoint, check_node_name, check_registration_labels, check_taints

PATH = "/etc/nodewise/autoscaler.json"
PROVIDER = "nodewise://"
"""With this every provider id of ours begins; the rest is made by :func:`..kubeadm.names.provider_id`."""
RESOURCES = ("cpu", "memory", "ephemeral-storage", "pods")
"""What a template must say: without one of them the scheduler thinks that there is none of it."""

T = TypeVar("T")


@dataclass(frozen=True)
class Tls:
    """Mutual TLS of the gRPC server; there is no other way in.

    Parameters
    ----------
    ca : str
        Path of the CA certificate, PEM, which signs clients. It should sign nothing else: whoever has a certificate of it can remove nodes.
    certificate, key : str
        Paths of the server's own, PEM. The certificate names the address that cluster-autoscaler is given.
    """

    ca: str
    certificate: str
    key: str

    def __post_init__(self) -> None:
        _check_paths("tls.", self, ("ca", "certificate", "key"))


@dataclass(frozen=True)
class Ssh:
    """How hosts are reached.

    Parameters
    ----------
    key : str
        Path of the private key, which may run nothing but the hosts' own join, leave and status.
    known_hosts : str
        Path of the host keys; a host that is not in it is not spoken to.
    user : str
        The user on the hosts.
    """

    key: str
    known_hosts: str
    user: str = "root"

    def __post_init__(self) -> None:
        _check_paths("ssh.", self, ("key", "known_hosts"))
        # It becomes a part of an argument of ssh.
        if not isinstance(self.user, str) or not self.user.replace("_", "a").replace("-", "a").isalnum() or self.user.startswith("-"):
            raise NodewiseError(f"ssh.user is {self.user!r}.", "give a user's name")


@dataclass(frozen=True)
class Host:
    """A host that may be joined.

    Parameters
    ----------
    address : str
        IP address at which its SSH server is reached.
    provider_id : str
        What its Node has in C(spec.providerID), from :func:`..kubeadm.names.provider_id`.
    arch : str
        C(kubernetes.io/arch) of its Node: C(amd64), C(arm64).
    capacity, allocatable : Mapping
        {resource: quantity}, as its Node will have them: from the host's facts.
    power_on, power_off : list[str], optional
        Programs with arguments that turn it on before a join, and off after a leave. No shell.
    power_timeout_seconds : float
        How long one of them, and after C(power_on) the host's SSH server, may take.
    """

    address: str
    provider_id: str
    arch: str
    capacity: Mapping[str, str]
    allocatable: Mapping[str, str]
    power_on: list[str] | None = None
    power_off: list[str] | None = None
    power_timeout_seconds: float = 300.0

    def __post_init__(self) -> None:
        _check_ip("address", self.address)
        if not isinstance(self.provider_id, str) or not self.provider_id.startswith(PROVIDER) or len(self.provider_id) == len(PROVIDER):
            raise NodewiseError(f"provider_id is {self.provider_id!r}.", f"give {PROVIDER}CLUSTER/NODE, as the kubelet's --provider-id has it")
        if not isinstance(self.arch, str) or not self.arch.isalnum():
            raise NodewiseError(f"arch is {self.arch!r}.", "give it as Kubernetes names it, for example amd64")
        for name in ("capacity", "allocatable"):
            _check_resources(name, getattr(self, name))
        for name in ("power_on", "power_off"):
            command = getattr(self, name)
            if command is not None and not (isinstance(command, list) and command and all(isinstance(part, str) for part in command)):
                raise NodewiseError(f"{name} is {command!r}.", "give a program and its arguments as a list of texts, or leave it out")
            if command is not None and not command[0].startswith("/"):
                raise NodewiseError(f"{name} starts {command[0]!r}.", "give the program's absolute path")
        _check_number("power_timeout_seconds", self.power_timeout_seconds, 1, 3600)


@dataclass(frozen=True)
class Group:
    """A node group: hosts that are alike.

    Parameters
    ----------
    min, max : int
        How many of them may be joined; 0 <= min <= max <= the number of hosts.
    hosts : Mapping
        {node name: Host}
    labels : Mapping
        What its Nodes bear from their registration on; of those that a kubelet may set.
    taints : list of Mapping
        C({key, value, effect}), from the registration on.
    """

    min: int
    max: int
    hosts: Mapping[str, Host]
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: list[Mapping[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        _check_number("min", self.min, 0, 100000, whole=True)
        _check_number("max", self.max, 0, 100000, whole=True)
        if not self.min <= self.max <= len(self.hosts):
            raise NodewiseError(f"min is {self.min}, max is {self.max}, and there are {len(self.hosts)} hosts.", "see that min <= max <= hosts")
        if len({host.arch for host in self.hosts.values()}) > 1:
            raise NodewiseError("Its hosts have several architectures.", "make a group for each: hosts of a group must be alike")
        if not isinstance(self.labels, Mapping):
            raise NodewiseError(f"labels is {self.labels!r}, which is no mapping.")
        check_registration_labels(self.labels)
        if not isinstance(self.taints, list) or not all(isinstance(taint, Mapping) for taint in self.taints):
            raise NodewiseError(f"taints is {self.taints!r}.", "give a list of {key, value, effect}")
        check_taints(self.taints)


@dataclass(frozen=True)
class Config:
    """What the provider of a control-plane host has to know.

    Parameters
    ----------
    listen : str
        ADDRESS:PORT of the gRPC server, which listens only while this provider leads.
    tls : Tls
        Its certificates.
    kubeconfig : str
        Path of the kubeconfig with the provider's own identity.
    identity : str
        Its name in the Lease, and in Events: the Node's.
    control_plane_endpoint : str
        HOST:PORT of the API server, for the hosts.
    ssh : Ssh
        How they are reached.
    groups : Mapping
        {name: Group}
    token_file : str
        Path of the token that the kubeconfig names, which the provider renews; empty for none.
    metrics_address : str
        IP address at which metrics and health are served.
    metrics_port : int
        Port for them; 0 serves none.
    log_level : str
        One of C(LOG_LEVELS).
    join_timeout_seconds, leave_timeout_seconds : float
        How long a host may take until its Node is Ready, or until it is prepared again; powering on and off come on top.
    retry_seconds : float
        How long a host that has failed is left alone; doubles with each failure in a row, up to an hour.

    Raises
    ------
    NodewiseError
        A value is not allowed, or two hosts have the same name, address or provider id.
    """

    listen: str
    tls: Tls
    kubeconfig: str
    identity: str
    control_plane_endpoint: str
    ssh: Ssh
    groups: Mapping[str, Group]
    token_file: str = ""
    metrics_address: str = "127.0.0.1"
    metrics_port: int = 10272
    log_level: str = "info"
    join_timeout_seconds: float = 300.0
    leave_timeout_seconds: float = 300.0
    retry_seconds: float = 60.0

    def __post_init__(self) -> None:
        for name in ("listen", "identity", "control_plane_endpoint", "token_file", "log_level"):
            if not isinstance(getattr(self, name), str):
                raise NodewiseError(f"{name} is {getattr(self, name)!r}, which is not text.", "write it in quotes")
        _check_listen(self.listen)
        _check_paths("", self, ("kubeconfig",))
        if not self.identity:
            raise NodewiseError("identity is empty.", "give the Node's name")
        check_endpoint(self.control_plane_endpoint)
        _check_ip("metrics_address", self.metrics_address)
        _check_number("metrics_port", self.metrics_port, 0, 65535, whole=True)
        if self.log_level not in LOG_LEVELS:
            raise NodewiseError(f"log_level is {self.log_level!r}.", f"choose one of {', '.join(LOG_LEVELS)}")
        _check_number("join_timeout_seconds", self.join_timeout_seconds, 10, 3600)
        _check_number("leave_timeout_seconds", self.leave_timeout_seconds, 10, 3600)
        _check_number("retry_seconds", self.retry_seconds, 1, 3600)
        self._check_overlap()

    def _check_overlap(self) -> None:
        seen: dict[tuple[str, str], str] = {}
        for group_name, group in self.groups.items():
            for name, host in group.hosts.items():
                place = f"groups.{group_name}.hosts.{name}"
                for what in (("name", name), ("address", host.address), ("provider_id", host.provider_id)):
                    if what in seen:
                        raise NodewiseError(f"{place} has the same {what[0]} as {seen[what]}: {what[1]}.", "a host is in one group, once")
                    seen[what] = place

    def to_text(self) -> str:
        """Return the file's text."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"


def make_config(values: Mapping[str, Any]) -> Config:
    """Return the configuration of a mapping; what it leaves out has its default.

    Raises
    ------
    NodewiseError
        A name is not known or missing, or a value is not allowed; the message names the place.
    """
    _check_fields(Config, values, "")
    return Config(
        **{
            **values,
            "tls": _make(Tls, values["tls"], "tls."),
            "ssh": _make(Ssh, values["ssh"], "ssh."),
            "groups": {name: _make_group(name, group) for name, group in _mapping("groups", values["groups"]).items()},
        }
    )


def read_config(path: str) -> Config:
    """Read and understand a configuration file.

    Raises
    ------
    NodewiseError
        It is missing, cannot be read, is no JSON object, or is wrong; the message names the file.
    """
    return read_with(path, "autoscaler", make_config)


def _make_group(name: str, values: Any) -> Group:
    place = f"groups.{name}."
    # It stands in a ConfigMap's value and in metrics.
    if not name or not name.replace("_", "a").replace("-", "a").replace(".", "a").isalnum():
        raise NodewiseError(f"The group's name {name!r} is not allowed.", "use letters, digits, '-', '_' and '.'")
    _check_fields(Group, _mapping(f"groups.{name}", values), place)
    hosts = {}
    for host_name, host in _mapping(f"{place}hosts", values["hosts"]).items():
        check_node_name(host_name)
        hosts[host_name] = _make(Host, host, f"{place}hosts.{host_name}.")
    return _at(place, lambda: Group(**{**values, "hosts": hosts}))


def _make(kind: type[T], values: Any, place: str) -> T:
    _check_fields(kind, _mapping(place.rstrip("."), values), place)
    return _at(place if kind is Host else "", lambda: kind(**values))


def _at(place: str, make: Callable[[], T]) -> T:
    """Return what is made; an error names the place."""
    try:
        return make()
    except NodewiseError as error:
        raise NodewiseError(f"{place}{error.message}" if place else error.message, error.remedy) from error


def _mapping(name: str, values: Any) -> Mapping[str, Any]:
    if not isinstance(values, Mapping):
        raise NodewiseError(f"{name} is {values!r}, which is no mapping.")
    return values


def _check_fields(kind: Any, values: Mapping[str, Any], place: str) -> None:
    check_names(values, [entry.name for entry in fields(kind)], place)
    for entry in fields(kind):
        if entry.default is MISSING and entry.default_factory is MISSING and entry.name not in values:
            raise NodewiseError(f"{place}{entry.name} is missing.")


def _check_paths(place: str, one: object, names: tuple[str, ...]) -> None:
    for name in names:
        value = getattr(one, name)
        if not isinstance(value, str) or not value.startswith("/"):
            raise NodewiseError(f"{place}{name} is {value!r}.", "give an absolute path")


def _check_listen(listen: str) -> None:
    address, colon, port = listen.rpartition(":")
    if not colon or not port.isdecimal() or not 0 < int(port) < 65536:
        raise NodewiseError(f"listen is {listen!r}.", "give ADDRESS:PORT")
    _check_ip("listen", address.removeprefix("[").removesuffix("]"))


def _check_ip(name: str, value: Any) -> None:
    try:
        if not isinstance(value, str):
            raise ValueError(value)
        ipaddress.ip_address(value)
    except ValueError as error:
        raise NodewiseError(f"{name} is {value!r}, which is no IP address.", "give one of the host's") from error


def _check_number(name: str, value: Any, low: float, high: float, whole: bool = False) -> None:
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        raise NodewiseError(f"{name} is {value!r}, which is not a {'whole ' if whole else ''}number.", "write a plain number")
    if not low <= value <= high:
        raise NodewiseError(f"{name} is {value:g}.", f"set it between {low:g} and {high:g}")


def _check_resources(name: str, values: Any) -> None:
    for resource, amount in _mapping(name, values).items():
        try:
            if not isinstance(amount, str) or parse_quantity(amount) < 0:
                raise ValueError(f"{amount!r} is not a quantity's text")
        except ValueError as error:
            raise NodewiseError(f"{name}.{resource}: {error}.", "write it as a Node has it, in quotes") from error
    for resource in RESOURCES:
        if resource not in values:
            raise NodewiseError(f"{name}.{resource} is missing.", "take it from the host's facts")
