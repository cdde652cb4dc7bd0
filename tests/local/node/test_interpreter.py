from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from elasticjob.local.node.interpreter import install, search_path


@pytest.mark.process
def test_the_scripts_run_the_interpreter_with_its_packages(tmp_path: Path) -> None:
    """An interpreter of a virtual environment that is run by a link has no packages."""
    install(Path(sys.executable), tmp_path / "bin")
    for name in ("python", "python3"):
        command = [
            str(tmp_path / "bin" / name),
            "-c",
            "import sys; print(sys.prefix, sys.argv[1])",
            "a b",
        ]
        found = subprocess.run(command, capture_output=True, text=True, check=True)
        assert found.stdout == f"{sys.prefix} a b\n"


def test_the_order_of_the_search_path() -> None:
    path = search_path(Path("/r/bin"), Path("/venv/bin/python3.12"), "/usr/bin:/bin")
    assert path == "/r/bin:/venv/bin:/usr/bin:/bin"
