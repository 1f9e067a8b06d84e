# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.metricsserver import certificate, install
from ansible_collections.nodewise.cluster.plugins.module_utils.metricsserver.manifests import (
    API_SERVICE,
    SECRET,
    SERVER_NAME,
    Certificate,
    Settings,
    certificate_of,
    cluster_objects,
    make_settings,
)

IMAGE = "registry.k8s.io/metrics-server/metrics-server:v0.8.0"
SETTINGS = Settings(IMAGE)


@pytest.fixture(scope="module")
def made() -> Certificate:
    return certificate.make("old\n")


def named(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = [one for one in objects if one["kind"] == kind]
    return found


class Cluster:
    """A kubectl that keeps objects by kind and name, and answers as told."""

    def __init__(self, *objects: dict[str, Any]) -> None:
        self.objects = {(one["kind"], one["metadata"]["name"]): one for one in objects}
        self.calls: list[list[str]] = []
        self.answers: list[tuple[list[str], int, str]] = []
        self.figures = ["cp1", "w1"]
        self.status: dict[str, Any] = {"observedGeneration": 1, "updatedReplicas": 1, "replicas": 1, "availableReplicas": 1}

    def run(self, args: list[str], stdin: str | None = None, ok: tuple[int, ...] = (0,), timeout: float = 0) -> tuple[int, str, str]:
        self.calls.append(list(args))
        for start, code, text in self.answers:
            if args[: len(start)] == start:
                return code, "", text
        if args[:3] == ["get", "-f", "-"]:
            wanted = json.loads(stdin or "")["items"]
            found = [self._served(self.objects[key]) for one in wanted if (key := (one["kind"], one["metadata"]["name"])) in self.objects]
            # With one object kubectl answers with that object, and with none with nothing.
            return 0, json.dumps(found[0] if len(found) == 1 else {"kind": "List", "items": found}) if found else "", ""
        if args[0] == "delete":
            kind = args[1].partition(".")[0]
            self.objects = {key: one for key, one in self.objects.items() if (key[0].lower(), key[1]) != (kind, args[2])}
        if args[:2] == ["get", "--raw"]:
            return 0, json.dumps({"items": [{"metadata": {"name": name}} for name in self.figures]}), ""
        if args[:2] == ["get", "nodes"]:
            return 0, "cp1\tTrue\nw1\tTrue\nw2\tUnknown\n", ""
        return 0, "", ""

    def _served(self, one: dict[str, Any]) -> dict[str, Any]:
        return {**one, "metadata": {**one["metadata"], "generation": 1}, "status": self.status} if one["kind"] == "Deployment" else one

    def get(self, *args: str) -> dict[str, Any] | None:
        return {"status": {"conditions": [{"reason": "MissingEndpoints", "message": "no addresses"}]}}

    def diff(self, objects: list[dict[str, Any]]) -> str:
        return "".join(f"{one['kind']}\n" for one in objects if self.objects.get((one["kind"], one["metadata"]["name"])) != one)

    def apply(self, objects: list[dict[str, Any]]) -> str:
        self.objects.update({(one["kind"], one["metadata"]["name"]): one for one in objects})
        return ""


def present(cluster: Cluster, settings: Settings = SETTINGS, check_mode: bool = False) -> install.Outcome:
    return install.ensure_present(cluster, settings, 60, check_mode)  # type: ignore[arg-type]


# -- the objects ---------------------------------------------------------------------------------------------------------


def test_nothing_is_left_unverified(made: Certificate) -> None:
    objects = cluster_objects(SETTINGS, made)
    arguments = named(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"]
    assert not [one for one in arguments if "insecure" in one]
    assert "--kubelet-certificate-authority=/var/run/secrets/kubernetes.io/serviceaccount/ca.crt" in arguments
    service = named(objects, "APIService")["spec"]
    assert service["insecureSkipTLSVerify"] is False
    assert base64.b64decode(service["caBundle"]).decode() == made.certificate + "old\n"


def test_the_pod_has_no_more_rights_than_it_needs(made: Certificate) -> None:
    pod = named(cluster_objects(SETTINGS, made), "Deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    container = pod["containers"][0]["securityContext"]
    assert container["readOnlyRootFilesystem"] and not container["allowPrivilegeEscalation"] and container["capabilities"] == {"drop": ["ALL"]}
    assert pod["priorityClassName"] == "system-cluster-critical" and "hostNetwork" not in pod
    assert [one["key"] for one in pod["tolerations"]] == ["node-role.kubernetes.io/control-plane"]
    verbs = {verb for one in cluster_objects(SETTINGS, made) for rule in one.get("rules", []) for verb in rule["verbs"]}
    assert verbs == {"get", "list", "watch"}


@pytest.mark.parametrize(("replicas", "budgets"), [(1, 0), (2, 1)])
def test_a_budget_only_where_it_does_not_keep_a_node_from_being_drained(made: Certificate, replicas: int, budgets: int) -> None:
    objects = cluster_objects(Settings(IMAGE, replicas), made)
    assert len([one for one in objects if one["kind"] == "PodDisruptionBudget"]) == budgets


def test_another_certificate_makes_other_pods(made: Certificate) -> None:
    first, second = (named(cluster_objects(SETTINGS, one), "Deployment")["spec"]["template"] for one in (made, Certificate("new", "key")))
    assert first != second
    assert first["spec"] == second["spec"]


# -- the certificate -----------------------------------------------------------------------------------------------------


def test_openssl_itself_trusts_what_was_made(made: Certificate, tmp_path: Path) -> None:
    (tmp_path / "c.pem").write_text(made.certificate)
    (tmp_path / "k.pem").write_text(made.key)
    verify = ["openssl", "verify", "-purpose", "sslserver", "-verify_hostname", SERVER_NAME, "-partial_chain", "-trusted", "c.pem", "c.pem"]
    assert subprocess.run(verify, cwd=tmp_path, capture_output=True, check=False, text=True).stdout == "c.pem: OK\n"
    keys = [["openssl", "pkey", "-in", "k.pem", "-pubout"], ["openssl", "x509", "-in", "c.pem", "-pubkey", "-noout"]]
    assert len({subprocess.run(one, cwd=tmp_path, capture_output=True, check=True, text=True).stdout for one in keys}) == 1
    text = subprocess.run(["openssl", "x509", "-in", "c.pem", "-noout", "-text"], cwd=tmp_path, capture_output=True, check=True, text=True).stdout
    assert "CA:FALSE" in text and "TLS Web Server Authentication" in text and "CA:TRUE" not in text


def test_a_good_one_stays_and_others_go(made: Certificate, monkeypatch: pytest.MonkeyPatch) -> None:
    assert certificate.flaw(made) == ""
    assert certificate.flaw(Certificate("no certificate", "")) == f"it is not one for {SERVER_NAME}"
    monkeypatch.setattr(certificate, "_RENEW_SECONDS", (certificate.DAYS + 1) * 86400)
    assert certificate.flaw(made) == "it expires soon"


def test_without_openssl(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NodewiseError, match=r"openssl is not installed on this host\. Remedy: install the package openssl"):
        certificate.make()


@pytest.mark.parametrize("data", [None, {}, {"tls.crt": "eA=="}, {"tls.crt": "%", "tls.key": "eA=="}, {"tls.crt": "", "tls.key": "eA=="}])
def test_a_secret_that_holds_none(data: Any) -> None:
    assert certificate_of({"data": data}) is None


def test_a_secret_says_it_back(made: Certificate) -> None:
    assert certificate_of(named(cluster_objects(SETTINGS, made), "Secret")) == made


# -- bringing it there and away --------------------------------------------------------------------------------------------


def test_a_second_run_changes_nothing() -> None:
    cluster = Cluster()
    outcome = present(cluster)
    assert outcome.actions == ["make its certificate (there is none)", "apply metrics-server's objects"]
    assert outcome.nodes == ["cp1", "w1"]
    again = present(cluster)
    assert (again.actions, again.diff, again.nodes) == ([], "", ["cp1", "w1"])


def test_check_mode_changes_nothing_and_does_not_wait() -> None:
    cluster = Cluster()
    assert present(cluster, check_mode=True).actions == ["make its certificate (there is none)", "apply metrics-server's objects"]
    assert cluster.objects == {}
    assert not [call for call in cluster.calls if call[0] in ("rollout", "wait", "delete")]


def test_what_was_just_changed_need_not_be_waited_for() -> None:
    cluster = Cluster()
    assert install.ensure_present(cluster, SETTINGS, 60, False, wait=False).nodes == []  # type: ignore[arg-type]
    assert not [call for call in cluster.calls if call[0] in ("rollout", "wait")]
    # Where nothing changes, it says at once whether it works.
    again = install.ensure_present(cluster, SETTINGS, 60, False, wait=False)  # type: ignore[arg-type]
    assert (again.actions, again.nodes) == ([], ["cp1", "w1"])
    assert not [call for call in cluster.calls if call[0] in ("rollout", "wait")]


def test_a_renewed_certificate_leaves_the_old_one_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster()
    present(cluster)
    before = certificate_of(cluster.objects["Secret", SECRET])
    monkeypatch.setattr(certificate, "_RENEW_SECONDS", (certificate.DAYS + 1) * 86400)
    assert present(cluster).actions[0] == "make its certificate (it expires soon)"
    after = certificate_of(cluster.objects["Secret", SECRET])
    assert before is not None and after is not None
    assert after.previous == before.certificate != after.certificate
    assert base64.b64decode(cluster.objects["APIService", API_SERVICE]["spec"]["caBundle"]).decode() == after.certificate + before.certificate


def test_one_replica_again_removes_the_budget() -> None:
    cluster = Cluster()
    present(cluster, Settings(IMAGE, 2))
    assert present(cluster).actions == ["apply metrics-server's objects", "remove PodDisruptionBudget metrics-server"]
    assert ("PodDisruptionBudget", "metrics-server") not in cluster.objects
    assert present(cluster).actions == []


def test_another_metrics_server_is_not_taken_over(made: Certificate) -> None:
    theirs = named(cluster_objects(SETTINGS, made), "APIService")
    cluster = Cluster({**theirs, "metadata": {"name": API_SERVICE, "labels": {"k8s-app": "metrics-server"}}})
    found = present(cluster)
    assert (found.actions, found.foreign) == ([], ["APIService v1beta1.metrics.k8s.io"])
    assert install.ensure_absent(cluster, False).actions == []  # type: ignore[arg-type]
    assert len(cluster.objects) == 1


@pytest.mark.parametrize("check_mode", [True, False])
def test_removal_removes_all_of_ours_and_nothing_else(check_mode: bool) -> None:
    other = {"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "coredns", "namespace": "kube-system"}}
    cluster = Cluster(other)
    present(cluster, Settings(IMAGE, 2))
    count = len(cluster.objects)
    outcome = install.ensure_absent(cluster, check_mode)  # type: ignore[arg-type]
    # Discovery fails as long as an APIService has no server.
    assert outcome.actions[0] == f"remove APIService {API_SERVICE}" and len(outcome.actions) == count - 1
    assert len(cluster.objects) == (count if check_mode else 1)
    assert install.ensure_absent(cluster, False).actions == (outcome.actions if check_mode else [])  # type: ignore[arg-type]


def test_what_does_not_work_says_why() -> None:
    cluster = Cluster()
    cluster.answers = [(["wait"], 1, "error: timed out waiting for the condition"), (["logs"], 1, "x509: certificate signed by unknown authority")]
    with pytest.raises(NodewiseError) as caught:
        present(cluster)
    text = str(caught.value)
    assert "metrics-server does not work after 60 s: error: timed out waiting for the condition." in text
    assert "APIService: MissingEndpoints: no addresses" in text and "x509: certificate signed by unknown authority" in text


@pytest.mark.parametrize(
    "status",
    [
        {"observedGeneration": 0},
        # The new pod does not start, and the old one still has figures.
        {"updatedReplicas": 1, "replicas": 2, "availableReplicas": 1},
        {"updatedReplicas": None},
    ],
)
def test_a_rollout_that_failed_once_fails_again(status: dict[str, Any]) -> None:
    cluster = Cluster()
    present(cluster)
    cluster.status = {name: value for name, value in {**cluster.status, **status}.items() if value is not None}
    cluster.answers = [(["rollout"], 1, 'error: deployment "metrics-server" exceeded its progress deadline')]
    with pytest.raises(NodewiseError, match="exceeded its progress deadline"):
        install.ensure_present(cluster, SETTINGS, 60, False, wait=False)  # type: ignore[arg-type]


def test_a_replica_that_is_down_is_not_waited_for_while_there_are_figures() -> None:
    cluster = Cluster()
    present(cluster)
    del cluster.status["availableReplicas"]
    cluster.answers = [(["rollout"], 1, 'error: deployment "metrics-server" exceeded its progress deadline')]
    assert install.ensure_present(cluster, SETTINGS, 60, False, wait=False).nodes  # type: ignore[arg-type]


def test_a_node_without_figures_does_not_fail_the_others() -> None:
    cluster = Cluster()
    cluster.figures = ["cp1"]
    outcome = install.ensure_present(cluster, SETTINGS, 0, False)  # type: ignore[arg-type]
    assert (outcome.nodes, outcome.missing) == (["cp1"], ["w1"])


def test_no_figures_at_all_fail() -> None:
    cluster = Cluster()
    cluster.figures = []
    with pytest.raises(NodewiseError, match=r"no figures of cp1, w1\."):
        install.ensure_present(cluster, SETTINGS, 0, False)  # type: ignore[arg-type]


OPTIONS = {"image": IMAGE, "replicas": 2, "cpu_request": "150m", "memory_request": "300Mi", "resolution": 20, "timeout": 60}


def test_settings_are_made_of_the_options() -> None:
    assert make_settings(OPTIONS) == Settings(IMAGE, 2, "150m", "300Mi", 20)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("replicas", 0, "replicas is 0. Remedy: set it between 1 and 10"),
        ("resolution", 9, "resolution is 9. Remedy: set it between 10 and 300"),
        ("timeout", 3601, "timeout is 3601"),
        ("cpu_request", "abc", "cpu_request is 'abc', which is no quantity"),
        ("memory_request", "-1Mi", "memory_request is '-1Mi'. Remedy: give more than nothing"),
        ("image", "a b", "image is 'a b', which is no image's name"),
    ],
)
def test_options_that_cannot_work_are_refused(name: str, value: Any, message: str) -> None:
    with pytest.raises(NodewiseError) as caught:
        make_settings({**OPTIONS, name: value})
    assert message in str(caught.value)
