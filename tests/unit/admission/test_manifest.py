# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.admission.configuration import FOLDER, Wanted, wanted_of
from ansible_collections.nodewise.cluster.plugins.module_utils.admission.manifest import command, edit_pod, endpoint, flag_value, load_pod, mounts, strays
from ansible_collections.nodewise.cluster.plugins.module_utils.admission.plugins import Selection
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.kubelet.merge import dump

from .conftest import POD

PLAIN = wanted_of(Selection())
LIMITS = {"EventRateLimit": {"limits": [{"type": "Server", "qps": 1, "burst": 1}]}}


def wanted(*enable: str, disable: tuple[str, ...] = (), configuration: dict[str, Any] | None = None) -> Wanted:
    return wanted_of(Selection(frozenset({"NodeRestriction", *enable}), frozenset(disable), configuration or {}))


def test_kubeadms_own_pod_is_what_the_defaults_come_to() -> None:
    assert edit_pod(POD, PLAIN) == POD


def test_flags_are_changed_in_their_place_and_new_ones_go_last() -> None:
    before = copy.deepcopy(POD)
    after = edit_pod(POD, wanted("AlwaysPullImages", disable=("Priority",)))
    assert before == POD
    assert command(after) == [
        "kube-apiserver",
        "--advertise-address=192.0.2.11",
        "--enable-admission-plugins=NodeRestriction,AlwaysPullImages",
        "--secure-port=6443",
        "--tls-cert-file=/etc/kubernetes/pki/apiserver.crt",
        "--disable-admission-plugins=Priority",
    ]
    assert edit_pod(after, PLAIN) == POD


def test_the_folder_is_mounted_and_comes_in_the_order_of_names() -> None:
    after = edit_pod(POD, wanted("EventRateLimit", configuration=LIMITS))
    assert (FOLDER, FOLDER) in mounts(after)
    assert [item["name"] for item in after["spec"]["volumes"]] == ["ca-certs", "k8s-certs", "nodewise-admission"]
    assert edit_pod(after, wanted("EventRateLimit", configuration=LIMITS)) == after
    assert edit_pod(after, PLAIN) == POD


def test_a_pod_without_node_restriction_gets_it() -> None:
    pod = copy.deepcopy(POD)
    pod["spec"]["containers"][0]["command"].remove("--enable-admission-plugins=NodeRestriction")
    assert flag_value(edit_pod(pod, PLAIN), "enable-admission-plugins") == "NodeRestriction"


def test_the_order_of_plugins_is_no_difference() -> None:
    pod = copy.deepcopy(POD)
    pod["spec"]["containers"][0]["command"][2] = "--enable-admission-plugins=AlwaysPullImages,NodeRestriction"
    assert edit_pod(pod, wanted("AlwaysPullImages")) == pod


def test_where_it_answers() -> None:
    assert endpoint(POD) == ("192.0.2.11", 6443)
    pod = copy.deepcopy(POD)
    pod["spec"]["containers"][0]["command"] = ["kube-apiserver"]
    assert endpoint(pod) == ("127.0.0.1", 6443)


@pytest.mark.parametrize("text", ["", "a: [", "[]", "kind: Pod\nspec: {}", "kind: Pod\nspec: {containers: [{name: kube-apiserver}]}"])
def test_what_is_no_manifest_of_it(text: str) -> None:
    with pytest.raises(NodewiseError, match="does not hold a pod with the container kube-apiserver"):
        load_pod(text, "/m.yaml")


def test_strays(tmp_path: Path) -> None:
    manifest = tmp_path / "kube-apiserver.yaml"
    manifest.write_text(dump(POD))
    other = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "kube-vip", "namespace": "kube-system"}}
    (tmp_path / "kube-vip.yaml").write_text(dump(other))
    (tmp_path / ".kube-apiserver.yaml.swp").write_bytes(b"\xff\xfe")
    (tmp_path / "folder").mkdir()
    assert strays(str(manifest)) == ([], [])
    (tmp_path / "kube-apiserver.yaml.bak").write_text(dump(POD))
    (tmp_path / "kube-vip.yaml~").write_text(dump(other))
    (tmp_path / "notes.txt").write_text("remember: [")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    assert strays(str(manifest)) == (
        [f"{tmp_path}/kube-apiserver.yaml.bak"],
        [f"{tmp_path}/binary is no pod", f"{tmp_path}/kube-vip.yaml~ looks like a copy, and the kubelet runs it", f"{tmp_path}/notes.txt is no pod"],
    )
