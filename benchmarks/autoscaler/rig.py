"""A real kube-apiserver, etcd and controller manager, real providers beside them, and hosts that an ssh of our own plays."""

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
HERE = Path(__file__).resolve().parent
COLLECTIONS = ROOT / ".ansible" / "collections"
sys.path[:0] = [str(COLLECTIONS), str(ROOT / "benchmarks" / "nodereports")]

# ruff: noqa: E402 (the path comes first)
import grpc
import yaml
from ansible_collections.nodewise.cluster.plugins.module_utils.api.client import ApiClient
from ansible_collections.nodewise.cluster.plugins.module_utils.api.token import request_path
from ansible_collections.nodewise.cluster.plugins.module_utils.autoscaler.book import CONFIG_MAPS, KEY, NAME
from ansible_collections.nodewise.cluster.plugins.module_utils.autoscaler.manifests import cluster_objects
from ansible_collections.nodewise.cluster.plugins.module_utils.autoscaler.settings import make_config
from ansible_collections.nodewise.cluster.plugins.module_utils.report.manifests import namespace
from client import Autoscaler
from control_plane import Authority, ControlPlane, free_port, wait_until
from ssh import AMOUNTS

__all__ = ["GROUP", "Authority", "Provider", "Rig", "free_port", "provider_id", "wait_until"]

APPLY = "application/apply-patch+yaml"
MODULE = "ansible_collections.nodewise.cluster.plugins.module_utils.autoscaler.main"
GROUP = "standby"
PLURALS = {"ValidatingAdmissionPolicy": "validatingadmissionpolicies"}


def provider_id(name: str) -> str:
    """Return a host's provider id."""
    return f"nodewise://lab/{name}"


def address(number: int) -> str:
    """Return the address of a host, of the range for documentation: an ssh that is not ours reaches nothing."""
    return f"198.18.{number // 250}.{number % 250 + 1}"


class Provider:
    """One provider, a process of its own."""

    def __init__(self, rig: Rig, identity: str, config: dict[str, Any]) -> None:
        self.rig = rig
        self.metrics_port = free_port()
        self.listen = f"127.0.0.1:{free_port()}"
        self.log = rig.folder / f"{identity}.log"
        self.path = rig.folder / f"{identity}.json"
        self.configure({**config, "identity": identity, "listen": self.listen, "metrics_port": self.metrics_port})
        self.start()

    def configure(self, config: dict[str, Any]) -> None:
        """Write its configuration, which it reads when it starts."""
        self.config = config
        self.path.write_text(make_config(config).to_text())

    def start(self) -> None:
        """Start it."""
        environment = {
            **os.environ,
            "PATH": f"{self.rig.folder}/programs:{os.environ['PATH']}",
            "PYTHONPATH": str(COLLECTIONS),
            "NODEWISE_RIG": str(self.rig.folder),
            "MALLOC_ARENA_MAX": "2",
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", MODULE, "--config", str(self.path)], env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def stop(self, number: int = signal.SIGKILL) -> None:
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

    def memory_mib(self) -> float:
        """Return its resident memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024


class Rig:
    """The cluster, and what is simulated.

    Parameters
    ----------
    folder : Path
        For programs, data and logs; emptied first.
    """

    def __init__(self, folder: Path) -> None:
        self.plane = ControlPlane(folder)
        self.folder = folder
        self.admin = ApiClient(str(self.plane.admin))
        self.providers: list[Provider] = []
        authority, other = Authority(), Authority()
        self._pairs = {"server": authority.issue("autoscaler", server=True), "client": authority.issue("cluster-autoscaler"), "other": other.issue("x")}
        self._authority = authority.pem
        self.tls = folder / "tls"
        self.tls.mkdir()
        (self.tls / "ca.pem").write_text(authority.pem)
        (self.tls / "server.crt").write_text(self._pairs["server"][0])
        (self.tls / "server.key").write_text(self._pairs["server"][1])

    def start(self) -> None:
        """Start the cluster's parts and make what joins need."""
        self.plane.start("--enable-bootstrap-token-auth=true")
        wait_until(self.ready, "the API server is ready")
        self.plane.start_controllers("bootstrap-signer-controller", "token-cleaner-controller")
        server = yaml.safe_load(self.plane.admin.read_text())["clusters"][0]["cluster"]
        info = {"clusters": [{"name": "", "cluster": server}], "apiVersion": "v1", "kind": "Config", "contexts": None, "users": None}
        cluster_info = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cluster-info", "namespace": "kube-public"}}
        self.apply([namespace(), {**cluster_info, "data": {"kubeconfig": yaml.safe_dump(info)}}])
        shutil.copy(self.plane.admin, self.folder / "admin.conf")
        programs = self.folder / "programs"
        programs.mkdir()
        (programs / "ssh").write_text(f'#!/usr/bin/env bash\nexec {sys.executable} {HERE}/ssh.py "$@"\n')
        (programs / "ssh").chmod(0o755)

    def stop(self) -> None:
        """End everything."""
        for provider in self.providers:
            provider.stop()
        self.admin.close()
        self.plane.stop()
        for name in ("bin", "etcd"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def ready(self) -> bool:
        """Tell whether the API server works."""
        try:
            return self.admin.get("/readyz").ok
        except Exception:  # noqa: BLE001
            return False

    def apply(self, objects: list[dict[str, Any]]) -> None:
        """Apply objects server-side."""
        for one in objects:
            group = "/api/v1" if one["apiVersion"] == "v1" else f"/apis/{one['apiVersion']}"
            plural = PLURALS.get(one["kind"], f"{one['kind'].lower()}s")
            within = f"/namespaces/{one['metadata']['namespace']}" if "namespace" in one["metadata"] else ""
            answer = self.admin.request("PATCH", f"{group}{within}/{plural}/{one['metadata']['name']}?fieldManager=test&force=true", one, APPLY)
            if not answer.ok:
                sys.exit(f"{one['kind']} {one['metadata']['name']}: {answer.status} {answer.message}")

    def config(self, hosts: int, **changes: Any) -> dict[str, Any]:
        """Return a configuration with one group of hosts s1, s2, ...; and apply what the cluster needs for it."""
        found = {f"s{number}": {"address": address(number), "provider_id": provider_id(f"s{number}")} for number in range(1, hosts + 1)}
        alike = {"arch": "amd64", "capacity": AMOUNTS, "allocatable": AMOUNTS}
        group = {"min": 0, "max": hosts, "labels": {"pool": "standby"}, "hosts": {name: {**host, **alike} for name, host in found.items()}}
        config = {
            "tls": {"ca": f"{self.tls}/ca.pem", "certificate": f"{self.tls}/server.crt", "key": f"{self.tls}/server.key"},
            "kubeconfig": str(self.kubeconfig()),
            "token_file": str(self.folder / "autoscaler.token"),
            "ssh": {"key": "/nowhere/key", "known_hosts": "/nowhere/known_hosts"},
            "control_plane_endpoint": "control-plane.invalid:6443",
            "retry_seconds": 4,
            "join_timeout_seconds": 20,
            "leave_timeout_seconds": 10,
            "groups": {GROUP: group},
            **{key: value for key, value in changes.items() if key != "min"},
        }
        group["min"] = changes.get("min", 0)
        self.accept(config)
        for host in found.values():
            self.behave(host["address"])
        return config

    def accept(self, config: dict[str, Any]) -> None:
        """Apply the objects that a configuration needs."""
        self.apply(cluster_objects(make_config({**config, "identity": "x", "listen": "127.0.0.1:1"}).groups))

    def kubeconfig(self) -> Path:
        """Return a kubeconfig with a token of the provider's own account."""
        self.apply([one for one in cluster_objects({}) if one["kind"] == "ServiceAccount"])
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 86400}}
        token = self.folder / "autoscaler.token"
        token.write_text(self.admin.request("POST", request_path(NAME), body).value()["status"]["token"])
        config = yaml.safe_load(self.plane.admin.read_text())
        config["users"] = [{"name": "u", "user": {"tokenFile": str(token)}}]
        path = self.folder / "autoscaler.conf"
        path.write_text(yaml.safe_dump(config))
        return path

    def provider(self, config: dict[str, Any], identity: str = "cp1") -> Provider:
        """Start a provider."""
        provider = Provider(self, identity, config)
        self.providers.append(provider)
        return provider

    def autoscaler(self, provider: Provider, who: str = "client") -> Autoscaler:
        """Return a client of a provider with a certificate: C(client), C(other) of another authority, C(none), or C(plain) for no TLS."""
        if who == "plain":
            return Autoscaler(provider.listen, None)
        pair = () if who == "none" else [part.encode() for part in reversed(self._pairs[who])]
        return Autoscaler(provider.listen, grpc.ssl_channel_credentials(self._authority.encode(), *pair))

    def behave(self, host: str, mode: str = "well", delay: float = 0.1) -> None:
        """Say how a host behaves from now on."""
        path = self.folder / f"{host}.json"
        path.with_suffix(".new").write_text(json.dumps({"mode": mode, "delay": delay}))
        path.with_suffix(".new").replace(path)

    def calls(self) -> list[dict[str, Any]]:
        """Return what was asked of the hosts."""
        log = self.folder / "calls.log"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def host_state(self, host: str) -> str:
        """Return what a host is."""
        path = self.folder / f"{host}.state"
        return path.read_text() if path.exists() else "prepared"

    def nodes(self) -> dict[str, str]:
        """Return {name: provider id} of the cluster's Nodes."""
        return {one["metadata"]["name"]: one["spec"].get("providerID", "") for one in self.admin.get("/api/v1/nodes").value()["items"]}

    def add_node(self, name: str, provider: str = "") -> None:
        """Make a Node that is Ready."""
        status = {"capacity": AMOUNTS, "allocatable": AMOUNTS, "conditions": [{"type": "Ready", "status": "True", "reason": "Kubelet"}]}
        spec = {"providerID": provider} if provider else {}
        body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": spec, "status": status}
        answer = self.admin.request("POST", "/api/v1/nodes", body)
        assert answer.ok, answer.message

    def records(self) -> dict[str, dict[str, Any]]:
        """Return what the provider has written down of its hosts."""
        answer = self.admin.get(f"{CONFIG_MAPS}/{NAME}")
        found: dict[str, dict[str, Any]] = json.loads(answer.value()["data"][KEY]) if answer.ok else {}
        return found

    def tokens(self) -> list[str]:
        """Return the names of the bootstrap tokens that are there."""
        found = self.admin.get("/api/v1/namespaces/kube-system/secrets").value()["items"]
        return [one["metadata"]["name"] for one in found if one["type"] == "bootstrap.kubernetes.io/token"]

    def wipe(self) -> None:
        """End all providers and forget all hosts and Nodes."""
        for provider in self.providers:
            provider.stop()
        self.providers.clear()
        self.admin.request("DELETE", f"{CONFIG_MAPS}/{NAME}")
        self.admin.request("DELETE", f"/apis/coordination.k8s.io/v1/namespaces/nodewise-system/leases/{NAME}")
        for name in self.nodes():
            self.admin.request("DELETE", f"/api/v1/nodes/{name}")
        for name in self.tokens():
            self.admin.request("DELETE", f"/api/v1/namespaces/kube-system/secrets/{name}")
        for pattern in ("*.state", "calls.log", "198.18.*.json"):
            for path in self.folder.glob(pattern):
                path.unlink()

    def outage(self, seconds: float) -> None:
        """Take the API server away for a while."""
        process = self.plane.processes["kube-apiserver"]
        process.kill()
        process.wait()
        time.sleep(seconds)
        self.plane.processes["kube-apiserver"] = subprocess.Popen(process.args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self.ready, "the API server is ready again")
