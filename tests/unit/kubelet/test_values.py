# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.kubelet.values import format_duration, parse_duration

# What Go's time.Duration.String() prints for the text on the left.
DURATIONS = [
    ("0", "0s"),
    ("0s", "0s"),
    ("30s", "30s"),
    ("90s", "1m30s"),
    ("2m", "2m0s"),
    ("1h", "1h0m0s"),
    ("1h30m", "1h30m0s"),
    ("1.5s", "1.5s"),
    ("100ms", "100ms"),
    ("1500ms", "1.5s"),
    ("250us", "250µs"),
    ("7ns", "7ns"),
    (".5m", "30s"),
    ("-1m", "-1m0s"),
    ("4h0m0s", "4h0m0s"),
]


@pytest.mark.parametrize(("text", "printed"), DURATIONS)
def test_a_duration_is_printed_as_go_prints_it(text: str, printed: str) -> None:
    assert format_duration(parse_duration(text)) == printed


@pytest.mark.parametrize("text", ["", "30", "30 s", "s", "1d", "1h-5m", "ten", "1..5s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)
