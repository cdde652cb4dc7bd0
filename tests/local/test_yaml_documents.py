from __future__ import annotations

from typing import Any

import pytest

from elasticjob.local.yaml_documents import YamlError, load


@pytest.mark.parametrize(
    ("text", "documents"),
    [
        ("", []),
        ("a: 1\n---\n- b\n---\n", [{"a": 1}, ["b"]]),
        ("day: 2026-01-01", [{"day": "2026-01-01"}]),  # as kubectl reads it
        ("8080: web\ntrue: x", [{"8080": "web", "true": "x"}]),
        ("base: &a {x: 1}\nuse: *a\nmore: {<<: *a, z: 2}",
         [{"base": {"x": 1}, "use": {"x": 1}, "more": {"x": 1, "z": 2}}]),
        (r'{"a": "\ud800"}', [{"a": "\ufffd"}]),
        ("a: !!set {x}\nb: !mine 1", [{"a": {"x": None}, "b": "1"}]),
        ("a: " + "9" * 5000, [{"a": "9" * 5000}]),  # as of a number that is out of range
        ("\n- 1" + ":0" * 100_000, [["1" + ":0" * 100_000]]),
        (b"\xef\xbb\xbfa: \xc3\xa9", [{"a": "\xe9"}]),
    ],
)  # fmt: skip
def test_documents(text: str | bytes, documents: list[Any]) -> None:
    assert load(text) == documents


SLOW = pytest.mark.slow  # PyYAML reads 40,000 values in a second
BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGES = "a: &a {x: 1}\n" + "".join(
    f"{name}: &{name} {{<<: [{', '.join([f'*{before}'] * 10)}]}}\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a: [", "line 2, column 1"),
        (BOMB, "use fewer aliases"),
        (MERGES, "use fewer aliases"),
        ("&a [*a]", "nested more than"),
        ("a: &a {b: *a}", "nested more than"),
        ("[" * 200 + "]" * 200, "nested more than"),
        ("[" * 5000 + "]" * 5000, "nested more than"),
        ("a: !!binary x", "line 1: no base64"),
        ("a: .nan", "line 1: infinity and NaN are no numbers in JSON; put the text in quotes"),
        ("a: [.inf]", "line 1: infinity and NaN are no numbers"),
        ('a: !!int ""', "line 1: '' is no int"),
        ("a: !!bool x", "line 1: 'x' is no bool"),
        ("? [a]\n: b", "line 1: a key must be a text; put it in quotes"),
        ("~: b", "line 1: a key must not be null; put it in quotes"),
        ("99999999999999999999: b\n9999999999999999999: b", "line 2: a key is too large"),
        ("a: 1\n---\nb:\n\tc: 1", "line 4, column 1: found character"),
        ("a: 1\n--- b: 2", "line 2: only a comment may follow ---"),
        (r'a: "\ud800"', "line 1: an escape in a text stands for half a character"),
        pytest.param("[" + "x, " * 100_001 + "x]", "more than 100000 values", marks=SLOW),
        pytest.param("---\nx\n" * 100_001, "more than 100000 values", marks=SLOW),
        ("a: \x07", "not valid YAML"),
        (b"\xff\xfe\x00", "not valid YAML"),
        ("a: *b", "undefined alias"),
    ],
)
def test_what_is_no_json_is_refused_in_one_line(text: str | bytes, fault: str) -> None:
    with pytest.raises(YamlError, match=fault) as refused:
        load(text)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 300
