# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Old ways of saying things to the kubelet, and what each has become.

Recognised are a C(plugins.cri) block, the kubelet's command-line flags (as flags or as
keys of a mapping, in any spelling), and flags that no longer exist. Each is carried over
to its field with a warning, dropped with a warning where today's only behaviour is what
it asked for, or refused with what replaces it. Since when a flag is gone: kubernetes#80043
(containerized), website#15285 (allow-privileged), website#33640 (dockershim's flags, 1.24),
calico#7688 (container-runtime, 1.27), kubernetes#122082 (keep-terminated-pod-volumes, 1.31),
kubernetes#133779 (pod-infra-container-image, 1.35).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from ..plain import plain
from . import schema
from .merge import same


@dataclass(frozen=True)
class Gone:
    """A flag that the kubelet no longer has.

    Attributes
    ----------
    since : str
        The minor version that removed it.
    instead : str
        What replaces it.
    harmless : tuple of str
        Values that ask for what happens today anyway.
    """

    since: str
    instead: str
    harmless: tuple[str, ...] = ()


@dataclass
class Translation:
    """What a piece of old configuration comes to.

    Attributes
    ----------
    fields : dict
        Fields of a KubeletConfiguration.
    flags : list of str
        Flags that have no field and stay on the command line.
    warnings : list of str
        What was carried over or dropped.
    problems : list of str
        What is refused.
    origins : dict
        Where each value of C(fields) stands, by its path.
    """

    fields: dict[str, Any] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    origins: dict[tuple[str, ...], str] = field(default_factory=dict)


_CONTAINERD_CNI = "the container runtime runs the CNI plugins: {} in the [plugins.'io.containerd.cri.v1.runtime'.cni] table of role containerd's configuration"
_SANDBOX = "the container runtime's sandbox image, which role containerd pins to the one that kubeadm expects"
_ENDPOINT = "containerRuntimeEndpoint (variable nodewise_cri_socket)"

GONE: Mapping[str, Gone] = {
    "allow-privileged": Gone("1.15", "Pod Security admission", ("true",)),
    "cni-bin-dir": Gone("1.24", _CONTAINERD_CNI.format("bin_dirs"), ("/opt/cni/bin",)),
    "cni-cache-dir": Gone("1.24", "the container runtime's own cache", ("/var/lib/cni/cache",)),
    "cni-conf-dir": Gone("1.24", _CONTAINERD_CNI.format("conf_dir"), ("/etc/cni/net.d",)),
    "container-runtime": Gone("1.27", _ENDPOINT + "; every runtime is a CRI runtime now, for Docker cri-dockerd's socket", ("remote",)),
    "containerized": Gone("1.16", "running the kubelet on the host", ("false",)),
    "docker-endpoint": Gone("1.24", _ENDPOINT + ", for Docker cri-dockerd's socket"),
    "image-pull-progress-deadline": Gone("1.24", "image_pull_progress_timeout in role containerd's configuration"),
    "keep-terminated-pod-volumes": Gone("1.31", "nothing: volumes of ended pods are always unmounted", ("false",)),
    "network-plugin": Gone("1.24", "CNI, which the container runtime uses without being told (roles containerd and calico)", ("cni",)),
    "network-plugin-mtu": Gone("1.24", "the MTU of the network plugin (variable calico_mtu)"),
    "pod-infra-container-image": Gone("1.35", _SANDBOX),
}

# Flags whose name is not that of a field of the configuration (kubelet --help, v1.37.2).
_FLAG_FIELDS: Mapping[str, str] = {
    "anonymous-auth": "authentication.anonymous.enabled",
    "authentication-token-webhook": "authentication.webhook.enabled",
    "authentication-token-webhook-cache-ttl": "authentication.webhook.cacheTTL",
    "authorization-mode": "authorization.mode",
    "authorization-webhook-cache-authorized-ttl": "authorization.webhook.cacheAuthorizedTTL",
    "authorization-webhook-cache-unauthorized-ttl": "authorization.webhook.cacheUnauthorizedTTL",
    "client-ca-file": "authentication.x509.clientCAFile",
    "contention-profiling": "enableContentionProfiling",
    "event-qps": "eventRecordQPS",
    "image-gc-high-threshold": "imageGCHighThresholdPercent",
    "image-gc-low-threshold": "imageGCLowThresholdPercent",
    "kube-api-content-type": "contentType",
    "log-flush-frequency": "logging.flushFrequency",
    "logging-format": "logging.format",
    "manifest-url": "staticPodURL",
    "minimum-image-ttl-duration": "imageMinimumGCAge",
    "pod-manifest-path": "staticPodPath",
    "pod-max-pids": "podPidsLimit",
    "registry-qps": "registryPullQPS",
    "reserved-cpus": "reservedSystemCPUs",
    "rotate-server-certificates": "serverTLSBootstrap",
    "v": "logging.verbosity",
}

# Flags that have no field; they stay flags.
_FLAGS_ONLY = frozenset(
    {
        "cert-dir",
        "cloud-provider",
        "config-dir",
        "experimental-allocatable-ignore-eviction",
        "experimental-mounter-path",
        "housekeeping-interval",
        "image-credential-provider-bin-dir",
        "image-credential-provider-config",
        "log-json-info-buffer-size",
        "log-json-split-stream",
        "log-text-info-buffer-size",
        "log-text-split-stream",
        "maximum-dead-containers",
        "maximum-dead-containers-per-container",
        "minimum-container-ttl-duration",
        "root-dir",
        "runtime-cgroups",
        "vmodule",
    }
)

# Flags whose value has another owner; a second one here would win over it without a word.
_OWNED: Mapping[str, str] = {
    "bootstrap-kubeconfig": "role kubelet's unit",
    "config": "role kubelet's unit",
    "hostname-override": "variable nodewise_node_name",
    "kubeconfig": "role kubelet's unit",
    "node-ip": "variable nodewise_node_ip",
    "node-labels": "role node_labels, or kubeadm's nodeRegistration at the first registration",
    "provider-id": "variable nodewise_cluster_name; the provider id is nodewise://<cluster name>/<node name>",
    "register-with-taints": "kubeadm's nodeRegistration.taints, or registerWithTaints in kubelet_config_extra",
    "reserved-memory": "reservedMemory in kubelet_config_extra",
}

# Keys of a plugins.cri block that are neither a field's nor a flag's name.
_CRI_BLOCK: Mapping[str, str] = {
    "cnibindirectory": "cni-bin-dir",
    "cniconfigdir": "cni-conf-dir",
    "endpoint": "containerRuntimeEndpoint",
    "imageendpoint": "imageServiceEndpoint",
    "networkpluginbindir": "cni-bin-dir",
    "networkpluginconfdir": "cni-conf-dir",
    "networkpluginname": "network-plugin",
    "runtimeendpoint": "containerRuntimeEndpoint",
    "sandboximage": "pod-infra-container-image",
}


def squash(name: str) -> str:
    """Return a name without dashes, underscores and capitals, so that all spellings of it are alike."""
    return name.lstrip("-").replace("-", "").replace("_", "").lower()


_FIELD_OF = {squash(name): name for name in schema.FIELDS}
_GONE_OF = {squash(name): name for name in GONE}


def nearest(name: str, names: Sequence[str]) -> str:
    """Return C( (did you mean X?)) for the most similar name, or nothing if none is similar."""
    by_squashed = {squash(known): known for known in names}
    found = get_close_matches(squash(name), by_squashed, n=1, cutoff=0.7)
    return f" (did you mean {by_squashed[found[0]]}?)" if found else ""


def translate_mapping(given: Mapping[str, Any], place: str) -> Translation:
    """Turn a mapping that may hold old keys into fields of today; true fields pass unchanged.

    Parameters
    ----------
    given : Mapping
        What the operator wrote.
    place : str
        The variable it stands in, for messages.
    """
    result = Translation()
    for key, value in given.items():
        where = f"{place}.{key}"
        gone = _GONE_OF.get(squash(key))
        if key in schema.FIELDS:
            _put((key,), value, where, result)
        elif key in ("apiVersion", "kind"):
            wanted = schema.API_VERSION if key == "apiVersion" else schema.KIND
            if value != wanted:
                result.problems.append(f"{where} is {value!r}; the kubelet reads {wanted} only.")
        elif key == "plugins" and isinstance(value, Mapping):
            _translate_plugins(value, where, result)
        elif gone is not None:
            _handle_gone(gone, _as_text(value), where, result)
        elif squash(key) in _FIELD_OF:
            name = _FIELD_OF[squash(key)]
            _put((name,), value, where, result)
            result.warnings.append(f"{where} is taken for the field {name}.")
        elif key.lstrip("-") in _FLAG_FIELDS:
            _carry(_FLAG_FIELDS[key.lstrip("-")], value, where, result)
        else:
            result.problems.append(f"{where} is not a field of a KubeletConfiguration{nearest(key, [*schema.FIELDS])}.")
    return result


def translate_flags(arguments: Sequence[str], place: str) -> Translation:
    """Sort kubelet flags into fields, flags that stay, and flags that are refused.

    Parameters
    ----------
    arguments : Sequence[str]
        Flags, each as C(--name=value) or C(--name).
    place : str
        The variable they stand in, for messages.
    """
    result = Translation()
    known = [*GONE, *_FLAG_FIELDS, *_FLAGS_ONLY, *_OWNED]
    for argument in arguments:
        name, _equals, value = argument.lstrip("-").partition("=")
        name = name.replace("_", "-")
        where = f"{place}: --{name}"
        if not argument.startswith("-") or not name or any(character.isspace() for character in argument):
            result.problems.append(f"{place}: {argument!r} is not a flag of the form --name=value without blanks.")
        elif name in GONE:
            _handle_gone(name, value, where, result)
        elif name in _OWNED:
            result.problems.append(f"{where} belongs to {_OWNED[name]}.")
        elif name in _FLAGS_ONLY:
            result.flags.append(argument)
        elif name in _FLAG_FIELDS or squash(name) in _FIELD_OF:
            path = _FLAG_FIELDS.get(name) or _FIELD_OF[squash(name)]
            try:
                _carry(path, _flag_value(path, value), where, result)
            except ValueError as error:
                result.problems.append(f"{where}={value}: {error}.")
        else:
            result.problems.append(f"{where} is not a flag of the kubelet{nearest(name, known)}.")
    return result


def gone_flags(command_line: str) -> list[str]:
    """Return a line for each flag in a text (an environment file, a unit) that today's kubelet refuses to start with."""
    found = []
    for word in command_line.replace('"', " ").replace("'", " ").replace("=--", " --").split():
        name = word.lstrip("-").partition("=")[0]
        if word.startswith("--") and name in GONE:
            found.append(f"--{name} is gone since Kubernetes {GONE[name].since}; instead: {GONE[name].instead}")
    return found


def _translate_plugins(plugins: Mapping[str, Any], where: str, result: Translation) -> None:
    for name, block in plugins.items():
        if name != "cri" or not isinstance(block, Mapping):
            result.problems.append(f"{where}.{name}: a KubeletConfiguration has no plugins; the container runtime is named by {_ENDPOINT}.")
            continue
        for key, value in block.items():
            _translate_cri_key(key, value, f"{where}.cri.{key}", result)


def _translate_cri_key(key: str, value: Any, where: str, result: Translation) -> None:
    short = squash(key)
    target = _CRI_BLOCK.get(short) or _GONE_OF.get(short) or _FIELD_OF.get(short)
    if short == "containerruntimeexecutable":
        if isinstance(value, str) and value.startswith("unix://"):
            _carry("containerRuntimeEndpoint", value, where, result)
        else:
            result.problems.append(f"{where}: the kubelet starts no runtime, it connects to the socket of one (since 1.24 always): {_ENDPOINT}.")
    elif short == "timeoutseconds":
        if isinstance(value, bool) or not isinstance(value, int):
            result.problems.append(f"{where}: {value!r} is not a whole number of seconds; today's field is runtimeRequestTimeout.")
        else:
            _carry("runtimeRequestTimeout", f"{value}s", where, result)
    elif target in GONE:
        _handle_gone(str(target), _as_text(value), where, result)
    elif target:
        _carry(target, value, where, result)
    else:
        result.problems.append(f"{where}: a KubeletConfiguration has no plugins.cri block, and this key has no successor{nearest(key, [*schema.FIELDS])}.")


def _handle_gone(name: str, value: str, where: str, result: Translation) -> None:
    gone = GONE[name]
    if value.rstrip("/") in gone.harmless:
        result.warnings.append(f"{where} is dropped: --{name} is gone since Kubernetes {gone.since}, and {value} is what happens without it.")
    else:
        result.problems.append(f"{where} is refused: --{name} is gone since Kubernetes {gone.since}. Instead: {gone.instead}.")


def _carry(path: str, value: Any, where: str, result: Translation) -> None:
    if path in ("containerRuntimeEndpoint", "imageServiceEndpoint") and isinstance(value, str) and value.startswith("/"):
        value = f"unix://{value}"
    _put(tuple(path.split(".")), value, where, result)
    result.warnings.append(f"{where} is carried over to the field {path}: {value!r}.")


def _put(path: tuple[str, ...], value: Any, where: str, result: Translation) -> None:
    """Lay a value beside what there is of its field; another value at the same place is a problem, whichever came first."""
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            _put((*path, name), inner, where, result)
        return
    target: Any = result.fields
    *parents, last = path
    for parent in parents:
        target = target.setdefault(parent, {})
        if not isinstance(target, dict):
            break
    else:
        if last not in target:
            target[last] = plain(value)
            result.origins[path] = where
            return
        old = target[last]
        if old == value or same(_kind(path), last, old, value) or (value == {} and isinstance(old, dict)):
            return
    other = next(place for known, place in result.origins.items() if all(one == step for one, step in zip(known, path, strict=False)))
    result.problems.append(f"{where} sets {'.'.join(map(str, path))} to {value!r}, but {other} sets it otherwise: say it in one place.")


def _kind(path: Sequence[str]) -> schema.Kind:
    kind: schema.Kind = schema.FIELDS
    for step in path:
        kind = kind.get(step) if isinstance(kind, Mapping) else None
    return kind


def _flag_value(path: str, text: str) -> Any:
    kind = _kind(path.split("."))
    if kind == schema.BOOL:
        # A bare flag means true.
        choices = {"": True, "true": True, "false": False}
        if text.lower() not in choices:
            raise ValueError("needs true or false")
        return choices[text.lower()]
    if kind == schema.INT:
        return int(text)
    if kind == schema.STRS:
        return [item for item in text.split(",") if item]
    if kind in (schema.STR_MAP, schema.GATES):
        separator = "<" if path in ("evictionHard", "evictionSoft") else "="
        pairs = [item.partition(separator) for item in text.split(",") if item]
        if any(not middle for _name, middle, _value in pairs):
            raise ValueError(f"needs name{separator}value pairs")
        if kind == schema.STR_MAP:
            return {name.strip(): value.strip() for name, _middle, value in pairs}
        if any(value.strip().lower() not in ("true", "false") for _name, _middle, value in pairs):
            raise ValueError("needs true or false behind each name")
        return {name.strip(): value.strip().lower() == "true" for name, _middle, value in pairs}
    if kind in (schema.STR, schema.DURATION, schema.LOG_DURATION):
        return text
    raise ValueError(f"give the field {path} in kubelet_config_extra")


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
