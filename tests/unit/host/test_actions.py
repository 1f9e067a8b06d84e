from __future__ import annotations

import multiprocessing
import subprocess
import sys
from unittest.mock import MagicMock

import pytest
from ansible.errors import AnsibleUndefinedVariable
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.nodewise.cluster.plugins.action import host_facts, preflight
from ansible_collections.nodewise.cluster.plugins.plugin_utils.run import this_run


def action(plugin, args=None):
    task = MagicMock(async_val=0, check_mode=False, diff=False, args=args or {})
    return plugin.ActionModule(task=task, connection=MagicMock(), play_context=MagicMock(), loader=None, templar=None, shared_loader_obj=None)


@pytest.fixture
def task_vars(site):
    hosts = site().hosts
    return {
        "hostvars": {host: {"ansible_facts": {"nodewise": facts}, "lab_number": 1} for host, facts in hosts.items()},
        "ansible_play_hosts_all": list(hosts),
        "groups": {"all": list(hosts), "control_plane": ["cp1"], "workers": ["w1", "w2"], "standby": ["s1"]},
    }


def test_preflight_of_a_good_site(task_vars):
    result = action(preflight).run(task_vars=task_vars)
    assert result == {"hosts": ["cp1", "w1", "w2", "s1"], "problems": []}


def test_preflight_tells_all_problems_in_one_message(task_vars):
    task_vars["hostvars"]["w1"]["ansible_facts"]["nodewise"]["cgroup"] = "v1"
    task_vars["hostvars"]["w2"]["nodewise_pod_cdir"] = "10.0.0.0/8"
    task_vars["hostvars"]["s1"]["ansible_facts"] = {}
    result = action(preflight).run(task_vars=task_vars)
    assert result["failed"] is True
    assert [problem["host"] for problem in result["problems"]] == ["s1", "w1", "w2"]
    heading, *lines = result["msg"].split("\n")
    assert heading == "3 problems to put right first; nothing was changed."
    assert [line.split(": found")[0] for line in lines] == ["  s1: no facts", "  w1: cgroup version", "  w2: unknown variable"]


def test_preflight_takes_a_host_for_silent_whose_facts_are_of_another_run(task_vars):
    """Ansible's fact cache has them, though the host cannot be reached."""
    facts = {host: its["ansible_facts"]["nodewise"] for host, its in task_vars["hostvars"].items()}
    facts["w1"]["run"] = "ansible-local-1another"
    del facts["w2"]["run"]
    result = action(preflight).run(task_vars=task_vars)
    assert result["hosts"] == ["cp1", "s1"]
    assert {(problem["host"], problem["what"]) for problem in result["problems"]} == {("w1", "no facts"), ("w2", "no facts")}


def test_preflight_honours_the_node_network_of_the_control_plane(task_vars):
    for host in task_vars["hostvars"].values():
        host["ansible_facts"]["nodewise"]["wanted"]["pod_cidr"] = "10.244.0.0/24"
    assert [problem["what"] for problem in action(preflight).run(task_vars=task_vars)["problems"]] == ["nodewise_pod_cidr is too small"]
    arguments = [{"name": "node-cidr-mask-size-ipv4", "value": "26"}]
    task_vars["hostvars"]["cp1"]["kubeadm_control_plane_cluster_configuration"] = {"controllerManager": {"extraArgs": arguments}}
    assert action(preflight).run(task_vars=task_vars)["problems"] == []


def test_preflight_judges_values_of_all_roles(task_vars):
    task_vars["hostvars"]["w1"]["guard_hold_seconds"] = "long"
    assert [problem["what"] for problem in action(preflight).run(task_vars=task_vars)["problems"]] == ["value of guard_hold_seconds"]


def test_preflight_leaves_a_value_that_cannot_be_told_yet_to_its_role(task_vars):
    class Undefined(dict):
        def __getitem__(self, name):
            if name == "guard_hold_seconds":
                raise AnsibleUndefinedVariable("not yet")
            return super().__getitem__(name)

    task_vars["hostvars"]["w1"] = Undefined(task_vars["hostvars"]["w1"], guard_hold_seconds=0)
    assert action(preflight).run(task_vars=task_vars)["problems"] == []


def test_foreign_variables_are_the_operators_word(task_vars):
    task_vars["hostvars"]["w2"]["containerd_colour"] = "red"
    assert action(preflight).run(task_vars=task_vars)["failed"] is True
    task_vars["hostvars"]["w2"]["ansible_facts"]["nodewise"]["wanted"]["foreign_variables"] = ["containerd_colour"]
    assert action(preflight).run(task_vars=task_vars)["problems"] == []


@pytest.mark.parametrize("ahead", [0.0, 60.0, -60.0])
def test_clock_is_measured_between_sending_and_receiving(monkeypatch, ahead):
    now = iter([1000.0, 1000.8])
    monkeypatch.setattr(host_facts.time, "time", lambda: next(now))
    plugin = action(host_facts, {"wanted": {}})
    plugin._execute_module = MagicMock(return_value={"changed": False, "ansible_facts": {"nodewise": {"time": 1000.3 + ahead}}})
    clock = plugin.run(task_vars={})["ansible_facts"]["nodewise"]["clock"]
    assert clock["uncertainty"] == pytest.approx(0.4)
    assert clock["offset"] - clock["uncertainty"] <= ahead <= clock["offset"] + clock["uncertainty"]


def test_facts_gathered_in_one_run_bear_its_mark_in_all_its_processes_and_in_no_other(collection_root):
    plugin = action(host_facts)
    plugin._execute_module = MagicMock(return_value={"ansible_facts": {"nodewise": {"time": 1.0}}})
    run = plugin.run(task_vars={})["ansible_facts"]["nodewise"]["run"]
    with multiprocessing.get_context("fork").Pool(1) as workers:
        assert workers.apply(this_run) == run
    other = "import runpy, sys; print(runpy.run_path(sys.argv[1])['this_run']())"
    module = collection_root / "plugins/plugin_utils/run.py"
    assert subprocess.check_output([sys.executable, "-c", other, str(module)], text=True).strip() not in ("", run)


@pytest.mark.parametrize(
    ("facts", "prepares"),
    [
        ({}, True),
        ({"nodewise": {"prepared": True}}, True),
        ({"nodewise": {"prepared": True, "run": "ansible-local-1another"}}, True),
        ({"nodewise": {"prepared": False, "run": this_run()}}, True),
        ({"nodewise": {"prepared": True, "run": this_run()}}, False),
    ],
)
def test_only_facts_of_this_run_save_the_role_its_work(collection_root, facts, prepares):
    (task,) = DataLoader().load_from_file(str(collection_root / "roles/host/tasks/main.yml"))
    assert Templar(DataLoader(), variables={"ansible_facts": facts}).evaluate_conditional(trust_as_template(task["when"])) is prepares


def test_failed_facts_are_passed_on():
    plugin = action(host_facts)
    plugin._execute_module = MagicMock(return_value={"failed": True, "msg": "no"})
    assert plugin.run(task_vars={}) == {"failed": True, "msg": "no"}
