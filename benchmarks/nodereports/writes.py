#!/usr/bin/env python
"""Compare ways of writing one report: time, CPU of kube-apiserver and etcd, bytes answered and bytes in etcd.

usage: writes.py [--writes N] [--rate PER_SECOND]
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "common"))

# ruff: noqa: E402 (the path comes first)
from cluster import ready
from control_plane import ControlPlane, wait_until
from sample import ROOT, ApiClient, apply, create_node, status

JSON = "application/json"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
PATH = "/apis/nodewise.dev/v1alpha1/nodereports"
NAME = "node-0"


def ways() -> dict[str, Callable[[ApiClient, dict[str, Any], str], Any]]:
    """Return the ways; each takes the client, the status and the resourceVersion before."""
    base = {"apiVersion": "nodewise.dev/v1alpha1", "kind": "NodeReport"}
    url = f"{PATH}/{NAME}/status"

    def merge(client: ApiClient, value: dict[str, Any], _version: str, accept: str = METADATA) -> Any:
        return client.request("PATCH", url, {"status": value}, "application/merge-patch+json", accept)

    def json_patch(client: ApiClient, value: dict[str, Any], _version: str) -> Any:
        return client.request("PATCH", url, [{"op": "add", "path": "/status", "value": value}], "application/json-patch+json", METADATA)

    def put(client: ApiClient, value: dict[str, Any], version: str) -> Any:
        body = {**base, "metadata": {"name": NAME, "resourceVersion": version}, "status": value}
        return client.request("PUT", url, body, JSON, METADATA)

    def server_side(client: ApiClient, value: dict[str, Any], _version: str) -> Any:
        body = {**base, "metadata": {"name": NAME}, "status": value}
        return client.request("PATCH", f"{url}?fieldManager=nodewise&force=true", body, "application/apply-patch+yaml", METADATA)

    def new_connection(client: ApiClient, value: dict[str, Any], version: str) -> Any:
        client.close()
        return put(client, value, version)

    return {
        "merge patch, whole answer": lambda client, value, version: merge(client, value, version, JSON),
        "merge patch": merge,
        "JSON patch": json_patch,
        "PUT with resourceVersion (used)": put,
        "the same, a new connection each": new_connection,
        "server-side apply": server_side,
    }


def main() -> None:
    """Measure each way in turn, twice, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--writes", type=int, default=600)
    parser.add_argument("--rate", type=float, default=83.0)
    arguments = parser.parse_args()
    plane = ControlPlane(ROOT / ".lab" / "bench-writes")
    try:
        plane.start()
        admin = ApiClient(str(plane.admin))
        wait_until(lambda: ready(admin), "kube-apiserver")
        apply(admin)
        # The rights that only the ways not taken need.
        role = {"rules": [{"apiGroups": ["nodewise.dev"], "resources": ["nodereports", "nodereports/status"], "verbs": ["*"]}]}
        admin.request("PATCH", "/apis/rbac.authorization.k8s.io/v1/clusterroles/nodewise-reporter", role, "application/merge-patch+json")
        uid = create_node(admin, NAME)
        client = ApiClient(str(plane.kubeconfig(NAME, f"system:node:{NAME}", "system:nodes")))
        owners = [{"apiVersion": "v1", "kind": "Node", "name": NAME, "uid": uid}]
        whole = status()
        print(f"status: {len(json.dumps(whole, separators=(',', ':')))} bytes of JSON\n")
        print("| way | p50 ms | p99 ms | apiserver ms CPU | etcd ms CPU | answer bytes | in etcd bytes |\n| --- | --- | --- | --- | --- | --- | --- |")
        for name, way in ways().items():
            admin.request("DELETE", f"{PATH}/{NAME}")
            body = {"apiVersion": "nodewise.dev/v1alpha1", "kind": "NodeReport", "metadata": {"name": NAME, "ownerReferences": owners}}
            wait_until(lambda body=body: client.request("POST", PATH, body).ok, "creation")
            forget = [{"op": "add", "path": "/metadata/managedFields", "value": [{}]}]
            client.request("PATCH", f"{PATH}/{NAME}", forget, "application/json-patch+json")
            measure(plane, client, name, way, whole, arguments)
    finally:
        plane.stop()


def measure(
    plane: ControlPlane,
    client: ApiClient,
    name: str,
    way: Callable[[ApiClient, dict[str, Any], str], Any],
    whole: dict[str, Any],
    arguments: argparse.Namespace,
) -> None:
    """Write at the rate and print a line."""
    version = client.get(f"{PATH}/{NAME}").value()["metadata"]["resourceVersion"]
    seconds, size = [], 0
    before: dict[str, float] = {}
    for number in range(arguments.writes + 50):
        if number == 50:
            before, begin = plane.cpu_seconds(), time.monotonic()
        value = copy.deepcopy(whole)
        value["sequence"] = number + 1
        value["cpuMillicores"]["now"] += number
        answer = way(client, value, version)
        if not answer.ok:
            raise SystemExit(f"{name}: {answer.status} {answer.message}")
        version = answer.value()["metadata"]["resourceVersion"]
        if number >= 50:
            seconds.append(answer.seconds * 1000)
            size = len(answer.body)
            time.sleep(max(0.0, begin + (number - 49) / arguments.rate - time.monotonic()))
    after = plane.cpu_seconds()
    cost = {process: (after[process] - before[process]) * 1000 / arguments.writes for process in after}
    cuts = statistics.quantiles(seconds, n=100)
    stored = plane.stored_bytes(f"/registry/nodewise.dev/nodereports/{NAME}")
    print(f"| {name} | {cuts[49]:.1f} | {cuts[98]:.1f} | {cost['kube-apiserver']:.2f} | {cost['etcd']:.2f} | {size} | {stored} |", flush=True)


if __name__ == "__main__":
    main()
