"""A kube-apiserver and an etcd of one's own, on loopback, from the artifacts that a checkout has built."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from prometheus_client.parser import text_string_to_metric_families

IMAGES = Path.home() / ".cache/nodewise/gomod/images"
PROGRAMS = {"etcd": "etcd-3*.tar", "kube-apiserver": "kube-apiserver-1*.tar", "kube-controller-manager": "kube-controller-manager-1*.tar"}
MEMORY = {"etcd": "1GiB", "kube-apiserver": "3GiB", "kube-controller-manager": "1GiB"}
"""Go's soft limits, so that the machine's other work goes on."""


class Authority:
    """A certificate authority with short-lived certificates (P-256)."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "benchmark")])
        self._certificate = self._sign(self._name, self._key.public_key(), authority=True)
        self.pem = self._certificate.public_bytes(serialization.Encoding.PEM).decode()

    def issue(self, name: str, group: str = "", server: bool = False) -> tuple[str, str]:
        """Return a certificate and its key (PEM)."""
        key = ec.generate_private_key(ec.SECP256R1())
        parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)] if group else []
        subject = x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._sign(subject, key.public_key(), server=server)
        return certificate.public_bytes(serialization.Encoding.PEM).decode(), private(key)

    def _sign(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, authority: bool = False, server: bool = False) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        usage = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if not authority:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if server:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        return builder.sign(self._key, hashes.SHA256())


def private(key: ec.EllipticCurvePrivateKey) -> str:
    """Return a key as PEM."""
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()).decode()


class ControlPlane:
    """etcd and kube-apiserver as processes of this one.

    Parameters
    ----------
    work : Path
        Folder for programs, data and logs; emptied first.
    """

    def __init__(self, work: Path) -> None:
        shutil.rmtree(work, ignore_errors=True)
        (work / "bin").mkdir(parents=True)
        self._work = work
        self._authority = Authority()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._etcd_port, self._peer_port, self._port = free_port(), free_port(), free_port()
        self.admin = self.kubeconfig("admin", "admin", "system:masters")

    def start(self, *more: str) -> None:
        """Start both, the API server with some more arguments."""
        client, peer = f"http://127.0.0.1:{self._etcd_port}", f"http://127.0.0.1:{self._peer_port}"
        self._run(
            "etcd",
            f"--data-dir={self._work}/etcd",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--log-level=warn",
        )
        certificate, key = self._authority.issue("kube-apiserver", server=True)
        for name, text in {
            "ca.crt": self._authority.pem,
            "server.crt": certificate,
            "server.key": key,
            "sa.key": private(ec.generate_private_key(ec.SECP256R1())),
        }.items():
            (self._work / name).write_text(text)
        self._run(
            "kube-apiserver",
            f"--etcd-servers={client}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self._port}",
            f"--tls-cert-file={self._work}/server.crt",
            f"--tls-private-key-file={self._work}/server.key",
            f"--client-ca-file={self._work}/ca.crt",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-signing-key-file={self._work}/sa.key",
            f"--service-account-key-file={self._work}/sa.key",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--endpoint-reconciler-type=none",
            *more,
        )

    def start_controllers(self, *names: str) -> None:
        """Start a kube-controller-manager with some of its controllers; the API server is ready."""
        self._run(
            "kube-controller-manager",
            f"--kubeconfig={self.kubeconfig('controllers', 'controllers', 'system:masters')}",
            f"--controllers={','.join(names)}",
            "--leader-elect=false",
            "--secure-port=0",
        )

    def stop(self) -> None:
        """End all."""
        for process in reversed(self.processes.values()):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def kubeconfig(self, file: str, name: str, group: str) -> Path:
        """Write a kubeconfig as kubeadm does for a kubelet: its certificate and key are in one file beside it."""
        folder = self._work / "clients"
        folder.mkdir(exist_ok=True)
        certificate, key = self._authority.issue(name, group)
        pair = folder / f"{file}.pem"
        pair.write_text(certificate + key)
        user = {"client-certificate": str(pair), "client-key": str(pair)}
        authority = base64.b64encode(self._authority.pem.encode()).decode()
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "k", "cluster": {"server": f"https://127.0.0.1:{self._port}", "certificate-authority-data": authority}}],
            "users": [{"name": "u", "user": user}],
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
            "current-context": "c",
        }
        path = folder / f"{file}.conf"
        path.write_text(yaml.safe_dump(config))
        return path

    def stored_bytes(self, key: str) -> int:
        """Return the size of a value in etcd; 0 if there is no such key."""
        return len(self.stored(key))

    def stored(self, key: str) -> bytes:
        """Return a value in etcd, through its JSON gateway; nothing if there is no such key."""
        found = self._etcd("range", {"key": base64.b64encode(key.encode()).decode()})
        return b"".join(base64.b64decode(pair["value"]) for pair in found.get("kvs", []))

    def store(self, values: dict[str, bytes]) -> None:
        """Write values into etcd in one transaction (128 and 1.5 MiB at most), past the API server."""
        pairs = [{"key": base64.b64encode(key.encode()).decode(), "value": base64.b64encode(value).decode()} for key, value in values.items()]
        self._etcd("txn", {"success": [{"requestPut": pair} for pair in pairs]})

    def _etcd(self, call: str, body: object) -> dict[str, Any]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._etcd_port}/v3/kv/{call}", json.dumps(body).encode(), timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def fsync_buckets(self) -> Counter[float]:
        """Return how many of etcd's writes to its log took at most so many seconds."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._etcd_port}/metrics", timeout=30) as answer:
            return buckets(answer.read().decode(), "etcd_disk_wal_fsync_duration_seconds")

    def cpu_seconds(self) -> dict[str, float]:
        """Return the CPU time that each has used."""
        return {name: cpu_seconds(process.pid) for name, process in self.processes.items()}

    def resident_mib(self) -> dict[str, float]:
        """Return the memory of each."""
        return {name: memory_mib(process.pid) for name, process in self.processes.items()}

    def _run(self, name: str, *args: str) -> None:
        program = self._work / "bin" / name
        extract(name, program)
        environment = {**os.environ, "GOMEMLIMIT": MEMORY[name]}
        with (self._work / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen([str(program), *args], stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment)


def buckets(metrics: str, name: str, **labels: str) -> Counter[float]:
    """Return a histogram of a page of metrics: how many observations are at most so many seconds."""
    found: Counter[float] = Counter()
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            if sample.name == f"{name}_bucket" and labels.items() <= sample.labels.items():
                found[float(sample.labels["le"])] += int(sample.value)
    return found


def quantile(histogram: Counter[float], share: float) -> float:
    """Return the seconds within which a share of the observations lies, as PromQL's histogram_quantile estimates it."""
    wanted, below, low = share * histogram[math.inf], 0, 0.0
    for high in sorted(histogram):
        if histogram[high] >= wanted > 0:
            inside = histogram[high] - below
            return low if math.isinf(high) else low + (high - low) * (wanted - below) / inside
        below, low = histogram[high], high
    return math.nan


def extract(name: str, target: Path) -> None:
    """Take a program out of the image that a bring-up has left in the cache."""
    archives = sorted(IMAGES.glob(PROGRAMS[name]))
    if not archives:
        sys.exit(f"{IMAGES}/{PROGRAMS[name]} is missing; bring a lab cluster up first: make cluster")
    with tarfile.open(archives[-1]) as image:
        index = json.load(image.extractfile("index.json"))  # type: ignore[arg-type]
        manifest = json.load(image.extractfile(blob(index["manifests"][0])))  # type: ignore[arg-type]
        for layer in manifest["layers"]:
            packed = target.parent / "layer"
            with image.extractfile(blob(layer)) as source, packed.open("wb") as sink:  # type: ignore[union-attr]
                shutil.copyfileobj(source, sink)
            # tar knows zstd, which this Python does not.
            subprocess.run(["tar", "--extract", f"--file={packed}", f"--directory={target.parent}"], check=True)
            packed.unlink()
    for found in target.parent.rglob(name):
        if found.is_file():
            found.replace(target)
            return
    sys.exit(f"{archives[-1]} holds no {name}")


def blob(descriptor: dict[str, str]) -> str:
    """Return the path of a blob in an OCI archive."""
    return "blobs/" + descriptor["digest"].replace(":", "/")


def cpu_seconds(process: int) -> float:
    """Return the CPU time that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mib(process: int, which: str = "VmRSS") -> float:
    """Return a process' memory: VmRSS, or VmHWM, the most that it ever was."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition(f"{which}:")[2].split()[0]) / 1024


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(check: object, what: str, seconds: float = 90) -> None:
    """Call until it returns something true."""
    deadline = time.monotonic() + seconds
    while not check():  # type: ignore[operator]
        if time.monotonic() > deadline:
            sys.exit(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.2)
