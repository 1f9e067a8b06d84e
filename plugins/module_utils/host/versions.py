# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which versions of Kubernetes go together."""

from __future__ import annotations

import re

KUBELET_SKEW = 3  # minor versions a kubelet may be behind the API server


def parse_version(text: str) -> tuple[int, int, int] | None:
    """Return the three numbers a version begins with; None if it does not."""
    match = re.match(r"(\d+)\.(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def kubelet_problem(kubelet: tuple[int, int, int], server: tuple[int, int, int]) -> str:
    """Return what Kubernetes asks of a kubelet beside an API server and this one is not; empty if it is."""
    if kubelet > server:
        return "a kubelet not newer than the API server"
    if server[1] - kubelet[1] > KUBELET_SKEW:
        return f"a kubelet at most {KUBELET_SKEW} minor versions older than the API server"
    return ""
