# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One sample of a container runtime.

Every figure stands on its own: a call that fails, or that the runtime does not know, takes only its own figures away. All calls
together are bounded by one deadline, so that a runtime that hangs cannot stop whoever samples.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from .client import CallFailed, CriClient
from .messages import CGROUP_DRIVERS, CONTAINER_STATES, NETWORK_READY, RUNTIME_READY, SANDBOX_READY
from .model import Container, ContainerKey, Counter, RuntimeReading, RuntimeStatus

DEADLINE = 8.0
"""Seconds for a whole sample: less than the time between two."""

# Seconds for calls that a healthy runtime answers from memory.
_QUICK = 2.0
# Seconds for the stats of one sandbox or container, when those of all could not be had: one that hangs must leave time for the others.
_SINGLE = 0.5

_RUNNING = CONTAINER_STATES.index("running")


def read_runtime(client: CriClient, deadline: float = DEADLINE) -> RuntimeReading:
    """Ask a runtime for its state, its containers and what they use.

    Parameters
    ----------
    client : CriClient
        The connection.
    deadline : float
        Seconds after which the sample ends with what it has.

    Returns
    -------
    RuntimeReading
        With C(errors) for what is missing; a runtime that is down is one whose C(status.ready) is None and C(status.message) says why.
    """
    sample = _Sample(client, deadline)
    status = _status(sample)
    sandboxes = sample.ask("ListPodSandbox")
    listed = sample.ask("ListContainers")
    containers, unread = (None, 0) if listed is None else _containers(sample, listed.containers, None if sandboxes is None else sandboxes.items)
    filesystems = sample.ask("ImageFsInfo", _QUICK, accept="UNIMPLEMENTED")
    ready = None if sandboxes is None else sum(sandbox.state == SANDBOX_READY for sandbox in sandboxes.items)
    return RuntimeReading(
        status=status,
        containers=containers,
        pods_ready=ready,
        pods_not_ready=None if ready is None else len(sandboxes.items) - ready,
        unread_containers=unread,
        image_filesystems=None if filesystems is None else _mountpoints(filesystems.image_filesystems),
        container_filesystems=None if filesystems is None else _mountpoints(filesystems.container_filesystems),
        errors=tuple(sample.errors),
        clock_offset=time.time() - time.monotonic(),
    )


class _Sample:
    """The calls of one sample: its deadline, and what went wrong."""

    def __init__(self, client: CriClient, seconds: float) -> None:
        self.errors: list[str] = []
        self.code = ""
        self._client = client
        self._end = time.monotonic() + seconds
        self._seconds = seconds
        self._over = False

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self._end - time.monotonic()

    def ask(self, method: str, limit: float | None = None, accept: str = "", **fields: Any) -> Any:
        """Return the response, or None with a line in C(errors) and the status in C(code).

        Parameters
        ----------
        method : str
            The call.
        limit : float, optional
            At most so many seconds, if the deadline allows as much.
        accept : str
            A status that is no error here, such as UNIMPLEMENTED for a call that runtimes need not have.
        **fields
            Of the request.
        """
        if self._over:
            return None
        left = self.left
        if left <= 0:
            self._over = True
            self.code = "DEADLINE_EXCEEDED"
            self.errors.append(f"{method} and later calls: no time left of the {self._seconds:g} s for a sample")
            return None
        try:
            return self._client.call(method, left if limit is None else min(limit, left), **fields)
        except CallFailed as error:
            self.code = error.code
            # Nobody is there: the other calls would say just the same.
            self._over = error.code == "UNAVAILABLE"
            if error.code != accept:
                self.errors.append(error.message)
            return None


def _status(sample: _Sample) -> RuntimeStatus:
    response = sample.ask("Status", _QUICK)
    ready: dict[str, bool] = {}
    message = ""
    if response is None:
        message = sample.errors[-1]
    else:
        conditions = response.status.conditions
        ready = {condition.type: condition.status for condition in conditions}
        # Only these two: containerd has a condition for its deprecation warnings, too.
        bad = [condition for condition in conditions if not condition.status and condition.type in (RUNTIME_READY, NETWORK_READY)]
        message = "; ".join(f"{condition.type}: {condition.reason}: {condition.message}" for condition in bad)
        if RUNTIME_READY not in ready:
            message = f"the runtime does not say {RUNTIME_READY}"
    # Asked anew each time: it costs a millisecond, and a runtime that was restarted in between would be described as it was before.
    version = sample.ask("Version", _QUICK)
    config = sample.ask("RuntimeConfig", _QUICK, accept="UNIMPLEMENTED")
    driver = None
    if config is not None and config.HasField("linux") and config.linux.cgroup_driver < len(CGROUP_DRIVERS):
        driver = CGROUP_DRIVERS[config.linux.cgroup_driver]
    return RuntimeStatus(
        name=None if version is None else version.runtime_name or None,
        version=None if version is None else version.runtime_version or None,
        cgroup_driver=driver,
        ready=ready.get(RUNTIME_READY),
        network_ready=ready.get(NETWORK_READY),
        message=message,
    )


def _containers(sample: _Sample, listed: Iterable[Any], sandboxes: Iterable[Any] | None) -> tuple[tuple[Container, ...], int]:
    """Return the containers with what they use, and how many of the running ones do not say it."""
    running = {container.id: container.pod_sandbox_id for container in listed if container.state == _RUNNING}
    stats = _stats(sample, running)
    missing = {container for container in running if container not in stats or _counter(stats[container]) is None or _working_set(stats[container]) is None}
    if missing:
        # One that has ended in the meantime is no longer running, and nothing is wrong with it.
        again = sample.ask("ListContainers")
        if again is not None:
            listed = again.containers
            missing &= {container.id for container in listed if container.state == _RUNNING}
    pods = {sandbox.id: sandbox.metadata for sandbox in sandboxes or ()}
    return tuple(_container(container, pods.get(container.pod_sandbox_id), stats.get(container.id)) for container in listed), len(missing)


def _stats(sample: _Sample, running: Mapping[str, str]) -> dict[str, Any]:
    """Return {container: ContainerStats} of those that could be read.

    Parameters
    ----------
    sample : _Sample
        The calls.
    running : Mapping
        {container: pod sandbox}
    """
    if not running:
        return {}
    # Half of the time, so that the other half can find out which container it is that hangs.
    response = sample.ask("ListContainerStats", sample.left / 2)
    if response is not None:
        return _by_id(response.stats)
    if sample.code == "UNIMPLEMENTED":
        return {}
    found: dict[str, Any] = {}
    for sandbox in sorted(set(running.values())):
        response = sample.ask("ListContainerStats", _SINGLE, filter={"pod_sandbox_id": sandbox})
        if response is not None:
            found.update(_by_id(response.stats))
            continue
        for container in (container for container, of in running.items() if of == sandbox):
            single = sample.ask("ContainerStats", _SINGLE, accept="NOT_FOUND", container_id=container)
            if single is not None and single.HasField("stats"):
                found[container] = single.stats
    return found


def _by_id(stats: Iterable[Any]) -> dict[str, Any]:
    return {entry.attributes.id: entry for entry in stats}


def _container(listed: Any, pod: Any, stats: Any) -> Container:
    return Container(
        key=ContainerKey(listed.id, listed.metadata.attempt, listed.created_at),
        namespace="unknown" if pod is None else pod.namespace,
        pod="unknown" if pod is None else pod.name,
        name=listed.metadata.name,
        state=CONTAINER_STATES[listed.state] if listed.state < len(CONTAINER_STATES) else "unknown",
        cpu=_counter(stats),
        working_set_bytes=_working_set(stats),
        writable_layer_bytes=stats.writable_layer.used_bytes.value if stats is not None and stats.writable_layer.HasField("used_bytes") else None,
    )


def _counter(stats: Any) -> Counter | None:
    if stats is None or not stats.cpu.HasField("usage_core_nano_seconds"):
        return None
    return Counter(stats.cpu.timestamp, stats.cpu.usage_core_nano_seconds.value)


def _working_set(stats: Any) -> int | None:
    return stats.memory.working_set_bytes.value if stats is not None and stats.memory.HasField("working_set_bytes") else None


def _mountpoints(filesystems: Iterable[Any]) -> tuple[str, ...]:
    return tuple(filesystem.fs_id.mountpoint for filesystem in filesystems if filesystem.fs_id.mountpoint)
