#!/usr/bin/env python
"""Time and memory of module cluster_resources_info over clusters that are made up, on a real kube-apiserver and etcd on this machine.

usage: run.py [--nodes N ...] [--pods-per-node N] [--runs N]

Prints one row for each number of nodes; exits with 1 if a target is missed or a total is not exactly what was loaded.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / name) for name in ("common", "nodereports")]

# ruff: noqa: E402 (the path comes first)
from cluster import ready
from control_plane import MEMORY, ControlPlane, wait_until
from objects import CPU_REQUEST, KINDS, NODE, TEAM, Kind
from sample import ROOT, ApiClient, apply, status

TARGET_SECONDS = 15.0
TARGET_MIB = 300.0
TARGETS_AT = 5000
"""Nodes for which the targets are meant."""

NODES_PER_NAMESPACE = 10
BATCH = 100
WRITERS = 4
MODULE = "ansible_collections.nodewise.cluster.plugins.modules.cluster_resources_info"
REPORTS = "/apis/nodewise.dev/v1alpha1/nodereports"
REPORT_KEY = "/registry/nodewise.dev/nodereports/"


@dataclass
class Run:
    """One run of the module."""

    seconds: float
    cpu_seconds: float
    peak_mib: float
    server_cpu_seconds: float
    result: dict[str, Any] = field(repr=False)

    @property
    def output_mib(self) -> float:
        """Size of the result as JSON."""
        return len(json.dumps(self.result)) / 2**20


class Bench:
    """A control plane, and templates of objects that it has stored itself.

    An object is made once through the API, with its status; its copies are written into etcd as the API server stored it, with
    another name, UID, namespace and node of the same length. So tens of thousands are there within a minute, and each is a real one.
    """

    def __init__(self) -> None:
        # 50,000 pods take more than the limit of the other benchmarks.
        MEMORY["kube-apiserver"] = "6GiB"
        self.plane = ControlPlane(ROOT / ".lab" / "bench-cluster-resources")
        self.plane.start()
        self.admin = ApiClient(str(self.plane.admin), 60)
        wait_until(lambda: ready(self.admin), "kube-apiserver")
        apply(self.admin)
        self._templates: dict[Kind, tuple[bytes, bytes]] = {}
        self.loaded: dict[Kind, int] = dict.fromkeys(KINDS, 0)
        for kind in KINDS:
            self._templates[kind] = self._template(kind)

    def _template(self, kind: Kind) -> tuple[bytes, bytes]:
        """Create a kind's first object and return it as it is in etcd, and its UID."""
        answer = self._do("POST", kind.path(TEAM % 0), kind.body)
        if kind.status:
            answer = self._do("PUT", f"{kind.path(TEAM % 0)}/{kind.name % 0}/status", {**answer, "status": kind.status})
        return self.plane.stored(kind.key(TEAM % 0, 0)), str(answer["metadata"]["uid"]).encode()

    def load(self, kind: Kind, number: int, node_of: Callable[[int], int], namespace_of: Callable[[int], int]) -> None:
        """Write copies of a kind until there are so many."""
        stored, uid = self._templates[kind]

        def copies() -> Iterator[tuple[str, bytes]]:
            for index in range(self.loaded[kind], number):
                namespace = TEAM % namespace_of(index)
                parts = {kind.name % 0: kind.name % index, TEAM % 0: namespace, NODE % 0: NODE % node_of(index), uid.decode(): str(uuid.uuid4())}
                yield kind.key(namespace, index), replaced(stored, parts)

        self._store(copies())
        self.loaded[kind] = number

    def report(self, nodes: int) -> None:
        """Write a NodeReport of this moment for each node."""
        name = NODE % 0
        found = self.admin.get(f"{REPORTS}/{name}")
        body = (
            found.value() if found.ok else self._do("POST", REPORTS, {"apiVersion": "nodewise.dev/v1alpha1", "kind": "NodeReport", "metadata": {"name": name}})
        )
        uid = self._do("PUT", f"{REPORTS}/{name}/status", {**body, "status": status()})["metadata"]["uid"]
        stored = self.plane.stored(REPORT_KEY + name)
        self._store((REPORT_KEY + NODE % index, replaced(stored, {name: NODE % index, uid: str(uuid.uuid4())})) for index in range(1, nodes))

    def run(self) -> Run:
        """Run the module as Ansible does: in a process of its own, with its arguments as JSON, its result as JSON on standard output."""
        arguments = json.dumps({"ANSIBLE_MODULE_ARGS": {"kubeconfig": str(self.plane.admin)}})
        environment = {**os.environ, "PYTHONPATH": str(ROOT / ".ansible" / "collections")}
        output = ROOT / ".lab" / "bench-cluster-resources" / "result.json"
        before, begin = sum(self.plane.cpu_seconds().values()), time.monotonic()
        with output.open("wb") as sink:
            process = subprocess.Popen([sys.executable, "-m", MODULE], stdin=subprocess.PIPE, stdout=sink, env=environment)
            assert process.stdin is not None
            process.stdin.write(arguments.encode())
            process.stdin.close()
            # Of this child alone, which subprocess does not tell.
            _pid, code, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(code)
        seconds = time.monotonic() - begin
        result = json.loads(output.read_bytes())
        if process.returncode:
            sys.exit(f"the module failed: {result}")
        return Run(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, sum(self.plane.cpu_seconds().values()) - before, result)

    def _do(self, method: str, path: str, body: Any) -> Any:
        answer = self.admin.request(method, path, body)
        if not answer.ok:
            sys.exit(f"{method} {path}: {answer.status} {answer.message}")
        return answer.value()

    def _store(self, values: Iterator[tuple[str, bytes]]) -> None:
        with ThreadPoolExecutor(WRITERS) as pool:
            # Some batches at a time, so that not all objects are in memory.
            while batches := [batch for _number in range(10 * WRITERS) if (batch := dict(islice(values, BATCH)))]:
                for _done in pool.map(self.plane.store, batches):
                    pass


def replaced(stored: bytes, parts: dict[str, str]) -> bytes:
    """Replace texts by others of the same length: what protobuf says of lengths stays true."""
    for old, new in parts.items():
        if len(old) != len(new):
            sys.exit(f"{new!r} is not as long as {old!r}")
        stored = stored.replace(old.encode(), new.encode())
    return stored


def measure(bench: Bench, nodes: int, pods_per_node: int, runs: int) -> tuple[list[Run], list[str]]:
    """Bring the cluster to a number of nodes and run the module; also return what its results have wrong."""
    namespaces = max(1, nodes // NODES_PER_NAMESPACE)
    expected: dict[str, int] = {"nodes": nodes}
    begin = time.monotonic()
    for kind in KINDS:
        number = nodes * pods_per_node if kind.total == "pods" else namespaces * kind.per_namespace if kind.per_namespace else nodes
        bench.load(kind, number, lambda index: index % nodes, lambda index: index % namespaces)
        if kind.total:
            expected[kind.total] = number
    bench.report(nodes)
    print(f"{nodes} nodes loaded in {time.monotonic() - begin:.0f} s; {resident(bench)}", file=sys.stderr)
    done = [bench.run() for _number in range(runs)]
    wrong = []
    for run in done:
        totals, errors = run.result["totals"], {kind: why for kind, why in run.result["errors"].items() if kind != "nodemetrics"}
        got = {name: totals[name] for name in expected}
        if got != expected or errors:
            wrong.append(f"{nodes} nodes: expected {expected}, got {got}; errors {errors}")
        if totals["requested"]["cpu"] != expected["pods"] * CPU_REQUEST:
            wrong.append(f"{nodes} nodes: {totals['requested']['cpu']} millicores requested instead of {expected['pods'] * CPU_REQUEST}")
        if totals["used"]["cpu"]["nodes"] != nodes:
            wrong.append(f"{nodes} nodes: the use of {totals['used']['cpu']['nodes']} is known")
    return done, wrong


def resident(bench: Bench) -> str:
    """Return the servers' memory as text."""
    return ", ".join(f"{name} {mib:.0f} MiB" for name, mib in bench.plane.resident_mib().items())


def main() -> None:
    """Measure each number of nodes in turn."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--nodes", type=int, nargs="+", default=[100, 1000, 5000])
    parser.add_argument("--pods-per-node", type=int, default=10)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    bench, faults = None, []
    try:
        bench = Bench()
        print("| nodes | pods | seconds | its own CPU s | the servers' CPU s | peak RSS MiB | result MiB |\n| --- | --- | --- | --- | --- | --- | --- |")
        for nodes in sorted(arguments.nodes):
            runs, wrong = measure(bench, nodes, arguments.pods_per_node, arguments.runs)
            faults += wrong
            seconds, peak = statistics.median(run.seconds for run in runs), max(run.peak_mib for run in runs)
            own, servers = statistics.median(run.cpu_seconds for run in runs), statistics.median(run.server_cpu_seconds for run in runs)
            pods = nodes * arguments.pods_per_node
            print(f"| {nodes:,} | {pods:,} | {seconds:.1f} | {own:.1f} | {servers:.1f} | {peak:.0f} | {runs[0].output_mib:.1f} |", flush=True)
            if nodes <= TARGETS_AT and (seconds > TARGET_SECONDS or peak > TARGET_MIB):
                faults.append(f"{nodes} nodes: {seconds:.1f} s and {peak:.0f} MiB; targets are {TARGET_SECONDS:.0f} s and {TARGET_MIB:.0f} MiB")
    finally:
        if bench:
            bench.plane.stop()
    for fault in faults:
        print(fault, file=sys.stderr)
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
