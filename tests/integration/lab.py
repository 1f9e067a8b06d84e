# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests do to a lab: run commands on its hosts, kubectl on its cluster, playbooks and modules from here, and wait."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
LAB = os.environ.get("NODEWISE_LAB", "lab")
INVENTORY = "inventories/lab"
KUBECTL = ("kubectl", "--kubeconfig=/etc/kubernetes/admin.conf")
# On every host, and it has a shell.
_IMAGE = "registry.k8s.io/kube-proxy:v1.37.2"


def execute(host: str, *command: str, stdin: str = "", timeout: float | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command on a lab host, however it ends."""
    return subprocess.run(
        ["podman", "exec", "-i", f"nodewise-{LAB}-{host}", *command], input=stdin, capture_output=True, text=True, check=False, timeout=timeout
    )


def on(host: str, *command: str, stdin: str = "", check: bool = True, timeout: float | None = None) -> str:
    """Run a command on a lab host and return what it says."""
    done = execute(host, *command, stdin=stdin, timeout=timeout)
    assert done.returncode == 0 or not check, f"{host}: {command}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


def sh(host: str, script: str, check: bool = True) -> str:
    """Run a script on a lab host and return what it says."""
    return on(host, "sh", "-c", script, check=check)


def kubectl(*arguments: str, stdin: str = "", check: bool = True, timeout: float | None = None) -> str:
    """Run kubectl with admin rights and return what it says."""
    return on("cp1", *KUBECTL, *arguments, stdin=stdin, check=check, timeout=timeout)


def until(what: str, timeout: float, question: Callable[[], Any], pause: float = 1, state: Callable[[], str] = str) -> float:
    """Ask until the answer is true; return how long it took. If it never is, C(state) tells how things are."""
    begin = time.monotonic()
    while not question():
        assert time.monotonic() - begin < timeout, f"not within {timeout:.0f} s: {what}{state()}"
        time.sleep(pause)
    return time.monotonic() - begin


def environment(lab: str = LAB, **more: str) -> dict[str, str]:
    """Return the environment in which this checkout's Ansible works on a lab."""
    return {**os.environ, "NODEWISE_LAB": lab, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "false", **more}


def ansible(program: str, *arguments: str, inventory: str | Path = INVENTORY, timeout: float = 300, ok: bool = True, **more: str) -> str:
    """Run one of Ansible's programs, with some more environment variables, and return what it says."""
    command = [str(BIN / program), "-i", str(inventory), *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment(**more), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=timeout)
    assert (done.returncode == 0) == ok, done.stdout + done.stderr
    return done.stdout


def module(host: str, name: str, **arguments: Any) -> dict[str, Any]:
    """Run a module of the collection on a host and return its result."""
    given = ["-a", json.dumps(arguments)] if arguments else []
    out = ansible("ansible", host, "-b", "-m", f"nodewise.cluster.{name}", *given, ANSIBLE_CALLBACK_RESULT_FORMAT="json")
    found: dict[str, Any] = json.loads(out[out.index("{") :])
    return found


def start(playbook: str, lab: str = LAB, **more: Any) -> subprocess.Popen[str]:
    """Start one of our playbooks; C(more) goes to Popen."""
    command = [str(BIN / "ansible-playbook"), "-i", INVENTORY, f"playbooks/{playbook}.yml"]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment(lab), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more
    )


def changed(out: str) -> dict[str, int]:
    """Return how many tasks changed something on each host, by a playbook's recap."""
    return {host: int(count) for host, count in re.findall(r"^(\w+) +: ok=\d+ +changed=(\d+)", out, re.MULTILINE)}


@contextmanager
def pod(name: str, node: str, script: str) -> Iterator[None]:
    """Run a script in a pod on a node until the block ends; it requests nothing, so the scheduler does not know of its use. /memory is a tmpfs."""
    mount = {"name": "memory", "mountPath": "/memory"}
    container = {"name": "load", "image": _IMAGE, "imagePullPolicy": "Never", "command": ["sh", "-c", script], "volumeMounts": [mount]}
    volume = {"name": "memory", "emptyDir": {"medium": "Memory"}}
    spec = {"nodeName": node, "restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "hostNetwork": True}
    spec |= {"containers": [container], "volumes": [volume]}
    kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}))
    try:
        kubectl("wait", f"pod/{name}", "--for=jsonpath={.status.phase}=Running", "--timeout=60s")
        yield
    finally:
        kubectl("delete", "pod", name, "--force", "--wait=true")
