# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of the reading that work on files."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, cast

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.api.client import Answer, ApiClient
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.report.manifests import OWN_NAME_ONLY
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.api import Reading
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.resources import identity, read
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.resources.reading import NodeReading, Tolerances
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.result import FAIL, OK, UNKNOWN

from .conftest import refusal


def cgroup(folder: Path, processes: str, name: str = "cgroup.procs") -> None:
    folder.mkdir(parents=True)
    (folder / name).write_text(processes)


def test_the_driver_is_told_by_the_cgroup_that_has_processes(tmp_path: Path) -> None:
    cgroup(tmp_path / "kubepods" / "burstable", "")
    cgroup(tmp_path / "kubepods.slice" / "kubepods-burstable.slice" / "cri-containerd-1.scope", "42\n")
    assert read.kubepods_driver(str(tmp_path)) == "systemd"
    cgroup(tmp_path / "kubepods" / "pod1" / "abc", "43\n")
    assert read.kubepods_driver(str(tmp_path)) == "systemd and cgroupfs"


def test_no_pod_at_all(tmp_path: Path) -> None:
    with pytest.raises(NodewiseError, match="no pod's process is in .*kubepods.slice or .*kubepods"):
        read.kubepods_driver(str(tmp_path))


def test_pods_cpu(tmp_path: Path) -> None:
    assert read.pods_cpu(str(tmp_path), True) is None
    cgroup(tmp_path / "kubepods.slice", "usage_usec 1234\nuser_usec 1000\n", "cpu.stat")
    found = read.pods_cpu(str(tmp_path), True)
    assert found is not None
    assert found.core_nanoseconds == 1234000
    (tmp_path / "kubepods.slice" / "cpuacct.usage").write_text("567\n")
    found = read.pods_cpu(str(tmp_path), False)
    assert found is not None
    assert found.core_nanoseconds == 567
    (tmp_path / "kubepods.slice" / "cpu.stat").write_text("nothing\n")
    assert read.pods_cpu(str(tmp_path), True) is None
    (tmp_path / "kubepods").mkdir()
    assert read.pods_cpu(str(tmp_path), False) is None


def test_drop_ins_are_laid_over_the_file_in_the_order_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("maxPods: 1\nsystemReserved: {cpu: 100m}\n")
    folder = tmp_path / "d"
    folder.mkdir()
    (folder / "20.conf").write_text("maxPods: 3\n")
    (folder / "10.conf").write_text("maxPods: 2\nsystemReserved: {memory: 1Gi}\n")
    (folder / "99.txt").write_text("maxPods: 4\n")
    assert read.configuration_on_disk(str(tmp_path / "config.yaml"), "")["maxPods"] == 1
    found = read.configuration_on_disk(str(tmp_path / "config.yaml"), str(folder))
    assert found == {"maxPods": 3, "systemReserved": {"cpu": "100m", "memory": "1Gi"}}
    with pytest.raises(NodewiseError, match="does not exist"):
        read.configuration_on_disk(str(tmp_path / "none.yaml"), "")


def test_what_this_process_takes_is_more_than_nothing() -> None:
    assert 1 << 20 < read.own_memory() < 1 << 33


def test_a_token_is_not_in_the_options_text() -> None:
    assert "hush" not in repr(read.Options("w1", [], 0, "/run/x.sock", token="hush"))


# -- the attempts to write another node's report -------------------------------------------------------------------------

RULES = ("name", "owner", "plain")


class Server:
    """An API server with the reporter's admission policy, or with some of its rules, that never changes anything for a dry run.

    Parameters
    ----------
    rules : collection of str
        Those of :data:`RULES` that the policy has.
    conflicts : int
        How many updates find that the report has just been written.
    """

    def __init__(self, rules: Collection[str] = RULES, conflicts: int = 0) -> None:
        self.asked: list[tuple[str, str]] = []
        self._rules, self._conflicts = rules, conflicts
        owner = {"apiVersion": "v1", "kind": "Node", "name": "w2", "uid": "22"}
        metadata = {"name": "w2", "ownerReferences": [owner], "resourceVersion": "5", "labels": {"theirs": "x"}}
        self.report: dict[str, Any] = {"metadata": metadata, "status": {"sequence": 3}}

    def request(self, method: str, path: str, body: Any = None) -> Answer:
        self.asked.append((method, path))
        if method == "GET":
            return self._answer(200, self.report) if path.endswith("/w2") else self._answer(404, {"message": f'nodereports.nodewise.dev "{path}" not found'})
        assert "?dryRun=All" in path
        if self._conflicts and method == "PUT":
            self._conflicts -= 1
            return self._answer(409, {"message": "the object has been modified"})
        metadata = body["metadata"]
        owners = metadata.get("ownerReferences", [])
        assert all(owner["uid"] for owner in owners)
        broken = {
            "name": metadata["name"] != "w1",
            "owner": [(owner["apiVersion"], owner["kind"], owner["name"]) for owner in owners] != [("v1", "Node", metadata["name"])],
            "plain": metadata.get("labels") != (self.report["metadata"]["labels"] if method == "PUT" else None),
        }
        words = {"name": OWN_NAME_ONLY, "owner": "must be owned by the Node of the same name", "plain": "may set no labels"}
        for rule in RULES:
            if rule in self._rules and broken[rule]:
                return self._answer(422, {"message": refusal(metadata["name"], words[rule])})
        return self._answer(201 if method == "POST" else 200, body)

    @staticmethod
    def _answer(status: int, body: Any) -> Answer:
        return Answer(status, json.dumps(body).encode(), "application/json", 0.001, None, 0.0)


def tried(server: Server) -> dict[str, str]:
    """Return what the verification makes of a server, for creation and status."""
    own = cast(ApiClient, server)
    reading = NodeReading("w1", (), foreign=read.foreign_report(own, "w1"), foreign_status=read.status_of_another(own, "w2"))
    return {result.check.removeprefix("resources."): result.status for result in identity.confinement(reading, Tolerances())}


def test_the_policy_refuses_both_attempts() -> None:
    server = Server()
    assert tried(server) == {"confinement": OK, "confinement.status": OK}
    reports = "/apis/nodewise.dev/v1alpha1/nodereports"
    assert server.asked == [("POST", f"{reports}?dryRun=All"), ("GET", f"{reports}/w2"), ("PUT", f"{reports}/w2/status?dryRun=All")]


@pytest.mark.parametrize("rules", [(), ("owner", "plain"), ("owner",)])
def test_without_the_rule_on_names_nothing_else_refuses_them(rules: Collection[str]) -> None:
    assert tried(Server(rules)) == {"confinement": FAIL, "confinement.status": FAIL}


def test_a_report_that_was_just_written_is_read_again() -> None:
    assert tried(Server(conflicts=1)) == {"confinement": OK, "confinement.status": OK}
    assert tried(Server(conflicts=2)) == {"confinement": OK, "confinement.status": UNKNOWN}


def test_a_node_without_a_report_is_told() -> None:
    assert read.status_of_another(cast(ApiClient, Server()), "w3").status == 404


def test_a_server_that_is_silent() -> None:
    class Silent:
        def request(self, *_arguments: Any) -> Answer:
            raise NodewiseError("cp1:6443 sent nothing for 5 s.")

    silent = cast(ApiClient, Silent())
    assert read.foreign_report(silent, "w1") == read.status_of_another(silent, "w2") == Reading(error="cp1:6443 sent nothing for 5 s.")
