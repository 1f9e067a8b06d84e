# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Amounts of resources, summed exactly.

The API server keeps no part of a quantity below 1n, so an integer number of 1n holds every amount; integers
add up many times faster than fractions, and a cluster's tens of thousands of pods share a few hundred texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from ..kube.quantity import parse_nanos

Amounts = dict[str, int]
"""Resource name (C(cpu), C(memory), C(nvidia.com/gpu)) to amount in units of 1n."""

CPU = "cpu"
MEMORY = "memory"
DISK = "ephemeral-storage"
PODS = "pods"

_NANO = 10**9
_MILLI = 10**6


nanos = lru_cache(maxsize=8192)(parse_nanos)


def amounts(resources: Mapping[str, Any] | None) -> Amounts:
    """Return a resource list of the API (quantities by resource name) as amounts."""
    return {name: nanos(str(text)) for name, text in resources.items()} if resources else {}


def add(total: Amounts, more: Mapping[str, int]) -> None:
    """Add amounts to a total."""
    for name, amount in more.items():
        total[name] = total.get(name, 0) + amount


def raise_to(least: Amounts, other: Mapping[str, int]) -> None:
    """Raise every amount that is less than the other one."""
    for name, amount in other.items():
        if amount > least.get(name, -1):
            least[name] = amount


def plain(total: Mapping[str, int]) -> dict[str, int]:
    """Return amounts for programs: C(cpu) in millicores, all else in its own unit (bytes, pieces); parts are rounded up."""
    return {name: -(-amount // (_MILLI if name == CPU else _NANO)) for name, amount in total.items()}
