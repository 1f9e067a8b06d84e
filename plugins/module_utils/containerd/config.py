# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The texts of containerd's files, made from a few settings.

config.toml is written for schema version 3: every containerd 2.x reads it, and 2.4 (whose
own version is 4) migrates it in memory. Keys: containerd 2.4.2, internal/cri/config/config.go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import NodewiseError
from .toml import dumps

SOCKET = "unix:///run/containerd/containerd.sock"
CERTS_FOLDER = "/etc/containerd/certs.d"
IMAGES = "io.containerd.cri.v1.images"
RUNTIME = "io.containerd.cri.v1.runtime"
MANAGED = "# Written by nodewise.cluster; changes are overwritten."
_CRI_SERVICE = "io.containerd.grpc.v1.cri"

# What containerd 1.x kept under plugins."io.containerd.grpc.v1.cri", and where 2.x has it. 2.0 to 2.3 pass over the old
# names in a version 3 file without a word: the commonest way to lose a sandbox image or the cgroup driver.
_MOVED = {
    "sandbox_image": "containerd_sandbox_image",
    "registry": f'containerd_registry_mirrors, or plugins."{IMAGES}".registry',
    "image_decryption": f'plugins."{IMAGES}".image_decryption',
    "max_concurrent_downloads": f'plugins."{IMAGES}".max_concurrent_downloads',
    "image_pull_progress_timeout": f'plugins."{IMAGES}".image_pull_progress_timeout',
    "image_pull_with_sync_fs": f'plugins."{IMAGES}".image_pull_with_sync_fs',
    "stats_collect_period": f'plugins."{IMAGES}".stats_collect_period',
    "systemd_cgroup": "nodewise_cgroup_driver",
    "restrict_oom_score_adj": "containerd_restrict_oom_score_adj",
    "containerd": f'plugins."{RUNTIME}".containerd (its snapshotter: plugins."{IMAGES}".snapshotter)',
}
_STILL_THERE = frozenset(
    ("disable_tcp_service", "stream_server_address", "stream_server_port", "stream_idle_timeout", "enable_tls_streaming", "x509_key_pair_streaming")
)
_REGISTRY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(:[0-9]+)?")


@dataclass(frozen=True)
class MirrorHost:
    """One place that images of a registry are pulled from.

    Attributes
    ----------
    url : str
        C(https://host[:port][/path]).
    capabilities : Sequence[str]
        Some of C(pull), C(resolve), C(push).
    ca : str
        Path, on the host, of the certificate authority; empty for the system's.
    skip_verify : bool
        Whether its certificate is not checked.
    override_path : bool
        Whether the URL's path is the whole API root, without C(/v2).
    """

    url: str
    capabilities: Sequence[str] = ("pull", "resolve")
    ca: str = ""
    skip_verify: bool = False
    override_path: bool = False


@dataclass(frozen=True)
class Mirror:
    """Where images of one registry come from.

    Attributes
    ----------
    registry : str
        The registry as image names have it, with port if any; C(_default) for all others.
    hosts : Sequence[MirrorHost]
        Tried in this order.
    server : str
        URL tried last; empty for the registry itself.
    """

    registry: str
    hosts: Sequence[MirrorHost] = ()
    server: str = ""


@dataclass(frozen=True)
class Settings:
    """What the operator decides about containerd.

    Attributes
    ----------
    sandbox_image : str
        Full reference of the pause image.
    systemd_cgroup : bool
        Whether cgroups are made by systemd; False for C(cgroupfs).
    restrict_oom_score_adj : bool
        Whether containers' oom scores are kept from going below containerd's own.
    mirrors : Sequence[Mirror]
        Registry mirrors.
    http_proxy, https_proxy : str
        Proxies for pulling images; empty for none.
    no_proxy : Sequence[str]
        Hosts, domains and CIDRs reached without a proxy.
    extra : Mapping
        Further keys of config.toml, merged over ours.
    """

    sandbox_image: str
    systemd_cgroup: bool = True
    restrict_oom_score_adj: bool = False
    mirrors: Sequence[Mirror] = ()
    http_proxy: str = ""
    https_proxy: str = ""
    no_proxy: Sequence[str] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)


def config_data(settings: Settings) -> dict[str, Any]:
    """Return config.toml as data.

    Raises
    ------
    NodewiseError
        C(extra) uses the names of an older schema, or contradicts a setting that has a variable of its own.
    """
    refuse_old_names(settings.extra)
    ours: dict[str, Any] = {
        "version": 3,
        # Without this, a CRI plugin that cannot start leaves containerd "active" and the kubelet without a runtime.
        "required_plugins": [_CRI_SERVICE],
        "plugins": {
            IMAGES: {
                "pinned_images": {"sandbox": settings.sandbox_image},
                "registry": {"config_path": CERTS_FOLDER},
            },
            RUNTIME: {
                "restrict_oom_score_adj": settings.restrict_oom_score_adj,
                "containerd": {
                    "runtimes": {
                        "runc": {
                            "runtime_type": "io.containerd.runc.v2",
                            "options": {"SystemdCgroup": settings.systemd_cgroup},
                        }
                    }
                },
            },
        },
    }
    return _merged(ours, settings.extra, [])


def config_text(settings: Settings) -> str:
    """Return the text of config.toml; raises as C(config_data) does."""
    return f"{MANAGED}\n{dumps(config_data(settings))}"


def refuse_old_names(extra: Mapping[str, Any]) -> None:
    """Refuse names that containerd 2.x moved and would pass over, or take for something else.

    Raises
    ------
    NodewiseError
        Names every such key and what replaces it.
    """
    problems = []
    plugins = extra.get("plugins", {})
    if not isinstance(plugins, Mapping):
        raise NodewiseError(f"containerd_config_extra: plugins is {plugins!r}, not a mapping of plugin names.")
    old = plugins.get(_CRI_SERVICE, {})
    for key in old if isinstance(old, Mapping) else ():
        if key not in _STILL_THERE:
            problems.append(f'plugins."{_CRI_SERVICE}".{key} is now {_MOVED.get(key, f"""plugins."{RUNTIME}".{key}""")}')
    for name in plugins:
        if "." not in name:
            problems.append(f'plugins.{name} is a name of schema version 1; version 3 wants a full one like "{RUNTIME}"')
    registry = _dig(plugins, IMAGES, "registry")
    for key in ("mirrors", "auths"):
        if isinstance(registry, Mapping) and key in registry:
            instead = "containerd_registry_mirrors" if key == "mirrors" else "imagePullSecrets"
            problems.append(f'plugins."{IMAGES}".registry.{key} does not work together with {CERTS_FOLDER}: use {instead}')
    if "version" in extra:
        problems.append("version is 3 and cannot be chosen")
    if problems:
        raise NodewiseError(f"containerd_config_extra: {'; '.join(problems)}.")


def mirror_of(options: Mapping[str, Any]) -> Mirror:
    """Return a mirror by the module's, or the role's, options."""
    return Mirror(registry=options["registry"], server=options["server"], hosts=[MirrorHost(**host) for host in options["hosts"]])


def check_mirrors(mirrors: Sequence[Mirror]) -> None:
    """Refuse mirrors that containerd would never ask.

    Raises
    ------
    NodewiseError
        Names every registry and URL that is not one.
    """
    problems = []
    names = [mirror.registry for mirror in mirrors]
    problems += [f"{name!r} is there twice" for name in sorted({name for name in names if names.count(name) > 1})]
    problems += [f"{name!r} is no registry (host[:port], without scheme and path)" for name in names if not _REGISTRY.fullmatch(name)]
    for mirror in mirrors:
        urls = [host.url for host in mirror.hosts] + ([mirror.server] if mirror.server else [])
        problems += [f"{url!r} of {mirror.registry} does not begin with http:// or https://" for url in urls if not url.startswith(("http://", "https://"))]
        if not urls:
            problems.append(f"{mirror.registry} has neither hosts nor a server")
    if problems:
        raise NodewiseError(f"containerd_registry_mirrors: {'; '.join(problems)}.")


def hosts_text(mirror: Mirror) -> str:
    """Return the text of a registry's hosts.toml."""
    data: dict[str, Any] = {"server": mirror.server} if mirror.server else {}
    data["host"] = {}
    for host in mirror.hosts:
        entry: dict[str, Any] = {"capabilities": list(host.capabilities)}
        if host.ca:
            entry["ca"] = host.ca
        if host.skip_verify:
            entry["skip_verify"] = True
        if host.override_path:
            entry["override_path"] = True
        data["host"][host.url] = entry
    return f"{MANAGED}\n{dumps({key: value for key, value in data.items() if value})}"


def proxy_text(settings: Settings) -> str | None:
    """Return the unit's environment file, or None if there is no proxy."""
    if not settings.http_proxy and not settings.https_proxy:
        return None
    values = {"HTTP_PROXY": settings.http_proxy, "HTTPS_PROXY": settings.https_proxy, "NO_PROXY": ",".join(settings.no_proxy)}
    lines = [f"{name}={_quoted(value)}" for name, value in values.items() if value]
    return "\n".join([MANAGED, *lines, ""])


def unit_text(proxy_file: str) -> str:
    """Return the text of containerd.service.

    Parameters
    ----------
    proxy_file : str
        Environment file that may be absent. A file, because everyone may read a unit's C(Environment=), and a proxy's URL may hold a password.
    """
    return f"""{MANAGED}
[Unit]
Description=containerd, the container runtime of this Kubernetes node
Documentation=https://containerd.io
After=network.target local-fs.target dbus.service

[Service]
Type=notify
ExecStart=/usr/local/bin/containerd
EnvironmentFile=-{proxy_file}
Restart=always
RestartSec=5

# The cgroups below this unit are containerd's to arrange.
Delegate=yes
# Containers outlive a stop or restart of containerd.
KillMode=process
# The kernel shall kill a container rather than the runtime of them all.
OOMScoreAdjust=-999
# Containers inherit these limits; their own are set by cgroups.
TasksMax=infinity
LimitNPROC=infinity
LimitCORE=infinity

[Install]
WantedBy=multi-user.target
"""


def crictl_text(socket: str) -> str:
    """Return the text of crictl.yaml for a CRI endpoint."""
    return f"{MANAGED}\nruntime-endpoint: {socket}\nimage-endpoint: {socket}\ntimeout: 10\n"


def _merged(ours: Mapping[str, Any], extra: Mapping[str, Any], path: list[str]) -> dict[str, Any]:
    result = dict(ours)
    for key, value in extra.items():
        mine = result.get(key)
        if isinstance(mine, Mapping) != isinstance(value, Mapping) and mine is not None:
            kind = "a mapping" if isinstance(mine, Mapping) else "a plain value"
            raise NodewiseError(f"containerd_config_extra: {'.'.join([*path, key])} has to be {kind}, not {value!r}.")
        result[key] = _merged(mine, value, [*path, key]) if isinstance(mine, Mapping) else value
    return result


def _dig(data: object, *path: str) -> object:
    for key in path:
        if not isinstance(data, Mapping):
            return None
        data = data.get(key)
    return data


def _quoted(value: str) -> str:
    # systemd.exec(5), EnvironmentFile: in double quotes a backslash escapes \ " $ and `.
    for special in '\\"$`':
        value = value.replace(special, "\\" + special)
    return f'"{value}"'
