# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
import yaml

VARIABLES = yaml.safe_load((Path(__file__).parents[3] / "roles" / "calico" / "vars" / "main.yml").read_text())


def without_cni(hosts: dict[str, Any], groups: dict[str, list[str]]) -> str:
    environment = jinja2.Environment()
    # Jinja's own map knows no extract; Ansible's filter of that name is an item of a mapping.
    environment.filters["extract"] = lambda key, container: container[key]
    template = "{% set found = " + VARIABLES["__calico_nodes_without_cni"].strip()[2:-2] + " %}{{ found | join(' ') }}"
    return environment.from_string(template).render(hostvars=hosts, groups=groups)


def shows(name: str, joined: bool, cni: bool) -> dict[str, Any]:
    return {"ansible_facts": {"nodewise": {"kubelet_conf": joined, "calico_cni_config": cni, "wanted": {"node_name": name}}}}


def test_every_node_of_the_run_gets_a_lost_cni_configuration_back() -> None:
    hosts = {
        "cp1": shows("cp1", joined=True, cni=True),
        "w1": shows("w1", joined=True, cni=False),
        "w2": shows("w2", joined=False, cni=False),
        "w3": {"ansible_facts": {}},
        "s1": shows("s1", joined=True, cni=False),
        "s2": shows("s2", joined=False, cni=False),
    }
    groups = {"control_plane": ["cp1"], "workers": ["w1", "w2", "w3"], "standby": ["s1", "s2"]}
    assert without_cni(hosts, groups) == "w1 s1"
    assert without_cni(hosts, {"control_plane": ["cp1"]}) == ""
