# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the verification makes of the policies' checks."""

from __future__ import annotations

from pathlib import Path

import yaml
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.result import CLUSTER, OK, WARN, Result
from ansible_collections.nodewise.cluster.plugins.module_utils.verify.table import WIDTH, Report, text, told


def test_each_quota_is_shown() -> None:
    full = Result(
        "policies.quota.demo/b", CLUSTER, WARN, "something left of each", ", ".join(f"count/things-{number} 1 of 1" for number in range(9)), "raise it"
    )
    checks = [Result("policies.listed", CLUSTER, OK), Result("policies.quota.demo/a", CLUSTER, OK, "", "pods 1 of 7, secrets 0 of 3"), full]
    report = Report("nodewise", [], checks, (), 0.1)
    lines = told(report)
    assert lines[0] == "Quota demo/a: pods 1 of 7, secrets 0 of 3"
    assert lines[1].startswith("Quota demo/b ~: count/things-0 1 of 1,")
    assert lines[2].startswith("      ")
    assert max(len(line) for line in lines) <= WIDTH
    assert "\n".join(lines) in text(report)


def test_nothing_is_shown_without_told() -> None:
    assert told(Report("nodewise", [], [Result("policies.listed", CLUSTER, OK)], (), 0.1)) == []


def test_the_verification_proves_what_the_role_was_given(collection_root: Path) -> None:
    tasks = yaml.safe_load((collection_root / "roles/verify/tasks/main.yml").read_text())
    (proof,) = [task for task in tasks if "nodewise.cluster.policies" in task]
    (judge,) = [task for task in tasks if "nodewise.cluster.verify_cluster" in task]
    given = yaml.safe_load((collection_root / "roles/verify/vars/main.yml").read_text())["__verify_policies"]
    variables = yaml.safe_load((collection_root / "roles/policies/defaults/main.yml").read_text())
    assert {f"policies_{name}" for name in given} == set(variables)
    assert proof["nodewise.cluster.policies"] == {"state": "verified", **{name: f"{{{{ __verify_policies.{name} }}}}" for name in given}}
    assert proof["register"] in judge["nodewise.cluster.verify_cluster"]["policies"]
