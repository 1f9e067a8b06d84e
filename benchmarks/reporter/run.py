#!/usr/bin/env python
# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the reporter costs one node that is full of pods: memory, CPU, the CPU it causes in containerd, and its start.

    benchmarks/reporter/run.py [--pods 110] [--seconds 600] [--without-seconds 300] [--node w1]

Needs the lab NODEWISE_LAB with a cluster and the reporter; pods of the image `pause` fill the node and are removed at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

LAB = os.environ.get("NODEWISE_LAB", "lab")
UNIT = "nodewise-reporter"
KUBECTL = "kubectl --kubeconfig=/etc/kubernetes/admin.conf"
PAUSE = "registry.k8s.io/pause:3.10.2"
STARTS = 5
# As Prometheus does; the first time loads what renders metrics.
SCRAPE = "python3 -c \"import urllib.request as u; u.urlopen('http://127.0.0.1:10270/metrics').read()\""


def sh(host: str, script: str, stdin: str | None = None) -> str:
    """Run a script on a lab host."""
    command = ["podman", "exec", "-i", f"nodewise-{LAB}-{host}", "sh", "-c", script]
    return subprocess.run(command, check=True, capture_output=True, text=True, input=stdin).stdout.strip()


def pid(host: str, unit: str) -> int:
    """Return a unit's main process."""
    return int(sh(host, f"systemctl show -p MainPID --value {unit}"))


def cpu_seconds(host: str, process: int) -> float:
    """Return the CPU time that a process has used (proc(5): utime and stime)."""
    fields = sh(host, f"cat /proc/{process}/stat").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mib(host: str, process: int, name: str) -> float:
    """Return a figure of /proc/PID/status in MiB."""
    return int(sh(host, f"grep ^{name}: /proc/{process}/status").split()[1]) / 1024


@contextmanager
def full_node(node: str, pods: int) -> Iterator[int]:
    """Fill a node up to a number of pods, and yield how many run."""
    running = int(sh("cp1", f"{KUBECTL} get pods -A --field-selector=spec.nodeName={node},status.phase=Running -o name | wc -l"))
    # For 5 minutes after a disk was full the kubelet evicts whatever comes.
    sh("cp1", f"{KUBECTL} wait node {node} --for=condition=DiskPressure=false --timeout=400s > /dev/null")
    labels = {"app": "bench-reporter"}
    container = {"name": "pause", "image": PAUSE, "imagePullPolicy": "Never"}
    items = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"bench-{number}", "labels": labels},
            "spec": {"nodeName": node, "terminationGracePeriodSeconds": 0, "hostNetwork": True, "containers": [container]},
        }
        for number in range(pods - running)
    ]
    try:
        sh("cp1", f"{KUBECTL} apply -f - > /dev/null", json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
        sh("cp1", f"{KUBECTL} wait pod -l app=bench-reporter --for=condition=Ready --timeout=500s > /dev/null")
        yield int(sh("cp1", f"{KUBECTL} get pods -A --field-selector=spec.nodeName={node},status.phase=Running -o name | wc -l"))
    finally:
        sh("cp1", f"{KUBECTL} delete pod -l app=bench-reporter --force --wait=true > /dev/null 2>&1")


def start_to_first_report(node: str) -> float:
    """Return the seconds from the unit's start to its first report being accepted, which is when systemd counts it as started."""
    sh(node, f"systemctl stop {UNIT}")
    sh("cp1", f"{KUBECTL} delete nodereport {node} --ignore-not-found > /dev/null")
    begin = time.monotonic()
    sh(node, f"systemctl start {UNIT}")
    took = time.monotonic() - begin
    # It says that it is up after 30 s whatever happens; a report says that it is.
    sh("cp1", f"{KUBECTL} get nodereport {node} -o jsonpath={{.status.sequence}} | grep -q .")
    return took


def main() -> None:
    """Run the benchmark and print its figures."""
    parser = argparse.ArgumentParser(description="Measure the reporter on one node.")
    parser.add_argument("--pods", type=int, default=110)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--without-seconds", type=float, default=300)
    parser.add_argument("--node", default="w1")
    options = parser.parse_args()
    node = options.node
    with full_node(node, options.pods) as pods:
        print(f"{pods} pods run on {node}", flush=True)
        starts = [start_to_first_report(node) for _turn in range(STARTS)]
        containerd = pid(node, "containerd")
        reporter = pid(node, UNIT)
        begin, used, caused = time.monotonic(), cpu_seconds(node, reporter), cpu_seconds(node, containerd)
        time.sleep(options.seconds)
        elapsed = time.monotonic() - begin
        own = (cpu_seconds(node, reporter) - used) / elapsed * 1000
        with_reporter = (cpu_seconds(node, containerd) - caused) / elapsed * 1000
        resident = memory_mib(node, reporter, "VmRSS")
        for _turn in range(5):
            sh(node, SCRAPE)
        scraped, peak = memory_mib(node, reporter, "VmRSS"), memory_mib(node, reporter, "VmHWM")
        sh(node, f"systemctl stop {UNIT}")
        try:
            begin, caused = time.monotonic(), cpu_seconds(node, containerd)
            time.sleep(options.without_seconds)
            without = (cpu_seconds(node, containerd) - caused) / (time.monotonic() - begin) * 1000
        finally:
            sh(node, f"systemctl start {UNIT}")
    print(f"{'figure':42}{'measured':>12}{'target':>10}")
    for name, value, target in (
        (f"resident memory after {options.seconds:.0f} s, MiB", resident, "<= 50"),
        ("the same once metrics were scraped, MiB", scraped, "<= 50"),
        ("resident memory, peak, MiB", peak, ""),
        ("CPU, millicores", own, "<= 5"),
        ("CPU of containerd with the reporter, mc", with_reporter, ""),
        ("CPU of containerd without it, mc", without, ""),
        ("CPU that it causes in containerd, mc", with_reporter - without, ""),
        ("start to first report, median, s", median(starts), "<= 3"),
        ("start to first report, longest, s", max(starts), ""),
    ):
        print(f"{name:42}{value:12.2f}{target:>10}")


if __name__ == "__main__":
    main()
