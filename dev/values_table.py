#!/usr/bin/env python3
"""Write the table of values into the chart's README: values_table.py VALUES.yaml README.md

Each value has a comment that begins with `# --` right above it; one over a mapping describes it as
a whole, as with `resources`. The table goes between the lines that begin with `<!-- values`.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

KEY = re.compile(r"^(?P<indent> *)(?P<name>\w+):")
TABLE = re.compile(r"(<!-- values.*?-->\n).*?(<!-- values end -->)", re.DOTALL)
HEAD = "| value | default | |\n|---|---|---|\n"


def described(lines: Iterable[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Return the path of each value that has a comment, and the comment in one line."""
    path: list[str] = []
    comment: list[str] = []
    for line in lines:
        text = line.strip()
        if text.startswith("# --"):
            comment = [text[4:].strip()]
        elif text.startswith("#") and comment:
            comment.append(text[1:].strip())
        elif key := KEY.match(line):
            path = [*path[: len(key["indent"]) // 2], key["name"]]
            if comment:
                yield tuple(path), " ".join(comment)
            comment = []


def row(path: tuple[str, ...], comment: str, values: Any) -> str:
    """Return a line of the table."""
    for step in path:
        values = values[step]
    return f"| `{'.'.join(path)}` | `{json.dumps(values)}` | {comment} |\n"


def filled(readme: str, values: str) -> str:
    """The README with the table of these values."""
    parsed = yaml.safe_load(values)
    rows = "".join(row(path, text, parsed) for path, text in described(values.splitlines()))
    return TABLE.sub(lambda found: f"{found[1]}{HEAD}{rows}{found[2]}", readme)


def main(values: str, readme: str) -> None:
    """Replace the table in the README."""
    page = Path(readme)
    page.write_text(filled(page.read_text(), Path(values).read_text()))


if __name__ == "__main__":
    main(*sys.argv[1:3])
