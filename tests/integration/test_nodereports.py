# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""NodeReports on a lab's real API server, with a node's real kubelet certificate.

Needs a lab with a cluster (make cluster); NODEWISE_LAB names it. A reporter that runs there goes on beside this.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from ansible_collections.nodewise.cluster.plugins.module_utils.api.client import JSON, JSON_PATCH, ApiClient
from ansible_collections.nodewise.cluster.plugins.module_utils.cri.model import Container, ContainerKey, Counter, RuntimeReading, RuntimeStatus
from ansible_collections.nodewise.cluster.plugins.module_utils.node.model import CGROUP, CpuCounter, Filesystem, HostReading, Memory, Pressure
from ansible_collections.nodewise.cluster.plugins.module_utils.report import schema
from ansible_collections.nodewise.cluster.plugins.module_utils.report.build import Allocatable, Observer
from ansible_collections.nodewise.cluster.plugins.module_utils.report.manifests import NAME, cluster_objects
from ansible_collections.nodewise.cluster.plugins.module_utils.report.publisher import RECALLED, WRITTEN, Publisher
from ansible_collections.nodewise.cluster.plugins.module_utils.report.settings import Settings
from ansible_collections.nodewise.cluster.plugins.module_utils.report.size import BUDGET, stored_size
from lab import LAB, ROOT, on

FOLDER = ROOT / ".lab" / LAB
NODE, OTHER = "w2", "cp1"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


@pytest.fixture(scope="module")
def admin() -> Iterator[ApiClient]:
    """Return an administrator's client, with the collection's objects in the cluster."""
    kubectl = [str(FOLDER / "kubectl"), f"--kubeconfig={FOLDER}/kubeconfig", "apply", "--server-side", "--force-conflicts", "--field-manager=nodewise"]
    objects = json.dumps({"apiVersion": "v1", "kind": "List", "items": cluster_objects()})
    done = subprocess.run([*kubectl, "-f", "-"], input=objects, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    client = ApiClient(str(FOLDER / "kubeconfig"))
    deadline = time.monotonic() + 30
    while not client.get(schema.PATH).ok and time.monotonic() < deadline:
        time.sleep(0.5)
    yield client
    client.close()


@pytest.fixture(scope="module")
def kubelet(tmp_path_factory: pytest.TempPathFactory, admin: ApiClient) -> Iterator[ApiClient]:
    """Return a client with a node's own certificate, as its reporter has it."""
    folder = tmp_path_factory.mktemp("kubelet")
    config = yaml.safe_load(on(NODE, "cat", "/etc/kubernetes/kubelet.conf"))
    pair = folder / "current.pem"
    pair.touch(mode=0o600)
    pair.write_text(on(NODE, "cat", "/var/lib/kubelet/pki/kubelet-client-current.pem"))
    config["users"][0]["user"] = {"client-certificate": "current.pem", "client-key": "current.pem"}
    path = folder / "kubelet.conf"
    path.write_text(yaml.safe_dump(config))
    client = ApiClient(str(path))
    yield client
    client.close()


@pytest.fixture
def made_up(admin: ApiClient) -> Iterator[str]:
    """Return the name of a Node that is none, with a report that it owns; both are removed."""
    name = f"made-up-{uuid.uuid4().hex[:8]}"
    created = admin.request("POST", "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
    assert created.ok, created.message
    owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": created.value()["metadata"]["uid"]}
    answer = admin.request("POST", schema.PATH, report(name, owner))
    assert answer.ok, answer.message
    yield name
    admin.request("DELETE", f"/api/v1/nodes/{name}")
    admin.request("DELETE", f"{schema.PATH}/{name}")


def report(name: str, owner: dict[str, str] | None = None) -> dict[str, Any]:
    owners = [owner or {"apiVersion": "v1", "kind": "Node", "name": name, "uid": str(uuid.uuid4())}]
    return {"apiVersion": schema.API_VERSION, "kind": schema.KIND, "metadata": {"name": name, "ownerReferences": owners}}


def sample(publisher: Publisher | None = None) -> dict[str, Any]:
    """Return a status as a node makes it."""
    gib = 2**30
    observer = Observer(Settings(), "0.0.0-test")
    runtime = RuntimeReading(RuntimeStatus("containerd", "v2.4.2", "systemd", True, True), (), 3, 0)
    result: dict[str, Any] = {}
    for step in range(3):
        host = HostReading(
            CGROUP,
            "v1",
            boot_id=f"{uuid.UUID(int=1)}+123",
            cpu=CpuCounter(0, step * 10**10, step * 10**9),
            memory=Memory(8 * gib, 2 * gib, gib, 0, 0),
            filesystems=(Filesystem(("node", "image"), "/var/lib/kubelet", 1, 100 * gib, 43 * gib, 57 * gib, 1000, 10),),
        )
        now = time.time() - 20 + 10 * step
        observer.restore(publisher.stored if publisher else None)
        from_node = publisher.allocatable if publisher else Allocatable(1000, 8 * gib)
        result = observer.observe(host, runtime, from_node, step * 10.0, now)
    return result


def large_sample() -> dict[str, Any]:
    """Return a status with long names, three filesystems, and every condition true."""
    gib = 2**30
    observer = Observer(Settings(), "0.0.0-test")
    status = RuntimeStatus("containerd", "v2.4.2", "systemd", False, False, "<nothing> & nobody: " + "w" * 300)
    result: dict[str, Any] = {}
    for step in range(32):
        listing = tuple(
            Container(ContainerKey(str(number), 0, 1), "shop", "p" * 60, "c" * 60, "running", Counter(step * 10**10, step * number * 10**9), number * gib)
            for number in range(1, 20)
        )
        host = HostReading(
            CGROUP,
            "v1",
            boot_id=f"{uuid.UUID(int=1)}+12345678",
            cpu=CpuCounter(0, step * 10**10, step * 10**12),
            memory=Memory(800 * gib, 800 * gib, gib, gib, gib),
            pressure=Pressure(99.9, 99.9, 99.9),
            filesystems=tuple(
                Filesystem((role,), f"/var/lib/{role * 5}", number, 10**15, 9 * 10**14, 10**14, 10**10, 10**9)
                for number, role in enumerate(("node", "image", "container"))
            ),
        )
        result = observer.observe(host, RuntimeReading(status, listing, 110, 110, 3), Allocatable(4000, 8 * gib), step * 10.0, time.time() - 310 + 10 * step)
    return result


def put_status(client: ApiClient, name: str, status: dict[str, Any], version: str, query: str = "") -> Any:
    body = {**report(name), "status": status}
    body["metadata"] = {"name": name, "resourceVersion": version}
    return client.request("PUT", f"{schema.PATH}/{name}/status{query}", body)


def test_a_node_writes_its_own_report(kubelet: ApiClient, admin: ApiClient) -> None:
    publisher = Publisher(NODE, kubelet, Settings())
    assert publisher.step().kind == RECALLED
    assert publisher.allocatable.cpu_millicores
    publisher.offer(sample(publisher))
    outcome = publisher.step()
    assert outcome.kind == WRITTEN, outcome.message
    assert outcome.skew is not None
    assert abs(outcome.skew) < 2
    stored = admin.get(f"{schema.PATH}/{NODE}")
    assert stored.value()["status"]["sequence"] == outcome.sequence
    (owner,) = stored.value()["metadata"]["ownerReferences"]
    assert owner["uid"] == admin.get(f"/api/v1/nodes/{NODE}").value()["metadata"]["uid"]


def test_the_largest_report_is_no_larger_in_etcd_than_it_may_be(made_up: str, admin: ApiClient) -> None:
    """Of a Node that is none, so that the guard taints no real one for it."""
    assert admin.request("DELETE", f"{schema.PATH}/{made_up}").ok
    publisher = Publisher(made_up, admin, Settings())
    assert publisher.step().kind == RECALLED
    publisher.offer(large_sample())
    outcome = publisher.step()
    assert outcome.kind == WRITTEN, outcome.message
    stored = admin.get(f"{schema.PATH}/{made_up}")
    metadata = stored.value()["metadata"]
    assert "managedFields" not in metadata
    # The one thing in the answer that etcd does not have there.
    size = len(stored.body) - len(f'"resourceVersion":"{metadata["resourceVersion"]}",')
    assert BUDGET - 300 < size <= BUDGET
    assert size <= stored_size(made_up, metadata["ownerReferences"][0]["uid"], stored.value()["status"]) <= size + 20


def test_a_node_cannot_write_anothers(kubelet: ApiClient, made_up: str, admin: ApiClient) -> None:
    version = admin.get(f"{schema.PATH}/{made_up}").value()["metadata"]["resourceVersion"]
    refused = put_status(kubelet, made_up, {**sample(), "sequence": 1}, version)
    assert (refused.status, "bears its own name" in refused.message) == (422, True)
    patch = [{"op": "add", "path": "/metadata/ownerReferences", "value": []}]
    assert kubelet.request("PATCH", f"{schema.PATH}/{made_up}", patch, JSON_PATCH).status == 422


def test_a_dry_run_creation_under_a_foreign_name_is_denied(kubelet: ApiClient) -> None:
    refused = kubelet.request("POST", f"{schema.PATH}?dryRun=All", report("foreign"))
    assert (refused.status, "bears its own name" in refused.message) == (422, True)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", schema.PATH), ("GET", f"{schema.PATH}?watch=1&timeoutSeconds=1"), ("DELETE", f"{schema.PATH}/{NODE}"), ("DELETE", schema.PATH)],
)
def test_a_node_cannot_list_watch_or_delete(kubelet: ApiClient, method: str, path: str) -> None:
    assert kubelet.request(method, path).status == 403


@pytest.mark.parametrize("field", ["labels", "annotations", "finalizers"])
def test_a_node_cannot_decorate_its_report(kubelet: ApiClient, field: str) -> None:
    value = ["nodewise.dev/keep"] if field == "finalizers" else {"a": "b"}
    refused = kubelet.request("PATCH", f"{schema.PATH}/{NODE}?dryRun=All", [{"op": "add", "path": f"/metadata/{field}", "value": value}], JSON_PATCH)
    assert (refused.status, "no labels, annotations or finalizers" in refused.message) == (422, True)


def test_a_node_cannot_give_its_report_to_another(kubelet: ApiClient) -> None:
    owners = report(OTHER)["metadata"]["ownerReferences"]
    patch = [{"op": "add", "path": "/metadata/ownerReferences", "value": owners}]
    refused = kubelet.request("PATCH", f"{schema.PATH}/{NODE}?dryRun=All", patch, JSON_PATCH)
    assert (refused.status, "owned by the Node of the same name" in refused.message) == (422, True)


NONSENSE: list[dict[str, Any]] = [
    {"percent": {"cpu": -1}},
    {"percent": {"cpu": "93%"}},
    {"percent": {"disk": 101}},
    {"observedAt": "yesterday"},
    {"sequence": 0},
    {"view": "satellite"},
    {"bootID": "x"},
    {"pressure": "very"},
    {"memoryBytes": {"now": -5}},
    {"psiPercent": {"io": 100.1}},
    {"top": {"cpu": ["a/b/c 1m"] * 6}},
    {"conditions": [{"type": "Tired", "status": "True", "lastTransitionTime": "2026-11-25T12:00:00Z"}]},
    {"conditions": [{"type": "CPUOverloaded", "status": "True", "lastTransitionTime": "2026-11-25T12:00:00Z"}] * 2},
    {"filesystems": [{"roles": ["swap"], "mountpoint": "/"}]},
    {"expiresAt": "2026-01-01T00:00:00Z"},
]


@pytest.mark.parametrize("nonsense", NONSENSE, ids=json.dumps)
def test_the_schema_refuses_nonsense(admin: ApiClient, made_up: str, nonsense: dict[str, Any]) -> None:
    version = admin.get(f"{schema.PATH}/{made_up}").value()["metadata"]["resourceVersion"]
    status = {**sample(), "sequence": 1}
    assert put_status(admin, made_up, status, version, "?dryRun=All").ok
    refused = put_status(admin, made_up, {**status, **nonsense}, version, "?dryRun=All")
    assert refused.status == 422
    assert next(iter(nonsense)) in refused.message


def test_what_is_required_cannot_be_left_out(admin: ApiClient, made_up: str) -> None:
    version = admin.get(f"{schema.PATH}/{made_up}").value()["metadata"]["resourceVersion"]
    refused = put_status(admin, made_up, {"percent": {"cpu": 1}}, version, "?dryRun=All")
    assert refused.status == 422
    assert "observedAt" in refused.message


def test_a_report_goes_with_its_node(admin: ApiClient, made_up: str) -> None:
    assert admin.request("DELETE", f"/api/v1/nodes/{made_up}").ok
    deadline = time.monotonic() + 90
    while admin.get(f"{schema.PATH}/{made_up}").status != 404:
        assert time.monotonic() < deadline, "the report was not collected"
        time.sleep(1)


def test_the_columns_read_like_top(admin: ApiClient, made_up: str) -> None:
    version = admin.get(f"{schema.PATH}/{made_up}").value()["metadata"]["resourceVersion"]
    assert put_status(admin, made_up, {**sample(), "sequence": 7}, version).ok
    table = admin.get(f"{schema.PATH}/{made_up}", TABLE).value()
    cells = dict(zip([column["name"] for column in table["columnDefinitions"]], table["rows"][0]["cells"], strict=True))
    assert list(cells)[:7] == ["Name", "CPU%", "Memory%", "Disk%", "Pods", "Pressure", "Age"]
    assert (cells["CPU%"], cells["Memory%"], cells["Disk%"], cells["Pods"], cells["Pressure"]) == (10, 25, 43, 3, "none")
    assert re.fullmatch(r"\d+s", cells["Age"]), "the age is the sample's"
    assert cells["Sequence"] == 7


def test_reports_have_their_own_place_in_priority_and_fairness(kubelet: ApiClient, admin: ApiClient) -> None:
    def dispatched() -> float:
        lines = admin.get("/metrics", "text/plain").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith("apiserver_flowcontrol_dispatched_requests_total") and f'"{NAME}"' in line)

    before = dispatched()
    assert kubelet.get(f"{schema.PATH}/{NODE}", JSON).ok
    assert dispatched() > before
