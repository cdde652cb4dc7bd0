"""Any text is read or refused, and text that is not too deep is read unchanged."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from elasticjob.controller.observe import containers
from elasticjob.wire.untrusted import (
    DEEPEST,
    WireError,
    decode,
    decode_answer,
    harmless,
    is_nested_deeper,
    is_shallow,
    plain,
)

texts = st.text(st.sampled_from('[]{}"\\,:1a\ud800\U0001f600'), max_size=12)
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
values = st.recursive(
    leaves, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=30
)


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
    assert decode(raw, "it") == decode_answer(raw, "it") == json.loads(harmless(raw))
    if "\\ud800" not in raw.decode():
        assert decode(raw, "it") == value
        assert harmless(raw) == raw


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
@example(b'{"a": NaN, "b": 1e999}')
def test_reading_raises_only_wire_error(raw: bytes) -> None:
    for read in (decode, decode_answer):
        with contextlib.suppress(WireError):
            found = read(raw, "it")
            assert not is_nested_deeper(found, DEEPEST)
            json.dumps(found, allow_nan=False, ensure_ascii=False).encode()
    with contextlib.suppress(ValueError):
        json.loads(harmless(raw).decode())
    if is_shallow(raw):
        with contextlib.suppress(ValueError):
            json.loads(raw.decode())


def test_a_megabyte_of_escaped_quotes_is_read_once() -> None:
    """In time with the square of its length, this would take hours."""
    raw = b"[" * (DEEPEST + 1) + b'"' + b'\\"' * 500_000
    assert harmless(raw) == b"[" * DEEPEST + b"null"


@given(st.integers(0, 3000), values)  # Python recurses 1,000 levels deep
@example(DEEPEST + 1, [])
@example(9000, {"a": "]"})
def test_the_part_that_is_too_deep_is_cut_and_the_rest_is_kept(levels: int, other: Any) -> None:
    deep = b'{"a":[' * (levels // 2) + brackets(levels) + b"]}" * (levels // 2)
    raw = b'{"before":%b,"deep":%b,"after":%b}' % (
        json.dumps(other).encode(),
        deep,
        json.dumps(other).encode(),
    )
    found = decode_answer(raw, "it")
    assert found["before"] == found["after"] == decode(json.dumps(other), "it")
    assert not is_nested_deeper(found, DEEPEST)
    assert is_nested_deeper(found, DEEPEST - 1) == (1 + 2 * (levels // 2) + levels >= DEEPEST)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (r'"\ud800"', "\ufffd"),
        (r'"\uDFFFx\udbff"', "\ufffdx\ufffd"),
        (r'"\ud83d\ude00"', "\U0001f600"),
        (r'"\ud83d\ud83d\ude00"', "\ufffd\U0001f600"),
        (r'"\\ud800"', r"\ud800"),
        (r'"\\\ud800"', "\\\ufffd"),
        (r'"\ud83d\\ude00"', "\ufffd\\ude00"),
        ('"\ud800"', "?"),
    ],
)
def test_a_surrogate_without_its_other_half_is_replaced(raw: str, value: str) -> None:
    assert decode(raw, "it") == value
    assert decode_answer(raw.encode("utf-8", "replace"), "it") == value


@pytest.mark.parametrize(
    "constant", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 5000]
)
def test_a_number_is_finite_and_of_readable_length(constant: str) -> None:
    with pytest.raises(WireError, match="it is not JSON"):
        decode(f'{{"a": [{constant}]}}', "it")


def test_the_last_of_equal_keys_counts() -> None:
    assert decode('{"a": 1, "a": 2}', "it") == {"a": 2}


CONTROLS = [chr(i) for i in (*range(0x20), *range(0x7F, 0xA0), *range(0x2066, 0x206A))]
CONTROLS += ["\u061c", "\u200e", "\u200f", "\u2028", "\u2029", *"\u202a\u202b\u202c\u202d\u202e"]
CONTROLS += ["\ud800", "\udfff"]


@given(st.text(st.characters() | st.sampled_from(CONTROLS)))
@example("".join(CONTROLS))
def test_plain_text_has_no_controls(text: str) -> None:
    found = plain(text)
    assert not set(found) & (set(CONTROLS) - {"\n", "\t"})
    assert plain(found) == found
    assert found.encode().decode() == found
    assert len(found) <= len(text)


def test_plain_text_keeps_what_people_write() -> None:
    text = "Traceback:\n\tline 1\nValueError: \u4f60\u597d \xe9 \U0001f600 \u05d0"
    assert plain(text) == text
    assert plain("one\r\ntwo\rthree\u2028four\x85") == "one\ntwo\nthree\nfour\n"
    assert plain("\x1b]0;title\x07\x1b[2J\u202eabc") == "\ufffd]0;title\ufffd\ufffd[2J\ufffdabc"


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
    assert containers.termination_message(text)[0].encode() is not None
