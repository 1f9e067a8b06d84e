# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab's consumption as the module tells it, compared with what kubectl says.

Needs a lab with a cluster (make cluster); NODEWISE_LAB names it. What is created here never runs and is removed again.
"""

from __future__ import annotations

import base64
import json
import subprocess
import time
import urllib.parse
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import lab
import pytest
import yaml
from ansible_collections.nodewise.cluster.plugins.module_utils.api.client import JSON, Answer, ApiClient
from ansible_collections.nodewise.cluster.plugins.module_utils.consumption import pages, result, wire
from ansible_collections.nodewise.cluster.plugins.module_utils.consumption.reading import read_cluster
from ansible_collections.nodewise.cluster.plugins.module_utils.kube.quantity import parse_quantity
from lab import LAB, ROOT

FOLDER = ROOT / ".lab" / LAB
KUBECONFIG = str(FOLDER / "kubeconfig")
IMAGE = "registry.invalid/none"
COUNTED = {
    "services": "services",
    "secrets": "secrets",
    "persistent_volume_claims": "persistentvolumeclaims",
    "replication_controllers": "replicationcontrollers",
    "deployments": "deployments",
}

pytestmark = pytest.mark.skipif(not Path(KUBECONFIG).exists(), reason=f"there is no cluster in lab {LAB}; make cluster makes one")


def kubectl(*arguments: str, stdin: str = "") -> str:
    command = [str(FOLDER / "kubectl"), f"--kubeconfig={KUBECONFIG}", *arguments]
    done = subprocess.run(command, input=stdin, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def items(kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(kubectl("get", kind, "--all-namespaces", "--output=json"))["items"]
    return found


def module(**options: Any) -> dict[str, Any]:
    """Run the module on the first control plane, as an operator does."""
    return lab.module("cp1", "cluster_resources_info", **{"sort_by": "name", **options})


def eventually(check: Callable[[], Any]) -> Any:
    """Return what is called for once it is true; the lab's other users go on meanwhile, and so do its controllers."""
    deadline = time.monotonic() + 60
    while not (found := check()) and time.monotonic() < deadline:
        time.sleep(1)
    assert found
    return found


def container(name: str, cpu: str, **other: Any) -> dict[str, Any]:
    return {"name": name, "image": IMAGE, "resources": {"requests": {"cpu": cpu, "memory": "8Mi"}, "limits": {"memory": "16Mi"}}, **other}


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    """Return a namespace with something of everything; no node is ever fit for its pod."""
    name = f"nodewise-consumption-{uuid.uuid4().hex[:8]}"
    spec = {
        "nodeSelector": {"nodewise.dev/none": "none"},
        "terminationGracePeriodSeconds": 0,
        "containers": [container("a", "100m"), container("b", "50m")],
        "initContainers": [container("sidecar", "30m", restartPolicy="Always"), container("init", "400m")],
    }
    template = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [container("a", "10m")]}}
    claim = {"accessModes": ["ReadWriteOnce"], "storageClassName": "none", "resources": {"requests": {"storage": "1Gi"}}}
    parts: dict[str, dict[str, Any]] = {
        "Pod": {"spec": spec},
        "Secret": {"stringData": {"a": "b"}},
        "Service": {"spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}},
        "PersistentVolumeClaim": {"spec": claim},
        "ReplicationController": {"spec": {"replicas": 0, "template": template}},
        "ResourceQuota": {"spec": {"hard": {"requests.cpu": "2", "pods": "3", "services.loadbalancers": "1"}}},
    }
    kubectl("create", "namespace", name)
    try:
        listed = [{"apiVersion": "v1", "kind": kind, "metadata": {"name": "one", "namespace": name}, **body} for kind, body in parts.items()]
        kubectl("create", "--filename=-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": listed}))
        yield name
    finally:
        kubectl("delete", "namespace", name, "--wait=false")


def of_namespace(name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(row for row in module()["namespaces"] if row["name"] == name)
    return found


def test_a_namespace_holds_what_was_put_there(namespace: str) -> None:
    row = eventually(lambda: (found := of_namespace(namespace))["quotas"][0]["resources"]["requests.cpu"]["used"] == "430m" and found)
    # An init container beside the sidecar before it takes more than both containers and the sidecar.
    assert row["requested"] == {"cpu": 430, "memory": 3 * 8 * 2**20}
    assert row["limits"] == {"memory": 3 * 16 * 2**20}
    assert row["quotas"] == [
        {
            "name": "one",
            "resources": {
                "requests.cpu": {"hard": "2", "used": "430m", "percent": 21.5},
                "pods": {"hard": "3", "used": "1", "percent": 33.3},
                "services.loadbalancers": {"hard": "1", "used": "1", "percent": 100.0},
            },
        }
    ]
    numbers = ("pods", "terminated_pods", "services", "load_balancers", "secrets", "persistent_volume_claims", "replication_controllers", "deployments")
    assert [row[name] for name in numbers] == [1, 0, 1, 1, 1, 1, 1, 0]


def test_the_numbers_are_kubectls(namespace: str) -> None:
    def agree() -> bool:
        totals = module()["totals"]
        ended = [pod["status"]["phase"] in ("Succeeded", "Failed") for pod in items("pods")]
        expected = {"nodes": len(items("nodes")), "namespaces": len(items("namespaces")), "pods": ended.count(False), "terminated_pods": ended.count(True)}
        expected |= {name: len(items(kind)) for name, kind in COUNTED.items()}
        return {name: totals[name] for name in expected} == expected and totals["unscheduled_pods"] >= 1

    assert eventually(agree)


def described(node: str) -> dict[str, int]:
    """Return the requests that kubectl describe sums up for a node."""
    lines = kubectl("describe", "node", node).partition("Allocated resources:")[2].splitlines()
    requests = {words[0]: parse_quantity(words[1]) for line in lines if len(words := line.split()) > 2 and words[0] in ("cpu", "memory")}
    return {"cpu": int(requests["cpu"] * 1000), "memory": int(requests["memory"])}


def test_nodes_have_what_kubectl_says() -> None:
    def agree() -> bool:
        rows = module()["nodes"]
        nodes = {node["metadata"]["name"]: node["status"] for node in items("nodes")}
        assert [row["name"] for row in rows] == sorted(nodes)
        for row in rows:
            for part in ("capacity", "allocatable"):
                amounts = nodes[row["name"]][part]
                assert row[part] == {name: int(parse_quantity(text) * (1000 if name == "cpu" else 1)) for name, text in amounts.items()}
        return all({"cpu": 0, "memory": 0, **row["requested"]} == described(row["name"]) for row in rows)

    assert eventually(agree)


def test_a_limit_is_never_what_cgroup_v1_has_for_none() -> None:
    found = module()
    assert all(row["limits"].get("memory", 0) < 2**60 for row in (*found["nodes"], *found["namespaces"], found["totals"]))


def test_each_figure_of_use_has_a_source_and_an_age_or_a_reason() -> None:
    for row in module(summary_nodes=["w1"])["nodes"]:
        figures = row["used"]
        assert row["name"] != "w1" or figures["cpu"]["source"] == "kubelet Summary"
        for figure in figures.values():
            assert figure.get("reason") if figure["value"] is None else figure["value"] > 0 and 0 <= figure["age_seconds"] < 180


def test_small_pages_and_a_snapshot_that_is_gone_give_the_same(monkeypatch: pytest.MonkeyPatch, namespace: str) -> None:
    class Old(ApiClient):
        """Asks for each kind's second page in a snapshot that the API server dropped long ago."""

        gone = 0

        def __init__(self) -> None:
            super().__init__(KUBECONFIG)
            self.aged: set[str] = set()

        def get(self, path: str, accept: str = JSON) -> Answer:
            first, mark, token = path.partition("&continue=")
            if mark and first not in self.aged:
                self.aged.add(first)
                state = {**json.loads(base64.urlsafe_b64decode(urllib.parse.unquote(token) + "==")), "rv": 1}
                path = f"{first}{mark}{base64.urlsafe_b64encode(json.dumps(state).encode()).decode().rstrip('=')}"
            answer = super().get(path, accept)
            self.gone += answer.status == 410
            return answer

    monkeypatch.setattr(pages, "PAGE", 2)

    def agree() -> bool:
        with closing(Old()) as client:
            cluster = read_cluster(client)
        found = module()
        return client.gone > 3 and cluster.errors == found["errors"] and result.namespaces(cluster, "name") == found["namespaces"]

    assert eventually(agree)


@pytest.mark.parametrize("kind", ["nodes", "pods"])
def test_protobuf_says_what_json_says(kind: str, namespace: str) -> None:
    def known(value: Any, message: str) -> Any:
        """Return of JSON what our messages have."""
        if isinstance(value, list):
            return [known(item, message) for item in value]
        if message not in wire.MESSAGES or not isinstance(value, dict):
            return value
        fields = {name: kind.split()[-1] for name, (_number, kind) in wire.MESSAGES[message].items()}
        fields["resources"] = "ResourceRequirements"
        return {name: known(part, fields[name]) for name, part in value.items() if name in fields and part not in ({}, [], "", False) or name == "resources"}

    def agree() -> bool:
        with closing(ApiClient(KUBECONFIG)) as client:
            as_json, as_protobuf = (client.get(f"/api/v1/{kind}", accept) for accept in (JSON, wire.PROTOBUF))
        assert (as_json.content_type, as_protobuf.content_type) == (JSON, wire.PROTOBUF)
        items = list(wire.decoded(as_protobuf)["items"])
        assert len(items) >= 3
        return items == known(as_json.value()["items"], kind[:-1].title())

    assert eventually(agree)


@pytest.fixture
def pod_reader(namespace: str, tmp_path: Path) -> Iterator[str]:
    """Return the kubeconfig of a user who may list pods and nothing else."""
    kubectl("create", "clusterrole", namespace, "--verb=list", "--resource=pods")
    kubectl("create", "clusterrolebinding", namespace, f"--clusterrole={namespace}", f"--serviceaccount={namespace}:default")
    try:
        config = yaml.safe_load(Path(KUBECONFIG).read_text())
        config["users"][0]["user"] = {"token": kubectl("create", "token", "default", f"--namespace={namespace}").strip()}
        path = tmp_path / "kubeconfig"
        path.write_text(yaml.safe_dump(config))
        yield str(path)
    finally:
        kubectl("delete", "clusterrolebinding,clusterrole", namespace)


def test_what_a_user_may_not_list_is_unknown(pod_reader: str, namespace: str) -> None:
    with closing(ApiClient(pod_reader)) as client:
        cluster = eventually(lambda: client.get("/api/v1/pods?limit=1").ok and read_cluster(client))
    row = next(row for row in result.namespaces(cluster, "name") if row["name"] == namespace)
    assert (row["pods"], row["requested"]["cpu"]) == (1, 430)
    assert [row[name] for name in (*COUNTED, "quotas")] == [None] * 6
    assert result.nodes(cluster, "cpu") is None
    assert "cannot list resource" in cluster.errors["secrets"]
    assert result.totals(cluster, None, [row])["nodes"] is None
