#!/usr/bin/env python
"""How long a provider of 1,000 hosts takes to answer each call of cluster-autoscaler, at rest and while 32 hosts join.

usage: run.py [--hosts N] [--foreign N] [--rounds N]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

# ruff: noqa: E402 (the path comes first)
from rig import GROUP, Rig, provider_id, wait_until

BOUND = 0.05
"""Seconds: what a call may take."""
BURST = 32
"""Hosts that join at once; as many as the provider lets."""


RARE = 0.001
"""Share of the calls that may take longer: this machine has two cores, and does other things as well."""


def table(title: str, seconds: dict[str, list[float]]) -> list[float]:
    """Show how long calls took and return all times."""
    print(f"\n{title}\n{'call':28} {'number':>7} {'median ms':>10} {'p99 ms':>8} {'most ms':>8}")
    for method, values in sorted(seconds.items()):
        ordered = sorted(values)
        p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
        print(f"{method:28} {len(values):7} {statistics.median(ordered) * 1000:10.2f} {p99 * 1000:8.2f} {ordered[-1] * 1000:8.2f}")
    return [one for values in seconds.values() for one in values]


def main() -> int:
    """Measure, and say whether every call was fast enough."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--foreign", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nodewise-autoscaler-") as folder:
        rig = Rig(Path(folder) / "rig")
        try:
            rig.start()
            config = rig.config(options.hosts)
            joined = options.hosts // 2
            for number in range(1, joined + 1):
                rig.add_node(f"s{number}", provider_id(f"s{number}"))
            time.sleep(3)
            provider = rig.provider(config)
            wait_until(lambda: provider.metrics().get("nodewise_autoscaler_leading") == 1, "the provider leads")
            scaler = rig.autoscaler(provider)
            assert scaler.target(GROUP) == joined
            scaler.seconds.clear()

            nodes = [(provider_id(f"s{number}"), f"s{number}") for number in range(1, joined + 1)]
            nodes += [(f"nodewise://lab/w{number}", f"w{number}") for number in range(options.foreign)]
            begin = time.monotonic()
            for _round in range(options.rounds):
                scaler.round(nodes)
            print(f"{options.hosts} hosts, {joined} of them joined, {options.foreign} foreign Nodes; provider: {provider.memory_mib():.0f} MiB")
            print(f"a round of the autoscaler over them took {(time.monotonic() - begin) / options.rounds:.2f} s")
            times = table("at rest", scaler.seconds)

            scaler.seconds.clear()
            # Hosts that take their time and none of this machine's.
            (rig.folder / "programs" / "ssh").write_text("#!/usr/bin/env bash\nexec sleep 60\n")
            for number in range(0, BURST, 2):
                scaler.increase(GROUP, 2)
                assert scaler.target(GROUP) == joined + number + 2
                scaler.instances(GROUP)
            for number in range(1, 17):
                scaler.delete(GROUP, provider_id(f"s{number}"))
                scaler.target(GROUP)
            for _round in range(options.rounds):
                scaler.round(nodes[:200])
            print(f"\nprovider while {provider.metrics()['nodewise_autoscaler_working_hosts']:.0f} hosts join or leave: {provider.memory_mib():.0f} MiB")
            times += table("while hosts join and leave", scaler.seconds)
            late = sorted(round(one * 1000) for one in times if one > BOUND)
            print(f"\nof {len(times)} answers {len(late)} took more than {BOUND * 1000:.0f} ms: {late}")
            return 0 if len(late) <= RARE * len(times) else 1
        finally:
            rig.stop()


if __name__ == "__main__":
    sys.exit(main())
