"""Strategies that damage valid input: a record with other values, a text with other signs.

Random bytes fail at the first check of a parser. What is valid but for a few places passes many.
Python 3.9.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable
from typing import Any

from hypothesis import strategies as st


def nested(levels: int, key: str = "") -> Any:
    value: Any = []
    for _ in range(levels):
        value = {key: value} if key else [value]
    return value


BIG = [2**31, 2**53, 2**53 + 1, 2**63, 2**64, 10**400, -1, -(2**63)]
TEXTS = [
    "", "0", "-1", "7", "\xb2", "\u0663", "9" * 400, "9" * 5000, "0x3", "1e9", "1_0", "true",
    "null", "v", "NaN", "1-", "0-99999@0", "0-9999999999@0", "1@0,1@1", "0x1:\u202e", "\ud800",
    "\x00", "\x1b[2J", "\x07\r\n", "\u2028", "\u202e", "x" * 300, "x" * 2000, "\U0001f600" * 300,
    "[" * 3000, "127.0.0.1", "::1", "127.0.0.1\x00", "::ffff:1.2.3.4", "demo-0-0", "demo-1-0",
    "demo-round", "team", "ended", "2026-01-01T00:00:00.000000Z", "elasticjob.dev/agent", "{}",
    '{"v":1}', '{"v":1,"n":3}',
]  # fmt: skip

texts = st.sampled_from(TEXTS) | st.text(max_size=8)
leaves = (
    st.none() | st.booleans() | st.integers() | st.sampled_from(BIG) | st.floats() | texts
    | st.sampled_from([nested(50), nested(150), nested(150, "a"), nested(3, "metadata")])
)  # fmt: skip
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all parts of a value."""
    found = [path]
    if isinstance(value, dict):
        for key, part in value.items():
            found += paths(part, (*path, key))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            found += paths(part, (*path, index))
    return found


@st.composite
def damaged(draw: Any, examples: Iterable[Any], most: int = 3) -> Any:
    """One of the examples, of which up to `most` parts are replaced, missing, or another's."""
    found = copy.deepcopy(draw(st.sampled_from(list(examples))))
    for _ in range(draw(st.integers(0, most))):
        places = paths(found)
        path = draw(st.sampled_from(places))
        if path:
            owner = found
            for step in path[:-1]:
                owner = owner[step]
            _change(draw, owner, path[-1], found, places)
        elif draw(st.booleans()):
            found = copy.deepcopy(draw(values))
    return found


def _change(draw: Any, owner: Any, key: Any, whole: Any, places: list[Any]) -> None:
    kind = draw(st.sampled_from(["value", "value", "text", "missing", "new", "other"]))
    if kind == "missing":
        del owner[key]
    elif kind == "new" and isinstance(owner, dict):
        owner[draw(texts)] = copy.deepcopy(draw(values))
    elif kind == "text" and isinstance(owner[key], str):
        owner[key] = draw(damaged_text([owner[key]]))
    elif kind == "other":
        part = whole
        for step in draw(st.sampled_from(places)):
            part = part[step]
        owner[key] = copy.deepcopy(part)
    else:
        owner[key] = copy.deepcopy(draw(values))


@st.composite
def damaged_text(draw: Any, examples: Iterable[str], most: int = 3, junk: Any = texts) -> str:
    """One of the examples, with up to `most` parts replaced by other text or repeated."""
    found: str = draw(st.sampled_from(list(examples)))
    for _ in range(draw(st.integers(0, most))):
        begin = draw(st.integers(0, len(found)))
        end = min(len(found), begin + draw(st.integers(0, 12)))
        new = draw(junk | st.just(found[begin:end] * 3))
        found = found[:begin] + new + found[end:]
    return found


def damaged_json(examples: Iterable[Any], most: int = 3) -> Any:
    """JSON of a damaged example, or the damaged JSON of one."""
    kept = list(examples)
    whole = damaged(kept, most).map(json.dumps)
    return whole | damaged_text([json.dumps(each) for each in kept], most)
