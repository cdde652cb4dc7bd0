"""The wheel in empty environments: what each extra installs is enough for what it promises."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
UV = shutil.which("uv") or str(ROOT / ".tools/uv/bin/uv")
IMPORT_ALL = """
import importlib, pkgutil, sys
for name in sys.argv[1:]:
    package = importlib.import_module("elasticjob." + name)
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
"""

pytestmark = [pytest.mark.process, pytest.mark.slow]


def uv(*words: str | Path) -> str:
    done = subprocess.run([UV, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@dataclass(frozen=True)
class Environment:
    """A virtual environment in which the wheel is installed, and nothing of this checkout."""

    home: Path

    def run(self, program: str, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.home / "bin" / program, *words],
            env={"PATH": os.environ["PATH"]},
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
        )

    def imports(self, *packages: str) -> None:
        done = self.run("python", "-c", IMPORT_ALL, *packages)
        assert done.returncode == 0, done.stderr

    def lacks(self, *modules: str) -> None:
        for module in modules:
            assert self.run("python", "-c", f"import {module}").returncode == 1, module


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    uv("build", "--quiet", "--wheel", "--out-dir", out)
    (found,) = out.glob("*.whl")
    return found


def base(home: Path, wheel: Path, python: str) -> Environment:
    uv("venv", "--quiet", "--python", python, home)
    uv("pip", "install", "--quiet", "--python", home, "--no-index", "--no-deps", wheel)
    return Environment(home)


def with_extra(home: Path, wheel: Path, extra: str) -> Environment:
    """With the locked versions, so that a release of today breaks no test."""
    uv("venv", "--quiet", "--python", sys.executable, home)
    locked = home / "locked.txt"
    uv("export", "--frozen", "--quiet", "--no-dev", "--all-extras", "--no-emit-project",
       "--no-hashes", "--output-file", locked)  # fmt: skip
    uv("pip", "install", "--quiet", "--python", home, "--constraint", locked,
       f"elasticjob[{extra}] @ {wheel.as_uri()}")  # fmt: skip
    return Environment(home)


def test_the_base_needs_no_other_package_on_the_oldest_python(tmp_path: Path, wheel: Path) -> None:
    oldest = subprocess.run(
        [ROOT / "dev/interpreters.sh", "oldest"],
        env={**os.environ, "UV": UV}, capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    here = base(tmp_path / "base", wheel, oldest)
    here.imports("wire", "files", "rendezvous", "agent")
    agent = here.run("python", "-m", "elasticjob.agent", "--help")
    assert "ELASTICJOB_NAMESPACE is not set" in agent.stderr  # it has no options, and reads these
    command = here.run("elasticjob", "--help")
    assert command.returncode == 2
    assert re.fullmatch(
        r"elasticjob: (needs Python 3.11|rich is not installed).*\n", command.stderr
    )


def test_the_command_names_the_extra_that_is_missing(tmp_path: Path, wheel: Path) -> None:
    done = base(tmp_path / "base", wheel, sys.executable).run("elasticjob", "local", "up")
    assert done.returncode == 2
    assert done.stderr == "elasticjob: rich is not installed: pip install 'elasticjob[local]'\n"


def test_operator(tmp_path: Path, wheel: Path) -> None:
    here = with_extra(tmp_path / "operator", wheel, "operator")
    here.imports("api", "controller")
    here.lacks("rich", "trustme")
    assert "--kubeconfig" in here.run("python", "-m", "elasticjob.controller", "--help").stdout


def test_cli(tmp_path: Path, wheel: Path) -> None:
    here = with_extra(tmp_path / "cli", wheel, "cli")
    here.imports("cli")
    here.lacks("kopf", "kubernetes", "pydantic")
    assert here.run("elasticjob", "--version").stdout.startswith("0.")
    done = here.run("elasticjob", "local", "up")
    assert done.returncode == 2
    assert done.stderr.endswith("is not installed: pip install 'elasticjob[local]'\n")
    assert done.stderr.count("\n") == 1


def test_local(tmp_path: Path, wheel: Path) -> None:
    here = with_extra(tmp_path / "local", wheel, "local")
    here.imports("local", "cli", "api", "controller")
    file = str(ROOT / "examples/quickstart.yaml")
    done = here.run("elasticjob", "local", "run", "-f", file)
    assert done.returncode == 0, done.stdout + done.stderr
