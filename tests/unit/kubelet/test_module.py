# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.modules import kubelet_config

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run_module(**arguments: Any) -> dict[str, Any]:
        with patch_module_args({"configuration": {"maxPods": 5}, **arguments}), pytest.raises(SystemExit):
            kubelet_config.main()
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    return run_module


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stand-ins for the library: a plan of the test's choice, and a list of what was carried out."""
    carried_out: list[str] = []
    monkeypatch.setattr(kubelet_config.os.path, "exists", lambda path: True)
    monkeypatch.setattr(kubelet_config, "exclusive", lambda: locked(carried_out))
    monkeypatch.setattr(kubelet_config, "overriding_flags", lambda *_: [])
    monkeypatch.setattr(kubelet_config, "apply_node", lambda *_: carried_out.append("apply"))
    monkeypatch.setattr(kubelet_config, "apply_cluster", lambda *_: carried_out.append("apply"))
    monkeypatch.setattr(kubelet_config, "record", lambda *_: carried_out.append("record"))
    return carried_out


@contextmanager
def locked(carried_out: list[str]) -> Iterator[None]:
    carried_out.append("lock")
    yield


def plan(differs: bool, recorded: bool) -> Any:
    return SimpleNamespace(differs=differs, recorded=recorded, actions=lambda: ["something"], diff=lambda: [], reasons=[], last={}, merged={"maxPods": 5})


CASES = [
    # differs, recorded, plan, check mode -> changed, carried out on a node (not beside a kubeadm), in the cluster
    (False, True, False, False, False, ["lock"], []),
    (False, True, True, True, False, [], []),
    (True, True, False, False, True, ["lock", "apply"], ["apply"]),
    (True, False, True, False, False, [], []),
    (True, True, False, True, True, [], []),
    (True, True, True, True, True, [], []),
    (False, False, True, False, True, ["record"], ["apply"]),
    (False, False, False, False, True, ["lock", "record"], ["apply"]),
    (False, False, True, True, True, [], []),
]


@pytest.mark.parametrize(("differs", "recorded", "only_plan", "check", "changed", "node", "cluster"), CASES)
def test_what_is_carried_out(
    run: Run,
    done: list[str],
    monkeypatch: pytest.MonkeyPatch,
    differs: bool,
    recorded: bool,
    only_plan: bool,
    check: bool,
    changed: bool,
    node: list[str],
    cluster: list[str],
) -> None:
    monkeypatch.setattr(kubelet_config, "plan_node", lambda *_: plan(differs, recorded))
    monkeypatch.setattr(kubelet_config, "plan_cluster", lambda *_: plan(differs, recorded))
    found = run(scope="node", node_name="w1", plan=only_plan, _ansible_check_mode=check)
    assert (found["changed"], found["differs"], done) == (changed, differs, node)
    done.clear()
    found = run(scope="cluster", plan=only_plan, _ansible_check_mode=check)
    assert (found["changed"], found["differs"], done) == (changed, differs, cluster)
    assert found["configuration"] == {"maxPods": 5}


def test_a_flag_that_wins_is_a_warning(run: Run, done: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(kubelet_config.AnsibleModule, "warn", lambda _self, text: shown.append(text))
    monkeypatch.setattr(kubelet_config, "overriding_flags", lambda *_: ["maxPods: a flag wins"])
    monkeypatch.setattr(kubelet_config, "plan_node", lambda *_: plan(False, True))
    run(scope="node", node_name="w1")
    assert shown == ["maxPods: a flag wins"]


@pytest.mark.parametrize("scope", ["cluster", "node"])
def test_bare_hosts_are_no_failure_in_check_mode(run: Run, monkeypatch: pytest.MonkeyPatch, scope: str) -> None:
    monkeypatch.setattr(kubelet_config.os.path, "exists", lambda path: False)
    found = run(scope=scope, node_name="w1", _ansible_check_mode=True)
    assert (found["changed"], found["differs"], found.get("failed", False)) == (False, False, False)


def test_failures_are_told(run: Run, done: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert "scope is node but all of the following are missing: node_name" in run(scope="node")["msg"]
    found = run(scope="cluster", configuration={"maxPodz": 5})
    assert "configuration.maxPodz is not a field of a KubeletConfiguration (did you mean maxPods?)" in found["msg"]
    found = run(scope="cluster", configuration={"defaultPodSysctls": {}}, kubernetes_version="1.36.3")
    assert "Kubernetes 1.36 has no such field, it came with 1.37" in found["msg"]

    def refuse(*_: Any) -> Any:
        raise NodewiseError("It is broken.", "mend it")

    monkeypatch.setattr(kubelet_config, "plan_cluster", refuse)
    assert run(scope="cluster")["msg"] == "It is broken. Remedy: mend it"
