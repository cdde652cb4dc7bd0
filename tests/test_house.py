"""The rules of the house that no linter knows."""

from __future__ import annotations

import ast
import operator
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = ROOT / "operator" / "src" / "elasticjob"


def test_operator_is_a_directory_and_not_a_package() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()
    found = subprocess.run(
        [sys.executable, "-c", "import operator; print(operator.__file__)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == operator.__file__


def test_only_wire_knows_the_prefix() -> None:
    strangers = [
        str(path.relative_to(ROOT))
        for path in SOURCES.rglob("*.py")
        if "wire" not in path.parts and "elasticjob.dev" in path.read_text()
    ]
    assert strangers == []


WRITERS = {"json": {"dumps"}, "yaml": {"safe_dump"}, "pickle": set(), "marshal": set()}
DOORS = {"json": {"wire/untrusted.py"}, "yaml": {"local/yaml_documents.py", "local/yaml_loader.py"}}


def readers(path: Path) -> Iterator[str]:
    """The modules of WRITERS of which a file uses more than the functions that write.

    An import under another name, or of single functions, counts as well.
    """
    text = path.read_text()
    if not any(name in text for name in WRITERS):
        return  # to parse all files takes most of the time
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            named = {alias.name.split(".")[0]: alias for alias in node.names}
            yield from (
                name
                for name, alias in named.items()
                if name in WRITERS and (alias.asname or alias.name != name)
            )
        elif isinstance(node, ast.ImportFrom):
            yield from {(node.module or "").split(".")[0]} & WRITERS.keys()
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            name = node.value.id
            if name in WRITERS and node.attr not in WRITERS[name]:
                yield name


def test_texts_are_read_at_one_door_each() -> None:
    """Each text from another process passes the limits of its door: nothing else reads any."""
    found = [
        (root, str(path.relative_to(SOURCES)))
        for path in SOURCES.rglob("*.py")
        for root in set(readers(path))
    ]
    strangers = [(root, name) for root, name in found if name not in DOORS.get(root, ())]
    assert strangers == []
    assert {name for _, name in found} == set.union(*DOORS.values())


@pytest.mark.parametrize(
    "code",
    ["import json as j", "from json import loads", "x = json.loads", "import json.decoder"],
)
def test_a_reader_is_found(tmp_path: Path, code: str) -> None:
    (tmp_path / "it.py").write_text(code)
    assert list(readers(tmp_path / "it.py")) == ["json"]


def test_no_folder_of_the_product_is_a_pile() -> None:
    """A folder has one subject, and at most 16 modules (ADR 16)."""
    folders = {path.parent for path in SOURCES.rglob("*.py")}
    sizes = {str(f.relative_to(SOURCES)): len(list(f.glob("*.py"))) - 1 for f in folders}
    assert {name: size for name, size in sizes.items() if size > 16} == {}


SKIPS = re.compile(
    r'pytest\.skip\("(.*?)"|mark\.skip(?:if)?\((?s:.*?)reason=(?:"(.*?)"|[A-Z_]+)|(mark\.skip\b)'
)


def test_each_reason_for_a_skip_names_the_cure() -> None:
    """*What is missing: the command that provides it.* CI fails on each test that never ran."""
    found = {
        "".join(groups): path.name
        for path in (ROOT / "tests").rglob("*.py")
        for groups in SKIPS.findall(path.read_text())
    }
    assert len(found) > 5
    del found[""]  # reasons that have a name
    assert [f"{name}: {reason}" for reason, name in found.items() if ": " not in reason] == []


@pytest.mark.parametrize("is_slow", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_only_the_cases_that_may_leave_sockets_open_collect_garbage(
    is_slow: bool, request: pytest.FixtureRequest
) -> None:
    """tests/conftest.py does this; a collection takes longer than most tests."""
    assert ("own_garbage" in request.fixturenames) == is_slow
