#!/usr/bin/env python
"""One guard with 5,000 nodes, of which 500 flap: memory, time from a report to its taint, writes.

usage: run.py [--nodes N] [--flapping N] [--seconds S]
"""

from __future__ import annotations

import argparse
import heapq
import random
import statistics
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

# ruff: noqa: E402 (the path comes first)
import json

from world import REPORTS, TAINT_KEY, ApiClient, Guard, NodewiseError, World, wait_until

PERIOD = 60.0
# The reporter lets a condition become true after two samples and false again after 60 s, so none flaps faster.
FASTEST = 80.0


class Taints(threading.Thread):
    """Watches the Nodes as a scheduler does, and notes when each taint came and went."""

    def __init__(self, world: World) -> None:
        super().__init__(daemon=True)
        self._client = ApiClient(str(world.plane.admin))
        answer = self._client.get("/api/v1/nodes?limit=1")
        self._version = answer.value()["metadata"]["resourceVersion"]
        self.tainted: dict[str, bool] = {}
        self.changes: list[tuple[float, str, bool]] = []

    def run(self) -> None:
        """Watch until the process ends."""
        while True:
            try:
                self._follow()
            except NodewiseError:
                return

    def _follow(self) -> None:
        _head, lines = self._client.stream(f"/api/v1/nodes?watch=1&allowWatchBookmarks=true&resourceVersion={self._version}", 120)
        for line in lines:
            event = json.loads(line)
            self._version = event["object"]["metadata"]["resourceVersion"]
            if event["type"] == "BOOKMARK":
                continue
            name = event["object"]["metadata"]["name"]
            now = any(taint["key"] == TAINT_KEY for taint in event["object"]["spec"].get("taints", []))
            if now != self.tainted.get(name, False):
                self.tainted[name] = now
                self.changes.append((time.monotonic(), name, now))


class Reports(threading.Thread):
    """Writes the reports of all nodes once a minute, and those of some whenever they flap."""

    def __init__(self, world: World, names: list[str], flapping: set[str], half: float) -> None:
        super().__init__(daemon=True)
        self._world = world
        self._client = ApiClient(str(world.plane.admin))
        self._names, self._flapping, self._half = names, flapping, half
        self.over = threading.Event()
        self.state = dict.fromkeys(names, False)
        self.flips: list[tuple[float, str, bool]] = []
        self.late = 0.0

    def run(self) -> None:
        """Write until told to end."""
        begin = time.monotonic()
        due = [(begin + random.uniform(0, PERIOD), name, False) for name in self._names]
        due += [(begin + random.uniform(0, self._half), name, True) for name in self._flapping]
        heapq.heapify(due)
        while not self.over.is_set():
            moment, name, flip = heapq.heappop(due)
            self.over.wait(max(0.0, moment - time.monotonic()))
            self.late = max(self.late, time.monotonic() - moment)
            self.state[name] ^= flip
            self._world.report(name, *(["cpu"] if self.state[name] else []), client=self._client)
            if flip:
                self.flips.append((time.monotonic(), name, self.state[name]))
            heapq.heappush(due, (moment + (self._half if flip else PERIOD), name, flip))


def steady(world: World, guard: Guard, taints: Taints, names: list[str], flapping: set[str], half: float, seconds: float) -> None:
    """Let some nodes flap, and print what the guard makes of it."""
    halves = [names[::2], names[1::2]]
    writers = [Reports(world, half_of, flapping & set(half_of), half) for half_of in halves]
    before, cpu, server = guard.metrics(), guard.cpu_seconds(), world.plane.cpu_seconds()
    changes_before = len(taints.changes)
    begin = time.monotonic()
    rates: list[float] = []
    last = guard.total("nodewise_guard_writes_total")
    for writer in writers:
        writer.start()
    while time.monotonic() - begin < seconds:
        time.sleep(5)
        now = guard.total("nodewise_guard_writes_total")
        rates.append((now - last) / 5)
        last = now
    took = time.monotonic() - begin
    for writer in writers:
        writer.over.set()
    for writer in writers:
        writer.join(30)
    after = guard.metrics()
    flips = sorted(flip for writer in writers for flip in writer.flips)
    changes = taints.changes[changes_before:]
    print(f"  {len(flips)} flips in {took:.0f} s ({len(flips) / took:.1f}/s), {len(changes)} changes of taints ({len(changes) / took:.1f}/s)")
    waits = latencies(flips, changes)
    for what, wanted in (("set", True), ("removed", False)):
        found = sorted(wait for wait, tainted in waits if tainted is wanted)
        if found:
            p99 = found[int(len(found) * 0.99)]
            print(f"  report to taint {what}: median {statistics.median(found):.2f} s, p99 {p99:.2f} s, most {found[-1]:.2f} s, of {len(found)}")
    kinds = {kind: sum(after.get(key, 0) - before.get(key, 0) for key in after if f'kind="{kind}"' in key) for kind in ("taint", "condition", "event")}
    print(f"  writes a second: {', '.join(f'{kind} {count / took:.1f}' for kind, count in kinds.items())}; most in 5 s {max(rates):.1f}")
    refused = sum(after.get(key, 0) - before.get(key, 0) for key in after if "writes_total" in key and 'status="2' not in key)
    print(f"  refused or unanswered: {refused:.0f}; a decision over all nodes takes {after['nodewise_guard_decision_duration_seconds'] * 1000:.0f} ms")
    spent = {name: (used - server[name]) / took for name, used in world.plane.cpu_seconds().items()}
    used = 100 * (guard.cpu_seconds() - cpu) / took
    print(f"  CPU: guard {used:.1f} %, kube-apiserver {100 * spent['kube-apiserver']:.0f} %, etcd {100 * spent['etcd']:.0f} % of a core")
    late = max(writer.late for writer in writers)
    print(f"  memory of the guard: {guard.memory_mib():.1f} MiB, most ever {guard.memory_mib('VmHWM'):.1f} MiB; reports at most {late:.1f} s late")


def latencies(flips: list[tuple[float, str, bool]], changes: list[tuple[float, str, bool]]) -> list[tuple[float, bool]]:
    """Return the time from each flip to the change of the taint that answers it, if one does before the next flip."""
    by_name: dict[str, list[tuple[float, bool, str]]] = {}
    for moment, name, value in flips:
        by_name.setdefault(name, []).append((moment, value, "flip"))
    for moment, name, value in changes:
        by_name.setdefault(name, []).append((moment, value, "change"))
    found = []
    for events in by_name.values():
        events.sort()
        for (moment, value, kind), (then, now, following) in zip(events, events[1:], strict=False):
            if kind == "flip" and following == "change" and value == now:
                found.append((then - moment, now))
    return found


def storm(world: World, guard: Guard, taints: Taints, names: list[str], value: bool) -> None:
    """Let many nodes flip as near to at once as can be written."""
    before, count = len(taints.changes), guard.total("nodewise_guard_writes_total")
    clients = [ApiClient(str(world.plane.admin)) for _worker in range(4)]
    begin = time.monotonic()

    def write(worker: int) -> None:
        for name in names[worker::4]:
            world.report(name, *(["cpu"] if value else []), client=clients[worker])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    written = time.monotonic() - begin
    wait_until(lambda: sum(1 for _moment, name, now in taints.changes[before:] if now is value) >= len(names), "all have changed", 120)
    last = taints.changes[-1][0] - begin
    time.sleep(5)
    rate = (guard.total("nodewise_guard_writes_total") - count) / (time.monotonic() - begin)
    what = "set" if value else "removed"
    print(f"  {len(names)} reports written in {written:.1f} s; the last taint {what} {last - written:.1f} s after the last report; {rate:.0f} writes a second")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=5000)
    parser.add_argument("--flapping", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=420)
    options = parser.parse_args()
    names = [f"node-{number:05}" for number in range(options.nodes)]
    with tempfile.TemporaryDirectory(prefix="guard-bench-") as folder:
        world = World(Path(folder) / "w")
        try:
            world.start()
            begin = time.monotonic()
            fill(world, names)
            size = len(world.admin.get(f"/api/v1/nodes/{names[0]}").body)
            print(f"{len(names)} nodes of {size / 1000:.1f} KB (JSON) and their reports made in {time.monotonic() - begin:.0f} s")
            taints = Taints(world)
            taints.start()
            guard = world.guard(grace_seconds=3600)
            begin = time.monotonic()
            wait_until(
                lambda: guard.metrics().get("nodewise_guard_leading") and guard.metrics().get("nodewise_guard_nodes") == len(names), "the guard knows all", 120
            )
            print(f"start: all nodes and reports known after {time.monotonic() - begin:.1f} s, {guard.memory_mib('VmHWM'):.1f} MiB at most")
            wait_until(
                lambda: guard.metrics().get('nodewise_guard_writes_total{kind="condition",status="200"}', 0) >= len(names), "all conditions are written", 300
            )
            most = guard.memory_mib("VmHWM")
            print(f"start: the first condition of all nodes written after {time.monotonic() - begin:.0f} s; {guard.memory_mib():.1f} MiB, at most {most:.1f}")
            chosen = set(names[:: max(1, len(names) // options.flapping)][: options.flapping])
            print(f"{len(chosen)} nodes flip every 200 s, each at its own time (slower than hold and gap, so each flip is acted on)")
            steady(world, guard, taints, names, chosen, 200.0, options.seconds)
            print(f"{len(chosen)} nodes flip every {FASTEST:.0f} s (as fast as a reporter can, faster than hold and gap)")
            steady(world, guard, taints, names, chosen, FASTEST, options.seconds)
            world.guards.remove(guard)
            guard.stop()
            for name in chosen:
                world.report(name)
            quick = world.guard("cp2", hold_seconds=0, gap_seconds=0, grace_seconds=3600)
            wait_until(lambda: quick.metrics().get("nodewise_guard_leading") and not any(taints.tainted.values()), "all are clear", 120)
            print(f"{len(chosen)} nodes flip at once (no hold, no gap)")
            storm(world, quick, taints, sorted(chosen), True)
            storm(world, quick, taints, sorted(chosen), False)
            print(f"memory of the guard: at most {quick.memory_mib('VmHWM'):.1f} MiB")
        finally:
            world.stop()


def fill(world: World, names: list[str]) -> None:
    """Make all nodes and their first reports."""
    worlds = [World.__new__(World) for _worker in range(4)]
    for one in worlds:
        one.__dict__.update(world.__dict__)
        one.admin = ApiClient(str(world.plane.admin))

    def make(worker: int) -> None:
        for name in names[worker::4]:
            worlds[worker].add_node(name, images=True)
            worlds[worker].report(name)
        worlds[worker].admin.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(make, range(4)))
    assert world.admin.get(f"{REPORTS}?limit=1").ok


if __name__ == "__main__":
    main()
