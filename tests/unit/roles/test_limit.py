# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What playbooks do with --limit, in real runs with stubbed modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

VERIFYING = [
    "host_facts",
    "verify_node",
    "verify_token",
    "verify_node_resources",
    "verify_cluster",
    "policies",
    "verify_test_pods",
    "verify_pod_network",
    "verify_admission",
]


def inventory(**hosts: dict[str, Any]) -> dict[str, Any]:
    groups = {"control_plane": ["cp1"], "workers": ["w1"], "standby": ["sb1", "sb2"]}
    of = {
        name: {"hosts": {host: {"ansible_connection": "local", "ansible_become": False, **hosts.get(host, {})} for host in members}}
        for name, members in groups.items()
    }
    return {"all": {"children": of}}


def test_a_cluster_without_standby_hosts_is_verified(play: Callable[..., Any]) -> None:
    without = inventory()
    del without["all"]["children"]["standby"]
    (arguments,) = [arguments for name, _host, _at, arguments in play("verify", VERIFYING, without) if name == "verify_cluster"]
    assert (arguments["nodes"], arguments["standby"], arguments["scope"]) == (["cp1", "w1"], [], ["cp1", "w1"])
