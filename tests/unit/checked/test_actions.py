# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules that can judge their options without a host: nothing is sent to one then."""

from __future__ import annotations

from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import pytest
from ansible.errors import AnsibleError
from ansible_collections.nodewise.cluster.plugins.action import calico, node_labels, policies

CALICO = {"version": "3.28.5", "kubernetes_version": "1.37.2", "allow_unsupported_pair": "yes", "pod_cidr": "10.244.0.0/16", "block_size": "26"}
LABELS = {"rules": [{"hosts": ["w1"], "labels": {"a": "1"}}], "node_names": {"w1": "w1"}}
QUOTA = {"name": "one", "namespace": "demo", "hard": {"pods": 1}}


def run(module: ModuleType, args: dict[str, Any]) -> tuple[dict[str, Any], MagicMock]:
    """Run the action; return its result and the stand-in for running the module on the host."""
    task = MagicMock(async_val=0, check_mode=False, diff=False, args=args)
    action = module.ActionModule(task=task, connection=MagicMock(), play_context=MagicMock(), loader=None, templar=None, shared_loader_obj=None)
    action._execute_module = MagicMock(return_value={"changed": True, "actions": ["something"]})
    return action.run(task_vars={}), action._execute_module


@pytest.mark.parametrize(("module", "args"), [(calico, CALICO), (policies, {"resource_quotas": [QUOTA]}), (node_labels, LABELS)])
def test_good_options_are_judged_without_the_host(module: ModuleType, args: dict[str, Any]) -> None:
    result, executed = run(module, {**args, "state": "checked"})
    assert (result.get("failed", False), result["changed"], result["actions"]) == (False, False, [])
    executed.assert_not_called()


@pytest.mark.parametrize(
    ("module", "args", "message"),
    [
        (calico, {**CALICO, "pod_cidr": "10.244.0.0/33"}, "calico_pod_cidr has the CIDR '10.244.0.0/33'"),
        (policies, {"resource_quotas": [{**QUOTA, "hard": {"pod": 1}}]}, "ResourceQuota demo/one, hard: 'pod' is no resource"),
        (node_labels, {**LABELS, "rules": [{"hosts": ["wrokers"]}]}, "no host and no group 'wrokers'"),
    ],
)
def test_bad_options_are_told(module: ModuleType, args: dict[str, Any], message: str) -> None:
    result, executed = run(module, {**args, "state": "checked"})
    assert result["failed"]
    assert message in result["msg"]
    executed.assert_not_called()


@pytest.mark.parametrize(
    ("module", "args", "message"),
    [
        (calico, {**CALICO, "backend": "bgp"}, "backend"),
        (calico, {"version": "3.28.5"}, "kubernetes_version"),
        (policies, {"resource_quotas": [{"name": "one"}]}, "namespace"),
        (node_labels, {**LABELS, "rule": []}, "rule"),
    ],
)
def test_options_that_the_module_would_refuse_are_refused(module: ModuleType, args: dict[str, Any], message: str) -> None:
    with pytest.raises(AnsibleError, match=message):
        run(module, {**args, "state": "checked"})


@pytest.mark.parametrize("module", [calico, policies, node_labels])
def test_all_else_is_done_on_the_host(module: ModuleType) -> None:
    result, executed = run(module, {"state": "present"})
    assert result["actions"] == ["something"]
    executed.assert_called_once()
