# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.admission.configuration import (
    FOLDER,
    Wanted,
    cluster_part,
    edit_cluster_configuration,
    same_value,
    wanted_of,
)
from ansible_collections.nodewise.cluster.plugins.module_utils.admission.plugins import Selection
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError

from .conftest import CLUSTER

PLAIN = wanted_of(Selection())
LIMITS = {"EventRateLimit": {"limits": [{"type": "Server", "qps": 1, "burst": 1}]}}


def wanted(*enable: str, disable: tuple[str, ...] = (), configuration: dict[str, Any] | None = None) -> Wanted:
    return wanted_of(Selection(frozenset({"NodeRestriction", *enable}), frozenset(disable), configuration or {}))


def test_the_flags() -> None:
    found = wanted("PodNodeSelector", "AlwaysPullImages", disable=("Priority", "LimitRanger"))
    assert found.flags == {
        "enable-admission-plugins": "NodeRestriction,AlwaysPullImages,PodNodeSelector",
        "disable-admission-plugins": "LimitRanger,Priority",
        "admission-control-config-file": "",
    }
    assert (found.file, found.path) == ("", "")


def test_another_configuration_is_another_file() -> None:
    one, other = wanted("EventRateLimit", configuration=LIMITS), wanted("EventRateLimit", configuration={"EventRateLimit": {"limits": []}})
    assert one.path != other.path
    assert one.path == wanted("EventRateLimit", configuration=copy.deepcopy(LIMITS)).path
    assert one.path.startswith(f"{FOLDER}/admission-")
    assert "kind: AdmissionConfiguration\nplugins:\n- configuration:\n    limits:" in one.file


def test_a_new_cluster_needs_nothing_for_the_defaults() -> None:
    assert cluster_part(PLAIN) == {}


def test_a_new_cluster_is_given_the_rest() -> None:
    part = cluster_part(wanted("EventRateLimit", configuration=LIMITS))["apiServer"]
    assert part["extraArgs"][0] == {"name": "enable-admission-plugins", "value": "NodeRestriction,EventRateLimit"}
    assert part["extraArgs"][1]["name"] == "admission-control-config-file"
    assert part["extraVolumes"] == [{"name": "nodewise-admission", "hostPath": FOLDER, "mountPath": FOLDER, "readOnly": True, "pathType": "DirectoryOrCreate"}]


def test_other_arguments_and_fields_stay() -> None:
    audit = {"name": "audit-log-path", "value": "/x"}
    before = {**CLUSTER, "apiServer": {"certSANs": ["a"], "extraArgs": [audit], "extraVolumes": [{"name": "audit", "hostPath": "/x", "mountPath": "/x"}]}}
    kept = copy.deepcopy(before)
    after = edit_cluster_configuration(before, wanted("AlwaysPullImages", disable=("Priority",)))
    assert before == kept
    assert after["apiServer"]["certSANs"] == ["a"]
    assert after["apiServer"]["extraVolumes"] == before["apiServer"]["extraVolumes"]
    assert after["apiServer"]["extraArgs"] == [
        audit,
        {"name": "enable-admission-plugins", "value": "NodeRestriction,AlwaysPullImages"},
        {"name": "disable-admission-plugins", "value": "Priority"},
    ]
    assert edit_cluster_configuration(after, PLAIN) == before


@pytest.mark.parametrize("value", ["NodeRestriction", " NodeRestriction", "NodeRestriction,"])
def test_what_means_the_same_is_left_alone(value: str) -> None:
    document = {**CLUSTER, "apiServer": {"extraArgs": [{"name": "enable-admission-plugins", "value": value}]}}
    assert edit_cluster_configuration(document, PLAIN) == document
    assert edit_cluster_configuration(CLUSTER, PLAIN) == CLUSTER


def test_the_order_of_plugins_does_not_matter() -> None:
    assert same_value("enable-admission-plugins", "B,NodeRestriction", "NodeRestriction,B")
    assert not same_value("enable-admission-plugins", "B", "NodeRestriction,B")
    assert not same_value("admission-control-config-file", "/a", "/b")


def test_an_argument_given_twice_becomes_one() -> None:
    twice = [{"name": "enable-admission-plugins", "value": "PodNodeSelector"}, {"name": "enable-admission-plugins", "value": "AlwaysAdmit"}]
    after = edit_cluster_configuration({**CLUSTER, "apiServer": {"extraArgs": twice}}, wanted("PodNodeSelector"))
    assert after["apiServer"]["extraArgs"] == [{"name": "enable-admission-plugins", "value": "NodeRestriction,PodNodeSelector"}]


def test_a_foreign_volume_of_our_name_is_put_right() -> None:
    document = {**CLUSTER, "apiServer": {"extraVolumes": [{"name": "nodewise-admission", "hostPath": "/elsewhere", "mountPath": FOLDER}]}}
    after = edit_cluster_configuration(document, wanted("EventRateLimit", configuration=LIMITS))
    assert [item["hostPath"] for item in after["apiServer"]["extraVolumes"]] == [FOLDER]
    assert "extraVolumes" not in edit_cluster_configuration(document, PLAIN)["apiServer"]


def test_an_older_form_is_refused() -> None:
    with pytest.raises(NodewiseError, match=r"is kubeadm.k8s.io/v1beta3, not kubeadm.k8s.io/v1beta4"):
        edit_cluster_configuration({**CLUSTER, "apiVersion": "kubeadm.k8s.io/v1beta3"}, PLAIN)
