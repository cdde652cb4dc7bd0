"""Values of YAML scalars as kubectl reads them: go-yaml v2 (resolve.go), then JSON. Pure.

PyYAML follows YAML 1.1, from which go-yaml differs: `1e-4` is a number, `12:30:00` a text, and `y`
is true.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
from decimal import Decimal

TAG = "tag:yaml.org,2002:"
STRING, MERGE = f"{TAG}str", f"{TAG}merge"
PLAIN = ""
"""The tag of a scalar that is neither quoted nor tagged."""
Scalar = str | int | float | bool | None

_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "off", "Off", "OFF"), False),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_KINDS = {"int": int, "float": float, "bool": bool, "null": type(None)}
_INTEGER = re.compile(r"([-+]?)(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|0|[1-9][0-9]*)", re.ASCII)
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_SURROGATE = re.compile("[\ud800-\udfff]")
_BETWEEN_DIGITS = re.compile("(?<=[0-9])_(?=[0-9])")
_INT64, _UINT64 = 2**63, 2**64
_LONGEST_NUMBER = 1000
_PLACES = 6  # more digits before the point are written with an exponent
_AS_INTEGER = 1e21  # Go writes smaller whole numbers without an exponent


def value(tag: str, text: str) -> Scalar:
    """The value of a scalar. Raises ValueError with the reason."""
    if _SURROGATE.search(text):
        raise ValueError("an escape in a text stands for half a character; write the whole one")
    kind = tag.removeprefix(TAG)
    if kind == "binary":
        return _bytes(text).decode(errors="replace")
    if kind == "timestamp":
        return text
    if tag != PLAIN and kind not in _KINDS:
        return text
    found = _resolved(text)
    if kind == "float" and type(found) is int:
        found = float(found)
    if tag != PLAIN and type(found) is not _KINDS[kind]:
        raise ValueError(f"{text[:40]!r} is no {kind}")
    return found


def in_json(found: Scalar) -> Scalar:
    """The value as Go writes it in JSON. Raises ValueError for infinity and no number."""
    if isinstance(found, float):
        if found != found or abs(found) == float("inf"):
            raise ValueError("infinity and NaN are no numbers in JSON; put the text in quotes")
        if found.is_integer() and abs(found) < _AS_INTEGER:
            return int(Decimal(repr(found)))
    return found


def key(found: Scalar) -> str:
    """The name of a field with this key. Raises ValueError if a key cannot have this value."""
    if found is None:
        raise ValueError("a key must not be null; put it in quotes")
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, float):
        return _short(found)
    if isinstance(found, int) and found >= _INT64:
        raise ValueError("a key is too large for a number; put it in quotes")
    return str(found)


def _resolved(text: str) -> Scalar:
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789" or len(text) > _LONGEST_NUMBER:
        return text
    digits = _BETWEEN_DIGITS.sub("", text) if text[0] == "." else text.replace("_", "")
    if found := _INTEGER.fullmatch(digits):
        number = _integer(found[1], found[2])
        if -_INT64 <= number < (_INT64 if found[1] else _UINT64):
            return number
    if not _NUMBER.fullmatch(digits):
        return text
    number_ = float(digits)
    return text if abs(number_) == float("inf") else number_


def _integer(sign: str, digits: str) -> int:
    base = {"x": 16, "b": 2, "o": 8}.get(digits[1:2].lower(), 8 if digits[0] == "0" else 10)
    return int(sign + (digits[2:] if digits[1:2].isalpha() else digits), base)


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except binascii.Error as error:
        raise ValueError(f"no base64: {error}") from None


def _short(number: float) -> str:
    """The shortest digits of the same number in 32 bits: FormatFloat(x, 'g', -1, 32) of strconv."""
    if number != number or abs(number) == float("inf"):
        return {"inf": ".inf", "-inf": "-.inf"}.get(str(number), ".nan")
    try:
        wanted = struct.pack("f", number)
    except OverflowError:
        return ".inf" if number > 0 else "-.inf"
    for precision in range(9):
        digits = f"{number:.{precision}e}"
        if struct.pack("f", float(digits)) == wanted:
            break
    exponent = int(digits.partition("e")[2])
    return f"{Decimal(digits):f}" if -4 <= exponent < _PLACES else digits
