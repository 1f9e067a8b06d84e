# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host says about its own runtime, kubelet, CNI files and DNS.

:func:`read_host` does all input and output, :func:`host_checks` only judges what was read.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..errors import NodewiseError
from .api import Reading, taken, text_of
from .crictl import Crictl, output_of
from .dns import Asker
from .result import FAIL, OK, UNKNOWN, WARN, Result

CNI_DIR = "/etc/cni/net.d"
CONFLIST = "10-calico.conflist"
CNI_KUBECONFIG = "calico-kubeconfig"
KUBELET_CONFIG = "/var/lib/kubelet/config.yaml"
KUBELET_CONFIG_KEYS = ("cgroupDriver", "clusterDNS", "clusterDomain", "healthzPort")

HostReading = Mapping[str, Reading]

_LOOK_AT_RUNTIME = "crictl info; journalctl -u containerd"
_LOOK_AT_CALICO = "kubectl -n kube-system logs -l k8s-app=calico-node -c install-cni; deleting the node's calico-node pod writes it again"


def read_host(crictl: Crictl, ask: Asker, cni_dir: str = CNI_DIR, kubelet_config: str = KUBELET_CONFIG) -> dict[str, Reading]:
    """Take every reading of this host; one that fails holds its error.

    Returns
    -------
    dict
        C(version), C(info), C(cgroup_driver), C(images): what crictl says;
        C(sandbox_image): what containerd's own configuration says; C(kubelet_config): a
        few keys of the kubelet's file; C(healthz): the kubelet's answer; C(cni): the
        file names of C(cni_dir) in order; C(conflist), C(cni_kubeconfig): texts; C(dns): the
        cluster DNS's answer for C(kubernetes.default).
    """
    config = taken(lambda: parse_kubelet_config(text_of(kubelet_config)))
    tasks: dict[str, Callable[[], Any]] = {
        "version": lambda: parse_version(crictl.text("version")),
        "info": lambda: _status_of(crictl.json("info")),
        "cgroup_driver": lambda: parse_cgroup_driver(crictl.text("runtime-config")),
        "images": lambda: sorted(tag for image in crictl.json("images")["images"] for tag in image.get("repoTags") or []),
        "sandbox_image": lambda: parse_sandbox_image(output_of(["containerd", "config", "dump"])),
        "healthz": lambda: _healthz(config),
        "cni": lambda: sorted(name for name in os.listdir(cni_dir) if name.endswith((".conf", ".conflist", ".json"))),
        "conflist": lambda: text_of(os.path.join(cni_dir, CONFLIST)),
        "cni_kubeconfig": lambda: _token_expiry(text_of(os.path.join(cni_dir, CNI_KUBECONFIG))),
        "dns": lambda: _ask_kubernetes(config, ask),
    }
    with ThreadPoolExecutor(len(tasks)) as pool:
        return {"kubelet_config": config, **dict(zip(tasks, pool.map(taken, tasks.values()), strict=True))}


def _status_of(info: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the runtime's conditions by type."""
    return {item["type"]: {"status": item["status"] is True, "message": item.get("message", "")} for item in info["status"]["conditions"]}


def parse_version(text: str) -> dict[str, str]:
    """Return C(name) and C(version) of the runtime from what C(crictl version) prints, which has no JSON form.

    Raises
    ------
    NodewiseError
        One of them is not there.
    """
    fields = {key.strip(): value.strip() for key, _colon, value in (line.partition(":") for line in text.splitlines())}
    if not fields.get("RuntimeName") or not fields.get("RuntimeVersion"):
        raise NodewiseError("crictl version names no runtime")
    return {"name": fields["RuntimeName"], "version": fields["RuntimeVersion"].removeprefix("v")}


def parse_cgroup_driver(text: str) -> str:
    """Return C(systemd) or C(cgroupfs) from what C(crictl runtime-config) prints.

    Raises
    ------
    NodewiseError
        The runtime names no driver.
    """
    found = re.search(r"cgroup driver:\s*(\w+)", text)
    if found is None:
        raise NodewiseError("the runtime does not say which cgroup driver it uses")
    return found[1].lower()


def parse_sandbox_image(dump: str) -> str:
    """Return the sandbox image from what C(containerd config dump) prints.

    containerd 2.x keeps it as C(sandbox) in a table C(pinned_images), 1.x as C(sandbox_image).

    Raises
    ------
    NodewiseError
        Neither is there.
    """
    table = ""
    for line in dump.splitlines():
        line = line.strip()
        if line.startswith("["):
            table = line
        key, _equals, value = (part.strip() for part in line.partition("="))
        if (key == "sandbox" and table.endswith(".pinned_images]")) or key == "sandbox_image":
            return value.strip("'\"")
    raise NodewiseError("containerd's configuration names no sandbox image")


def parse_kubelet_config(text: str) -> dict[str, Any]:
    """Return the keys :data:`KUBELET_CONFIG_KEYS` of a KubeletConfiguration; absent ones are left out.

    Raises
    ------
    NodewiseError
        It is no YAML mapping, or python3-yaml is missing.
    """
    data = _yaml(text, "the kubelet's config.yaml")
    return {key: data[key] for key in KUBELET_CONFIG_KEYS if key in data}


def _yaml(text: str, what: str) -> dict[str, Any]:
    try:
        import yaml
    except ImportError as error:
        raise NodewiseError("the Python package yaml is missing (python3-yaml)") from error
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise NodewiseError(f"{what} is not YAML") from error
    if not isinstance(data, dict):
        raise NodewiseError(f"{what} is not a mapping")
    return data


def _token_expiry(kubeconfig: str) -> int | None:
    """Return when the CNI plugin's token ends (seconds since 1970), or None if it does not say.

    Only the time leaves this function: the token is a secret.
    """
    try:
        token = _yaml(kubeconfig, CNI_KUBECONFIG)["users"][0]["user"]["token"]
    except (KeyError, IndexError, TypeError) as error:
        raise NodewiseError(f"{CNI_KUBECONFIG} holds no token") from error
    return token_expiry(token)


def token_expiry(token: str) -> int | None:
    """Return the time of a JSON Web Token's C(exp) claim (RFC 7519), or None if there is none.

    Raises
    ------
    NodewiseError
        It is no such token.
    """
    try:
        payload = token.split(".")[1]
        expiry = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))).get("exp")
    except (IndexError, ValueError, AttributeError) as error:
        raise NodewiseError("the token is not a JSON Web Token") from error
    return None if expiry is None else int(expiry)


def _healthz(config: Reading) -> str:
    """Return C(ok), or what the kubelet's health endpoint says instead."""
    port = int((config.value or {}).get("healthzPort", 10248))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=3)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().read(500).decode(errors="replace").strip()
    except http.client.HTTPException as error:
        raise NodewiseError(f"127.0.0.1:{port}/healthz: {error}") from error
    finally:
        connection.close()


def _ask_kubernetes(config: Reading, ask: Asker) -> dict[str, Any]:
    if config.error:
        raise NodewiseError(config.error)
    servers, domain = config.value.get("clusterDNS") or [], config.value.get("clusterDomain", "cluster.local")
    if not servers:
        raise NodewiseError("the kubelet's config.yaml names no clusterDNS")
    answer = ask(servers[0], f"kubernetes.default.svc.{domain}")
    return {"server": servers[0], "addresses": list(answer.addresses), "milliseconds": round(answer.seconds * 1000)}


def host_checks(node: str, reading: HostReading, now: float) -> list[Result]:
    """Judge what a host says, without asking the cluster.

    Parameters
    ----------
    now : float
        The time (seconds since 1970) that a token's end is compared with.
    """
    return [
        _kubelet_healthy(node, reading["healthz"]),
        _condition(node, "runtime.ready", "RuntimeReady", reading["info"]),
        _condition(node, "runtime.network", "NetworkReady", reading["info"]),
        _sandbox_present(node, reading["version"], reading["sandbox_image"], reading["images"]),
        _conflist(node, reading["cni"], reading["conflist"]),
        _cni_kubeconfig(node, reading["cni_kubeconfig"], now),
        _dns(node, reading["dns"]),
    ]


def _kubelet_healthy(node: str, healthz: Reading) -> Result:
    hint = "systemctl status kubelet; journalctl -u kubelet"
    if healthz.error:
        # Refused means that nothing listens there: the kubelet is not running, which is known, not unknown.
        return Result("kubelet.healthy", node, FAIL, "ok", healthz.error, hint)
    return Result("kubelet.healthy", node, OK if healthz.value == "ok" else FAIL, "ok", str(healthz.value), "" if healthz.value == "ok" else hint)


def _condition(node: str, check: str, condition: str, info: Reading) -> Result:
    if info.error:
        return Result(check, node, UNKNOWN, condition, f"could not be read: {info.error}", _LOOK_AT_RUNTIME)
    found = info.value.get(condition)
    if found is None:
        return Result(check, node, UNKNOWN, condition, f"the runtime reports no {condition}", _LOOK_AT_RUNTIME)
    if found["status"]:
        return Result(check, node, OK, condition, condition)
    return Result(check, node, FAIL, condition, f"not {condition}: {found['message']}", _LOOK_AT_RUNTIME)


def _sandbox_present(node: str, version: Reading, image: Reading, images: Reading) -> Result:
    check, expected = "runtime.sandbox-present", "the sandbox image is on the node"
    name = runtime_of(version)[0]
    if name and name != "containerd":
        return Result(check, node, WARN, expected, f"not looked at: the runtime is {name}", "only containerd's configuration is understood")
    hint = "without it no pod can start where no registry is reached: import the image"
    for reading in (image, images):
        if reading.error:
            return Result(check, node, UNKNOWN, expected, f"could not be read: {reading.error}", hint)
    if image.value in images.value:
        return Result(check, node, OK, image.value, image.value)
    return Result(check, node, FAIL, image.value, "not among the node's images", hint)


def runtime_of(version: Reading) -> tuple[str, str]:
    """Return name and version of the runtime; empty if they were not read."""
    if version.error:
        return "", ""
    return version.value["name"], version.value["version"]


def _conflist(node: str, files: Reading, text: Reading) -> Result:
    check, expected = "cni.conflist", f"{CONFLIST}, first of its folder, for node {node}"
    if files.error:
        return Result(check, node, FAIL, expected, files.error, _LOOK_AT_CALICO)
    if CONFLIST not in files.value:
        return Result(check, node, FAIL, expected, f"{CONFLIST} is not in {CNI_DIR} (there: {', '.join(files.value) or 'nothing'})", _LOOK_AT_CALICO)
    if text.error:
        return Result(check, node, UNKNOWN, expected, f"could not be read: {text.error}", _LOOK_AT_CALICO)
    problem = conflist_problem(text.value, node)
    if problem:
        return Result(check, node, FAIL, expected, problem, _LOOK_AT_CALICO)
    if files.value[0] != CONFLIST:
        return Result(check, node, FAIL, expected, f"{files.value[0]} comes first and is used instead", f"remove {CNI_DIR}/{files.value[0]}")
    return Result(check, node, OK, expected, CONFLIST)


def conflist_problem(text: str, node: str) -> str:
    """Return what is wrong with Calico's CNI configuration, or an empty string."""
    try:
        first = json.loads(text)["plugins"][0]
        kind, name = first["type"], first.get("nodename")
    except (ValueError, KeyError, IndexError, TypeError) as error:
        return f"{CONFLIST} is not a CNI configuration list ({type(error).__name__}: {error})"
    if kind != "calico":
        return f"its first plugin is {kind!r}, not calico"
    if name != node:
        return f"it is written for node {name!r}"
    return ""


def _cni_kubeconfig(node: str, expiry: Reading, now: float) -> Result:
    check, expected = "cni.kubeconfig", f"{CNI_KUBECONFIG} with a token that is still good"
    if expiry.error:
        return Result(check, node, FAIL, expected, expiry.error, _LOOK_AT_CALICO)
    if expiry.value is not None and expiry.value <= now:
        ended = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(expiry.value))
        return Result(check, node, FAIL, expected, f"the token ended at {ended}", "calico-node renews it: look at the node's calico-node pod")
    return Result(check, node, OK, expected, "present")


def _dns(node: str, answer: Reading) -> Result:
    check = "dns.host"
    if answer.error:
        return Result(check, node, FAIL, "an answer from the cluster DNS", answer.error, "the kube-proxy pod of this node; the CoreDNS pods")
    return Result(check, node, OK, "an answer from the cluster DNS", f"{answer.value['server']}: {', '.join(answer.value['addresses'])}")
