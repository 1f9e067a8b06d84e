# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of the CRI (runtime.v1, k8s.io/cri-api v0.37.2) that is read here.

Names and numbers are the protocol's; what is left out (labels, annotations, images) is not decoded.
"""

from __future__ import annotations

PACKAGE = "runtime.v1"

MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "UInt64Value": {"value": (1, "uint64")},
    "VersionRequest": {"version": (1, "string")},
    "VersionResponse": {
        "version": (1, "string"),
        "runtime_name": (2, "string"),
        "runtime_version": (3, "string"),
        "runtime_api_version": (4, "string"),
    },
    "StatusRequest": {"verbose": (1, "bool")},
    "StatusResponse": {"status": (1, "RuntimeStatus"), "info": (2, "map string string")},
    "RuntimeStatus": {"conditions": (1, "repeated RuntimeCondition")},
    "RuntimeCondition": {"type": (1, "string"), "status": (2, "bool"), "reason": (3, "string"), "message": (4, "string")},
    "RuntimeConfigRequest": {},
    "RuntimeConfigResponse": {"linux": (1, "LinuxRuntimeConfiguration")},
    "LinuxRuntimeConfiguration": {"cgroup_driver": (1, "int32")},
    "ListPodSandboxRequest": {},
    "ListPodSandboxResponse": {"items": (1, "repeated PodSandbox")},
    "PodSandbox": {"id": (1, "string"), "metadata": (2, "PodSandboxMetadata"), "state": (3, "int32")},
    "PodSandboxMetadata": {"name": (1, "string"), "uid": (2, "string"), "namespace": (3, "string"), "attempt": (4, "uint32")},
    "ListContainersRequest": {},
    "ListContainersResponse": {"containers": (1, "repeated Container")},
    "Container": {
        "id": (1, "string"),
        "pod_sandbox_id": (2, "string"),
        "metadata": (3, "ContainerMetadata"),
        "state": (6, "int32"),
        "created_at": (7, "int64"),
    },
    "ContainerMetadata": {"name": (1, "string"), "attempt": (2, "uint32")},
    "ListContainerStatsRequest": {"filter": (1, "ContainerStatsFilter")},
    "ContainerStatsFilter": {"id": (1, "string"), "pod_sandbox_id": (2, "string")},
    "ListContainerStatsResponse": {"stats": (1, "repeated ContainerStats")},
    "ContainerStatsRequest": {"container_id": (1, "string")},
    "ContainerStatsResponse": {"stats": (1, "ContainerStats")},
    "ContainerStats": {
        "attributes": (1, "ContainerAttributes"),
        "cpu": (2, "CpuUsage"),
        "memory": (3, "MemoryUsage"),
        "writable_layer": (4, "FilesystemUsage"),
    },
    "ContainerAttributes": {"id": (1, "string")},
    "CpuUsage": {"timestamp": (1, "int64"), "usage_core_nano_seconds": (2, "UInt64Value")},
    "MemoryUsage": {"timestamp": (1, "int64"), "working_set_bytes": (2, "UInt64Value")},
    "FilesystemUsage": {"timestamp": (1, "int64"), "fs_id": (2, "FilesystemIdentifier"), "used_bytes": (3, "UInt64Value")},
    "FilesystemIdentifier": {"mountpoint": (1, "string")},
    "ImageFsInfoRequest": {},
    "ImageFsInfoResponse": {"image_filesystems": (1, "repeated FilesystemUsage"), "container_filesystems": (2, "repeated FilesystemUsage")},
}

SERVICES: dict[str, dict[str, tuple[str, str]]] = {
    service: {method: (f"{method}Request", f"{method}Response") for method in methods}
    for service, methods in {
        "runtime.v1.RuntimeService": ("Version", "Status", "RuntimeConfig", "ListPodSandbox", "ListContainers", "ListContainerStats", "ContainerStats"),
        "runtime.v1.ImageService": ("ImageFsInfo",),
    }.items()
}

RUNTIME_READY = "RuntimeReady"
NETWORK_READY = "NetworkReady"
SANDBOX_READY = 0
CONTAINER_STATES = ("created", "running", "exited", "unknown")
"""By their number in C(ContainerState)."""
CGROUP_DRIVERS = ("systemd", "cgroupfs")
"""By their number in C(CgroupDriver); 0 is C(systemd), so ask first whether C(linux) is set."""
