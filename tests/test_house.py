"""The rules of the house that no linter knows."""

from __future__ import annotations

import operator
import subprocess
import sys
from pathlib import Path

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


def test_no_folder_of_the_product_is_a_pile() -> None:
    """A folder has one subject, and at most 16 modules (ADR 16)."""
    folders = {path.parent for path in SOURCES.rglob("*.py")}
    sizes = {str(f.relative_to(SOURCES)): len(list(f.glob("*.py"))) - 1 for f in folders}
    assert {name: size for name, size in sizes.items() if size > 16} == {}
