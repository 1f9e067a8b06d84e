"""A real kube-apiserver and etcd with simulated nodes and reports, and real guards beside them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / ".ansible" / "collections"), str(ROOT / "benchmarks" / "nodereports")]

# ruff: noqa: E402 (the path comes first)
import yaml
from ansible_collections.nodewise.cluster.plugins.module_utils.api.client import ApiClient
from ansible_collections.nodewise.cluster.plugins.module_utils.api.times import format_time
from ansible_collections.nodewise.cluster.plugins.module_utils.api.token import request_path
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.guard.manifests import NAME as ACCOUNT
from ansible_collections.nodewise.cluster.plugins.module_utils.guard.manifests import cluster_objects as guard_objects
from ansible_collections.nodewise.cluster.plugins.module_utils.guard.model import CAUSES, CONDITION_TYPE, REPORTED_AS, TAINT_KEY
from ansible_collections.nodewise.cluster.plugins.module_utils.report.manifests import cluster_objects as report_objects
from ansible_collections.nodewise.cluster.plugins.module_utils.report.schema import API_VERSION, KIND
from ansible_collections.nodewise.cluster.plugins.module_utils.report.schema import PATH as REPORTS
from control_plane import ControlPlane, free_port, wait_until
from sample import ready

__all__ = ["REPORTS", "TAINT_KEY", "ApiClient", "Guard", "NodewiseError", "World", "wait_until"]

APPLY = "application/apply-patch+yaml"
MODULE = "ansible_collections.nodewise.cluster.plugins.module_utils.guard.main"
PLURALS = {"FlowSchema": "flowschemas", "ValidatingAdmissionPolicy": "validatingadmissionpolicies", "CustomResourceDefinition": "customresourcedefinitions"}
# A Node names up to 50 images, which make up most of its 13 to 20 KB.
IMAGE = "registry.example.com/team-{0}/service-{0}"
IMAGES = [{"names": [f"{IMAGE.format(n)}@sha256:{n:064x}", f"{IMAGE.format(n)}:v1.{n}"], "sizeBytes": 10**8 + n} for n in range(50)]


class Guard:
    """One guard, a process of its own."""

    def __init__(self, folder: Path, kubeconfig: Path, token: Path, identity: str, settings: dict[str, Any]) -> None:
        self.port = free_port()
        self.log = folder / f"{identity}.log"
        self._config = folder / f"{identity}.json"
        self._config.write_text(
            json.dumps({"identity": identity, "kubeconfig": str(kubeconfig), "token_file": str(token), "metrics_port": self.port, "settings": settings})
        )
        self.start()

    def start(self) -> None:
        """Start it."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT / ".ansible" / "collections"), "MALLOC_ARENA_MAX": "2"}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([sys.executable, "-m", MODULE, "--config", str(self._config)], env=environment, stdout=log, stderr=log)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it by a signal."""
        if self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(20)

    def metrics(self) -> dict[str, float]:
        """Return its metrics by name with labels; empty while there are none."""
        found = {}
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
            for line in answer.read().decode().splitlines():
                if not line.startswith("#"):
                    name, _space, value = line.rpartition(" ")
                    found[name] = float(value)
        return found

    def total(self, name: str) -> float:
        """Return the sum of a metric over its labels."""
        return sum(value for key, value in self.metrics().items() if key.partition("{")[0] == name)

    def memory_mib(self, which: str = "VmRSS") -> float:
        """Return its memory: VmRSS, or VmHWM, the most that it ever was."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition(f"{which}:")[2].split()[0]) / 1024

    def cpu_seconds(self) -> float:
        """Return the CPU time that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class World:
    """The API server and what is simulated.

    Parameters
    ----------
    folder : Path
        For programs, data and logs; emptied first.
    """

    def __init__(self, folder: Path) -> None:
        self.plane = ControlPlane(folder)
        self._folder = folder
        self.admin = ApiClient(str(self.plane.admin))
        self.guards: list[Guard] = []
        self._sequence = 0

    def start(self) -> None:
        """Start the API server and apply what reports and guards need."""
        self.plane.start()
        wait_until(lambda: ready(self.admin), "the API server is ready")
        self.apply([*report_objects(), *guard_objects()])
        wait_until(lambda: self.admin.get(REPORTS).ok, "NodeReports are served")
        # Roles, policies and flow schemas reach the request's path within a second or two.
        time.sleep(3)

    def stop(self) -> None:
        """End everything."""
        for guard in self.guards:
            guard.stop(signal.SIGKILL)
        self.admin.close()
        self.plane.stop()
        for name in ("bin", "etcd"):
            shutil.rmtree(self._folder / name, ignore_errors=True)

    def apply(self, objects: list[dict[str, Any]]) -> None:
        """Apply objects server-side."""
        for one in objects:
            group = "/api/v1" if one["apiVersion"] == "v1" else f"/apis/{one['apiVersion']}"
            plural = PLURALS.get(one["kind"], f"{one['kind'].lower()}s")
            within = f"/namespaces/{one['metadata']['namespace']}" if "namespace" in one["metadata"] else ""
            answer = self.admin.request("PATCH", f"{group}{within}/{plural}/{one['metadata']['name']}?fieldManager=test&force=true", one, APPLY)
            if not answer.ok:
                sys.exit(f"{one['kind']} {one['metadata']['name']}: {answer.status} {answer.message}")

    def kubeconfig(self, name: str = "guard") -> tuple[Path, Path]:
        """Return a kubeconfig with a token of the guard's own account, and the token's file."""
        answer = self.admin.request(
            "POST", request_path(ACCOUNT), {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 86400}}
        )
        token = self._folder / f"{name}.token"
        token.write_text(answer.value()["status"]["token"])
        config = yaml.safe_load(self.plane.admin.read_text())
        config["users"] = [{"name": "u", "user": {"tokenFile": str(token)}}]
        path = self._folder / f"{name}.conf"
        path.write_text(yaml.safe_dump(config))
        return path, token

    def guard(self, identity: str = "cp1", **settings: Any) -> Guard:
        """Start a guard."""
        path, token = self.kubeconfig(identity)
        guard = Guard(self._folder, path, token, identity, settings)
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
