"""Any text is read or refused, and text that is not too deep is read unchanged."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from elasticjob.controller.observe import parse
from elasticjob.controller.untrusted import (
    DEEPEST,
    TOKEN,
    is_nested_deeper,
    is_shallow,
    load,
    shallow,
)

texts = st.text(st.sampled_from('[]{}"\\,:1a\ud800'), max_size=12)
leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
values = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(texts, inner))


def nested(levels: int, sign: str = "list") -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value] if sign == "list" else {"a": value}
    return value


def brackets(levels: int) -> bytes:
    return b'["]",' * levels + b'"x"' + b',"["]' * levels


@given(values)
@example(nested(DEEPEST))
@example(nested(DEEPEST, "dict"))
@example([nested(DEEPEST - 1)] * DEEPEST)
@example([1, [2, nested(DEEPEST - 2)] * DEEPEST])
def test_text_that_is_not_too_deep_is_read_unchanged(value: Any) -> None:
    raw = json.dumps(value).encode()
    assert load(raw) == value
    assert shallow(raw) == raw


raws = st.binary() | st.text(st.sampled_from('[]{}",:\\ 1\n')).map(str.encode)
IN_UTF_16 = ('["\u0122",' + "[" * 500 + "]" * 500 + ',"\u0122"]').encode("utf-16-le")


@given(raws)
@example(b"[" * 5000)
@example(b'{"a":' * 5000)
@example(b"[" * 5000 + b'"')
@example(b"]" * 5000)
@example(b"\xff\xfe")
@example(b"1" * 5000)
@example(IN_UTF_16)
def test_reading_raises_only_value_error(raw: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert not is_nested_deeper(load(raw), DEEPEST)
    if is_shallow(raw):
        with contextlib.suppress(ValueError):
            json.loads(raw.decode())


@given(raws)
@example(b'"' + b'\\"' * 20)
@example(b'"\\\n')
@example(b'"\\')
def test_each_character_is_read_once(raw: bytes) -> None:
    """A token begins at each bracket and each quote outside of tokens: else a string that is not
    closed is read again from each quote in it, which takes time with the square of its length."""
    assert not set(TOKEN.sub(b"", raw)) & set(b'[]{}"')


def test_a_megabyte_of_escaped_quotes_is_read_once() -> None:
    """In time with the square of its length, this would take hours."""
    raw = b"[" * (DEEPEST + 1) + b'"' + b'\\"' * 500_000
    assert shallow(raw) == b"[" * DEEPEST + b"null"


@given(st.integers(0, 9000), values)
@example(DEEPEST + 1, [])
@example(9000, {"a": "]"})
def test_the_part_that_is_too_deep_is_cut_and_the_rest_is_kept(levels: int, other: Any) -> None:
    deep = b'{"a":[' * (levels // 2) + brackets(levels) + b"]}" * (levels // 2)
    raw = b'{"before":%b,"deep":%b,"after":%b}' % (
        json.dumps(other).encode(),
        deep,
        json.dumps(other).encode(),
    )
    found = load(raw)
    assert (found["before"], found["after"]) == (other, other)
    assert not is_nested_deeper(found, DEEPEST)
    assert is_nested_deeper(found, DEEPEST - 1) == (1 + 2 * (levels // 2) + levels >= DEEPEST)


@pytest.mark.parametrize("sign", ["list", "dict"])
def test_the_depth_limit(sign: str) -> None:
    assert not is_nested_deeper("text", 0)
    assert not is_nested_deeper(nested(3, sign), 3)
    assert is_nested_deeper(nested(3, sign), 2)
    assert is_nested_deeper([[]], 1)


@given(texts | st.text())
@example("[" * 2000)
@example('{"message":' * 2000)
@example('{"message": "\\ud800"}')
@example('{"message": ["a"]}')
def test_a_termination_message_is_text_that_can_be_written(text: str) -> None:
    assert parse.termination_message(text).encode() is not None
