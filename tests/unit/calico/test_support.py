# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.calico.support import minor_version, pair_problem


@pytest.mark.parametrize(("calico", "kubernetes"), [("3.33.0", "1.37.2"), ("3.33.0", "1.35.4"), ("3.32.1", "1.34.0"), ("v3.28.5", "v1.30.1")])
def test_a_tested_pair_has_no_problem(calico: str, kubernetes: str) -> None:
    assert pair_problem(calico, kubernetes) == ""


def test_an_untested_pair_names_both_ranges_and_what_fits() -> None:
    problem = pair_problem("3.28.5", "1.37.2")
    assert problem == "Calico 3.28.5 is tested with Kubernetes 1.27 to 1.30, not with 1.37.2; Kubernetes 1.37 is tested with Calico 3.33"


def test_the_edges_of_a_range_are_exact() -> None:
    assert pair_problem("3.33.0", "1.34.9")
    assert pair_problem("3.33.0", "1.38.0") == "Calico 3.33.0 is tested with Kubernetes 1.35 to 1.37, not with 1.38.0"


def test_an_unknown_calico_is_not_assumed_to_fit() -> None:
    assert pair_problem("3.99.0", "1.37.2").startswith("Calico 3.99.0 is not in the table")


@pytest.mark.parametrize("text", ["", "3.28", "latest", "3.28.5-rc1", "3.28.5 "])
def test_what_is_not_a_version_has_no_minor_version(text: str) -> None:
    assert minor_version(text) == ""
