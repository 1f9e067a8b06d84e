# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What templates of the roles' variables and tasks come to."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.nodewise.cluster.plugins.plugin_utils.run import this_run

ROOT = Path(__file__).resolve().parents[3]
HOSTS = {"cp1": {}, "w1": {}, "W2": {}, "s1": {"nodewise_node_name": "spare"}}


def load(path: str) -> Any:
    return DataLoader().load_from_file(str(ROOT / path), trusted_as_template=True)


def template(text: str, variables: dict[str, Any]) -> Any:
    return Templar(DataLoader(), variables=variables).template(trust_as_template(text))


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("other", [{"Web Server": {}}, {"switch": {"nodewise_node_name": ""}}, {"nas": {"nodewise_node_name": " two  words "}}])
@pytest.mark.parametrize(("role", "name"), [("node_labels", "__node_labels_names"), ("autoscaler", "__autoscaler_node_names")])
def test_an_unrelated_host_of_the_inventory_moves_no_nodes_name(role: str, name: str, other: dict[str, Any], first: bool) -> None:
    hosts = {**other, **HOSTS} if first else {**HOSTS, **other}
    groups = {"all": list(hosts), "control_plane": ["cp1"], "workers": ["w1", "W2"], "standby": ["s1"]}
    variables = {**load(f"roles/{role}/vars/main.yml"), "groups": groups, "hostvars": hosts}
    names = template(f"{{{{ {name} }}}}", variables)
    assert {host: names[host] for host in HOSTS} == {"cp1": "cp1", "w1": "w1", "W2": "w2", "s1": "spare"}


def test_the_nodes_that_must_be_there_are_those_of_their_hosts() -> None:
    hosts = {"Web Server": {}, **HOSTS, "w1": {"nodewise_node_name": "one"}}
    groups = {"all": list(hosts), "control_plane": ["cp1"], "workers": ["w1", "W2", "cp1"], "standby": ["s1"]}
    variables = {**load("roles/node_labels/vars/main.yml"), "groups": groups, "hostvars": hosts}
    assert template("{{ __node_labels_required }}", variables) == ["cp1", "one", "w2"]
    assert template("{{ __node_labels_required }}", {**variables, "ansible_limit": "w1"}) == []
    (task,) = load("roles/node_labels/tasks/apply.yml")
    assert template(task["nodewise.cluster.node_labels"]["node_names"], variables)["w1"] == "one"


def test_an_empty_socket_of_the_container_runtime_is_as_good_as_none() -> None:
    files = [path for folder in ("roles", "playbooks") for path in (ROOT / folder).rglob("*.yml")]
    found = {(path, text) for path in files for text in re.findall(r"\{\{[^}]*\bnodewise_cri_socket\b[^}]*\}\}", path.read_text())}
    assert len(found) > 10
    assert {(path, text) for path, text in found if template(text, {"nodewise_cri_socket": ""}) != template(text, {})} == set()


@pytest.mark.parametrize(("variables", "seconds"), [({}, "180.0"), ({"reporter_valid_seconds": 1500}, "1500")])
def test_a_report_is_stale_for_the_monitoring_when_it_is_for_the_reporter(variables: dict[str, Any], seconds: str) -> None:
    watch = next(task["nodewise.cluster.monitoring"] for task in load("roles/monitoring/tasks/main.yml") if "nodewise.cluster.monitoring" in task)
    assert str(template(watch["reporter_valid_seconds"], variables)) == seconds
    assert load("roles/reporter/defaults/main.yml")["reporter_valid_seconds"] == 180.0


@pytest.mark.parametrize(("timeout", "seconds"), [(400, 340), ("400", 340), ("60", 30)])
def test_a_number_may_be_given_as_text_to_the_autoscaler(timeout: Any, seconds: int) -> None:
    """As C(-e) and inventories in INI give it."""
    standby = next(task["nodewise.cluster.standby"] for task in load("roles/autoscaler/tasks/main.yml") if "nodewise.cluster.standby" in task)
    assert template(standby["join_seconds"], {"autoscaler_join_timeout": timeout}) == seconds
    capacity = {"capacity": {}, "host_key": ""}
    host = {"__autoscaler_standby": capacity, "nodewise_node_ip": "192.0.2.2", "ansible_facts": {"nodewise": {"architecture": "amd64"}}}
    hostvars = {"s1": {**host, "autoscaler_power_timeout": timeout}, "s2": host}
    shown = template("{{ __autoscaler_shown }}", {**load("roles/autoscaler/vars/main.yml"), "ansible_play_hosts_all": list(hostvars), "hostvars": hostvars})
    assert shown["s1"]["power_timeout_seconds"] == int(timeout)
    assert not shown["s2"]["power_timeout_seconds"]  # the provider has a default of its own


@pytest.mark.parametrize(
    ("facts", "judged"),
    [
        ({}, False),
        ({"nodewise": {"kubelet_conf": True, "run": "ansible-local-1another"}}, False),
        ({"nodewise": {"kubelet_conf": False, "run": this_run()}}, False),
        ({"nodewise": {"kubelet_conf": True, "run": this_run()}}, True),
    ],
)
def test_a_standby_host_that_has_joined_in_an_earlier_run_and_is_silent_now_is_not_judged(facts: dict[str, Any], judged: bool) -> None:
    """Ansible's fact cache still says that it is a node."""
    hosts = {"cp1": {"ansible_facts": {}}, "s1": {"ansible_facts": facts}}
    groups = {"all": list(hosts), "control_plane": ["cp1"], "standby": ["s1"]}
    variables = {**load("roles/verify/vars/main.yml"), "groups": groups, "hostvars": hosts, "ansible_play_hosts_all": list(hosts)}
    assert template("{{ __verify_scope }}", variables) == (["cp1", "s1"] if judged else ["cp1"])
    assert template("{{ __verify_here }}", {**variables, "inventory_hostname": "s1", "ansible_facts": facts}) is judged
    assert template("{{ __verify_here }}", {**variables, "inventory_hostname": "cp1", "ansible_facts": {}}) is True


@pytest.mark.parametrize(("run", "known"), [(this_run(), True), ("ansible-local-1another", False), (None, False)], ids=["this", "another", "none"])
def test_facts_of_an_earlier_run_change_nothing_of_hosts_outside_of_this_one(run: str | None, known: bool) -> None:
    """With a fact cache and a limit; calico-node would be restarted for a lost CNI configuration each time, and certificates be waited for."""
    facts = {"kubelet_conf": True, "calico_cni_config": False, "default_ipv4": "192.0.2.1", "wanted": {"node_name": "w1"}}
    hosts = {"cp1": {"ansible_facts": {}}, "w1": {"ansible_facts": {"nodewise": {**facts, **({"run": run} if run else {})}}}}
    variables = {"groups": {"all": list(hosts), "control_plane": ["cp1"], "workers": ["w1"]}, "hostvars": hosts}
    assert template("{{ __calico_nodes_without_cni }}", {**load("roles/calico/vars/main.yml"), **variables}) == (["w1"] if known else [])
    addresses = template("{{ __kubelet_addresses }}", {**load("roles/kubelet/vars/main.yml"), **variables})
    assert addresses == ({"w1": ["192.0.2.1"]} if known else {})


@pytest.mark.parametrize(
    ("check", "facts", "verified"),
    [
        (True, {"nodewise": {"admin_conf": False}}, False),
        (True, {"nodewise": {"admin_conf": True}}, True),
        # With a limit that leaves the control plane out.
        (True, {}, True),
        (False, {"nodewise": {"admin_conf": False}}, True),
    ],
)
def test_a_check_of_bare_hosts_verifies_nothing(check: bool, facts: dict[str, Any], verified: bool) -> None:
    (role,) = load("playbooks/site.yml")[-1]["roles"]
    variables = {"ansible_check_mode": check, "groups": {"control_plane": ["cp1"]}, "hostvars": {"cp1": {"ansible_facts": facts}}}
    assert template(f"{{{{ {role['when']} }}}}", variables) is verified
