# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of nested data."""

from __future__ import annotations

from typing import Any, NoReturn

from ansible_collections.nodewise.cluster.plugins.filter.kubelet_configuration import kubelet_configuration
from ansible_collections.nodewise.cluster.plugins.module_utils.plain import plain


class Lazy(dict[str, Any]):
    """As Ansible's containers: what belongs to it is large, and not to be copied."""

    def __deepcopy__(self, _memo: object) -> NoReturn:
        raise AssertionError("copied with all that belongs to it")


def test_containers_are_copied_and_become_plain() -> None:
    given = Lazy(a=[Lazy(b=1), (2, "c")])
    copied = plain(given)
    assert copied == {"a": [{"b": 1}, [2, "c"]]}
    assert (type(copied), type(copied["a"][0])) == (dict, dict)
    copied["a"][0]["b"] = 3
    assert given["a"][0]["b"] == 1


def test_the_kubelets_configuration_is_made_without_copying_variables() -> None:
    variables = Lazy(kubernetes_version="1.37.2", eviction_hard=Lazy({"memory.available": "500Mi"}), config_extra=Lazy(featureGates=Lazy(A=True)))
    built = kubelet_configuration(Lazy({**variables, "config_overrides": Lazy(featureGates=Lazy(B=True))}), overrides=True)
    assert built["featureGates"] == {"A": True, "B": True}
