#!/usr/bin/env python
"""Simulate the herd effect: do pods that are kept away from overloaded nodes all go to the few others, and back at once?

100 nodes, the scheduler's own scores (TaintToleration 3, LeastAllocated 1), the reporter's thresholds and hysteresis, and the guard's own
decide(). Pods come all the time; what they use is not what they request. In minute 10 a batch that requests nothing loads 60 of
the nodes for 20 minutes and ends everywhere at the same moment.

usage: herd.py [--runs N]
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / ".ansible" / "collections"))

# ruff: noqa: E402 (the path comes first)
from ansible_collections.nodewise.cluster.plugins.module_utils.guard.decide import decide
from ansible_collections.nodewise.cluster.plugins.module_utils.guard.model import NodeState, ReportState
from ansible_collections.nodewise.cluster.plugins.module_utils.guard.settings import Settings

NODES, CORES = 100, 32.0
REQUEST, LIFE = 0.5, 1200.0
USES = (0.2, 0.2, 0.4, 0.4, 0.8, 2.0)  # cores; 0.67 on average
ARRIVALS = 2.4  # pods a second: 2,880 at a time, 60 % of all cores used
BATCH = (600.0, 1800.0, 60, 16.0)  # from, until, nodes, cores on each
END, STEP = 3600.0, 5.0

POLICIES: dict[str, Settings | None] = {
    "no guard": None,
    "guard as by default (cap 50 %)": Settings(),
    "recovered nodes come back one a minute": Settings(),
    "recovered nodes come back ten a minute": Settings(),
    "cap 30 %": Settings(max_tainted_percent=30),
    "cap 70 %": Settings(max_tainted_percent=70),
    "cap 90 %": Settings(max_tainted_percent=90),
    "no hold, no gap": Settings(hold_seconds=0, gap_seconds=0),
    "hold 10 minutes": Settings(hold_seconds=600),
}
# What the guard does not do, because of this: the most taints that are removed in a minute.
PACE = {"recovered nodes come back one a minute": 1, "recovered nodes come back ten a minute": 10}


@dataclass
class Node:
    """One node: what is requested, what is used, and how its reporter's condition stands."""

    requested: float = 0.0
    used: float = 0.0
    bad: int = 0
    good_since: float | None = None
    overloaded: bool = False
    placed: deque[float] = field(default_factory=deque)


@dataclass
class Result:
    """What a run shows."""

    overloaded_minutes: float = 0.0  # nodes at 85 % or more
    beyond: float = 0.0  # core-minutes wanted beyond a node's cores
    herd: int = 0  # most pods that one node got within a minute
    onto_overloaded: int = 0  # pods placed onto a node at 85 % or more
    taints: int = 0
    unplaced: int = 0


def run(settings: Settings | None, pace: int, seed: int) -> Result:
    """Simulate an hour."""
    removed: deque[float] = deque()
    chance = random.Random(seed)
    nodes = {f"n{number:03}": Node() for number in range(NODES)}
    states = {name: NodeState(name, name, "1", -9999.0, False, (), None) for name in nodes}
    ends: list[tuple[float, str, float]] = []
    result = Result()
    batch = chance.sample(sorted(nodes), BATCH[2])
    now, waiting = -1800.0, 0.0  # half an hour to fill up
    while now < END:
        ends.sort()
        while ends and ends[0][0] <= now:
            _end, name, use = ends.pop(0)
            nodes[name].used -= use
            nodes[name].requested -= REQUEST
        for name in batch:
            if now in BATCH[:2]:
                nodes[name].used += BATCH[3] if now == BATCH[0] else -BATCH[3]
        waiting += ARRIVALS * STEP
        while waiting >= 1:
            waiting -= 1
            name_or_none = schedule(nodes, states, chance)
            if name_or_none is None:
                result.unplaced += 1
                continue
            node, use = nodes[name_or_none], chance.choice(USES)
            if now >= 0:
                result.onto_overloaded += node.used >= 0.85 * CORES
            node.used += use
            node.requested += REQUEST
            node.placed.append(now)
            ends.append((now + chance.expovariate(1 / LIFE), name_or_none, use))
        for node in nodes.values():
            while node.placed and node.placed[0] <= now - 60:
                node.placed.popleft()
            if now >= 0:
                result.herd = max(result.herd, len(node.placed))
                result.overloaded_minutes += (node.used >= 0.85 * CORES) * STEP / 60
                result.beyond += max(0.0, node.used - CORES) * STEP / 60
            if now % 10 == 0:
                sample(node, now)
        if settings is not None:
            guard(nodes, states, settings, now, result, pace, removed)
        now += STEP
    return result


def schedule(nodes: dict[str, Node], states: dict[str, NodeState], chance: random.Random) -> str | None:
    """Return the node of a pod, as the stock scheduler chooses: by requests and taints, never by use."""
    best: list[str] = []
    most = -1.0
    for name, node in nodes.items():
        effects = {taint.effect for taint in states[name].taints}
        if node.requested + REQUEST > CORES or "NoSchedule" in effects:
            continue
        score = 100 * (CORES - node.requested) / CORES + (0 if effects else 300)
        if score > most + 1e-9:
            best, most = [name], score
        elif score > most - 1e-9:
            best.append(name)
    return chance.choice(best) if best else None


def sample(node: Node, now: float) -> None:
    """Take the reporter's sample: true after two bad ones, false after 60 s of good ones."""
    share = node.used / CORES
    node.bad = node.bad + 1 if share >= 0.85 else 0
    node.good_since = (now if node.good_since is None else node.good_since) if share < 0.75 else None
    if node.bad >= 2:
        node.overloaded = True
    elif node.good_since is not None and now - node.good_since >= 60:
        node.overloaded = False


def guard(nodes: dict[str, Node], states: dict[str, NodeState], settings: Settings, now: float, result: Result, pace: int, removed: deque[float]) -> None:
    """Let the guard decide, and carry it out, but no more than so many removals in a minute."""
    while removed and removed[0] <= now - 60:
        removed.popleft()
    reports = {
        name: ReportState(now, now + 180, 180.0, ("False", "False", str(node.overloaded)), (now,) * 3, (10, 10, int(100 * node.used / CORES)), "1")
        for name, node in nodes.items()
    }
    for decision in decide(states, reports, settings, now, -9999.0).decisions:
        state = decision.node
        if decision.write_taint and decision.taint is None:
            if len(removed) >= pace:
                continue
            removed.append(now)
        result.taints += decision.write_taint and decision.taint is not None and now >= 0
        taints = (decision.taint,) if decision.taint else ()
        states[state.name] = replace(state, taints=taints, condition=decision.condition or state.condition)


def main() -> None:
    """Print a table of medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    print(
        "| | overloaded node-minutes | core-minutes beyond capacity | most pods on one node in a minute | pods onto overloaded nodes | taints set | unplaced |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, settings in POLICIES.items():
        results = [run(settings, PACE.get(name, NODES), seed) for seed in range(options.runs)]
        columns = Counter[str]()
        for key in ("overloaded_minutes", "beyond", "herd", "onto_overloaded", "taints", "unplaced"):
            columns[key] = round(statistics.median(getattr(result, key) for result in results))
        print(f"| {name} | {' | '.join(str(columns[key]) for key in ('overloaded_minutes', 'beyond', 'herd', 'onto_overloaded', 'taints', 'unplaced'))} |")


if __name__ == "__main__":
    main()
