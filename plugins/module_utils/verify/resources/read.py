# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a node from both ends; everything that does input and output for the checks."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from ...api.client import Answer, ApiClient
from ...api.kubeconfig import Credentials, read_kubeconfig
from ...cri.client import CriClient
from ...cri.driver import configured_driver
from ...cri.model import RuntimeReading
from ...cri.readings import read_runtime
from ...errors import NodewiseError
from ...files import read_text
from ...kubelet.health import KUBECONFIG
from ...kubelet.legacy import gone_flags
from ...kubelet.merge import load, union
from ...node.filesystems import filesystem_paths
from ...node.layout import V2, read_layout
from ...node.model import CpuCounter, HostReading
from ...node.readings import HostReader
from ...process import TimeoutExpired, run
from ...report import schema
from ...reporter.config import PATH as REPORTER_CONFIG
from ...reporter.config import read_config
from ...serving.probe import endpoint, shown_by, trust
from ...systemd.systemctl import Systemd
from ..api import Reading, taken, text_of
from .checks import wait_for_another
from .identity import NODE_USER
from .kubelet_api import KubeletClient
from .reading import Attempt, Clock, Look, NodeReading, Tolerances

REPORTER_UNIT = "nodewise-reporter.service"
_CONFIG = "/var/lib/kubelet/config.yaml"
_ENVIRONMENT_FILES = ("/var/lib/kubelet/kubeadm-flags.env", "/etc/default/kubelet", "/etc/sysconfig/kubelet")
_KUBELET_ROOT = "/var/lib/kubelet"
RUNTIME_ROOT = "/var/lib/containerd"
"""The runtime's folder, until the runtime itself has named where its images lie."""
_MACHINE_ID = "/etc/machine-id"
_SYSTEM_UUID = "/sys/class/dmi/id/product_uuid"
_PODS = {"systemd": "kubepods.slice", "cgroupfs": "kubepods"}
"""The cgroup of all pods by the driver that made it."""
_SECONDS = 5.0


@dataclass(frozen=True)
class Options:
    """What is to be read, and how.

    Parameters
    ----------
    name : str
        Name that the node shall have; empty means the one under which its kubelet speaks.
    topics : collection of str
        Topics of the checks that will be made.
    window : float
        Seconds between two looks; 0 looks once.
    cri_socket : str
        The runtime's socket.
    kubeconfig : str
        For the API server; empty means the node's own.
    token : str
        Bearer token to use instead of the credentials in it.
    reporter_required : bool
        Whether the reporter's absence is a failure.
    other_node : str
        Another Node, whose report this one must not be able to change; empty tries none that is there.
    node_kubeconfig : str
        With the node's own identity.
    runtime_root : str
        The runtime's folder, until the runtime itself has named where its images lie.
    """

    name: str
    topics: Collection[str]
    window: float
    cri_socket: str
    kubeconfig: str = ""
    token: str = field(default="", repr=False)
    reporter_required: bool = True
    other_node: str = ""
    node_kubeconfig: str = KUBECONFIG
    runtime_root: str = RUNTIME_ROOT


def read_node(options: Options, tolerances: Tolerances, sleep: Callable[[float], None] = time.sleep) -> NodeReading:
    """Read a node: once what stays, then look at it once or, for a window or in doubt, again.

    Raises
    ------
    NodewiseError
        The host is no node (it has no kubeconfig of one), or the kubeconfig given cannot be used.
    """
    own = ApiClient(options.node_kubeconfig, _SECONDS)
    given, credentials = _given(options)
    with ThreadPoolExecutor(8) as pool:
        arguments, config_file, gone = _files(options.topics)
        host = _Host(arguments.get("root-dir", _KUBELET_ROOT), options.runtime_root)
        kubelet = _kubelet(credentials, config_file)
        configz = pool.submit(lambda: _configz(kubelet))
        others: dict[str, Future[Reading]] = {
            "machine_id": pool.submit(_text, _MACHINE_ID),
            "system_uuid": pool.submit(_text, _SYSTEM_UUID),
            "kubepods": pool.submit(taken, host.kubepods_driver),
            "reporter": pool.submit(taken, _reporter_state),
            "reporter_since": pool.submit(taken, _reporter_since),
            "reporter_config": pool.submit(taken, lambda: read_config(REPORTER_CONFIG).digest),
        }
        runtime = _Runtime(options.cri_socket)
        review = _ask(own, "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", _REVIEW)
        identity = replace(review, value=review.value["status"]["userInfo"]["username"]) if not review.error else review
        true_name = str(identity.value).removeprefix(NODE_USER) if not identity.error and str(identity.value).startswith(NODE_USER) else options.name
        silent = identity if identity.error and not identity.status else None
        foreign = silent or foreign_report(own, true_name)
        other = options.other_node if options.other_node != true_name else ""
        foreign_status = (silent or status_of_another(own, other)) if other else None
        clock = _Clock()
        looks = [_look(pool, given or own, kubelet, runtime, host, true_name, clock)]
        reading = NodeReading(
            options.name or true_name,
            looks,
            identity=identity,
            config_file=config_file,
            gone_flags=gone,
            foreign=foreign,
            foreign_status=foreign_status,
            reporter_required=options.reporter_required,
            configz=configz.result(),
            clock=clock.reading,
            **{name: future.result() for name, future in others.items()},
        )
        if options.window > 0:
            sleep(options.window)
            looks.append(_look(pool, given or own, kubelet, runtime, host, true_name, clock))
        while (seconds := wait_for_another(reading, tolerances, options.topics)) > 0:
            sleep(seconds)
            looks.append(_look(pool, given or own, kubelet, runtime, host, true_name, clock))
        runtime.close()
        host.close()
    return replace(reading, clock=clock.reading, serving=_serving(true_name, looks[-1].node, credentials))


_REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}


def _given(options: Options) -> tuple[ApiClient | None, Credentials]:
    """Return a client with the credentials given, and those; without any, none and the node's own."""
    credentials = read_kubeconfig(options.kubeconfig or options.node_kubeconfig)
    if options.token:
        credentials = replace(credentials, token=options.token, certificate="", key="")
        return _token_client(credentials), credentials
    return (ApiClient(options.kubeconfig, _SECONDS) if options.kubeconfig else None), credentials


def _token_client(credentials: Credentials) -> ApiClient:
    """Return a client from a kubeconfig that exists in memory only, as long as this process does."""
    document = {
        "current-context": "verify",
        "contexts": [{"name": "verify", "context": {"cluster": "verify", "user": "verify"}}],
        "clusters": [
            {
                "name": "verify",
                "cluster": {"server": credentials.server, "certificate-authority-data": base64.b64encode(credentials.authority.encode()).decode()},
            }
        ],
        "users": [{"name": "verify", "user": {"token": credentials.token}}],
    }
    descriptor = os.memfd_create("nodewise-verify")
    os.write(descriptor, json.dumps(document).encode())
    return ApiClient(f"/proc/self/fd/{descriptor}", _SECONDS)


class _Clock:
    """The host's clock against the server's, from whichever answer came fastest."""

    def __init__(self) -> None:
        self.reading = Reading(error="the API server's answers had no Date")

    def see(self, answer: Answer) -> None:
        """Look at an answer's date."""
        if answer.skew is not None and (self.reading.error or answer.seconds < self.reading.value.round_trip):
            self.reading = Reading(Clock(answer.skew, answer.seconds))


class _Runtime:
    """The container runtime, or why it cannot be asked."""

    def __init__(self, socket: str) -> None:
        self._client: CriClient | None = None
        self._error = ""
        try:
            self._client = CriClient(socket)
        except NodewiseError as error:
            self._error = error.message

    def read(self) -> tuple[RuntimeReading | None, str]:
        """Return a reading, or None and the reason."""
        if self._client is None:
            return None, self._error
        reading = read_runtime(self._client, _SECONDS)
        if reading.status.cgroup_driver is None and reading.status.ready is not None:
            reading = replace(reading, status=replace(reading.status, cgroup_driver=configured_driver(self._client, _SECONDS)))
        return reading, ""

    def close(self) -> None:
        """End the connection."""
        if self._client is not None:
            self._client.close()


class _Host:
    """The host's own figures."""

    def __init__(self, kubelet_root: str, runtime_root: str) -> None:
        self._kubelet_root, self._runtime_root = kubelet_root, runtime_root
        self._reader = HostReader()
        self._layout = read_layout()

    def read(self, runtime: RuntimeReading | None) -> HostReading:
        """Return a reading; the filesystems are those that the runtime names."""
        images, containers = (None, None) if runtime is None else (runtime.image_filesystems, runtime.container_filesystems)
        return self._reader.read(filesystem_paths(self._kubelet_root, self._runtime_root, images, containers))

    def kubepods_driver(self) -> str:
        """Return the cgroup driver by the name of the cgroup that holds the pods' processes."""
        return kubepods_driver(self._layout.folders["memory"])

    def pods_cpu(self) -> CpuCounter | None:
        """Return the CPU time of all pods, or None if it cannot be read."""
        return pods_cpu(self._layout.folders["cpuacct"], self._layout.cgroup == V2)

    def close(self) -> None:
        """End what waits for the next reading."""
        self._reader.close()


def _look(pool: ThreadPoolExecutor, api: ApiClient, kubelet: KubeletClient | Reading, runtime: _Runtime, host: _Host, name: str, clock: _Clock) -> Look:
    at, monotonic = time.time(), time.monotonic()

    def own_side() -> Look:
        reading, error = runtime.read()
        pods = host.pods_cpu()
        return Look(at, monotonic, host.read(reading), reading, error, pods, own_memory())

    summary = pool.submit(lambda: kubelet if isinstance(kubelet, Reading) else kubelet.get("/stats/summary"))
    said = pool.submit(own_side)
    objects: dict[str, Reading] = {}
    silent: Reading | None = None
    for key, path in _PATHS.items():
        # A server that does not answer is asked once, not four times.
        objects[key] = silent or _ask(api, "GET", path.format(name), clock=clock)
        if objects[key].error and not objects[key].status:
            silent = objects[key]
    return replace(
        said.result(),
        summary=summary.result(),
        node=objects["node"],
        lease=objects["lease"],
        report=objects["report"],
        metrics=objects["metrics"],
        api_service=objects["api_service"],
    )


_PATHS: Mapping[str, str] = {
    "node": "/api/v1/nodes/{}",
    "lease": "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{}",
    "report": schema.PATH + "/{}",
    "metrics": "/apis/metrics.k8s.io/v1beta1/nodes/{}",
    "api_service": "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io",
}


def _ask(api: ApiClient, method: str, path: str, body: Any = None, clock: _Clock | None = None) -> Reading:
    try:
        answer = api.request(method, path, body)
        if clock is not None:
            clock.see(answer)
        if not answer.ok:
            return Reading(error=f"HTTP {answer.status} {answer.message}", status=answer.status)
        return Reading(answer.value(), "", answer.status)
    except NodewiseError as error:
        return Reading(error=error.message)
    except ValueError as error:
        return Reading(error=f"{path}: the answer is no JSON ({error})")


def foreign_report(own: ApiClient, name: str) -> Reading:
    """Try, as a dry run, to create a report under another name with the node's own credentials.

    It has all that is asked of a node's report, so that nothing but the name can be wrong with it.

    Parameters
    ----------
    own : ApiClient
        With the node's credentials.
    name : str
        The node's.
    """
    other = f"{name}-of-another-node"
    owner = {"apiVersion": "v1", "kind": "Node", "name": other, "uid": _NOBODY}
    body = {"apiVersion": schema.API_VERSION, "kind": schema.KIND, "metadata": {"name": other, "ownerReferences": [owner]}}
    return _tried(own, "POST", f"{schema.PATH}?dryRun=All", body)


_NOBODY = "00000000-0000-0000-0000-000000000000"
"""Uid of a Node that is not there; the API server asks only that there be one."""


def status_of_another(own: ApiClient, other: str) -> Reading:
    """Try, as a dry run, to write another node's status, as it is, with the node's own credentials.

    Parameters
    ----------
    own : ApiClient
        With the node's credentials.
    other : str
        Name of the other Node.
    """
    path = f"{schema.PATH}/{other}"
    for last in (False, True):
        found = _ask(own, "GET", path)
        if found.error:
            return found
        attempt = _tried(own, "PUT", f"{path}/status?dryRun=All", found.value)
        # A conflict is found before the policy is asked: its owner has just written it, and will not again for a while.
        if last or attempt.error or attempt.value.status != 409:
            break
    return attempt


def _tried(own: ApiClient, method: str, path: str, body: Any) -> Reading:
    try:
        answer = own.request(method, path, body)
    except NodewiseError as error:
        return Reading(error=error.message)
    return Reading(Attempt(answer.status, answer.message))


def _serving(name: str, node: Reading, credentials: Credentials) -> Reading:
    """Return when the certificate ends that the kubelet shows at the Node's address, or why no client could trust it."""
    place = None if node.error else endpoint(node.value)
    if place is None:
        return Reading(error=node.error or "the Node has no address", status=node.status)
    why, end = shown_by(name, *place, trust(credentials.authority))
    return Reading(error=why) if why else Reading(end)


def _kubelet(credentials: Credentials, config_file: Reading) -> KubeletClient | Reading:
    try:
        return KubeletClient(credentials, {} if config_file.error else config_file.value, _SECONDS)
    except NodewiseError as error:
        return Reading(error=error.message)


def _configz(kubelet: KubeletClient | Reading) -> Reading:
    found = kubelet if isinstance(kubelet, Reading) else kubelet.get("/configz")
    return found if found.error else taken(lambda: found.value["kubeletconfig"])


def _text(path: str) -> Reading:
    return taken(lambda: text_of(path).strip())


def _reporter_state() -> str:
    status = Systemd().status(REPORTER_UNIT)
    return "not-found" if status.load == "not-found" else status.active


def _reporter_since() -> float:
    """Return when the unit became active, on the monotonic clock."""
    shown = run(["systemctl", "show", REPORTER_UNIT, "--property=ActiveEnterTimestampMonotonic", "--value"], timeout=10).stdout
    return int(shown) / 1e6


def _kubelet_unit() -> Mapping[str, str]:
    """Return what systemd says of the kubelet's unit: main process, files, environment files; nothing without systemd."""
    properties = "MainPID,FragmentPath,DropInPaths,EnvironmentFiles"
    try:
        done = run(["systemctl", "show", "kubelet.service", f"--property={properties}"], timeout=10)
    except (OSError, TimeoutExpired):
        return {}
    found: dict[str, str] = {}
    for name, _equals, value in (line.partition("=") for line in done.stdout.splitlines()):
        # EnvironmentFiles comes once for each file.
        found[name] = f"{found[name]} {value}" if name in found else value
    return found


def _files(topics: Collection[str]) -> tuple[dict[str, str], Reading, Reading]:
    """Return the kubelet's flags, its configuration on disk, and a line for each flag that it no longer has."""
    unit = _kubelet_unit()
    arguments = _command_line(unit.get("MainPID", "0"))
    config = taken(lambda: configuration_on_disk(arguments.get("config", _CONFIG), arguments.get("config-dir", "")))
    if "flags" not in topics:
        return arguments, config, Reading([])
    named = [word for key in ("FragmentPath", "DropInPaths", "EnvironmentFiles") for word in unit.get(key, "").split() if word.startswith("/")]
    paths = dict.fromkeys([*named, *_ENVIRONMENT_FILES])
    return arguments, config, taken(lambda: [f"{path}: {line}" for path in paths for line in gone_flags(read_text(path, "replace") or "")])


def _command_line(pid: str) -> dict[str, str]:
    try:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as handle:
            words = handle.read().split("\0")
    except OSError:
        return {}
    return {name.lstrip("-"): value for name, equals, value in (word.partition("=") for word in words) if equals and name.startswith("--")}


def configuration_on_disk(path: str, folder: str) -> dict[str, Any]:
    """Return the kubelet's configuration file with the drop-ins of its folder, which are laid over it in the order of their names.

    Parameters
    ----------
    path : str
        The file.
    folder : str
        C(--config-dir), or empty.

    Raises
    ------
    NodewiseError
        One of them is missing or no YAML mapping.
    OSError
        One of them cannot be read.
    """
    found = load(text_of(path), path)
    if folder:
        for name in sorted(os.listdir(folder)):
            if name.endswith(".conf"):
                found = union(found, load(text_of(os.path.join(folder, name)), name))
    return found


def kubepods_driver(tree: str) -> str:
    """Return the cgroup driver by the name of the cgroup that holds the pods' processes.

    Parameters
    ----------
    tree : str
        The host's root cgroup, with cgroup v1 that of one controller.

    Raises
    ------
    NodewiseError
        No pod's process is in either.
    """
    found = [driver for driver, name in _PODS.items() if _has_processes(os.path.join(tree, name))]
    if not found:
        raise NodewiseError(f"no pod's process is in {' or '.join(os.path.join(tree, name) for name in _PODS.values())}")
    return " and ".join(found)


def pods_cpu(tree: str, v2: bool) -> CpuCounter | None:
    """Return the CPU time of the cgroup that holds all pods; None if there is none, or not just one.

    Parameters
    ----------
    tree : str
        The host's root cgroup, with cgroup v1 that of C(cpuacct).
    v2 : bool
        Whether it is cgroup v2's.
    """
    folders = [folder for folder in (os.path.join(tree, name) for name in _PODS.values()) if os.path.isdir(folder)]
    if len(folders) != 1:
        return None
    try:
        text = read_text(os.path.join(folders[0], "cpu.stat" if v2 else "cpuacct.usage")) or ""
        used = int(text.partition("usage_usec ")[2].split()[0]) * 1000 if v2 else int(text)
    except (OSError, ValueError, IndexError):
        return None
    return CpuCounter(time.time_ns(), time.monotonic_ns(), used)


def own_memory() -> int:
    """Return the bytes of this process and of those that it was started by, the first excepted; what cannot be read counts as nothing."""
    total, pid = 0, "self"
    while True:
        try:
            status = dict(line.split(":", 1) for line in (read_text(f"/proc/{pid}/status") or "").splitlines())
            parent = status["PPid"].strip()
            # Only what is not shared with others: RssAnon, in kB (proc_pid_status(5)).
            total += int(status.get("RssAnon", "0 kB").split()[0]) * 1024
        except (OSError, KeyError, ValueError, IndexError):
            return total
        if parent in ("0", "1"):
            return total
        pid = parent


def _has_processes(folder: str) -> bool:
    for place, _folders, files in os.walk(folder):
        if "cgroup.procs" in files:
            try:
                if read_text(os.path.join(place, "cgroup.procs")):
                    return True
            except OSError:  # the cgroup is gone, or is threaded
                continue
    return False
