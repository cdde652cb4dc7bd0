"""What the container image holds, assembled by the list of steps that the Dockerfile runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
INSTALL = ROOT / "dev" / "install-operator.sh"
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def entrypoint(app: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """As the image's, but for PYTHONDONTWRITEBYTECODE: a file that it writes is to be seen."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "elasticjob.controller", *arguments],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(app)},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


def files(app: Path) -> set[Path]:
    return {path for path in app.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("image") / "app"
    subprocess.run([INSTALL, target, sys.executable], check=True)
    return target


@pytest.mark.process
def test_starts_from_the_image_alone_and_writes_nothing(app: Path) -> None:
    before = files(app)
    help_ = entrypoint(app, "--help")
    assert help_.returncode == 0
    assert "--health-port" in help_.stdout
    started = entrypoint(app)  # goes on to import everything, and finds no cluster
    assert "no API server to go to" in started.stderr
    assert files(app) == before


@pytest.mark.process
def test_every_user_may_read_it(app: Path) -> None:
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in files(app))


def test_the_dockerfile_takes_the_steps_from_the_script() -> None:
    assert "RUN dev/install-operator.sh /app python3" in DOCKERFILE


def test_the_dockerfile_runs_as_nobody_and_without_a_shell() -> None:
    assert "\nUSER 65532:65532\n" in DOCKERFILE
    assert '\nENTRYPOINT ["python3", "-P", "-m", "elasticjob.controller"]\n' in DOCKERFILE
