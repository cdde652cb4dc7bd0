"""JSON in which others have written: no text of theirs may stop the operator.

An API server stores what is nested 10,000 levels deep. Python's reader gives up at 1,000 levels or
at 10,000, by its version, and so does everything that walks what was read. Nothing of Kubernetes is
nested more than a few dozen levels deep.
"""

from __future__ import annotations

import json
import re
from typing import Any

DEEPEST = 100
_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]')


def load(raw: bytes) -> Any:
    """What the JSON says, as far as `shallow` keeps it. Raises ValueError, and nothing else."""
    try:
        return json.loads(shallow(raw))
    except RecursionError:  # it is no JSON: its strings or brackets are not closed
        raise ValueError("brackets that are not closed") from None


def shallow(raw: bytes) -> bytes:
    """The same JSON, with null for what is nested deeper than DEEPEST levels."""
    return raw if _is_shallow(raw) else _cut(raw)


def is_nested_deeper(value: Any, levels: int) -> bool:
    """Whether a value holds lists or objects within each other on more levels than these."""
    inside = [value]
    for _ in range(levels + 1):
        inside = [part for each in inside for part in _parts(each)]
        if not inside:
            return False
    return True


def _parts(value: Any) -> list[Any]:
    """What is directly in a list or an object; empty for other values."""
    if isinstance(value, dict):
        return list(value.values()) or [None]
    return (value or [None]) if isinstance(value, list) else []


def _is_shallow(raw: bytes) -> bool:
    """Takes away the innermost level of brackets again and again: fast, for it is done always."""
    outside = b"".join(raw.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    brackets = outside.translate(_BRACKETS, _NO_BRACKETS)
    for _ in range(DEEPEST):
        if not brackets:
            return True
        brackets = brackets.replace(b"[]", b"")
    return not brackets


def _cut(raw: bytes) -> bytes:
    kept: list[bytes] = []
    depth = begin = 0
    for token in _TOKEN.finditer(raw):
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
