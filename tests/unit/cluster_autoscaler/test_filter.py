# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.nodewise.cluster.plugins.filter.autoscaler_groups import FilterModule


def test_the_filter_returns_whole_groups_or_fails_with_the_reason() -> None:
    check = FilterModule().filters()["autoscaler_groups"]
    found = check({"standby": {}}, {"standby": ["S1"]}, {"S1": "s1"}, "c")
    assert found["standby"]["hosts"] == {"S1": {"node_name": "s1", "provider_id": "nodewise://c/s1"}}
    with pytest.raises(AnsibleFilterError, match="there is no such group in the inventory"):
        check({"standbye": {}}, {"standby": ["S1"]}, {"S1": "s1"}, "c")
