"""The one reader of JSON and of text that another process has written: none of it stops a reader.

An API server stores objects that are nested 10,000 levels deep. Python's reader fails at 1,000
levels or at 10,000, by its version, and so does code that walks the result. Objects of Kubernetes
are nested at most a few dozen levels deep.

Of a key that an object has twice the last value counts, as for an API server. Integers may have as
many digits as int() takes; `codec.number` limits those that are computed with.
"""

from __future__ import annotations

import json
import math
import re
from array import array
from itertools import accumulate
from typing import Any, NoReturn

DEEPEST = 100
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")  # 1 and -1 as signed bytes
_INNERMOST = 16
_NO_SIGNS = bytes(set(range(256)) - set(b'[]{}"'))
# Patterns that few texts need: `re` compiles each when it is first used, not at an agent's start.
_TOKEN = rb'"[^"]*"?|[\[\]{}]'
"""A bracket, or a string up to its end; a string without an end reaches to the end of the text."""
_ESCAPE = (
    rb"(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\[^u]|\\u(?![dD][89a-fA-F]))"
    rb"|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)
"""An escape of a string. The group is missing for a surrogate without its other half."""
_LINE_ENDS = "\r\n?|[\x85\u2028\u2029]"
_CONTROLS = (
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_REPLACEMENT = "\ufffd"


class WireError(ValueError):
    """A text is no JSON, a record has another version, or a field is missing or wrong."""


def decode(text: str | bytes, what: str) -> Any:
    """The value of JSON, with UTF-8 as its encoding. Raises WireError with the name `what`.

    Its numbers are finite, its strings can be written as UTF-8, and its lists and objects are
    nested at most DEEPEST levels deep.
    """
    raw = text.encode("utf-8", "replace") if isinstance(text, str) else text
    if not is_shallow(raw):
        raise WireError(f"{what} is not JSON: it is nested more than {DEEPEST} levels deep")
    return _value(_without_surrogates(raw), what)


def decode_answer(raw: bytes, what: str) -> Any:
    """The value of an API server's answer, with null for values that are nested too deep, so that
    one object does not cost the list that it is in. Raises WireError with the name `what`."""
    return _value(harmless(raw), what)


def harmless(raw: bytes) -> bytes:
    """The same JSON, with null for values that are nested deeper than DEEPEST levels, and U+FFFD
    for lone surrogates: for a reader that this module does not call."""
    return _without_surrogates(raw if is_shallow(raw) else _cut(raw))


def is_shallow(raw: bytes) -> bool:
    """Whether no value in the JSON is nested deeper than DEEPEST levels.

    If so, a reader of JSON returns a value or raises ValueError for any text. The time is linear in
    its length, and short, because the operator spends it on every object that it reads.
    """
    if raw.count(b"[") + raw.count(b"{") <= DEEPEST:
        return True
    steps = _without_strings(_without_escapes(raw).translate(_STEPS, _NO_SIGNS))
    for _ in range(_INNERMOST):  # most texts have no more levels
        steps = steps and steps.replace(b"\x01\xff", b"")
    return max(accumulate(array("b", steps)), default=0) <= DEEPEST - _INNERMOST


def is_nested_deeper(value: Any, levels: int) -> bool:
    """Whether lists and objects in a value are nested on more than this many levels."""
    inside = [value]
    for _ in range(levels + 1):
        inside = [part for each in inside for part in _parts(each)]
        if not inside:
            return False
    return True


def plain(text: str) -> str:
    """The text as a terminal, a log and a status can show it.

    Ends of lines become line feeds. U+FFFD replaces other control characters (C0, DEL and C1; a tab
    stays), controls of the direction of text, and surrogates.
    """
    if text.isascii() and text.isprintable():
        return text
    return re.sub(_CONTROLS, _REPLACEMENT, re.sub(_LINE_ENDS, "\n", text))


def _value(raw: bytes, what: str) -> Any:
    try:
        return _DECODER.decode(raw.decode())
    except (ValueError, RecursionError) as error:
        raise WireError(f"{what} is not JSON: {error}") from None


def _float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError("a number is out of range")
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number")


_DECODER = json.JSONDecoder(parse_float=_float, parse_constant=_refuse)


def _without_strings(signs: bytes) -> bytes:
    """The brackets that are not in strings, of brackets and quotes."""
    return b"".join(signs.replace(b'""', b"").split(b'"')[::2])


def _without_escapes(raw: bytes) -> bytes:
    """The text in its length, without escaped quotes and backslashes."""
    if b"\\" not in raw:
        return raw
    return raw.replace(b"\\\\", b"__").replace(b'\\"', b"__")


def _without_surrogates(raw: bytes) -> bytes:
    """The JSON with U+FFFD for each escaped surrogate without its other half."""
    if b"\\" not in raw or (b"\\ud" not in raw and b"\\uD" not in raw):
        return raw
    return re.sub(_ESCAPE, lambda found: found[1] or b"\\ufffd", raw)


def _parts(value: Any) -> list[Any]:
    """The values directly in a list or an object; empty for other values."""
    if isinstance(value, dict):
        return list(value.values()) or [None]
    return (value or [None]) if isinstance(value, list) else []


def _cut(raw: bytes) -> bytes:
    """The JSON with null for values that are nested too deep."""
    kept: list[bytes] = []
    depth = begin = 0
    for token in re.finditer(_TOKEN, _without_escapes(raw)):
        sign = token.group()
        if sign in (b"[", b"{"):
            depth += 1
            if depth == DEEPEST + 1:
                kept += (raw[begin : token.start()], b"null")
        elif sign in (b"]", b"}"):
            if depth == DEEPEST + 1:
                begin = token.end()
            depth -= 1
    return b"".join(kept) + (raw[begin:] if depth <= DEEPEST else b"")
