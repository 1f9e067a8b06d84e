# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.reporter.probe import judge

NOW = 1_000_000_000.0  # 2001-09-09T01:46:40Z
STATUS = {"agentVersion": "1", "configDigest": "0123abcd", "observedAt": "2001-09-09T01:45:00.000000Z", "expiresAt": "2001-09-09T01:48:00Z"}


def test_a_current_report_of_version_and_configuration_is_right() -> None:
    assert judge({"status": STATUS}, "1", "0123abcd", NOW) == ""


@pytest.mark.parametrize(
    ("status", "wrong"),
    [
        (None, "of version (none), not of 1"),
        ({**STATUS, "agentVersion": "0"}, "of version 0, not of 1"),
        ({**STATUS, "expiresAt": "2001-09-09T01:46:40Z"}, "has expired"),
        ({**STATUS, "expiresAt": "soon"}, "does not say when it expires"),
        ({"agentVersion": "1", "configDigest": "0123abcd"}, "does not say when it expires"),
        ({**STATUS, "configDigest": "00000000"}, "of the configuration 00000000, not of 0123abcd"),
        ({"agentVersion": "1"}, "of the configuration (none), not of 0123abcd"),
    ],
)
def test_what_is_wrong_with_a_report_is_said(status: dict[str, Any] | None, wrong: str) -> None:
    assert wrong in judge({"status": status}, "1", "0123abcd", NOW)
