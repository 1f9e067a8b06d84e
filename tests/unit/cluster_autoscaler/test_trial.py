# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.cluster_autoscaler import trial as trial_module
from ansible_collections.nodewise.cluster.plugins.module_utils.cluster_autoscaler.trial import Trial, attempt, check_trial, objects

GROUP = {"labels": {"pool": "burst"}, "taints": [{"key": "burst", "value": "x", "effect": "NoSchedule"}]}


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Cluster:
    """The pod runs on s1 after 20 s, and s1 leaves 40 s after the pod has gone."""

    def __init__(self, clock: Clock, comes: bool = True) -> None:
        self.clock, self.comes = clock, comes
        self.applied: list[str] = []
        self.deleted: float | None = None

    def apply(self, wanted: list[dict[str, Any]]) -> str:
        self.applied += [one["kind"] for one in wanted]
        return ""

    def run(self, args: list[str], **_options: Any) -> tuple[int, str, str]:
        assert args[:2] == ["delete", "namespace"]
        self.deleted = self.clock.now
        return 0, "", ""

    def get(self, *args: str) -> dict[str, Any]:
        here = self.comes and self.clock.now >= 20
        if args[0] == "nodes":
            gone = self.deleted is not None and self.clock.now >= self.deleted + 40
            return {"items": [{"metadata": {"name": name}} for name in ("w1", *(["s1"] if here and not gone else []))]}
        condition = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}
        return {"items": [{"spec": {"nodeName": "s1"} if here else {}, "status": {"phase": "Running" if here else "Pending", "conditions": [condition]}}]}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(trial_module, "time", clock)
    return clock


def test_the_pod_fits_on_no_node_there_is_but_on_a_new_one_of_the_group() -> None:
    spec = objects("pause", ["w2", "w1"], GROUP)[1]["spec"]["template"]["spec"]
    terms = spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert terms == [
        {
            "matchExpressions": [
                {"key": "kubernetes.io/hostname", "operator": "NotIn", "values": ["w1", "w2"]},
                {"key": "pool", "operator": "In", "values": ["burst"]},
            ]
        }
    ]
    assert spec["tolerations"] == [{"key": "burst", "operator": "Exists", "effect": "NoSchedule"}]


def test_a_host_that_joins_and_leaves_is_told_with_its_times(clock: Clock) -> None:
    cluster: Any = Cluster(clock)
    assert attempt(cluster, "pause", GROUP, 60, 100) == Trial("s1", 20.0, 20.0, 40.0)
    assert cluster.applied == ["Namespace", "Deployment"]


def test_leaving_is_waited_for_only_when_asked(clock: Clock) -> None:
    cluster: Any = Cluster(clock)
    assert attempt(cluster, "pause", GROUP, 60, 0).left is None
    assert clock.now == 20


def test_nothing_is_left_when_no_host_comes(clock: Clock) -> None:
    cluster: Any = Cluster(clock, comes=False)
    found = attempt(cluster, "pause", GROUP, 30, 100)
    assert (found.running, found.said) == (None, "0/1 nodes are available")
    assert cluster.deleted is not None


@pytest.mark.parametrize(
    ("trial", "leave_timeout", "status", "observed"),
    [
        (None, 0, "unknown", "cluster-autoscaler is not deployed"),
        (Trial(said="x"), 0, "fail", "it did not run"),
        (Trial("s1", 20.0, 22.5), 0, "ok", "s1 ran it after 22.5 s"),
        (Trial("s1", 20.0, 22.5), 60, "fail", "s1 ran it after 22.5 s, and has not left"),
        (Trial("s1", 20.0, 22.5, 33.0), 60, "ok", "s1 ran it after 22.5 s, and left after 33 s"),
    ],
)
def test_a_trial_is_judged(trial: Trial | None, leave_timeout: int, status: str, observed: str) -> None:
    result = check_trial(trial, 60, leave_timeout)
    assert (result.status, result.observed) == (status, observed)
