#!/usr/bin/env python
"""Time bring-up of fresh lab hosts: a plain shell script (the floor), site.yml, and site.yml again, in one run.

usage: run.py [--workers N ...] [--keep]

Every measurement starts from new hosts of the same image with all artifacts cached. Neither way includes verification. The first run of
site.yml is also told without the roles whose work the floor script does not do; that is what is held against the floor.
Prints one row for each number of nodes, tasks per host, and the ten slowest tasks; exits with 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
LAB = "bench"
WORK = ROOT / ".lab" / "bench-work"
FLOOR_RATIO = 1.5
BEYOND = ("admission", "autoscaler", "guard", "metrics_server", "monitoring", "node_labels", "policies", "reporter")
"""Roles whose work the floor script does not do: its cluster has containerd, kubeadm's parts, Calico and CoreDNS."""
NOOP_SECONDS = 15.0


def playbook(name: str, *args: str, inventory: list[Path]) -> tuple[float, str]:
    """Run a playbook and return its seconds and output; exits on failure."""
    sources = [part for path in inventory for part in ("-i", str(path))]
    command = [str(ROOT / ".venv/bin/ansible-playbook"), *sources, name, *args]
    env = {
        **os.environ,
        "NODEWISE_LAB": LAB,
        "PATH": f"{ROOT}/.venv/bin:{os.environ['PATH']}",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_CALLBACKS_ENABLED": "ansible.posix.profile_tasks",
        "PROFILE_TASKS_TASK_OUTPUT_LIMIT": "all",
    }
    started = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    seconds = time.monotonic() - started
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-6000:]}")
    return seconds, done.stdout


def inventory_for(workers: int) -> list[Path]:
    """Return the lab's inventory, extended to the number of workers: first, since how hosts are reached is told of those known by then."""
    extra = {f"w{index}": {"lab_number": 20 + index} for index in range(3, workers + 1)}
    path = WORK / f"workers-{workers}.yml"
    path.write_text(yaml.safe_dump({"lab": {"children": {"workers": {"hosts": extra}}}}), encoding="utf-8")
    return [path, ROOT / "inventories/lab"]


def fresh_hosts(inventory: list[Path]) -> None:
    """Remove the lab's hosts and make new ones."""
    playbook("playbooks/lab_down.yml", inventory=inventory)
    playbook("playbooks/lab_up.yml", inventory=inventory)


def stage(bill: list[dict[str, str]]) -> Path:
    """Lay the artifacts out as the floor script wants them, and the configuration that a plain script would write."""
    root = WORK / "stage"
    shutil.rmtree(root, ignore_errors=True)
    for item in bill:
        if item["kind"] == "manifest":
            target = root / "control_plane/etc/kubernetes/floor-calico.yaml"
        elif item["kind"] == "image":
            target = root / item["nodes"] / "floor/images" / Path(item["path"]).name
        else:
            target = root / item["nodes"] / item["dest"].lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(item["path"])
    for source in sorted((HERE / "floor").rglob("*")):
        if source.is_file():
            target = root / source.relative_to(HERE / "floor")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
    return root


def floor(hosts: dict[str, str], root: Path) -> tuple[float, str]:
    """Run the floor script and return its seconds and output."""
    key = ROOT / ".lab" / LAB / "id_ed25519"
    env = {
        **os.environ,
        "SSH_OPTIONS": f"-i {key} -o UserKnownHostsFile={ROOT}/.lab/{LAB}/known_hosts -o StrictHostKeyChecking=accept-new",
        "IGNORE_PREFLIGHT": "SystemVerification,FileContent--proc-sys-net-bridge-bridge-nf-call-iptables,Swap",
    }
    started = time.monotonic()
    done = subprocess.run(  # noqa: E501
        [str(HERE / "floor.sh"), str(root), *hosts.values()], env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if done.returncode != 0:
        sys.exit(f"floor.sh failed:\n{done.stdout[-6000:]}")
    return time.monotonic() - started, done.stdout


def addresses(names: list[str], inventory: list[Path]) -> dict[str, str]:
    """Return the hosts' addresses from the inventory."""
    env = {**os.environ, "NODEWISE_LAB": LAB}
    found = {}
    for name in names:
        sources = [part for path in inventory for part in ("-i", str(path))]
        command = [str(ROOT / ".venv/bin/ansible"), *sources, name, "-m", "ansible.builtin.debug", "-a", "var=ansible_host", "-o"]
        out = subprocess.run(command, cwd=ROOT, env=env, text=True, capture_output=True, check=True).stdout
        match = re.search(r"\d+\.\d+\.\d+\.\d+", out)
        if match is None:
            sys.exit(f"no address of {name} in: {out}")
        found[name] = match[0]
    return found


def tasks_per_host(output: str) -> str:
    """Return the recap's counts."""
    return "\n".join(line for line in output.splitlines() if re.match(r"^\S+\s+: ok=", line))


def slowest(output: str) -> str:
    """Return the ten slowest tasks that ansible.posix.profile_tasks printed."""
    tail = output[output.rfind("=====") :]
    return "\n".join(tail.splitlines()[1:11])


def beyond(output: str) -> float:
    """Return the seconds of the tasks whose work the floor script does not do, as ansible.posix.profile_tasks printed them."""
    tail = output[output.rfind("=====") :]
    tasks = re.findall(r"^nodewise\.cluster\.(\w+) : .* ([0-9.]+)s$", tail, re.MULTILINE)
    return sum(float(seconds) for role, seconds in tasks if role in BEYOND)


def changed(output: str) -> int:
    """Return how many changes the recap counts."""
    return sum(int(found) for found in re.findall(r"changed=(\d+)", tasks_per_host(output)))


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[2])
    parser.add_argument("--keep", action="store_true", help="leave the last cluster running")
    options = parser.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)
    missed = []
    rows = []
    for workers in options.workers:
        inventory = inventory_for(workers)
        names = ["cp1", *(f"w{index}" for index in range(1, workers + 1))]
        limit = ["--limit", ",".join(names), "--skip-tags", "verify"]
        fresh_hosts(inventory)
        playbook(str(HERE / "bill.yml"), "-e", f"bill={WORK / 'bill.json'}", inventory=inventory)
        root = stage(json.loads((WORK / "bill.json").read_text(encoding="utf-8")))
        floor_seconds, floor_output = floor(addresses(names, inventory), root)
        print(floor_output, flush=True)
        fresh_hosts(inventory)
        site_seconds, site_output = playbook("playbooks/site.yml", *limit, inventory=inventory)
        again_seconds, again_output = playbook("playbooks/site.yml", *limit, inventory=inventory)
        same = site_seconds - beyond(site_output)
        rows.append((len(names), floor_seconds, same, same / floor_seconds, site_seconds, again_seconds, changed(again_output)))
        print(f"site.yml, {len(names)} nodes\n{tasks_per_host(site_output)}\nslowest tasks\n{slowest(site_output)}")
        print(f"site.yml again\n{tasks_per_host(again_output)}\nslowest tasks\n{slowest(again_output)}\n", flush=True)
        if same > FLOOR_RATIO * floor_seconds:
            missed.append(f"{len(names)} nodes: for the same work site.yml took {same / floor_seconds:.2f} of the floor, the target is {FLOOR_RATIO}")
        if changed(again_output) or (workers == 2 and again_seconds > NOOP_SECONDS):
            missed.append(
                f"{len(names)} nodes: the second run changed {changed(again_output)} and took {again_seconds:.1f} s, the target is 0 and {NOOP_SECONDS}"
            )
    print("nodes  floor s  same work s  ratio  whole site.yml s  again s  changed")
    for nodes, floor_seconds, same, ratio, site_seconds, again_seconds, changes in rows:
        print(f"{nodes:5}  {floor_seconds:7.1f}  {same:11.1f}  {ratio:5.2f}  {site_seconds:16.1f}  {again_seconds:7.1f}  {changes:7}")
    if not options.keep:
        playbook("playbooks/lab_down.yml", inventory=inventory_for(max(options.workers)))
    print("\n".join(missed))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
