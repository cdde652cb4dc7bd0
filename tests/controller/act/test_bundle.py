"""The zip is the same for the same files, has the parts that an agent needs, and runs."""

from __future__ import annotations

import ast
import hashlib
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from elasticjob.controller.act import bundle

FILES = {
    "__init__.py": "",
    "wire/__init__.py": "",
    "wire/names.py": "GREETING = 'hello'\n",
    "rendezvous/__init__.py": "",
    "agent/__init__.py": "",
    "agent/__main__.py": "import elasticjob.agent.main\n",
    "agent/main.py": "from elasticjob.wire.names import GREETING\nprint(GREETING, __name__)\n",
    "agent/__pycache__/main.pyc": "compiled",
    "controller/__init__.py": "raise SystemExit('not for agents')\n",
}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return lay(tmp_path / "elasticjob", FILES)


def lay(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def names(built: bundle.Bundle) -> list[str]:
    return zipfile.ZipFile(io.BytesIO(built.data)).namelist()


def test_it_has_the_agent_and_what_the_agent_imports(package: Path) -> None:
    assert names(bundle.build(package)) == [
        "__main__.py",
        "elasticjob/__init__.py",
        "elasticjob/agent/__init__.py",
        "elasticjob/agent/__main__.py",
        "elasticjob/agent/main.py",
        "elasticjob/rendezvous/__init__.py",
        "elasticjob/wire/__init__.py",
        "elasticjob/wire/names.py",
    ]


def test_neither_place_nor_time_nor_order_changes_it(package: Path, tmp_path: Path) -> None:
    other = lay(tmp_path / "elsewhere", dict(reversed(FILES.items())))
    for path in other.rglob("*.py"):
        os.utime(path, (1, 1))
        path.chmod(0o600)
    assert bundle.build(other) == bundle.build(package)


def test_the_hash_names_the_content(package: Path) -> None:
    before = bundle.build(package)
    (package / "wire" / "names.py").write_text("GREETING = 'bye'\n")
    after = bundle.build(package)
    assert before.hash == hashlib.sha256(before.data).hexdigest()
    assert before.hash != after.hash


def test_nothing_is_compressed_because_compressors_differ(package: Path) -> None:
    archive = zipfile.ZipFile(io.BytesIO(bundle.build(package).data))
    assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}


@pytest.mark.process
def test_it_runs_apart_from_everything_installed(package: Path, tmp_path: Path) -> None:
    path = tmp_path / "agent.pyz"
    path.write_bytes(bundle.build(package).data)
    command = [sys.executable, "-I", "-S", path]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout == "hello elasticjob.agent.main\n"


def test_our_own_files_are_python_3_9_and_fit_a_config_map() -> None:
    built = bundle.build()
    archive = zipfile.ZipFile(io.BytesIO(built.data))
    for name in archive.namelist():
        ast.parse(archive.read(name), name, feature_version=(3, 9))
    assert len(built.data) <= 700_000, "a ConfigMap holds 1 MiB, base64 included in a request"
