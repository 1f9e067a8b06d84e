# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kube-apiserver that really runs on this host: with which arguments, whether it is ready, and what it logged.

The container runtime is asked, not the API: an API server that answers may be the old process, or another host's.
"""

from __future__ import annotations

import glob
import os
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import NodewiseError
from ..verify.api import ApiReader
from ..verify.crictl import Crictl
from .manifest import CONTAINER, NAMESPACE, command, endpoint, mounts

_PAUSE = 0.2
# It may end once for reasons that pass: the old process still holds the port, etcd is busy.
_EXITS = 2
_LOGS = f"/var/log/pods/{NAMESPACE}_{CONTAINER}-*/{CONTAINER}/*.log"
_LOG_BYTES = 256 * 1024
# Mounts that the kubelet adds to those of the manifest.
_KUBELETS_MOUNTS = ("/etc/hosts", "/dev/termination-log", "/var/run/secrets/kubernetes.io/serviceaccount")


class ApiServer:
    """The API server of this host.

    Parameters
    ----------
    crictl : Crictl
        The container runtime.
    logs : str
        Pattern of its log files, as the kubelet lays them out.
    clock, sleep : Callable
        Monotonic clock and pause, in seconds.
    """

    def __init__(self, crictl: Crictl, logs: str = _LOGS, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep) -> None:
        self._crictl = crictl
        self._logs = logs
        self._clock = clock
        self._sleep = sleep

    def differs_from(self, pod: Mapping[str, Any]) -> str:
        """Return in what the running API server differs from a manifest; empty if it is the manifest's.

        Raises
        ------
        NodewiseError
            The container runtime does not answer.
        """
        running = [item for item in self._containers() if item["state"] == "CONTAINER_RUNNING"]
        if len(running) != 1:
            return f"{len(running) or 'no'} containers of {CONTAINER} run"
        detail = self._crictl.json("inspect", running[0]["id"])
        if detail["info"]["runtimeSpec"]["process"]["args"] != command(pod):
            return "it still runs with other arguments"
        there = {(item["containerPath"].rstrip("/"), item["hostPath"].rstrip("/")) for item in detail["status"].get("mounts") or []}
        if {item for item in there if item[0] not in _KUBELETS_MOUNTS} != mounts(pod):
            return "it still runs with other mounts"
        return ""

    def not_ready(self, pod: Mapping[str, Any]) -> str:
        """Return why the API server of this host is not ready; empty if its /readyz says that it is."""
        address, port = endpoint(pod)
        reading = ApiReader(timeout=5.0, server=f"https://{address}:{port}").get("/readyz")
        if not reading.error:
            return ""
        failed = [line[3:].split(":")[0].removesuffix(" failed") for line in str(reading.value or "").splitlines() if line.startswith("[-]")]
        return f"/readyz says not ready: {', '.join(failed)}" if failed else f"/readyz does not answer: {reading.error}"

    def wait(self, pod: Mapping[str, Any], timeout: float) -> None:
        """Wait until the API server runs as a manifest says and is ready.

        Raises
        ------
        NodewiseError
            It is not so within C(timeout) seconds, or it ended by itself again and again.
        """
        deadline = self._clock() + timeout
        before = self._ids()
        ended: set[str] = set()
        while True:
            try:
                reason = self.differs_from(pod) or self.not_ready(pod)
                if not reason:
                    return
                ended |= {item["id"] for item in self._containers() if item["state"] == "CONTAINER_EXITED"} - before
            except NodewiseError as error:
                # A container that ends between two questions, or a runtime that restarts.
                reason = error.message
            if len(ended) >= _EXITS:
                raise NodewiseError(f"it ended by itself {len(ended)} times")
            if self._clock() >= deadline:
                raise NodewiseError(f"{reason}, after {timeout:.0f} s")
            self._sleep(_PAUSE)

    def help(self) -> str:
        """Return what the running kube-apiserver prints as help.

        Raises
        ------
        NodewiseError
            None runs, or it prints nothing.
        """
        running = [item["id"] for item in self._containers() if item["state"] == "CONTAINER_RUNNING"]
        if not running:
            raise NodewiseError(f"no container of {CONTAINER} runs")
        return self._crictl.text("exec", running[0], CONTAINER, "--help")

    def log(self) -> str:
        """Return the telling last lines of the API server's newest log; empty if there is none."""
        for path in sorted(glob.glob(self._logs), key=_written, reverse=True):
            lines = telling(_tail(path))
            if lines:
                return "\n".join(lines)
        return ""

    def _containers(self) -> list[dict[str, Any]]:
        found = self._crictl.json("ps", "--all", f"--name=^{CONTAINER}$", f"--label=io.kubernetes.pod.namespace={NAMESPACE}")
        return list(found.get("containers") or [])

    def _ids(self) -> set[str]:
        try:
            return {item["id"] for item in self._containers()}
        except NodewiseError:
            return set()


def telling(text: str) -> list[str]:
    """Return the lines of a log, in the runtime's format, that say why a program ended: errors if there are any, else the last."""
    # Each line: time, stream, F or P for a whole or a partial one, text (CRI log format).
    lines = [line.split(" ", 3)[3][:500] for line in text.splitlines() if line.count(" ") >= 3]
    lines = [line for line in lines if line.strip()]
    # klog marks errors with E and fatal ones with F.
    errors = [line for line in lines if re.match(r"[EF]\d{4} |Error: |panic: ", line)]
    return errors[-6:] or lines[-12:]


def _written(path: str) -> float:
    """Return when a log was last written; 0 if the kubelet has removed it meanwhile."""
    try:
        return os.path.getmtime(path)
    except OSError:
        return 0.0


def _tail(path: str) -> str:
    try:
        with open(path, "rb") as handle:
            handle.seek(max(0, os.path.getsize(path) - _LOG_BYTES))
            return handle.read().decode(errors="replace")
    except OSError:
        return ""
