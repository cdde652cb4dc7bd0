"""The words that docs/STYLE.md lists as words to avoid, and where a text contains them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

STYLE = Path(__file__).parents[2] / "docs" / "STYLE.md"
ROW = re.compile(r"^\| ([^|]+) \|", re.MULTILINE)
LIMIT = re.compile(r"\(without ([^)]*)\)")
SEAM = re.compile(r"_|(?<=[a-z0-9])(?=[A-Z])")  # between the words of an identifier


def phrase(words: str, unless: list[str]) -> str:
    """A regular expression for words that may continue on the next line, or on one of a comment."""
    text = r"[\s#*>]+".join(map(re.escape, words.split()))
    return text + (rf"(?![\s#*>]+(?:{'|'.join(unless)})\b)" if unless else "")


def patterns(page: str) -> Iterator[str]:
    """The first column of the last table of the style guide, as regular expressions."""
    table = page.rpartition("\n## ")[2]
    for row in ROW.findall(table)[1:]:
        limit = LIMIT.search(row)
        unless = re.findall(r"\*(\w+)\*", limit[1]) if limit else []
        for words in row.partition("(")[0].split(","):
            if not set(words) <= set("- "):
                yield phrase(words.strip(), unless)


@cache
def avoided() -> re.Pattern[str]:
    """A regular expression for text in lower case: with IGNORECASE the search takes longer."""
    return re.compile(rf"\b(?:{'|'.join(patterns(STYLE.read_text().lower()))})\b")


def found_in(text: str) -> list[tuple[int, str]]:
    """The line and the words of each hit."""
    text = SEAM.sub(" ", text).lower()
    return [
        (text.count("\n", 0, hit.start()) + 1, " ".join(hit[0].split()))
        for hit in avoided().finditer(text)
    ]
