# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host says, read from texts as the real programs print them, and the lies it must not get away with."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.api import Reading
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.checks import HOST_CHECKS
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.crictl import Crictl, output_of
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.dns import Answer, DnsError
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.host import (
    conflist_problem,
    host_checks,
    parse_cgroup_driver,
    parse_kubelet_config,
    parse_sandbox_image,
    parse_version,
    read_host,
    token_expiry,
)
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.result import FAIL, OK, UNKNOWN, WARN, Result

FIXTURES = Path(__file__).parent / "fixtures"
VERSION = "Version:  0.1.0\nRuntimeName:  containerd\nRuntimeVersion:  v2.4.2\nRuntimeApiVersion:  v1\n"
DUMP = """
version = 3
[plugins]
  [plugins.'io.containerd.cri.v1.images']
    [plugins.'io.containerd.cri.v1.images'.pinned_images]
      sandbox = 'registry.k8s.io/pause:3.10.2'
  [plugins.'io.containerd.cri.v1.runtime']
    sandbox = 'not this one'
"""


def token(claims: dict[str, int]) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{body}.c2lnbmF0dXJl"


# -- texts ---------------------------------------------------------------------------------------------------------------


def test_version() -> None:
    assert parse_version(VERSION) == {"name": "containerd", "version": "2.4.2"}
    with pytest.raises(NodewiseError, match="names no runtime"):
        parse_version("Version: 0.1.0\n")


def test_cgroup_driver() -> None:
    assert parse_cgroup_driver("cgroup driver:   SYSTEMD\n") == "systemd"
    assert parse_cgroup_driver("cgroup driver:   CGROUPFS\n") == "cgroupfs"
    with pytest.raises(NodewiseError, match="does not say"):
        parse_cgroup_driver("")


def test_sandbox_image() -> None:
    assert parse_sandbox_image(DUMP) == "registry.k8s.io/pause:3.10.2"
    assert parse_sandbox_image('[plugins."io.containerd.grpc.v1.cri"]\n  sandbox_image = "registry.k8s.io/pause:3.8"\n') == "registry.k8s.io/pause:3.8"
    with pytest.raises(NodewiseError, match="names no sandbox image"):
        parse_sandbox_image("version = 3\n[plugins.x]\nsandbox = 'not this one'\n")


def test_kubelet_config() -> None:
    text = "kind: KubeletConfiguration\ncgroupDriver: systemd\nclusterDNS: [10.96.0.10]\nmaxPods: 110\n"
    assert parse_kubelet_config(text) == {"cgroupDriver": "systemd", "clusterDNS": ["10.96.0.10"]}
    for bad in ("- 1\n", "a: [\n"):
        with pytest.raises(NodewiseError, match="is not"):
            parse_kubelet_config(bad)


def test_token_expiry() -> None:
    assert token_expiry(token({"exp": 1795603005})) == 1795603005
    assert token_expiry(token({})) is None
    for bad in ("", "a.b.c", "word"):
        with pytest.raises(NodewiseError, match="not a JSON Web Token"):
            token_expiry(bad)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda text: text, ""),
        (lambda text: text[: len(text) // 2], "not a CNI configuration list"),
        (lambda _text: "", "not a CNI configuration list"),
        (lambda _text: '{"plugins": []}', "not a CNI configuration list"),
        (lambda text: text.replace('"type": "calico"', '"type": "bridge"'), "its first plugin is 'bridge', not calico"),
        (lambda text: text.replace("w1", "w2"), "it is written for node 'w2'"),
    ],
)
def test_conflist(change: Callable[[str], str], problem: str) -> None:
    said = conflist_problem(change((FIXTURES / "10-calico.conflist").read_text()), "w1")
    assert problem in said
    assert bool(said) is bool(problem)


# -- judging -------------------------------------------------------------------------------------------------------------


def check(node: dict[str, Reading], name: str, now: float = 0) -> Result:
    (found,) = [result for result in host_checks("w1", node, now) if result.check == name]
    return found


def test_a_healthy_host(host: Callable[..., dict[str, Reading]]) -> None:
    results = host_checks("w1", host("w1"), 0)
    assert [result.check for result in results] == list(HOST_CHECKS)
    assert {result.status for result in results} == {OK}


GONE = Reading(error="it is gone")


@pytest.mark.parametrize(
    ("changed", "name", "status", "observed"),
    [
        ({"healthz": Reading(error="Connection refused")}, "kubelet.healthy", FAIL, "Connection refused"),
        ({"healthz": Reading("[-]syncloop failed")}, "kubelet.healthy", FAIL, "[-]syncloop failed"),
        ({"info": GONE}, "runtime.ready", UNKNOWN, "it is gone"),
        ({"info": GONE}, "runtime.network", UNKNOWN, "it is gone"),
        ({"info": Reading({})}, "runtime.network", UNKNOWN, "reports no NetworkReady"),
        (
            {"info": Reading({"NetworkReady": {"status": False, "message": "cni plugin not initialized"}})},
            "runtime.network",
            FAIL,
            "cni plugin not initialized",
        ),
        ({"images": Reading(["docker.io/calico/node:v3.28.5"])}, "runtime.sandbox-present", FAIL, "not among"),
        ({"images": GONE}, "runtime.sandbox-present", UNKNOWN, "it is gone"),
        ({"version": Reading({"name": "cri-o", "version": "1.37.0"}), "sandbox_image": GONE}, "runtime.sandbox-present", WARN, "cri-o"),
        ({"cni": Reading([])}, "cni.conflist", FAIL, "there: nothing"),
        ({"cni": Reading(["10-calico.conflist.bak"])}, "cni.conflist", FAIL, "10-calico.conflist.bak"),
        ({"cni": Reading(error="No such file or directory")}, "cni.conflist", FAIL, "No such file"),
        ({"cni": Reading(["05-bridge.conf", "10-calico.conflist"])}, "cni.conflist", FAIL, "05-bridge.conf comes first"),
        ({"conflist": Reading("{")}, "cni.conflist", FAIL, "not a CNI configuration list"),
        ({"conflist": Reading(error="Permission denied")}, "cni.conflist", UNKNOWN, "Permission denied"),
        ({"cni_kubeconfig": GONE}, "cni.kubeconfig", FAIL, "it is gone"),
        ({"cni_kubeconfig": Reading(1000)}, "cni.kubeconfig", FAIL, "the token ended at 1970-01-01 00:16:40 UTC"),
        ({"cni_kubeconfig": Reading(None)}, "cni.kubeconfig", OK, "present"),
        ({"dns": Reading(error="10.96.0.10 did not answer")}, "dns.host", FAIL, "10.96.0.10 did not answer"),
    ],
)
def test_a_lie_is_found(host: Callable[..., dict[str, Reading]], changed: dict[str, Reading], name: str, status: str, observed: str) -> None:
    result = check(host("w1", **changed), name, now=2000)
    assert result.status == status
    assert observed in result.observed
    assert (result.hint == "") is (status == OK)


# -- reading -------------------------------------------------------------------------------------------------------------


class FakeCrictl(Crictl):
    """Prints what a real one printed."""

    def text(self, *args: str) -> str:
        if args[0] == "images":
            raise NodewiseError("crictl images failed (1): connection refused")
        conditions = [{"type": "RuntimeReady", "status": True, "reason": "", "message": ""}]
        return {"version": VERSION, "runtime-config": "cgroup driver:   SYSTEMD\n", "info": json.dumps({"status": {"conditions": conditions}})}[args[0]]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Return a folder like a node's CNI folder."""
    (tmp_path / "10-calico.conflist").write_text((FIXTURES / "10-calico.conflist").read_text())
    (tmp_path / "calico-kubeconfig").write_text(f"users: [{{name: calico, user: {{token: {token({'exp': 99})}}}}}]\n")
    (tmp_path / "config.yaml").write_text("clusterDNS: [10.96.0.10]\nclusterDomain: example.test\nhealthzPort: 1\n")
    return tmp_path


def test_one_reading_that_fails_spoils_no_other(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_args, **_more: None)
    asked = []

    def ask(server: str, name: str) -> Answer:
        asked.append((server, name))
        return Answer(("10.96.0.1",), 0.0021)

    reading = read_host(FakeCrictl(), ask, str(files), str(files / "config.yaml"))
    assert reading["version"].value == {"name": "containerd", "version": "2.4.2"}
    assert reading["info"].value == {"RuntimeReady": {"status": True, "message": ""}}
    assert reading["images"].error == "crictl images failed (1): connection refused"
    assert reading["sandbox_image"].error == "containerd is not installed on this host."
    assert "refused" in reading["healthz"].error
    assert reading["cni"].value == ["10-calico.conflist"]
    assert reading["cni_kubeconfig"].value == 99
    assert asked == [("10.96.0.10", "kubernetes.default.svc.example.test")]
    assert reading["dns"].value == {"server": "10.96.0.10", "addresses": ["10.96.0.1"], "milliseconds": 2}


def test_a_bare_host(tmp_path: Path) -> None:
    def ask(_server: str, _name: str) -> Answer:
        raise DnsError("nobody is to be asked")

    reading = read_host(FakeCrictl(), ask, str(tmp_path / "cni"), str(tmp_path / "config.yaml"))
    assert reading["kubelet_config"].error == f"{tmp_path}/config.yaml does not exist"
    assert reading["dns"].error == f"{tmp_path}/config.yaml does not exist"
    assert reading["cni"].error == f"No such file or directory: {tmp_path}/cni"
    assert reading["conflist"].error == f"{tmp_path}/cni/10-calico.conflist does not exist"


def test_the_token_leaves_no_trace(files: Path) -> None:
    def ask(_server: str, _name: str) -> Answer:
        raise DnsError("no")

    reading = read_host(FakeCrictl(), ask, str(files), str(files / "config.yaml"))
    assert token({"exp": 99}) not in repr(reading)
    (files / "calico-kubeconfig").write_text("users: []\n")
    assert read_host(FakeCrictl(), ask, str(files), str(files / "config.yaml"))["cni_kubeconfig"].error == "calico-kubeconfig holds no token"


# -- programs ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return what puts a shell script of the name crictl into the path."""

    def make(script: str) -> None:
        path = tmp_path / "crictl"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    return make


def test_crictl_is_asked_with_its_flags_first(program: Callable[[str], None], tmp_path: Path) -> None:
    program('printf "%s\\n" "$@" > "$0.args"; echo "{}"')
    assert Crictl("unix:///run/x.sock").json("inspectp", "abc") == {}
    assert (tmp_path / "crictl.args").read_text().split() == [
        "--runtime-endpoint=unix:///run/x.sock",
        "--image-endpoint=unix:///run/x.sock",
        "--timeout=10s",
        "inspectp",
        "--output=json",
        "abc",
    ]


def test_a_program_that_fails_says_why(program: Callable[[str], None]) -> None:
    program('echo \'time="2026-11-25T10:37:02Z" level=error msg="no such sandbox"\' >&2; exit 1')
    with pytest.raises(NodewiseError, match=r"crictl .* info failed \(1\): no such sandbox$"):
        Crictl().text("info")


def test_a_program_that_prints_no_json(program: Callable[[str], None]) -> None:
    program("echo hello")
    with pytest.raises(NodewiseError, match="crictl info printed no JSON: 'hello"):
        Crictl().json("info")


def test_a_program_that_does_not_end(program: Callable[[str], None]) -> None:
    program("exec sleep 10")
    with pytest.raises(NodewiseError, match="crictl did not end within 0 s"):
        output_of(["crictl"], timeout=0.1)
