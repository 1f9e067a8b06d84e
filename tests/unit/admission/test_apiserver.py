# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.admission import apiserver
from ansible_collections.nodewise.cluster.plugins.module_utils.admission.apiserver import ApiServer, telling
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.api import Reading

from .conftest import POD

ARGS = POD["spec"]["containers"][0]["command"]
MOUNTS = [
    {"containerPath": "/etc/ssl/certs", "hostPath": "/etc/ssl/certs"},
    {"containerPath": "/etc/kubernetes/pki/", "hostPath": "/etc/kubernetes/pki"},
    {"containerPath": "/etc/hosts", "hostPath": "/var/lib/kubelet/pods/x/etc-hosts"},
    {"containerPath": "/dev/termination-log", "hostPath": "/var/lib/kubelet/pods/x/containers/kube-apiserver/1"},
]


class FakeCrictl:
    """A runtime whose containers are a list of id, state, arguments and mounts."""

    def __init__(self) -> None:
        self.containers: list[dict[str, Any]] = []
        self.asked: list[tuple[str, ...]] = []

    def add(self, name: str, state: str = "RUNNING", args: list[str] | None = None, mounts: list[dict[str, str]] | None = None) -> None:
        self.containers.append({"id": name, "state": f"CONTAINER_{state}", "args": ARGS if args is None else args, "mounts": mounts or MOUNTS})

    def json(self, command: str, *args: str) -> Any:
        self.asked.append((command, *args))
        if command == "ps":
            return {"containers": self.containers}
        found = next((item for item in self.containers if item["id"] == args[0]), None)
        if found is None:
            raise NodewiseError("not found")
        return {"info": {"runtimeSpec": {"process": {"args": found["args"]}}}, "status": {"mounts": found["mounts"]}}

    def text(self, *args: str) -> str:
        self.asked.append(args)
        return "help"


@pytest.fixture
def crictl() -> FakeCrictl:
    return FakeCrictl()


@pytest.fixture
def readyz(monkeypatch: pytest.MonkeyPatch) -> list[Reading]:
    """Answers of /readyz in order; the last one for ever."""
    answers = [Reading("ok")]

    class Reader:
        def __init__(self, timeout: float, server: str) -> None:
            assert server == "https://192.0.2.11:6443"

        def get(self, path: str) -> Reading:
            assert path == "/readyz"
            return answers.pop(0) if len(answers) > 1 else answers[0]

    monkeypatch.setattr(apiserver, "ApiReader", Reader)
    return answers


def server(crictl: Any, logs: str = "", steps: Any = lambda: None) -> ApiServer:
    """An API server whose clock goes on by a second at each pause, when C(steps) may change the world."""
    now = [0.0]

    def sleep(_seconds: float) -> None:
        now[0] += 1
        steps()

    return ApiServer(crictl, logs, lambda: now[0], sleep)


def test_it_is_asked_for_by_name_and_namespace(crictl: FakeCrictl) -> None:
    crictl.add("a")
    assert server(crictl).differs_from(POD) == ""
    assert crictl.asked[0] == ("ps", "--all", "--name=^kube-apiserver$", "--label=io.kubernetes.pod.namespace=kube-system")


def test_in_what_it_differs(crictl: FakeCrictl) -> None:
    assert server(crictl).differs_from(POD) == "no containers of kube-apiserver run"
    crictl.add("a", args=[*ARGS, "--v=2"])
    assert server(crictl).differs_from(POD) == "it still runs with other arguments"
    crictl.containers.clear()
    crictl.add("b", mounts=MOUNTS[1:])
    assert server(crictl).differs_from(POD) == "it still runs with other mounts"
    crictl.add("c")
    assert server(crictl).differs_from(POD) == "2 containers of kube-apiserver run"


def test_why_it_is_not_ready(crictl: FakeCrictl, readyz: list[Reading]) -> None:
    assert server(crictl).not_ready(POD) == ""
    readyz[:] = [Reading("[+]ping ok\n[-]etcd failed: reason withheld\nreadyz check failed", "HTTP 500", 500)]
    assert server(crictl).not_ready(POD) == "/readyz says not ready: etcd"
    readyz[:] = [Reading(error="192.0.2.11:6443: Connection refused")]
    assert server(crictl).not_ready(POD) == "/readyz does not answer: 192.0.2.11:6443: Connection refused"


def test_the_old_process_that_still_answers_is_not_taken_for_the_new(crictl: FakeCrictl, readyz: list[Reading]) -> None:
    new = copy.deepcopy(POD)
    new["spec"]["containers"][0]["command"] = [*ARGS, "--v=2"]
    crictl.add("old")
    with pytest.raises(NodewiseError, match="it still runs with other arguments, after 5 s"):
        server(crictl).wait(new, 5)

    def start_the_new() -> None:
        if crictl.containers[-1]["id"] == "old":
            crictl.containers[-1]["state"] = "CONTAINER_EXITED"
            crictl.add("new", args=[*ARGS, "--v=2"])
            readyz[:] = [Reading("", "HTTP 500", 500), Reading("ok")]

    server(crictl, steps=start_the_new).wait(new, 5)


def test_one_that_ends_again_and_again_is_given_up_early(crictl: FakeCrictl, readyz: list[Reading]) -> None:
    crictl.add("before", "EXITED")

    def crash() -> None:
        crictl.add(f"c{len(crictl.containers)}", "EXITED")

    with pytest.raises(NodewiseError, match="it ended by itself 2 times"):
        server(crictl, steps=crash).wait(POD, 1000)


def test_a_runtime_that_does_not_answer_for_a_moment_is_borne(crictl: FakeCrictl, readyz: list[Reading], monkeypatch: pytest.MonkeyPatch) -> None:
    crictl.add("a")
    answer = crictl.json
    failures = [NodewiseError("crictl failed")] * 3

    def flaky(command: str, *args: str) -> Any:
        if failures:
            raise failures.pop()
        return answer(command, *args)

    monkeypatch.setattr(crictl, "json", flaky)
    server(crictl).wait(POD, 5)
    failures[:] = [NodewiseError("crictl failed")] * 100
    with pytest.raises(NodewiseError, match="crictl failed, after 5 s"):
        server(crictl).wait(POD, 5)


def test_help_is_the_running_programs(crictl: FakeCrictl) -> None:
    with pytest.raises(NodewiseError, match="no container of kube-apiserver runs"):
        server(crictl).help()
    crictl.add("a")
    assert server(crictl).help() == "help"
    assert crictl.asked[-1] == ("exec", "a", "kube-apiserver", "--help")


def line(text: str) -> str:
    return f"2026-11-25T16:00:00.1Z stderr F {text}\n"


def test_the_newest_log_that_says_something(crictl: FakeCrictl, tmp_path: Path) -> None:
    assert server(crictl, str(tmp_path / "*.log")).log() == ""
    (tmp_path / "0.log").write_text(line("I1125 16:00:00 old"))
    (tmp_path / "1.log").write_text(line("I1125 16:00:00 fine") + line('E1125 16:00:01 run.go:72] "command failed" err="unknown"'))
    (tmp_path / "2.log").write_text("")
    # One that the kubelet removes between two questions; the old manifest must be put back all the same.
    (tmp_path / "gone.log").symlink_to(tmp_path / "removed")
    for number in range(3):
        os.utime(tmp_path / f"{number}.log", (number, number))
    assert server(crictl, str(tmp_path / "*.log")).log() == 'E1125 16:00:01 run.go:72] "command failed" err="unknown"'


def test_telling_lines() -> None:
    assert telling("") == []
    assert telling("broken\n" + line("I1125 one") + line("") + line("I1125 two")) == ["I1125 one", "I1125 two"]
    assert telling(line("Error: unknown flag: --x") + line("I1125 two")) == ["Error: unknown flag: --x"]
    assert len(telling("".join(line(f"E1125 {number}") for number in range(50)))) == 6
