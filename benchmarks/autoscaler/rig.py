"""A real kube-apiserver, etcd and controller manager, real providers beside them, and hosts that an ssh of our own plays."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(ROOT / ".ansible" / "collections"), str(ROOT / "benchmarks" / "common")]

# ruff: noqa: E402 (the path comes first)
import grpc
import yaml
from ansible_collections.nodewise.cluster.plugins.module_utils.autoscaler.book import CONFIG_MAPS, KEY, NAME
from ansible_collections.nodewise.cluster.plugins.module_utils.autoscaler.manifests import cluster_objects
from ansible_collections.nodewise.cluster.plugins.module_utils.autoscaler.settings import make_config
from ansible_collections.nodewise.cluster.plugins.module_utils.report.manifests import namespace
from client import Autoscaler
from cluster import Cluster, Daemon
from control_plane import Authority, free_port, wait_until
from ssh import AMOUNTS

__all__ = ["GROUP", "Authority", "Provider", "Rig", "free_port", "provider_id", "wait_until"]

GROUP = "standby"


def provider_id(name: str) -> str:
    """Return a host's provider id."""
    return f"nodewise://lab/{name}"


def address(number: int) -> str:
    """Return the address of a host, of the range for documentation: an ssh that is not ours reaches nothing."""
    return f"198.18.{number // 250}.{number % 250 + 1}"


class Provider(Daemon):
    """One provider."""

    def __init__(self, rig: Rig, identity: str, config: dict[str, Any]) -> None:
        super().__init__("autoscaler", rig.folder, identity, PATH=f"{rig.folder}/programs:{os.environ['PATH']}", NODEWISE_RIG=str(rig.folder))
        self.listen = f"127.0.0.1:{free_port()}"
        self.configure({**config, "identity": identity, "listen": self.listen, "metrics_port": self.metrics_port})
        self.start()

    def configure(self, config: dict[str, Any]) -> None:
        """Write its configuration, which it reads when it starts."""
        self.config = config
        self.path.write_text(make_config(config).to_text())


class Rig(Cluster):
    """The cluster, and what is simulated."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "--enable-bootstrap-token-auth=true")
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
        super().start()
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
            provider.stop(signal.SIGKILL)
        super().stop()

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
        return self.account(NAME, "autoscaler")[0]

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
            provider.stop(signal.SIGKILL)
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
