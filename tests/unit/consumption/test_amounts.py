# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.consumption.amounts import add, amounts, nanos, plain, raise_to


def test_amounts_are_exact_and_parts_are_rounded_up_only_when_shown() -> None:
    total = amounts({"cpu": "100u", "memory": "1.5Ki"})
    for _time in range(9):
        add(total, amounts({"cpu": "100u"}))
    assert plain(total) == {"cpu": 1, "memory": 1536}
    add(total, amounts({"cpu": "1n"}))
    assert plain(total)["cpu"] == 2


def test_other_resources_keep_their_own_unit() -> None:
    assert plain(amounts({"nvidia.com/gpu": "4", "hugepages-2Mi": "1Gi", "pods": 110})) == {"nvidia.com/gpu": 4, "hugepages-2Mi": 2**30, "pods": 110}


def test_no_resources_are_no_amounts() -> None:
    assert amounts(None) == amounts({}) == {}


def test_what_is_requested_as_0_is_mentioned() -> None:
    least = amounts({"cpu": "2"})
    raise_to(least, amounts({"cpu": "1", "memory": "0"}))
    assert plain(least) == {"cpu": 2000, "memory": 0}


def test_what_is_no_quantity_is_named() -> None:
    with pytest.raises(ValueError, match="'1 core' is not a quantity"):
        nanos("1 core")
