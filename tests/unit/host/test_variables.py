from __future__ import annotations

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.host.preflight import describe
from ansible_collections.nodewise.cluster.plugins.module_utils.host.variables import Catalogue, check_values, check_variables, load_catalogue, suggestion

CATALOGUE = Catalogue(
    prefixes={"nodewise_", "host_", "containerd_", "kubeadm_worker_", "monitoring_"},
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
        "monitoring_server",
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


OPTIONS = Catalogue(
    prefixes={"host_"},
    names=set(),
    options={
        "host_swap": {"type": "str", "choices": ["disable", "allow"], "description": "x"},
        "host_sysctls": {"type": "dict"},
        "host_min": {"type": "int", "default": 3},
        "host_unset": {"type": "int"},
        "host_list": {"type": "list", "elements": "int"},
        "host_token": {"type": "int", "no_log": True},
        "host_nested": {"type": "dict", "options": {"key": {"type": "int", "no_log": True}}},
    },
)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("host_swap", "allow"),
        ("host_sysctls", {"a": 1}),
        ("host_min", 5),
        ("host_min", "5"),
        ("host_unset", None),
        ("host_list", [1, "2"]),
        ("host_nested", {"key": 1}),
    ],
)
def test_value_that_a_role_takes(name, value):
    assert check_values({"cp1": {name: value}}, OPTIONS) == []


@pytest.mark.parametrize(
    ("name", "value", "found", "needed"),
    [
        ("host_swap", "alow", "got: alow", "one of disable, allow"),
        ("host_sysctls", ["a"], "unable to convert to dict", "a value of type dict"),
        ("host_min", None, "unable to convert to int", "a value of type int"),
        ("host_min", "many", "unable to convert to int", "a value of type int"),
        ("host_list", ["a"], "unable to convert to int", "a value of type list of int"),
        ("host_nested", {"kay": 1}, "refused, and not shown", "a value of type dict"),
    ],
)
def test_value_that_a_role_refuses(name, value, found, needed):
    (problem,) = check_values({"cp1": {name: value}, "w1": {}}, OPTIONS)
    assert (problem["host"], problem["what"], problem["needed"]) == ("cp1", f"value of {name}", needed)
    assert found in problem["found"]


def test_secret_that_is_refused_is_not_shown():
    (problem,) = check_values({"cp1": {"host_token": "hush"}, "w1": {"host_token": "hush"}}, OPTIONS)
    assert problem["host"] == "all hosts"
    assert "hush" not in describe(problem)


def test_all_that_is_wrong_is_told_with_its_hosts():
    found = check_values({"cp1": {"host_min": "x", "host_swap": "y"}, "w1": {"host_min": "x"}, "w2": {"host_min": "z"}}, OPTIONS)
    assert [(problem["host"], problem["what"]) for problem in found] == [
        ("cp1, w1", "value of host_min"),
        ("w2", "value of host_min"),
        ("cp1", "value of host_swap"),
    ]


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("containerd_config_extra", {"plugins": {"cri": {}}}, "plugins.cri is a name of schema version 1"),
        ("containerd_registry_mirrors", [{"registry": "https://docker.io", "server": "https://x"}], "is no registry"),
        ("kubeadm_control_plane_labels", {"kubernetes.io/role": "x"}, "cannot be set when a node registers"),
        ("kubeadm_worker_labels", {"a b": "x"}, "is malformed"),
        ("kubeadm_worker_taints", [{"key": "a", "effect": "Never"}], "Never"),
        ("kubelet_extra_args", ["--cni-bin-dir=x"], "is gone since Kubernetes 1.24"),
    ],
)
def test_content_that_a_role_refuses_is_found_at_once(collection_root, name, value, found):
    (problem,) = check_values({"cp1": {name: value}, "w1": {}}, load_catalogue(str(collection_root)))
    assert (problem["host"], problem["what"]) == ("cp1", f"value of {name}")
    assert found in problem["found"]
    assert check_values({"cp1": {name: type(value)()}}, load_catalogue(str(collection_root))) == []


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("monitoring_certificate_days", 1, "A certificate for 1 days is not made"),
        ("monitoring_memory_mib", 100, "memory_mib is 100"),
        ("monitoring_missing_minutes", 0, "missing_minutes is 0"),
        ("monitoring_operator_version", "v0.85.0", "operator_version is 'v0.85.0', which is not a version"),
        ("monitoring_prometheus_version", 3.16, "prometheus_version is '3.16', which is not a version"),
        ("monitoring_retention_days", 0, "retention_days is 0"),
        ("monitoring_storage_gib", "0", "storage_gib is 0. Remedy: set it between 1 and 10000"),
    ],
)
def test_what_monitoring_refuses_is_found_at_once_where_it_is_wanted(collection_root, name, value, found):
    catalogue = load_catalogue(str(collection_root))
    (problem,) = check_values({"cp1": {name: value, "monitoring_state": "present"}, "w1": {name: value}}, catalogue)
    assert (problem["host"], problem["what"]) == ("cp1", f"value of {name}")
    assert found in problem["found"]
    assert check_values({"cp1": {name: value, "monitoring_state": "absent"}, "w1": {name: value}}, catalogue) == []


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("metrics_server_cpu_request", "abc", "cpu_request is 'abc', which is no quantity"),
        ("metrics_server_image", "Registry/x", "image is 'Registry/x', which is no image's name"),
        ("metrics_server_memory_request", "0", "memory_request is '0'"),
        ("metrics_server_replicas", 0, "replicas is 0. Remedy: set it between 1 and 10"),
        ("metrics_server_resolution", "5", "resolution is 5"),
        ("metrics_server_timeout", 0, "timeout is 0"),
    ],
)
def test_what_metrics_server_refuses_is_found_at_once_unless_it_is_not_wanted(collection_root, name, value, found):
    catalogue = load_catalogue(str(collection_root))
    (problem,) = check_values({"cp1": {name: value}, "w1": {name: value, "metrics_server_state": "absent"}}, catalogue)
    assert (problem["host"], problem["what"]) == ("cp1", f"value of {name}")
    assert found in problem["found"]
    assert len(check_values({"cp1": {name: value, "metrics_server_state": "present"}}, catalogue)) == 1


def test_defaults_of_optional_parts_are_taken(collection_root):
    catalogue = load_catalogue(str(collection_root))
    # What is a template may only be known later.
    given = {name: option["default"] for name, option in catalogue.options.items() if "{{" not in str(option.get("default", "{{"))}
    assert check_values({"cp1": {**given, "monitoring_state": "present"}}, catalogue) == []
