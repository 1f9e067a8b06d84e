# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What playbooks do with --limit, in real runs with stubbed modules."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

VERIFYING = [
    "host_facts",
    "verify_node",
    "verify_token",
    "verify_node_resources",
    "verify_cluster",
    "policies",
    "verify_test_pods",
    "verify_pod_network",
    "verify_admission",
]


def inventory(**hosts: dict[str, Any]) -> dict[str, Any]:
    groups = {"control_plane": ["cp1"], "workers": ["w1"], "standby": ["sb1", "sb2"]}
    of = {
        name: {"hosts": {host: {"ansible_connection": "local", "ansible_become": False, **hosts.get(host, {})} for host in members}}
        for name, members in groups.items()
    }
    return {"all": {"children": of}}


def standby(joined: bool) -> dict[str, Any]:
    return {"says": {"host_facts": {"ansible_facts": {"nodewise": {"kubelet_conf": joined}}}}}


@pytest.mark.parametrize(
    ("limit", "first", "asked", "scope"),
    [
        ("standby", standby(False), ["sb2"], ["sb2"]),
        ("standby", {"says": {"host_facts": {"unreachable": True}}}, ["sb2"], ["sb2"]),
        ("all", standby(False), ["cp1", "sb2", "w1"], ["cp1", "sb2", "w1"]),
        # Nothing to judge, and not all nodes in its place.
        ("sb1", standby(False), [], None),
    ],
)
def test_a_standby_host_that_is_no_node_keeps_no_other_from_being_judged(
    play: Callable[..., Any], limit: str, first: dict[str, Any], asked: list[str], scope: list[str] | None
) -> None:
    calls = play("verify", VERIFYING, inventory(sb1=first, sb2=standby(True)), "--limit", limit)
    assert sorted(host for name, host, _at, _arguments in calls if name == "verify_node") == asked
    judged = [(at, sorted(arguments["scope"])) for name, _host, at, arguments in calls if name == "verify_cluster"]
    assert judged == ([] if scope is None else [("cp1", scope)])


def test_active_checks_are_made_on_the_standby_hosts_that_are_nodes(play: Callable[..., Any]) -> None:
    second = standby(True)
    second["says"].update(verify_test_pods={"session": "s", "checks": [1]}, verify_pod_network={"checks": [2]})
    calls = play("verify", VERIFYING, inventory(sb1=standby(False), sb2=second), "--limit", "standby", "-e", "verify_active=true")
    assert {host for name, host, _at, _arguments in calls if name == "verify_pod_network"} == {"sb2"}
    (judged,) = [arguments for name, _host, _at, arguments in calls if name == "verify_cluster"]
    assert sorted(judged["active"]) == [1] * 4 + [2] * 3


def test_serving_certificates_are_approved_whichever_standby_host_comes_first(play: Callable[..., Any], collection_root: Path) -> None:
    (site,) = [one for one in yaml.safe_load((collection_root / "playbooks/site.yml").read_text()) if one["name"] == "Configure the kubelets"]
    tasks = [{"nodewise.cluster.host_facts": None}, *site["tasks"]]
    hosts = inventory(sb1=standby(False), sb2=standby(True))
    for host in hosts["all"]["children"]["standby"]["hosts"].values():
        host["says"]["host_facts"]["ansible_facts"]["nodewise"]["default_ipv4"] = "192.0.2.9"
        host["says"]["kubelet_config"] = {"differs": False}
    calls = play(tasks, ["host_facts", "kubelet_config", "kubelet_serving_certificates"], hosts, "--limit", "standby")
    assert [host for name, host, _at, _arguments in calls if name == "kubelet_config"] == ["sb2"]
    assert [at for name, _host, at, _arguments in calls if name == "kubelet_serving_certificates"] == ["cp1"]


def test_a_cluster_without_standby_hosts_is_verified(play: Callable[..., Any]) -> None:
    without = inventory()
    del without["all"]["children"]["standby"]
    (arguments,) = [arguments for name, _host, _at, arguments in play("verify", VERIFYING, without) if name == "verify_cluster"]
    assert (arguments["nodes"], arguments["standby"], arguments["scope"]) == (["cp1", "w1"], [], ["cp1", "w1"])


@pytest.mark.parametrize(
    ("state", "arguments", "whole"),
    [
        ("present", ["--limit", "w1"], False),
        ("absent", ["--limit", "w1"], False),
        ("absent", ["--limit", "w1,cp1"], True),
        # A host with kubectl that is of no play.
        ("present", ["-e", "monitoring_api_host=admin"], True),
        ("absent", ["-e", "monitoring_api_host=admin"], True),
    ],
)
def test_monitoring_of_the_whole_cluster_is_left_alone_with_a_limit_to_other_hosts(
    play: Callable[..., Any], state: str, arguments: list[str], whole: bool
) -> None:
    role = {"name": "nodewise.cluster.monitoring", "rolespec_validate": False}
    hosts = {**inventory(), "ungrouped": {"hosts": {"admin": {"ansible_connection": "local"}}}}
    modules = ["monitoring", "metrics_authority", "metrics_certificate"]
    calls = play([{"ansible.builtin.import_role": role}], modules, hosts, "-e", f"monitoring_state={state}", *arguments)
    assert ("monitoring" in {name for name, *_more in calls}) is whole
    assert ("metrics_authority" in {name for name, *_more in calls}) is (whole and state == "absent")
    assert ("w1" in {host for name, host, *_more in calls if name == "metrics_certificate"}) is (state == "absent")
