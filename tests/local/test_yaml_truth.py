"""YAML means the same here as in kubectl: `yaml_truth` has what its libraries read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from elasticjob.local.yaml_documents import YamlError, load

HERE = Path(__file__).parent / "yaml_truth"
TRUTH: list[dict[str, Any]] = json.loads((HERE / "truth.json").read_text())
# kubectl reads the first document and silently ignores the other. The first form is JSON Lines.
REFUSED_HERE = {'{"a": 1}\n{"b": 2}\n', "a: 1\n...\nb: 2\n"}


def test_the_table_is_current() -> None:
    """tests/local/yaml_truth/README.md has the command that writes it."""
    assert [row["yaml"] for row in TRUTH] == json.loads((HERE / "texts.json").read_text())


def written(documents: list[Any]) -> str:
    """The documents as a text, in which 1 is not 1.0."""
    return json.dumps(documents, sort_keys=True)


def reading(text: str) -> str:
    """The documents of a text, written, or why it is refused."""
    try:
        return written(load(text.encode()))
    except YamlError as error:
        return f"refused: {error}"
    except Exception as error:
        error.add_note(f"of {text!r}")
        raise


def test_each_text_is_read_as_kubectl_reads_it() -> None:
    refused = {row["yaml"] for row in TRUTH if "error" in row} | REFUSED_HERE
    for row in TRUTH:
        text, found = row["yaml"], reading(row["yaml"])
        if text in refused:
            assert found.startswith("refused: "), text
            assert "\n" not in found, text
        else:
            assert (text, found) == (text, written(row.get("documents", [])))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_file_of_windows_is_read(encoding: str) -> None:
    """PowerShell writes UTF-16 for `>`, and editors a byte order mark."""
    assert load("a: é\r\nb: |\r\n  x\r\n".encode(encoding)) == [{"a": "é", "b": "x\n"}]
