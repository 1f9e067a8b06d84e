# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules and scrape jobs, judged by promtool of the Prometheus that runs them. Needs Go; the first time promtool is built, which takes two minutes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml
from ansible_collections.nodewise.cluster.plugins.module_utils.artifacts.golang import GoBuilder, GoCommand, GoModule
from ansible_collections.nodewise.cluster.plugins.module_utils.monitoring.manifests import kubernetes_jobs
from ansible_collections.nodewise.cluster.plugins.module_utils.monitoring.rules import groups

MODULE = GoModule("github.com/prometheus/prometheus", "v0.316.0")
CACHE = Path("~/.cache/nodewise/test-tools").expanduser()
TESTS = Path(__file__).parent / "monitoring" / "alerts.yaml"


@pytest.fixture(scope="module")
def promtool() -> Path:
    path = CACHE / f"promtool-{MODULE.version}"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        tags = ("netgo", "remove_all_sd", "enable_kubernetes_sd")
        GoBuilder(CACHE / "modules", "amd64").build(GoCommand(MODULE, f"{MODULE.path}/cmd/promtool", tags=tags), path)
    return path


def judged(promtool: Path, *arguments: str) -> str:
    done = subprocess.run([promtool, *arguments], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": groups(5, guard=True, valid_seconds=180.0)}))
    return path


def test_rules_are_right(promtool: Path, rules: Path) -> None:
    assert f"{sum(len(group['rules']) for group in groups(5, guard=True, valid_seconds=180.0))} rules found" in judged(
        promtool, "check", "rules", "--lint=all", "--lint-fatal", str(rules)
    )


def test_alerts_fire_and_keep_silent(promtool: Path, rules: Path) -> None:
    tests = rules.with_name("alerts.yaml")
    tests.write_text(TESTS.read_text())
    assert "SUCCESS" in judged(promtool, "test", "rules", str(tests))


def test_every_rule_is_tested() -> None:
    tests = TESTS.read_text()
    for group in groups(5, guard=True, valid_seconds=180.0):
        for rule in group["rules"]:
            assert rule.get("alert", rule.get("record")) in tests, rule


def test_the_jobs_of_kubernetes_are_right(promtool: Path, tmp_path: Path) -> None:
    path = tmp_path / "prometheus.yaml"
    path.write_text(yaml.safe_dump({"scrape_configs": kubernetes_jobs()}))
    # The files that it names are in a pod.
    judged(promtool, "check", "config", "--syntax-only", str(path))
