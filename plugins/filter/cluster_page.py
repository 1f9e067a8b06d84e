# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter nodewise.cluster.cluster_page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from ansible.errors import AnsibleFilterError

from ..module_utils.errors import NodewiseError
from ..plugin_utils.page.html import render
from ..plugin_utils.page.model import build

DOCUMENTATION = r"""
name: cluster_page
short_description: A cluster's consumption as one HTML page
version_added: 1.0.0
description:
  - Returns a page that shows what needs attention, what each node has, gave away and uses, the namespaces against their quotas, and the
    last verification.
  - The page loads nothing from elsewhere and reads the same without JavaScript. All that comes from the cluster is escaped.
  - What is unknown is called unknown; a figure of a NodeReport that has expired is shown as such, with its age.
options:
  _input:
    description: The result of M(nodewise.cluster.cluster_resources_info).
    type: dict
    required: true
  health:
    description: The result of M(nodewise.cluster.node_health_info).
    type: dict
    required: true
  cluster_name:
    description: What to call the cluster.
    type: str
    required: true
  made_at:
    description: Time of the snapshot (RFC 3339, with a zone).
    type: str
    required: true
  verification:
    description: What M(nodewise.cluster.verify_cluster) wrote as JSON.
    type: dict
  verified_at:
    description: Time of O(verification), which needs it (RFC 3339, with a zone).
    type: str
seealso:
  - module: nodewise.cluster.cluster_resources_info
  - module: nodewise.cluster.node_health_info
author:
  - Nodewise authors (@nodewise)
"""

EXAMPLES = r"""
- name: Write a page of the cluster
  ansible.builtin.copy:
    content: "{{ resources | nodewise.cluster.cluster_page(health=health, cluster_name='shop', made_at=now(utc=true, fmt='%Y-%m-%dT%H:%M:%SZ')) }}"
    dest: /srv/www/shop.html
    mode: "0644"
  delegate_to: localhost
"""

RETURN = r"""
_value:
  description: The HTML.
  type: str
"""


def cluster_page(
    resources: Mapping[str, Any],
    health: Mapping[str, Any],
    cluster_name: str,
    made_at: str,
    verification: Mapping[str, Any] | None = None,
    verified_at: str | None = None,
) -> str:
    """Return the page; see DOCUMENTATION."""
    for name, value, module in (("The input", resources, "cluster_resources_info"), ("health", health, "node_health_info")):
        if not isinstance(value, Mapping) or not {"nodes", "errors"} <= set(value):
            raise AnsibleFilterError(f"{name} of cluster_page is not the result of nodewise.cluster.{module}. Remedy: register it and give it whole.")
    try:
        page = build(resources, health, cluster_name, _moment("made_at", made_at), verification, _moment("verified_at", verified_at) if verified_at else None)
    except NodewiseError as error:
        raise AnsibleFilterError(str(error)) from error
    return render(page)


def _moment(name: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        moment = None
    if moment is None or moment.tzinfo is None:
        raise AnsibleFilterError(f"{name} is {text!r}, which is no RFC 3339 time with a zone. Remedy: write it as 2026-11-25T17:40:00Z.")
    return moment.astimezone(UTC)


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters of this file by name."""
        return {"cluster_page": cluster_page}
