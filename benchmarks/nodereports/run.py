#!/usr/bin/env python
"""Many simulated reporters against one real kube-apiserver and etcd on this machine, with the reporter's own publishing code.

usage: run.py [--nodes N ...] [--seconds S] [--restart-seconds S] [--processes N] [--threads N]

Each reporter has its node's own certificate, connection and schedule; roles, admission policy and flow schema are the
product's. For each number of nodes: all start at once without a report, go on for the given time, and are then all restarted
at once. Prints one row for each number of nodes; exits with 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import heapq
import math
import multiprocessing
import random
import resource
import statistics
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "common"))

# ruff: noqa: E402 (the path comes first)
from cluster import ready
from control_plane import ControlPlane, buckets, quantile, wait_until
from sample import ROOT, ApiClient, Publisher, Settings, apply, create_node, format_time, status

CHANGE_SHARE = 0.05
"""Share of the reports after which a condition changes, so that an early one follows."""
P99_MILLISECONDS = 50.0
STEADY_WRITES = 100.0


@dataclass
class Write:
    """One request of a reporter that was answered, or failed."""

    node: str
    at: float
    kind: str
    status: int
    seconds: float
    late: float
    message: str = ""


class Reporter:
    """One node's reporter; its samples come from a template instead of a host."""

    def __init__(self, name: str, kubeconfig: str, template: dict[str, Any], settings: Settings) -> None:
        self.client = ApiClient(kubeconfig, settings.request_seconds)
        self._name, self._settings, self._template = name, settings, template
        self._overloaded = False
        self._change_at = float("inf")
        self.due = 0.0

    def begin(self) -> None:
        """Start, as the daemon does."""
        self.publisher = Publisher(self._name, self.client, self._settings)
        self.due = time.monotonic() + self.publisher.due_in()

    def step(self) -> Write:
        """Do what is due and set when the next thing is."""
        late = time.monotonic() - self.due
        if time.monotonic() >= self._change_at:
            self._overloaded, self._change_at = not self._overloaded, float("inf")
        self.publisher.offer(self._sample())
        if self.publisher.due_in() > 0:
            # A sample that brought an early report forward, but not to this moment.
            self.due = time.monotonic() + self.publisher.due_in()
            return Write(self._name, time.time(), "sampled", 0, 0.0, 0.0)
        outcome = self.publisher.step()
        self.publisher.offer(self._sample())
        self.due = time.monotonic() + self.publisher.due_in()
        if outcome.kind == "written" and random.random() < CHANGE_SHARE:
            self._change_at = time.monotonic() + 60 * random.random()
        self.due = min(self.due, self._change_at)
        return Write(self._name, time.time(), outcome.kind, outcome.status, outcome.seconds or 0.0, late, outcome.message)

    def _sample(self) -> dict[str, Any]:
        now = time.time()
        cpu, *others = self._template["conditions"]
        usage = random.randrange(28_000, 31_000) if self._overloaded else random.randrange(1_000, 20_000)
        return {
            **self._template,
            "observedAt": format_time(now),
            "expiresAt": format_time(now + 180, 0),
            "cpuMillicores": {**self._template["cpuMillicores"], "now": usage},
            "conditions": [{**cpu, "status": "True" if self._overloaded else "False"}, *others],
            "pressure": "cpu" if self._overloaded else "none",
        }


def work(names: list[str], clients: Path, threads: int, commands: Any, results: Any) -> None:
    """Run some of the reporters in this process: (start, seconds) begins them all anew, None ends."""
    settings, template = Settings(), status()
    for seconds in iter(commands.get, None):
        # Made before the start, as a process is loaded before it speaks.
        reporters = [Reporter(name, str(clients / f"{name}.conf"), template, settings) for name in names]
        results.put("made")
        go_at = commands.get()
        time.sleep(max(0.0, go_at - time.time()))
        offset = time.monotonic()
        for reporter in reporters:
            reporter.begin()
        results.put(simulate(reporters, threads, offset + seconds))
        for reporter in reporters:
            reporter.client.close()


def simulate(reporters: list[Reporter], threads: int, end: float) -> list[Write]:
    """Let each reporter step when it is due, until the end."""
    queue = [(reporter.due, number) for number, reporter in enumerate(reporters)]
    heapq.heapify(queue)
    changed = threading.Condition()
    done: list[Write] = []

    def serve() -> None:
        while True:
            with changed:
                while not queue or (queue[0][0] > time.monotonic() and time.monotonic() < end):
                    changed.wait(min(0.5, max(0.001, queue[0][0] - time.monotonic()) if queue else 0.5))
                    if time.monotonic() >= end:
                        return
                if time.monotonic() >= end:
                    return
                _due, number = heapq.heappop(queue)
            write = reporters[number].step()
            with changed:
                if write.kind != "sampled":
                    done.append(write)
                heapq.heappush(queue, (reporters[number].due, number))
                changed.notify()

    pool = [threading.Thread(target=serve) for _thread in range(threads)]
    for thread in pool:
        thread.start()
    for thread in pool:
        thread.join()
    return done


@dataclass
class Phase:
    """What all reporters did in one phase."""

    name: str
    nodes: int
    begin: float
    seconds: float
    writes: list[Write]
    cpu: dict[str, float] = field(default_factory=dict)
    served: Counter[float] = field(default_factory=Counter)
    synced: Counter[float] = field(default_factory=Counter)

    @property
    def written(self) -> list[Write]:
        """Reports that were stored."""
        return [write for write in self.writes if write.kind == "written"]

    def part(self, begin: float, end: float) -> Phase:
        """Return what lies between two times after the beginning."""
        inside = [write for write in self.writes if begin <= write.at - self.begin < end]
        return Phase(self.name, self.nodes, self.begin + begin, end - begin, inside)

    @property
    def peak(self) -> int:
        """Most reports in one second."""
        return max(Counter(int(write.at) for write in self.written).values(), default=0)

    def slow(self, seconds: float) -> Counter[int]:
        """Return how many reports took longer than so many seconds, by the second after the beginning."""
        return Counter(int(write.at - self.begin) for write in self.written if write.seconds > seconds)

    def quantile(self, percent: int) -> float:
        """Milliseconds."""
        times = [write.seconds * 1000 for write in self.written]
        return statistics.quantiles(times, n=100)[percent - 1] if len(times) > 1 else float("nan")

    @property
    def throttled(self) -> int:
        """429 answers, which reporters honour."""
        return sum(write.kind == "failed" and write.status == 429 for write in self.writes)

    @property
    def errors(self) -> list[Write]:
        """Failures other than those."""
        return [write for write in self.writes if write.kind == "failed" and write.status != 429]


class Run:
    """One control plane and as many reporters as wanted."""

    def __init__(self, nodes: int, arguments: argparse.Namespace) -> None:
        self.nodes, self.arguments = nodes, arguments
        self.plane = ControlPlane(ROOT / ".lab" / "bench-nodereports")
        self._commands: list[Any] = []
        self._results: Any = multiprocessing.Queue()
        self._workers: list[multiprocessing.Process] = []
        self._idle: dict[str, float] = {}

    def start(self) -> None:
        """Start the servers, create Nodes and certificates, and start the processes of the reporters."""
        self.plane.start()
        admin = ApiClient(str(self.plane.admin))
        wait_until(lambda: ready(admin), "kube-apiserver")
        apply(admin)
        names = [f"node-{number:05}" for number in range(self.nodes)]
        for name in names:
            create_node(admin, name)
            self.plane.kubeconfig(name, f"system:node:{name}", "system:nodes")
        clients = self.plane.admin.parent
        count = min(self.arguments.processes, self.nodes)
        before = self.plane.cpu_seconds()
        time.sleep(10)
        self._idle = {process: (used - before[process]) / 10 for process, used in self.plane.cpu_seconds().items()}
        for number in range(count):
            commands: Any = multiprocessing.Queue()
            worker = multiprocessing.Process(target=work, args=(names[number::count], clients, self.arguments.threads, commands, self._results))
            worker.start()
            self._commands.append(commands)
            self._workers.append(worker)

    def phase(self, name: str, seconds: float) -> Phase:
        """Start all reporters at once and let them run."""
        for commands in self._commands:
            commands.put(seconds)
        for _worker in self._workers:
            self._results.get(timeout=600)
        begin = time.time() + 0.5
        for commands in self._commands:
            commands.put(begin)
        time.sleep(0.5 + min(self.arguments.settle, seconds / 2))
        before, served, synced, since = self.plane.cpu_seconds(), self._served(), self.plane.fsync_buckets(), time.time()
        time.sleep(max(0.0, begin + seconds - time.time()))
        after, until = self.plane.cpu_seconds(), time.time()
        writes = [write for _worker in self._workers for write in self._results.get(timeout=120)]
        steady = sum(write.kind == "written" and since <= write.at < until for write in writes)
        spent = {process: after[process] - before[process] - self._idle[process] * (until - since) for process in after}
        cpu = {process: seconds * 1000 / max(1, steady) for process, seconds in spent.items()}
        served, synced = since_then(self._served(), served), since_then(self.plane.fsync_buckets(), synced)
        return Phase(name, self.nodes, begin, seconds, writes, cpu, served, synced)

    def _served(self) -> Counter[float]:
        """How long the API server says that it took for a report."""
        metrics = ApiClient(str(self.plane.admin)).get("/metrics", accept="text/plain").text
        return buckets(metrics, "apiserver_request_duration_seconds", resource="nodereports", verb="PUT")

    def stop(self) -> None:
        """End all processes."""
        for commands in self._commands:
            commands.put(None)
        for worker in self._workers:
            worker.join(30)
            if worker.is_alive():
                worker.terminate()
        self.plane.stop()


def since_then(now: Counter[float], then: Counter[float]) -> Counter[float]:
    """Return what a histogram has grown by."""
    return Counter({bound: count - then[bound] for bound, count in now.items()})


def measure(nodes: int, arguments: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Return a row of the table, and the targets that were missed."""
    run = Run(nodes, arguments)
    try:
        run.start()
        whole = run.phase("start", arguments.seconds)
        memory = run.plane.resident_mib()
        stored = [run.plane.stored_bytes(f"/registry/nodewise.dev/nodereports/node-{number:05}") for number in range(0, nodes, max(1, nodes // 20))]
        restart = run.phase("restart", arguments.restart_seconds)
    finally:
        run.stop()
    settle = min(arguments.settle, arguments.seconds / 2)
    steady = whole.part(settle, arguments.seconds)
    first = whole.part(0, settle)
    earliest = {write.node: write.at - whole.begin for write in reversed(first.written)}
    reported = f"{max(earliest.values()):.1f} s" if len(earliest) == nodes else f"{nodes - len(earliest)} none"
    rate = len(steady.written) / steady.seconds
    row = [
        f"{nodes}",
        f"{len(whole.written) + len(restart.written)}",
        f"{len(whole.errors) + len(restart.errors)}",
        f"{whole.throttled + restart.throttled}",
        f"{rate:.1f}",
        f"{steady.peak}",
        f"{steady.quantile(50):.1f}",
        f"{steady.quantile(99):.1f}",
        f"{whole.cpu['kube-apiserver']:.2f}",
        f"{whole.cpu['etcd']:.2f}",
        f"{memory['kube-apiserver']:.0f} / {memory['etcd']:.0f}",
        f"{max(stored)}",
        f"{first.peak} ({reported})",
        f"{restart.peak} ({restart.quantile(99):.0f} ms)",
    ]
    missed = []
    for error in (whole.errors + restart.errors)[:5]:
        missed.append(f"{nodes} nodes: {error.status} {error.message}")
    p99 = steady.quantile(99)
    if math.isnan(p99) or p99 > P99_MILLISECONDS:
        missed.append(f"{nodes} nodes: write p99 {p99:.1f} ms, target {P99_MILLISECONDS:g}")
    if rate > STEADY_WRITES:
        missed.append(f"{nodes} nodes: {rate:.1f} writes/s, target {STEADY_WRITES:g}")
    served, synced = (quantile(one, 0.99) * 1000 for one in (whole.served, whole.synced))
    slow = steady.slow(P99_MILLISECONDS / 1000)
    worst = ", ".join(f"{number} at {second} s" for second, number in slow.most_common(5))
    print(
        f"{nodes} nodes, p99 in the steady state: the API server took {served:.0f} ms for a report, etcd {synced:.0f} ms for a write to its log; "
        f"{slow.total()} reports took more than {P99_MILLISECONDS:g} ms, in {len(slow)} seconds: {worst}",
        file=sys.stderr,
        flush=True,
    )
    lateness = statistics.quantiles([write.late * 1000 for write in steady.written], n=100)[98]
    print(f"{nodes} nodes: the simulation itself was up to {lateness:.0f} ms late (p99); restart: {len(restart.written)} reports", file=sys.stderr, flush=True)
    return row, missed


COLUMNS = (
    "nodes",
    "reports",
    "errors",
    "429s honoured",
    "steady writes/s",
    "peak in 1 s",
    "write p50 ms",
    "p99 ms",
    "apiserver CPU ms/write",
    "etcd CPU ms/write",
    "resident MiB apiserver / etcd",
    "bytes in etcd",
    "all start at once: peak in 1 s (last first report)",
    "all restart at once: peak in 1 s (p99)",
)


def main() -> int:
    """Run for each number of nodes and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--nodes", type=int, nargs="+", default=[100, 1000, 5000])
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--restart-seconds", type=float, default=90.0)
    parser.add_argument("--settle", type=float, default=75.0, help="seconds after the start that do not count as steady state")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--threads", type=int, default=32)
    arguments = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 2 * max(arguments.nodes) + 1000:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    rows, missed = [], []
    for nodes in arguments.nodes:
        row, faults = measure(nodes, arguments)
        rows.append(row)
        missed += faults
    print("| " + " | ".join(COLUMNS) + " |")
    print("|" + " --- |" * len(COLUMNS))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    for line in missed:
        print(f"MISSED {line}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
