# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Kubernetes each Calico supports."""

from __future__ import annotations

import re

# Calico's minor version -> oldest and newest Kubernetes minor version its makers test it with.
# Source: "Kubernetes requirements" of docs.tigera.io for 3.29 and 3.31 to 3.33, as read in November 2026.
# 3.28 and 3.30 are the ranges named at their release; their pages could not be read again.
TESTED_KUBERNETES: dict[str, tuple[int, int]] = {
    "3.28": (27, 30),
    "3.29": (29, 32),
    "3.30": (30, 33),
    "3.31": (32, 35),
    "3.32": (34, 36),
    "3.33": (35, 37),
}


def minor_version(version: str) -> str:
    """Return C(3.28) of C(3.28.5), or an empty string if the text is not a version.

    Parameters
    ----------
    version : str
        Three numbers with dots, with or without a leading C(v).
    """
    found = re.fullmatch(r"v?(\d+\.\d+)\.\d+", version)
    return found.group(1) if found else ""


def pair_problem(calico: str, kubernetes: str) -> str:
    """Say why a pair of versions is not supported; empty if it is.

    Parameters
    ----------
    calico, kubernetes : str
        Full versions, such as C(3.33.0) and C(1.37.2).
    """
    calico_minor, kubernetes_minor = minor_version(calico), minor_version(kubernetes)
    tested = TESTED_KUBERNETES.get(calico_minor)
    if tested is None:
        return f"Calico {calico} is not in the table of tested pairs ({', '.join(TESTED_KUBERNETES)})"
    oldest, newest = tested
    if kubernetes_minor in {f"1.{minor}" for minor in range(oldest, newest + 1)}:
        return ""
    fitting = [minor for minor, (low, high) in TESTED_KUBERNETES.items() if kubernetes_minor in {f"1.{number}" for number in range(low, high + 1)}]
    hint = f"; Kubernetes {kubernetes_minor} is tested with Calico {', '.join(fitting)}" if fitting else ""
    return f"Calico {calico} is tested with Kubernetes 1.{oldest} to 1.{newest}, not with {kubernetes}{hint}"
