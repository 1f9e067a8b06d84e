from __future__ import annotations

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.host.preflight import describe
from ansible_collections.nodewise.cluster.plugins.module_utils.host.variables import Catalogue, check_variables, load_catalogue, suggestion

CATALOGUE = Catalogue(
    prefixes={"nodewise_", "host_", "containerd_", "kubeadm_worker_"},
    names={"nodewise_pod_cidr", "host_swap", "host_allow_untested", "containerd_cgroup_driver", "kubeadm_worker_labels"},
)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("nodewise_pod_cdir", "nodewise_pod_cidr"),
        ("nodewise_everything", ""),  # in our own namespace even what is near nothing is wrong
        ("containerd_cgroupdriver", "containerd_cgroup_driver"),
        ("containerd_colour", ""),
        ("kubeadm_worker_lables", "kubeadm_worker_labels"),
        ("host_swapp", "host_swap"),
        ("host_allow_untestet", "host_allow_untested"),
        ("nodwise_pod_cidr", "nodewise_pod_cidr"),  # the prefix itself is misspelt
        ("contanerd_cgroup_driver", "containerd_cgroup_driver"),
    ],
)
def test_wrong_name_and_its_suggestion(name, near):
    assert suggestion(name, CATALOGUE) == near


@pytest.mark.parametrize(
    "name",
    [
        "nodewise_pod_cidr",
        "host_swap",
        "host_colour",  # host_ is a common prefix: a stranger's
        "pod_cidr",
        "swap",
        "lab_number",
        "ntp_servers",
    ],
)
def test_name_that_is_right_or_not_ours(name):
    assert suggestion(name, CATALOGUE) is None


def test_message_names_the_hosts_and_the_nearest_name():
    variables = {"cp1": ["host_swap", "containerd_cgroupdriver"], "w1": ["host_swap"]}
    assert [describe(problem) for problem in check_variables(variables, [], CATALOGUE)] == [
        "cp1: unknown variable: found containerd_cgroupdriver, needed containerd_cgroup_driver, perhaps. "
        "Remedy: correct the name, or list it in host_foreign_variables if another role uses it."
    ]


def test_message_without_a_near_name():
    variables = {"cp1": ["nodewise_everything"], "w1": ["nodewise_everything"]}
    assert [describe(problem) for problem in check_variables(variables, [], CATALOGUE)] == [
        "all hosts: unknown variable: found nodewise_everything, needed a variable that a role of this collection has. "
        "Remedy: correct the name, or list it in host_foreign_variables if another role uses it."
    ]


def test_ansibles_own_internal_and_foreign_names_are_passed_over():
    variables = {"cp1": ["ansible_containerd", "__containerd_x", "_containerd_y", "containerd_colour"]}
    assert check_variables(variables, ["containerd_col*"], CATALOGUE) == []


def test_catalogue_of_this_collection(collection_root):
    catalogue = load_catalogue(str(collection_root))
    assert {"host_", "nodewise_", "containerd_"} <= set(catalogue.prefixes)
    assert {"host_swap", "host_node_name", "nodewise_pod_cidr", "nodewise_node_name", "artifacts_obtained"} <= set(catalogue.names)


def test_no_variable_of_this_collection_is_unknown(collection_root):
    catalogue = load_catalogue(str(collection_root))
    assert [name for name in catalogue.names if suggestion(name, catalogue) is not None] == []
