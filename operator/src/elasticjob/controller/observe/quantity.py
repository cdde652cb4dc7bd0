"""Kubernetes quantities, such as `1500m` and `1Gi`, as one text for each amount. Pure."""

from __future__ import annotations

import math
import re
from fractions import Fraction

_QUANTITY = re.compile(
    r"([+-]?)(\d{1,40}\.?\d{0,40}|\.\d{1,40})(?:([KMGTPE]i|[numkMGTPE]?)|[eE]([+-]?\d{1,2}))",
    re.ASCII,
)
_BINARY = {f"{letter}i": Fraction(1024) ** n for n, letter in enumerate("KMGTPE", 1)}
_DECIMAL = {letter: Fraction(1000) ** n for n, letter in enumerate("num kMGTPE", -3)}
_SUFFIXES = {**_BINARY, **_DECIMAL, "": Fraction(1)}
_NANO = 10**9


def amount(value: object) -> object:
    """The amount of a quantity: the same text for `1000m`, `"1"` and 1. The value itself if it is
    no quantity, or one with more digits than a quantity needs.

    As in Kubernetes, which stores no less than a billionth, the rest is rounded away from zero.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return value
    found = _QUANTITY.fullmatch(str(value))
    if found is None:
        return value
    sign, digits, suffix, exponent = found.groups()
    unit = _SUFFIXES[suffix] if exponent is None else Fraction(10) ** int(exponent)
    billionths = math.ceil(Fraction(digits) * unit * _NANO)
    return str(Fraction(-billionths if sign == "-" else billionths, _NANO))
