# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
import yaml
from ansible_collections.nodewise.cluster.plugins.filter.facts_of_this_run import facts_of_this_run
from ansible_collections.nodewise.cluster.plugins.plugin_utils.run import this_run

VARIABLES = yaml.safe_load((Path(__file__).parents[3] / "roles" / "calico" / "vars" / "main.yml").read_text())


def without_cni(hosts: dict[str, Any], groups: dict[str, list[str]]) -> str:
    environment = jinja2.Environment()
    # Jinja's own map knows no extract; Ansible's filter of that name is an item of a mapping.
    environment.filters["extract"] = lambda key, container: container[key]
    environment.filters["nodewise.cluster.facts_of_this_run"] = facts_of_this_run
    template = "{% set found = " + VARIABLES["__calico_nodes_without_cni"].strip()[2:-2] + " %}{{ found | join(' ') }}"
    return environment.from_string(template).render(hostvars=hosts, groups=groups)


def shows(name: str, joined: bool, cni: bool, run: str | None = None) -> dict[str, Any]:
    facts = {"kubelet_conf": joined, "calico_cni_config": cni, "wanted": {"node_name": name}, "run": run or this_run()}
    return {"ansible_facts": {"nodewise": facts}}


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
