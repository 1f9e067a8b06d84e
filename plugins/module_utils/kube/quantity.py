# Copyright: Nodewise authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubernetes quantities (C(resource.Quantity) of k8s.io/apimachinery): C(500m), C(1.5Gi), C(2e3).

The API server stores no part of an amount below 1n and rounds such a part up. It answers with the
canonical form, so texts must be compared by their value or by :func:`canonical_quantity`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fractions import Fraction

# Three digits of exponent are far beyond what the API server keeps (2^63-1), and keep a nonsense text from filling the memory.
_QUANTITY = re.compile(r"([+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40}))(?:([eE][+-]?[0-9]{1,3})|(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E))?")
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_NANO = 10**9


def parse_nanos(text: str) -> int:
    """Return a quantity in units of 1n, rounded up.

    Raises
    ------
    ValueError
        The text is not a quantity.
    """
    numerator, denominator, _exponent, _suffix = _parse(text)
    return -(-numerator * _NANO // denominator)


def parse_quantity(text: str) -> Fraction:
    """Return the exact value of a quantity.

    Raises
    ------
    ValueError
        The text is not a quantity.
    """
    # Here, since it takes half a MiB, which daemons that only need units of 1n can do without.
    from fractions import Fraction

    numerator, denominator, _exponent, _suffix = _parse(text)
    return Fraction(numerator, denominator)


def format_quantity(value: Fraction | int, binary: bool = False) -> str:
    """Return the canonical form of a value: no fraction, the largest suffix that allows that.

    Parameters
    ----------
    value : Fraction or int
        What is less than 1n of it is rounded up, away from zero, as the API server does.
    binary : bool
        Use C(Ki) to C(Ei); a value below 1024 or with a fraction is written with decimal suffixes even then.
    """
    return _format(value.numerator, value.denominator, binary)


def canonical_quantity(text: str) -> str:
    """Return a quantity as the API server writes it; the kind of its suffix stays: C(1024Mi) is C(1Gi), C(1000m) is C(1).

    Raises
    ------
    ValueError
        The text is not a quantity.
    """
    numerator, denominator, exponent, suffix = _parse(text)
    if not exponent:
        return _format(numerator, denominator, suffix in _BINARY)
    forms = {f"e{power}" if power else "": 10 ** (power + 9) for power in range(-9, 19, 3)}
    return _largest(_away_from_zero(numerator, denominator), forms)


def _format(numerator: int, denominator: int, binary: bool) -> str:
    if binary and numerator % denominator == 0 and abs(numerator // denominator) >= 1024:
        return _largest(numerator // denominator, {suffix: 1024**power for suffix, power in _BINARY.items()})
    return _largest(_away_from_zero(numerator, denominator), {suffix: 10 ** (power + 9) for suffix, power in _DECIMAL.items()})


def _parse(text: str) -> tuple[int, int, str, str]:
    """Return the value as numerator and denominator, the exponent and the suffix."""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a quantity such as '500m', '100Mi' or '1Gi'")
    number, exponent, suffix = match[1], match[2] or "", match[3] or ""
    whole, _point, part = number.partition(".")
    digits = int(whole + part)
    if suffix in _BINARY:
        return digits * 1024 ** _BINARY[suffix], 10 ** len(part), exponent, suffix
    power = (int(exponent[1:]) if exponent else _DECIMAL[suffix]) - len(part)
    return digits * 10 ** max(power, 0), 10 ** max(-power, 0), exponent, suffix


def _away_from_zero(numerator: int, denominator: int) -> int:
    """Return a value in units of 1n, rounded away from zero."""
    amount = -(-abs(numerator) * _NANO // denominator)
    return amount if numerator >= 0 else -amount


def _largest(amount: int, suffixes: dict[str, int]) -> str:
    """Return the amount with the largest suffix whose factor divides it."""
    if amount == 0:
        return "0"
    fitting = {factor: suffix for suffix, factor in suffixes.items() if amount % factor == 0}
    if not fitting:
        return str(amount)
    factor = max(fitting)
    return f"{amount // factor}{fitting[factor]}"
