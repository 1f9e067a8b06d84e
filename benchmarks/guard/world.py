"""A real kube-apiserver and etcd with simulated nodes and reports, and real guards beside them."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / ".ansible" / "collections"), str(ROOT / "benchmarks" / "common")]

# ruff: noqa: E402 (the path comes first)
from ansible_collections.nodewise.cluster.plugins.module_utils.api.client import ApiClient
from ansible_collections.nodewise.cluster.plugins.module_utils.api.times import format_time
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.guard.manifests import NAME as ACCOUNT
from ansible_collections.nodewise.cluster.plugins.module_utils.guard.manifests import cluster_objects as guard_objects
from ansible_collections.nodewise.cluster.plugins.module_utils.guard.model import CAUSES, CONDITION_TYPE, REPORTED_AS, TAINT_KEY
from ansible_collections.nodewise.cluster.plugins.module_utils.report.manifests import cluster_objects as report_objects
from ansible_collections.nodewise.cluster.plugins.module_utils.report.schema import API_VERSION, KIND
from ansible_collections.nodewise.cluster.plugins.module_utils.report.schema import PATH as REPORTS
from cluster import Cluster, Daemon
from control_plane import wait_until

__all__ = ["REPORTS", "TAINT_KEY", "ApiClient", "Guard", "NodewiseError", "World", "wait_until"]

# A Node names up to 50 images, which make up most of its 13 to 20 KB.
IMAGE = "registry.example.com/team-{0}/service-{0}"
IMAGES = [{"names": [f"{IMAGE.format(n)}@sha256:{n:064x}", f"{IMAGE.format(n)}:v1.{n}"], "sizeBytes": 10**8 + n} for n in range(50)]


class Guard(Daemon):
    """One guard."""

    def __init__(self, folder: Path, kubeconfig: Path, token: Path, identity: str, settings: dict[str, Any]) -> None:
        super().__init__("guard", folder, identity)
        config = {"identity": identity, "kubeconfig": str(kubeconfig), "token_file": str(token), "metrics_port": self.metrics_port, "settings": settings}
        self.path.write_text(json.dumps(config))
        self.start()

    def total(self, name: str) -> float:
        """Return the sum of a metric over its labels."""
        return sum(value for key, value in self.metrics().items() if key.partition("{")[0] == name)


class World(Cluster):
    """The API server and what is simulated."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.guards: list[Guard] = []
        self._sequence = 0

    def start(self) -> None:
        """Start the API server and apply what reports and guards need."""
        super().start()
        self.apply([*report_objects(), *guard_objects()])
        wait_until(lambda: self.admin.get(REPORTS).ok, "NodeReports are served")
        # Roles, policies and flow schemas reach the request's path within a second or two.
        time.sleep(3)

    def stop(self) -> None:
        """End everything."""
        for guard in self.guards:
            guard.stop(signal.SIGKILL)
        super().stop()

    def kubeconfig(self, name: str = "guard") -> tuple[Path, Path]:
        """Return a kubeconfig with a token of the guard's own account, and the token's file."""
        return self.account(ACCOUNT, name)

    def guard(self, identity: str = "cp1", **settings: Any) -> Guard:
        """Start a guard."""
        path, token = self.kubeconfig(identity)
        guard = Guard(self.folder, path, token, identity, settings)
        self.guards.append(guard)
        return guard

    def add_node(self, name: str, taints: list[dict[str, str]] | None = None, images: bool = False) -> None:
        """Create a Node as a kubelet registers it."""
        amounts = {"cpu": "32", "memory": "134217728Ki", "pods": "110"}
        status = {"capacity": amounts, "allocatable": amounts, "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}]}
        if images:
            status["images"] = IMAGES  # type: ignore[assignment]
        metadata = {"name": name, "labels": {"kubernetes.io/hostname": name}}
        body = {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {"taints": taints or []}, "status": status}
        answer = self.admin.request("POST", "/api/v1/nodes", body)
        assert answer.ok, answer.message
        # Admission marks every new Node as not ready; a controller, which is not here, takes that away.
        self.admin.request("PATCH", f"/api/v1/nodes/{name}", {"spec": {"taints": taints}}, "application/merge-patch+json")
        answer = self.admin.request("POST", REPORTS, {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": name}})
        assert answer.ok, answer.message

    def report(self, name: str, *overloaded: str, age: float = 1.0, valid: float = 180.0, client: ApiClient | None = None) -> None:
        """Write a node's report, in which these causes are true."""
        self._sequence += 1
        observed = time.time() - age
        status = {
            "observedAt": format_time(observed),
            "expiresAt": format_time(observed + valid),
            "sequence": self._sequence,
            "view": "host",
            "pressure": ",".join(cause for cause in ("cpu", "memory", "disk") if cause in overloaded) or "none",
            "percent": {cause: 96 if cause in overloaded else 40 for cause in CAUSES},
            "conditions": [
                {"type": REPORTED_AS[cause], "status": str(cause in overloaded), "lastTransitionTime": format_time(observed, 0)} for cause in CAUSES
            ],
        }
        answer = (client or self.admin).request("PATCH", f"{REPORTS}/{name}/status", {"status": status}, "application/merge-patch+json")
        assert answer.ok, answer.message

    def node(self, name: str) -> dict[str, Any]:
        """Return a Node."""
        found: dict[str, Any] = self.admin.get(f"/api/v1/nodes/{name}").value()
        return found

    def taint(self, name: str) -> str:
        """Return C(cause:effect) of our taint of a node; empty if there is none."""
        ours = [taint for taint in self.node(name)["spec"].get("taints", []) if taint["key"] == TAINT_KEY]
        assert len(ours) < 2
        return f"{ours[0].get('value')}:{ours[0]['effect']}" if ours else ""

    def condition(self, name: str) -> tuple[str, str]:
        """Return status and reason of our condition of a node; empty if there is none."""
        found = [one for one in self.node(name)["status"].get("conditions", []) if one["type"] == CONDITION_TYPE]
        return (found[0]["status"], found[0]["reason"]) if found else ("", "")
