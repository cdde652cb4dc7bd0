"""JSON that users and workers have written: no text of theirs may stop the operator.

An API server stores objects that are nested 10,000 levels deep. Python's reader fails at 1,000
levels or at 10,000, by its version, and so does code that walks the result. Objects of Kubernetes
are nested at most a few dozen levels deep.
"""

from __future__ import annotations

import json
import re
from array import array
from itertools import accumulate
from typing import Any

DEEPEST = 100
TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)
"""A bracket, or a string up to its end; a string without an end reaches to the end of the text."""
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")  # 1 and -1 as signed bytes
_INNERMOST = 2
_NO_SIGNS = bytes(set(range(256)) - set(b'[]{}"'))


def load(raw: bytes) -> Any:
    """The value of the JSON that `shallow` returns. Raises ValueError only."""
    return json.loads(shallow(raw).decode())  # json.loads guesses the encoding of bytes


def shallow(raw: bytes) -> bytes:
    """The same JSON, with null for values that are nested deeper than DEEPEST levels."""
    return raw if is_shallow(raw) else _cut(raw)


def is_shallow(raw: bytes) -> bool:
    """Whether no value in the JSON is nested deeper than DEEPEST levels.

    If so, json.loads returns a value or raises ValueError for any text. The time is linear in its
    length, and short, because the operator spends it on every object that it reads.
    """
    if raw.count(b"[") + raw.count(b"{") <= DEEPEST:
        return True
    signs = raw.replace(b"\\\\", b"").replace(b'\\"', b"").translate(_STEPS, _NO_SIGNS)
    steps = b"".join(signs.replace(b'""', b"").split(b'"')[::2])
    for _ in range(_INNERMOST):  # half of all brackets are on the innermost levels
        steps = steps.replace(b"\x01\xff", b"")
    return max(accumulate(array("b", steps)), default=0) <= DEEPEST - _INNERMOST


def is_nested_deeper(value: Any, levels: int) -> bool:
    """Whether lists and objects in a value are nested on more than this many levels."""
    inside = [value]
    for _ in range(levels + 1):
        inside = [part for each in inside for part in _parts(each)]
        if not inside:
            return False
    return True


def _parts(value: Any) -> list[Any]:
    """The values directly in a list or an object; empty for other values."""
    if isinstance(value, dict):
        return list(value.values()) or [None]
    return (value or [None]) if isinstance(value, list) else []


def _cut(raw: bytes) -> bytes:
    kept: list[bytes] = []
    depth = begin = 0
    for token in TOKEN.finditer(raw):
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
