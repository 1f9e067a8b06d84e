# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cgroup driver of runtimes that do not name it."""

from __future__ import annotations

import copy
import json
from typing import Any

import grpc
import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.cri.client import CriClient
from ansible_collections.nodewise.cluster.plugins.module_utils.cri.driver import configured_driver, driver_of

from .conftest import CLASSES

# As containerd 1.7 tells it, shortened.
CONFIG: dict[str, Any] = {
    "containerd": {
        "snapshotter": "overlayfs",
        "defaultRuntimeName": "runc",
        "runtimes": {
            "other": {"runtimeType": "io.containerd.runc.v2", "options": {"SystemdCgroup": False}},
            "runc": {"runtimeType": "io.containerd.runc.v2", "options": {"BinaryName": "", "SystemdCgroup": True}, "snapshotter": ""},
        },
    },
    "systemdCgroup": False,
}


def with_runc(**changed: Any) -> dict[str, Any]:
    config = copy.deepcopy(CONFIG)
    config["containerd"]["runtimes"]["runc"].update(changed)
    return config


@pytest.mark.parametrize(
    ("config", "driver"),
    [
        (CONFIG, "systemd"),
        (with_runc(options={"SystemdCgroup": False}), "cgroupfs"),
        (with_runc(options={}), "cgroupfs"),
        (with_runc(options=None), "cgroupfs"),
        (with_runc(runtimeType="io.containerd.kata.v2"), None),
        (with_runc(runtimeType=None), None),
        ({"containerd": {"defaultRuntimeName": "runc", "runtimes": {}}}, None),
        ({"sandboxImage": "pause"}, None),
        ([], None),
    ],
)
def test_the_default_runtimes_option_tells(config: Any, driver: str | None) -> None:
    assert driver_of(config) == driver


@pytest.mark.parametrize(("info", "driver"), [({"config": json.dumps(CONFIG)}, "systemd"), ({"config": "{"}, None), ({}, None)])
def test_the_runtime_is_asked_for_it(runtime: Any, client: CriClient, info: dict[str, str], driver: str | None) -> None:
    runtime.answers["Status"] = CLASSES["StatusResponse"](info=info)
    assert configured_driver(client, 2.0) == driver


def test_a_runtime_that_does_not_answer(runtime: Any, client: CriClient) -> None:
    runtime.fail = {"Status": grpc.StatusCode.UNKNOWN}
    assert configured_driver(client, 2.0) is None
