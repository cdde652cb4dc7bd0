from __future__ import annotations

from typing import Any

import pytest

from elasticjob.local.api.objects.yaml_documents import (
    DEEPEST,
    MOST_ALIASED,
    YamlError,
    documents,
)


def aliases(lines: int, first: str = "[x, x, x, x, x, x, x, x, x, x]", each: str = "[{}]") -> str:
    """Lines of which each has ten aliases of the line before."""
    found = [f"a0: &a0 {first}"]
    for line in range(1, lines):
        below = ", ".join([f"*a{line - 1}"] * 10)
        found.append(f"a{line}: &a{line} {each.format(below)}")
    return "\n".join(found)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", []),
        ("a: 1\n---\n- b\n", [{"a": 1}, ["b"]]),
        ("a: &x [1]\nb: *x\nc: *x", [{"a": [1], "b": [1], "c": [1]}]),
        ("a: &x {k: 1}\nb: {<<: *x, l: 2}", [{"a": {"k": 1}, "b": {"k": 1, "l": 2}}]),
        ("a: &x 1\n---\nb: &x 2\nc: *x", [{"a": 1}, {"b": 2, "c": 2}]),
        (b"a: \xc3\xa4", [{"a": "ä"}]),
    ],
)
def test_the_values_of_a_text(text: str | bytes, values: list[Any]) -> None:
    assert documents(text) == values


def test_the_depth_is_limited() -> None:
    assert documents("[" * DEEPEST + "]" * DEEPEST)
    for levels in (DEEPEST + 1, 100_000):
        with pytest.raises(YamlError, match=f"nested more than {DEEPEST} levels deep"):
            documents("[" * levels + "]" * levels)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (aliases(4), f"line 4, column 45: aliases stand for more than {MOST_ALIASED} values; w"),
        (aliases(40), "line 4, column 45: aliases stand for more than"),
        (aliases(9, "{k: 1, l: 2}", "{{<<: [{}]}}"), "aliases stand for more than"),
        ("a: &a [*a]", "line 1, column 8: anchor 'a' contains itself; write out the values"),
        ("a: &a {b: [*a]}", "anchor 'a' contains itself"),
        ("a: *b", "line 1, column 4: found undefined alias 'b'"),
        ("a: &a 1\n---\nb: *a", "line 3, column 4: found undefined alias 'a'"),
        ("a: [", "line 1, column 5: "),
        (b"a: \xff", "not valid YAML: "),
        ("a: \x00", "not valid YAML: unacceptable character"),
        ("a: 2001-99-99", "not valid YAML: month must be in 1..12"),
        ("a: !!python/name:os.system x", "line 1, column 4: could not determine a constructor"),
    ],
)
def test_texts_that_are_refused(text: str | bytes, fault: str) -> None:
    with pytest.raises(YamlError) as caught:
        documents(text)
    assert fault in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_depth_counts_through_aliases() -> None:
    lines = [f"a{line}: &a{line} [*a{line - 1}]" for line in range(1, DEEPEST + 1)]
    with pytest.raises(YamlError, match=f"nested more than {DEEPEST} levels deep"):
        documents("\n".join(["a0: &a0 [x]", *lines]))
