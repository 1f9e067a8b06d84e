# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.cluster_autoscaler import install
from ansible_collections.nodewise.cluster.plugins.module_utils.cluster_autoscaler.flags import Flags, skew
from ansible_collections.nodewise.cluster.plugins.module_utils.cluster_autoscaler.install import ensure_absent, ensure_present
from ansible_collections.nodewise.cluster.plugins.module_utils.cluster_autoscaler.manifests import Wanted, cloud_config, objects
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError

WANTED = Wanted("registry.example/ca:v1.36.1", Flags().arguments(), "192.0.2.11:10270", "CA", "CERTIFICATE", "KEY")


def test_flags_are_what_the_provider_needs_and_the_operator_says() -> None:
    arguments = Flags(scan_interval=20, scale_down=False, scale_down_utilization_threshold=0.25, extra={"--cordon-node-before-terminating": "true"}).arguments()
    assert {
        "--cloud-provider=externalgrpc",
        "--cloud-config=/etc/nodewise/cloud.yaml",
        "--status-taint=nodewise.dev/overloaded",
        "--force-delete-unregistered-nodes=true",
        "--scan-interval=20s",
        "--scale-down-enabled=false",
        "--scale-down-utilization-threshold=0.25",
        "--scale-down-unneeded-time=600s",
        "--cordon-node-before-terminating=true",
    } <= set(arguments)
    assert len({argument.split("=")[0] for argument in arguments}) == len(arguments)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"expander": "price"}, "expander is 'price'"),
        ({"scan_interval": 0}, "scan_interval is 0.*between 1 and 86400"),
        ({"max_node_provision_time": 10}, "max_node_provision_time is 10"),
        ({"scale_down_utilization_threshold": 1.5}, "scale_down_utilization_threshold is 1.5"),
        ({"max_nodes_total": -1}, "max_nodes_total is -1"),
        ({"extra": {"cloud-provider": "aws"}}, "The flag cloud-provider cannot"),
        ({"extra": {"--scan-interval": "1s"}}, "The flag --scan-interval cannot"),
    ],
)
def test_flags_that_make_no_sense_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(NodewiseError, match=message):
        Flags(**changes)


def test_another_minor_is_told() -> None:
    assert skew("1.36.3", "1.36.1") == ""
    assert "the scheduler of Kubernetes 1.36, while the cluster runs 1.37.2" in skew("1.37.2", "1.36.1")
    assert "1.35.2 is the release for this cluster" in skew("1.35.4", "1.36.1")


def test_it_never_speaks_without_tls() -> None:
    config = json.loads(cloud_config("192.0.2.11:10270"))
    assert config["address"] == "192.0.2.11:10270"
    assert all(config[name].startswith("/etc/nodewise/") for name in ("key", "cert", "cacert"))


def by_kind(wanted: Wanted = WANTED) -> dict[str, dict[str, Any]]:
    return {one["kind"]: one for one in objects(wanted)}


def test_secrets_are_in_the_secret_alone() -> None:
    found = by_kind()
    data = {name: base64.b64decode(text).decode() for name, text in found["Secret"]["data"].items()}
    assert (data["ca.crt"], data["tls.crt"], data["tls.key"]) == ("CA", "CERTIFICATE", "KEY")
    assert "KEY" not in json.dumps([one for kind, one in found.items() if kind != "Secret"])
    assert "KEY" not in repr(WANTED)


def test_a_new_certificate_or_address_restarts_it() -> None:
    def digest(wanted: Wanted) -> str:
        return str(by_kind(wanted)["Deployment"]["spec"]["template"]["metadata"]["annotations"]["nodewise.dev/config-digest"])

    others = [Wanted(WANTED.image, WANTED.arguments, *rest) for rest in (("x:1", "CA", "CERTIFICATE", "KEY"), (WANTED.address, "CA", "OTHER", "KEY"))]
    assert len({digest(WANTED), *map(digest, others)}) == 3


def test_it_may_neither_delete_nodes_nor_read_secrets_nor_change_the_config_maps_of_others() -> None:
    rules = by_kind()["ClusterRole"]["rules"] + by_kind()["Role"]["rules"]
    by_resource = {(resource, "resourceNames" in rule): rule["verbs"] for rule in rules for resource in rule["resources"]}
    assert "delete" not in by_resource["nodes", False]
    assert not {"secrets", "*"} & {resource for resource, _named in by_resource}
    assert set(by_resource["configmaps", False]) == {"create", "list", "watch"}
    assert not any("*" in rule["verbs"] for rule in rules)


def test_it_runs_where_it_removes_nothing_and_without_rights_on_the_host() -> None:
    pod = by_kind()["Deployment"]["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"node-role.kubernetes.io/control-plane": ""}
    assert pod["priorityClassName"] == "system-cluster-critical"
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"]
    assert by_kind()["PodDisruptionBudget"]["spec"]["selector"] == by_kind()["Deployment"]["spec"]["selector"]


class FakeKubectl:
    def __init__(self, difference: str = "", deployment: dict[str, Any] | None = None) -> None:
        self.difference, self.deployment = difference, deployment
        self.applied: list[str] = []
        self.ran: list[str] = []
        # Whether an object is ours, by its kind.
        self.there: dict[str, bool] = {}

    def diff(self, _objects: Any) -> str:
        return self.difference

    def apply(self, wanted: list[dict[str, Any]]) -> str:
        self.applied += [one["kind"] for one in wanted]
        return ""

    def get(self, *_args: str) -> dict[str, Any] | None:
        return self.deployment

    def run(self, args: list[str], stdin: str = "", **_options: Any) -> tuple[int, str, str]:
        if stdin:
            asked = [{**one, "metadata": {**one["metadata"], "labels": {}}} for one in json.loads(stdin)["items"] if one["kind"] in self.there]
            for one in asked:
                one["metadata"]["labels"] |= {"app.kubernetes.io/part-of": "nodewise"} if self.there[one["kind"]] else {"app": "theirs"}
            # As kubectl: one alone is no list.
            return 0, json.dumps(asked[0] if len(asked) == 1 else {"items": asked}) if asked else "", ""
        self.ran.append(" ".join(args[:3]))
        return 0, "boom", ""


def available(replicas: int = 1) -> dict[str, Any]:
    return {"metadata": {"generation": 2}, "status": {"observedGeneration": 2, "updatedReplicas": 1, "availableReplicas": replicas}}


def test_nothing_is_applied_when_nothing_differs_or_in_check_mode() -> None:
    same: Any = FakeKubectl(deployment=available())
    assert ensure_present(same, WANTED, False, 1).actions == []
    differs: Any = FakeKubectl("+ x")
    assert ensure_present(differs, WANTED, True, 1).actions == ["apply cluster-autoscaler"]
    assert same.applied == differs.applied == []


def test_one_that_does_not_come_up_is_an_error_with_its_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install.time, "sleep", lambda _seconds: None)
    kubectl: Any = FakeKubectl("+ x", available(0))
    with pytest.raises(NodewiseError, match=r"is not available within 0 s(.|\n)*boom"):
        ensure_present(kubectl, WANTED, False, 0)
    assert kubectl.applied[0] == "ServiceAccount"


def test_all_of_it_goes() -> None:
    kubectl: Any = FakeKubectl()
    # The Lease has no label of ours.
    kubectl.there = {"Deployment": True, "Secret": True, "ClusterRole": True, "Lease": False}
    expected = ["remove Deployment", "remove Secret", "remove Lease", "remove ClusterRole"]
    assert [action.rpartition(" ")[0] for action in ensure_absent(kubectl, True).actions] == expected
    assert kubectl.ran == []
    ensure_absent(kubectl, False)
    assert kubectl.ran[0] == "delete deployment cluster-autoscaler"
    kubectl.there = {}
    assert ensure_absent(kubectl, False).actions == []


def test_a_removal_that_was_cut_off_is_gone_on_with_wherever_that_was() -> None:
    kubectl: Any = FakeKubectl()
    kinds = ["ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "PodDisruptionBudget", "Secret", "Deployment"]
    kubectl.there = {**dict.fromkeys(kinds, True), "ConfigMap": False, "Lease": False}
    order = [action.split()[1] for action in ensure_absent(kubectl, True).actions]
    assert sorted(order) == sorted(kubectl.there)
    assert order.index("RoleBinding") < order.index("Lease"), "one that still runs may not make it anew"
    for done in range(1, len(order)):
        kubectl.there.pop(order[done - 1])
        assert [action.split()[1] for action in ensure_absent(kubectl, True).actions] == order[done:]


@pytest.mark.parametrize("check_mode", [True, False])
def test_another_one_is_neither_taken_over_nor_removed(check_mode: bool) -> None:
    kubectl: Any = FakeKubectl("+ x", available())
    kubectl.there = {"Deployment": False, "ClusterRole": False, "ConfigMap": False, "Lease": False}
    with pytest.raises(NodewiseError, match="another cluster-autoscaler in the cluster: ClusterRole cluster-autoscaler, Deployment cluster-autoscaler"):
        ensure_present(kubectl, WANTED, check_mode, 1)
    assert ensure_absent(kubectl, check_mode).actions == []
    # What is left of ours beside it goes.
    kubectl.there["Secret"] = True
    assert ensure_absent(kubectl, True).actions == ["remove Secret nodewise-cluster-autoscaler"]
    assert kubectl.applied == kubectl.ran == []
