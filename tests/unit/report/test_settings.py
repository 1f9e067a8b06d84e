# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings: defaults, ranges, and what the messages name."""

from __future__ import annotations

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.errors import NodewiseError
from ansible_collections.nodewise.cluster.plugins.module_utils.report.settings import Settings


def test_defaults_are_the_products() -> None:
    settings = Settings.from_mapping({})
    assert (settings.sample_seconds, settings.publish_seconds, settings.valid_seconds, settings.min_gap_seconds) == (10, 60, 180, 15)
    assert (settings.cpu_percent, settings.memory_percent, settings.disk_available_percent) == (85, 90, 15)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"publish_seconds": 5}, "publish_seconds is 5.*between 10 \\(sample_seconds\\)"),
        ({"valid_seconds": 119}, "valid_seconds is 119.*2 x publish_seconds"),
        ({"min_gap_seconds": 61}, "min_gap_seconds is 61.*60 \\(publish_seconds\\)"),
        ({"jitter_percent": 51}, "jitter_percent is 51.*between 0 and 50"),
        ({"sample_seconds": 0}, "sample_seconds is 0"),
        ({"backoff_cap_seconds": float("nan")}, "backoff_cap_seconds is nan"),
        ({"cpu_percent": 100}, "cpu_percent is 100.*between 1 and 99"),
        ({"memory_percent": "90"}, "memory_percent is '90', which is not a number"),
        ({"samples": 1.5}, "samples is 1.5, which is not a whole number"),
        ({"samples": True}, "samples is True, which is not a whole number"),
        ({"clear_percent": 85}, "clear_percent is 85"),
        ({"disk_available_percent": 97}, "clear_disk_percent is 3.*between 0 and 2"),
        ({"publish": 60}, "publish is not a setting of a report.*publish_seconds"),
    ],
)
def test_what_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(NodewiseError, match=message):
        Settings.from_mapping(values)


def test_a_report_never_expires_between_two_regular_ones() -> None:
    # 60 s at the longest jitter, and one left out since an early report came just before it.
    with pytest.raises(NodewiseError, match="valid_seconds"):
        Settings(publish_seconds=60, jitter_percent=50, min_gap_seconds=40, valid_seconds=125)
    Settings(publish_seconds=60, jitter_percent=50, min_gap_seconds=40, valid_seconds=130)
