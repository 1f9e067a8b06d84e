# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from fractions import Fraction

import pytest
from ansible_collections.nodewise.cluster.plugins.module_utils.kube.quantity import canonical_quantity, format_quantity, parse_nanos, parse_quantity

VALUES = [
    ("0", Fraction(0)),
    ("-0", Fraction(0)),
    ("1", Fraction(1)),
    ("+1", Fraction(1)),
    ("-1", Fraction(-1)),
    ("1.", Fraction(1)),
    (".5", Fraction(1, 2)),
    ("0.1", Fraction(1, 10)),
    ("1n", Fraction(1, 10**9)),
    ("1u", Fraction(1, 10**6)),
    ("500m", Fraction(1, 2)),
    ("1k", Fraction(10**3)),
    ("1M", Fraction(10**6)),
    ("1G", Fraction(10**9)),
    ("1T", Fraction(10**12)),
    ("1P", Fraction(10**15)),
    ("5E", Fraction(5 * 10**18)),
    ("1Ki", Fraction(2**10)),
    ("1Mi", Fraction(2**20)),
    ("1.5Gi", Fraction(3 * 2**29)),
    ("1Ti", Fraction(2**40)),
    ("1Pi", Fraction(2**50)),
    ("7Ei", Fraction(7 * 2**60)),
    ("2e3", Fraction(2000)),
    ("2E3", Fraction(2000)),
    ("2e+3", Fraction(2000)),
    ("1.5e-3", Fraction(3, 2000)),
    ("9223372036854775807", Fraction(2**63 - 1)),
]


@pytest.mark.parametrize(("text", "value"), VALUES)
def test_a_quantity_has_its_exact_value(text: str, value: Fraction) -> None:
    assert parse_quantity(text) == value
    assert parse_nanos(text) == value * 10**9


def test_less_than_1n_is_rounded_up() -> None:
    assert [parse_nanos(text) for text in ("0.1n", "1.9n", "-0.1n", "1e-10")] == [1, 2, 0, 1]


@pytest.mark.parametrize(
    "text",
    ["", "Gi", ".", "-", "1GB", "1 Gi", " 1", "1\n", "1gi", "1K", "1KI", "10%", "0x10", "many", "1e", "1e1.5", "1Mi2", "--1", "1_000", "NaN", "inf", "٣"],
)
def test_what_is_no_quantity_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity such as") as caught:
        parse_quantity(text)
    assert repr(text) in str(caught.value)


def test_an_absurd_exponent_is_refused_and_costs_nothing() -> None:
    with pytest.raises(ValueError, match="is not a quantity"):
        parse_quantity("1e999999999")


# What resource.Quantity's String() of apimachinery 0.37.2 gives for the text on the left.
CANONICAL = [
    ("0", "0"),
    ("0Gi", "0"),
    ("1000m", "1"),
    ("1500m", "1500m"),
    ("1.5", "1500m"),
    ("0.1", "100m"),
    ("1000k", "1M"),
    ("1024", "1024"),
    ("1024Mi", "1Gi"),
    ("1.5Gi", "1536Mi"),
    ("1023Ki", "1023Ki"),
    ("0.5Ki", "512"),
    ("1.5e3", "1500"),
    ("1e3", "1e3"),
    ("1000e3", "1e6"),
    ("1e-3", "1e-3"),
    ("0.1n", "1n"),
    ("-0.1n", "-1n"),
    ("-2048Mi", "-2Gi"),
    ("1.2345Ki", "1264128m"),
]


@pytest.mark.parametrize(("text", "printed"), CANONICAL)
def test_the_canonical_form_is_that_of_the_api_server(text: str, printed: str) -> None:
    assert canonical_quantity(text) == printed


@pytest.mark.parametrize(("text", "printed"), CANONICAL)
def test_the_canonical_form_is_canonical(text: str, printed: str) -> None:
    assert canonical_quantity(printed) == printed


def test_a_value_is_written_in_either_kind_of_suffix() -> None:
    assert format_quantity(2**30) == "1073741824"
    assert format_quantity(2**30, binary=True) == "1Gi"
    assert format_quantity(Fraction(1, 2), binary=True) == "500m"
    assert format_quantity(3 * 2**70, binary=True) == "3072Ei"
    assert format_quantity(Fraction(5, 2)) == "2500m"
    assert format_quantity(-(10**22)) == "-10000E"
