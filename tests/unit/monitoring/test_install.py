# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose the operator's kinds are, and what is done about it. The API server itself is tests/integration's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.artifacts.catalogue import OPERATOR_KINDS
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.monitoring import install
from ansible_collections.nodewise.cluster.plugins.module_utils.monitoring.manifests import Settings

SETTINGS = Settings("0.85.0", "3.16.0")
NAMES = [f"{kind}.monitoring.coreos.com" for kind in OPERATOR_KINDS]


class Cluster:
    """Answers for kubectl: the kinds that are there, and namespaces with objects of them."""

    def __init__(self, kubeconfig: Path, lines: list[str], namespaces: str = "") -> None:
        self.kubeconfig = str(kubeconfig)
        self.lines = lines
        self.namespaces = namespaces
        self.changes: list[list[str]] = []
        self.waits: list[tuple[str, float]] = []

    def run(self, args: list[str], timeout: float = 600, **_more: Any) -> tuple[int, str, str]:
        self.waits += [(one, timeout) for one in args if one.startswith("--timeout=")]
        if args[0] == "get":
            return 0, "".join(f"{line}\n" for line in self.lines) if args[1] == "crd" else self.namespaces, ""
        self.changes.append(args)
        return 0, "", ""

    def apply(self, objects: list[dict[str, Any]]) -> str:
        self.changes.append([one["metadata"]["name"] for one in objects])
        return ""

    def get(self, *_args: str) -> None:
        return None


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    path = tmp_path / "admin.conf"
    path.write_text("")
    return path


def present(cluster: Cluster) -> install.Outcome:
    return install.ensure_present(SETTINGS, cluster, "/nowhere", 365, 60, check_mode=True)  # type: ignore[arg-type]


def test_kubectl_may_run_for_as_long_as_it_is_to_wait(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path / "admin.conf", [])
    install._wait(cluster, 900)  # type: ignore[arg-type]
    assert cluster.waits == [("--timeout=900s", 930), ("--timeout=900s", 930)]


def test_another_installation_is_left_alone(kubeconfig: Path) -> None:
    cluster = Cluster(kubeconfig, [f"{NAMES[0]}\t0.80.0\t", "nodereports.nodewise.dev\t\tnodewise"])
    with pytest.raises(NodewiseError, match=f"{NAMES[0]} already, from another installation"):
        present(cluster)
    assert cluster.changes == []


@pytest.mark.parametrize(
    ("lines", "applied"),
    [([], True), ([f"{name}\t0.84.0\tnodewise" for name in NAMES], True), ([f"{name}\t0.85.0\tnodewise" for name in NAMES], False)],
)
def test_kinds_are_applied_if_missing_or_of_another_release(kubeconfig: Path, lines: list[str], applied: bool) -> None:
    assert ("apply the kinds of Prometheus Operator 0.85.0" in present(Cluster(kubeconfig, lines)).actions) is applied


def test_a_check_of_a_bare_host(tmp_path: Path) -> None:
    assert present(Cluster(tmp_path / "admin.conf", [])).actions == ["apply Prometheus Operator and Prometheus"]


@pytest.mark.parametrize(("namespaces", "kept"), [("", 0), ("nodewise-monitoring", 0), ("nodewise-monitoring shop", 6)])
def test_kinds_that_others_use_are_kept(kubeconfig: Path, namespaces: str, kept: int) -> None:
    cluster = Cluster(kubeconfig, [f"{name}\t0.85.0\tnodewise" for name in NAMES], namespaces)
    outcome = install.ensure_absent(cluster, check_mode=False)  # type: ignore[arg-type]
    assert len(outcome.kept) == kept
    assert len(cluster.changes) == 6 - kept


def test_kinds_of_others_are_not_removed(kubeconfig: Path) -> None:
    cluster = Cluster(kubeconfig, [f"{name}\t0.85.0\t" for name in NAMES])
    assert install.ensure_absent(cluster, check_mode=False).actions == []  # type: ignore[arg-type]


def test_without_a_cluster_there_is_nothing_to_remove(tmp_path: Path) -> None:
    assert install.ensure_absent(Cluster(tmp_path / "admin.conf", []), check_mode=False).actions == []  # type: ignore[arg-type]


def manifest(folder: Path, annotations: str = "{operator.prometheus.io/version: 0.85.0}") -> str:
    path = folder / "kinds.yaml"
    texts = [f"---\nkind: CustomResourceDefinition\nmetadata:\n  name: {name}\n  annotations: {annotations}\n" for name in NAMES]
    path.write_text("".join(texts))
    return str(path)


def test_the_kinds_are_marked_as_ours(tmp_path: Path) -> None:
    kinds = install.read_kinds(manifest(tmp_path), "0.85.0")
    assert {one["metadata"]["labels"]["app.kubernetes.io/part-of"] for one in kinds} == {"nodewise"}


@pytest.mark.parametrize("annotations", ["{operator.prometheus.io/version: 0.84.0}", "{}", ""])
def test_kinds_of_another_version_are_refused_before_anything_is_applied(kubeconfig: Path, tmp_path: Path, annotations: str) -> None:
    """They would be applied in every run, and never be those that are wanted."""
    cluster = Cluster(kubeconfig, [])
    with pytest.raises(NodewiseError, match=r"and 0\.85\.0 is wanted\. Remedy: set nodewise_prometheus_operator_version"):
        install.ensure_present(SETTINGS, cluster, manifest(tmp_path, annotations), 365, 60, check_mode=False)  # type: ignore[arg-type]
    assert cluster.changes == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "is missing"),
        ("a: [", "does not hold the kinds"),
        ("just text", "does not hold the kinds"),
        ("metadata: {name: others}", "does not hold the kinds"),
        ("", "does not hold the kinds"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "kinds.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(NodewiseError, match=message):
        install.read_kinds(str(path), "0.85.0")
