"""A control plane of one's own with objects of the collection's in it, and daemons of the collection's beside it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
COLLECTIONS = ROOT / ".ansible" / "collections"
sys.path.insert(0, str(COLLECTIONS))

# ruff: noqa: E402 (the path comes first)
import yaml
from ansible_collections.nodewise.cluster.plugins.module_utils.api.client import ApiClient
from ansible_collections.nodewise.cluster.plugins.module_utils.api.token import request_path
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from control_plane import ControlPlane, cpu_seconds, free_port, memory_mib, wait_until

APPLY = "application/apply-patch+yaml"
PLURALS = {"ValidatingAdmissionPolicy": "validatingadmissionpolicies"}


def ready(admin: ApiClient) -> bool:
    """Return whether the API server is ready."""
    try:
        return admin.get("/readyz").ok
    except NodewiseError:
        return False


def apply(admin: ApiClient, objects: Iterable[dict[str, Any]]) -> None:
    """Apply objects server-side."""
    for one in objects:
        group = "/api/v1" if one["apiVersion"] == "v1" else f"/apis/{one['apiVersion']}"
        plural = PLURALS.get(one["kind"], f"{one['kind'].lower()}s")
        within = f"/namespaces/{one['metadata']['namespace']}" if "namespace" in one["metadata"] else ""
        answer = admin.request("PATCH", f"{group}{within}/{plural}/{one['metadata']['name']}?fieldManager=test&force=true", one, APPLY)
        if not answer.ok:
            sys.exit(f"{one['kind']} {one['metadata']['name']}: {answer.status} {answer.message}")


class Daemon:
    """One daemon, a process of its own.

    Parameters
    ----------
    name : str
        Its room in module_utils.
    folder : Path
        For its configuration, which whoever makes it writes to C(path), and its log.
    identity : str
        Gives these files their names.
    environment : str
        Variables beside those of this process.
    """

    def __init__(self, name: str, folder: Path, identity: str, **environment: str) -> None:
        self.metrics_port = free_port()
        self.log = folder / f"{identity}.log"
        self.path = folder / f"{identity}.json"
        self._module = f"ansible_collections.nodewise.cluster.plugins.module_utils.{name}.main"
        self._environment = {**os.environ, "PYTHONPATH": str(COLLECTIONS), "MALLOC_ARENA_MAX": "2", **environment}

    def start(self) -> None:
        """Start it."""
        command = [sys.executable, "-m", self._module, "--config", str(self.path)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log, start_new_session=True)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it by a signal, and then all that it has begun, as systemd does."""
        if self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def metrics(self) -> dict[str, float]:
        """Return its metrics by name with labels; empty while there are none."""
        found = {}
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=5) as answer:
            for line in answer.read().decode().splitlines():
                if not line.startswith("#"):
                    name, _space, value = line.rpartition(" ")
                    found[name] = float(value)
        return found

    def memory_mib(self, which: str = "VmRSS") -> float:
        """Return its memory: VmRSS, or VmHWM, the most that it ever was."""
        return memory_mib(self.process.pid, which)

    def cpu_seconds(self) -> float:
        """Return the CPU time that it has used."""
        return cpu_seconds(self.process.pid)


class Cluster:
    """The control plane.

    Parameters
    ----------
    folder : Path
        For programs, data and logs; emptied first.
    more : str
        Further arguments of the API server.
    """

    def __init__(self, folder: Path, *more: str) -> None:
        self._more = more
        self.plane = ControlPlane(folder)
        self.folder = folder
        self.admin = ApiClient(str(self.plane.admin))

    def start(self) -> None:
        """Start etcd and the API server."""
        self.plane.start(*self._more)
        wait_until(self.ready, "the API server is ready")

    def stop(self) -> None:
        """End everything; the logs stay."""
        self.admin.close()
        self.plane.stop()
        for name in ("bin", "etcd"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def ready(self) -> bool:
        """Return whether the API server is ready."""
        return ready(self.admin)

    def apply(self, objects: Iterable[dict[str, Any]]) -> None:
        """Apply objects server-side."""
        apply(self.admin, objects)

    def outage(self, seconds: float) -> None:
        """Take the API server away for a while."""
        process = self.plane.processes["kube-apiserver"]
        process.kill()
        process.wait()
        time.sleep(seconds)
        self.plane.processes["kube-apiserver"] = subprocess.Popen(process.args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self.ready, "the API server is ready again")

    def account(self, account: str, name: str) -> tuple[Path, Path]:
        """Return a kubeconfig with a token of a ServiceAccount's, and the token's file."""
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 86400}}
        token = self.folder / f"{name}.token"
        token.write_text(self.admin.request("POST", request_path(account), body).value()["status"]["token"])
        config = yaml.safe_load(self.plane.admin.read_text())
        config["users"] = [{"name": "u", "user": {"tokenFile": str(token)}}]
        path = self.folder / f"{name}.conf"
        path.write_text(yaml.safe_dump(config))
        return path, token
