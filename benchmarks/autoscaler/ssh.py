#!/usr/bin/env python
"""Stands in for ssh and the host behind it: joins, leaves and tells as a standby host does, with a Node that is made through the API.

How a host behaves stands in $NODEWISE_RIG/<address>.json: {"mode": "well|hang|unreachable|refuse|garbage|never-ready", "delay": seconds}.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

RIG = Path(os.environ.get("NODEWISE_RIG", "."))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".ansible" / "collections"))

# ruff: noqa: E402 (the path comes first)
import yaml
from ansible_collections.nodewise.cluster.plugins.module_utils.api.client import ApiClient

AMOUNTS = {"cpu": "2", "memory": "2048000Ki", "ephemeral-storage": "20Gi", "pods": "110"}


def say(ok: bool, state: str, reason: str = "") -> int:
    """Answer as the standby command does."""
    print("Welcome to a host with a banner")
    print(json.dumps({"ok": ok, "state": state, "reason": reason}), flush=True)
    return 0 if ok else 1


def whoami(document: dict[str, object]) -> str:
    """Return who a token is to the API server, with his groups; or why it is nobody."""
    config = yaml.safe_load((RIG / "admin.conf").read_text())
    config["users"] = [{"name": "u", "user": {"token": document["token"]}}]
    path = RIG / f"token-{os.getpid()}.conf"
    path.write_text(yaml.safe_dump(config))
    try:
        answer = ApiClient(str(path)).request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {"kind": "SelfSubjectReview"})
        return ",".join(answer.value()["status"]["userInfo"]["groups"]) if answer.ok else answer.message
    finally:
        path.unlink()


def register(document: dict[str, object], ready: bool) -> None:
    """Make the Node, as a kubelet registers it."""
    status = {"capacity": AMOUNTS, "allocatable": AMOUNTS, "conditions": [{"type": "Ready", "status": str(ready), "reason": "Kubelet"}]}
    spec = {"providerID": document["provider_id"], "taints": document["taints"]}
    body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": document["node_name"], "labels": document["labels"]}, "spec": spec, "status": status}
    answer = ApiClient(str(RIG / "admin.conf")).request("POST", "/api/v1/nodes", body)
    if not answer.ok and answer.status != 409:
        raise SystemExit(answer.message)


def main() -> int:
    """Do what the host is asked for."""
    address, command = sys.argv[-2].rpartition("@")[2], sys.argv[-1]
    document = json.loads(sys.stdin.read())
    behaviour = {"mode": "well", "delay": 0.1, **json.loads((RIG / f"{address}.json").read_text())}
    state = RIG / f"{address}.state"
    with (RIG / "calls.log").open("a") as log:
        log.write(json.dumps({"at": time.time(), "address": address, "command": command, "argv": sys.argv[1:], "token": document.get("token", "")}) + "\n")
    now = state.read_text() if state.exists() else "prepared"
    mode = behaviour["mode"]
    if mode == "unreachable":
        sys.stderr.write(f"ssh: connect to host {address} port 22: No route to host\n")
        return 255
    if mode == "hang":
        time.sleep(600)
    if mode == "garbage":
        print("Debian GNU/Linux 12")
        return 0
    if command == "status":
        return say(True, now)
    time.sleep(behaviour["delay"])
    if command == "leave":
        state.write_text("prepared")
        return say(True, "prepared")
    if mode == "refuse":
        state.write_text("failed")
        return say(False, "failed", f"kubeadm join: no disk space; its token was {document['token']}")
    groups = whoami(document)
    if "system:bootstrappers:kubeadm:default-node-token" not in groups:
        return say(False, "failed", f"the token is not accepted: {groups}")
    state.write_text("joined")
    register(document, mode != "never-ready")
    return say(True, "joined")


if __name__ == "__main__":
    sys.exit(main())
