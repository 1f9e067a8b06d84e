# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The expected figures follow from the KEPs that pods.py names."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.consumption.amounts import plain
from ansible_collections.nodewise.cluster.plugins.module_utils.consumption.pods import is_terminated, pod_limits, pod_requests

CGROUP_V1_NO_LIMIT = "9007199254740988Ki"


def container(name: str, cpu: str = "", memory: str = "", limits: dict[str, str] | None = None, **other: Any) -> dict[str, Any]:
    requests = {**({"cpu": cpu} if cpu else {}), **({"memory": memory} if memory else {})}
    return {"name": name, "resources": {"requests": requests, "limits": limits or {}}, **other}


def pod(containers: list[dict[str, Any]], init: list[dict[str, Any]] | None = None, status: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return {"spec": {"containers": containers, "initContainers": init or [], **spec}, "status": status or {}}


def sidecar(name: str, cpu: str) -> dict[str, Any]:
    return container(name, cpu, restartPolicy="Always")


def requested(value: dict[str, Any]) -> dict[str, int]:
    return plain(pod_requests(value))


def limited(value: dict[str, Any]) -> dict[str, int]:
    return plain(pod_limits(value))


def test_containers_add_up() -> None:
    assert requested(pod([container("a", "100m", "1Mi"), container("b", "200m")])) == {"cpu": 300, "memory": 2**20}


def test_a_pod_without_requests_takes_nothing() -> None:
    bare = {"spec": {"containers": [{"name": "a"}]}}
    assert requested(bare) == limited(bare) == {}


@pytest.mark.parametrize(
    ("init", "cpu"),
    [
        pytest.param([container("i", "200m")], 300, id="less than the containers"),
        pytest.param([container("i", "400m"), container("j", "500m")], 500, id="one after the other"),
        pytest.param([sidecar("s", "100m")], 400, id="a sidecar runs beside the containers"),
        pytest.param([sidecar("s", "100m"), container("i", "400m")], 500, id="an init container beside the sidecar before it"),
        pytest.param([container("i", "400m"), sidecar("s", "50m")], 400, id="an init container before the sidecar"),
        pytest.param([sidecar("s", "100m"), container("i", "250m"), sidecar("t", "100m")], 500, id="two sidecars and the containers"),
    ],
)
def test_init_containers_and_sidecars(init: list[dict[str, Any]], cpu: int) -> None:
    assert requested(pod([container("a", "100m"), container("b", "200m")], init)) == {"cpu": cpu}


def test_each_resource_has_a_maximum_of_its_own() -> None:
    assert requested(pod([container("a", "1", "1Mi")], [container("i", "100m", "2Mi")])) == {"cpu": 1000, "memory": 2**21}


def test_overhead_comes_on_top_but_makes_no_limit() -> None:
    value = pod([container("a", "1", limits={"memory": "1Mi"})], overhead={"cpu": "250m", "memory": "1Mi"})
    assert requested(value) == {"cpu": 1250, "memory": 2**20}
    assert limited(value) == {"memory": 2**21}


def test_a_pods_own_resources_take_the_place_of_its_containers_sum() -> None:
    own = {"requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"cpu": "3"}}
    value = pod([container("a", "100m", limits={"memory": "1Gi"})], resources=own, overhead={"cpu": "100m"})
    assert requested(value) == {"cpu": 2100, "memory": 2**30}
    assert limited(value) == {"cpu": 3100, "memory": 2**30}


def test_of_a_pods_own_resources_only_the_supported_ones_count() -> None:
    assert requested(pod([container("a", "1")], resources={"requests": {"hugepages-2Mi": "4Mi", "example.com/x": "1"}})) == {
        "cpu": 1000,
        "hugepages-2Mi": 2**22,
    }


def resized(spec: str, allocated: str, in_force: str, **status: Any) -> dict[str, Any]:
    part = {"name": "a", "allocatedResources": {"cpu": allocated}, "resources": {"requests": {"cpu": in_force}, "limits": {"cpu": in_force}}}
    return pod([container("a", spec, limits={"cpu": spec})], status={"containerStatuses": [part], **status})


@pytest.mark.parametrize(("spec", "allocated", "in_force"), [("3", "1", "2"), ("1", "3", "2"), ("1", "2", "3")])
def test_while_a_pod_is_resized_the_most_counts(spec: str, allocated: str, in_force: str) -> None:
    assert requested(resized(spec, allocated, in_force)) == {"cpu": 3000}


def test_an_infeasible_resize_does_not_count_and_a_deferred_one_does() -> None:
    conditions = [{"type": "PodResizePending", "status": "True", "reason": "Infeasible"}]
    assert requested(resized("8", "1", "1", conditions=conditions)) == limited(resized("8", "1", "1", conditions=conditions)) == {"cpu": 1000}
    conditions = [{"type": "Ready", "status": "True"}, {"type": "PodResizePending", "status": "True", "reason": "Deferred"}]
    assert requested(resized("8", "1", "1", conditions=conditions)) == limited(resized("8", "1", "1", conditions=conditions)) == {"cpu": 8000}


def test_the_status_of_the_pod_itself_is_preferred_to_its_containers() -> None:
    status = {"allocatedResources": {"cpu": "2"}, "resources": {"requests": {"cpu": "1500m"}, "limits": {"cpu": "4"}}}
    assert requested(resized("1", "9", "9", **status)) == {"cpu": 2000}
    assert limited(resized("1", "9", "9", **status)) == {"cpu": 4000}


def test_a_pods_own_resources_are_resized_as_well() -> None:
    status: dict[str, Any] = {"allocatedResources": {"cpu": "3"}, "resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "5"}}}
    own = {"requests": {"cpu": "1"}, "limits": {"cpu": "4"}}
    assert requested(pod([container("a")], status=status, resources=own)) == {"cpu": 3000}
    assert limited(pod([container("a")], status=status, resources=own)) == {"cpu": 5000}
    status["conditions"] = [{"type": "PodResizePending", "reason": "Infeasible"}]
    own = {"requests": {"cpu": "9"}, "limits": {"cpu": "9"}}
    assert requested(pod([container("a")], status=status, resources=own)) == {"cpu": 3000}
    assert limited(pod([container("a")], status=status, resources=own)) == {"cpu": 5000}


def test_a_resized_sidecar_is_found_among_the_init_containers() -> None:
    part = {"name": "s", "allocatedResources": {"cpu": "2"}}
    assert requested(pod([container("a", "1")], [sidecar("s", "1")], {"initContainerStatuses": [part]})) == {"cpu": 3000}


@pytest.mark.parametrize("text", [CGROUP_V1_NO_LIMIT, str(2**63 - 1), str(2**63 - 2**16), "9223372036854771712"])
def test_what_cgroup_v1_says_for_no_limit_is_none(text: str) -> None:
    parts = [{"name": "a", "resources": {"limits": {"cpu": "1", "memory": text}}}, {"name": "b", "resources": {"limits": {"memory": "1Mi"}}}]
    containers = [container("a", limits={"cpu": "1"}), container("b", limits={"memory": "1Mi"})]
    assert limited(pod(containers, status={"containerStatuses": parts})) == {"cpu": 1000, "memory": 2**20}


def test_nor_is_it_one_of_the_pod_itself() -> None:
    status = {"resources": {"limits": {"cpu": "2", "memory": CGROUP_V1_NO_LIMIT}}}
    assert limited(pod([container("a")], status=status)) == {"cpu": 2000}
    assert limited(pod([container("a")], status=status, resources={"limits": {"cpu": "2"}})) == {"cpu": 2000}


def test_a_large_limit_stays_one() -> None:
    parts = [{"name": "a", "resources": {"limits": {"memory": "1Pi"}}}]
    assert limited(pod([container("a")], status={"containerStatuses": parts})) == {"memory": 2**50}


@pytest.mark.parametrize(("phase", "ended"), [("Succeeded", True), ("Failed", True), ("Running", False), ("Pending", False), ("Unknown", False)])
def test_terminated(phase: str, ended: bool) -> None:
    assert is_terminated(pod([], status={"phase": phase})) is ended


def test_a_pod_without_a_phase_has_not_ended() -> None:
    assert not is_terminated({"spec": {"containers": []}})
