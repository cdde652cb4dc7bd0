from __future__ import annotations

from pathlib import Path

from elasticjob.api.crd import custom_resource_definition
from elasticjob.api.reference import as_markdown
from elasticjob.api.rules import RULES

COMMITTED = Path(__file__).parents[2] / "docs" / "api.md"
VERSION = custom_resource_definition()["spec"]["versions"][0]


def test_the_committed_file_is_the_generated_one() -> None:
    assert COMMITTED.read_text() == as_markdown(), "run `make generate`"


def test_it_has_every_field_of_spec_and_status() -> None:
    text = as_markdown()
    for part in ("spec", "status"):
        for name in VERSION["schema"]["openAPIV3Schema"]["properties"][part]["properties"]:
            assert f"| `{name}` |" in text


def test_no_cell_breaks_its_table() -> None:
    for line in as_markdown().splitlines():
        if line.startswith("| "):
            assert line.count("|") in (3, 4, 5), line


def test_it_has_every_rule() -> None:
    for rule in RULES:
        assert rule.message in as_markdown()
