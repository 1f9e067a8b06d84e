# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.nodewise.cluster.plugins.module_utils.calico.calicoctl import Calicoctl, config_text
from ansible_collections.nodewise.cluster.plugins.module_utils.calico.install import version_problem
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError

VERSIONS = "Client Version:    v3.28.5\nGit commit:        \nCluster Version:   {cluster}\nCluster Type:      k8s,bgp,kubeadm,kdd\n"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Return a program that writes its arguments, its configuration and its input beside itself, and answers from a file."""
    path = tmp_path / "calicoctl"
    path.write_text(
        "#!/bin/sh\n"
        f'cd {tmp_path}; echo "$@" > args; for a in "$@"; do case "$a" in --config=*) cp "${{a#--config=}}" config;; *-|-) cat > input;; esac; done\n'
        "[ -f error ] && { cat error >&2; exit 1; }; cat answer\n",
        encoding="utf-8",
    )
    path.chmod(0o755)
    (tmp_path / "answer").write_text("", encoding="utf-8")
    return path


def client(program: Path, answer: str = "", error: str = "") -> Calicoctl:
    (program.parent / "answer").write_text(answer, encoding="utf-8")
    if error:
        (program.parent / "error").write_text(error, encoding="utf-8")
    return Calicoctl(program=str(program))


def seen(program: Path, name: str) -> str:
    return (program.parent / name).read_text(encoding="utf-8")


def test_the_configuration_is_valid_and_names_the_datastore() -> None:
    config: dict[str, Any] = yaml.safe_load(config_text())
    assert (config["apiVersion"], config["kind"]) == ("projectcalico.org/v3", "CalicoAPIConfig")
    assert config["spec"] == {"datastoreType": "kubernetes", "kubeconfig": "/etc/kubernetes/admin.conf"}


def test_reading_gives_specs_by_kind_and_name(program: Path) -> None:
    answer = json.dumps({"items": [{"metadata": {"name": "a", "uid": "x"}, "spec": {"cidr": "10.0.0.0/8"}}, {"metadata": {"name": "b"}}]})
    assert client(program, answer).read(["IPPool"]) == {("IPPool", "a"): {"cidr": "10.0.0.0/8"}, ("IPPool", "b"): {}}
    assert seen(program, "args").startswith("get IPPool -o json --allow-version-mismatch --config=")
    assert seen(program, "config") == config_text()


def test_applying_sends_documents_and_minds_the_version(program: Path) -> None:
    client(program).apply({("BGPPeer", "rack1"): {"peerIP": "192.0.2.1"}})
    assert json.loads(seen(program, "input")) == [
        {"apiVersion": "projectcalico.org/v3", "kind": "BGPPeer", "metadata": {"name": "rack1"}, "spec": {"peerIP": "192.0.2.1"}}
    ]
    assert "--allow-version-mismatch" not in seen(program, "args")


def test_deleting_passes_over_what_is_gone(program: Path) -> None:
    client(program).delete([("IPPool", "old")])
    assert seen(program, "args").startswith("delete --skip-not-exists -f -")
    assert json.loads(seen(program, "input"))[0]["metadata"]["name"] == "old"


def test_nothing_to_do_runs_nothing(program: Path) -> None:
    calicoctl = client(program)
    calicoctl.apply({})
    calicoctl.delete([])
    assert not (program.parent / "args").exists()


def test_a_failure_is_told_with_its_text(program: Path) -> None:
    with pytest.raises(NodewiseError, match=r"calicoctl apply -f - failed \(1\): field in document is not recognized: foo"):
        client(program, error="field in document\nis not recognized: foo\n").apply({("FelixConfiguration", "default"): {"foo": 1}})


def test_a_missing_program_names_the_remedy() -> None:
    with pytest.raises(NodewiseError, match="/none/calicoctl is not installed on this host. Remedy: run the artifacts role"):
        Calicoctl(program="/none/calicoctl").read(["IPPool"])


@pytest.mark.parametrize(
    ("cluster", "problem"),
    [
        ("v3.28.5", ""),
        ("v3.28.5-0.dev-12-gabc", ""),
        ("unknown", ""),
        ("v3.27.0", "calicoctl is version 3.28.5, but this cluster runs Calico 3.27.0."),
    ],
)
def test_versions_are_compared_as_calicoctl_does(program: Path, cluster: str, problem: str) -> None:
    assert version_problem(client(program, VERSIONS.format(cluster=cluster))) == problem


def test_a_cluster_that_does_not_know_its_version_yet_is_no_problem(program: Path) -> None:
    assert version_problem(client(program, "Client Version:    v3.28.5\n")) == ""
