"""Attacks on the local mode and on its installation, by other users and by what pods write."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


# -- the installation ------------------------------------------------------------------------------


def counterfeit_uv(directory: Path) -> None:
    """A wheel with the name and version of the uv that we install, and other content."""
    locked = (REPOSITORY / "dev" / "uv.txt").read_text()
    version = next(line for line in locked.splitlines() if line.startswith("uv==")).split()[0][4:]
    metadata = f"Metadata-Version: 2.1\nName: uv\nVersion: {version}\n"
    tag = "Wheel-Version: 1.0\nGenerator: none\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(directory / f"uv-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr("uv_stolen.py", "")
        wheel.writestr(f"uv-{version}.dist-info/METADATA", metadata)
        wheel.writestr(f"uv-{version}.dist-info/WHEEL", tag)
        wheel.writestr(f"uv-{version}.dist-info/RECORD", "")


@pytest.mark.process
def test_a_counterfeit_uv_is_not_installed(tmp_path: Path) -> None:
    """The build of the image runs this installation as root."""
    counterfeit_uv(tmp_path)
    found = subprocess.run(
        [REPOSITORY / "dev" / "install-uv.sh", sys.executable],
        cwd=tmp_path,
        env={**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode != 0
    assert "DO NOT MATCH THE HASHES" in found.stderr
    assert list((tmp_path / ".tools").rglob("uv_stolen.py")) == []
