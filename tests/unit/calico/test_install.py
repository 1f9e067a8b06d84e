# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.calico.calicoctl import Calicoctl, config_text
from ansible_collections.nodewise.cluster.plugins.module_utils.calico.install import Changes, Installer, Paths
from ansible_collections.nodewise.cluster.plugins.module_utils.calico.resources import Specs, wanted_resources
from ansible_collections.nodewise.cluster.plugins.module_utils.calico.settings import Settings
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.kube.kubectl import Kubectl

DEFAULT = ("IPPool", "default-ipv4-ippool")
EXTRA = ("IPPool", "extra")


class Cluster:
    """A cluster in memory, with the two clients that look at it."""

    def __init__(self) -> None:
        self.crds: list[str] = []
        self.applied: list[dict[str, Any]] = []
        self.difference = ""
        self.specs: Specs = {}
        self.pods: list[dict[str, Any]] = []
        self.blocks: list[dict[str, Any]] = []
        self.calls: list[str] = []
        self.stored_as: dict[str, Any] = {}
        self.fails_at = ""

    def call(self, text: str) -> None:
        self.calls.append(text)
        if self.fails_at and text.startswith(self.fails_at):
            raise NodewiseError("killed here")


class FakeKubectl(Kubectl):
    def __init__(self, cluster: Cluster) -> None:
        super().__init__()
        self.cluster = cluster

    def get(self, *args: str) -> dict[str, Any] | None:
        if args[0] == "crd":
            items: list[dict[str, Any]] = [{"metadata": {"name": name}} for name in self.cluster.crds if name in args]
            # kubectl gives a bare object for one, a list for several, nothing for none.
            return None if not items else items[0] if len(items) == 1 else {"items": items}
        return {"items": self.cluster.blocks if args[0].startswith("ipamblocks") else self.cluster.pods}

    def diff(self, objects: Sequence[dict[str, Any]]) -> str:
        self.cluster.call("diff")
        return self.cluster.difference

    def apply(self, objects: Sequence[dict[str, Any]]) -> str:
        self.cluster.call("apply")
        self.cluster.applied = list(objects)
        self.cluster.crds.append("ippools.crd.projectcalico.org")
        self.cluster.difference = ""
        return ""

    def run(self, args: Sequence[str], stdin: str | None = None, ok: Sequence[int] = (0,), timeout: float = 600) -> tuple[int, str, str]:
        self.cluster.call(" ".join(args))
        return 0, "", ""


class FakeCalicoctl(Calicoctl):
    def __init__(self, cluster: Cluster) -> None:
        super().__init__()
        self.cluster = cluster

    def read(self, kinds: Iterable[str]) -> Specs:
        wanted = list(kinds)
        return {key: dict(spec) for key, spec in self.cluster.specs.items() if key[0] in wanted}

    def apply(self, specs: Specs) -> None:
        if specs:
            self.cluster.call("calicoctl apply")
            self.cluster.specs.update({key: {**spec, **self.cluster.stored_as} for key, spec in specs.items()})

    def delete(self, names: Sequence[tuple[str, str]]) -> None:
        for name in names:
            self.cluster.call(f"calicoctl delete {name[1]}")
            self.cluster.specs.pop(name, None)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def paths(tmp_path: Path, small_manifest: str) -> Paths:
    (tmp_path / "calico.yaml").write_text(small_manifest, encoding="utf-8")
    return Paths(manifest=str(tmp_path / "calico.yaml"), record=str(tmp_path / "state" / "calico.json"), config=str(tmp_path / "calicoctl.cfg"))


def installer(cluster: Cluster, paths: Paths, settings: Settings, **changes: Any) -> Installer:
    return Installer(Settings(**{**settings.__dict__, **changes}), paths, FakeKubectl(cluster), FakeCalicoctl(cluster))


def run(cluster: Cluster, paths: Paths, settings: Settings, nodes: Sequence[str] = (), **changes: Any) -> Changes:
    subject = installer(cluster, paths, settings, **changes)
    found = subject.compare(nodes)
    subject.apply(found)
    return found


def record(paths: Paths) -> dict[str, list[str]]:
    content: dict[str, list[str]] = json.loads(Path(paths.record).read_text(encoding="utf-8"))
    return content


def test_a_fresh_cluster_gets_everything_without_a_diff(cluster: Cluster, paths: Paths, settings: Settings) -> None:
    changes = run(cluster, paths, settings)
    assert changes.changed
    assert cluster.calls == ["apply", "wait --for=condition=Established --timeout=60s crd/ippools.crd.projectcalico.org", "calicoctl apply"]
    assert cluster.applied[0]["kind"] == "CustomResourceDefinition"
    assert cluster.specs == wanted_resources(settings)
    assert Path(paths.config).read_text(encoding="utf-8") == config_text()
    assert list(record(paths)) == ["IPPool/default-ipv4-ippool"]
    assert changes.actions()[1:] == ["apply the manifest (all 4 objects are new)", "create IPPool default-ipv4-ippool"]


def test_comparing_alone_changes_nothing(cluster: Cluster, paths: Paths, settings: Settings) -> None:
    assert installer(cluster, paths, settings).compare([]).changed
    assert cluster.calls == []
    assert not Path(paths.config).exists()
    assert not Path(paths.record).exists()


def test_the_second_run_changes_nothing(cluster: Cluster, paths: Paths, settings: Settings) -> None:
    run(cluster, paths, settings)
    cluster.calls.clear()
    changes = run(cluster, paths, settings)
    assert not changes.changed
    assert changes.diff() == []
    assert cluster.calls == ["diff"]


@pytest.mark.parametrize("place", ["apply", "wait", "calicoctl apply"])
def test_a_killed_first_run_is_completed_by_the_next(cluster: Cluster, paths: Paths, settings: Settings, place: str) -> None:
    cluster.fails_at = place
    with pytest.raises(NodewiseError, match="killed here"):
        run(cluster, paths, settings)
    cluster.fails_at = ""
    assert run(cluster, paths, settings).changed
    assert cluster.specs == wanted_resources(settings)
    assert not run(cluster, paths, settings).changed


def test_drift_of_the_manifest_is_found_and_put_back(cluster: Cluster, paths: Paths, settings: Settings) -> None:
    run(cluster, paths, settings)
    cluster.difference = "".join(
        f"diff -u -N /tmp/LIVE-1/{name} /tmp/MERGED-2/{name}\n--- /tmp/LIVE-1/{name}\t2026\n+++ /tmp/MERGED-2/{name}\t2026\n@@ -1,1 +1,1 @@\n-a: 1\n+a: 2\n"
        for name in ("apps.v1.DaemonSet.kube-system.calico-node", "v1.ConfigMap.kube-system.calico-config")
    )
    assert installer(cluster, paths, settings).compare([]).diff() == [{"prepared": cluster.difference}]
    assert run(cluster, paths, settings).actions() == ["apply the manifest (apps.v1.DaemonSet.kube-system.calico-node, v1.ConfigMap.kube-system.calico-config)"]
    assert not run(cluster, paths, settings).changed


def test_drift_of_the_pool_and_the_configuration_is_put_back(cluster: Cluster, paths: Paths, settings: Settings) -> None:
    run(cluster, paths, settings)
    cluster.specs[DEFAULT]["natOutgoing"] = False
    Path(paths.config).write_text("spec: {datastoreType: etcdv3}\n", encoding="utf-8")
    changes = run(cluster, paths, settings)
    assert changes.actions() == ["write /etc/calico/calicoctl.cfg", "change IPPool default-ipv4-ippool"]
    assert [part["before_header"] for part in changes.diff()] == ["/etc/calico/calicoctl.cfg", "IPPool default-ipv4-ippool"]
    assert not run(cluster, paths, settings).changed


def test_a_pool_that_cannot_change_stops_before_anything(cluster: Cluster, paths: Paths, settings: Settings) -> None:
    run(cluster, paths, settings)
    cluster.calls.clear()
    with pytest.raises(NodewiseError, match="calico_pod_cidr is 10.10.0.0/16"):
        run(cluster, paths, settings, pod_cidr="10.10.0.0/16")
    assert cluster.calls == []


def test_a_pool_comes_and_goes(cluster: Cluster, paths: Paths, settings: Settings) -> None:
    run(cluster, paths, settings)
    pools = [{"name": "extra", "cidr": "10.9.0.0/16"}]
    assert run(cluster, paths, settings, ip_pools=pools).actions() == ["create IPPool extra"]
    assert "IPPool/extra" in record(paths)
    assert run(cluster, paths, settings).actions() == ["delete IPPool extra"]
    assert EXTRA not in cluster.specs
    assert list(record(paths)) == ["IPPool/default-ipv4-ippool"]


def test_a_pool_is_still_ours_after_a_kill_between_record_and_pool(cluster: Cluster, paths: Paths, settings: Settings) -> None:
    run(cluster, paths, settings)
    cluster.fails_at = "calicoctl apply"
    with pytest.raises(NodewiseError):
        run(cluster, paths, settings, ip_pools=[{"name": "extra", "cidr": "10.9.0.0/16"}])
    cluster.fails_at = ""
    cluster.specs[EXTRA] = {"cidr": "10.9.0.0/16"}  # calicoctl had done it before the kill
    assert run(cluster, paths, settings).actions() == ["delete IPPool extra"]


def test_a_pool_with_pods_is_not_deleted(cluster: Cluster, paths: Paths, settings: Settings) -> None:
    run(cluster, paths, settings, ip_pools=[{"name": "extra", "cidr": "10.9.0.0/16"}])
    tunnel = {"handle_id": "vxlan-tunnel-addr-w1", "secondary": {"node": "w1", "type": "vxlanTunnelAddress"}}
    cluster.blocks = [{"spec": {"cidr": cidr, "attributes": [tunnel]}} for cidr in ("10.244.0.0/26", "10.9.1.0/26", "fd00::/122")]
    assert installer(cluster, paths, settings).compare([]).plan.delete == [EXTRA]
    cluster.blocks[1]["spec"]["attributes"].append({"secondary": {"namespace": "default", "pod": "web-1"}})
    with pytest.raises(
        NodewiseError, match=r"IPPool extra \(10.9.0.0/16\) is no longer in calico_ip_pools, but 1 pods have addresses of it, such as default/web-1"
    ):
        installer(cluster, paths, settings).compare([])


def test_a_value_that_is_stored_otherwise_is_told(cluster: Cluster, paths: Paths, settings: Settings) -> None:
    run(cluster, paths, settings)
    cluster.stored_as = {"logSeverityScreen": "Warning"}
    with pytest.raises(NodewiseError, match="stores logSeverityScreen of FelixConfiguration default as 'Warning', not as 'WARN'"):
        run(cluster, paths, settings, felix_configuration={"logSeverityScreen": "WARN"})


@pytest.mark.parametrize("field_name", ["vxlanMTU", "iptablesBackend"])
def test_a_felix_field_that_the_environment_overrides_is_refused(cluster: Cluster, paths: Paths, settings: Settings, field_name: str) -> None:
    with pytest.raises(NodewiseError, match=f"calico_felix_configuration sets {field_name}, but calico-node has it as an environment variable, which wins"):
        run(cluster, paths, settings, felix_configuration={field_name: 1400})


def test_the_operators_cluster_is_refused(cluster: Cluster, paths: Paths, settings: Settings) -> None:
    for crds in (["installations.operator.tigera.io"], ["installations.operator.tigera.io", "ippools.crd.projectcalico.org"]):
        cluster.crds = crds
        with pytest.raises(NodewiseError, match="Tigera operator"):
            run(cluster, paths, settings)
    assert cluster.calls == []


def node_pod(name: str, node: str, **state: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"nodeName": node}, "status": {"initContainerStatuses": [{"name": "install-cni", "state": state}]}}


def test_a_lost_cni_configuration_restarts_the_pod_of_that_node_only(cluster: Cluster, paths: Paths, settings: Settings) -> None:
    run(cluster, paths, settings)
    done = {"terminated": {"exitCode": 0}}
    cluster.pods = [node_pod("calico-node-a", "w1", **done), node_pod("calico-node-b", "w2", **done), node_pod("calico-node-c", "w3", running={})]
    changes = run(cluster, paths, settings, nodes=["w1", "w3"])
    assert changes.actions() == ["restart pod calico-node-a, since its node has lost its CNI configuration"]
    assert cluster.calls[-1] == "-n kube-system delete pod --ignore-not-found --wait=false calico-node-a"


def test_a_missing_manifest_names_the_remedy(cluster: Cluster, paths: Paths, settings: Settings) -> None:
    Path(paths.manifest).unlink()
    with pytest.raises(NodewiseError, match="There is no Calico manifest at .*calico.yaml. Remedy: run the artifacts role first"):
        run(cluster, paths, settings)
