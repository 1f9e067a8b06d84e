# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look at all hosts of the play together, before anything is changed on one of them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

from ..module_utils.host.preflight import GROUPS, Site, describe, node_prefix, problems
from ..module_utils.host.variables import check_values, check_variables, load_catalogue
from ..plugin_utils.run import facts_of_this_run

COLLECTION = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class ActionModule(ActionBase):
    """See the module's documentation."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Fail with every problem of the site."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        self.validate_argument_spec(argument_spec={})
        variables = task_vars or {}
        hostvars = variables["hostvars"]
        facts = {host: hostvars[host].get("ansible_facts", {}).get("nodewise") for host in variables["ansible_play_hosts_all"]}
        # A fact cache still has what a host said yesterday that is silent now.
        hosts = {host: its for host, its in facts.items() if its and facts_of_this_run(its)}
        site = Site(
            hosts=hosts,
            groups={group: list(variables["groups"].get(group, [])) for group in GROUPS},
            silent=[host for host in facts if host not in hosts],
            node_prefix=node_prefix(_cluster_configuration(hostvars, variables["groups"])),
        )
        foreign = {pattern for its in hosts.values() for pattern in its["wanted"]["foreign_variables"]}
        catalogue = load_catalogue(COLLECTION)
        names = {host: list(hostvars[host]) for host in facts}
        values = {host: dict(_known(hostvars[host], catalogue.options)) for host in facts}
        found = problems(site) + check_variables(names, foreign, catalogue) + check_values(values, catalogue)
        result.update(hosts=list(hosts), problems=found)
        if found:
            many = "1 problem" if len(found) == 1 else f"{len(found)} problems"
            lines = "\n".join(f"  {describe(problem)}" for problem in found)
            result.update(failed=True, msg=f"{many} to put right first; nothing was changed.\n{lines}")
        return result


def _cluster_configuration(hostvars: Mapping[str, Any], groups: Mapping[str, Collection[str]]) -> Mapping[str, Any]:
    """Return what the control plane's host lays over ClusterConfiguration; it may be set for that host alone, and C(--limit) may leave it out."""
    name = "kubeadm_control_plane_cluster_configuration"
    host = next(iter(groups.get("control_plane", ())), None)
    found = None if host is None else dict(_known(hostvars[host], [name])).get(name)
    return found if isinstance(found, Mapping) else {}


def _known(variables: Mapping[str, Any], options: Collection[str]) -> Iterator[tuple[str, Any]]:
    """Yield a host's variables that are options of roles, except those whose value cannot be told yet."""
    for name in options:
        if name in variables:
            # A value that follows from what a later task finds out is judged by its role.
            with contextlib.suppress(AnsibleError):
                yield name, variables[name]
