# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container runtime says of itself and its containers, as plain data.

A figure that could not be read is None, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, order=True)
class ContainerKey:
    """One life of a container: a counter may only be compared with an earlier one of the same life.

    Parameters
    ----------
    id : str
        The runtime's identifier.
    attempt : int
        C(ContainerMetadata.attempt).
    created_at : int
        C(Container.created_at), nanoseconds since the epoch.
    """

    id: str
    attempt: int
    created_at: int


@dataclass(frozen=True)
class Counter:
    """A cumulative counter with the time at which the runtime read it.

    Parameters
    ----------
    timestamp : int
        The message's own C(timestamp), nanoseconds since the epoch.
    value : int
        For CPU: C(usage_core_nano_seconds).
    """

    timestamp: int
    value: int


@dataclass(frozen=True)
class Container:
    """One container.

    Parameters
    ----------
    key : ContainerKey
        Which life of which container.
    namespace, pod, name : str
        Names from the pod sandbox and the container's metadata.
    state : str
        C(created), C(running), C(exited) or C(unknown).
    cpu : Counter or None
        Core-nanoseconds used since it started.
    working_set_bytes : int or None
        C(MemoryUsage.working_set_bytes).
    writable_layer_bytes : int or None
        C(FilesystemUsage.used_bytes) of the writable layer.
    """

    key: ContainerKey
    namespace: str
    pod: str
    name: str
    state: str
    cpu: Counter | None = None
    working_set_bytes: int | None = None
    writable_layer_bytes: int | None = None


@dataclass(frozen=True)
class RuntimeStatus:
    """The runtime's own word on itself (CRI C(Version), C(Status), C(RuntimeConfig)).

    Parameters
    ----------
    name, version : str or None
        C(runtime_name) and C(runtime_version).
    cgroup_driver : str or None
        C(systemd) or C(cgroupfs); None if the runtime does not implement C(RuntimeConfig) or leaves C(linux) out.
    ready, network_ready : bool or None
        Conditions RuntimeReady and NetworkReady.
    message : str
        Reason and message of those two if they are not true, or the error of the call.
    """

    name: str | None = None
    version: str | None = None
    cgroup_driver: str | None = None
    ready: bool | None = None
    network_ready: bool | None = None
    message: str = ""


@dataclass(frozen=True)
class RuntimeReading:
    """All that one sample takes from the runtime.

    Parameters
    ----------
    status : RuntimeStatus
        Always there; its fields are None where the runtime did not answer.
    containers : tuple of Container or None
        None if the containers could not be listed.
    pods_ready, pods_not_ready : int or None
        Pod sandboxes by state.
    unread_containers : int
        Running containers whose stats could not be read; the report is C(partial) if it is not 0.
    image_filesystems, container_filesystems : tuple of str or None
        Mount points of C(ImageFsInfo); None if the call is not implemented or failed, () if it named none.
    errors : tuple of str
        One line for each call that failed.
    clock_offset : float
        Seconds by which the host's wall clock was ahead of its monotonic one when all was read.
    """

    status: RuntimeStatus = RuntimeStatus()
    containers: tuple[Container, ...] | None = None
    pods_ready: int | None = None
    pods_not_ready: int | None = None
    unread_containers: int = 0
    image_filesystems: tuple[str, ...] | None = None
    container_filesystems: tuple[str, ...] | None = None
    errors: tuple[str, ...] = field(default=())
    clock_offset: float = field(default=0.0, compare=False)
