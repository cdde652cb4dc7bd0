from __future__ import annotations

from typing import Any

import pytest

from elasticjob.local.yaml_documents import YamlError, load


@pytest.mark.parametrize(
    ("text", "documents"),
    [
        ("", []),
        ("a: 1\n---\n- b\n---\n", [{"a": 1}, ["b"], None]),
        ("day: 2026-01-01", [{"day": "2026-01-01"}]),  # as kubectl reads it
        ("8080: web\ntrue: x", [{"8080": "web", "true": "x"}]),
        ("base: &a {x: 1}\nuse: *a\nmore: {<<: *a, y: 2}",
         [{"base": {"x": 1}, "use": {"x": 1}, "more": {"x": 1, "y": 2}}]),
        (r'a: "\ud800"', [{"a": "\ufffd"}]),
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
        ("a: [", "line 1, column 5"),
        (BOMB, "use fewer aliases"),
        (MERGES, "use fewer aliases"),
        ("&a [*a]", "nested more than"),
        ("a: &a {b: *a}", "nested more than"),
        ("[" * 200 + "]" * 200, "nested more than"),
        ("[" * 5000 + "]" * 5000, "nested more than"),
        ("a: !!binary aGk=", "line 1: tag:yaml.org,2002:binary is not supported"),
        ("a: !!set {x}", "set is not supported"),
        ("a: !!python/name:os.system", "python/name:os.system is not supported"),
        ("a: .nan", "not valid YAML: ValueError"),
        ("a: [.inf]", "not valid YAML: ValueError"),
        ('a: !!int ""', "not valid YAML: IndexError"),
        ("a: !!bool x", "not valid YAML: KeyError"),
        ("? [a]\n: b", "line 1, column 3: found unhashable key"),
        ("a: " + "9" * 5000, "line 1: a number is too long"),
        ("\n- 1" + ":0" * 100_000, "line 2: a number is too long"),
        pytest.param("[" + "x, " * 100_001 + "x]", "more than 100000 values", marks=SLOW),
        pytest.param("--- x\n" * 100_001, "more than 100000 values", marks=SLOW),
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
