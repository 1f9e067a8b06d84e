#!/usr/bin/env python
"""Time the change of an admission plugin on a running cluster against the API server's own restart, in one run.

usage: run.py -i INVENTORY [--rounds N]

Each round restarts the API server (the floor: an annotation of its manifest, see restart.sh, timed on the host), changes a plugin with role
admission (timed here, with all of Ansible), lets the role find nothing to do, and then the same again with the plugin taken back. Rounds alternate, so
that a busy machine slows both. Prints the medians; exits with 1 if a target is missed. Leaves the plugins as the inventory wants them.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BIN = ROOT / ".venv/bin"
RATIO = 1.3
NOOP_SECONDS = 3.0
PLUGIN = "DenyServiceExternalIPs"
GROUP = "control_plane"


def call(*command: str) -> tuple[float, str]:
    """Run a command and return its seconds and output; exits on failure."""
    env = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "ANSIBLE_NOCOLOR": "1"}
    started = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    seconds = time.monotonic() - started
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-4000:]}")
    return seconds, done.stdout


def restart(inventory: str, argument: str = "") -> float:
    """Return the seconds of the API server's own restart."""
    script = f"{HERE / 'restart.sh'} {argument}".strip()
    _seconds, out = call("ansible", "-i", inventory, GROUP, "--become", "-m", "ansible.builtin.script", "-a", script)
    found = re.search(r"restart took ([\d.]+) s", out)
    if found is None:
        sys.exit(f"restart.sh printed no time:\n{out}")
    return float(found[1])


def change(inventory: str, plugins: list[str], changed: int | None) -> float:
    """Return the seconds of the role's run; exits if it did not change what it should have (None: whatever there is to change)."""
    seconds, out = call("ansible-playbook", "-i", inventory, str(HERE / "change.yml"), "-e", json.dumps({"admission_enabled": plugins}))
    if changed is not None and f" changed={changed} " not in out:
        sys.exit(f"The role should have changed {changed}:\n{out}")
    return seconds


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-i", "--inventory", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    floors, changes, noops = [], [], []
    change_to = {True: [PLUGIN], False: []}
    change(options.inventory, [], None)
    for _round in range(options.rounds):
        for there in (True, False):
            floors.append(restart(options.inventory))
            changes.append(change(options.inventory, change_to[there], 1))
            noops.append(change(options.inventory, change_to[there], 0))
            print(f"restart {floors[-1]:6.2f} s   change {changes[-1]:6.2f} s   no-op {noops[-1]:6.2f} s", flush=True)
    floor, changing, noop = statistics.median(floors), statistics.median(changes), statistics.median(noops)
    print(f"medians of {len(floors)}: restart {floor:.2f} s, change {changing:.2f} s, ratio {changing / floor:.2f} (target {RATIO}), no-op {noop:.2f} s")
    call("ansible-playbook", "-i", options.inventory, str(HERE / "change.yml"))
    restart(options.inventory, "clean")
    missed = [name for name, bad in (("ratio", changing > RATIO * floor), ("no-op", noop > NOOP_SECONDS)) if bad]
    if missed:
        print(f"MISSED: {', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
