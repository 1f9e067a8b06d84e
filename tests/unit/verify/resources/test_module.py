# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules verify_node_resources and verify_token: arguments in, results out."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.api import Reading
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.resources import access
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.resources.read import Options
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.resources.reading import Look, NodeReading, Tolerances
from ansible_collections.nodewise.cluster.plugins.modules import verify_node_resources, verify_token

Run = Callable[..., dict[str, Any]]
Made = Callable[..., NodeReading]
MakeLook = Callable[..., Look]


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch, made: Made) -> dict[str, Any]:
    """Replace the reading; C(reading) is what it returns, C(error) is raised if set."""
    state: dict[str, Any] = {"reading": made()}

    def read(options: Options, tolerances: Tolerances) -> NodeReading:
        state.update(options=options, tolerances=tolerances)
        if "error" in state:
            raise state["error"]
        found: NodeReading = state["reading"]
        return found

    monkeypatch.setattr(verify_node_resources, "read_node", read)
    monkeypatch.setattr(verify_node_resources, "respawn_with_grpc", lambda: None)
    return state


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def runner(module: Any = verify_node_resources, **arguments: Any) -> dict[str, Any]:
        with patch_module_args(arguments), pytest.raises(SystemExit):
            module.main()
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        return result

    return runner


def test_a_healthy_node(run: Run, called: dict[str, Any], made: Made, look: MakeLook) -> None:
    called["reading"] = made(look(), look(5))
    result = run()
    assert (result["verdict"], result["problems"], result["node"], result["changed"]) == ("pass", [], "w1", False)
    assert result["summary"]["ok"] == len(result["checks"])
    assert set(result["checks"][0]) == {"check", "node", "status", "expected", "observed", "tolerance", "sources", "hint"}
    assert called["options"].window == 5
    assert called["tolerances"] == Tolerances()


def test_without_a_window_cpu_is_left_out(run: Run, called: dict[str, Any]) -> None:
    assert run(window=0)["verdict"] == "pass"
    assert "cpu" not in called["options"].topics
    assert len(called["options"].topics) == 17


def test_no_window_is_waited_for_without_cpu(run: Run, called: dict[str, Any]) -> None:
    run(checks=["lease"], window=60)
    assert called["options"].window == 0


@pytest.mark.parametrize(("fail_on", "failed"), [(["fail", "unknown"], True), (["fail"], False), (["unknown"], True), ([], False)])
def test_what_fails_the_task(run: Run, called: dict[str, Any], made: Made, fail_on: list[str], failed: bool) -> None:
    called["reading"] = made(clock=Reading(error="no Date"))
    result = run(checks=["clock"], fail_on=fail_on)
    assert result.get("failed", False) is failed
    assert (result["verdict"], result["summary"]["unknown"]) == ("fail", 1)


def test_a_failure_says_what(run: Run, called: dict[str, Any], made: Made) -> None:
    called["reading"] = made(identity=Reading("system:node:w2"))
    result = run(checks=["identity"])
    assert result["msg"] == "w1: fail resources.identity.name: expected w1; observed w2"


def test_places_that_are_not_the_usual_ones(run: Run, called: dict[str, Any]) -> None:
    run(checks=["lease"])
    assert (called["options"].node_kubeconfig, called["options"].runtime_root) == ("/etc/kubernetes/kubelet.conf", "/var/lib/containerd")
    assert called["options"].other_node == ""
    run(checks=["lease"], node_kubeconfig="/var/lib/kubelet/kubeconfig", runtime_root="/data/containerd", other_node="w2")
    assert (called["options"].node_kubeconfig, called["options"].runtime_root) == ("/var/lib/kubelet/kubeconfig", "/data/containerd")
    assert called["options"].other_node == "w2"


def test_tolerances(run: Run, called: dict[str, Any]) -> None:
    run(checks=["lease"], tolerances={"cpu_percent": 3})
    assert called["tolerances"] == Tolerances(cpu_percent=3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"window": -1}, "window is -1; it must be 0 to 300 seconds."),
        ({"window": 301}, "window is 301; it must be 0 to 300 seconds."),
        ({"tolerances": {"cpu_percent": -1}}, "tolerances.cpu_percent is -1; a tolerance cannot be negative."),
        ({"checks": ["colour"]}, "value of checks must be one or more of: identity"),
        ({"fail_on": ["ok"]}, "value of fail_on must be one or more of: fail, unknown, warn"),
    ],
)
def test_bad_input(run: Run, called: dict[str, Any], arguments: dict[str, Any], words: str) -> None:
    result = run(**arguments)
    assert result["failed"]
    assert words in result["msg"]
    assert "options" not in called


def test_a_host_that_is_no_node(run: Run, called: dict[str, Any]) -> None:
    called["error"] = NodewiseError("/etc/kubernetes/kubelet.conf is not on this host.", "let the node join first")
    assert run()["msg"] == "/etc/kubernetes/kubelet.conf is not on this host. Remedy: let the node join first"


def test_a_token_is_not_shown(run: Run, called: dict[str, Any]) -> None:
    assert "hush-hush" not in json.dumps(run(checks=["lease"], token="hush-hush"))
    assert called["options"].token == "hush-hush"


# -- verify_token --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("missing", "check_mode", "token", "applied"),
    [
        ([], False, "hush", []),
        ([], True, "hush", []),
        ([("/p", {"kind": "ClusterRole"})], False, "hush", ["/p"]),
        ([("/p", {"kind": "ClusterRole"})], True, "", []),
    ],
)
def test_token(run: Run, monkeypatch: pytest.MonkeyPatch, missing: list[Any], check_mode: bool, token: str, applied: list[str]) -> None:
    done: list[str] = []
    monkeypatch.setattr(verify_token, "ApiClient", lambda _path: None)
    monkeypatch.setattr(access, "missing", lambda _api: missing)
    monkeypatch.setattr(access, "apply", lambda _api, wanted: done.extend(path for path, _body in wanted))
    monkeypatch.setattr(access, "token", lambda _api, _seconds: "hush")
    result = run(verify_token, _ansible_check_mode=check_mode, _ansible_diff=True)
    assert (result["token"], done, result["changed"]) == (token, applied, bool(missing))
    assert result["objects"] == [body["kind"] for _path, body in missing]
