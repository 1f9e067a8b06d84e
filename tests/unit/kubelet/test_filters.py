# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible.utils.display import Display
from ansible_collections.nodewise.cluster.plugins.filter.kubelet_configuration import FilterModule as Configuration
from ansible_collections.nodewise.cluster.plugins.filter.kubelet_flags import FilterModule as Flags
from ansible_collections.nodewise.cluster.plugins.module_utils.kubelet.configuration import VARIABLES

configuration = Configuration().filters()["kubelet_configuration"]
flags = Flags().filters()["kubelet_flags"]


def test_the_configuration_is_built_and_its_warnings_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(Display, "warning", lambda _self, text: shown.append(text))
    found = configuration({"max_pods": 5, "extra_args": ["--pods-per-core=2"], "config_overrides": {"maxPods": 3}})
    assert (found["kind"], found["maxPods"], found["podsPerCore"]) == ("KubeletConfiguration", 5, 2)
    assert shown == ["kubelet_extra_args: --pods-per-core is carried over to the field podsPerCore: 2."]
    assert configuration({"max_pods": 5, "config_overrides": {"maxPods": 3}}, overrides=True)["maxPods"] == 3


def test_bad_variables_fail_the_template() -> None:
    with pytest.raises(AnsibleFilterError, match="kubelet_max_pods: maxPods: 0 is not 1 or more"):
        configuration({"max_pods": 0})
    with pytest.raises(AnsibleFilterError, match="not variables of role kubelet: max_podz"):
        configuration({"max_podz": 1})


def test_flags_without_a_field_are_left() -> None:
    assert flags(["--cert-dir=/x", "--max-pods=3"]) == ["--cert-dir=/x"]
    with pytest.raises(AnsibleFilterError, match="--network-plugin is gone since Kubernetes 1.24"):
        flags(["--network-plugin=kubenet"])


def test_the_role_passes_every_variable_to_the_filter(collection_root: Path) -> None:
    role = collection_root / "roles" / "kubelet"
    passed = yaml.safe_load((role / "vars" / "main.yml").read_text())["__kubelet_variables"]
    assert set(passed) == {*VARIABLES, "kubernetes_version", "config_extra", "config_overrides", "extra_args"}
    for name, template in passed.items():
        assert template == f"{{{{ kubelet_{name} }}}}" or template.startswith(f"{{{{ kubelet_{name} | default("), name
    specified = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text())["argument_specs"]["config"]["options"]
    assert set(specified) - {f"kubelet_{name}" for name in passed} == {"kubelet_node_name", "kubelet_restart_timeout", "kubelet_serving_timeout"}
